/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes and ends of stream between B and the stack, with back-pressure both ways. */
#include "run/pump.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "run/ending.h"
#include "run/held.h"
#include "run/pair.h"
#include "run/watch.h"

#define PUMP_IOV_CNT 16
#define PUMP_BUDGET (1u << 20) /* bytes down in one go, so that one stream cannot starve others */
#define DRAIN_CNT 128

/* Cut the scatter list to `max` bytes. */
static size_t iov_clip(struct iovec *iov, size_t iov_cnt, size_t max)
{
    for (size_t i = 0; i < iov_cnt; i++) {
        if (iov[i].iov_len >= max) {
            iov[i].iov_len = max;
            return i + 1;
        }
        max -= iov[i].iov_len;
    }
    return iov_cnt;
}

/* Nothing more will come up: finish what waited for that. */
static void up_drained(struct supervisor *s, struct pair *pair)
{
    pair->up_blocked = false;
    if (pair->shut_wr_late && pair->up_left == 0) {
        pid_t before = supervisor_act_as(s, pair->shut_pid);

        pair->shut_wr_late = false;
        lastack_shutdown(s->process, pair->fd, SHUT_WR);
        supervisor_act_as(s, before);
    }
    if (pair->hung_up)
        ending_last_close(s, pair);
}

/* The stack takes no more data. A reset also shows below, after what was received before it. */
static void up_refused(struct supervisor *s, struct pair *pair, int error)
{
    if (pair->hung_up) {
        ending_last_close(s, pair);
        return;
    }
    if (pair->b_shut_wr) {
        ending_reset(s, pair, error);
        return;
    }
    pair->so_error = error;
    pump_down(s, pair);
}

/* One read from B into the stack. 1: go on; 0: stop for now; -1: B has nothing more. */
static int up_step(struct supervisor *s, struct pair *pair)
{
    struct iovec iov[PUMP_IOV_CNT];
    size_t iov_cnt = PUMP_IOV_CNT;
    ssize_t len;

    if (pair->a_shut_wr && pair->up_left == 0)
        return -1; /* what is left in B is our token */
    len = lastack_reserve(s->process, pair->fd, iov, &iov_cnt);
    if (len == 0 || len == -EAGAIN) {
        pair->up_blocked = true;
        if (pair->hung_up)
            ending_leaving(s, pair);
        return 0;
    }
    if (len < 0) {
        up_refused(s, pair, (int)-len);
        return 0;
    }
    if (pair->a_shut_wr)
        iov_cnt = iov_clip(iov, iov_cnt, pair->up_left);
    len = readv(pair->b, iov, (int)iov_cnt);
    if (len > 0) {
        lastack_commit(s->process, pair->fd, (size_t)len);
        pair->moved_ns = s->now_ns;
        if (pair->a_shut_wr)
            pair->up_left -= (uint32_t)len;
        return 1;
    }
    if (len < 0 && errno == EINTR)
        return 1;
    if (len < 0 && errno == ECONNRESET)
        pair->unread_close = true; /* the kernel's word for: closed with unread data */
    return -1;
}

/* Data that may not be sent any more (lastack end). */
static void up_discard(struct supervisor *s, struct pair *pair)
{
    char scrap[4096];

    while (recv(pair->b, scrap, sizeof scrap, MSG_DONTWAIT) > 0)
        ;
    up_drained(s, pair);
}

void pump_up(struct supervisor *s, struct pair *pair)
{
    int step;

    if (pair->kind != PAIR_CONNECTED || pair->b < 0 || pair->gone)
        return;
    if (pair->b_shut_rd) {
        up_discard(s, pair);
        return;
    }
    do
        step = up_step(s, pair);
    while (step > 0);
    if (step < 0)
        up_drained(s, pair);
}

/* The peer's end of stream, all before it delivered. */
static void down_end(struct supervisor *s, struct pair *pair)
{
    if (pair->so_error) {
        ending_reset(s, pair, pair->so_error);
        return;
    }
    watch_end_of_stream(s, pair);
    pair->b_shut_wr = true;
    shutdown(pair->b, SHUT_WR);
}

