/* SPDX-License-Identifier: BSD-2-Clause */
/* Received bytes into the receive stream, in and out of order (RFC 9293 3.10.7.4 step 7). */
#ifndef LASTACK_TCP_REASSEMBLY_H
#define LASTACK_TCP_REASSEMBLY_H

#include "tcp/connection.h"

/* Store a segment that is trimmed to the window; moves rcv_nxt over all that is now in order. */
void reassembly_take(struct tcp *tcp, struct connection *c, struct segment *seg);
/* A FIN whose turn has not come. */
void reassembly_hold_fin(struct tcp *tcp, struct connection *c, uint32_t fin_seq);
/* Memory is short: forget what the connection with the oldest gap holds beyond it. False: there
 * is no gap anywhere. */
bool reassembly_prune(struct tcp *tcp);
/* Forget everything out of order. */
void reassembly_clear(struct tcp *tcp, struct connection *c);

#endif
