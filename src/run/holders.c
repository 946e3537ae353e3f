/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds a socket: one pass over the descriptors of all processes under the supervisor. */
#include "run/holders.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/supervisor.h"
#include "run/task.h"

#define PROCESS_MAX 65536

struct pid_list {
    pid_t *all;
    unsigned cnt, cap;
};

static void pid_add(struct pid_list *list, pid_t pid)
{
    if (list->cnt == list->cap && list->cap < PROCESS_MAX) {
        unsigned cap = list->cap ? 2 * list->cap : 64;
        pid_t *all = realloc(list->all, cap * sizeof *all);

        if (!all)
            return;
        list->all = all;
        list->cap = cap;
    }
    if (list->cnt < list->cap)
        list->all[list->cnt++] = pid;
}

/* Names in a directory that are numbers. */
static bool next_number(DIR *dir, long *number)
{
    const struct dirent *entry;
    char *end;

    while ((entry = readdir(dir))) {
        *number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0')
            return true;
    }
    return false;
}

/* The children of each thread of `pid`. */
static void children_add(struct pid_list *list, pid_t pid)
{
    char path[64];
    DIR *dir;
    long tid;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        return;
    while (next_number(dir, &tid)) {
        char name[96];
        FILE *file;
        int child;

        snprintf(name, sizeof name, "%s/%ld/children", path, tid);
        file = fopen(name, "re");
        while (file && fscanf(file, "%d", &child) == 1)
            pid_add(list, child);
        if (file)
            fclose(file);
    }
    closedir(dir);
}

/* For kernels without lists of children. */
static void descendants_add(struct pid_list *list, pid_t ancestor)
{
    DIR *dir = opendir("/proc");
    long pid;

    if (!dir)
        return;
    while (next_number(dir, &pid))
        if (pid != ancestor && task_is_descendant((pid_t)pid, ancestor))
            pid_add(list, (pid_t)pid);
    closedir(dir);
}

static void tree_collect(struct pid_list *list, pid_t root)
{
    char path[64];

    *list = (struct pid_list){0};
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", root, root);
    if (access(path, R_OK) != 0) {
        descendants_add(list, root);
        return;
    }
    children_add(list, root);
    for (unsigned i = 0; i < list->cnt; i++)
        children_add(list, list->all[i]);
}

/* Room for one more at the end of an array. */
static bool array_grow(void *all_at, unsigned cnt, unsigned *cap, size_t size)
{
    void **all = all_at, *more;

    if (cnt < *cap)
        return true;
    more = realloc(*all, (*cap ? 2 * *cap : 128) * size);
    if (!more)
        return false;
    *all = more;
    *cap = *cap ? 2 * *cap : 128;
    return true;
}

static void descriptor_met(struct holder_set *set, const char *target, pid_t pid, int fd)
{
    struct holder holder = {0, pid, fd};
    bool socket = strncmp(target, "socket:[", 8) == 0;

    if (socket)
        holder.inode = strtoull(target + 8, NULL, 10);
    else if (strcmp(target, "anon_inode:[eventpoll]") != 0)
        return;
    if (socket && array_grow(&set->all, set->cnt, &set->cap, sizeof *set->all))
        set->all[set->cnt++] = holder;
    else if (!socket &&
             array_grow(&set->epolls, set->epoll_cnt, &set->epoll_cap, sizeof *set->epolls))
        set->epolls[set->epoll_cnt++] = holder;
    else
        set->complete = false;
}

static void process_scan(struct holder_set *set, pid_t pid)
{
    struct holder_process process = {.pid = pid};
    char path[32], target[64];
    DIR *dir;
    long fd;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    if (!dir) {
        set->complete = set->complete && task_exiting(pid); /* those have none */
        return;
    }
    for (; next_number(dir, &fd); process.fd_cnt++) {
        char name[24];
        ssize_t len;

        snprintf(name, sizeof name, "%ld", fd);
        len = readlinkat(dirfd(dir), name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        descriptor_met(set, target, pid, (int)fd);
    }
    closedir(dir);
    if (array_grow(&set->processes, set->process_cnt, &set->process_cap, sizeof *set->processes))
        set->processes[set->process_cnt++] = process;
}

static int by_inode(const void *left, const void *right)
{
    const struct holder *a = left, *b = right;

    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    if (a->pid != b->pid)
        return a->pid < b->pid ? -1 : 1;
    return a->fd - b->fd;
}

static int by_pid(const void *left, const void *right)
{
    const struct holder_process *a = left, *b = right;

    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

void holders_scan(struct supervisor *s, struct holder_set *set)
{
    struct pid_list tree;

    *set = (struct holder_set){.complete = true};
    s->scan_cnt++;
    tree_collect(&tree, s->self);
    for (unsigned i = 0; i < tree.cnt; i++)
        process_scan(set, tree.all[i]);
    free(tree.all);
    if (set->cnt)
        qsort(set->all, set->cnt, sizeof *set->all, by_inode);
    if (set->process_cnt)
        qsort(set->processes, set->process_cnt, sizeof *set->processes, by_pid);
}

void holders_free(struct holder_set *set)
{
    free(set->all);
    free(set->epolls);
    free(set->processes);
    *set = (struct holder_set){0};
}

const struct holder_process *holders_process(const struct holder_set *set, pid_t pid)
{
    const struct holder_process key = {.pid = pid};

    return set->process_cnt ? bsearch(&key, set->processes, set->process_cnt,
                                      sizeof *set->processes, by_pid)
                            : NULL;
}

const struct holder *holders_of(const struct holder_set *set, uint64_t inode, unsigned *cnt)
{
    unsigned low = 0, high = set->cnt;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (set->all[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    for (*cnt = 0; low + *cnt < set->cnt && set->all[low + *cnt].inode == inode; (*cnt)++)
        ;
    return *cnt ? &set->all[low] : NULL;
}

void holders_signal(struct supervisor *s, int number)
{
    struct pid_list tree;

    tree_collect(&tree, s->self);
    for (unsigned i = 0; i < tree.cnt; i++)
        kill(tree.all[i], number);
    free(tree.all);
}
