/* SPDX-License-Identifier: BSD-2-Clause */
/* Holders that have no descriptor: rings and mappings name the inode; messages are peeked at; blocked
 * calls and requests under way can only be what is left. */
#include "kernel/hidden.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/again.h"
#include "kernel/call.h"
#include "kernel/message.h"
#include "kernel/process.h"

#define RING_MAX     1024u      /* rings looked at */
#define MAPS_MAX     (64 << 20) /* bytes of /proc/PID/maps */
#define UNIX_MAX     50000u     /* AF_UNIX descriptors looked at */
#define GUESS_MAX    256u       /* holders by elimination that are told apart, */
#define REST_MAX     256u       /* and sockets that they may hold */

/* Somebody who may hold what nobody else does. */
struct guess {
    uint32_t process, tid;
    int32_t fd;
    uint32_t cnt; /* references that it may have */
    enum fact_holder_kind kind;
    uint32_t uid;
    uint64_t space; /* inode of its network namespace */
    char where[40];
};

struct hidden {
    struct scan *scan;
    uint32_t left; /* hidden sockets without a name */
    struct guess guesses[GUESS_MAX];
    uint32_t guess_cnt;
    bool guesses_cut;
    uint32_t rest[REST_MAX], rest_cnt; /* sockets of `left`, when calls are looked at */
};

static void hold_put(struct hidden *h, uint32_t socket, uint32_t process,
                     enum fact_holder_kind kind, const char *where)
{
    bool was_hidden = again_is_hidden(&h->scan->sockets[socket]);
    struct scan_hold *hold = scan_hold_add(h->scan, socket, process, kind, FACT_NO_FD);
    if (!hold)
        return;
    hold->where = where ? strdup(where) : NULL;
    h->left -= was_hidden;
}

/* `dir`: of its process, which says whose it is, and in which network namespace. */
static void guess_add(struct hidden *h, const struct guess *guess, int dir)
{
    struct stat look;
    if (h->guess_cnt == GUESS_MAX) {
        h->guesses_cut = true;
        return;
    }
    struct guess *g = &h->guesses[h->guess_cnt++];
    *g = *guess;
    g->uid = fstatat(dir, "task", &look, 0) == 0 ? look.st_uid : UINT32_MAX;
    g->space = fstatat(dir, "ns/net", &look, 0) == 0 ? look.st_ino : 0;
}

/* ---- rings ---- */

/* "    0: socket:[4711]" below "UserFiles:"; lines of "PollList:" are requests that wait. */
static uint32_t ring_read(struct hidden *h, const struct scan_special *ring,
                          struct process_text *text)
{
    uint32_t waiting = 0;
    bool polls = false;
    char where[40], *line;
    snprintf(where, sizeof where, "ring fd %d", ring->fd);
    while ((line = process_text_line(text))) {
        const char *link = strstr(line, ": socket:[");
        if (strncmp(line, "PollList:", 9) == 0)
            polls = true;
        else if (line[0] != ' ' && line[0] != '\t')
            polls = false;
        else if (polls && strstr(line, "op="))
            waiting++;
        if (!link)
            continue;
        uint32_t socket = scan_by_inode(h->scan, strtoull(link + 10, NULL, 10));
        if (socket != SCAN_NONE)
            hold_put(h, socket, ring->process, FACT_HOLDER_RING, where);
    }
    return waiting;
}

static void ring_look(struct hidden *h, const struct scan_special *ring)
{
    struct scan_process *p = &h->scan->processes[ring->process];
    struct process_text text;
    char path[64];
    int dir = process_open(p->pid);
    if (dir < 0)
        return;
    if (ring->tid)
        snprintf(path, sizeof path, "task/%u/fdinfo/%d", ring->tid, ring->fd);
    else
        snprintf(path, sizeof path, "fdinfo/%d", ring->fd);
    process_text_open(&text, dir, path);
    uint32_t waiting = ring_read(h, ring, &text);
    p = &h->scan->processes[ring->process];
    p->rings_busy = p->rings_busy || waiting || text.failed;
    process_text_close(&text);
    if (waiting) {
        struct guess guess = {.process = ring->process, .tid = ring->tid, .fd = ring->fd,
                              .cnt = waiting, .kind = FACT_HOLDER_RING};
        snprintf(guess.where, sizeof guess.where, "a request of ring fd %d", ring->fd);
        guess_add(h, &guess, dir);
    }
    close(dir);
}