/* B took `len` bytes, or -errno. True: go on. */
static bool down_sent(struct supervisor *s, struct pair *pair, ssize_t len)
{
    if (len > 0)
        return lastack_consume(s->process, pair->fd, (size_t)len) == 0;
    if (len == -EINTR)
        return true;
    if (len == -EAGAIN) {
        pair->down_blocked = true;
        pair_watch(s, pair, true);
        return false;
    }
    /* Nobody can read it any more: closed with data unread. */
    pair->hung_up = pair->unread_close = true;
    pump_up(s, pair);
    return false;
}

static bool down_step(struct supervisor *s, struct pair *pair, size_t *sent)
{
    struct iovec iov[PUMP_IOV_CNT];
    struct msghdr message = {.msg_iov = iov};
    size_t iov_cnt = PUMP_IOV_CNT;
    ssize_t len = lastack_peekv(s->process, pair->fd, iov, &iov_cnt);

    if (len == -EAGAIN)
        return false;
    if (len == 0) {
        down_end(s, pair);
        return false;
    }
    if (len < 0) {
        ending_reset(s, pair, (int)-len);
        return false;
    }
    if (pair->hung_up) { /* RFC 9293 3.6.1: data after close is answered with a reset */
        pair->unread_close = true;
        ending_last_close(s, pair);
        return false;
    }
    message.msg_iovlen = iov_cnt;
    len = sendmsg(pair->b, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len > 0)
        *sent += (size_t)len;
    return down_sent(s, pair, len < 0 ? -errno : len);
}

void pump_down(struct supervisor *s, struct pair *pair)
{
    size_t sent = 0;
    pid_t before;

    if (pair->kind != PAIR_CONNECTED || pair->b < 0 || pair->b_shut_wr || pair->down_blocked ||
        pair->gone)
        return;
    before = supervisor_act_as(s, 0); /* nobody's call: we carry it on */
    while (sent < PUMP_BUDGET && down_step(s, pair, &sent))
        ;
    supervisor_act_as(s, before);
    if (sent >= PUMP_BUDGET && !pair->gone && pair->kind == PAIR_CONNECTED &&
        !pair->down_blocked && !list_linked(&pair->ready))
        list_push_back(&s->ready, &pair->ready);
}

void pump_ready(struct supervisor *s)
{
    struct list now, *node;

    list_init(&now);
    while ((node = list_pop_front(&s->ready)))
        list_push_back(&now, node);
    while ((node = list_pop_front(&now)))
        pump_down(s, (struct pair *)((char *)node - offsetof(struct pair, ready)));
}

/* Did the last reference go? While both directions are shut down the kernel always says "hung up",
 * so it must be asked. */
static bool pair_hung_up(struct supervisor *s, struct pair *pair, uint32_t events)
{
    if (!(events & EPOLLHUP))
        return false;
    if ((pair->a_shut_wr || pair->b_shut_rd) && pair->b_shut_wr)
        return !pair_alive(s, pair);
    return true;
}

static void pair_event(struct supervisor *s, struct pair *pair, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof error;

    if ((events & EPOLLERR) && getsockopt(pair->b, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
        error == ECONNRESET)
        pair->unread_close = true;
    if ((events & EPOLLOUT) && pair->down_blocked) {
        pair->down_blocked = false;
        pair_watch(s, pair, false);
        pump_down(s, pair);
    }
    if (pair->gone || pair->b < 0 || !(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
        return;
    if (pair_hung_up(s, pair, events))
        pair->hung_up = true;
    if (pair->kind == PAIR_CONNECTED)
        pump_up(s, pair);
    else if (pair->kind == PAIR_FRESH && !pair->hung_up && (events & EPOLLIN))
        pair_cut(s, pair); /* it writes without a connection: EPIPE on TCP, an error at least here */
    else if (pair->hung_up && !held_remains(s, pair))
        ending_last_close(s, pair); /* else a thread still waits in a call on it, as on Linux */
}

void pump_drain(struct supervisor *s)
{
    struct epoll_event events[DRAIN_CNT];
    int cnt;

    do {
        cnt = epoll_wait(s->pair_epoll, events, DRAIN_CNT, 0);
        for (int i = 0; i < cnt; i++) {
            struct pair *pair = events[i].data.ptr;

            if (!pair->gone && pair->b >= 0)
                pair_event(s, pair, events[i].events);
        }
    } while (cnt == DRAIN_CNT);
}
