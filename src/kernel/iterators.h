/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's TCP sockets as BPF iterators see them: every socket with its reference count, its
 * wait queue and its accept queue, and every descriptor of every process, so that references are
 * exact, hidden holders have names and creators are known by their credentials. This fills whole
 * records; sock_diag and /proc (kernel.c) stand in where BPF cannot be loaded.
 */
#ifndef LASTACK_KERNEL_ITERATORS_H
#define LASTACK_KERNEL_ITERATORS_H

#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "kernel/kernel.h"

/* A network namespace to look into. */
struct kernel_space {
    int fd;         /* open /proc/PID/ns/net or /run/netns/NAME; -1: the one we are in */
    uint64_t inode; /* of that namespace */
    char stack[32]; /* facts.stack of its sockets: KERNEL_STACK or "kernel@NAME" */
};

/* Append the facts of all TCP sockets in these namespaces that `options` ask for, and of dead ones
 * (state CLOSE, in no table of the kernel) that a process still holds. Filled is all but what
 * takes a look at each process: holders and watchers have pid, tid, fd and program (the kernel's
 * comm), and `doing`, times, limits, containers are the caller's business.
 *
 * What only a second look can tell apart, a reference that hides from one that comes and goes, gets
 * one, 50 ms later, if there is anything to tell. `view->bpf` is set; what cannot be seen gets a
 * line in `view->unseen`. 0, or -errno with a sentence in `why` and nothing appended: fall back. */
int facts_from_iterators(struct facts_list *list, const struct kernel_options *options,
                         const struct kernel_space *spaces, uint32_t space_cnt,
                         struct kernel_view *view, char *why, size_t why_len);

#endif