static void rings_look(struct hidden *h)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->scan->special_cnt; i++) {
        const struct scan_special *s = &h->scan->specials[i];
        if (s->kind != SCAN_RING)
            continue;
        if (cnt++ < RING_MAX)
            ring_look(h, s);
        else
            h->scan->processes[s->process].rings_busy = true;
    }
}

/* ---- messages ---- */

/* How many descriptors wait in the queue of an AF_UNIX socket. */
static uint32_t scm_cnt(int dir, int fd)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "fdinfo/%d", fd);
    ssize_t len = process_read(dir, path, text, sizeof text);
    const char *line = len > 0 ? strstr(text, "scm_fds:") : NULL;
    return line ? (uint32_t)strtoul(line + 8, NULL, 10) : 0;
}

static void message_look(struct hidden *h, const struct scan_stranger *stranger, uint32_t cnt,
                         int dir)
{
    uint64_t inodes[MESSAGE_INODE_MAX];
    uint32_t pid = h->scan->processes[stranger->process].pid;
    uint32_t seen = message_peek(pid, stranger->fd, stranger->inode, inodes);
    struct guess guess = {.process = stranger->process, .fd = FACT_NO_FD,
                          .cnt = cnt > seen ? cnt - seen : 0, .kind = FACT_HOLDER_MESSAGE};
    snprintf(guess.where, sizeof guess.where, "pid %u fd %d", pid, stranger->fd);
    for (uint32_t i = 0; i < seen; i++) {
        uint32_t socket = scan_by_inode(h->scan, inodes[i]);
        if (socket != SCAN_NONE)
            hold_put(h, socket, stranger->process, FACT_HOLDER_MESSAGE, guess.where);
    }
    if (guess.cnt)
        guess_add(h, &guess, dir);
}

static void messages_look(struct hidden *h)
{
    uint32_t process = SCAN_NONE, looked = 0;
    struct scan_index done = {0}; /* a socket with several descriptors has one queue */
    int dir = -1;
    for (uint32_t i = 0; i < h->scan->stranger_cnt && h->left && looked < UNIX_MAX; i++) {
        const struct scan_stranger *s = &h->scan->strangers[i];
        if (s->tid || scan_index_get(&done, s->inode) != SCAN_NONE)
            continue;
        if (s->process != process) {
            if (dir >= 0)
                close(dir);
            process = s->process;
            dir = process_open(h->scan->processes[process].pid);
        }
        if (dir < 0 || !scan_index_put(&done, s->inode, 0))
            continue;
        looked++;
        uint32_t cnt = scm_cnt(dir, s->fd);
        if (cnt)
            message_look(h, s, cnt, dir);
    }
    h->guesses_cut = h->guesses_cut || looked == UNIX_MAX;
    scan_index_free(&done);
    if (dir >= 0)
        close(dir);
}

/* ---- mappings and calls: a walk over all processes ---- */

/* "7f..-7f.. r--s 00000000 00:09 4711   socket:[4711]" */
static size_t maps_read(struct hidden *h, uint32_t pid, int dir)
{
    struct process_text maps;
    char *line;
    process_text_open(&maps, dir, "maps");
    while ((line = process_text_line(&maps))) {
        const char *link = strstr(line, " socket:[");
        if (!link)
            continue;
        uint32_t socket = scan_by_inode(h->scan, strtoull(link + 9, NULL, 10));
        line[strcspn(line, " -")] = '\0';
        if (socket != SCAN_NONE)
            hold_put(h, socket, scan_process(h->scan, pid), FACT_HOLDER_MAPPING, line);
    }
    process_text_close(&maps);
    return maps.total;
}

