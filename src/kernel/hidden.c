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
#define THREAD_MAX   20000u     /* threads asked what they wait for */
#define GUESS_MAX    256u       /* holders by elimination that are told apart */

/* Somebody who may hold what nobody else does. */
struct guess {
    uint32_t process, tid;
    int32_t fd;
    uint32_t cnt; /* references that it may have */
    enum fact_holder_kind kind;
    uint32_t uid;
    char where[40];
};

struct hidden {
    struct scan *scan;
    uint32_t left; /* hidden sockets without a name */
    struct guess guesses[GUESS_MAX];
    uint32_t guess_cnt;
    bool guesses_cut;
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

static void guess_add(struct hidden *h, const struct guess *guess)
{
    if (h->guess_cnt == GUESS_MAX)
        h->guesses_cut = true;
    else
        h->guesses[h->guess_cnt++] = *guess;
}

static uint32_t uid_of(int dir)
{
    struct stat look;
    return fstatat(dir, "task", &look, 0) == 0 ? look.st_uid : UINT32_MAX;
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
                              .cnt = waiting, .kind = FACT_HOLDER_RING, .uid = uid_of(dir)};
        snprintf(guess.where, sizeof guess.where, "a request of ring fd %d", ring->fd);
        guess_add(h, &guess);
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
                         uint32_t uid)
{
    uint64_t inodes[MESSAGE_INODE_MAX];
    uint32_t pid = h->scan->processes[stranger->process].pid;
    uint32_t seen = message_peek(pid, stranger->fd, stranger->inode, inodes);
    struct guess guess = {.process = stranger->process, .fd = FACT_NO_FD, .uid = uid,
                          .cnt = cnt > seen ? cnt - seen : 0, .kind = FACT_HOLDER_MESSAGE};
    snprintf(guess.where, sizeof guess.where, "pid %u fd %d", pid, stranger->fd);
    for (uint32_t i = 0; i < seen; i++) {
        uint32_t socket = scan_by_inode(h->scan, inodes[i]);
        if (socket != SCAN_NONE)
            hold_put(h, socket, stranger->process, FACT_HOLDER_MESSAGE, guess.where);
    }
    if (guess.cnt)
        guess_add(h, &guess);
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
            message_look(h, s, cnt, uid_of(dir));
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

/* A call on a number that leads nowhere: it was closed while the call slept. */
static void calls_read(struct hidden *h, uint32_t pid, int dir)
{
    struct call_thread *threads = NULL;
    bool cut = false;
    uint32_t cnt = call_threads(dir, &threads, &cut);
    h->guesses_cut = h->guesses_cut || cut;
    for (uint32_t i = 0; i < cnt; i++) {
        struct call_wait wait[CALL_WAIT_MAX];
        uint32_t wait_cnt = call_waits(pid, &threads[i], wait, &cut), ghosts = 0;
        int32_t fd = FACT_NO_FD;
        for (uint32_t w = 0; w < wait_cnt; w++) {
            if (!call_is_gone(dir, threads[i].tid, wait[w].fd))
                continue;
            ghosts++;
            fd = wait[w].fd;
        }
        if (!ghosts)
            continue;
        guess_add(h, &(struct guess){.process = scan_process(h->scan, pid), .tid = threads[i].tid,
                                     .fd = ghosts == 1 ? fd : FACT_NO_FD, .cnt = ghosts,
                                     .kind = FACT_HOLDER_CALL, .uid = uid_of(dir)});
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
    numbers_begin(&numbers, proc < 0 ? -errno : proc, buffer);
    while (numbers_next(&numbers, &pid) && h->left) {
        int dir = process_open(pid);
        if (dir < 0)
            continue;
        if (maps_len < MAPS_MAX)
            maps_len += maps_read(h, pid, dir);
        else
            h->guesses_cut = true;
        calls_read(h, pid, dir);
        close(dir);
    }
    numbers_end(&numbers);
    free(buffer);
}

/* ---- what is left ---- */

/* Somebody who can hold socket `s`: of the user whose it is. */
static bool guess_fits(const struct guess *guess, const struct scan_socket *s)
{
    return guess->cnt && (guess->uid == s->uid || guess->uid == UINT32_MAX);
}

/* One candidate, or several of one process that are of one kind; else nobody can be named. */
static bool eliminate(struct hidden *h, const struct scan_socket *s, struct guess *out)
{
    bool found = false;
    for (uint32_t i = 0; i < h->guess_cnt; i++) {
        const struct guess *guess = &h->guesses[i];
        if (!guess_fits(guess, s))
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

/* Rivals: hidden sockets that could be held by the same one. */
static uint32_t rivals_of(const struct hidden *h, const struct scan_socket *s)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->scan->socket_cnt; i++)
        cnt += again_is_hidden(&h->scan->sockets[i]) && h->scan->sockets[i].uid == s->uid;
    return cnt;
}

static void rest_put(struct hidden *h)
{
    struct scan *scan = h->scan;
    uint32_t *left = malloc((h->left + 1) * sizeof *left), cnt = 0;
    uint32_t uid = UINT32_MAX, rivals = 0;
    for (uint32_t i = 0; left && i < scan->socket_cnt && cnt < h->left; i++)
        if (again_is_hidden(&scan->sockets[i]))
            left[cnt++] = i;
    struct guess *answers = malloc((cnt + 1) * sizeof *answers);
    bool *named = calloc(cnt + 1, sizeof *named);
    if (!left || !answers || !named)
        scan->failed = true;
    for (uint32_t i = 0; !scan->failed && i < cnt; i++) { /* all are judged before any is named */
        const struct scan_socket *s = &scan->sockets[left[i]];
        if (s->uid != uid) {
            uid = s->uid;
            rivals = rivals_of(h, s);
        }
        named[i] = !h->guesses_cut && scan->holders_all && eliminate(h, s, &answers[i]) &&
                   answers[i].cnt >= rivals;
    }
    for (uint32_t i = 0; !scan->failed && i < cnt; i++) {
        const struct guess *g = &answers[i];
        if (!named[i]) {
            if (scan->holders_all)
                scan_hold_add(scan, left[i], SCAN_NONE, FACT_HOLDER_OTHER, FACT_NO_FD);
            continue;
        }
        struct scan_hold *hold =
            scan_hold_add(scan, left[i], g->process, g->kind, g->kind == FACT_HOLDER_CALL ? g->fd : FACT_NO_FD);
        if (hold) {
            hold->tid = rivals == 1 || g->cnt == 1 ? g->tid : 0;
            hold->where = g->where[0] ? strdup(g->where) : NULL;
        }
    }
    free(left);
    free(answers);
    free(named);
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
    names_put(scan);
    free(h);
}
