/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sums of a look: references of a file, less its descriptors, less the calls that are inside it
 * on a descriptor that is open, are references that hide. Each gets a name: a call on a descriptor
 * that was closed, an io_uring, a message in flight, a mapping; what is left is OTHER.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kernel/iterators_look.h"

#define HIDDEN_MAX 16 /* of one socket: more are not listed one by one */
#define EPOLL_OWN  (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE) /* stay when it is spent */

/* ---- sums ---- */

static bool holds(const struct scan *scan, uint32_t socket, uint32_t pid)
{
    for (uint32_t i = scan->sockets[socket].hold_first; i != SCAN_NONE; i = scan->holds[i].next)
        if (scan->holds[i].kind == FACT_HOLDER_DESCRIPTOR &&
            scan->processes[scan->holds[i].process].pid == pid)
            return true;
    return false;
}

/* Whether this watcher may hold a reference of its own: epoll never does, nor a request on a file
 * that is registered with its ring. */
static bool may_refer(const struct record_watch *w)
{
    return w->kind == WATCH_CALL || w->kind == WATCH_POLL || (w->kind == WATCH_RING && !w->fixed);
}

/* References that neither a descriptor nor a call on an open one explains. */
static uint32_t hidden_in(const struct look *look, uint32_t socket, unsigned which)
{
    const struct count *c = &look->sightings[socket].looks[which];
    uint64_t known = c->descriptors;
    if (!look->sightings[socket].open || c->references <= known)
        return 0;
    for (uint32_t i = 0; i < c->watch_cnt; i++) {
        const struct record_watch *w = &look->watches[which].all[c->watch_first + i];
        known += may_refer(w) && holds(look->scan, socket, w->pid);
    }
    return c->references > known ? (uint32_t)(c->references - known) : 0;
}

bool references_hide(struct look *look)
{
    bool any = false;
    for (uint32_t i = 0; i < look->scan->socket_cnt; i++) {
        const struct scan_socket *s = &look->scan->sockets[i];
        if (is_idle_listener(s) || !hidden_in(look, i, 0))
            continue;
        look->spaces_again[s->space] = true;
        any = true;
    }
    return any;
}

/* ---- processes ---- */

struct people {
    struct scan_index by_pid, by_cred; /* -> look.tasks */
};

static const struct record_task *task_of(const struct look *look, const struct people *people,
                                         uint32_t pid)
{
    uint32_t at = scan_index_get(&people->by_pid, pid);
    return at == SCAN_NONE ? NULL : &look->tasks[at];
}

/* The process with this number, with its name. */
static uint32_t process_of(struct look *look, const struct people *people, uint32_t pid)
{
    const struct record_task *task = task_of(look, people, pid);
    uint32_t at = pid ? scan_process(look->scan, pid) : SCAN_NONE;
    struct scan_process *p = at == SCAN_NONE ? NULL : &look->scan->processes[at];
    if (p && task && !p->start_ticks) {
        p->start_ticks = task->start_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
        snprintf(p->program, sizeof p->program, "%.*s", (int)sizeof task->comm, task->comm);
    }
    return at;
}

static void people_make(struct look *look, struct people *people)
{
    memset(people, 0, sizeof *people);
    for (uint32_t i = 0; i < look->task_cnt; i++) {
        const struct record_task *task = &look->tasks[i];
        if (!scan_index_put(&people->by_pid, task->pid, i) ||
            (task->cred && !scan_index_put(&people->by_cred, task->cred, i)))
            look->failed = true;
    }
}

/* ---- names of what hides ---- */

static void hide_add(struct look *look, uint32_t socket, uint32_t process, int kind, uint32_t tid,
                     const char *where)
{
    struct scan_hold *h = scan_hold_add(look->scan, socket, process, kind, FACT_NO_FD);
    if (look->sightings[socket].left)
        look->sightings[socket].left--;
    if (!h)
        return;
    h->tid = tid;
    h->origin = kind == FACT_HOLDER_MESSAGE ? FACT_ORIGIN_MESSAGE : FACT_ORIGIN_UNKNOWN;
    if (where)
        h->where = strdup(where);
}

static const struct object *object_of(const struct look *look, uint64_t address)
{
    uint32_t at = scan_index_get(&look->by_object, address);
    return at == SCAN_NONE ? NULL : &look->objects[at];
}

static void name_watchers(struct look *look, const struct people *people, uint32_t socket)
{
    const struct count *c = &look->sightings[socket].looks[1];
    for (uint32_t i = 0; i < c->watch_cnt && look->sightings[socket].left; i++) {
        const struct record_watch *w = &look->watches[1].all[c->watch_first + i];
        const struct object *ring = w->kind == WATCH_RING ? object_of(look, w->object) : NULL;
        char where[40] = "";
        if (!may_refer(w) || holds(look->scan, socket, w->pid))
            continue;
        if (ring)
            snprintf(where, sizeof where, "fd %d", ring->fd);
        hide_add(look, socket, process_of(look, people, w->pid),
                 w->kind == WATCH_RING ? FACT_HOLDER_RING : FACT_HOLDER_CALL, w->tid, where);
    }
}