/* Whether this process could hold one of the rest: of its user, in its namespace. */
static bool is_suspect(const struct hidden *h, int dir)
{
    struct stat task, space;
    if (fstatat(dir, "task", &task, 0) != 0 || fstatat(dir, "ns/net", &space, 0) != 0)
        return false;
    for (uint32_t i = 0; i < h->rest_cnt; i++) {
        const struct scan_socket *s = &h->scan->sockets[h->rest[i]];
        if (s->uid == task.st_uid && h->scan->spaces[s->space].inode == space.st_ino)
            return true;
    }
    return false;
}

/* How many of the descriptors that this call waits for have been closed meanwhile, and one of them. */
static uint32_t ghosts_of(struct hidden *h, uint32_t pid, int dir, const struct call_thread *thread,
                          int32_t *fd)
{
    struct call_wait wait[CALL_WAIT_MAX];
    bool cut = false;
    uint32_t cnt = call_waits(pid, thread, wait, &cut), ghosts = 0;
    h->guesses_cut = h->guesses_cut || cut;
    for (uint32_t i = 0; i < cnt; i++) {
        if (!call_is_gone(dir, thread->tid, wait[i].fd))
            continue;
        ghosts++;
        *fd = wait[i].fd;
    }
    /* A call that ended before its descriptor was closed looks the same to the slow. */
    return ghosts && call_is_still(dir, thread) ? ghosts : 0;
}

/* A call on a number that leads nowhere: it was closed while the call slept. */
static void calls_read(struct hidden *h, uint32_t pid, int dir)
{
    struct call_thread *threads = NULL;
    bool cut = false;
    uint32_t cnt = call_threads(dir, &threads, &cut);
    h->guesses_cut = h->guesses_cut || cut;
    for (uint32_t i = 0; i < cnt; i++) {
        int32_t fd = FACT_NO_FD;
        uint32_t ghosts = ghosts_of(h, pid, dir, &threads[i], &fd);
        if (!ghosts)
            continue;
        struct guess guess = {.process = scan_process(h->scan, pid), .tid = threads[i].tid,
                              .fd = ghosts == 1 ? fd : FACT_NO_FD, .cnt = ghosts,
                              .kind = FACT_HOLDER_CALL};
        guess_add(h, &guess, dir);
    }
    free(threads);
}

static void processes_look(struct hidden *h)
{
    struct process_numbers numbers;
    size_t maps_len = 0;
    uint32_t pid;
    char *buffer = malloc(NUMBERS_LEN);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!buffer) {
        h->scan->failed = true;
        if (proc >= 0)
            close(proc);
        return;
    }
    for (uint32_t i = 0; i < h->scan->socket_cnt && h->rest_cnt < REST_MAX; i++)
        if (again_is_hidden(&h->scan->sockets[i]))
            h->rest[h->rest_cnt++] = i;
    numbers_begin(&numbers, proc < 0 ? -errno : proc, buffer);
    while (numbers_next(&numbers, &pid) && h->left) {
        int dir = process_open(pid);
        if (dir < 0)
            continue;
        if (maps_len < MAPS_MAX)
            maps_len += maps_read(h, pid, dir);
        else
            h->guesses_cut = true;
        if (is_suspect(h, dir))
            calls_read(h, pid, dir);
        close(dir);
    }
    numbers_end(&numbers);
    free(buffer);
}

/* ---- what is left ---- */

/* Somebody who can hold socket `s`: of its user, in its namespace. */
static bool guess_fits(const struct hidden *h, const struct guess *guess,
                       const struct scan_socket *s)
{
    return guess->cnt && guess->uid == s->uid && guess->space == h->scan->spaces[s->space].inode;
}

