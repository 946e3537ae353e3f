/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving data: the calls, their flags, their queues.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static void case_calls(void)
{
    int client, server;
    char head[4] = {0}, tail[8] = {0};
    struct iovec out[2] = {{(char[]){"scat"}, 4}, {(char[]){"tered"}, 5}};
    struct iovec in[2] = {{head, 3}, {tail, 6}};
    struct msghdr message = {.msg_iov = in, .msg_iovlen = 2};

    pair(&client, &server);
    result("write", write(client, "write", 5));
    sees("after write", server);
    result("writev", writev(client, out, 2));
    await(server, POLLIN);
    result("readv", readv(server, in, 2));
    say("pieces", "%.3s %.6s", head, tail);
    message.msg_iov = out;
    result("sendmsg", sendmsg(client, &message, MSG_NOSIGNAL));
    message.msg_iov = in;
    message.msg_control = NULL;
    await(server, POLLIN);
    result("recvmsg", recvmsg(server, &message, 0));
    result("its flags", message.msg_flags);
    result("send nothing", send(client, "", 0, 0));
    result("read nothing", read(server, head, 0));
}

static void case_peek(void)
{
    int client, server;
    char data[8];

    pair(&client, &server);
    sends("send", client, "twice");
    await(server, POLLIN);
    result("peek", recv(server, data, 3, MSG_PEEK));
    result("peek again", recv(server, data, sizeof(data), MSG_PEEK));
    sees("receive", server);
    sees_now("nothing left", server);
    shutdown(client, SHUT_WR);
    await(server, POLLIN);
    result("peek at the end", recv(server, data, sizeof(data), MSG_PEEK));
}

static void case_wait_all(void)
{
    int client, server;
    char data[8];
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        result("receive all", recv(server, data, 6, MSG_WAITALL));
        result("receive until the end", recv(server, data, 6, MSG_WAITALL));
        _exit(0);
    }
    await_asleep(child);
    send(client, "abc", 3, 0);
    await_asleep(child);
    send(client, "def", 3, 0);
    send(client, "gh", 2, 0);
    shutdown(client, SHUT_WR);
    done("child", child);
}

static void case_discard(void)
{
    int client, server;

    pair(&client, &server);
    sends("send", client, "discarded|kept");
    await(server, POLLIN);
    result("MSG_TRUNC", recv(server, NULL, 10, MSG_TRUNC));
    sees("receive", server);
}

static void case_message_boundaries(void)
{
    int client, server;

    pair(&client, &server);
    sends("send", client, "ab");
    sends("send again", client, "cd");
    sees_len("three bytes of both", server, 3);
    sees_len("the last", server, 1);
}

static void case_queues(void)
{
    int client, server, value = -1;

    pair(&client, &server);
    result("FIONREAD", ioctl(server, FIONREAD, &value));
    result("queued", value);
    send(client, "12345", 5, 0);
    await(server, POLLIN);
    ioctl(server, FIONREAD, &value);
    result("queued then", value);
    sees_len("part", server, 2);
    ioctl(server, FIONREAD, &value);
    result("queued after", value);
    shutdown(client, SHUT_WR);
    await(server, POLLRDHUP);
    ioctl(server, FIONREAD, &value);
    result("the end does not count", value);
}

static void case_out_queue(void)
{
    int client, server, value = -1, unsent = -1;

    pair(&client, &server);
    send(client, "12345", 5, 0);
    await(server, POLLIN);
    for (int waited_ms = 0; waited_ms < semantics_wait_ms; waited_ms++) {
        if (ioctl(client, SIOCOUTQ, &value) < 0 || value == 0)
            break;
        poll(NULL, 0, 1);
    }
    result("SIOCOUTQ when all is acknowledged", value);
    result("SIOCOUTQNSD", ioctl(client, SIOCOUTQNSD, &unsent));
    result("unsent", unsent);
    fill(client);
    ioctl(client, SIOCOUTQ, &value);
    yes_no("SIOCOUTQ when the peer does not read", value > 0);
}

static void case_ioctl_listener(void)
{
    int listening = listener(4), value = -1;

    result("FIONREAD", ioctl(listening, FIONREAD, &value));
    result("SIOCOUTQ", ioctl(listening, SIOCOUTQ, &value));
    value = 1;
    result("FIONBIO", ioctl(listening, FIONBIO, &value));
    result("accept", accept(listening, NULL, NULL));
}

