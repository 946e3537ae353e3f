/* SPDX-License-Identifier: BSD-2-Clause */
/* The seccomp filter: which system calls of the program are brought to the supervisor. */
#ifndef LASTACK_RUN_FILTER_H
#define LASTACK_RUN_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

#define FILTER_MAX 160

/* Returns the number of instructions. */
unsigned filter_build(struct sock_filter program[FILTER_MAX], bool close_trace);
/* Install for the calling process and all it will start. Returns the descriptor of the
 * notifications, or -errno; *killable says whether WAIT_KILLABLE_RECV is on. */
int filter_install(bool close_trace, bool *killable);

#endif
