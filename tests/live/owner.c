/* SPDX-License-Identifier: BSD-2-Clause */
/* A: its owner holds the descriptor and simply does not close it. */
#include "stage.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* recv() returns 0 and nobody cares. */
static void end_ignored(int listener)
{
    int fd = take(listener);
    read_to_end(fd);
    say_socket("keeper", fd);
    ready();
    rest();
}

/* The same in a loop that goes on: the descriptor left the poller and was forgotten. */
static void end_ignored_in_loop(int listener)
{
    int loop = poller(), fd;
    poller_add(loop, listener, EPOLLIN);
    poller_wait(loop);
    fd = take(listener);
    poller_add(loop, fd, EPOLLIN);
    poller_wait(loop);
    read_to_end(fd);
    check(epoll_ctl(loop, EPOLL_CTL_DEL, fd, NULL) == 0, "epoll_ctl");
    say_socket("keeper", fd);
    ready();
    poller_rest(loop);
}

/* Two of three are closed; the third took the path of an error. */
static void error_path(int listener)
{
    for (int i = 0; i < 3; i++) {
        int fd = take(listener);
        read_to_end(fd);
        if (i < 2)
            close(fd);
        else
            say_socket("keeper", fd);
    }
    ready();
    rest();
}

/* ---- clients that leave an answer unread: the server answers and closes ---- */

static void server_answers(int listener)
{
    int fd = take(listener);
    read_some(fd, 5);
    give(fd, 1000);
    close(fd);
    ready();
    rest();
}

static void answer_not_drained(void)
{
    int fd = dial();
    give(fd, 5);
    read_some(fd, 10);
    wait_fin(fd);
    say_socket("keeper", fd);
    ready();
    rest();
}

static void server_greets(int listener)
{
    int fd = take(listener);
    say_socket("server", fd);
    give(fd, 86);
    close(fd);
    ready();
    rest();
}

/* An application's own timeout: it turned to something else and did not close. */
static void greeting_abandoned(void)
{
    int fd = dial();
    say_socket("keeper", fd);
    wait_fin(fd);
    ready();
    rest();
}

/* ---- pools ---- */

#define POOL_LEN 4

static void server_ends_pool(int listener, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int pool[POOL_LEN];
    for (int i = 0; i < POOL_LEN; i++) {
        pool[i] = take(listener);
        read_some(pool[i], 5);
        give(pool[i], 10);
    }
    hear(0); /* all answers are read: they are idle */
    for (int i = 0; i < POOL_LEN; i++) {
        if (reset)
            check(setsockopt(pool[i], SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
        close(pool[i]);
    }
    ready();
    rest();
}

static void server_ends_idle(int listener)
{
    server_ends_pool(listener, false);
}

static void server_resets_idle(int listener)
{
    server_ends_pool(listener, true);
}

/* Four idle connections, each used to the last byte; the client waits for work elsewhere. */
static void pool_idle(void)
{
    int pool[POOL_LEN], loop = poller(), work[2];
    check(pipe(work) == 0, "pipe");
    poller_add(loop, work[0], EPOLLIN);
    for (int i = 0; i < POOL_LEN; i++) {
        pool[i] = dial();
        give(pool[i], 5);
        read_some(pool[i], 10);
        say_socket("pooled", pool[i]);
    }
    tell(0);
    for (int i = 0; i < POOL_LEN; i++)
        wait_fin(pool[i]);
    ready();
    poller_rest(loop);
}

static void server_ends_each(int listener)
{
    ready();
    for (;;) {
        int fd = take(listener);
        read_some(fd, 5);
        give(fd, 10);
        hear(0); /* the answer is read: the FIN comes by itself */
        close(fd);
    }
}

/* A new connection for each request, none ever closed: it paces itself, nobody waits for it. */
static void pool_grows(void)
{
    ready();
    say_process("keeper", getpid());
    for (int i = 0; i < 900; i++) {
        int fd = dial();
        give(fd, 5);
        read_some(fd, 10);
        tell(0);
        poll(NULL, 0, 20);
    }
    rest();
}

/* ---- */

/* Half-open by choice: after the end nothing is asked for, and nobody ends our half. */
static void half_open_mode(int listener)
{
    int loop = poller(), fd = take(listener);
    poller_add(loop, fd, EPOLLIN);
    poller_wait(loop);
    read_to_end(fd);
    poller_change(loop, fd, 0);
    say_socket("keeper", fd);
    ready();
    poller_rest(loop);
}

/* ---- dead connections, kept descriptors ---- */

static void shut_not_closed(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    read_to_end(fd);
    check(shutdown(fd, SHUT_RDWR) == 0, "shutdown");
    wait_dead(fd);
    ready();
    rest();
}

static void reset_not_closed(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    read_to_end(fd);
    ready();
    rest();
}

static void client_resets(void)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = dial();
    give(fd, 5);
    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "SO_LINGER");
    close(fd);
    ready();
    rest();
}

static void keepalive_killed(int listener)
{
    int fd = take(listener), on = 1;
    say_socket("keeper", fd);
    check(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0, "SO_KEEPALIVE");
    check(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &on, sizeof on) == 0, "TCP_KEEPCNT");
    check(setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof on) == 0, "TCP_KEEPINTVL");
    check(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof on) == 0, "TCP_KEEPIDLE");
    tell(0);
    struct pollfd end = {.fd = fd, .events = POLLHUP};
    check(poll(&end, 1, -1) == 1, "poll");
    ready();
    rest();
}

static void client_vanishes(void)
{
    int fd = dial();
    hear(0);
    go_deaf(fd);
    ready();
    rest();
}

/* ---- many, and names ---- */

#define EQUAL_CNT 200

static void equal_leaks(int listener)
{
    for (int i = 0; i < EQUAL_CNT; i++)
        read_to_end(take(listener));
    say_process("keeper", getpid());
    ready();
    rest();
}

static void client_equal(void)
{
    for (int i = 0; i < EQUAL_CNT; i++) {
        int fd = dial();
        give(fd, 5);
        shut(fd);
    }
    ready();
    rest();
}

static void strange_name(int listener)
{
    prctl(PR_SET_NAME, "\033[31m\n\"\\\xff\t");
    end_ignored(listener);
}

const struct scenario scenarios_owner[] = {
    {"end-ignored", end_ignored, client_polite, 0},
    {"end-ignored-in-loop", end_ignored_in_loop, client_polite, 0},
    {"error-path", error_path, client_leaves, 3},
    {"answer-not-drained", server_answers, answer_not_drained, 0},
    {"greeting-abandoned", server_greets, greeting_abandoned, 0},
    {"pool-idle", server_ends_idle, pool_idle, 0},
    {"pool-reset", server_resets_idle, pool_idle, 0},
    {"pool-grows", server_ends_each, pool_grows, 0},
    {"half-open-mode", half_open_mode, client_polite, 0},
    {"shut-not-closed", shut_not_closed, client_leaves, 0},
    {"reset-not-closed", reset_not_closed, client_resets, 0},
    {"keepalive-killed", keepalive_killed, client_vanishes, 0},
    {"equal-leaks", equal_leaks, client_equal, 0},
    {"strange-name", strange_name, client_polite, 0},
    {NULL, NULL, NULL, 0},
};
