/* SPDX-License-Identifier: BSD-2-Clause */
/* D: closed, but not by everybody who holds it. */
#include "stage.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

/* The classic: the child serves, closes and ends; the parent of each forgot its copy. */
static void parent_keeps(int listener)
{
    signal(SIGCHLD, SIG_IGN);
    int fd = take(listener);
    if (spawn() == 0) {
        read_to_end(fd);
        close(fd);
        tell(0);
        _exit(0);
    }
    hear(0);
    say_socket("keeper", fd);
    ready();
    take(listener);
}

/* Parent and child both hold it, both have other things to do. */
static void both_keep(int listener)
{
    int fd = take(listener);
    read_then_fin(fd, 5);
    say_socket("parent", fd);
    if (spawn() == 0) {
        say_socket("child", fd);
        tell(0);
        rest();
    }
    hear(0);
    ready();
    rest();
}

/* A child that was forked for something else inherits it; the owner closes. */
static void fork_heir(int listener)
{
    int fd = take(listener);
    say_process("closer", getpid());
    if (spawn() == 0) {
        say_socket("keeper", fd);
        tell(0);
        rest();
    }
    hear(0);
    read_to_end(fd);
    close(fd);
    ready();
    take(listener);
}

/* The same through exec: no close-on-exec. The pipe says when the new program is there. */
static void exec_heir(int listener)
{
    int fd = take(listener), started[2];
    char byte;
    say_process("closer", getpid());
    say_socket("keeper-fd", fd);
    check(pipe2(started, O_CLOEXEC) == 0, "pipe2");
    pid_t heir = spawn();
    if (heir == 0) {
        execlp("sleep", "sleep", "100000", (char *)NULL);
        _exit(127);
    }
    close(started[1]);
    check(read(started[0], &byte, 1) == 0, "read");
    say_process("keeper", heir);
    read_to_end(fd);
    close(fd);
    ready();
    take(listener);
}

/* Healthy: the parent closed its copy, the child serves a quiet client. */
static void forking_server(int listener)
{
    int fd = take(listener);
    if (spawn() == 0) {
        say_socket("keeper", fd);
        tell(0);
        read_to_end(fd);
        _exit(0);
    }
    hear(0);
    close(fd);
    ready();
    take(listener);
}

/* One descriptor closed, its copy forgotten. */
static void dup_left(int listener)
{
    int fd = take(listener), copy = fcntl(fd, F_DUPFD, 50);
    read_to_end(fd);
    close(fd);
    say_socket("keeper", copy);
    ready();
    rest();
}

/* As inetd: standard input and output are the connection, and neither is closed. */
static void dup_both(int listener)
{
    int fd = take(listener), copy = fcntl(fd, F_DUPFD, 50);
    read_to_end(fd);
    say_socket("keeper", fd);
    say_socket("copy", copy);
    ready();
    rest();
}

/* ---- messages ---- */

static void message_send(int channel, int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(part), &fd, sizeof fd);
    check(sendmsg(channel, &message, 0) == 1, "sendmsg");
}

