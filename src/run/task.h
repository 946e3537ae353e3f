/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads of the program: process, pidfd, and what /proc says about them. */
#ifndef LASTACK_RUN_TASK_H
#define LASTACK_RUN_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct supervisor;

/* The cached entry of thread `tid`, made if need be. NULL: it is gone. */
const struct task *task_get(struct supervisor *s, pid_t tid);
/* A duplicate of descriptor `fd` of that thread, close-on-exec; or -errno. */
int task_descriptor(struct supervisor *s, pid_t tid, int fd);
void task_forget_all(struct supervisor *s);

/* Note the name of process `pid` while it can still be read. */
void task_name_keep(struct supervisor *s, pid_t pid);
/* Its name now, or the one that was kept; "" if unknown. */
void task_name(struct supervisor *s, pid_t pid, char *name, size_t size);
/* What /proc/PID/stat says at once. */
struct task_stat {
    char name[16];
    char state; /* 'R', 'S', 'T', 'Z', ...; 0: it is gone */
    pid_t parent;
    uint64_t start_ns; /* when it was started, on the monotonic clock; 0: unknown */
};
void task_look(pid_t pid, struct task_stat *stat);
/* It has died, or is dying and has closed everything. */
bool task_exiting(pid_t pid);
bool task_descriptor_close_on_exec(pid_t tid, int fd);

/* Parent of `pid`; 0: unknown. */
pid_t task_parent(pid_t pid);
/* Children of the main thread of `pid`: the youngest, at most `max`. */
unsigned task_children(pid_t pid, pid_t *children, unsigned max);
bool task_is_descendant(pid_t pid, pid_t ancestor);

/* A signal is waiting that the thread neither blocks nor ignores. *own: sent to this very thread,
 * or it is the only one of its process. */
bool task_signal_pending(pid_t tid, bool *own);

#endif
