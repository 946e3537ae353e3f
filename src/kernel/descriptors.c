/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of all processes. A link "socket:[N]" names the inode that sock_diag has; an inode of a
 * socket has exactly one open file, so an equal number means the same socket. */
#include "kernel/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/process.h"

#define TABLE_MAX 64 /* tables of threads of one process that are told apart */

struct look {
    struct scan *scan;
    int proc;
    char *pids, *tids, *fds; /* buffers of the three directories */
    uint32_t process;        /* in hand: its place, once it is worth one; else SCAN_NONE */
    uint32_t pid, tid;       /* tid 0: the table of the process */
    uint32_t fd_cnt;
};

static uint32_t process_in_hand(struct look *look)
{
    if (look->process == SCAN_NONE)
        look->process = scan_process(look->scan, look->pid);
    return look->process;
}

static void socket_met(struct look *look, uint64_t inode, int fd)
{
    uint32_t socket = scan_by_inode(look->scan, inode), process;
    struct scan_hold *hold;
    if (socket == SCAN_NONE && look->scan->options->no_details)
        return;
    process = process_in_hand(look);
    if (process == SCAN_NONE)
        return;
    if (socket == SCAN_NONE) {
        scan_stranger_add(look->scan, &(struct scan_stranger){inode, process, fd, look->tid});
        return;
    }
    hold = scan_hold_add(look->scan, socket, process, FACT_HOLDER_DESCRIPTOR, fd);
    if (hold)
        hold->tid = look->tid;
}

static void link_met(struct look *look, const char *target, int fd)
{
    enum scan_special_kind kind;
    if (strncmp(target, "socket:[", 8) == 0) {
        socket_met(look, strtoull(target + 8, NULL, 10), fd);
        return;
    }
    if (strcmp(target, "anon_inode:[eventpoll]") == 0)
        kind = SCAN_EPOLL;
    else if (strcmp(target, "anon_inode:[io_uring]") == 0)
        kind = SCAN_RING;
    else
        return;
    if (!look->scan->options->no_details && process_in_hand(look) != SCAN_NONE)
        scan_special_add(look->scan, kind, look->process, fd, look->tid);
}

/* One table, as the directory `dir` shows it. 0, or the error that ended it. */
static int table_look(struct look *look, int dir)
{
    struct process_numbers numbers;
    char target[64];
    uint32_t fd;
    numbers_begin(&numbers, dir, look->fds);
    while (numbers_next(&numbers, &fd)) {
        ssize_t len = readlinkat(dir, numbers.name, target, sizeof target - 1);
        look->fd_cnt++;
        if (len <= 0)
            continue;
        target[len] = '\0';
        if (target[0] == 's' || target[0] == 'a')
            link_met(look, target, (int)fd);
    }
    numbers_end(&numbers);
    return numbers.error;
}

/* ---- threads ---- */

static bool same_table(uint32_t a, uint32_t b)
{
    return syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

/* Threads share the table of their process, unless they did not want to, or its first thread is
 * dead and has none. */
static void threads_look(struct look *look, int process_dir)
{
    uint32_t tables[TABLE_MAX], table_cnt = 1, tid;
    struct process_numbers numbers;
    char path[32];
    tables[0] = look->pid;
    numbers_begin(&numbers, openat(process_dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                  look->tids);
    while (numbers_next(&numbers, &tid) && table_cnt < TABLE_MAX) {
        bool known = tid == look->pid;
        for (uint32_t i = 0; i < table_cnt && !known; i++)
            known = same_table(tables[i], tid);
        if (known)
            continue;
        if (syscall(SYS_kcmp, tid, tid, KCMP_FILES, 0, 0) < 0)
            break; /* gone, or we may not, or the kernel cannot */
        tables[table_cnt++] = look->tid = tid;
        snprintf(path, sizeof path, "task/%u/fd", tid);
        int dir = openat(process_dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0)
            table_look(look, dir);
    }
    numbers_end(&numbers);
    look->tid = 0;
}

/* ---- processes ---- */

/* Denied: is there something to be seen at all? The kernel's own threads have no descriptors. */
static void process_denied(struct look *look, int dir)
{
    struct process_stat stat;
    if (process_stat(dir, "stat", &stat) && !(stat.flags & PROCESS_FLAG_KERNEL) &&
        stat.state != 'Z')
        look->scan->unseen_processes++;
}

static void process_name(struct look *look, int dir)
{
    struct scan_process *p = &look->scan->processes[look->process];
    struct process_stat stat;
    p->fd_cnt = look->fd_cnt;
    if (!process_stat(dir, "stat", &stat))
        return; /* it has ended since */
    p->start_ticks = stat.start_ticks;
    memcpy(p->program, stat.program, sizeof p->program);
}

static void process_look(struct look *look)
{
    struct stat task;
    char path[16];
    int error;
    snprintf(path, sizeof path, "%u", look->pid);
    int dir = openat(look->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        look->scan->few_files |= process_is_short(errno);
        return;
    }
    int fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = fds < 0 ? errno : table_look(look, fds);
    look->scan->few_files |= process_is_short(error);
    if (error == EACCES || error == EPERM)
        process_denied(look, dir);
    else if (fstatat(dir, "task", &task, 0) == 0 && task.st_nlink > 3)
        threads_look(look, dir);
    if (look->process != SCAN_NONE)
        process_name(look, dir);
    close(dir);
}

/* Connections of one MPTCP socket have one inode, which leads to one of them: what holds that one
 * holds them all. */
static void holds_share(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        const struct scan_socket *s = &scan->sockets[i];
        uint32_t same = s->held_by_kernel && !s->hold_cnt ? scan_by_inode(scan, s->inode) : SCAN_NONE;
        uint32_t at = same == SCAN_NONE || same == i ? SCAN_NONE : scan->sockets[same].hold_first;
        for (; at != SCAN_NONE; at = scan->holds[at].next) {
            struct scan_hold from = scan->holds[at];
            struct scan_hold *hold = scan_hold_add(scan, i, from.process, from.kind, from.fd);
            if (hold)
                hold->tid = from.tid;
        }
    }
}

int descriptors_look(struct scan *scan)
{
    struct look look = {.scan = scan};
    struct process_numbers numbers;
    char *buffers = malloc(3 * NUMBERS_LEN);
    if (!buffers)
        return -ENOMEM;
    look.pids = buffers;
    look.tids = buffers + NUMBERS_LEN;
    look.fds = buffers + 2 * NUMBERS_LEN;
    look.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scan->unseen_processes = 0;
    numbers_begin(&numbers, look.proc < 0 ? -errno : look.proc, look.pids);
    while (numbers_next(&numbers, &look.pid)) {
        look.process = SCAN_NONE;
        look.fd_cnt = 0;
        process_look(&look);
    }
    numbers_end(&numbers);
    free(buffers);
    holds_share(scan);
    return -numbers.error;
}
