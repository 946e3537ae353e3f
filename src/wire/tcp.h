/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP header and options (RFC 9293 3.1, 3.2; RFC 7323 2). */
#ifndef LASTACK_WIRE_TCP_H
#define LASTACK_WIRE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"

#define TCP_HEADER_LEN 20
#define TCP_HEADER_MAX 60

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define TCP_WSCALE_NONE 0xff
#define TCP_WSCALE_MAX 14

/* Header fields in host order. */
struct tcp_header {
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t header_len; /* with options */
    uint8_t flags;
    uint16_t wnd;       /* as on the wire, not scaled */
    uint16_t up;
    /* options; only legal values */
    uint16_t mss;       /* 0: absent */
    uint8_t wscale;     /* TCP_WSCALE_NONE: absent; above 14 is read as 14 (RFC 7323 2.3) */
    bool sack_permitted;
    bool timestamp;
    uint32_t ts_val, ts_ecr;
};

/* Check the header at `data`, of which `len` bytes are contiguous, in a segment of `segment_len`.
 * MSS and window scale count only on a SYN. Unknown options are skipped (MUST-6); an option
 * of length 0, 1 or past the header end, or a known one of a wrong length, is DROP_TCP_OPTIONS
 * (MUST-7). The checksum is the caller's affair. */
enum drop tcp_header_parse(struct tcp_header *out, const uint8_t *data, size_t len,
                           size_t segment_len);

/* Write the header with the options that are set, checksum field 0; returns its length (<= 60,
 * a multiple of 4). `linux_order`: option layout of Linux (mss,sackOK,TS,nop,wscale / without TS
 * mss,nop,nop,sackOK,nop,wscale / mss,nop,wscale). */
size_t tcp_header_emit(uint8_t out[TCP_HEADER_MAX], const struct tcp_header *header,
                       bool linux_order);

#endif
