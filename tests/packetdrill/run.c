/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of a script in order and at their time. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define TOLERANCE_US 2500 /* two roundings up to a millisecond, and the calls in between */

bool run_fail_at(struct run *run, unsigned line, const char *format, ...)
{
    va_list args;
    int at;

    if (run->error[0])
        return false;
    at = snprintf(run->error, sizeof(run->error), "%s:%u: ", run->script->path, line);
    va_start(args, format);
    vsnprintf(run->error + at, sizeof(run->error) - (size_t)at, format, args);
    va_end(args);
    return false;
}

bool run_fail(struct run *run, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return run_fail_at(run, run->event ? run->event->line : 0, "%s", text);
}

void run_clock(struct run *run)
{
    struct timeval now;

    run->stack.gettimeofday(run->stack.userdata, &now, NULL);
    run->now_us = now.tv_sec * 1000000ll + now.tv_usec - run->start_us;
}

int64_t run_tolerance(const struct run *run, int64_t wait_us)
{
    return run->tolerance_us + (wait_us > 0 ? wait_us / 100 : 0);
}

bool run_time_matches(struct run *run, const struct event *event, int64_t us, int64_t base_us,
                      const char *what)
{
    bool relative =
        event->time_kind == TIME_RELATIVE || event->time_kind == TIME_RELATIVE_RANGE;
    int64_t from = event->time_us + (relative ? base_us : 0);
    bool range = event->time_kind == TIME_RANGE || event->time_kind == TIME_RELATIVE_RANGE;
    int64_t to = range ? event->time_end_us + (relative ? base_us : 0) : from;
    int64_t slack = run_tolerance(run, to - base_us);

    if (event->time_kind == TIME_ANY)
        return true;
    if (us >= from - slack && us <= to + slack)
        return true;
    if (range)
        return run_fail_at(run, event->line, "%s at %.6f, expected between %.6f and %.6f", what,
                           (double)us / 1e6, (double)from / 1e6, (double)to / 1e6);
    return run_fail_at(run, event->line, "%s at %.6f, expected at %.6f", what, (double)us / 1e6,
                       (double)from / 1e6);
}

/* Let the stack's time pass up to the event's. */
static bool event_wait(struct run *run, const struct event *event)
{
    int64_t until = event->time_us + (event->time_kind == TIME_RELATIVE ? run->now_us : 0);

    run_clock(run);
    /* usleep takes 32 bits of microseconds */
    while (run->now_us < until) {
        int64_t left = until - run->now_us, step = left < 1000000000 ? left : 1000000000;

        run->stack.usleep(run->stack.userdata, (useconds_t)step);
        run->now_us += step;
    }
    return run_time_matches(run, event, run->now_us, until - event->time_us, "event");
}

static bool event_run(struct run *run, const struct event *event)
{
    int64_t base_us = run->now_us;
    const char *fault;
    bool ok;

    run->event = event;
    /* A packet out is looked for at once, so that an early one is seen. */
    if (!(event->is_packet && event->packet.outbound) &&
        (!event_wait(run, event) || !run_quiet(run)))
        return false;
    ok = event->is_packet ? run_packet(run, &event->packet) : run_call(run, event, base_us);
    fault = adapter_fault(run->stack.userdata);
    if (fault) {
        char other[sizeof(run->error)];

        memcpy(other, run->error, sizeof(other));
        run->error[0] = 0;
        return run_fail(run, "the stack breaks a promise: %s%s%.400s", fault, *other ? "\n" : "",
                        other);
    }
    if (!ok)
        return false;
    run_clock(run);
    return run_call_collect(run, false);
}

/* The flags of the command line first, so that what a script sets is what it gets. */
static bool options_apply(struct run *run, char *flags, size_t size, const char *extra_flags)
{
    const struct script_option *option = run->script->options;
    size_t at = (size_t)snprintf(flags, size, "%s", extra_flags ? extra_flags : "");

    for (; option && at < size; option = option->next) {
        const char *value = option->value ? option->value : "";

        if (!strcmp(option->name, "so_flags"))
            at += (size_t)snprintf(flags + at, size - at, "%s%s", at ? "," : "", value);
        else if (!strcmp(option->name, "tolerance_usecs"))
            run->tolerance_us = atoll(value);
        else if (!strcmp(option->name, "strict_segments"))
            run->strict_segments = true;
        else
            return run_fail_at(run, option->line, "unknown option --%s", option->name);
    }
    return at < size || run_fail_at(run, 0, "the flags are too long");
}

bool run_script(struct run *run, const struct script *script, const char *extra_flags)
{
    const struct event *last = NULL;
    const char *fault;
    char flags[400];
    bool ok = true;

    memset(run, 0, sizeof(*run));
    run->script = script;
    run->tolerance_us = TOLERANCE_US;
    run->next_port = EPHEMERAL_PORT;
    for (int i = 0; i < RUN_FDS; i++)
        run->live_fd[i] = -1;
    if (!options_apply(run, flags, sizeof(flags), extra_flags))
        return false;
    packetdrill_interface_init(flags, &run->stack);
    adapter_fault(run->stack.userdata);
    run_clock(run);
    run->start_us = run->now_us;
    run->now_us = 0;
    for (const struct event *event = script->events; ok && event; event = event->next) {
        ok = event_run(run, event);
        last = event;
    }
    run->event = last;
    ok = ok && run_call_collect(run, true) && run_quiet(run);
    if (!ok)
        return false; /* threads may still be blocked inside: leave everything as it is */
    for (int i = 0; i < RUN_FDS; i++)
        if (run->live_fd[i] >= 0)
            close(run->live_fd[i]); /* as packetdrill does, behind the adapter's back */
    fault = adapter_finish(run->stack.userdata);
    if (fault)
        run_fail(run, "after the end of the script: %s", fault);
    run->stack.free(run->stack.userdata);
    return !fault;
}
