/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands beside TCP and must be left alone: UDP, UNIX sockets, pipes, threads.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void case_udp(void)
{
    struct sockaddr_in address = any_local(), from = {0};
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t len = sizeof(from);
    char data[16];

    result("bind", bind(one, (struct sockaddr *)&address, sizeof(address)));
    address = name_of(one);
    result("connect", connect_to(other, &address));
    result("send", send(other, "datagram", 8, 0));
    await(one, POLLIN);
    result("recvfrom", recvfrom(one, data, sizeof(data), 0, (struct sockaddr *)&from, &len));
    address = name_of(other);
    yes_no("from the other", memcmp(&from, &address, sizeof(from)) == 0);
    result("listen", listen(one, 1));
    result("accept", accept(one, NULL, NULL));
    number_option("SO_TYPE (2)", one, SOL_SOCKET, SO_TYPE);
}

static void case_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* autobind: abstract */
    int listening = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = sizeof(address);
    int server;

    result("bind", bind(listening, (struct sockaddr *)&address, sizeof(sa_family_t)));
    result("listen", listen(listening, 4));
    result("getsockname", getsockname(listening, (struct sockaddr *)&address, &len));
    result("connect", connect(client, (struct sockaddr *)&address, len));
    server = opened("accept", accept(listening, NULL, NULL));
    sends("send", client, "over unix");
    sees("receive", server);
    result("shutdown", shutdown(client, SHUT_WR));
    sees("receive end", server);
    number_option("SO_DOMAIN (1)", client, SOL_SOCKET, SO_DOMAIN);
}

static void case_kind_of_file(void)
{
    struct stat status;

    fstat(tcp(), &status);
    yes_no("S_ISSOCK", S_ISSOCK(status.st_mode));
    result("lseek", lseek(tcp(), 0, SEEK_SET));
    result("write to an unconnected one of another kind",
           send(socket(AF_UNIX, SOCK_STREAM, 0), "x", 1, MSG_NOSIGNAL));
}

struct worker {
    int fd;
    long got;
};

static void *worker_accept(void *argument)
{
    struct worker *worker = argument;

    worker->got = accept(worker->fd, NULL, NULL);
    return NULL;
}

/* A thread waits in accept; another closes nothing but connects: threads share one table. */
static void case_threads(void)
{
    int listening = listener(4), client;
    struct worker worker = {.fd = listening};
    pthread_t thread;

    if (pthread_create(&thread, NULL, worker_accept, &worker) != 0)
        broken("pthread_create");
    client = client_of(listening);
    pthread_join(thread, NULL);
    yes_no("thread accepted", worker.got >= 0);
    sends("send", (int)worker.got, "x");
    sees("client", client);
}

static void *worker_close(void *argument)
{
    close(((struct worker *)argument)->fd);
    return NULL;
}

static void case_thread_closes(void)
{
    int client, server;
    struct worker worker;
    pthread_t thread;

    pair(&client, &server);
    worker.fd = server;
    if (pthread_create(&thread, NULL, worker_close, &worker) != 0)
        broken("pthread_create");
    pthread_join(thread, NULL);
    sends("send on the closed one", server, "x");
    sees("peer", client);
}

/* Many at a time, all held, each with its own bytes. */
static void case_many(void)
{
    int listening = listener(128), client[100], server[100], wrong = 0, ends = 0;

    for (int i = 0; i < 100; i++) {
        client[i] = client_of(listening);
        server[i] = accept_from(listening);
        send(client[i], &i, sizeof(i), 0);
    }
    for (int i = 99; i >= 0; i--) {
        int value = -1;

        await(server[i], POLLIN);
        recv(server[i], &value, sizeof(value), 0);
        wrong += value != i;
        close(client[i]);
    }
    for (int i = 0; i < 100; i++) {
        char byte;

        ends += await(server[i], POLLIN) && recv(server[i], &byte, 1, 0) == 0;
        close(server[i]);
    }
    result("wrong", wrong);
    result("ends seen", ends);
}

/* One after the other, many more than any table holds at once. */
static void case_many_in_turn(void)
{
    int listening = listener(16), served = 0;

    for (int i = 0; i < 300; i++) {
        int client = client_of(listening), server = accept_from(listening);
        char byte;

        served += send(server, "x", 1, 0) == 1 && await(client, POLLIN) &&
                  recv(client, &byte, 1, 0) == 1;
        close(client);
        close(server);
    }
    result("served", served);
}

static const struct semantics_case cases[] = {
    {"udp", case_udp},
    {"unix", case_unix},
    {"kind-of-file", case_kind_of_file},
    {"threads", case_threads},
    {"thread-closes", case_thread_closes},
    {"many", case_many},
    {"many-in-turn", case_many_in_turn},
    {NULL, NULL},
};

const struct semantics_group group_beside = {"beside", cases};
