/* SPDX-License-Identifier: BSD-2-Clause */
/* One process after the other: everything that leads to it is sorted by process first. */
#include "kernel/details.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor/big.h"
#include "kernel/call.h"
#include "kernel/container.h"
#include "kernel/epoll.h"
#include "kernel/process.h"
#include "kernel/scan.h"

#define FLAGS_MAX         4096u     /* descriptors asked whether they stay across exec, */
#define FLAGS_PROCESS_MAX 4u        /* of one process */
#define CPU_APART_NS      50000000u /* between two looks at the clock of a process */

/* What leads to a process: a holder, or a watcher, of a record. */
struct lead {
    uint32_t pid, tid;
    int32_t fd;
    uint32_t facts, at; /* indices */
    bool watch;
};

struct cpu_look {
    uint64_t cpu_ns, at_ns;
};

struct details {
    struct facts_list *list;
    struct lead *leads;
    uint32_t lead_cnt;
    struct cpu_look *cpus; /* by first lead of a process */
    uint32_t process_cnt, flags_cnt;
    const struct details_how *how;
    uint64_t groups;    /* the last ones, */
    char container[64]; /* and their name */
    bool *cut; /* by record: some thread of a holder could not be looked at */
    uint32_t first;
};

/* A process in hand. */
struct subject {
    struct details *d;
    uint32_t pid;
    int dir;
    struct process_stat stat;
    struct lead *leads;
    uint32_t lead_cnt;
    const struct call_thread *threads;
    struct call_thread *own_threads; /* if they are ours to free */
    uint32_t thread_cnt;
    const struct call_thread *told; /* whose doing `telling` has */
    struct fact_holder telling;
    bool cut;
    uint32_t fd_limit;
    char container[64];
};

static struct fact_holder *holder_of(struct details *d, const struct lead *lead)
{
    return &d->list->all[lead->facts].holders[lead->at];
}

static struct fact_watch *watch_of(struct details *d, const struct lead *lead)
{
    return &d->list->all[lead->facts].watches[lead->at];
}

/* ---- who is worth it ---- */

bool details_of_interest(const struct facts *f)
{
    switch (f->state) {
    case LASTACK_LISTEN:
        return f->receive_queue > 0;
    case LASTACK_ESTABLISHED:
        return f->receive_queue > 0 || f->send_queue > 0 || f->holder_cnt == 0 ||
               f->holders[0].kind != FACT_HOLDER_DESCRIPTOR || f->creator_holds == FACT_NO;
    case LASTACK_SYN_SENT:
    case LASTACK_TIME_WAIT:
        return false;
    default:
        return true;
    }
}

/* By process; holders before watchers; by descriptor. */
static uint64_t lead_key(const struct lead *lead)
{
    return (uint64_t)lead->pid << 33 | (uint64_t)lead->watch << 32 |
           ((uint32_t)lead->fd ^ UINT32_C(0x80000000));
}

static bool leads_sort(struct details *d)
{
    struct lead *sorted = big_alloc((d->lead_cnt + 1ull) * sizeof *sorted);
    struct big_order *order = big_alloc((d->lead_cnt + 1ull) * sizeof *order);
    bool good = sorted && order;
    for (uint32_t i = 0; good && i < d->lead_cnt; i++)
        order[i] = (struct big_order){lead_key(&d->leads[i]), i};
    good = good && big_sort(order, d->lead_cnt);
    for (uint32_t i = 0; good && i < d->lead_cnt; i++)
        sorted[i] = d->leads[order[i].at];
    free(order);
    if (!good) {
        free(sorted);
        return false;
    }
    free(d->leads);
    d->leads = sorted;
    return true;
}

static void lead_put(struct details *d, struct lead lead)
{
    if (lead.pid != FACT_NO_PID)
        d->leads[d->lead_cnt++] = lead;
}

/* Who watches it is asked. */
static bool is_watched(const struct details *d, const struct facts *f)
{
    return d->how->all_watched || details_of_interest(f);
}

