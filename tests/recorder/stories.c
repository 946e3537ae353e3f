/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs whose connections have a history, one for each name: stories NAME [PORT]. It does what the
 * name says over loopback, prints the port of its listener and "ready", and stays until its standard input
 * ends. Built without frame pointers; recorder.py finds lines by their marks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INLINED static inline __attribute__((always_inline))
#define APART   static __attribute__((noinline))

static int listener;
static struct sockaddr_in address;

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void listen_at(int port)
{
    socklen_t len = sizeof address;
    int on = 1;
    address.sin_port = htons((uint16_t)port); /* 0: any */
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    must(listen(listener, 128), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &len), "getsockname");
}

INLINED int conn_accept(void)
{
    int fd = accept(listener, NULL, NULL); /* mark: accept */
    __asm__ volatile("" : "+r"(fd));
    return fd;
}

APART int serve_accept(void)
{
    return must(conn_accept(), "accept"); /* mark: serve-accept */
}

APART int client_connect(void)
{
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(fd, (struct sockaddr *)&address, sizeof address), "connect"); /* mark: connect */
    __asm__ volatile("" : "+r"(fd));
    return fd;
}

INLINED ssize_t conn_read(int fd)
{
    char bytes[100];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0); /* mark: read */
    __asm__ volatile("" : : "r"(bytes) : "memory");
    return got;
}

APART void serve_until_end(int fd)
{
    while (conn_read(fd) > 0)
        ;
    __asm__ volatile("" ::: "memory");
}

APART void conn_close(int fd)
{
    close(fd); /* mark: close */
    __asm__ volatile("" ::: "memory");
}

/* A connection whose client has sent a byte. */
static int one(int *client)
{
    *client = client_connect();
    int fd = serve_accept();
    must((int)send(*client, "x", 1, 0), "send");
    return fd;
}

static int wait_for_end(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    do {
        must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
    } while (info.tcpi_state == TCP_ESTABLISHED);
    return fd;
}

/* ---- stories ---- */

/* Ten ends are read, nine descriptors closed. Each request is answered, some ticks of the kernel after it
 * came. */
static void leak(void)
{
    for (int i = 0; i < 10; i++) {
        int client, fd = one(&client);
        conn_read(fd);
        poll(NULL, 0, 40);
        must((int)send(fd, "y", 1, 0), "send");
        conn_read(client);
        close(client);
        serve_until_end(fd);
        if (i != 5)
            conn_close(fd);
    }
}

/* A request that is read to its end, and not answered yet. */
static void at_work(void)
{
    int client, fd = one(&client);
    shutdown(client, SHUT_WR);
    serve_until_end(fd);
}

/* The same, answered at once: between the end and the answer there is no tick. */
static void answered(void)
{
    int client, fd = one(&client);
    shutdown(client, SHUT_WR);
    serve_until_end(fd);
    must((int)send(fd, "y", 1, 0), "send");
}

static void unread(void)
{
    int client, fd = one(&client);
    conn_read(fd);
    close(client);
    wait_for_end(fd);
}

/* The data and the FIN in one segment, and a receive of exactly that much. */
static void exactly(void)
{
    int client = client_connect(), fd = serve_accept(), on = 1;
    char bytes[5];
    must(setsockopt(client, IPPROTO_TCP, TCP_CORK, &on, sizeof on), "TCP_CORK");
    must((int)send(client, "12345", 5, 0), "send");
    close(client);
    wait_for_end(fd);
    must((int)recv(fd, bytes, sizeof bytes, 0), "recv");
}

static void splices(void)
{
    int client, fd = one(&client), ends[2];
    must(pipe(ends), "pipe");
    close(client);
    wait_for_end(fd);
    while (splice(fd, NULL, ends[1], NULL, 100, 0) > 0)
        ;
}

static void wait_for_stdin(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

/* The parent closes, the child keeps. */
static void forked(void)
{
    int client, fd = one(&client);
    if (must(fork(), "fork") == 0) {
        close(client);
        wait_for_stdin();
        _exit(0);
    }
    conn_close(fd);
}

/* The child ends without closing. */
static void exited(void)
{
    int client, fd = one(&client);
    pid_t child = must(fork(), "fork");
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    (void)fd;
}

/* The child calls exec, and close-on-exec closes. */
static void executed(void)
{
    int client, fd = one(&client);
    must(fcntl(fd, F_SETFD, FD_CLOEXEC), "FD_CLOEXEC");
    pid_t child = must(fork(), "fork");
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
}

static void dupped(void)
{
    int client, fd = one(&client), copy = must(dup(fd), "dup");
    must(dup2(STDIN_FILENO, fd), "dup2");
    (void)copy;
}

static void ranged(void)
{
    int client, fd = one(&client), copy = must(fcntl(fd, F_DUPFD, 100), "F_DUPFD");
    (void)copy;
    must((int)syscall(SYS_close_range, fd, fd, 0), "close_range");
}

static void shut(void)
{
    int client, fd = one(&client);
    must(shutdown(fd, SHUT_WR), "shutdown"); /* mark: shutdown */
    __asm__ volatile("" ::: "memory");
    conn_read(fd);
}

/* The client resets; what stays is a descriptor of nothing. */
static void dead(void)
{
    int client, fd = one(&client);
    struct linger now = {1, 0};
    must(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
    close(client);
    wait_for_end(fd);
}

/* Four processes accept five connections each and leak them: one place. */
static void workers(void)
{
    int clients[20], done[2];
    char byte;
    must(pipe(done), "pipe");
    for (int i = 0; i < 4; i++) {
        if (must(fork(), "fork") != 0)
            continue;
        for (int k = 0; k < 5; k++)
            serve_until_end(serve_accept());
        must((int)write(done[1], "x", 1), "write");
        wait_for_stdin();
        _exit(0);
    }
    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect();
        close(clients[i]);
    }
    for (int i = 0; i < 4; i++)
        must((int)read(done[0], &byte, 1), "read");
}

/* What is here for a moment only: the worker is gone before anybody can look at it. */
static void brief(void)
{
    int client = client_connect();
    pid_t child = must(fork(), "fork");
    if (child == 0) {
        int fd = serve_accept();
        close(client);
        serve_until_end(fd);
        pid_t keeper = must(fork(), "fork");
        if (keeper == 0) {
            wait_for_stdin();
            _exit(0);
        }
        _exit(0);
    }
    close(client);
    waitpid(child, NULL, 0);
}

static void churn(void)
{
    for (int i = 0; i < 10000; i++) {
        int client, fd = one(&client);
        conn_read(fd);
        conn_close(fd);
        conn_read(client);
        close(client);
    }
}

static const struct story {
    const char *name;
    void (*tell)(void);
} stories[] = {
    {"leak", leak},         {"unread", unread},     {"exactly", exactly}, {"splices", splices},
    {"forked", forked},     {"exited", exited},     {"executed", executed}, {"dupped", dupped},
    {"ranged", ranged},     {"shut", shut},         {"dead", dead},       {"workers", workers},
    {"brief", brief},       {"churn", churn},       {"at-work", at_work}, {"answered", answered},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < sizeof stories / sizeof stories[0]; i++) {
        if (strcmp(argv[1], stories[i].name) != 0)
            continue;
        listen_at(argc > 2 ? atoi(argv[2]) : 0);
        printf("%d\n", ntohs(address.sin_port));
        fflush(stdout);
        stories[i].tell();
        puts("ready");
        fflush(stdout);
        wait_for_stdin();
        return 0;
    }
    fprintf(stderr, "usage: stories NAME [PORT]\n");
    return 2;
}
