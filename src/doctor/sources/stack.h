/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts from a stack of ours. Pure: reads the library's accounting and its flight recorder. */
#ifndef LASTACK_DOCTOR_SOURCES_STACK_H
#define LASTACK_DOCTOR_SOURCES_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "lastack.h"

struct facts_stack_options {
    const char *name; /* goes into facts.stack; NULL: "" */
    /* A supervisor reads for its programs. Then the stack's "end of stream read", its receive
     * queue and its holders are the supervisor's and say nothing about the programs: those facts
     * are left unknown, for the supervisor to fill. */
    bool supervised;
};

/* Append every connection, listener, half-open and time-wait entry of `stack` to `list`, with
 * holders, callers of close and shutdown (from the flight recorder), peers and listeners. */
void facts_from_stack(struct facts_list *list, const lastack *stack, uint64_t now_ns,
                      const struct facts_stack_options *options);

#endif
