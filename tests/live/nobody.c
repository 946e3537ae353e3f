/* SPDX-License-Identifier: BSD-2-Clause */
/* B: the peer's end waits, and nobody looks at the socket. */
#include "stage.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection in a poller, with these events asked for; its peer is done. */
static int watched(int listener, int loop, unsigned events)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    poller_add(loop, fd, events);
    return fd;
}

/* Back-pressure: reading was switched off and never on again. */
static void interest_off(int listener)
{
    int loop = poller(), fd = watched(listener, loop, EPOLLIN);
    poller_wait(loop);
    poller_change(loop, fd, 0);
    wait_fin(fd);
    ready();
    poller_rest(loop);
}

static void one_shot(int listener)
{
    int loop = poller(), fd = watched(listener, loop, EPOLLIN | EPOLLONESHOT);
    poller_wait(loop);
    read_then_fin(fd, 5);
    ready();
    poller_rest(loop);
}

/* Edge-triggered, and one byte too few is read. */
static void edge_not_drained(int listener)
{
    int loop = poller(), fd = take(listener);
    wait_fin(fd);
    say_socket("keeper", fd);
    poller_add(loop, fd, EPOLLIN | EPOLLET);
    poller_wait(loop);
    read_some(fd, 4);
    ready();
    poller_rest(loop);
}

/* The loop runs, and this one is not in it. */
static void not_in_poller(int listener)
{
    int loop = poller(), fd = take(listener);
    say_socket("keeper", fd);
    read_then_fin(fd, 5);
    poller_add(loop, listener, EPOLLIN);
    ready();
    poller_rest(loop);
}

/* ---- the loop is stuck elsewhere ---- */

static void loop_in_lock(int listener)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int loop = poller(), fd = watched(listener, loop, EPOLLIN);
    wait_fin(fd);
    poller_wait(loop);
    ready();
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
}

static void loop_asleep(int listener)
{
    int loop = poller(), fd = watched(listener, loop, EPOLLIN);
    wait_fin(fd);
    poller_wait(loop);
    ready();
    for (;;)
        sleep(1000);
}

/* As a name server that does not answer. */
static void loop_in_call(int listener)
{
    char answer;
    int loop = poller(), fd = watched(listener, loop, EPOLLIN);
    int name_server = socket(AF_INET, SOCK_DGRAM, 0);
    wait_fin(fd);
    poller_wait(loop);
    ready();
    recv(name_server, &answer, 1, 0);
}

static void spin(void)
{
    setpriority(PRIO_PROCESS, 0, 19);
    for (volatile unsigned long n = 0;; n++)
        ;
}

/* At work for a client that left. */
static void owner_busy(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    read_then_fin(fd, 5);
    ready();
    spin();
}

/* Every round says "readable", every recv() returns 0, and the loop starts again. */
static void hangup_spin(int listener)
{
    int loop = poller(), fd = watched(listener, loop, EPOLLIN | EPOLLRDHUP);
    setpriority(PRIO_PROCESS, 0, 19);
    wait_fin(fd);
    ready();
    for (;;)
        read_to_end(poller_wait(loop));
}

/* ---- */

static void stopped(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    wait_fin(fd);
    ready();
    raise(SIGSTOP);
}

/* Unread bytes have shut the window of a peer that still wants to talk. */
static void reader_away(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    ready();
    rest();
}

static void client_pours(void)
{
    static char bytes[65536];
    int fd = dial();
    say_socket("client", fd);
    fill(fd);
    ready();
    while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
        ;
}

/* Healthy: idle connections of a server that waits for requests, watched. */
static void idle_watched(int listener)
{
    int loop = poller(), fd = watched(listener, loop, EPOLLIN);
    read_some(fd, 5);
    ready();
    poller_rest(loop);
}

/* Healthy: a worker blocked in recv() on a quiet client. */
static void idle_blocked(int listener)
{
    int fd = take(listener);
    say_socket("keeper", fd);
    ready();
    read_to_end(fd);
}

const struct scenario scenarios_nobody[] = {
    {"interest-off", interest_off, client_leaves, 0},
    {"one-shot", one_shot, client_leaves_later, 0},
    {"edge-not-drained", edge_not_drained, client_leaves, 0},
    {"not-in-poller", not_in_poller, client_leaves_later, 0},
    {"loop-in-lock", loop_in_lock, client_leaves, 0},
    {"loop-asleep", loop_asleep, client_leaves, 0},
    {"loop-in-call", loop_in_call, client_leaves, 0},
    {"owner-busy", owner_busy, client_leaves_later, 0},
    {"hangup-spin", hangup_spin, client_leaves, 0},
    {"stopped", stopped, client_leaves, 0},
    {"reader-away", reader_away, client_pours, 0},
    {"idle-watched", idle_watched, client_waits, 0},
    {"idle-blocked", idle_blocked, client_waits, 0},
    {NULL, NULL, NULL, 0},
};
