/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines of a connection and what happens when they pass (RFC 9293 3.10.8, RFC 6298). */
#ifndef LASTACK_TCP_TIMEOUT_H
#define LASTACK_TCP_TIMEOUT_H

#include "tcp/connection.h"

void deadline_set(struct tcp *tcp, struct connection *c, enum deadline which, uint32_t delay_ms);
/* The wheel timer stays where it is while another deadline runs: it may fire once in vain. */
void deadline_clear(struct tcp *tcp, struct connection *c, enum deadline which);
/* The wheel timer of a connection fired. */
void connection_timer(struct tcp *tcp, struct connection *c);

/* Current RTO with backoff, milliseconds. */
uint32_t rto_now(const struct tcp *tcp, const struct connection *c);
/* A round trip of `rtt_us` was measured (RFC 6298 2.2, 2.3). */
void rtt_sample(struct tcp *tcp, struct connection *c, uint32_t rtt_us);
/* Start, restart or stop the retransmission timer after `snd_una` or the flight changed. */
void retransmit_rearm(struct tcp *tcp, struct connection *c);
/* The user timeout runs while something waits for the peer; `progress` starts it anew. */
void user_clock_update(struct tcp *tcp, struct connection *c, bool progress);
/* Something came from the peer, or the options changed. */
void keepalive_rearm(struct tcp *tcp, struct connection *c);
/* For people: the next timer and its tick. */
enum lastack_timer connection_next_timer(const struct connection *c, uint32_t *tick);

#endif