static void name_messages(struct look *look)
{
    for (uint32_t i = 0; i < look->message_cnt; i++) {
        const struct record_message *m = &look->messages[i];
        const struct object *holder = object_of(look, m->holder);
        uint32_t at = scan_index_get(&look->by_sock, m->sock);
        char where[40] = "";
        if (holder)
            snprintf(where, sizeof where, "pid %u fd %d", look->scan->processes[holder->process].pid,
                     holder->fd);
        for (; at != SCAN_NONE; at = look->sightings[at].next)
            if (look->sightings[at].left)
                hide_add(look, at, holder ? holder->process : SCAN_NONE, FACT_HOLDER_MESSAGE, 0,
                         where);
    }
}

/* The sockets that a line names as socket:[INODE]; that is our own kernel's text. */
static void name_line(struct look *look, const char *line, uint32_t process, int kind,
                      const char *where)
{
    const char *at = strstr(line, "socket:[");
    uint64_t inode = at ? strtoull(at + strlen("socket:["), NULL, 10) : 0;
    for (uint32_t i = 0; inode && i < look->scan->socket_cnt; i++)
        if (look->sightings[i].left && look->scan->sockets[i].inode == inode)
            hide_add(look, i, process, kind, 0, where);
}

static void name_file(struct look *look, const char *path, uint32_t process, int kind, int fd)
{
    FILE *file = fopen(path, "re");
    char *line = NULL, where[40];
    size_t cap = 0;
    if (!file)
        return;
    while (getline(&line, &cap, file) > 0) {
        if (kind == FACT_HOLDER_RING)
            snprintf(where, sizeof where, "fd %d", fd);
        else
            snprintf(where, sizeof where, "%.*s", (int)strcspn(line, " "), line);
        name_line(look, line, process, kind, where);
    }
    free(line);
    fclose(file);
}

static bool any_left(const struct look *look)
{
    for (uint32_t i = 0; i < look->scan->socket_cnt; i++)
        if (look->sightings[i].left)
            return true;
    return false;
}

static void name_rings(struct look *look)
{
    char path[64];
    for (uint32_t i = 0; i < look->object_cnt; i++) {
        const struct object *o = &look->objects[i];
        if (o->kind != RECORD_RING)
            continue;
        snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", look->scan->processes[o->process].pid,
                 o->fd);
        name_file(look, path, o->process, FACT_HOLDER_RING, o->fd);
    }
}

static void name_mappings(struct look *look, const struct people *people)
{
    char path[64];
    for (uint32_t i = 0; i < look->task_cnt; i++) {
        snprintf(path, sizeof path, "/proc/%u/maps", look->tasks[i].pid);
        name_file(look, path, process_of(look, people, look->tasks[i].pid), FACT_HOLDER_MAPPING,
                  FACT_NO_FD);
    }
}

static void name_hidden(struct look *look, const struct people *people)
{
    struct scan *scan = look->scan;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        uint32_t first = hidden_in(look, i, 0), second = hidden_in(look, i, 1);
        uint32_t both = first < second ? first : second;
        if (is_idle_listener(&scan->sockets[i]))
            continue;
        look->sightings[i].left = both < HIDDEN_MAX ? both : HIDDEN_MAX;
        if (both)
            name_watchers(look, people, i);
    }
    name_messages(look);
    if (any_left(look))
        name_rings(look);
    if (any_left(look))
        name_mappings(look, people);
    for (uint32_t i = 0; i < scan->socket_cnt; i++)
        while (look->sightings[i].left)
            hide_add(look, i, SCAN_NONE, FACT_HOLDER_OTHER, 0, NULL);
}

/* Not worth a second look, nor a name. */
static void put_others(struct look *look)
{
    for (uint32_t i = 0; i < look->scan->socket_cnt; i++) {
        const struct scan_socket *s = &look->scan->sockets[i];
        if (s->held_by_kernel)
            hide_add(look, i, SCAN_NONE, FACT_HOLDER_OTHER, 0, "the kernel");
        else if (is_idle_listener(s) && s->hold_cnt == 0 && hidden_in(look, i, 0))
            hide_add(look, i, SCAN_NONE, FACT_HOLDER_OTHER, 0, NULL);
    }
}

/* ---- watchers ---- */

static void put_epoll(const struct look *look, struct fact_watch *to, const struct record_watch *w)
{
    const struct object *epoll = object_of(look, w->object);
    to->edge = w->events & EPOLLET ? FACT_YES : FACT_NO;
    to->spent = w->events & EPOLLONESHOT && !(w->events & ~(uint32_t)EPOLL_OWN) ? FACT_YES : FACT_NO;
    to->target_fd = w->target_fd;
    to->data = w->data;
    if (!epoll)
        return;
    to->pid = look->scan->processes[epoll->process].pid;
    to->fd = epoll->fd;
    to->tid = epoll->waiter;
    to->waited = epoll->waiter ? FACT_YES : FACT_NO;
}

