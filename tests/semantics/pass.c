/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors passed in messages (SCM_RIGHTS): one more reference, in flight too.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void mail_make(int mail[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, mail) < 0)
        broken("socketpair");
}

static void put(int mail, int fd)
{
    char space[CMSG_SPACE(sizeof(int))] = {0}, byte = 'm';
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    if (sendmsg(mail, &message, 0) != 1)
        broken("sendmsg");
}

static int take(int mail, int flags)
{
    char space[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    struct cmsghdr *head;
    int fd = -1;

    if (recvmsg(mail, &message, flags) != 1)
        broken("recvmsg");
    head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS)
        broken("SCM_RIGHTS");
    memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

static void case_to_child(void)
{
    int client, server, mail[2], turn = turn_make();
    pid_t child;

    mail_make(mail);
    child = branch();
    if (child == 0) {
        server = take(mail[1], 0);
        turn_wait(turn);
        sees("child receives", server);
        sends("child sends", server, "from child");
        _exit(0);
    }
    pair(&client, &server);
    put(mail[0], server);
    close(server);
    sends("peer sends", client, "hello");
    turn_give(turn);
    done("child", child);
    sees("peer", client);
    sees("peer at the end", client);
}

/* Held by nothing but the message: nothing ends until it is received and closed. */
static void case_in_flight(void)
{
    int client, server, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    result("close", close(server));
    sends("peer sends", client, "meanwhile");
    server = take(mail[1], 0);
    sees("received after", server);
    sends("send after", server, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    close(server);
    sees("peer at the end", client);
}

static void case_in_flight_dropped(void)
{
    int client, server, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    close(server);
    close(mail[0]);
    sends("peer still sends", client, "x");
    close(mail[1]);
    sees("peer", client);
}

static void case_in_flight_dropped_empty(void)
{
    int client, server, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    close(server);
    close(mail[0]);
    close(mail[1]);
    sees("peer", client);
}

static void case_in_flight_killed(void)
{
    int client, server, mail[2], turn = turn_make();
    pid_t child;

    mail_make(mail);
    pair(&client, &server);
    child = branch();
    if (child == 0) {
        put(mail[0], server);
        close(server);
        close(mail[0]);
        turn_give(turn);
        for (;;)
            pause();
    }
    close(server);
    close(mail[0]);
    close(mail[1]);
    turn_wait(turn);
    kill(child, SIGKILL);
    done("child", child);
    sees("peer", client);
}

static void case_twice(void)
{
    int client, server, first, second, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    put(mail[0], server);
    close(server);
    first = take(mail[1], 0);
    second = take(mail[1], 0);
    close(first);
    sends("send by the second", second, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    close(second);
    sees("peer at the end", client);
}

static void case_peeked(void)
{
    int client, server, first, second, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    close(server);
    first = take(mail[1], MSG_PEEK);
    second = take(mail[1], 0);
    yes_no("two descriptors", first != second);
    close(second);
    sends("send by the peeked one", first, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    close(first);
    sees("peer at the end", client);
}

static void case_cloexec(void)
{
    int client, server, mail[2];

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    put(mail[0], server);
    result("with the flag", fcntl(take(mail[1], MSG_CMSG_CLOEXEC), F_GETFD));
    result("without", fcntl(take(mail[1], 0), F_GETFD));
}

static void case_listener(void)
{
    int listening, mail[2], client, turn = turn_make();
    struct sockaddr_in address;
    pid_t child;

    mail_make(mail);
    child = branch();
    if (child == 0) {
        int server;

        listening = take(mail[1], 0);
        turn_wait(turn);
        server = accept_from(listening);
        sends("child sends", server, "accepted");
        _exit(0);
    }
    listening = listener(4);
    address = name_of(listening);
    put(mail[0], listening);
    close(listening);
    client = tcp();
    result("connect", connect_to(client, &address));
    turn_give(turn);
    done("child", child);
    sees("client", client);
    result("connect after", connect_to(tcp(), &address));
}

static void case_unconnected(void)
{
    int listening = listener(4), fd = tcp(), server, mail[2];
    struct sockaddr_in address = name_of(listening);

    mail_make(mail);
    put(mail[0], fd);
    close(fd);
    fd = take(mail[1], 0);
    result("connect", connect_to(fd, &address));
    server = accept_from(listening);
    sends("send", fd, "x");
    sees("server", server);
}

/* The receiver's shutdown is the sender's too: one socket. */
static void case_shared_state(void)
{
    int client, server, mail[2];
    pid_t child;

    mail_make(mail);
    pair(&client, &server);
    put(mail[0], server);
    child = branch();
    if (child == 0) {
        int copy = take(mail[1], 0);

        _exit(shutdown(copy, SHUT_WR) == 0 ? 0 : 1);
    }
    done("child", child);
    sends("sender's send", server, "x");
    sees("peer", client);
    sends("peer sends", client, "y");
    sees("sender receives", server);
}

static const struct semantics_case cases[] = {
    {"to-child", case_to_child},
    {"in-flight", case_in_flight},
    {"in-flight-dropped", case_in_flight_dropped},
    {"in-flight-dropped-empty", case_in_flight_dropped_empty},
    {"in-flight-killed", case_in_flight_killed},
    {"twice", case_twice},
    {"peeked", case_peeked},
    {"cloexec", case_cloexec},
    {"listener", case_listener},
    {"unconnected", case_unconnected},
    {"shared-state", case_shared_state},
    {NULL, NULL},
};

const struct semantics_group group_pass = {"pass", cases};
