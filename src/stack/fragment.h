/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reassembly of IPv4 fragments (RFC 791 3.2, RFC 815, RFC 1122 3.3.2), with limits.
 *
 * A fragment that overlaps what is here by a part gives up the whole packet, as RFC 8200 4.5 has
 * it for IPv6; an exact repetition is ignored.
 */
#ifndef LASTACK_STACK_FRAGMENT_H
#define LASTACK_STACK_FRAGMENT_H

#include "base/wheel.h"
#include "tcp/stream.h"
#include "wire/ip4.h"

#define FRAGMENT_PACKETS 16u
#define FRAGMENT_MS      30000u
#define FRAGMENT_UNITS   8192u /* of 8 bytes: 64 KB */

struct fragment_packet {
    bool used;
    struct timer timer;
    struct ip4 ip; /* of the first fragment to come: identity */
    struct stream data;
    uint32_t total_len; /* payload; 0: the last fragment has not come */
    uint32_t have_len;  /* payload bytes here */
    uint32_t end_max;   /* of any fragment here */
    uint64_t have[FRAGMENT_UNITS / 64];
};

struct fragment_table {
    struct fragment_packet *packet; /* FRAGMENT_PACKETS of them */
    struct fragment_packet *done;   /* complete and handed out, until fragment_release */
};

struct tcp;

bool fragment_init(struct fragment_table *table, uint16_t timer_kind);
void fragment_free(struct fragment_table *table);
/* Take a fragment whose payload is `source` (`len` bytes). When it completes a packet, `out` gets
 * spans of the whole payload, *ip its header values (not a fragment any more), and the number of
 * spans is returned; they stay until fragment_release. 0: not yet, or dropped. */
size_t fragment_take(struct fragment_table *table, struct tcp *tcp, struct ip4 *ip,
                     const struct source *source, size_t len, struct iovec *out, size_t out_max);
void fragment_release(struct fragment_table *table, struct tcp *tcp);
void fragment_timer(struct fragment_table *table, struct tcp *tcp, struct timer *timer);

#endif
