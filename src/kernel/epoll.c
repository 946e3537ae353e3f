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

#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | (uint32_t)EPOLLET | EPOLLEXCLUSIVE)

struct epolls {
    struct scan *scan;
    bool *first;      /* processes that hold an interesting socket */
    uint32_t process; /* in hand */
    struct epoll_walk walk;
};

bool epoll_is_spent(uint32_t events)
{
    return events & EPOLLONESHOT && !(events & ~PRIVATE_BITS);
}

uint64_t epoll_device(int socket)
{
    struct stat st;
    return fstat(socket, &st) == 0 ? (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev) : 0;
}

/* ---- lines ---- */

static void target_take(struct epoll_walk *walk, const char *line, int epoll_fd, uint32_t tid)
{
    int fd;
    uint32_t events;
    unsigned long long data, inode, device;
    if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%llx sdev:%llx", &fd, &events,
               &data, &inode, &device) != 5 ||
        device != walk->device)
        return;
    const struct fact_watch watch = {
        .kind = FACT_WATCH_EPOLL,
        .tid = tid,
        .fd = epoll_fd,
        .target_fd = fd,
        .events = events,
        .edge = events & (uint32_t)EPOLLET ? FACT_YES : FACT_NO,
        .spent = epoll_is_spent(events) ? FACT_YES : FACT_NO,
        .waited = FACT_MAYBE,
        .data = data,
    };
    walk->take(walk, inode, &watch);
}

bool epoll_targets(struct epoll_walk *walk, int dir, int fd, uint32_t tid)
{
    struct process_text text;
    char path[64], *line;
    if (walk->total >= EPOLL_TEXT_MAX)
        return false;
    if (tid)
        snprintf(path, sizeof path, "task/%u/fdinfo/%d", tid, fd);
    else
        snprintf(path, sizeof path, "fdinfo/%d", fd);
    process_text_open(&text, dir, path);
    while ((line = process_text_line(&text)) && walk->total + text.total < EPOLL_TEXT_MAX)
        if (line[0] == 't')
            target_take(walk, line, fd, tid);
    walk->total += text.total;
    process_text_close(&text);
    return !line;
}

/* ---- the look ---- */

static void target_put(struct epoll_walk *walk, uint64_t inode, const struct fact_watch *watch)
{
    struct epolls *e = walk->context;
    uint32_t socket = scan_by_inode(e->scan, inode);
    if (socket == SCAN_NONE || !e->scan->sockets[socket].interesting)
        return;
    struct fact_watch *w = scan_watch_add(e->scan, socket);
    if (!w)
        return;
    *w = *watch;
    w->pid = e->scan->processes[e->process].pid;
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
        e->process = s->process;
        if (dir >= 0 && !epoll_targets(&e->walk, dir, s->fd, s->tid))
            e->scan->watchers_all = false;
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
    if (!e.first) {
        scan->failed = true;
        return;
    }
    e.walk = (struct epoll_walk){
        .device = epoll_device(scan->spaces[0].diag), .take = target_put, .context = &e};
    if (interesting_mark(&e)) {
        epolls_read(&e, true);
        epolls_read(&e, false);
    }
    free(e.first);
}
