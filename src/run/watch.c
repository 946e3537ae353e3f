/* SPDX-License-Identifier: BSD-2-Clause */
/* Who lets go of a socket that others keep. */
#include "run/watch.h"

#include "run/holders.h"
#include "run/pair.h"
#include "run/task.h"

#define RELATIVE_MAX 16
#define FORK_MAX 256     /* pairs that are looked at when a process forks */
#define LOOK_MAX 256     /* pairs in one go */
#define SCAN_SHARE 10    /* scans of /proc take at most one part in so many of our time */

/* A pair waits in the queue of its step: each is in order of time by itself. */
static const uint32_t pauses_ms[WATCH_STEP_CNT] = {2, 8, 32, 128, 512, 2048, 8192};

struct seen_list {
    struct seen all[SEEN_MAX];
    unsigned cnt;
};

void watch_init(struct supervisor *s)
{
    for (unsigned step = 0; step < WATCH_STEP_CNT; step++)
        list_init(&s->watched[step]);
}

void watch_seen(struct pair *pair, pid_t pid, int fd)
{
    for (unsigned i = 0; i < pair->seen_cnt; i++)
        if (pair->seen[i].pid == pid && pair->seen[i].fd == fd)
            return;
    if (pair->seen_cnt < SEEN_MAX && pid > 0 && fd >= 0)
        pair->seen[pair->seen_cnt++] = (struct seen){pid, fd};
}

static void watch_step(struct supervisor *s, struct pair *pair, unsigned step)
{
    list_remove(&pair->watch);
    pair->watch_step = (uint8_t)step;
    pair->watch_ns = s->now_ns + pauses_ms[step] * 1000000ull;
    list_push_back(&s->watched[step], &pair->watch);
}

void watch_start(struct supervisor *s, struct pair *pair)
{
    if (!s->options.close_trace)
        watch_step(s, pair, 0);
}

/* Parents and children with the same number open on the same socket: what fork leaves behind. */
static void watch_relatives(struct supervisor *s, struct pair *pair, struct seen of)
{
    pid_t relatives[RELATIVE_MAX];
    unsigned cnt = task_children(of.pid, relatives, RELATIVE_MAX - 1);

    relatives[cnt++] = task_parent(of.pid);
    for (unsigned i = 0; i < cnt; i++) {
        if (relatives[i] <= 1 || relatives[i] == s->self ||
            !pair_held_by(s, pair, relatives[i], of.fd))
            continue;
        watch_seen(pair, relatives[i], of.fd);
        task_name_keep(s, relatives[i]); /* it may be gone when its story is told */
    }
}

/* Those who were known and hold it no more move from the pair to `gone`. */
static void watch_sort(struct supervisor *s, struct pair *pair, struct seen_list *gone)
{
    unsigned kept = 0;

    gone->cnt = 0;
    for (unsigned i = 0; i < pair->seen_cnt; i++) {
        if (pair_held_by(s, pair, pair->seen[i].pid, pair->seen[i].fd))
            pair->seen[kept++] = pair->seen[i];
        else
            gone->all[gone->cnt++] = pair->seen[i];
    }
    pair->seen_cnt = (uint8_t)kept;
}

/* Nobody who is known holds it: ask /proc. False: not now. */
static bool watch_scan(struct supervisor *s, struct pair *pair)
{
    uint64_t start_ns = clock_now();
    struct holder_set set;
    const struct holder *at;
    unsigned cnt;

    if (s->scan_ns > s->now_ns)
        return false;
    holders_scan(s, &set);
    at = holders_of(&set, pair->inode, &cnt);
    for (unsigned i = 0; i < cnt; i++)
        watch_seen(pair, at[i].pid, at[i].fd);
    holders_free(&set);
    s->scan_ns = s->now_ns + SCAN_SHARE * (clock_now() - start_ns);
    return true;
}

