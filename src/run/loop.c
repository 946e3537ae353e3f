/* SPDX-License-Identifier: BSD-2-Clause */
/* The only event loop: notifications, pairs, TUN, control socket, signals, the stack's deadline. */
#include "run/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/calls.h"
#include "run/control.h"
#include "run/device.h"
#include "run/ending.h"
#include "run/held.h"
#include "run/holders.h"
#include "run/notify.h"
#include "run/pair.h"
#include "run/pump.h"
#include "run/task.h"
#include "run/watch.h"

#define EVENT_MAX 64
#define CALL_MAX 32     /* received at once: from then on only death interrupts them */
#define SETTLE_MAX 64   /* rounds before other things get their turn */
#define GRACE_LOOK_NS 20000000u

uint64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

pid_t supervisor_act_as(struct supervisor *s, pid_t pid)
{
    pid_t before = s->acting;

    s->acting = pid;
    lastack_process_act_as(s->process, (uint32_t)pid);
    return before;
}

void supervisor_say(const struct supervisor *s, const char *format, ...)
{
    va_list args;

    if (!s->options.verbose)
        return;
    va_start(args, format);
    fprintf(stderr, "lastack run: %s: ", s->options.name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- the stack's side ---- */

static void error_after_end(struct supervisor *s, struct pair *pair)
{
    int error = 0;
    socklen_t len = sizeof error;

    lastack_getsockopt(s->process, pair->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error)
        ending_reset(s, pair, error);
}

static void connected_event(struct supervisor *s, struct pair *pair, uint32_t events)
{
    if (events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR))
        pump_down(s, pair);
    if ((events & POLLERR) && pair->b_shut_wr && pair->b >= 0 && !pair->gone)
        error_after_end(s, pair);
    if ((events & (POLLOUT | POLLHUP | POLLERR)) && pair->up_blocked && !pair->gone) {
        pair->up_blocked = false;
        pump_up(s, pair);
    }
}

static void stack_event(struct supervisor *s, const struct lastack_event *event)
{
    struct pair *pair = event->user;

    if (!pair || pair->gone)
        return;
    if (pair->kind == PAIR_LISTENER && (event->events & POLLIN))
        accept_ready(s, pair);
    else if (pair->kind == PAIR_CONNECTING)
        connect_ready(s, pair, event->events);
    else if (pair->kind == PAIR_CONNECTED)
        connected_event(s, pair, event->events);
}

/* Let the stack do all that can be done now. False: there is more. */
static bool settle(struct supervisor *s)
{
    struct lastack_event event;

    for (unsigned round = 0; round < SETTLE_MAX; round++) {
        device_tx(s);
        if (!lastack_event(s->stack, &event))
            return true;
        do
            stack_event(s, &event);
        while (lastack_event(s->stack, &event));
    }
    return false;
}

/* ---- the program's side ---- */

static void programs_ended(struct supervisor *s)
{
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->notify, NULL);
    close(s->notify);
    s->notify = -1;
    s->programs_done = true;
    s->grace_end_ns = s->now_ns + (uint64_t)s->options.grace_ms * 1000000u;
    supervisor_say(s, "no program is left");
}

static void notify_event(struct supervisor *s, uint32_t events)
{
    struct call calls[CALL_MAX];
    unsigned cnt = notify_receive(s, calls, CALL_MAX);

    for (unsigned i = 0; i < cnt; i++) {
        pump_drain(s); /* rule 1 */
        call_handle(s, &calls[i]);
        settle(s);
    }
    if (cnt == 0 && (events & EPOLLHUP))
        programs_ended(s);
}

static void children_reap(struct supervisor *s)
{
    int state;
    pid_t pid;

    while ((pid = waitpid(-1, &state, WNOHANG)) > 0) {
        if (pid != s->program)
            continue;
        s->program = 0;
        s->status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
        supervisor_say(s, "the program has ended with status %d", s->status);
    }
}

/* Asked to stop while only descendants, or only connections, are left. */
static void stop_asked(struct supervisor *s)
{
    if (s->programs_done || s->stop_cnt++ > 0)
        s->leave = true;
    else
        holders_signal(s, SIGTERM);
}

