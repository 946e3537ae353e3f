/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that wait. The program's thread sleeps in the kernel until we answer, so signals and
 * timeouts of that thread are our business: with WAIT_KILLABLE_RECV the kernel interrupts it for
 * nothing but death, and we look for pending signals ourselves.
 */
#ifndef LASTACK_RUN_HELD_H
#define LASTACK_RUN_HELD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervisor;
struct call;
struct held;
struct pair;

/* Keep `call` waiting. `option` (SO_RCVTIMEO, SO_SNDTIMEO, 0) says which of A's timeouts ends it.
 * NULL: out of memory, the call was answered with ENOMEM. */
struct held *held_add(struct supervisor *s, struct call *call, int option);
/* The oldest that waits on the pair, or NULL. */
struct held *held_first(struct pair *pair);
/* Take it off and hand out its call, to be answered. */
struct call held_take(struct supervisor *s, struct held *held);

/* Does anybody still wait on it? Callers that died are forgotten. */
bool held_remains(struct supervisor *s, struct pair *pair);

/* Signals, timeouts, callers that died. */
void held_look(struct supervisor *s);
uint64_t held_deadline(const struct supervisor *s);

#endif
