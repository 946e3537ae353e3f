/* SPDX-License-Identifier: BSD-2-Clause */
/* What the processes behind facts are doing. Private. */
#ifndef LASTACK_KERNEL_DETAILS_H
#define LASTACK_KERNEL_DETAILS_H

#include "doctor/facts.h"
#include "doctor/text.h"
#include "kernel/census.h"

/* How to look. Zero-initialised: as it is done for the kernel's sockets by /proc. */
struct details_how {
    bool all_watched;  /* who watches is asked of all records, not only of those of interest */
    bool all_holders;  /* what holders do, too */
    bool calls_known;  /* blocked calls and polls are watchers already (iterators see them) */
    bool no_cpu;       /* not the clocks of processes: two looks, 50 ms apart */
    const struct census *census; /* what it has met is not asked of /proc; NULL: nothing */
    /* The id of the socket that a descriptor leads to, of those that are no leads; 0: none. */
    uint64_t (*id_of)(void *context, uint32_t pid, int fd);
    void *context;
    struct text *unseen; /* sentences */
};

/* More than a quiet connection. */
bool details_of_interest(const struct facts *facts);

/* Complete the records from `first` on: of their holders' processes the threads, what they do, limits,
 * age, container, CPU; of watchers, whether somebody waits there. Holders need pid and descriptor,
 * records their inode. Each process is looked at once, DETAILS_PROCESS_MAX at most. */
#define DETAILS_PROCESS_MAX 4096u
void details_add(struct facts_list *list, uint32_t first, const struct details_how *how);

#endif
