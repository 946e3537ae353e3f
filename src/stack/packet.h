/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole IP payloads that wait to go out (ICMP). A bounded ring over buffer pages; one larger than
 * the MTU leaves in fragments. */
#ifndef LASTACK_STACK_PACKET_H
#define LASTACK_STACK_PACKET_H

#include "tcp/stream.h"
#include "wire/ip4.h"

#define PACKET_MAX 64u

struct packet {
    struct ip4 ip;
    struct stream data;
    uint32_t sent; /* bytes already in fragments */
};

struct packet_queue {
    uint32_t freed, head, tail; /* freed <= head <= tail, free running */
    struct packet ring[PACKET_MAX];
};

struct pool;

/* Queue a payload gathered from `source`. False: no room. */
bool packet_push(struct packet_queue *queue, struct pool *pages, const struct ip4 *ip,
                 const struct source *source, size_t len);
/* The packet in hand, NULL: none; and on to the next one. Its bytes stay until packet_release. */
struct packet *packet_first(struct packet_queue *queue);
void packet_next(struct packet_queue *queue);
/* Give back what has gone out. */
void packet_release(struct packet_queue *queue, struct pool *pages);

#endif
