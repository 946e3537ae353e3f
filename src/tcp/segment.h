/* SPDX-License-Identifier: BSD-2-Clause */
/* A segment on its way in or out, between the IP layer and the state machine. */
#ifndef LASTACK_TCP_SEGMENT_H
#define LASTACK_TCP_SEGMENT_H

#include "lastack.h"
#include "tcp/stream.h"
#include "wire/tcp.h"

/* In: checked by wire/tcp.h, checksum good. Steps of the state machine trim it. */
struct segment {
    struct tcp_header h;
    struct lastack_tuple key; /* as this stack sees it: local is the destination */
    struct source payload;
    uint32_t len;             /* payload bytes */
    uint32_t mtu;             /* of the interface it came by */
    bool unscaled;            /* it had a SYN: its window is as it says (RFC 7323 2.2) */
};

/* Sequence space it takes: payload, SYN, FIN. */
static inline uint32_t segment_seq_len(const struct segment *seg)
{
    return seg->len + !!(seg->h.flags & TCP_SYN) + !!(seg->h.flags & TCP_FIN);
}

/* Out: header fields, and spans that point into the send buffer. */
#define OUTGOING_SPANS (LASTACK_FRAME_IOV - 1)
struct outgoing {
    struct lastack_tuple key;
    struct tcp_header h;
    uint64_t connection_id; /* 0: an answer without a connection */
    uint32_t len;
    uint8_t tos, ttl;       /* ttl 0: the default */
    uint32_t span_cnt;
    struct iovec spans[OUTGOING_SPANS];
};

#endif
