/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sanitizers' search for leaks of memory (LeakSanitizer) stops its own program with ptrace,
 * from a process that it makes for that. A thread has one tracer: so it is lent for as long as that
 * process lives. It stands still all the while, as calls that the filter stops fail without their
 * tracer.
 */
#ifndef LASTACK_CHECK_LEND_H
#define LASTACK_CHECK_LEND_H

#include <stdbool.h>
#include <stdint.h>

struct process;
struct task;
struct watch;

/* What a process knows of it. */
struct loan {
    bool may_trace;  /* this process was made as such tracers are */
    bool is_tracer;  /* it is one, of its parent */
    uint32_t tracer; /* of this process: waits until all threads stand still; 0: none */
    bool given;      /* they do */
    bool swallow;    /* the SIGCONT that ends it is not the program's */
};

/* A clone() that would escape us is made to stay. */
void lend_clone(struct task *maker);
/* It has happened. */
void lend_made(struct task *maker, struct task *child);
/* The tracer wants to begin. True: it has to wait; lend_task() or lend_look() lets it go on. */
bool lend_begin(struct watch *watch, struct task *tracer);
/* A thread stands still. True: it is lent now. */
bool lend_task(struct watch *watch, struct task *task);
/* A thread has gone meanwhile. */
void lend_look(struct watch *watch, struct process *process);
/* The tracer has ended: all come back. */
void lend_end(struct watch *watch, const struct process *tracer);
/* Is this the SIGCONT that brought it back? */
bool lend_swallows(struct task *task, int signal);

#endif
