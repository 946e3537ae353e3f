/* SPDX-License-Identifier: BSD-2-Clause */
/* How a socket of the program ends: reset, last close, shutdown, and who closed what. */
#include "run/ending.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/calls.h"
#include "run/device.h"
#include "run/holders.h"
#include "run/notify.h"
#include "run/pair.h"
#include "run/pump.h"
#include "run/task.h"
#include "run/watch.h"

#define MS 1000000ull
#define CLOSING_LOOK_NS (3 * MS)  /* most shared closes are followed by the last one sooner */
#define CLOSING_AGAIN_NS (1 * MS)
#define CLOSING_LOOK_MAX 100
#define DEAD_LOOK_NS (2000 * MS)
#define LEAVING_MAX_NS (60000 * MS)
#define SCAN_SHARE 10             /* scans of /proc take at most one part in so many of our time */
#define RELATIVE_MAX 16

static int b_queued(const struct pair *pair)
{
    int len = 0;

    return ioctl(pair->b, FIONREAD, &len) == 0 ? len : 0;
}

static void discard(int fd)
{
    char scrap[4096];

    while (recv(fd, scrap, sizeof scrap, MSG_DONTWAIT) > 0)
        ;
}

/* One byte from A to B. While the stack takes no data, A may be full: make room for it. */
static bool plant(int a)
{
    int size;
    socklen_t len = sizeof size;

    if (send(a, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        return true;
    if (errno != EAGAIN || getsockopt(a, SOL_SOCKET, SO_SNDBUF, &size, &len) != 0)
        return false;
    setsockopt(a, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* the kernel doubles what it is told */
    return send(a, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

/* ---- reset ---- */

void ending_reset(struct supervisor *s, struct pair *pair, int error)
{
    int a;

    if (pair->hung_up) {
        ending_last_close(s, pair);
        return;
    }
    pair->so_error = error;
    /* A sees ECONNRESET when, and only when, B is closed with data unread. */
    if (error == EPIPE) {
        discard(pair->b);
    } else if (b_queued(pair) == 0) {
        a = pair_open_a(s, pair);
        if (a >= 0) {
            plant(a);
            close(a);
        }
    }
    pair_cut(s, pair);
}

/* ---- shutdown ---- */

static void shutdown_send(struct pair *pair, int a)
{
    if (!pair->token)
        pair->token = plant(a); /* so that a later reset can be shown */
    shutdown(a, SHUT_WR);
    pair->a_shut_wr = true;
    pair->up_left = (uint32_t)b_queued(pair) - (pair->token ? 1 : 0);
}

static void shutdown_receive(struct supervisor *s, struct pair *pair, int a)
{
    shutdown(pair->b, SHUT_WR);
    pair->b_shut_wr = true;
    discard(a);
    if (pair->down_blocked) {
        pair->down_blocked = false;
        pair_watch(s, pair, false);
    }
}

static int shutdown_connected(struct supervisor *s, struct pair *pair, int a, int how)
{
    pump_up(s, pair);
    if (pair->gone || pair->b < 0)
        return -ENOTCONN;
    if (how != SHUT_RD && !pair->a_shut_wr && !pair->b_shut_rd) {
        shutdown_send(pair, a);
        pump_up(s, pair);
    }
    if (pair->gone || pair->b < 0)
        return -ENOTCONN;
    if (how != SHUT_WR)
        shutdown_receive(s, pair, a);
    if (how == SHUT_RD || pair->up_left == 0)
        return lastack_shutdown(s->process, pair->fd, how);
    pair->shut_wr_late = true;
    pair->shut_pid = s->acting;
    return how == SHUT_RDWR ? lastack_shutdown(s->process, pair->fd, SHUT_RD) : 0;
}

int ending_shutdown(struct supervisor *s, struct call *call, int how)
{
    struct pair *pair = call->pair;
    int result;

    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (pair->kind == PAIR_CONNECTED)
        return shutdown_connected(s, pair, call->a, how);
    result = lastack_shutdown(s->process, pair->fd, how);
    if (result == 0 && pair->kind == PAIR_LISTENER && how != SHUT_WR)
        accept_stop(s, pair);
    if (result == 0 && pair->kind == PAIR_CONNECTING)
        connect_abort(s, pair, ECONNRESET);
    return result;
}

int ending_operator(struct supervisor *s, uint64_t id, int how)
{
    struct lastack_info info;
    struct pair *pair = NULL;
    int result;

    if (lastack_info_get(s->stack, id, &info) == 0 && info.socket_id)
        pair = pair_find_socket(s, info.socket_id);
    if (pair)
        pump_up(s, pair);
    result = lastack_end(s->stack, id, how);
    if (result != 0 || !pair || pair->gone)
        return result;
    if (pair->kind == PAIR_LISTENER)
        accept_stop(s, pair);
    if (pair->kind != PAIR_CONNECTED || pair->b < 0 || how == LASTACK_END_RST)
        return 0;
    if (how != SHUT_RD && !pair->a_shut_wr) {
        shutdown(pair->b, SHUT_RD); /* its writes fail from now on */
        pair->b_shut_rd = true;
        pump_up(s, pair);
    }
    if (how != SHUT_WR && !pair->gone && !pair->b_shut_wr) {
        pair->b_shut_wr = true;
        shutdown(pair->b, SHUT_WR);
    }
    return 0;
}

/* ---- closes ---- */

static struct closing *closing_of(struct list *node)
{
    return (struct closing *)((char *)node - offsetof(struct closing, all));
}

static void closing_free(struct closing *closing)
{
    list_remove(&closing->all);
    free(closing);
}

static void closing_due(struct supervisor *s, struct closing *closing, uint64_t due_ns)
{
    closing->due_ns = due_ns;
    if (s->closing_look_ns > due_ns)
        s->closing_look_ns = due_ns;
}

/* A parent or child with the same number open on the same socket: what fork leaves behind. */
static bool relative_holds(struct supervisor *s, struct pair *pair, pid_t pid, int fd)
{
    pid_t relatives[RELATIVE_MAX];
    unsigned cnt = task_children(pid, relatives, RELATIVE_MAX - 1);

    relatives[cnt++] = task_parent(pid);
    for (unsigned i = 0; i < cnt; i++) {
        if (relatives[i] <= 1 || relatives[i] == s->self ||
            !pair_held_by(s, pair, relatives[i], fd))
            continue;
        pair->pid = relatives[i];
        pair->pid_fd = fd;
        return true;
    }
    return false;
}

void ending_close_seen(struct supervisor *s, struct call *call, int fd)
{
    struct pair *pair = call->pair;
    struct closing *closing = calloc(1, sizeof *closing);

    call_release(call);
    if (!closing)
        return;
    closing->pair = pair;
    closing->pid = call->pid;
    closing->fd = fd;
    if (pair->born_pid != call->pid || pair->born_fd != fd)
        closing->shared = pair_held_by(s, pair, pair->born_pid, pair->born_fd);
    closing->shared = closing->shared || relative_holds(s, pair, call->pid, fd);
    if (closing->shared)
        task_name_keep(s, call->pid);
    list_push_back(&s->closings, &closing->all);
    closing_due(s, closing, s->now_ns + CLOSING_LOOK_NS);
}

/* How many closes of the same socket came after this one. */
static uint32_t closing_later(struct supervisor *s, const struct closing *closing)
{
    uint32_t cnt = 0;

    for (const struct list *node = closing->all.next; node != &s->closings; node = node->next)
        cnt += closing_of((struct list *)node)->pair == closing->pair;
    return cnt;
}

static void closing_note(struct supervisor *s, struct closing *closing, uint32_t left)
{
    lastack_close_note(s->process, closing->pair->fd, (uint32_t)closing->pid, closing->fd, left);
    closing_free(closing);
}

/* The count is 0: settle the closes that are still open questions. The last one that nobody shared
 * was the last; otherwise a process that held it has died, or closed it in another way. */
static void closings_settle(struct supervisor *s, struct pair *pair)
{
    struct closing *last = NULL;
    pid_t pid;
    int fd;

    if (pair->settled)
        return;
    pair->settled = true;
    list_for_each(node, &s->closings) {
        struct closing *closing = closing_of(node);

        if (closing->pair == pair && !closing->shared)
            last = closing;
    }
    pid = last ? last->pid : task_exiting(pair->pid) ? pair->pid : 0;
    fd = last ? last->fd : -1;
    if (!last && !s->options.close_trace)
        watch_last(pair, &pid, &fd);
    list_for_each(entry, &s->closings) {
        struct closing *closing = closing_of(entry);
        uint32_t later;

        if (closing->pair != pair)
            continue;
        later = closing_later(s, closing);
        if (closing == last)
            closing_free(closing);
        else
            closing_note(s, closing, later ? later : 1);
    }
    supervisor_act_as(s, pid);
    lastack_close_note(s->process, pair->fd, (uint32_t)pid, fd, 0);
}

void ending_last_close(struct supervisor *s, struct pair *pair)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (pair->gone)
        return;
    if (pair->kind == PAIR_LISTENER)
        accept_forget(s, pair);
    if (pair->unread_close) {
        device_tx(s); /* what it wrote before goes out first, as on Linux */
        lastack_setsockopt(s->process, pair->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    closings_settle(s, pair);
    lastack_user_set(s->process, pair->fd, NULL);
    lastack_close(s->process, pair->fd);
    pair_bury(s, pair);
}

/* ---- closes that were not the last ---- */

/* 1: noted or without meaning now; 0: look again later. */
static bool closing_look(struct supervisor *s, struct closing *closing,
                         const struct holder_set *set)
{
    struct pair *pair = closing->pair;
    const struct holder *first;
    unsigned left;

    first = holders_of(set, pair->inode, &left);
    if (left == 0) { /* in a message, or the hang-up is on its way to us */
        if (!pair_alive(s, pair) && closing->look_cnt++ < CLOSING_LOOK_MAX) {
            if (pair->kind == PAIR_DEAD)
                s->dead_look_ns = 0; /* it has no B that would hang up */
            return false;
        }
        left = 1;
    } else {
        pair->pid = first->pid;
        pair->pid_fd = first->fd;
    }
    closing_note(s, closing, left + closing_later(s, closing));
    return true;
}

static bool closing_is_due(struct supervisor *s, struct closing *closing)
{
    if (closing->due_ns > s->now_ns)
        return false;
    if (closing->pair->hung_up) {
        closing->due_ns = LASTACK_NEVER; /* the count is 0: closings_settle() has it, or will */
        return false;
    }
    if (closing->look_cnt++ < CLOSING_LOOK_MAX &&
        pair_held_by(s, closing->pair, closing->pid, closing->fd)) {
        closing->due_ns = s->now_ns + CLOSING_AGAIN_NS; /* it has not got round to it */
        return false;
    }
    return true;
}

void ending_closings_look(struct supervisor *s)
{
    struct holder_set set;
    uint64_t start_ns, next_ns = LASTACK_NEVER;
    bool due = false;

    if (s->closing_look_ns > s->now_ns || s->scan_ns > s->now_ns)
        return;
    list_for_each(node, &s->closings)
        due |= closing_is_due(s, closing_of(node));
    if (due) {
        start_ns = clock_now();
        holders_scan(s, &set);
        list_for_each(entry, &s->closings) {
            struct closing *closing = closing_of(entry);

            if (closing->due_ns <= s->now_ns && !closing_look(s, closing, &set))
                closing->due_ns = s->now_ns + CLOSING_AGAIN_NS;
        }
        holders_free(&set);
        s->scan_ns = s->now_ns + SCAN_SHARE * (clock_now() - start_ns);
    }
    list_for_each(rest, &s->closings)
        next_ns = closing_of(rest)->due_ns < next_ns ? closing_of(rest)->due_ns : next_ns;
    s->closing_look_ns = next_ns;
}

void ending_leaving(struct supervisor *s, struct pair *pair)
{
    if (list_linked(&pair->queue))
        return;
    closings_settle(s, pair);
    pair->moved_ns = s->now_ns;
    list_push_back(&s->leaving, &pair->queue);
}

/* The stack bounds how long an orphan may wait for a peer that takes nothing; this one does not
 * know yet that it is one. */
static void leaving_look(struct supervisor *s)
{
    list_for_each(node, &s->leaving) {
        struct pair *pair = (struct pair *)((char *)node - offsetof(struct pair, queue));

        if (pair->moved_ns + LEAVING_MAX_NS > s->now_ns)
            continue;
        pair->unread_close = true;
        ending_last_close(s, pair);
    }
}

void ending_dead_look(struct supervisor *s)
{
    if ((s->dead_cnt == 0 && list_empty(&s->leaving)) || s->dead_look_ns > s->now_ns)
        return;
    leaving_look(s);
    list_for_each(node, &s->dead) {
        struct pair *pair = (struct pair *)((char *)node - offsetof(struct pair, ready));

        if (!pair_alive(s, pair))
            ending_last_close(s, pair);
    }
    s->dead_look_ns = s->now_ns + DEAD_LOOK_NS;
}

uint64_t ending_deadline(const struct supervisor *s)
{
    uint64_t due_ns = s->closing_look_ns;

    if (due_ns != LASTACK_NEVER && due_ns < s->scan_ns)
        due_ns = s->scan_ns;
    if ((s->dead_cnt || !list_empty(&s->leaving)) && s->dead_look_ns < due_ns)
        due_ns = s->dead_look_ns;
    return due_ns;
}