static int message_take(int channel)
{
    int fd;
    char byte, control[CMSG_SPACE(sizeof fd)];
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    check(recvmsg(channel, &message, 0) == 1, "recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

/* Passed on, and the receiver never looks. */
static void message_in_flight(int listener)
{
    int fd = take(listener), channel[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0, "socketpair");
    say_socket("passed", fd);
    read_to_end(fd);
    message_send(channel[0], fd);
    close(fd);
    ready();
    rest();
}

/* Passed on, received, and forgotten there. */
static void message_kept(int listener)
{
    int channel[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0, "socketpair");
    if (spawn() == 0) {
        close(channel[0]);
        close(listener);
        int fd = message_take(channel[1]);
        say_socket("keeper", fd);
        tell(0);
        rest();
    }
    int fd = take(listener);
    say_process("closer", getpid());
    read_to_end(fd);
    message_send(channel[0], fd);
    close(fd);
    hear(0);
    ready();
    take(listener);
}

/* ---- closed while a thread is inside a call on it ---- */

static int called_fd;
static pid_t caller;

static void *in_recv(void *unused)
{
    char byte;
    caller = gettid();
    recv(called_fd, &byte, 1, 0);
    return unused;
}

static void *in_poll(void *unused)
{
    struct pollfd end = {.fd = called_fd, .events = POLLIN};
    caller = gettid();
    poll(&end, 1, -1);
    return unused;
}

static void *in_select(void *unused)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(called_fd, &set);
    caller = gettid();
    select(called_fd + 1, &set, NULL, NULL, NULL);
    return unused;
}

/* Until /proc says that the thread sleeps: it is in its call by now. */
static void wait_caller(void)
{
    char path[64], text[256] = "";
    while (!strstr(text, ") S")) {
        poll(NULL, 0, 1);
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", *(volatile pid_t *)&caller);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[len > 0 ? len : 0] = 0;
        close(fd);
    }
}

static void closed_under(int listener, void *(*call)(void *))
{
    called_fd = take(listener);
    read_some(called_fd, 5);
    start_thread(call, NULL);
    wait_caller();
    say_socket("closed", called_fd);
    say_process("keeper", getpid());
    close(called_fd);
    ready();
    rest();
}

static void closed_under_recv(int listener)
{
    closed_under(listener, in_recv);
}

static void closed_under_poll(int listener)
{
    closed_under(listener, in_poll);
}

static void closed_under_select(int listener)
{
    closed_under(listener, in_select);
}

/* ---- other ways to hold ---- */

static void mapped(int listener)
{
    int fd = take(listener);
    void *bytes = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
    check(bytes != MAP_FAILED, "mmap");
    read_to_end(fd);
    say_socket("closed", fd);
    say_process("keeper", getpid());
    close(fd);
    ready();
    rest();
}

/* A thread with descriptors of its own still has what the others closed. */
static void *own_table(void *argument)
{
    int fd = *(int *)argument;
    check(unshare(CLONE_FILES) == 0, "unshare");
    say_socket("keeper", fd);
    say_process("thread", gettid());
    tell(0);
    rest();
}

static void thread_table(int listener)
{
    int fd = take(listener);
    read_to_end(fd);
    start_thread(own_table, &fd);
    hear(0);
    close(fd);
    ready();
    rest();
}

/* The first thread ended, the process did not: /proc/PID/fd is empty. */
static void *goes_on(void *argument)
{
    int fd = *(int *)argument;
    char path[64], text[256] = "";
    read_to_end(fd);
    say_socket("keeper", fd);
    snprintf(path, sizeof path, "/proc/%d/stat", getpid());
    while (!strstr(text, ") Z")) {
        poll(NULL, 0, 1);
        int stat = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = stat < 0 ? 0 : read(stat, text, sizeof text - 1);
        text[len > 0 ? len : 0] = 0;
        close(stat);
    }
    ready();
    rest();
}

static void zombie_leader(int listener)
{
    static int fd;
    fd = take(listener);
    start_thread(goes_on, &fd);
    pthread_exit(NULL);
}

const struct scenario scenarios_shared[] = {
    {"parent-keeps", parent_keeps, client_polite, 0},
    {"both-keep", both_keep, client_leaves_later, 0},
    {"fork-heir", fork_heir, client_polite, 0},
    {"exec-heir", exec_heir, client_polite, 0},
    {"forking-server", forking_server, client_waits, 0},
    {"dup-left", dup_left, client_polite, 0},
    {"dup-both", dup_both, client_polite, 0},
    {"message-in-flight", message_in_flight, client_polite, 0},
    {"message-kept", message_kept, client_polite, 0},
    {"closed-under-recv", closed_under_recv, client_waits, 0},
    {"closed-under-poll", closed_under_poll, client_waits, 0},
    {"closed-under-select", closed_under_select, client_waits, 0},
    {"mapped", mapped, client_polite, 0},
    {"thread-table", thread_table, client_polite, 0},
    {"zombie-leader", zombie_leader, client_polite, 0},
    {NULL, NULL, NULL, 0},
};
