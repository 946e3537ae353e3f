/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/PID/fdinfo/FD of an epoll: one line for each target,
 * "tfd:        5 events: 80000019 data: 7f00dead  pos:0 ino:4e2 sdev:8". */
#include "kernel/epoll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel/process.h"

#define TEXT_MAX (32u << 20) /* bytes of such lines in one look, ~1 us for each 95 */

#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | (uint32_t)EPOLLET | EPOLLEXCLUSIVE)

struct epolls {
    struct scan *scan;
    bool *first;    /* processes that hold an interesting socket */
    uint64_t device; /* of sockets, in the kernel's form */
    size_t total;
};

bool epoll_is_spent(uint32_t events)
{
    return events & EPOLLONESHOT && !(events & ~PRIVATE_BITS);
}

static void target_put(struct epolls *e, const struct scan_special *epoll, const char *line)
{
    int fd;
    uint32_t events;
    unsigned long long data, inode, device;
    if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%llx sdev:%llx", &fd, &events,
               &data, &inode, &device) != 5 ||
        device != e->device)
        return;
    uint32_t socket = scan_by_inode(e->scan, inode);
    if (socket == SCAN_NONE || !e->scan->sockets[socket].interesting)
        return;
    struct fact_watch *w = scan_watch_add(e->scan, socket);
    if (!w)
        return;
    w->kind = FACT_WATCH_EPOLL;
    w->pid = e->scan->processes[epoll->process].pid;
    w->tid = epoll->tid;
    w->fd = epoll->fd;
    w->target_fd = fd;
    w->events = events;
    w->edge = events & (uint32_t)EPOLLET ? FACT_YES : FACT_NO;
    w->spent = epoll_is_spent(events) ? FACT_YES : FACT_NO;
    w->data = data;
}

static void epoll_read(struct epolls *e, int dir, const struct scan_special *epoll)
{
    struct process_text text;
    char path[64], *line;
    if (e->total >= TEXT_MAX) {
        e->scan->watchers_all = false;
        return;
    }
    if (epoll->tid)
        snprintf(path, sizeof path, "task/%u/fdinfo/%d", epoll->tid, epoll->fd);
    else
        snprintf(path, sizeof path, "fdinfo/%d", epoll->fd);
    process_text_open(&text, dir, path);
    while ((line = process_text_line(&text)) && e->total + text.total < TEXT_MAX)
        if (line[0] == 't')
            target_put(e, epoll, line);
    if (line)
        e->scan->watchers_all = false;
    e->total += text.total;
    process_text_close(&text);
}

/* Specials of a process follow each other. */
static void epolls_read(struct epolls *e, bool first)
{
    uint32_t process = SCAN_NONE;
    int dir = -1;
    for (uint32_t i = 0; i < e->scan->special_cnt; i++) {
        const struct scan_special *s = &e->scan->specials[i];
        if (s->kind != SCAN_EPOLL || e->first[s->process] != first)
            continue;
        if (s->process != process) {
            if (dir >= 0)
                close(dir);
            process = s->process;
            dir = process_open(e->scan->processes[process].pid);
        }
        if (dir >= 0)
            epoll_read(e, dir, s);
    }
    if (dir >= 0)
        close(dir);
}

static uint32_t interesting_mark(struct epolls *e)
{
    struct scan *scan = e->scan;
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        const struct scan_socket *s = &scan->sockets[i];
        cnt += s->interesting;
        for (uint32_t h = s->interesting ? s->hold_first : SCAN_NONE; h != SCAN_NONE;
             h = scan->holds[h].next)
            if (scan->holds[h].process != SCAN_NONE)
                e->first[scan->holds[h].process] = true;
    }
    return cnt;
}

void epoll_look(struct scan *scan)
{
    struct epolls e = {.scan = scan, .first = calloc(scan->process_cnt + 1, sizeof *e.first)};
    struct stat own;
    if (!e.first) {
        scan->failed = true;
        return;
    }
    if (fstat(scan->spaces[0].diag, &own) == 0)
        e.device = (uint64_t)major(own.st_dev) << 20 | minor(own.st_dev);
    if (interesting_mark(&e)) {
        epolls_read(&e, true);
        epolls_read(&e, false);
    }
    free(e.first);
}
