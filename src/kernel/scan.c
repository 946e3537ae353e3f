/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of a look: they grow, are found by number, and end with the look. */
#include "kernel/scan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor/big.h"

uint64_t scan_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void scan_wait_until(uint64_t then_ns)
{
    struct timespec until = {.tv_sec = (time_t)(then_ns / 1000000000u),
                             .tv_nsec = (long)(then_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

/* ---- number -> place ---- */

static struct scan_slot *slot_of(const struct scan_index *index, uint64_t key)
{
    uint32_t at = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & index->mask;
    while (index->slots[at].value && index->slots[at].key != key)
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

static bool index_grow(struct scan_index *index)
{
    uint32_t old_cnt = index->slots ? index->mask + 1 : 0, cnt = old_cnt ? old_cnt * 4 : 256;
    struct scan_slot *old = index->slots, *slots = big_alloc(cnt * sizeof *slots);
    if (!slots)
        return false;
    memset(slots, 0, cnt * sizeof *slots);
    index->slots = slots;
    index->mask = cnt - 1;
    for (uint32_t i = 0; i < old_cnt; i++)
        if (old[i].value)
            *slot_of(index, old[i].key) = old[i];
    free(old);
    return true;
}

uint32_t scan_index_get(const struct scan_index *index, uint64_t key)
{
    return index->slots ? slot_of(index, key)->value - 1 : SCAN_NONE;
}

bool scan_index_put(struct scan_index *index, uint64_t key, uint32_t value)
{
    if ((!index->slots || index->cnt * 2 > index->mask) && !index_grow(index))
        return false;
    struct scan_slot *slot = slot_of(index, key);
    index->cnt += slot->value == 0;
    *slot = (struct scan_slot){key, value + 1};
    return true;
}

void scan_index_free(struct scan_index *index)
{
    free(index->slots);
    memset(index, 0, sizeof *index);
}

/* ---- tables ---- */

/* A table that has become large gets all the room that it may take: address space costs nothing
 * until it is used, and what is never moved need not be copied. */
#define LARGE (1u << 20)

void *scan_array_more(void *array, uint32_t cnt, uint32_t *cap, size_t size, uint32_t max)
{
    uint32_t wanted = *cap ? *cap * 2 : 256;
    void *more = NULL;
    if (wanted * size >= LARGE && wanted < max && (more = big_alloc(max * size)) != NULL) {
        memcpy(more, array, cnt * size);
        free(array);
        *cap = max;
        return more;
    }
    more = realloc(array, wanted * size);
    if (more)
        *cap = wanted;
    return more;
}

/* Room for one more. */
static bool array_grow(struct scan *scan, void *array_at, uint32_t cnt, uint32_t *cap, size_t size,
                       uint32_t max)
{
    void *array;
    if (cnt < *cap)
        return true;
    if (cnt >= max) {
        scan->cut = true;
        return false;
    }
    memcpy(&array, array_at, sizeof array);
    array = scan_array_more(array, cnt, cap, size, max);
    if (!array) {
        scan->failed = true;
        return false;
    }
    memcpy(array_at, &array, sizeof array);
    return true;
}

void scan_init(struct scan *scan, const struct kernel_options *options, struct kernel_view *view)
{
    memset(scan, 0, sizeof *scan);
    scan->options = options;
    scan->view = view;
    scan->start_ns = scan_now_ns();
    scan->holders_all = scan->watchers_all = true;
}

void scan_free(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->space_cnt; i++) {
        if (scan->spaces[i].fd >= 0)
            close(scan->spaces[i].fd);
        if (scan->spaces[i].diag >= 0)
            close(scan->spaces[i].diag);
    }
    for (uint32_t i = 0; i < scan->hold_cnt; i++)
        free(scan->holds[i].where);
    census_free(&scan->census);
    free(scan->spaces);
    free(scan->sockets);
    free(scan->holds);
    free(scan->watches);
    free(scan->processes);
    free(scan->specials);
    free(scan->strangers);
    scan_index_free(&scan->by_inode);
    scan_index_free(&scan->by_cookie);
    scan_index_free(&scan->by_pid);
    memset(scan, 0, sizeof *scan);
}

struct scan_socket *scan_socket_add(struct scan *scan)
{
    if (!array_grow(scan, &scan->sockets, scan->socket_cnt, &scan->socket_cap,
                    sizeof *scan->sockets, SCAN_SOCKET_MAX))
        return NULL;
    struct scan_socket *s = &scan->sockets[scan->socket_cnt++];
    memset(s, 0, sizeof *s);
    s->shutdown = 0xff;
    s->error = -1;
    s->overflows = FACT_UNKNOWN;
    s->moved = FACT_MAYBE;
    s->hold_first = s->watch_first = s->creator = SCAN_NONE;
    s->tcp.unsent = s->tcp.send_window = s->tcp.receive_window = UINT32_MAX;
    return s;
}

void scan_socket_enter(struct scan *scan, uint32_t socket)
{
    const struct scan_socket *s = &scan->sockets[socket];
    if (s->cookie && !scan_index_put(&scan->by_cookie, s->cookie, socket))
        scan->failed = true;
    if (s->inode && !scan_index_put(&scan->by_inode, s->inode, socket))
        scan->failed = true;
}

uint32_t scan_by_inode(const struct scan *scan, uint64_t inode)
{
    return scan_index_get(&scan->by_inode, inode);
}

uint32_t scan_by_cookie(const struct scan *scan, uint64_t cookie)
{
    return scan_index_get(&scan->by_cookie, cookie);
}

uint32_t scan_process(struct scan *scan, uint32_t pid)
{
    uint32_t at = scan_index_get(&scan->by_pid, pid);
    if (at != SCAN_NONE)
        return at;
    if (!array_grow(scan, &scan->processes, scan->process_cnt, &scan->process_cap,
                    sizeof *scan->processes, SCAN_HOLD_MAX))
        return SCAN_NONE;
    struct scan_process *p = &scan->processes[scan->process_cnt];
    memset(p, 0, sizeof *p);
    p->pid = pid;
    p->hold_first = SCAN_NONE;
    if (!scan_index_put(&scan->by_pid, pid, scan->process_cnt)) {
        scan->failed = true;
        return SCAN_NONE;
    }
    return scan->process_cnt++;
}

struct scan_hold *scan_hold_add(struct scan *scan, uint32_t socket, uint32_t process,
                                enum fact_holder_kind kind, int fd)
{
    if (!array_grow(scan, &scan->holds, scan->hold_cnt, &scan->hold_cap, sizeof *scan->holds,
                    SCAN_HOLD_MAX)) {
        scan->holders_all = false;
        return NULL;
    }
    struct scan_hold *h = &scan->holds[scan->hold_cnt];
    struct scan_socket *s = &scan->sockets[socket];
    *h = (struct scan_hold){.socket = socket, .process = process, .next = s->hold_first,
                            .next_of_process = SCAN_NONE, .fd = fd, .kind = (uint8_t)kind,
                            .close_on_exec = FACT_MAYBE};
    s->hold_first = scan->hold_cnt;
    s->hold_cnt++;
    if (process != SCAN_NONE) {
        struct scan_process *p = &scan->processes[process];
        h->next_of_process = p->hold_first;
        p->hold_first = scan->hold_cnt;
        p->hold_cnt++;
    }
    scan->hold_cnt++;
    return h;
}

void scan_holds_clear(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->hold_cnt; i++)
        free(scan->holds[i].where);
    scan->hold_cnt = scan->special_cnt = scan->stranger_cnt = 0;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        scan->sockets[i].hold_first = SCAN_NONE;
        scan->sockets[i].hold_cnt = 0;
    }
    for (uint32_t i = 0; i < scan->process_cnt; i++) {
        scan->processes[i].hold_first = SCAN_NONE;
        scan->processes[i].hold_cnt = scan->processes[i].fd_cnt = 0;
    }
}

struct fact_watch *scan_watch_add(struct scan *scan, uint32_t socket)
{
    if (!array_grow(scan, &scan->watches, scan->watch_cnt, &scan->watch_cap,
                    sizeof *scan->watches, SCAN_HOLD_MAX)) {
        scan->watchers_all = false;
        return NULL;
    }
    struct scan_watch *w = &scan->watches[scan->watch_cnt];
    struct scan_socket *s = &scan->sockets[socket];
    memset(w, 0, sizeof *w);
    w->socket = socket;
    w->next = s->watch_first;
    w->watch.fd = w->watch.target_fd = FACT_NO_FD;
    w->watch.edge = w->watch.spent = w->watch.waited = FACT_MAYBE;
    w->watch.data = FACT_UNKNOWN;
    s->watch_first = scan->watch_cnt++;
    s->watch_cnt++;
    return &w->watch;
}

void scan_special_add(struct scan *scan, enum scan_special_kind kind, uint32_t process, int fd,
                      uint32_t tid)
{
    if (!array_grow(scan, &scan->specials, scan->special_cnt, &scan->special_cap,
                    sizeof *scan->specials, SCAN_HOLD_MAX)) {
        scan->watchers_all = false;
        return;
    }
    scan->specials[scan->special_cnt++] = (struct scan_special){process, fd, tid, (uint8_t)kind};
}

void scan_stranger_add(struct scan *scan, const struct scan_stranger *stranger)
{
    if (!array_grow(scan, &scan->strangers, scan->stranger_cnt, &scan->stranger_cap,
                    sizeof *scan->strangers, SCAN_HOLD_MAX))
        return;
    scan->strangers[scan->stranger_cnt++] = *stranger;
}
