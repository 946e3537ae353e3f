/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leak MODE [COUNT]: programs whose connections do not end, each in the way that its name says, for
 * `lastack run`. Server and COUNT clients talk over 127.0.0.1. Ends when standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in server_address;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "leak: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void for_ever(void)
{
    for (;;)
        pause();
}

static void read_to_end(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
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
    check(listen(fd, 64) == 0, "listen");
    return fd;
}

/* ---- clients ---- */

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&server_address, sizeof server_address) == 0, "connect");
    return fd;
}

/* Says something, is done, and waits for the server's end of the stream. */
static void client_polite(void)
{
    int fd = dial();
    check(send(fd, "hello", 5, 0) == 5, "send");
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
    read_to_end(fd);
    printf("client: end of stream\n");
    fflush(stdout);
    close(fd);
}

static void client_leaves(void)
{
    int fd = dial();
    check(send(fd, "hello", 5, 0) == 5, "send");
    close(fd);
}

static void client_never_reads(void)
{
    dial();
    for_ever();
}

/* ---- servers ---- */

static void serve_forking(int listener, bool repaired)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            read_to_end(fd);
            close(fd); /* the count goes from 2 to 1 */
            _exit(0);
        }
        if (repaired)
            close(fd);
    }
}

static void serve_classic(int listener)
{
    serve_forking(listener, false);
}

static void serve_repaired(int listener)
{
    serve_forking(listener, true);
}

static void serve_deaf(int listener)
{
    read_to_end(accept(listener, NULL, NULL));
    for_ever();
}

static void serve_unread(int listener)
{
    check(accept(listener, NULL, NULL) >= 0, "accept");
    for_ever();
}

static void serve_dup(int listener)
{
    int fd = accept(listener, NULL, NULL), copy = dup(fd);
    check(copy >= 0, "dup");
    read_to_end(fd);
    close(fd);
    for_ever();
}

static void serve_working(int listener)
{
    int fd = accept(listener, NULL, NULL);
    read_to_end(fd);
    for (;;) {
        check(send(fd, ".", 1, MSG_NOSIGNAL) == 1, "send");
        poll(NULL, 0, 200);
    }
}

static void serve_blocked(int listener)
{
    static char bytes[65536];
    int fd = accept(listener, NULL, NULL);
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    close(fd);
    for_ever();
}

static void serve_stopped(int listener)
{
    check(accept(listener, NULL, NULL) >= 0, "accept");
    raise(SIGSTOP);
    for_ever();
}

static void serve_nobody(int listener)
{
    (void)listener;
    for_ever();
}

/* ---- */

static const struct {
    const char *name;
    void (*server)(int listener);
    void (*client)(void);
} modes[] = {
    {"classic", serve_classic, client_polite},
    {"repaired", serve_repaired, client_polite},
    {"deaf", serve_deaf, client_polite},
    {"unread", serve_unread, client_polite},
    {"dup", serve_dup, client_polite},
    {"working", serve_working, client_polite},
    {"blocked", serve_blocked, client_never_reads},
    {"stopped", serve_stopped, client_polite},
    {"unaccepted", serve_nobody, client_leaves},
};

static pid_t children[256];
static unsigned child_cnt;

/* In the child: 0. Children of children die with the group at the end. */
static pid_t spawn(void)
{
    fflush(stdout);
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    else
        children[child_cnt++] = pid;
    return pid;
}

int main(int argc, char **argv)
{
    unsigned mode = 0, client_cnt = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    char byte;
    while (mode < sizeof modes / sizeof modes[0] &&
           strcmp(argc > 1 ? argv[1] : "", modes[mode].name))
        mode++;
    if (mode == sizeof modes / sizeof modes[0] || client_cnt > 200) {
        fprintf(stderr, "usage: leak MODE [COUNT]\n");
        return 2;
    }
    int listener = listen_here();
    if (spawn() == 0) {
        modes[mode].server(listener);
        _exit(0);
    }
    close(listener);
    for (unsigned i = 0; i < client_cnt; i++) {
        if (spawn() == 0) {
            modes[mode].client();
            _exit(0);
        }
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (unsigned i = 0; i < child_cnt; i++)
        kill(children[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
