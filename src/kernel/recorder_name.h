/* SPDX-License-Identifier: BSD-2-Clause */
/* From stacks that the recorder's programs met for the first time to names of places. Private. */
#ifndef LASTACK_KERNEL_RECORDER_NAME_H
#define LASTACK_KERNEL_RECORDER_NAME_H

#include "doctor/facts.h"
#include "kernel/recorder_maps.h"

struct recorder_names;

/* `stacks` and `sites` are descriptors of the maps that get the answers. */
struct recorder_names *recorder_names_open(int stacks, int sites);
void recorder_names_close(struct recorder_names *names);
/* Name one stack. */
void recorder_names_add(struct recorder_names *names, const struct recorder_stack *stack);
/* The place of a stack by its key; NULL: not known. */
const struct fact_site *recorder_names_find(struct recorder_names *names, uint64_t key);
uint32_t recorder_names_cnt(const struct recorder_names *names);

/* Between a site and its form in a map; `site->stack` is to be freed. */
void recorder_site_put(struct recorder_site *to, const struct fact_site *from);
void recorder_site_get(struct fact_site *to, const struct recorder_site *from);

#endif
