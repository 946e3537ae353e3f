/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4, TCP and ICMP headers, read and written independently of the stack under test. */
#ifndef TESTS_PACKETDRILL_PACKET_H
#define TESTS_PACKETDRILL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10
#define FLAG_URG 0x20
#define FLAG_ECE 0x40
#define FLAG_CWR 0x80

#define PACKET_MAX 65535

static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

/* An IPv4 packet taken apart; pointers go into the bytes. Addresses and ports in host order. */
struct packet_view {
    uint32_t source, destination;
    uint8_t protocol, tos, ttl;
    bool dont_fragment;
    const uint8_t *l4;         /* the transport header */
    size_t l4_len;
    /* TCP */
    bool tcp;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t win, urg;
    const uint8_t *options;
    size_t options_len;
    const uint8_t *payload;
    size_t payload_len;
    /* ICMP */
    bool icmp;
    uint8_t icmp_type, icmp_code;
};

/* Sum over `len` bytes, added to `sum`; packet_fold makes the checksum field of it. */
uint32_t packet_sum(uint32_t sum, const uint8_t *data, size_t len);
uint16_t packet_fold(uint32_t sum);

/* Returns NULL, or what is wrong with the packet. Verifies all checksums. */
const char *packet_view(struct packet_view *view, const uint8_t *packet, size_t len);

/* The next option at *at of `len` bytes; false at the end. A malformed one has kind 0 and
 * *bad set. */
struct packet_option {
    uint8_t kind, len;
    const uint8_t *data;       /* after kind and length */
};
bool packet_option_next(const uint8_t *options, size_t len, size_t *at,
                        struct packet_option *option, bool *bad);

/* What goes into a packet. */
struct packet_fields {
    uint32_t source, destination;
    uint8_t tos, ttl;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t win, urg;
    const uint8_t *options;
    size_t options_len;
    size_t payload_len;        /* zeros */
};
/* Returns the packet's length. */
size_t packet_tcp(uint8_t *out, const struct packet_fields *fields);

/* An ICMP error about the TCP segment that `echoed` describes (its header and 8 bytes of TCP), or,
 * without `echoed`, a query (echo request). Sent from `source` to `destination`. */
size_t packet_icmp(uint8_t *out, uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
                   uint32_t rest, const struct packet_fields *echoed);

#endif
