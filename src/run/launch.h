/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three processes:
 *   front       the one the user started: keeps its place in the shell's job, waits, hands signals on
 *   supervisor  its child, in a session of its own, so that no signal to a process group hits it
 *   program     child of the supervisor (which so may look into it), in the front's process group,
 *               so that Ctrl-C and job control reach it as ever
 */
#ifndef LASTACK_RUN_LAUNCH_H
#define LASTACK_RUN_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

#define RUN_FAILED 125      /* exit status: lastack itself */
#define RUN_NOT_EXECUTED 126
#define RUN_NOT_FOUND 127

struct supervisor;

/* In the front: returns the exit status when the supervisor is gone. */
int front_wait(pid_t supervisor);

/* In the supervisor: start the program under the filter. 0, or the exit status after a message. */
int launch_program(struct supervisor *s, const sigset_t *mask);

#endif
