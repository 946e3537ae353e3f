/* SPDX-License-Identifier: BSD-2-Clause */
/* Tracepoints of calls, where nobody has mounted tracefs, too. Private. */
#ifndef LASTACK_KERNEL_RECORDER_TRACE_H
#define LASTACK_KERNEL_RECORDER_TRACE_H

#include <stddef.h>

/* The numbers of tracepoints "syscalls/NAME"; 0 where there is none. Returns how many were found. */
unsigned recorder_trace_ids(const char *const *names, unsigned cnt, unsigned *ids);
/* A descriptor of the tracepoint on all CPUs, for a BPF program to be attached to; -errno. */
int recorder_trace_open(unsigned id);

#endif
