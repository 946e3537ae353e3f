/* SPDX-License-Identifier: BSD-2-Clause */
/* A segment arrives (RFC 9293 3.10.7.3 SYN_SENT, 3.10.7.4 other states). */
#ifndef LASTACK_TCP_RECEIVE_H
#define LASTACK_TCP_RECEIVE_H

#include "tcp/connection.h"

void connection_rx(struct tcp *tcp, struct connection *c, struct segment *seg);
/* Steps 6 to 8 (URG, text, FIN) for a segment whose control bits are dealt with. */
void receive_text(struct tcp *tcp, struct connection *c, struct segment *seg);
/* Take over what a SYN says: MSS, window scale, first sequence number. */
void receive_syn_options(struct tcp *tcp, struct connection *c, uint32_t irs, uint16_t mss,
                         uint8_t wscale);
void syn_sent_rx(struct tcp *tcp, struct connection *c, struct segment *seg);

#endif
