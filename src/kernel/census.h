/* SPDX-License-Identifier: BSD-2-Clause */
/* All processes and their threads at one moment, as iterators met them: what /proc/PID/stat, limits
 * and task/TID/syscall say, for less than the opening of one of these files. Private to src/kernel. */
#ifndef LASTACK_KERNEL_CENSUS_H
#define LASTACK_KERNEL_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/call.h"
#include "kernel/process.h"

struct census_process {
    uint32_t pid;
    struct process_stat stat;
    uint32_t fd_limit; /* 0: none */
    uint64_t groups;   /* equal numbers, equal /proc/PID/cgroup */
    uint32_t thread_first, thread_cnt; /* in `threads` */
};

struct census {
    struct census_process *processes; /* by pid */
    uint32_t process_cnt;
    struct call_thread *threads; /* of each process together */
    uint32_t thread_cnt;
};

/* NULL: not met. */
const struct census_process *census_find(const struct census *census, uint32_t pid);
void census_free(struct census *census);

#endif
