/* SPDX-License-Identifier: BSD-2-Clause */
/* Ending: all connections take their next step together, are watched together, and those that the
 * politer step did not end take the next one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cli/end.h"
#include "kernel/end.h"

#define PAUSE_MIN_NS 1000000l
#define PAUSE_MAX_NS 100000000l

volatile sig_atomic_t end_stopped;

static void stop(int signal_number)
{
    end_stopped = signal_number;
}

void end_catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = stop};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a log that may grow no more says so by its error */
    signal(SIGPIPE, SIG_IGN); /* who reads our output may leave; the log is written all the same */
}

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- one step ---- */

static void finish(const struct end_run *run, struct end_item *item, enum end_outcome outcome)
{
    item->active = false;
    item->outcome = outcome;
    if (item->step_cnt)
        end_log_add(run->log, run->command, item);
    run->done(run->arg, item);
}

static int call(const struct facts *f, int how, char *why, size_t why_len)
{
    if (f->source == FACT_SOURCE_KERNEL)
        return kernel_end(f, how, why, why_len);
    char sentence[CONTROL_WHY_LEN] = "";
    int result = control_ask_end(f->stack, f->id, how, sentence);
    snprintf(why, why_len, "%s", sentence);
    return result;
}

/* True if a call was made. Where a step is not possible the next one is tried at once. */
static bool take_step(struct end_item *item)
{
    char why[CONTROL_WHY_LEN];
    while (item->step_cnt < item->ladder.cnt) {
        unsigned at = item->step_cnt++;
        int result = call(item->facts, item->ladder.steps[at], why, sizeof why);
        item->results[at] = result;
        if (why[0]) {
            text_add_shown(&item->why, why);
            text_add(&item->why, "\n");
        }
        if (result == 0 || result == -ENOENT)
            return result == 0;
    }
    return false;
}

/* `gone`: there is no such connection any more. */
static void see(struct end_item *item, bool gone, enum lastack_state state)
{
    state = gone ? LASTACK_CLOSED : state;
    if (state == item->last)
        return;
    /* Too quick to be seen; but a FIN leads from CLOSE-WAIT to the end in no other way. */
    bool fin = item->step_cnt && item->ladder.steps[item->step_cnt - 1] != LASTACK_END_RST;
    if (state == LASTACK_CLOSED && item->last == LASTACK_CLOSE_WAIT && fin)
        text_add(&item->path, " -> LAST-ACK");
    text_printf(&item->path, " -> %s",
                state == LASTACK_CLOSED ? "closed" : fact_state_name(state));
    item->last = state;
}

static bool was_told(const struct end_item *item)
{
    for (unsigned i = 0; i < item->step_cnt; i++)
        if (item->results[i] == 0)
            return true;
    return false;
}

static void step(const struct end_run *run, struct end_item *item)
{
    bool told = was_told(item);
    if (item->step_cnt == 0 && item->facts->source == FACT_SOURCE_KERNEL)
        kernel_end_look(item->facts, &item->now); /* so that later looks need not search */
    if (item->step_cnt == 0 && !end_log_intent(run->log, run->command, item)) {
        finish(run, item, END_PLANNED);
        return;
    }
    if (take_step(item))
        return;
    bool gone = item->step_cnt && item->results[item->step_cnt - 1] == -ENOENT;
    if (gone)
        see(item, true, LASTACK_CLOSED);
    finish(run, item, gone ? END_ENDED : told ? END_TOLD : END_FAILED);
}

/* ---- watching ---- */

/* What is to be done with it now. */
static enum ladder_verdict look_kernel(struct end_item *item)
{
    const struct kernel_now *now = &item->now;
    int result = kernel_end_look(item->facts, &item->now);
    if (result < 0 && result != -ENOENT)
        return LADDER_WAITS;
    see(item, result < 0, now->state);
    return result < 0 ? LADDER_OVER : ladder_judge(now->state, now->send_queue, now->inode != 0);
}

static enum ladder_verdict look_stack(struct end_item *item, const struct facts_list *list)
{
    const struct facts *f = facts_list_find(list, item->facts->id);
    see(item, !f, f ? f->state : LASTACK_CLOSED);
    return f ? ladder_judge(f->state, f->send_queue, f->orphan != FACT_YES) : LADDER_OVER;
}

static void settle(const struct end_run *run, struct end_item *item, enum ladder_verdict verdict,
                   bool late)
{
    if (verdict == LADDER_OVER)
        finish(run, item, END_ENDED);
    else if (late && verdict == LADDER_ENDING)
        finish(run, item, END_ENDING);
    else if (late && (item->step_cnt == item->ladder.cnt || end_stopped || run->log->failed))
        finish(run, item, END_TOLD);
}

/* All of one stack with one question. */
static void watch_stack(const struct end_run *run, struct end_items *items, uint32_t from, bool late)
{
    const char *stack = items->all[from].facts->stack;
    char why[CONTROL_WHY_LEN];
    struct facts_list list;
    facts_list_init(&list);
    int result = control_ask_facts(stack, &list, why);
    for (uint32_t i = from; i < items->cnt; i++) {
        struct end_item *item = &items->all[i];
        if (!item->active || strcmp(item->facts->stack, stack) != 0)
            continue;
        if (result == 0)
            settle(run, item, look_stack(item, &list), late);
        else if (late || result == -ENOENT || result == -ECONNREFUSED) {
            text_add(&item->path, " -> (the stack does not answer any more)");
            finish(run, item, END_TOLD);
        }
    }
    facts_list_free(&list);
}

static bool is_among(const char *const *names, unsigned cnt, const char *name)
{
    for (unsigned i = 0; i < cnt; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void watch_once(const struct end_run *run, struct end_items *items, bool late)
{
    const char *asked[STACK_MAX];
    unsigned asked_cnt = 0;
    for (uint32_t i = 0; i < items->cnt; i++) {
        struct end_item *item = &items->all[i];
        if (!item->active)
            continue;
        if (item->facts->source == FACT_SOURCE_KERNEL) {
            settle(run, item, look_kernel(item), late);
        } else if (!is_among(asked, asked_cnt, item->facts->stack)) {
            if (asked_cnt < STACK_MAX)
                asked[asked_cnt++] = item->facts->stack;
            watch_stack(run, items, i, late);
        }
    }
}

static bool any_active(const struct end_items *items)
{
    for (uint32_t i = 0; i < items->cnt; i++)
        if (items->all[i].active)
            return true;
    return false;
}

static void watch(const struct end_run *run, struct end_items *items)
{
    const uint64_t until_us = clock_us() + run->wait_us;
    for (long pause_ns = PAUSE_MIN_NS; any_active(items);) {
        bool late = clock_us() >= until_us || end_stopped;
        watch_once(run, items, late);
        if (late)
            return;
        nanosleep(&(struct timespec){0, pause_ns}, NULL);
        pause_ns = pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
    }
}

void end_act(const struct end_run *run, struct end_items *items)
{
    for (uint32_t i = 0; i < items->cnt; i++)
        items->all[i].active = !items->all[i].refused && items->all[i].ladder.cnt > 0;
    for (unsigned round = 0; round < LADDER_MAX && any_active(items); round++) {
        for (uint32_t i = 0; i < items->cnt; i++) {
            struct end_item *item = &items->all[i];
            if (!item->active)
                continue;
            if (end_stopped || run->log->failed) {
                finish(run, item, was_told(item) ? END_TOLD : END_PLANNED);
                continue;
            }
            step(run, item);
        }
        watch(run, items);
    }
}
