/* SPDX-License-Identifier: BSD-2-Clause */
/* What the processes behind facts are doing. Private. */
#ifndef LASTACK_KERNEL_DETAILS_H
#define LASTACK_KERNEL_DETAILS_H

#include "doctor/facts.h"
#include "kernel/census.h"
#include "kernel/kernel.h"

/* Complete the records from `first` on, those that could be of interest: of their holders' processes
 * the threads, what they do, limits, age, container, CPU; of watchers, whether somebody waits there.
 * With `find_calls`, blocked calls and polls become watchers (iterators see them by themselves).
 * What a census has met is not asked of /proc. Each process is looked at once, DETAILS_PROCESS_MAX at most. */
#define DETAILS_PROCESS_MAX 4096u
void details_add(struct facts_list *list, uint32_t first, const struct kernel_options *options,
                 bool find_calls, const struct census *census, struct kernel_view *view);

#endif
