/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive window and when to acknowledge (RFC 9293 3.8.6, 3.8.6.2.2, 3.8.6.3). */
#ifndef LASTACK_TCP_WINDOW_H
#define LASTACK_TCP_WINDOW_H

#include "tcp/connection.h"

static inline uint32_t receive_window(const struct connection *c)
{
    return c->rcv_adv - c->rcv_nxt;
}

/* Largest window for a SYN: never scaled (RFC 7323 2.2). */
static inline uint16_t window_syn(const struct tcp_options *options)
{
    return options->receive_buffer < 65535 ? (uint16_t)options->receive_buffer : 65535;
}

/* The shift we offer so that windows up to `buffer` bytes can be told. */
uint8_t window_scale_for(uint32_t buffer);
/* What to put into a segment that leaves now; moves the right edge, never left [SHLD-14]. */
uint16_t window_offer(struct connection *c);
/* A program has taken data: tell the peer if that opens the window enough to matter. */
void window_opened(struct tcp *tcp, struct connection *c);
/* `len` bytes were taken in, in order: acknowledge every second full segment, or soon. */
void acknowledge_soon(struct tcp *tcp, struct connection *c, uint32_t len);
void acknowledge_now(struct tcp *tcp, struct connection *c);
/* A program has read all that there was. A sender that pushed it and holds back a small tail until
 * it is acknowledged (Nagle) need not wait for the timer; but the ACK of who usually answers goes
 * with the answer. */
void acknowledge_read(struct tcp *tcp, struct connection *c);
/* Data of ours leaves: if it follows what came in soon enough, it can carry the ACKs. */
void acknowledge_carried(struct tcp *tcp, struct connection *c);
/* ACK in answer to something odd, limited per connection (RFC 5961 7). */
void challenge(struct tcp *tcp, struct connection *c);

#endif
