/* SPDX-License-Identifier: BSD-2-Clause */
/* A time-wait entry: what is left of a connection for 2 MSL (RFC 9293 3.3.2, 3.6.1). */
#ifndef LASTACK_TCP_TIME_WAIT_H
#define LASTACK_TCP_TIME_WAIT_H

#include "tcp/flow.h"

struct tcp;
struct connection;
struct segment;

/* All last equally long, so a FIFO orders them by expiry: no timer of their own. */
struct time_wait {
    struct flow flow;    /* spare: last window offered, as on the wire */
    uint32_t prev, next; /* pool indices */
    uint32_t expiry;     /* tick */
    uint32_t snd_nxt, rcv_nxt;
};
_Static_assert(sizeof(struct time_wait) <= 64, "a time-wait entry is to stay small");

/* Take the place of `c` in the flow table. `c` must be out of it already. */
void time_wait_create(struct tcp *tcp, const struct connection *c);
void time_wait_rx(struct tcp *tcp, struct time_wait *tw, struct segment *seg);
/* Expire what is due. */
void time_wait_timer(struct tcp *tcp);
void time_wait_delete(struct tcp *tcp, struct time_wait *tw, enum lastack_cause cause);

#endif