/* One candidate, or several of one process that are of one kind; else nobody can be named. */
static bool eliminate(struct hidden *h, const struct scan_socket *s, struct guess *out)
{
    bool found = false;
    for (uint32_t i = 0; i < h->guess_cnt; i++) {
        const struct guess *guess = &h->guesses[i];
        if (!guess_fits(h, guess, s))
            continue;
        if (!found) {
            *out = *guess;
            found = true;
            continue;
        }
        if (guess->process != out->process || guess->kind != out->kind)
            return false;
        out->tid = 0;
        out->fd = FACT_NO_FD;
        out->where[0] = '\0';
        out->cnt += guess->cnt;
    }
    return found;
}

/* Hidden sockets that could be held by the same one. */
static uint32_t rivals_of(const struct scan *scan, const uint32_t *left, uint32_t cnt,
                          const struct scan_socket *s)
{
    uint32_t rivals = 0;
    for (uint32_t i = 0; i < cnt; i++)
        rivals += scan->sockets[left[i]].uid == s->uid && scan->sockets[left[i]].space == s->space;
    return rivals;
}

static void answer_put(struct hidden *h, uint32_t socket, const struct guess *g, bool alone)
{
    int fd = g && g->kind == FACT_HOLDER_CALL && alone ? g->fd : FACT_NO_FD;
    struct scan_hold *hold =
        g ? scan_hold_add(h->scan, socket, g->process, g->kind, fd)
          : scan_hold_add(h->scan, socket, SCAN_NONE, FACT_HOLDER_OTHER, FACT_NO_FD);
    if (!hold || !g)
        return;
    hold->tid = alone ? g->tid : 0;
    hold->where = g->where[0] ? strdup(g->where) : NULL;
}

/* All are judged before any is named: a name must not make the next one look alone. */
static void rest_put(struct hidden *h)
{
    struct scan *scan = h->scan;
    uint32_t left[REST_MAX], rivals[REST_MAX], cnt = 0;
    struct guess answers[REST_MAX];
    bool named[REST_MAX];
    if (!scan->holders_all)
        return; /* it may be held by somebody whom we could not look at */
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        if (!again_is_hidden(&scan->sockets[i]))
            continue;
        if (cnt < REST_MAX)
            left[cnt++] = i;
        else
            scan_hold_add(scan, i, SCAN_NONE, FACT_HOLDER_OTHER, FACT_NO_FD);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        const struct scan_socket *s = &scan->sockets[left[i]];
        rivals[i] = rivals_of(scan, left, cnt, s);
        named[i] = h->left <= REST_MAX && !h->guesses_cut && eliminate(h, s, &answers[i]) &&
                   answers[i].cnt >= rivals[i];
    }
    for (uint32_t i = 0; i < cnt; i++)
        answer_put(h, left[i], named[i] ? &answers[i] : NULL, rivals[i] == 1);
}

/* Processes that were met only here have no name yet. */
static void names_put(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->process_cnt; i++) {
        struct scan_process *p = &scan->processes[i];
        struct kernel_process look;
        if (p->hold_cnt == 0 || p->start_ticks || !kernel_process_look(&look, p->pid))
            continue;
        p->start_ticks = look.start_ticks;
        memcpy(p->program, look.program, sizeof p->program);
    }
}

static void kernel_put(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        if (!scan->sockets[i].held_by_kernel || scan->sockets[i].hold_cnt)
            continue;
        struct scan_hold *hold = scan_hold_add(scan, i, SCAN_NONE, FACT_HOLDER_OTHER, FACT_NO_FD);
        if (hold)
            hold->where = strdup("the kernel");
    }
}

void hidden_look(struct scan *scan)
{
    struct hidden *h = calloc(1, sizeof *h);
    if (!h) {
        scan->failed = true;
        return;
    }
    h->scan = scan;
    for (uint32_t i = 0; i < scan->socket_cnt; i++)
        h->left += again_is_hidden(&scan->sockets[i]);
    rings_look(h);
    if (h->left)
        messages_look(h);
    if (h->left)
        processes_look(h);
    if (h->left)
        rest_put(h);
    kernel_put(scan);
    names_put(scan);
    free(h);
}
