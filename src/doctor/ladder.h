/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ladder of politeness by which `lastack end` ends a connection: a FIN while the owner goes on
 * reading (wr), a FIN and no more reading (rdwr), a reset (rst). Pure: which steps, in which order,
 * and what owner and peer see of each.
 */
#ifndef LASTACK_DOCTOR_LADDER_H
#define LASTACK_DOCTOR_LADDER_H

#include "doctor/facts.h"
#include "doctor/text.h"

#define LADDER_MAX 3

struct ladder {
    int steps[LADDER_MAX]; /* SHUT_WR, SHUT_RDWR, LASTACK_END_RST; the politest first */
    unsigned cnt;          /* 0: nothing may be done; ladder_refusal says why */
};

/* `how`: that one step, or -1: all that make sense here, no ruder than `max`. */
void ladder_make(struct ladder *ladder, const struct facts *facts, int how, int max);
/* Why there is no step, as the end of a sentence that begins with the connection ("is a listener,
 * ..."). NULL if nothing stands against it. Half-closes are not looked at. */
const char *ladder_refusal(const struct facts *facts, int how, int max);

/* The call, by name: "shutdown(SHUT_WR) through descriptor 4 of process 4710 (server)". */
void ladder_call(struct text *out, const struct facts *facts, int how);
/* What goes out, what the owner sees, what the peer sees. */
const char *ladder_wire(const struct facts *facts, int how);
const char *ladder_owner(const struct facts *facts, int how);
const char *ladder_peer(const struct facts *facts, int how);

/* What is to be done with a connection that is in `state` after a step. */
enum ladder_verdict {
    LADDER_OVER,   /* it has ended, or only waits out its time */
    LADDER_ENDING, /* it is on its way, and the stack ends it within a bound of its own */
    LADDER_WAITS,  /* it waits for somebody: give it time, then take the next step */
};
/* `send_queue`: bytes and FIN that are not acknowledged; `held`: a program has it still. */
enum ladder_verdict ladder_judge(enum lastack_state state, uint64_t send_queue, bool held);

#endif
