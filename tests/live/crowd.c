/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crowd MODE COUNT: sockets by the thousand, for the doctor's patience. Says "ready" when all are
 * there; ends with standard input.
 *
 *   idle   COUNT connections that both ends hold, and nothing is wrong with them
 *   leak   the same, and the client of every second one has ended its half; the server never closes
 *   churn  COUNT clients, each of which connects, talks and closes, again and again
 *   storm  COUNT processes at any time, each of which is born with the number of one that died just
 *          before, connects, and dies without a word
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIR_LEN 1000 /* connections of one pair of processes: few descriptors are allowed */

static struct sockaddr_in server_address;
static int done[2]; /* one byte by each who is ready */

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static bool spawn(void)
{
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid == 0;
}

static int listen_here(void)
{
    socklen_t len = sizeof server_address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    server_address = (struct sockaddr_in){.sin_family = AF_INET};
    server_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&server_address, len) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&server_address, &len) == 0, "getsockname");
    check(listen(fd, 4096) == 0, "listen");
    return fd;
}

/* From 127.0.0.1 + `place`: one address has too few ports for all. */
static int dial(unsigned place)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    check(fd >= 0, "socket");
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + place);
    check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0, "setsockopt");
    check(bind(fd, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    while (connect(fd, (struct sockaddr *)&server_address, sizeof server_address) < 0)
        check(errno == EINTR || errno == ETIMEDOUT, "connect");
    return fd;
}

static _Noreturn void rest(void)
{
    check(write(done[1], "", 1) == 1, "write");
    for (;;)
        pause();
}

/* Its connections are in an epoll set, and it sits there; those that end stay. */
static void serve_idle(int listener, unsigned count)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
    int loop = epoll_create1(0);
    char bytes[16];
    for (unsigned i = 0; i < count; i++) {
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        event.data.fd = fd;
        check(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
    check(write(done[1], "", 1) == 1, "write");
    for (;;) {
        if (epoll_wait(loop, &event, 1, -1) == 1)
            while (recv(event.data.fd, bytes, sizeof bytes, 0) > 0)
                ;
    }
}

static void crowd_pair(int listener, unsigned place, unsigned count, bool leak)
{
    if (spawn())
        serve_idle(listener, count);
    if (spawn()) {
        close(listener);
        for (unsigned i = 0; i < count; i++) {
            int fd = dial(place);
            if (leak && i % 2)
                check(shutdown(fd, SHUT_WR) == 0, "shutdown");
        }
        rest();
    }
}

/* ---- coming and going ---- */

static _Noreturn void serve_brief(int listener)
{
    char bytes[16];
    check(write(done[1], "", 1) == 1, "write");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        while (recv(fd, bytes, sizeof bytes, 0) > 0)
            send(fd, bytes, 1, MSG_NOSIGNAL);
        close(fd);
    }
}

static void talk(int fd)
{
    char byte = 0;
    if (send(fd, &byte, 1, MSG_NOSIGNAL) == 1)
        recv(fd, &byte, 1, 0);
}

static _Noreturn void churn(void)
{
    check(write(done[1], "", 1) == 1, "write");
    for (;;) {
        int fd = dial(0);
        talk(fd);
        close(fd);
        poll(NULL, 0, 1);
    }
}

/* A child with number `pid`, or with any if that is taken or not allowed. */
static pid_t spawn_as(pid_t pid)
{
    struct clone_args how = {.exit_signal = SIGCHLD};
    how.set_tid = (unsigned long)&pid;
    how.set_tid_size = pid > 0;
    pid_t born = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    return born < 0 ? fork() : born;
}

static _Noreturn void storm(void)
{
    pid_t pid = 0;
    check(write(done[1], "", 1) == 1, "write");
    for (;;) {
        pid = spawn_as(pid);
        check(pid >= 0, "fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            talk(dial(0));
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

static unsigned start_brief(unsigned count, bool dying)
{
    int listener = listen_here();
    unsigned players = 0;
    for (; players < 4; players++)
        if (spawn())
            serve_brief(listener);
    close(listener);
    for (unsigned i = 0; i < count; i++, players++) {
        if (!spawn())
            continue;
        if (dying)
            storm();
        churn();
    }
    return players;
}

static unsigned start_pairs(unsigned count, bool leak)
{
    int listener = listen_here();
    unsigned players = 0;
    for (; count > 0; players += 2) {
        unsigned some = count < PAIR_LEN ? count : PAIR_LEN;
        crowd_pair(listener, players, some, leak);
        count -= some;
    }
    close(listener);
    return players;
}

int main(int argc, char **argv)
{
    const char *mode = argc == 3 ? argv[1] : "";
    unsigned count = argc == 3 ? (unsigned)atoi(argv[2]) : 0, players;
    struct rlimit limit;
    char byte;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    check(pipe(done) == 0, "pipe");
    if (strcmp(mode, "idle") == 0 || strcmp(mode, "leak") == 0) {
        players = start_pairs(count, mode[0] == 'l');
    } else if (strcmp(mode, "churn") == 0 || strcmp(mode, "storm") == 0) {
        players = start_brief(count, mode[0] == 's');
    } else {
        fprintf(stderr, "usage: crowd idle|leak|churn|storm COUNT\n");
        return 2;
    }
    for (unsigned i = 0; i < players; i++)
        check(read(done[0], &byte, 1) == 1, "read");
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    kill(0, SIGKILL); /* all of its session */
    return 0;
}
