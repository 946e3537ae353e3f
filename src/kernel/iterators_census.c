/* SPDX-License-Identifier: BSD-2-Clause */
/* From records of processes and threads to a census. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/census.h"
#include "kernel/iterators_look.h"

static int compare_threads(const void *a, const void *b)
{
    const struct record_thread *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static int compare_tasks(const void *a, const void *b)
{
    const struct record_task *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Bits of task_struct.__state and .exit_state, as /proc/PID/stat shows them. */
static char state_letter(uint32_t state)
{
    static const char letters[] = "SDTtXZPI";
    for (int i = 0; letters[i]; i++)
        if (state & 1u << i)
            return letters[i];
    return 'R';
}

static void read_thread(struct call_thread *to, const struct record_thread *r)
{
    *to = (struct call_thread){.tid = r->tid, .running = r->running, .nr = r->call};
    to->blocked = !r->running && r->call >= 0;
    for (int i = 0; i < 6; i++)
        to->args[i] = r->args[i];
}

static void read_process(struct census_process *to, const struct record_task *r)
{
    *to = (struct census_process){.pid = r->pid, .groups = r->groups};
    snprintf(to->stat.program, sizeof to->stat.program, "%.*s", (int)sizeof r->comm, r->comm);
    to->stat.state = state_letter(r->state);
    to->stat.threads = r->threads;
    to->stat.start_ticks = r->start_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
    to->fd_limit = r->fd_limit < UINT32_MAX ? (uint32_t)r->fd_limit : 0;
}

void look_census(struct look *look, struct census *census)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < look->thread_cnt; i++)
        if (!look->threads[i].known && !look->threads[i].running)
            return; /* not on this architecture: /proc knows */
    *census = (struct census){
        .processes = calloc(look->task_cnt + 1ull, sizeof *census->processes),
        .threads = calloc(look->thread_cnt + 1ull, sizeof *census->threads),
    };
    if (!census->processes || !census->threads) {
        census_free(census);
        return;
    }
    qsort(look->threads, look->thread_cnt, sizeof *look->threads, compare_threads);
    struct record_task *tasks = look->tasks; /* in the order of their numbers, which is the iterator's */
    for (uint32_t i = 1; i < look->task_cnt; i++)
        if (compare_tasks(&tasks[i - 1], &tasks[i]) >= 0)
            return; /* an empty census: /proc knows */
    for (uint32_t i = 0; i < look->task_cnt; i++) {
        struct census_process *p = &census->processes[i];
        read_process(p, &tasks[i]);
        while (at < look->thread_cnt && look->threads[at].pid < p->pid)
            at++;
        p->thread_first = census->thread_cnt;
        for (; at < look->thread_cnt && look->threads[at].pid == p->pid; at++)
            read_thread(&census->threads[census->thread_cnt++], &look->threads[at]);
        p->thread_cnt = census->thread_cnt - p->thread_first;
    }
    census->process_cnt = look->task_cnt;
}