static void signal_event(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        bool handed_on = (pid_t)info.ssi_pid == s->front && info.ssi_code == SI_QUEUE;
        pid_t from = handed_on ? (pid_t)info.ssi_int : (pid_t)info.ssi_pid;
        int number = (int)info.ssi_signo;

        if (number == SIGCHLD)
            children_reap(s);
        else if (s->program && !(handed_on && from == 0) && !task_is_descendant(from, s->self))
            kill(s->program, number); /* others of its group have it from where it came */
        else if (!s->program && (number == SIGINT || number == SIGTERM || number == SIGHUP ||
                                 number == SIGQUIT))
            stop_asked(s);
    }
}

/* ---- the loop ---- */

static int watch(struct supervisor *s, int fd, enum source_kind kind)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = kind};

    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int loop_prepare(struct supervisor *s)
{
    int result = watch(s, s->notify, SOURCE_NOTIFY);

    if (result == 0)
        result = watch(s, s->pair_epoll, SOURCE_PAIRS);
    if (result == 0)
        result = watch(s, s->signals, SOURCE_SIGNAL);
    if (result == 0 && s->tun.fd >= 0)
        result = watch(s, s->tun.fd, SOURCE_TUN);
    notify_sync_wake(s->notify);
    return result;
}

static void dispatch(struct supervisor *s, const struct epoll_event *event)
{
    switch (event->data.u64) {
    case SOURCE_NOTIFY:
        notify_event(s, event->events);
        break;
    case SOURCE_PAIRS:
        pump_drain(s);
        break;
    case SOURCE_SIGNAL:
        signal_event(s);
        break;
    case SOURCE_TUN:
        device_rx(s);
        break;
    case SOURCE_CONTROL:
        control_accept(s);
        break;
    default:
        control_event(s, event->data.ptr, event->events);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline(const struct supervisor *s)
{
    uint64_t due_ns = earlier(lastack_deadline(s->stack), held_deadline(s));

    due_ns = earlier(due_ns, ending_deadline(s));
    due_ns = earlier(due_ns, watch_deadline(s));
    if (s->programs_done)
        due_ns = earlier(due_ns, s->now_ns + GRACE_LOOK_NS);
    return due_ns;
}

static int loop_wait(struct supervisor *s, struct epoll_event *events, bool settled)
{
    uint64_t due_ns = deadline(s), now_ns = clock_now(), left_ns;
    struct timespec timeout;

    if (due_ns == LASTACK_NEVER && settled && list_empty(&s->ready))
        return epoll_pwait2(s->epoll, events, EVENT_MAX, NULL, NULL);
    left_ns = due_ns > now_ns && settled && list_empty(&s->ready) ? due_ns - now_ns : 0;
    timeout.tv_sec = (time_t)(left_ns / 1000000000u);
    timeout.tv_nsec = (long)(left_ns % 1000000000u);
    return epoll_pwait2(s->epoll, events, EVENT_MAX, &timeout, NULL);
}

/* Programs are gone: connections that still have something to say get their time. */
static void grace_look(struct supervisor *s)
{
    struct lastack_usage usage;

    if (!s->programs_done || s->program) /* its status may come a moment later */
        return;
    lastack_usage(s->stack, &usage);
    s->leave = s->leave || s->now_ns >= s->grace_end_ns ||
               (usage.connections == 0 && usage.orphans == 0 && s->pair_cnt == 0);
}

/* Who is left is told that this is the end. */
static void loop_reset_all(struct supervisor *s)
{
    struct lastack_info info;
    uint64_t cursor = 0;
    unsigned cnt = 0;

    while (lastack_info_next(s->stack, &cursor, &info))
        if (info.id && info.state != LASTACK_LISTEN)
            cnt += lastack_end(s->stack, info.id, LASTACK_END_RST) == 0;
    device_tx(s);
    if (cnt)
        supervisor_say(s, "%u connections did not end in time and were reset", cnt);
}

void loop_run(struct supervisor *s)
{
    struct epoll_event events[EVENT_MAX];

    while (!s->leave) {
        bool settled = settle(s);
        int cnt = loop_wait(s, events, settled);

        s->now_ns = clock_now();
        lastack_tick(s->stack, s->now_ns);
        for (int i = 0; i < cnt; i++)
            dispatch(s, &events[i]);
        pump_ready(s);
        held_look(s);
        ending_closings_look(s);
        ending_dead_look(s);
        watch_look(s);
        pair_free_buried(s);
        grace_look(s);
    }
    settle(s);
    loop_reset_all(s);
}
