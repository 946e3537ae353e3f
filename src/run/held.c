/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that wait: signals, timeouts, callers that died. */
#include "run/held.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "run/calls.h"
#include "run/ending.h"
#include "run/notify.h"
#include "run/task.h"

#define KERNEL_ERESTARTSYS 512 /* the kernel makes EINTR or a restart of it, as SA_RESTART says */

/* One look at a thread costs about 20 us. While nothing happens looks get rarer. */
#define LOOK_MIN_US 4000u
#define LOOK_MAX_US 40000u
#define LOOK_PER_CALL_US 1000u /* at most one part in 50 of our time */

static struct held *held_of(struct list *node)
{
    return (struct held *)((char *)node - offsetof(struct held, all));
}

static uint64_t timeout_of(const struct supervisor *s, int a, int option)
{
    struct timeval t = {0};
    socklen_t len = sizeof t;

    if (option == 0 || getsockopt(a, SOL_SOCKET, option, &t, &len) != 0 ||
        (t.tv_sec == 0 && t.tv_usec == 0))
        return LASTACK_NEVER;
    return s->now_ns + (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

struct held *held_add(struct supervisor *s, struct call *call, int option)
{
    struct held *held = calloc(1, sizeof *held);

    if (!held) {
        call_answer(s, call, -ENOMEM);
        return NULL;
    }
    held->deadline_ns = timeout_of(s, call->a, option);
    held->expired = -EAGAIN;
    call_release(call);
    held->call = *call;
    list_push_back(&s->held, &held->all);
    list_push_back(&call->pair->waiting, &held->waiting);
    s->held_cnt++;
    s->held_pause_us = LOOK_MIN_US;
    s->held_look_ns = s->now_ns + LOOK_MIN_US * 1000u;
    return held;
}

struct held *held_first(struct pair *pair)
{
    if (list_empty(&pair->waiting))
        return NULL;
    return (struct held *)((char *)pair->waiting.next - offsetof(struct held, waiting));
}

struct call held_take(struct supervisor *s, struct held *held)
{
    struct call call = held->call;

    list_remove(&held->all);
    list_remove(&held->waiting);
    s->held_cnt--;
    free(held);
    return call;
}

bool held_remains(struct supervisor *s, struct pair *pair)
{
    struct held *held;

    while ((held = held_first(pair)) && !call_valid(s, &held->call))
        held_take(s, held);
    return held != NULL;
}

/* It leaves without a result. `value` 0: nobody is there to be answered. */
static void held_abandon(struct supervisor *s, struct held *held, int64_t value)
{
    struct call call = held_take(s, held);
    struct pair *pair = call.pair;

    if (call.nr == __NR_connect)
        connect_detach(s, &call);
    if (value)
        call_answer(s, &call, value);
    call_release(&call);
    if (pair->hung_up && list_empty(&pair->waiting) && !pair->gone)
        ending_last_close(s, pair);
}

/* A signal to the whole process may be taken by another thread at any moment: it counts when it
 * is still there at the next look. */
static bool held_interrupted(struct held *held)
{
    bool own;

    if (!task_signal_pending(held->call.tid, &own)) {
        held->signal_seen = 0;
        return false;
    }
    return own || held->signal_seen++ > 0;
}

static void held_look_at(struct supervisor *s, struct held *held)
{
    if (!call_valid(s, &held->call)) {
        held_abandon(s, held, 0);
    } else if (held->deadline_ns <= s->now_ns) {
        held_abandon(s, held, held->expired);
    } else if (s->killable && held_interrupted(held)) {
        held_abandon(s, held, held->deadline_ns == LASTACK_NEVER ? -KERNEL_ERESTARTSYS : -EINTR);
    } else if (held->call.nr == __NR_sendto) {
        struct call call = held_take(s, held);

        call_handle(s, &call);
    }
}

void held_look(struct supervisor *s)
{
    struct list *node = s->held.next, *next;
    uint32_t left = s->held_cnt; /* a call that is tried again comes last in the list */
    uint64_t pause_us;
    bool all = s->held_look_ns <= s->now_ns;

    for (; left-- > 0; node = next) {
        next = node->next;
        if (all || held_of(node)->deadline_ns <= s->now_ns)
            held_look_at(s, held_of(node));
    }
    if (!all)
        return;
    s->held_pause_us += s->held_pause_us / 4;
    if (s->held_pause_us > LOOK_MAX_US)
        s->held_pause_us = LOOK_MAX_US;
    pause_us = (uint64_t)s->held_cnt * LOOK_PER_CALL_US;
    pause_us = pause_us > s->held_pause_us ? pause_us : s->held_pause_us;
    s->held_look_ns = s->now_ns + pause_us * 1000u;
}

uint64_t held_deadline(const struct supervisor *s)
{
    uint64_t due_ns = s->held_cnt ? s->held_look_ns : LASTACK_NEVER;

    for (struct list *node = s->held.next; node != &s->held; node = node->next)
        if (held_of(node)->deadline_ns < due_ns)
            due_ns = held_of(node)->deadline_ns;
    return due_ns;
}
