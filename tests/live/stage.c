/* SPDX-License-Identifier: BSD-2-Clause */
/* The stage: what all scenarios share. */
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIRE_CNT  8
#define WIRE_READ 7 /* from read_then_fin to client_leaves_later */

static struct sockaddr_in server_address;
static int wires[WIRE_CNT][2], ready_wire[2];
static pid_t roles[64];
static unsigned role_cnt;

void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* ---- telling ---- */

static void say_line(const char *line)
{
    check(write(STDOUT_FILENO, line, strlen(line)) == (ssize_t)strlen(line), "write");
}

static void name_end(char *name, size_t len, int got, const struct sockaddr_in *address)
{
    if (got < 0)
        snprintf(name, len, "-");
    else
        snprintf(name, len, "%s:%u", inet_ntoa(address->sin_addr), ntohs(address->sin_port));
}

void say_socket(const char *role, int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    unsigned long long cookie = 0;
    char line[256], here[32], there[32];
    name_end(here, sizeof here, getsockname(fd, (struct sockaddr *)&address, &len), &address);
    len = sizeof address;
    name_end(there, sizeof there, getpeername(fd, (struct sockaddr *)&address, &len), &address);
    len = sizeof cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
        cookie = 0; /* not told in every world: the driver finds it by its addresses */
    snprintf(line, sizeof line, "socket %s %d %d %llu %s %s\n", role, getpid(), fd, cookie, here,
             there);
    say_line(line);
}

void say_process(const char *role, pid_t pid)
{
    char line[128];
    snprintf(line, sizeof line, "process %s %d\n", role, pid);
    say_line(line);
}

void ready(void)
{
    check(write(ready_wire[1], "", 1) == 1, "write");
}

void tell(unsigned wire)
{
    check(write(wires[wire][1], "", 1) == 1, "write");
}

void hear(unsigned wire)
{
    char byte;
    check(read(wires[wire][0], &byte, 1) == 1, "read");
}

/* ---- processes ---- */

pid_t spawn(void)
{
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

void rest(void)
{
    for (;;)
        pause();
}

void start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, run, argument) == 0, "pthread_create");
}

/* ---- sockets ---- */

static int listen_here(void)
{
    socklen_t len = sizeof server_address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server_address = (struct sockaddr_in){.sin_family = AF_INET};
    server_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&server_address, len) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&server_address, &len) == 0, "getsockname");
    check(listen(fd, 256) == 0, "listen");
    return fd;
}

int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&server_address, sizeof server_address) == 0, "connect");
    return fd;
}

int take(int listener)
{
    int fd = accept(listener, NULL, NULL);
    check(fd >= 0, "accept");
    return fd;
}

void give(int fd, size_t len)
{
    static const char bytes[4096];
    while (len > 0) {
        ssize_t n = send(fd, bytes, len < sizeof bytes ? len : sizeof bytes, MSG_NOSIGNAL);
        check(n > 0, "send");
        len -= (size_t)n;
    }
}

/* The window of the peer may grow for a while: full is what stays full for some rounds. */
void fill(int fd)
{
    static const char bytes[65536];
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    do {
        while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            ;
    } while (poll(&room, 1, 300) > 0);
}

void read_to_end(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
}

void read_some(int fd, size_t len)
{
    char bytes[4096];
    check(recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len, "recv");
}

void wait_fin(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    check(poll(&end, 1, -1) == 1, "poll");
}

void wait_dead(int fd)
{
    struct pollfd end = {.fd = fd};
    check(poll(&end, 1, -1) == 1, "poll");
}

void shut(int fd)
{
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
}

void go_deaf(int fd)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "filter");
}

void read_then_fin(int fd, size_t len)
{
    read_some(fd, len);
    tell(WIRE_READ);
    wait_fin(fd);
}

/* ---- epoll ---- */

int poller(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    check(fd >= 0, "epoll_create1");
    return fd;
}

static void poller_control(int poller, int what, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    check(epoll_ctl(poller, what, fd, &event) == 0, "epoll_ctl");
}

void poller_add(int poller, int fd, unsigned events)
{
    poller_control(poller, EPOLL_CTL_ADD, fd, events);
}

void poller_change(int poller, int fd, unsigned events)
{
    poller_control(poller, EPOLL_CTL_MOD, fd, events);
}

int poller_wait(int poller)
{
    struct epoll_event event;
    int n;
    do
        n = epoll_wait(poller, &event, 1, -1);
    while (n < 0 && errno == EINTR);
    check(n == 1, "epoll_wait");
    return event.data.fd;
}

void poller_rest(int poller)
{
    for (;;)
        poller_wait(poller);
}

/* ---- clients ---- */

void client_polite(void)
{
    int fd = dial();
    say_socket("client", fd);
    give(fd, 5);
    shut(fd);
    ready();
    read_to_end(fd);
    close(fd);
    rest();
}

void client_leaves(void)
{
    int fd = dial();
    say_socket("client", fd);
    give(fd, 5);
    close(fd);
    ready();
    rest();
}

/* The FIN is in a segment of its own: to read the last byte is not to read the end. */
void client_leaves_later(void)
{
    int fd = dial();
    say_socket("client", fd);
    give(fd, 5);
    hear(WIRE_READ);
    close(fd);
    ready();
    rest();
}

void client_waits(void)
{
    int fd = dial();
    say_socket("client", fd);
    give(fd, 5);
    ready();
    read_to_end(fd);
    rest();
}

/* ---- the director ---- */

static const struct scenario *const tables[] = {scenarios_owner, scenarios_nobody,
                                                scenarios_accept, scenarios_shared,
                                                scenarios_ring, scenarios_wire};

static const struct scenario *scenario_find(const char *name, bool list)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        for (const struct scenario *s = tables[i]; s->name; s++) {
            if (list)
                puts(s->name);
            else if (strcmp(s->name, name) == 0)
                return s;
        }
    }
    return NULL;
}

/* True in the new process. */
static bool role_start(void)
{
    pid_t pid = spawn();
    if (pid == 0)
        return true;
    roles[role_cnt++] = pid;
    return false;
}

/* The director holds no socket: nobody but the players can be blamed. */
static void roles_start(const struct scenario *scenario)
{
    int listener = listen_here();
    if (role_start()) {
        scenario->server(listener);
        rest();
    }
    close(listener);
    unsigned client_cnt = scenario->client_cnt ? scenario->client_cnt : 1;
    for (unsigned i = 0; i < client_cnt; i++) {
        if (role_start()) {
            scenario->client();
            rest();
        }
    }
}

/* Until all have said so, one died, or the driver went away. */
static void roles_wait(void)
{
    char byte;
    for (unsigned i = 0; i < role_cnt; i++) {
        struct pollfd news[2] = {{.fd = ready_wire[0], .events = POLLIN}, {.fd = STDIN_FILENO}};
        check(poll(news, 2, -1) > 0 && (news[0].revents & POLLIN), "the driver went away");
        check(read(ready_wire[0], &byte, 1) == 1, "read");
    }
    say_line("ready\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        scenario_find("", true);
        return 0;
    }
    const struct scenario *scenario = scenario_find(argc == 2 ? argv[1] : "", false);
    if (!scenario) {
        fprintf(stderr, "usage: faults --list | faults NAME\n");
        return 2;
    }
    char byte;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* children of children are buried here */
    check(pipe(ready_wire) == 0, "pipe");
    for (unsigned i = 0; i < WIRE_CNT; i++)
        check(pipe(wires[i]) == 0, "pipe");
    roles_start(scenario);
    roles_wait();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    for (unsigned i = 0; i < role_cnt; i++)
        kill(roles[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
