/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers that need no connection: RST, SYN-ACK of half-open entries, ACK of time-wait entries.
 * A small bounded queue; what does not fit is a named drop, and the peer's next try asks again. */
#ifndef LASTACK_TCP_REPLY_H
#define LASTACK_TCP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "lastack.h"
#include "wire/tcp.h"

#define REPLY_MAX 256u

struct reply {
    struct lastack_tuple key;
    uint32_t seq, ack;
    uint16_t wnd, mss;
    uint8_t flags, wscale;
};

struct reply_queue {
    uint32_t head, tail; /* free running */
    uint32_t empty_second, empty_cnt;
    struct reply ring[REPLY_MAX];
};

struct tcp;
struct segment;
struct outgoing;

void reply_push(struct tcp *tcp, const struct reply *reply);
bool reply_pop(struct tcp *tcp, struct outgoing *out);
/* RST in answer to a segment that belongs nowhere (RFC 9293 3.10.7.1); never to a RST. */
void reply_reset(struct tcp *tcp, const struct segment *seg);
/* Segments that carry nothing are answered only so often, or two entries could answer each other
 * for ever. False: not now; counted. */
bool reply_to_empty_allowed(struct tcp *tcp, const struct segment *seg);
/* A segment without payload or options. */
void reply_plain(struct tcp *tcp, const struct lastack_tuple *key, uint32_t seq, uint32_t ack,
                 uint8_t flags, uint16_t wnd);

#endif
