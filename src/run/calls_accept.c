/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen and accept. Connections wait in the stack's own queue. A listening A is readable while
 * there are any, because we keep bytes in it: one for each arrival (so that edge-triggered waiters
 * see each), at least one while the queue is not empty, none when it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "run/calls.h"
#include "run/ending.h"
#include "run/held.h"
#include "run/notify.h"
#include "run/pair.h"
#include "run/pump.h"

#define SIGNAL_MAX 64
#define DESCRIPTOR_MARGIN (TASK_CACHE_CNT + 64) /* of ours that are no B ends */

void call_listen(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    int result;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    result = lastack_listen(s->process, pair->fd, (int)call->args[1]);
    if (result == 0 && pair->kind == PAIR_FRESH)
        pair->kind = PAIR_LISTENER;
    call_answer(s, call, result);
}

static bool listener_has(struct supervisor *s, struct pair *listener)
{
    struct pollfd item = {.fd = listener->fd, .events = POLLIN};

    if (!list_empty(&listener->requeued))
        return true;
    return lastack_poll(s->process, &item, 1) > 0 && (item.revents & POLLIN);
}

/* Make the bytes in A agree with the queue, after one connection was taken or none was there. */
static void listener_signal(struct supervisor *s, struct pair *listener, int a)
{
    char scrap[SIGNAL_MAX];

    if (!listener_has(s, listener)) {
        recv(a, scrap, sizeof scrap, MSG_DONTWAIT);
        listener->signal_cnt = 0;
    } else if (listener->signal_cnt > 1) {
        if (recv(a, scrap, 1, MSG_DONTWAIT) == 1)
            listener->signal_cnt--;
    } else if (listener->signal_cnt == 0 && send(listener->b, "", 1, MSG_DONTWAIT) == 1) {
        listener->signal_cnt = 1;
    }
}

/* The next connection, as a pair that no program has yet. NULL with errno. */
static struct pair *listener_take(struct supervisor *s, struct pair *listener)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct list *node = list_pop_front(&listener->requeued);
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    struct pair *pair;
    int fd;

    if (node)
        return (struct pair *)((char *)node - offsetof(struct pair, queue));
    if (s->pair_cnt + DESCRIPTOR_MARGIN > s->descriptor_max) {
        errno = EMFILE; /* it stays in the queue, as on Linux */
        return NULL;
    }
    fd = lastack_accept(s->process, listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);
    if (fd < 0) {
        errno = -fd;
        return NULL;
    }
    pair = pair_create(s, fd);
    if (!pair) {
        int error = errno;

        lastack_setsockopt(s->process, fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        lastack_close(s->process, fd);
        errno = error;
        return NULL;
    }
    pair->kind = PAIR_CONNECTED;
    pair->accepted = true;
    pair->peer = peer;
    pair_buffer_raise(pair->a);
    return pair;
}

static int accept_flags(const struct call *call)
{
    return call->nr == __NR_accept4 ? (int)call->args[3] : 0;
}

/* Give `pair` to the caller, or back to the listener's queue. */
static void accept_deliver(struct supervisor *s, struct call *call, struct pair *listener,
                           struct pair *pair)
{
    int flags = accept_flags(call), given = 0;

    if (call->args[1])
        given = call_write_value(call, call->args[1], call->args[2], &pair->peer,
                                 sizeof pair->peer, true);
    if (given == 0) {
        fcntl(pair->a, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
        pump_down(s, pair); /* rule 2 */
        given = call_answer_descriptor(s, call, pair->a, flags & SOCK_CLOEXEC);
    }
    if (given >= 0) {
        pair_given(s, pair, call->pid, given);
        return;
    }
    list_push_back(listener->requeued.next, &pair->queue); /* first in the queue again */
    if (given != -ENOENT)
        call_answer(s, call, given);
    else
        call_release(call);
}

void call_accept(struct supervisor *s, struct call *call)
{
    struct pair *listener = call_pair(s, call, (int)call->args[0]), *pair;

    if (!listener) {
        call_continue(s, call);
        return;
    }
    if (listener->kind != PAIR_LISTENER || (accept_flags(call) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))) {
        call_answer(s, call, -EINVAL);
        return;
    }
    pair = list_empty(&listener->waiting) ? listener_take(s, listener) : NULL;
    if (pair) {
        listener_signal(s, listener, call->a);
        accept_deliver(s, call, listener, pair);
        return;
    }
    if (list_empty(&listener->waiting) && errno != EAGAIN) {
        call_answer(s, call, -errno);
        return;
    }
    listener_signal(s, listener, call->a);
    if (call_nonblocking(call))
        call_answer(s, call, -EAGAIN);
    else
        held_add(s, call, SO_RCVTIMEO);
}

void accept_ready(struct supervisor *s, struct pair *listener)
{
    struct held *held;

    while ((held = held_first(listener)) && listener_has(s, listener)) {
        struct call call;
        struct pair *pair;

        supervisor_act_as(s, held->call.pid);
        pair = listener_take(s, listener);
        if (!pair && errno == EAGAIN)
            return;
        call = held_take(s, held);
        if (pair)
            accept_deliver(s, &call, listener, pair);
        else
            call_answer(s, &call, -errno);
    }
    if (listener->hung_up && !held) {
        ending_last_close(s, listener);
        return;
    }
    if (listener->b >= 0 && listener->signal_cnt < SIGNAL_MAX && listener_has(s, listener) &&
        send(listener->b, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        listener->signal_cnt++;
}

void accept_stop(struct supervisor *s, struct pair *listener)
{
    struct held *held;

    accept_forget(s, listener);
    listener->kind = PAIR_FRESH;
    while ((held = held_first(listener))) {
        struct call call = held_take(s, held);

        call_answer(s, &call, -EINVAL);
    }
    if (listener->b >= 0)
        shutdown(listener->b, SHUT_WR);
}

void accept_forget(struct supervisor *s, struct pair *listener)
{
    struct list *node;

    while ((node = list_pop_front(&listener->requeued))) {
        struct pair *pair = (struct pair *)((char *)node - offsetof(struct pair, queue));

        pair->unread_close = true;
        ending_last_close(s, pair);
    }
}
