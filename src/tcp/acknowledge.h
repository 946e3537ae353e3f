/* SPDX-License-Identifier: BSD-2-Clause */
/* What an acknowledgment does (RFC 9293 3.10.7.4 step 5; RFC 5681, RFC 6582, RFC 6298). */
#ifndef LASTACK_TCP_ACKNOWLEDGE_H
#define LASTACK_TCP_ACKNOWLEDGE_H

#include "tcp/connection.h"

/* SEG.ACK lies in SND.UNA - MAX.SND.WND .. SND.NXT: advance, detect loss, update the window. */
void acknowledge(struct tcp *tcp, struct connection *c, const struct segment *seg);
/* The handshake is done: windows, congestion window, RTO. */
void acknowledge_established(struct tcp *tcp, struct connection *c, bool syn_retransmitted);

#endif
