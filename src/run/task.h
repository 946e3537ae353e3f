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
/* State letter of /proc/PID/stat ('R', 'S', 'T', 'Z', ...), 0 if it is gone. */
char task_state(pid_t pid, uint32_t *threads);
/* It has died, or is dying and has closed everything. */
bool task_exiting(pid_t pid);
/* The call thread `tid` is in: number and first argument. False: none, or not to be seen. */
bool task_syscall(pid_t tid, long *nr, uint64_t *arg);
/* When it was started, on the monotonic clock; 0: unknown. */
uint64_t task_start_ns(pid_t pid);
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
