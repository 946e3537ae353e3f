/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads of the program: process, pidfd, and what /proc says about them. */
#include "run/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/supervisor.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

/* A small file of /proc as a string. Returns its length, or -1. */
static ssize_t proc_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        return -1;
    len = read(fd, text, size - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return len;
}

static bool status_field(const char *status, const char *key, int base, uint64_t *value)
{
    const char *at = strstr(status, key);

    if (!at)
        return false;
    *value = strtoull(at + strlen(key), NULL, base);
    return true;
}

/* The process of a thread; 0: it is gone. */
static pid_t task_process(pid_t tid)
{
    char path[48], status[2048];
    uint64_t pid;

    snprintf(path, sizeof path, "/proc/%d/status", tid);
    if (proc_read(path, status, sizeof status) <= 0 || !status_field(status, "\nTgid:", 10, &pid))
        return 0;
    return (pid_t)pid;
}

static bool task_alive(const struct task *task)
{
    return syscall(SYS_pidfd_send_signal, task->pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

static bool task_open(struct task *task, pid_t tid)
{
    *task = (struct task){.tid = tid, .pid = task_process(tid), .pidfd = -1};
    if (task->pid == 0)
        return false;
    task->pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
    if (task->pidfd < 0)
        task->pidfd = (int)syscall(SYS_pidfd_open, task->pid, 0);
    return task->pidfd >= 0;
}

const struct task *task_get(struct supervisor *s, pid_t tid)
{
    struct task *task = &s->tasks[(unsigned)tid % TASK_CACHE_CNT];

    if (task->tid == tid && task_alive(task))
        return task;
    if (task->tid != 0)
        close(task->pidfd);
    if (task_open(task, tid)) {
        task_name_keep(s, task->pid);
        return task;
    }
    task->tid = 0;
    return NULL;
}

int task_descriptor(struct supervisor *s, pid_t tid, int fd)
{
    const struct task *task = task_get(s, tid);
    int copy;

    if (!task)
        return -ESRCH;
    copy = (int)syscall(SYS_pidfd_getfd, task->pidfd, fd, 0);
    return copy < 0 ? -errno : copy;
}

void task_forget_all(struct supervisor *s)
{
    for (unsigned i = 0; i < TASK_CACHE_CNT; i++) {
        if (s->tasks[i].tid != 0)
            close(s->tasks[i].pidfd);
        s->tasks[i].tid = 0;
    }
}

pid_t task_parent(pid_t pid)
{
    char path[48], stat[512], *at;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (proc_read(path, stat, sizeof stat) <= 0 || !(at = strrchr(stat, ')')))
        return 0;
    /* ") S ppid": the name before it may hold anything */
    return strlen(at) > 4 ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

unsigned task_children(pid_t pid, pid_t *children, unsigned max)
{
    char path[64], list[4096], *at = list, *end;
    unsigned cnt = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    if (proc_read(path, list, sizeof list) <= 0)
        return 0;
    for (;; at = end, cnt++) {
        long child = strtol(at, &end, 10);

        if (end == at)
            break;
        children[cnt % max] = (pid_t)child; /* the youngest ones stay */
    }
    return cnt < max ? cnt : max;
}

bool task_is_descendant(pid_t pid, pid_t ancestor)
{
    for (unsigned depth = 0; pid > 1 && depth < 64; depth++) {
        if (pid == ancestor)
            return true;
        pid = task_parent(pid);
    }
    return false;
}

bool task_signal_pending(pid_t tid, bool *own)
{
    char path[48], status[2048];
    uint64_t thread = 0, shared = 0, blocked = 0, ignored = 0, thread_cnt = 1;

    snprintf(path, sizeof path, "/proc/%d/status", tid);
    if (proc_read(path, status, sizeof status) <= 0)
        return false;
    status_field(status, "\nThreads:", 10, &thread_cnt);
    status_field(status, "\nSigPnd:", 16, &thread);
    status_field(status, "\nShdPnd:", 16, &shared);
    status_field(status, "\nSigBlk:", 16, &blocked);
    status_field(status, "\nSigIgn:", 16, &ignored);
    thread &= ~blocked & ~ignored;
    shared &= ~blocked & ~ignored;
    *own = thread != 0 || thread_cnt == 1;
    return (thread | shared) != 0;
}

static bool comm_read(pid_t pid, char *name, size_t size)
{
    char path[48];
    ssize_t len;

    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    len = proc_read(path, name, size);
    if (len <= 0)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return true;
}

static struct name *name_of(struct supervisor *s, pid_t pid)
{
    struct name *name = &s->names[(unsigned)pid % NAME_CNT];

    if (name->pid != pid)
        *name = (struct name){.pid = pid};
    return name;
}

void task_name_keep(struct supervisor *s, pid_t pid)
{
    char text[sizeof s->names->text];

    if (comm_read(pid, text, sizeof text))
        memcpy(name_of(s, pid)->text, text, sizeof text);
}

void task_name(struct supervisor *s, pid_t pid, char *name, size_t size)
{
    const struct name *kept = &s->names[(unsigned)pid % NAME_CNT];

    if (comm_read(pid, name, size))
        return;
    snprintf(name, size, "%s", kept->pid == pid ? kept->text : "");
}

/* The fields of /proc/PID/stat after the name; field 3 (state) is the first. */
static bool stat_fields(pid_t pid, char text[512], char **fields)
{
    char path[48];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (proc_read(path, text, 512) <= 0 || !(*fields = strrchr(text, ')')) || strlen(*fields) < 3)
        return false;
    *fields += 2;
    return true;
}

static uint64_t stat_field(const char *fields, unsigned number)
{
    for (unsigned at = 3; at < number && fields; at++)
        if ((fields = strchr(fields, ' ')))
            fields++;
    return fields ? strtoull(fields, NULL, 10) : 0;
}

#define PROCESS_EXITING 0x4 /* PF_EXITING among the flags of /proc/PID/stat */

bool task_exiting(pid_t pid)
{
    char text[512], *fields;

    if (!stat_fields(pid, text, &fields))
        return true;
    return fields[0] == 'Z' || fields[0] == 'X' || (stat_field(fields, 9) & PROCESS_EXITING);
}

void task_look(pid_t pid, struct task_stat *stat)
{
    char text[512], *fields, *name;
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

    *stat = (struct task_stat){0};
    if (!stat_fields(pid, text, &fields))
        return;
    fields[-2] = '\0'; /* the parenthesis behind the name */
    name = strchr(text, '(');
    snprintf(stat->name, sizeof stat->name, "%s", name ? name + 1 : "");
    stat->state = fields[0];
    stat->parent = (pid_t)stat_field(fields, 4);
    if (per_second) /* since boot; without suspends the monotonic clock agrees */
        stat->start_ns = stat_field(fields, 22) * (1000000000u / per_second);
}

bool task_descriptor_close_on_exec(pid_t tid, int fd)
{
    char path[64], text[256];
    uint64_t flags = 0;

    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, fd);
    return proc_read(path, text, sizeof text) > 0 && status_field(text, "\nflags:", 8, &flags) &&
           (flags & O_CLOEXEC);
}
