/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4 header (RFC 791). */
#ifndef LASTACK_WIRE_IP4_H
#define LASTACK_WIRE_IP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "lastack.h"

#define IP4_HEADER_LEN 20
#define IP_PROTOCOL_ICMP 1
#define IP_PROTOCOL_TCP 6
#define IP_PROTOCOL_UDP 17

struct ip4 {
    struct lastack_address source, destination;
    uint16_t total_len;       /* header and payload */
    uint16_t id;
    uint16_t fragment_offset; /* bytes */
    bool more_fragments, dont_fragment;
    uint8_t header_len;
    uint8_t tos, ttl, protocol;
};

/* Check the header at `data`, of which `len` bytes are contiguous, in a packet of `packet_len`
 * bytes (which may be longer than total_len: link padding). On DROP_NONE `out` holds only legal
 * values: header_len <= total_len <= packet_len, options well-formed and without source route
 * (other options are skipped, RFC 1122 3.2.1.8), checksum right, fragment end <= 65535. */
enum drop ip4_parse(struct ip4 *out, const uint8_t *data, size_t len, size_t packet_len);

/* Write a header without options, checksum included; header_len is ignored. */
void ip4_emit(uint8_t out[IP4_HEADER_LEN], const struct ip4 *ip);

/* Partial checksum of the pseudo-header (RFC 9293 3.1) for either family; see base/checksum.h. */
uint16_t ip_pseudo_sum(const struct lastack_address *source,
                       const struct lastack_address *destination, uint8_t protocol,
                       uint32_t transport_len);

#endif
