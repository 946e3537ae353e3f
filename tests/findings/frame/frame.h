/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs around the pages' blocks share. Each is a server and its peers on the loopback of
 * a network namespace of its own; the block of the page stands where a line says PAGE. "ready" on
 * standard output: the block has done what it does, and whatever is to be seen is there.
 */
#ifndef FINDINGS_FRAME_H
#define FINDINGS_FRAME_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address;

static inline void check(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    kill(0, SIGKILL);
}

static inline void ready(void)
{
    check(write(STDOUT_FILENO, "ready\n", 6) == 6, "write");
}

static inline void rest(void)
{
    for (;;)
        pause();
}

/* A child that dies with us. */
static inline pid_t spawn(void)
{
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* A socket bound to a port of the loopback; listens if there is a backlog. */
static inline int bind_here(int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof address;
    address = (struct sockaddr_in){.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
    check(!backlog || listen(fd, backlog) == 0, "listen");
    return fd;
}

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return fd;
}

/* A client that says something and is gone; returns when it is. The FIN comes with the last byte. */
static inline void client_was_here(void)
{
    pid_t pid = spawn();
    if (pid == 0) {
        int fd = dial();
        send(fd, "how do you do, good server?", 27, MSG_MORE);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    check(waitpid(pid, NULL, 0) == pid, "waitpid");
}

/* A client that connects, says something and waits for the server's end. */
static inline void client_waits(void)
{
    char buf[4096];
    if (spawn() != 0)
        return;
    int fd = dial();
    send(fd, "hello", 5, MSG_NOSIGNAL);
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
    _exit(0);
}

/* A server that accepts one connection, sends `len` bytes and ends it; then it waits for ours. */
static inline void server_ends(int listener, size_t len)
{
    char buf[4096] = {0};
    if (spawn() != 0)
        return;
    int fd = accept(listener, NULL, NULL);
    send(fd, buf, len, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
    close(fd);
    rest();
}

/* Until there is something to read that we do not read: n bytes, or the end. */
static inline void wait_readable_now(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLRDHUP, 0};
    check(poll(&p, 1, -1) == 1, "poll");
}

static inline void wait_end(int fd)
{
    struct pollfd p = {fd, POLLRDHUP, 0};
    check(poll(&p, 1, -1) == 1, "poll");
}

/* Until the only other thread of this process sleeps in a call. */
static inline void wait_other_sleeps(void)
{
    for (char state = 0; state != 'S';) {
        char line[256] = "";
        FILE *tasks = popen("for t in /proc/$PPID/task/*; do [ ${t##*/} = $PPID ] || cat $t/stat; done", "r");
        check(tasks != NULL, "popen");
        if (fgets(line, sizeof line, tasks) && strrchr(line, ')'))
            state = strrchr(line, ')')[2];
        pclose(tasks);
    }
}

static inline void start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, run, argument) == 0, "pthread_create");
}

/* The deadlines of the pages, in tenths: after so many of them the descriptor is closed. */
struct deadline {
    int fd, tenths;
};

static inline void *deadline_run(void *argument)
{
    struct deadline *d = argument;
    usleep((unsigned)d->tenths * 100000);
    close(d->fd);
    return NULL;
}

static inline void deadline_start(int fd, int tenths)
{
    struct deadline *d = malloc(sizeof *d);
    check(d != NULL, "malloc");
    *d = (struct deadline){fd, tenths};
    start_thread(deadline_run, d);
}

/* A peer that fills our socket from the other side and waits. */
static inline void client_writes(void)
{
    static char buf[65536];
    if (spawn() != 0)
        return;
    int fd = dial();
    while (send(fd, buf, sizeof buf, MSG_NOSIGNAL) > 0)
        ;
    _exit(0);
}

/* A peer that connects and never reads. */
static inline void client_never_reads(void)
{
    if (spawn() != 0)
        return;
    int fd = dial(), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    wait_readable_now(fd);
    rest();
}
#endif