static bool leads_make(struct details *d)
{
    bool all = d->how->all_watched || d->how->all_holders;
    size_t cnt = 0;
    for (uint32_t i = d->first; i < d->list->cnt; i++)
        if (all || details_of_interest(&d->list->all[i]))
            cnt += d->list->all[i].holder_cnt + d->list->all[i].watch_cnt;
    d->leads = big_alloc((cnt + 1) * sizeof *d->leads);
    d->cut = calloc(d->list->cnt - d->first + 1, sizeof *d->cut);
    if (!d->leads || !d->cut)
        return false;
    for (uint32_t i = d->first; i < d->list->cnt; i++) {
        const struct facts *f = &d->list->all[i];
        if (!all && !details_of_interest(f))
            continue;
        for (uint32_t h = 0; h < f->holder_cnt; h++)
            lead_put(d, (struct lead){f->holders[h].pid, f->holders[h].tid, f->holders[h].fd, i, h,
                                      false});
        for (uint32_t w = 0; w < f->watch_cnt; w++)
            lead_put(d, (struct lead){f->watches[w].pid, f->watches[w].tid, f->watches[w].fd, i, w,
                                      true});
    }
    return leads_sort(d);
}

/* ---- one process ---- */

/* Is it still the process that was met? One of its descriptors must lead where it led. */
static bool is_same(const struct subject *s)
{
    unsigned tried = 0;
    for (uint32_t i = 0; i < s->lead_cnt && tried < 4; i++) {
        const struct lead *lead = &s->leads[i];
        char path[56], wanted[32], target[64];
        if (lead->watch || lead->fd < 0 ||
            holder_of(s->d, lead)->kind != FACT_HOLDER_DESCRIPTOR)
            continue;
        tried++;
        if (lead->tid)
            snprintf(path, sizeof path, "task/%u/fd/%d", lead->tid, lead->fd);
        else
            snprintf(path, sizeof path, "fd/%d", lead->fd);
        snprintf(wanted, sizeof wanted, "socket:[%llu]",
                 (unsigned long long)s->d->list->all[lead->facts].inode);
        ssize_t len = readlinkat(s->dir, path, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        if (strcmp(target, wanted) == 0)
            return true;
    }
    return tried == 0;
}

static uint32_t limit_read(int dir)
{
    char text[2048];
    ssize_t len = process_read(dir, "limits", text, sizeof text);
    const char *line = len > 0 ? strstr(text, "Max open files") : NULL;
    unsigned long limit = line ? strtoul(line + 14, NULL, 10) : 0; /* "unlimited": 0 */
    return limit < UINT32_MAX ? (uint32_t)limit : 0;
}

static void container_read(struct subject *s)
{
    char cgroup[2048];
    int dir = s->dir >= 0 ? s->dir : process_open(s->pid);
    if (dir < 0)
        return;
    if (process_read(dir, "cgroup", cgroup, sizeof cgroup) > 0)
        container_name(cgroup, s->container, sizeof s->container);
    if (s->dir < 0)
        close(dir);
}

/* All is known already. `dir` stays closed: few processes are asked for more. */
static void subject_take(struct subject *s, const struct census_process *p)
{
    s->dir = -1;
    s->stat = p->stat;
    s->fd_limit = p->fd_limit;
    s->threads = s->d->how->census->threads + p->thread_first;
    s->thread_cnt = p->thread_cnt;
    if (p->groups != s->d->groups) {
        container_read(s);
        memcpy(s->d->container, s->container, sizeof s->container);
        s->d->groups = p->groups;
    } else {
        memcpy(s->container, s->d->container, sizeof s->container);
    }
}

static bool subject_open(struct subject *s)
{
    const struct census *census = s->d->how->census;
    const struct census_process *known = census ? census_find(census, s->pid) : NULL;
    if (known) {
        subject_take(s, known);
        return true;
    }
    s->dir = process_open(s->pid);
    if (s->dir < 0)
        return false;
    if (!process_stat(s->dir, "stat", &s->stat) || !is_same(s)) {
        close(s->dir);
        return false;
    }
    s->fd_limit = limit_read(s->dir);
    container_read(s);
    s->thread_cnt = call_threads(s->dir, &s->own_threads, &s->cut);
    s->threads = s->own_threads;
    return true;
}

static void subject_close(struct subject *s)
{
    free(s->own_threads);
    if (s->dir >= 0)
        close(s->dir);
}

/* /proc/PID, opened when it is asked for. */
static int subject_dir(struct subject *s)
{
    if (s->dir < 0)
        s->dir = process_open(s->pid);
    return s->dir;
}

/* The record that descriptor `fd` of this process leads to; NULL: none that we look at. */
static struct lead *lead_find(const struct subject *s, uint32_t tid, int32_t fd)
{
    for (uint32_t low = 0, high = s->lead_cnt; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        struct lead *lead = &s->leads[middle];
        if (lead->watch || lead->fd > fd)
            high = middle;
        else if (lead->fd < fd)
            low = middle + 1;
        else
            return lead->tid == 0 || lead->tid == tid ? lead : NULL;
    }
    return NULL;
}

/* ---- threads as watchers ---- */

static void watch_put(struct subject *s, const struct call_thread *thread,
                      const struct call_wait *wait, const struct lead *lead)
{
    struct fact_watch *w = facts_watch_add(s->d->list, &s->d->list->all[lead->facts]);
    char text[24];
    if (!w)
        return;
    w->kind = call_doing(thread, text) == FACT_DOING_POLL ? FACT_WATCH_POLL : FACT_WATCH_CALL;
    w->pid = s->pid;
    w->tid = thread->tid;
    w->target_fd = wait->fd;
    w->events = wait->events;
    w->edge = w->spent = FACT_NO;
    w->waited = FACT_YES;
}

/* The thread that has most to do with a holder is what its process is doing, as far as this
 * connection goes. */
enum rank { RANK_NONE, RANK_ANY, RANK_FIRST, RANK_RUNNING, RANK_POLLER, RANK_ON_IT };

/* Which socket a call works on; OTHER if it is none (a pipe, a terminal). */
static void doing_subject(struct subject *s, struct fact_holder *h,
                          const struct call_thread *thread)
{
    int32_t fd = (int32_t)thread->args[0];
    struct lead *lead;
    if (h->doing != FACT_DOING_ACCEPT && h->doing != FACT_DOING_RECV &&
        h->doing != FACT_DOING_SEND && h->doing != FACT_DOING_CONNECT)
        return;
    lead = lead_find(s, thread->tid, fd);
    if (lead) {
        h->doing_id = s->d->list->all[lead->facts].id;
        return;
    }
    uint64_t id = s->d->how->id_of(s->d->how->context, s->pid, fd);
    if (id)
        h->doing_id = id;
    else if (!call_is_gone(subject_dir(s), thread->tid, fd))
        h->doing = FACT_DOING_OTHER;
}

static void doing_put(struct subject *s, struct fact_holder *h, const struct call_thread *thread)
{
    if (s->told != thread) { /* the same for all that it holds */
        s->telling.doing = call_doing(thread, s->telling.doing_text);
        s->telling.doing_id = FACT_UNKNOWN;
        doing_subject(s, &s->telling, thread);
        s->told = thread;
    }
    h->doing = s->telling.doing;
    h->doing_id = s->telling.doing_id;
    memcpy(h->doing_text, s->telling.doing_text, sizeof h->doing_text);
}

/* Highest rank so far, by lead. */
static void lead_rank(struct subject *s, uint8_t *ranks, uint32_t at,
                      const struct call_thread *thread, enum rank rank)
{
    const struct lead *lead = &s->leads[at];
    if (ranks[at] >= rank || lead->watch)
        return;
    ranks[at] = (uint8_t)rank;
    doing_put(s, holder_of(s->d, lead), thread);
}

static void thread_waits(struct subject *s, uint8_t *ranks, const struct call_thread *thread)
{
    struct call_wait *waits = malloc(CALL_WAIT_MAX * sizeof *waits);
    uint32_t cnt = waits ? call_waits(s->pid, thread, waits, &s->cut) : 0;
    for (uint32_t i = 0; i < cnt; i++) {
        struct lead *lead = lead_find(s, thread->tid, waits[i].fd);
        if (!lead)
            continue;
        lead_rank(s, ranks, (uint32_t)(lead - s->leads), thread, RANK_ON_IT);
        if (!s->d->how->calls_known && is_watched(s->d, &s->d->list->all[lead->facts]))
            watch_put(s, thread, &waits[i], lead);
    }
    free(waits);
}

/* Iterators know that a thread waits in a call, and the call says for what. */
static void watches_complete(struct subject *s, const struct call_thread *thread)
{
    struct call_wait *waits = NULL;
    for (uint32_t i = 0; i < s->lead_cnt; i++) {
        struct fact_watch *w = s->leads[i].watch ? watch_of(s->d, &s->leads[i]) : NULL;
        if (!w || w->kind != FACT_WATCH_CALL || w->tid != thread->tid || w->events)
            continue;
        if (!waits && !(waits = malloc(CALL_WAIT_MAX * sizeof *waits)))
            return;
        if (call_waits(s->pid, thread, waits, &s->cut) == 1) {
            w->target_fd = waits[0].fd;
            w->events = waits[0].events;
            w->waited = FACT_YES;
        }
    }
    free(waits);
}

/* A call that holds the socket by itself, its number having been closed, works on it. */
static void thread_holds(struct subject *s, uint8_t *ranks, const struct call_thread *thread)
{
    for (uint32_t i = 0; i < s->lead_cnt; i++) {
        struct fact_holder *h = s->leads[i].watch ? NULL : holder_of(s->d, &s->leads[i]);
        if (!h || h->kind != FACT_HOLDER_CALL || h->tid != thread->tid)
            continue;
        ranks[i] = RANK_ON_IT;
        h->doing = call_doing(thread, h->doing_text);
        if (h->doing != FACT_DOING_POLL)
            h->doing_id = s->d->list->all[s->leads[i].facts].id;
    }
}

/* Threads in epoll_wait: their epolls are waited on, and what these watch is looked after. */
static void thread_polls(struct subject *s, uint8_t *ranks, const struct call_thread *thread)
{
    for (uint32_t i = 0; i < s->lead_cnt; i++) {
        struct lead *lead = &s->leads[i];
        if (!lead->watch || lead->fd != (int32_t)thread->args[0])
            continue;
        struct fact_watch *w = watch_of(s->d, lead);
        if (w->kind != FACT_WATCH_EPOLL)
            continue;
        w->waited = FACT_YES;
        struct lead *held = lead_find(s, thread->tid, w->target_fd);
        if (held && held->facts == lead->facts)
            lead_rank(s, ranks, (uint32_t)(held - s->leads), thread, RANK_POLLER);
    }
}

static const struct call_thread *thread_typical(const struct subject *s, enum rank *rank)
{
    const struct call_thread *found = NULL;
    *rank = RANK_NONE;
    for (uint32_t i = 0; i < s->thread_cnt; i++) {
        const struct call_thread *t = &s->threads[i];
        enum rank r = t->running ? RANK_RUNNING : t->tid == s->pid ? RANK_FIRST : RANK_ANY;
        if (r > *rank) {
            *rank = r;
            found = t;
        }
    }
    return found;
}

/* An epoll that nobody waits on: what keeps the process from it? */
static void watches_end(struct subject *s, const struct call_thread *typical)
{
    for (uint32_t i = 0; i < s->lead_cnt; i++) {
        if (!s->leads[i].watch)
            continue;
        struct fact_watch *w = watch_of(s->d, &s->leads[i]);
        if (w->kind != FACT_WATCH_EPOLL || w->waited == FACT_YES)
            continue;
        w->waited = s->cut ? FACT_MAYBE : FACT_NO;
        if (typical)
            w->doing = call_doing(typical, w->doing_text);
    }
}

static void threads_put(struct subject *s)
{
    uint8_t *ranks = calloc(s->lead_cnt + 1, 1);
    enum rank rank;
    const struct call_thread *typical = thread_typical(s, &rank);
    if (!ranks) {
        s->d->list->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s->thread_cnt; i++) {
        if (call_is_epoll(&s->threads[i]))
            thread_polls(s, ranks, &s->threads[i]);
        else
            thread_waits(s, ranks, &s->threads[i]);
        thread_holds(s, ranks, &s->threads[i]);
        if (s->d->how->calls_known)
            watches_complete(s, &s->threads[i]);
    }
    for (uint32_t i = 0; typical && i < s->lead_cnt; i++)
        lead_rank(s, ranks, i, typical, rank);
    watches_end(s, typical);
    free(ranks);
}

/* ---- what is said of every holder ---- */

static fact_bool close_on_exec(struct subject *s, const struct lead *lead)
{
    char path[56], text[256];
    if (lead->tid)
        snprintf(path, sizeof path, "task/%u/fdinfo/%d", lead->tid, lead->fd);
    else
        snprintf(path, sizeof path, "fdinfo/%d", lead->fd);
    s->d->flags_cnt++;
    ssize_t len = process_read(subject_dir(s), path, text, sizeof text);
    const char *line = len > 0 ? strstr(text, "flags:") : NULL;
    if (!line)
        return FACT_MAYBE;
    return strtoul(line + 6, NULL, 8) & O_CLOEXEC ? FACT_YES : FACT_NO;
}

static void holder_put(struct subject *s, const struct lead *lead, uint64_t age_us,
                       uint32_t *flags_cnt)
{
    struct fact_holder *h = holder_of(s->d, lead);
    struct facts *f = &s->d->list->all[lead->facts];
    memcpy(h->program, s->stat.program, sizeof h->program);
    h->threads = s->stat.threads;
    h->fd_limit = s->fd_limit;
    h->process_us = age_us;
    if (f->container[0] == '\0')
        memcpy(f->container, s->container, sizeof f->container);
    if (h->kind == FACT_HOLDER_DESCRIPTOR && h->close_on_exec == FACT_MAYBE &&
        *flags_cnt < FLAGS_PROCESS_MAX && s->d->flags_cnt < FLAGS_MAX) {
        h->close_on_exec = close_on_exec(s, lead);
        ++*flags_cnt;
    }
    if (s->stat.state == 'T' || s->stat.state == 't') {
        h->doing = FACT_DOING_STOPPED;
        h->doing_text[0] = '\0';
        h->doing_id = FACT_UNKNOWN;
    } else if (s->stat.state == 'Z' && s->stat.threads <= 1) {
        h->doing = FACT_DOING_ZOMBIE;
    }
    if (s->cut)
        s->d->cut[lead->facts - s->d->first] = true;
}

static void subject_look(struct details *d, struct lead *leads, uint32_t lead_cnt)
{
    struct subject s = {.d = d, .pid = leads->pid, .leads = leads, .lead_cnt = lead_cnt};
    uint32_t flags_cnt = 0;
    if (!subject_open(&s)) {
        for (uint32_t i = 0; i < lead_cnt; i++)
            d->cut[leads[i].facts - d->first] = true;
        return;
    }
    threads_put(&s);
    uint64_t now = process_now_ticks();
    uint64_t age_us =
        process_ticks_us(now > s.stat.start_ticks ? now - s.stat.start_ticks : 0);
    for (uint32_t i = 0; i < lead_cnt; i++)
        if (!leads[i].watch)
            holder_put(&s, &leads[i], age_us, &flags_cnt);
    subject_close(&s);
}

/* ---- CPU ---- */

/* The clock of another process, which the kernel tells everybody: see clock_getcpuclockid(3). */
static uint64_t cpu_ns(uint32_t pid)
{
    clockid_t clock = (clockid_t)(~pid << 3 | 2);
    struct timespec used;
    if (clock_gettime(clock, &used) != 0)
        return FACT_UNKNOWN;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint32_t leads_of_process(const struct details *d, uint32_t at)
{
    uint32_t cnt = 1;
    while (at + cnt < d->lead_cnt && d->leads[at + cnt].pid == d->leads[at].pid)
        cnt++;
    return cnt;
}

static void cpus_begin(struct details *d)
{
    for (uint32_t at = 0, process = 0; at < d->lead_cnt && process < DETAILS_PROCESS_MAX;
         at += leads_of_process(d, at), process++)
        d->cpus[process] = (struct cpu_look){cpu_ns(d->leads[at].pid), scan_now_ns()};
}

static void cpus_end(struct details *d)
{
    uint64_t now = scan_now_ns(), apart = now - d->cpus[0].at_ns;
    if (apart < CPU_APART_NS) {
        struct timespec rest = {.tv_nsec = (long)(CPU_APART_NS - apart)};
        nanosleep(&rest, NULL);
    }
    for (uint32_t at = 0, process = 0; at < d->lead_cnt && process < DETAILS_PROCESS_MAX;
         process++) {
        const struct cpu_look *from = &d->cpus[process];
        uint32_t cnt = leads_of_process(d, at), end = at + cnt;
        uint64_t cpu = cpu_ns(d->leads[at].pid), ns = scan_now_ns() - from->at_ns;
        bool known = cpu != FACT_UNKNOWN && from->cpu_ns != FACT_UNKNOWN && cpu >= from->cpu_ns;
        for (; at < end; at++)
            if (known && ns && !d->leads[at].watch)
                holder_of(d, &d->leads[at])->cpu_percent =
                    (uint32_t)((cpu - from->cpu_ns) * 100 / ns);
    }
}

/* ---- conclusions ---- */

/* Would it be told if there was something to read? */
static bool tells_reading(const struct fact_watch *w)
{
    return w->spent != FACT_YES && w->events & (POLLIN | POLLRDNORM | POLLRDHUP);
}

static void watching_put(struct details *d, struct facts *f, bool cut)
{
    if (cut || f->holders_known != FACT_YES)
        f->watchers_known = !d->how->calls_known || cut ? FACT_NO : f->watchers_known;
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        struct fact_holder *h = &f->holders[i];
        h->watching = f->watchers_known == FACT_YES ? FACT_NO : FACT_MAYBE;
        for (uint32_t w = 0; w < f->watch_cnt; w++)
            if (f->watches[w].pid == h->pid && tells_reading(&f->watches[w]))
                h->watching = FACT_YES;
    }
}

static void processes_look(struct details *d)
{
    uint32_t at = 0;
    if (!d->how->no_cpu)
        cpus_begin(d);
    for (; at < d->lead_cnt && d->process_cnt < DETAILS_PROCESS_MAX; d->process_cnt++) {
        uint32_t cnt = leads_of_process(d, at);
        subject_look(d, &d->leads[at], cnt);
        at += cnt;
    }
    if (at < d->lead_cnt) {
        text_printf(d->how->unseen,
                    "what they are doing was looked at for %u processes only: narrow it by port, "
                    "process or state\n", DETAILS_PROCESS_MAX);
        for (; at < d->lead_cnt; at++)
            d->cut[d->leads[at].facts - d->first] = true;
    }
    if (!d->how->no_cpu)
        cpus_end(d);
}

void details_add(struct facts_list *list, uint32_t first, const struct details_how *how)
{
    struct details d = {.list = list, .first = first, .how = how};
    d.cpus = malloc(DETAILS_PROCESS_MAX * sizeof *d.cpus);
    if (!d.cpus || !leads_make(&d)) {
        list->failed = true;
    } else if (d.lead_cnt) {
        processes_look(&d);
        for (uint32_t i = first; i < list->cnt; i++)
            if (is_watched(&d, &list->all[i]))
                watching_put(&d, &list->all[i], d.cut[i - first]);
    }
    free(d.cpus);
    free(d.leads);
    free(d.cut);
}