static void case_timeout(void)
{
    struct timeval limit = {.tv_usec = 50000};
    int client, server;
    char byte;

    pair(&client, &server);
    if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        broken("SO_RCVTIMEO");
    result("receive", recv(server, &byte, 1, 0));
    fill(server);
    result("send", send(server, "x", 1, MSG_NOSIGNAL));
}

static void case_sendfile(void)
{
    int client, server, file = memfd_create("semantics", MFD_CLOEXEC);
    off_t from = 3;

    pair(&client, &server);
    if (file < 0 || write(file, "0123456789", 10) != 10)
        broken("memfd");
    result("sendfile", sendfile(client, file, &from, 5));
    sees_len("received", server, 5);
    result("offset", from);
}

static void case_splice(void)
{
    int client, server, ends[2];

    pair(&client, &server);
    if (pipe(ends) < 0 || write(ends[1], "spliced", 7) != 7)
        broken("pipe");
    result("in", splice(ends[0], NULL, client, NULL, 7, 0));
    await(server, POLLIN);
    result("out", splice(server, NULL, ends[1], NULL, 7, 0));
    sees_len("of the pipe", server, 0);
    result("read", read(ends[0], (char[8]){0}, 8));
}

static void case_both_ways(void)
{
    static char data[65536];
    int client, server;
    long got[2] = {0}, want = 1 << 20;
    pid_t child[2];

    pair(&client, &server);
    for (int i = 0; i < 2; i++) {
        child[i] = branch();
        if (child[i] == 0) {
            for (long left = want; left > 0; left -= (long)sizeof(data))
                if (send(i ? server : client, data, sizeof(data), 0) != sizeof(data))
                    _exit(1);
            _exit(0);
        }
    }
    while (got[0] < want || got[1] < want) {
        struct pollfd items[2] = {{.fd = client, .events = POLLIN},
                                  {.fd = server, .events = POLLIN}};

        if (poll(items, 2, semantics_wait_ms) <= 0)
            break;
        for (int i = 0; i < 2; i++)
            if (items[i].revents & POLLIN)
                got[i] += recv(items[i].fd, data, sizeof(data), 0);
    }
    done("first", child[0]);
    done("second", child[1]);
    result("to the client", got[0]);
    result("to the server", got[1]);
}

/* The bytes themselves: what is received is what was sent, in its order. */
static void case_content(void)
{
    unsigned char data[4096];
    int client, server, wrong = 0;
    unsigned sent = 0, got = 0;
    ssize_t len;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        for (int i = 0; i < 200; i++) {
            size_t size = 1 + (size_t)(i * 37) % sizeof(data);

            for (size_t j = 0; j < size; j++)
                data[j] = (unsigned char)(sent++ * 2654435761u >> 24);
            if (send(client, data, size, 0) != (ssize_t)size)
                _exit(1);
        }
        shutdown(client, SHUT_WR);
        _exit(0);
    }
    while ((len = recv(server, data, 1 + got % 3001, 0)) > 0)
        for (ssize_t j = 0; j < len; j++)
            wrong += data[j] != (unsigned char)(got++ * 2654435761u >> 24);
    done("sender", child);
    result("received", got);
    result("wrong", wrong);
    result("at the end", len);
}

static void case_address_ignored(void)
{
    struct sockaddr_in address = at_port("127.0.0.1", 9);
    int client, server;
    char byte;
    socklen_t len = sizeof(address);

    pair(&client, &server);
    result("sendto with an address",
           sendto(client, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)));
    sends("send", client, "y");
    sees_len("received", server, 1);
    send(server, "z", 1, 0);
    await(client, POLLIN);
    result("recvfrom", recvfrom(client, &byte, 1, 0, (struct sockaddr *)&address, &len));
    result("its address length", len);
}

static const struct semantics_case cases[] = {
    {"calls", case_calls},
    {"peek", case_peek},
    {"wait-all", case_wait_all},
    {"discard", case_discard},
    {"no-boundaries", case_message_boundaries},
    {"queues", case_queues},
    {"out-queue", case_out_queue},
    {"ioctl-listener", case_ioctl_listener},
    {"timeout", case_timeout},
    {"sendfile", case_sendfile},
    {"splice", case_splice},
    {"both-ways", case_both_ways},
    {"content", case_content},
    {"address-ignored", case_address_ignored},
    {NULL, NULL},
};

const struct semantics_group group_io = {"io", cases};
