/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP for IPv4 (RFC 792, RFC 1122 3.2.2, RFC 1191). */
#ifndef LASTACK_WIRE_ICMP4_H
#define LASTACK_WIRE_ICMP4_H

#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "wire/ip4.h"

#define ICMP4_HEADER_LEN 8
enum icmp4_type {
    ICMP4_ECHO_REPLY = 0,
    ICMP4_UNREACHABLE = 3,
    ICMP4_SOURCE_QUENCH = 4,
    ICMP4_ECHO = 8,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP4_PARAMETER = 12,
};
enum icmp4_unreachable_code {
    ICMP4_NET_UNREACHABLE = 0,
    ICMP4_HOST_UNREACHABLE = 1,
    ICMP4_PROTOCOL_UNREACHABLE = 2,
    ICMP4_PORT_UNREACHABLE = 3,
    ICMP4_FRAGMENTATION_NEEDED = 4,
};

struct icmp4 {
    uint8_t type, code;
    uint32_t rest;           /* bytes 4..7, host order: echo id and sequence, or next-hop MTU */
    const uint8_t *payload;  /* into the message */
    size_t payload_len;
};

/* `data` is the whole ICMP message, contiguous. */
enum drop icmp4_parse(struct icmp4 *out, const uint8_t *data, size_t len);

/* Header for a message whose payload follows it in memory at out + 8 already; fills the checksum. */
void icmp4_emit(uint8_t *out, const struct icmp4 *icmp, size_t payload_len);

/* The packet that an ICMP error quotes: IP header and 8 bytes of a TCP header at least.
 * DROP_ICMP_TRUNCATED if there is less; the quoted IP checksum is not verified (routers change
 * it). Fills ports, sequence. Protocol is in ip->protocol: ports are only valid for TCP, UDP. */
struct icmp4_quote {
    struct ip4 ip;
    uint16_t source_port, destination_port;
    uint32_t sequence;
};
enum drop icmp4_parse_quote(struct icmp4_quote *out, const struct icmp4 *error);

#endif
