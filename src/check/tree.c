/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads come by fork, vfork and clone, in any order of news; they go one by one. */
#include "check/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check/judge.h"

uint64_t check_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Numbers of /proc/TID/status; 0: gone. True if it is ours: traced by us, and not reaped. */
static bool status_read(uint32_t tid, uint32_t *pid, uint32_t *parent)
{
    char path[48], line[128];
    snprintf(path, sizeof path, "/proc/%u/status", tid);
    FILE *file = fopen(path, "re");
    uint32_t tracer = 0;
    *pid = *parent = 0;
    while (file && fgets(line, sizeof line, file) && sscanf(line, "TracerPid: %u", &tracer) != 1)
        if (sscanf(line, "Tgid: %u", pid) != 1)
            (void)sscanf(line, "PPid: %u", parent);
    if (file)
        fclose(file);
    return tracer == (uint32_t)getpid();
}

void process_name(struct process *process)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%u/comm", process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, process->program, sizeof process->program - 1);
    if (fd >= 0)
        close(fd);
    if (len > 0)
        process->program[len - (process->program[len - 1] == '\n')] = 0;
}

static void task_free(void *arg)
{
    struct task *task = arg;
    if (task->candidates)
        candidates_free(task->candidates);
    free(task->candidates);
    free(task);
}

uint32_t process_voice(const struct process *process)
{
    return process->last_tid ? process->last_tid : process->pid;
}

static struct process *process_new(struct tree *tree, uint32_t pid, uint32_t parent_pid)
{
    struct process *process = calloc(1, sizeof *process), *parent = tree_process(tree, parent_pid);
    if (!process)
        return NULL;
    *process = (struct process){
        .node.key = pid, .pid = pid, .parent = parent_pid, .birth_ns = check_now_ns()};
    process->image = parent ? parent->image : image_new(NULL);
    process->touched = parent && parent->touched;
    process->exec_ns = parent ? parent->exec_ns : 0;
    if (!process->image || !hash_add(&tree->processes, &process->node)) {
        free(process);
        return NULL;
    }
    image_join(process->image);
    process_name(process);
    tree->process_cnt++;
    return process;
}

struct process *tree_process(const struct tree *tree, uint32_t pid)
{
    return hash_find(&tree->processes, pid);
}

static struct task *task_add(struct tree *tree, struct process *process, uint32_t tid)
{
    struct task *task = calloc(1, sizeof *task);
    if (!task)
        return NULL;
    *task = (struct task){.node.key = tid, .process = process, .tid = tid};
    if (!hash_add(&tree->tasks, &task->node)) {
        free(task);
        return NULL;
    }
    process->task_cnt++;
    process->live_cnt++;
    return task;
}

struct task *tree_task(struct tree *tree, uint32_t tid, const struct task *maker)
{
    uint32_t pid, parent;
    struct task *task = hash_find(&tree->tasks, tid);
    if (task)
        return task;
    if (!status_read(tid, &pid, &parent) && maker)
        return NULL; /* the news of its birth comes after those of its death */
    struct process *process = tree_process(tree, pid ? pid : tid);
    if (!process)
        process = process_new(tree, pid ? pid : tid, maker ? maker->process->pid : parent);
    task = process ? task_add(tree, process, tid) : NULL;
    tree->failed = tree->failed || !task;
    return task;
}

void tree_task_gone(struct tree *tree, struct task *task)
{
    struct process *process = task->process;
    if (!task->leaving)
        process->live_cnt--;
    hash_remove(&tree->tasks, &task->node);
    task_free(task);
    if (--process->task_cnt)
        return;
    hash_remove(&tree->processes, &process->node);
    image_leave(process->image);
    free(process);
}

struct task *tree_exec(struct tree *tree, uint32_t pid, uint32_t former)
{
    struct task *task = tree_task(tree, pid, NULL), *old;
    struct image *image;
    if (!task)
        return NULL;
    if (former != pid && (old = hash_find(&tree->tasks, former)) && old->process == task->process)
        tree_task_gone(tree, old);
    task->leaving = false;
    task->call = CALL_NONE;
    struct process *process = task->process;
    process->live_cnt = 1; /* the others are gone, or zombies */
    image = image_new(process->image);
    if (!image) {
        tree->failed = true;
        return task;
    }
    image_join(image);
    image_leave(process->image);
    process->image = image;
    process->execed = true;
    process->exec_ns = check_now_ns();
    process_name(process);
    return task;
}

void tree_free(struct tree *tree)
{
    hash_free(&tree->tasks, task_free);
    hash_free(&tree->processes, free);
}
