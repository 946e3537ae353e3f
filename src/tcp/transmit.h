/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection sends next (RFC 9293 3.8, 3.8.6.2.1; RFC 5681; RFC 6582). */
#ifndef LASTACK_TCP_TRANSMIT_H
#define LASTACK_TCP_TRANSMIT_H

#include "tcp/connection.h"

/* One segment that the connection owes now; false: none. */
bool transmit_next(struct tcp *tcp, struct connection *c, struct outgoing *out);
/* The sequence number for a segment without data: SND.NXT, or the edge of a shrunk window, so
 * that the peer finds it acceptable. */
uint32_t transmit_seq(const struct connection *c);
/* Data or FIN that was never sent. */
bool transmit_pending(const struct connection *c);

#endif
