/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doctor's eyes on the Linux kernel's own TCP sockets: facts of all network namespaces, from
 * sock_diag and /proc always, from BPF iterators where they load. Read-only: nothing here changes a
 * socket or stops a thread (ending is end.h).
 */
#ifndef LASTACK_KERNEL_KERNEL_H
#define LASTACK_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/text.h"

#define KERNEL_STACK "kernel" /* facts.stack; "kernel@NAME" for another network namespace */

/* How far to look. Zero-initialised: everything, everywhere, with details. */
struct kernel_options {
    bool no_bpf;     /* sock_diag and /proc only */
    bool here_only;  /* this network namespace only */
    bool no_details; /* no watchers, no doing, no hidden holders: what `ss -tanp` shows */
    bool no_wait;    /* not the second that dead descriptors are given to be closed, if there are any */
    bool no_holders; /* not even descriptors: states, queues and ages */
    unsigned states; /* bits (1 << enum lastack_state); 0: all. TIME_WAIT only if asked for here */
    uint16_t port;   /* either end; 0: any */
    uint32_t pid;    /* held by this process; 0: any */
    uint64_t id;     /* only this cookie (its local peer and listener too); 0: any */
};

/* What was looked at, and what could not be seen. */
struct kernel_view {
    bool bpf;            /* iterators were used: references and creators are exact */
    bool recorder;       /* `lastack watch` runs and its history was read */
    uint32_t namespaces; /* looked into */
    struct text unseen;  /* sentences, one a line: what was not visible, and what would help */
};
void kernel_view_init(struct kernel_view *view);
void kernel_view_free(struct kernel_view *view);

/* Append the facts of the kernel's TCP sockets. 0, or -errno with a sentence in `why`; what cannot be
 * seen for lack of rights is no error but a line in `view->unseen`. Takes a second look (some 50 ms
 * later) at what only a second look can tell: hidden references, bytes that move. Ids are socket
 * cookies. The caller calls facts_list_relate. */
int facts_from_kernel(struct facts_list *list, const struct kernel_options *options,
                      struct kernel_view *view, char *why, size_t why_len);

/* ---- pieces that others use ---- */

/* The age of a process and its names; false: gone. */
struct kernel_process {
    uint32_t pid;
    uint64_t start_ticks; /* since boot: with the pid, the identity of a process */
    char program[FACT_PROGRAM_LEN];
};
bool kernel_process_look(struct kernel_process *process, uint32_t pid);

/* 0 if /proc tells of processes by the numbers that we have for them; else -errno, and a sentence about
 * what that hides and what would help. */
int kernel_check_proc(char *why, size_t why_len);

/* The cookie of descriptor `fd` of process `pid` (pidfd_getfd, SO_COOKIE); 0: none or not allowed. */
uint64_t kernel_descriptor_cookie(uint32_t pid, int fd);

#endif