static void put_watch(struct look *look, uint32_t socket, const struct record_watch *w)
{
    static const uint8_t kinds[] = {
        [WATCH_CALL] = FACT_WATCH_CALL, [WATCH_POLL] = FACT_WATCH_POLL,
        [WATCH_EPOLL] = FACT_WATCH_EPOLL, [WATCH_RING] = FACT_WATCH_RING,
        [WATCH_OTHER] = FACT_WATCH_OTHER,
    };
    struct fact_watch *to = scan_watch_add(look->scan, socket);
    if (!to)
        return;
    to->kind = kinds[w->kind];
    to->pid = w->pid;
    to->tid = w->tid;
    to->events = w->kind == WATCH_CALL ? EPOLLIN : w->events; /* most calls that wait receive */
    if (w->kind == WATCH_EPOLL)
        put_epoll(look, to, w);
}

static void put_watches(struct look *look)
{
    for (uint32_t i = 0; i < look->scan->socket_cnt; i++) {
        const struct count *c = &look->sightings[i].looks[0];
        for (uint32_t k = 0; k < c->watch_cnt; k++)
            put_watch(look, i, &look->watches[0].all[c->watch_first + k]);
        look->scan->sockets[i].watchers_cut = c->watch_cnt >= RECORD_WATCH_MAX;
    }
}

static void put_listeners(struct look *look)
{
    for (uint32_t i = 0; i < look->queued_cnt; i++) {
        uint32_t at = scan_index_get(&look->by_sock, look->queued[i].sock);
        if (at != SCAN_NONE && look->scan->sockets[at].inode == 0)
            look->scan->sockets[at].listener = look->scan->sockets[look->queued[i].pad].cookie;
    }
}

/* ---- creators and heirs ---- */

/* The file keeps the credentials of its maker, and every fork and every exec makes new ones: who has
 * the very same today is who made it. */
static void put_creators(struct look *look, const struct people *people)
{
    for (uint32_t i = 0; i < look->scan->socket_cnt; i++) {
        uint64_t cred = look->sightings[i].cred;
        uint32_t at = cred ? scan_index_get(&people->by_cred, cred) : SCAN_NONE;
        if (at != SCAN_NONE)
            look->scan->sockets[i].creator = process_of(look, people, look->tasks[at].pid);
    }
}

static bool descends(const struct look *look, const struct people *people, uint32_t pid,
                     uint32_t from)
{
    const struct record_task *task = task_of(look, people, pid);
    for (int steps = 0; task && steps < 64; steps++) {
        if (task->parent == from)
            return true;
        task = task->parent > 1 ? task_of(look, people, task->parent) : NULL;
    }
    return false;
}

/* Age of the socket at the least: something came, or went, or was acknowledged so long ago. */
static uint64_t known_since_ns(const struct scan *scan, const struct scan_socket *s)
{
    const uint32_t ages[] = {s->tcp.data_in_ms, s->tcp.data_out_ms, s->tcp.ack_in_ms};
    uint64_t oldest = 0;
    for (int i = 0; i < 3; i++)
        if (s->tcp.known && ages[i] != UINT32_MAX && ages[i] > oldest)
            oldest = ages[i];
    return scan->start_ns - oldest * 1000000;
}

/* Only what follows: a descendant of the maker that was born while the socket was there has it from
 * its birth; an ancestor of the maker was given it. */
static enum fact_origin origin_of(const struct look *look, const struct people *people,
                                  const struct scan_socket *s, const struct scan_hold *h)
{
    uint32_t maker = look->scan->processes[s->creator].pid;
    uint32_t pid = look->scan->processes[h->process].pid;
    const struct record_task *task = task_of(look, people, pid);
    if (!task || pid == maker)
        return FACT_ORIGIN_UNKNOWN;
    if (descends(look, people, maker, pid))
        return FACT_ORIGIN_MESSAGE;
    if (task->started_ns <= known_since_ns(look->scan, s) || !descends(look, people, pid, maker))
        return FACT_ORIGIN_UNKNOWN;
    return task->executed && h->close_on_exec == FACT_NO ? FACT_ORIGIN_EXEC : FACT_ORIGIN_FORK;
}

static void put_origins(struct look *look, const struct people *people)
{
    for (uint32_t i = 0; i < look->scan->hold_cnt; i++) {
        struct scan_hold *h = &look->scan->holds[i];
        const struct scan_socket *s = &look->scan->sockets[h->socket];
        if (h->kind == FACT_HOLDER_DESCRIPTOR && s->creator != SCAN_NONE &&
            s->creator != h->process)
            h->origin = (uint8_t)origin_of(look, people, s, h);
    }
}

void references_name(struct look *look)
{
    struct people people;
    people_make(look, &people);
    if (look->again)
        name_hidden(look, &people);
    put_others(look);
    put_watches(look);
    put_listeners(look);
    put_creators(look, &people);
    put_origins(look, &people);
    scan_index_free(&people.by_pid);
    scan_index_free(&people.by_cred);
}
