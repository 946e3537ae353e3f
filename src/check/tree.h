/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of processes that is watched: its threads, its processes, and what exec made of them. */
#ifndef LASTACK_CHECK_TREE_H
#define LASTACK_CHECK_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/filter.h"
#include "check/lend.h"
#include "check/place.h"
#include "check/table.h"
#include "doctor/facts.h"

struct candidate_list; /* judge.h */

struct process {
    struct table_node node; /* in tree->processes, by pid */
    uint32_t pid, parent;
    uint32_t task_cnt; /* threads that were not reaped */
    uint32_t live_cnt; /* of these, not at their exit yet */
    struct image *image;
    char program[FACT_PROGRAM_LEN];
    uint32_t last_tid; /* its last thread, at its exit: the first may be gone; 0: still alive */
    bool execed;       /* since it was forked */
    bool touched;      /* it has, or could have inherited, a connection */
    struct loan loan;  /* lend.h */
    uint64_t birth_ns;
    uint64_t exec_ns; /* the newest exec, of it or those it was forked from; 0: none */
};

struct task {
    struct table_node node; /* in tree->tasks, by tid */
    struct process *process;
    uint32_t tid;
    bool leaving;         /* past the stop at its exit */
    bool lent;            /* to a tracer of its own program: nothing is heard of it */
    uint64_t closing;     /* the socket of its close(), until it is heard of again; 0: none */
    bool makes_tracer;    /* with the clone() that it is in */
    enum check_call call; /* it is inside; its end is awaited */
    int fd;               /* of that call */
    uint64_t address;     /* of that call: connect's destination */
    uint32_t address_len;
    struct candidate_list *candidates; /* what it had open at its exit; owned */
    int exit_signal;                   /* that kills it, as its exit says */
};

struct tree {
    struct hash_table tasks, processes;
    uint64_t process_cnt; /* since the start */
    bool failed;          /* out of memory */
};

/* The task `tid`, made if it is new: `maker` is who made it, NULL if that is not known. NULL: no
 * memory, or its maker tells of it when it is gone already. */
struct task *tree_task(struct tree *tree, uint32_t tid, const struct task *maker);
struct process *tree_process(const struct tree *tree, uint32_t pid);
/* It was reaped. */
void tree_task_gone(struct tree *tree, struct task *task);
/* Thread `former` called exec: its process has this thread alone, under the process's id. */
struct task *tree_exec(struct tree *tree, uint32_t pid, uint32_t former);
/* The id under which /proc shows its memory. */
uint32_t process_voice(const struct process *process);
/* Read the name again. */
void process_name(struct process *process);
void tree_free(struct tree *tree);
uint64_t check_now_ns(void);

#endif