static void watch_note(struct supervisor *s, struct pair *pair, const struct seen_list *gone,
                       uint32_t left)
{
    for (unsigned i = 0; i < gone->cnt; i++) {
        lastack_close_note(s->process, pair->fd, (uint32_t)gone->all[i].pid, gone->all[i].fd,
                           left + gone->cnt - 1 - i);
    }
    pair->pid = pair->seen[0].pid;
    pair->pid_fd = pair->seen[0].fd;
}

/* True: it is clear who holds it now. */
static bool watch_pair(struct supervisor *s, struct pair *pair)
{
    struct seen_list gone;

    watch_sort(s, pair, &gone);
    for (unsigned i = 0; i < gone.cnt; i++)
        watch_relatives(s, pair, gone.all[i]);
    if (gone.cnt == 0)
        return true;
    if (pair->seen_cnt == 0 && (!watch_scan(s, pair) || pair->seen_cnt == 0)) {
        for (unsigned i = 0; i < gone.cnt; i++) /* the hang-up is on its way, or a message has it */
            watch_seen(pair, gone.all[i].pid, gone.all[i].fd);
        return false;
    }
    watch_note(s, pair, &gone, pair->seen_cnt);
    return true;
}

void watch_end_of_stream(struct supervisor *s, struct pair *pair)
{
    if (s->options.close_trace || pair->a >= 0)
        return;
    for (unsigned i = 0; i < pair->seen_cnt; i++)
        watch_relatives(s, pair, pair->seen[i]);
    watch_pair(s, pair);
    watch_start(s, pair);
}

/* The child has what its parent is known to have. */
static void watch_inherited(struct supervisor *s, struct pair *pair, pid_t parent, pid_t child)
{
    unsigned cnt = pair->seen_cnt;

    for (unsigned i = 0; i < cnt; i++)
        if (pair->seen[i].pid == parent && pair_held_by(s, pair, child, pair->seen[i].fd))
            watch_seen(pair, child, pair->seen[i].fd);
    if (pair->seen_cnt > cnt)
        watch_step(s, pair, 0);
}

void watch_fork(struct supervisor *s, pid_t parent, pid_t child)
{
    unsigned left = FORK_MAX;

    for (unsigned step = 0; step < WATCH_STEP_CNT; step++) {
        struct list *node = s->watched[step].prev, *before;

        for (; node != &s->watched[step] && left > 0; node = before, left--) {
            before = node->prev;
            watch_inherited(s, (struct pair *)((char *)node - offsetof(struct pair, watch)),
                            parent, child);
        }
    }
}

bool watch_last(const struct pair *pair, pid_t *pid, int *fd)
{
    if (pair->seen_cnt != 1)
        return false;
    *pid = pair->seen[0].pid;
    *fd = pair->seen[0].fd;
    return true;
}

static void watch_look_step(struct supervisor *s, unsigned step)
{
    for (unsigned left = LOOK_MAX; left > 0 && !list_empty(&s->watched[step]); left--) {
        struct pair *pair =
            (struct pair *)((char *)s->watched[step].next - offsetof(struct pair, watch));
        unsigned next = step + 1 < WATCH_STEP_CNT ? step + 1 : step;

        if (pair->watch_ns > s->now_ns)
            return;
        if (pair->kind != PAIR_CONNECTED || pair->hung_up) {
            list_remove(&pair->watch);
            continue;
        }
        if (pair->a >= 0 || watch_pair(s, pair))
            watch_step(s, pair, next);
        else
            watch_step(s, pair, step > 0 ? step : 1);
    }
}

void watch_look(struct supervisor *s)
{
    for (unsigned step = 0; step < WATCH_STEP_CNT; step++)
        watch_look_step(s, step);
}

uint64_t watch_deadline(const struct supervisor *s)
{
    uint64_t due_ns = LASTACK_NEVER;

    for (unsigned step = 0; step < WATCH_STEP_CNT; step++) {
        const struct pair *pair =
            (struct pair *)((char *)s->watched[step].next - offsetof(struct pair, watch));

        if (!list_empty(&s->watched[step]) && pair->watch_ns < due_ns)
            due_ns = pair->watch_ns;
    }
    return due_ns;
}
