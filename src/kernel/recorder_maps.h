/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a recorder's memory among the BPF maps of the machine. Private. */
#ifndef LASTACK_KERNEL_RECORDER_MAPS_H
#define LASTACK_KERNEL_RECORDER_MAPS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/bpf/recorder_records.h"

#define RECORDER_SITE_MAX   4096u
#define RECORDER_SILENCE_NS UINT64_C(3000000000) /* after which it must be seen in /proc */

struct recorder_maps {
    struct recorder_about about;
    uint32_t about_id;
    int sockets, stacks, places, sites; /* descriptors, -1: none */
};

/* The memory of a recorder that lives, other than the one whose about-map is `not_id` (0: any).
 * False: there is none, or we may not see it. */
bool recorder_maps_find(struct recorder_maps *maps, uint32_t not_id);
void recorder_maps_close(struct recorder_maps *maps);
uint64_t recorder_now_ns(void); /* by the clock of its programs */
/* The start of a process as in /proc/PID/stat, 0: gone. */
uint64_t recorder_process_ticks(uint32_t pid);

#endif
