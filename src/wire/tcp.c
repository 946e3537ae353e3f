/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP header and options: check, read, write. */
#include "wire/tcp.h"

#include "base/bytes.h"

enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_WSCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_TIMESTAMP = 8,
};
enum {
    MSS_LEN = 4,
    WSCALE_LEN = 3,
    SACK_PERMITTED_LEN = 2,
    TIMESTAMP_LEN = 10,
};
#define NOP_NOP_TIMESTAMP 0x0101080au /* how nearly every segment with options begins them */

static void read_timestamp(struct tcp_header *out, const uint8_t *value)
{
    out->timestamp = true;
    out->ts_val = load_be32(value);
    out->ts_ecr = load_be32(value + 4);
}

/* One option of `len` bytes with its kind and length. False: known, but not of this length. */
static bool parse_option(struct tcp_header *out, const uint8_t *p, uint8_t len)
{
    bool syn = out->flags & TCP_SYN;
    switch (p[0]) {
    case OPTION_MSS:
        if (len != MSS_LEN)
            return false;
        if (syn)
            out->mss = load_be16(p + 2);
        return true;
    case OPTION_WSCALE:
        if (len != WSCALE_LEN)
            return false;
        if (syn)
            out->wscale = MIN(p[2], TCP_WSCALE_MAX);
        return true;
    case OPTION_SACK_PERMITTED:
        if (len != SACK_PERMITTED_LEN)
            return false;
        out->sack_permitted |= syn;
        return true;
    case OPTION_TIMESTAMP:
        if (len != TIMESTAMP_LEN)
            return false;
        read_timestamp(out, p + 2);
        return true;
    default:
        return true; /* RFC 9293 3.2 [MUST-6] */
    }
}

static bool parse_options(struct tcp_header *out, const uint8_t *p, size_t len)
{
    if (len == 2 + TIMESTAMP_LEN && load_be32(p) == NOP_NOP_TIMESTAMP) {
        read_timestamp(out, p + 4);
        return true;
    }
    while (len > 0 && p[0] != OPTION_END) {
        if (p[0] == OPTION_NOP) {
            p++;
            len--;
            continue;
        }
        /* RFC 9293 3.2 [MUST-7]: illegal lengths must not harm. */
        if (len < 2 || p[1] < 2 || p[1] > len || !parse_option(out, p, p[1]))
            return false;
        len -= p[1];
        p += p[1];
    }
    return true;
}

enum drop tcp_header_parse(struct tcp_header *out, const uint8_t *data, size_t len,
                           size_t segment_len)
{
    if (len < TCP_HEADER_LEN || segment_len < TCP_HEADER_LEN)
        return DROP_TCP_TRUNCATED;
    uint8_t header_len = (uint8_t)((data[12] >> 4) * 4);
    if (header_len < TCP_HEADER_LEN || header_len > segment_len || header_len > len)
        return DROP_TCP_TRUNCATED;
    *out = (struct tcp_header){
        .source_port = load_be16(data),
        .destination_port = load_be16(data + 2),
        .seq = load_be32(data + 4),
        .ack = load_be32(data + 8),
        .header_len = header_len,
        .flags = data[13],
        .wnd = load_be16(data + 14),
        .up = load_be16(data + 18),
        .wscale = TCP_WSCALE_NONE,
    };
    if (header_len > TCP_HEADER_LEN &&
        !parse_options(out, data + TCP_HEADER_LEN, (size_t)header_len - TCP_HEADER_LEN))
        return DROP_TCP_OPTIONS;
    return DROP_NONE;
}

static uint8_t *emit_mss(uint8_t *p, const struct tcp_header *header)
{
    if (header->mss == 0)
        return p;
    p[0] = OPTION_MSS;
    p[1] = MSS_LEN;
    store_be16(p + 2, header->mss);
    return p + 4;
}

static uint8_t *emit_wscale(uint8_t *p, const struct tcp_header *header)
{
    if (header->wscale == TCP_WSCALE_NONE)
        return p;
    p[0] = OPTION_NOP;
    p[1] = OPTION_WSCALE;
    p[2] = WSCALE_LEN;
    p[3] = header->wscale;
    return p + 4;
}

/* Two bytes of padding before the time stamp are room for SACK-permitted. */
static uint8_t *emit_sack_and_timestamp(uint8_t *p, const struct tcp_header *header)
{
    if (!header->sack_permitted && !header->timestamp)
        return p;
    if (header->sack_permitted && header->timestamp) {
        p[0] = OPTION_SACK_PERMITTED;
        p[1] = SACK_PERMITTED_LEN;
    } else {
        p[0] = OPTION_NOP;
        p[1] = OPTION_NOP;
    }
    p += 2;
    if (!header->timestamp) {
        p[0] = OPTION_SACK_PERMITTED;
        p[1] = SACK_PERMITTED_LEN;
        return p + 2;
    }
    p[0] = OPTION_TIMESTAMP;
    p[1] = TIMESTAMP_LEN;
    store_be32(p + 2, header->ts_val);
    store_be32(p + 6, header->ts_ecr);
    return p + TIMESTAMP_LEN;
}

size_t tcp_header_emit(uint8_t out[TCP_HEADER_MAX], const struct tcp_header *header,
                       bool linux_order)
{
    uint8_t *p = emit_mss(out + TCP_HEADER_LEN, header);
    if (linux_order) {
        p = emit_sack_and_timestamp(p, header);
        p = emit_wscale(p, header);
    } else {
        p = emit_wscale(p, header);
        p = emit_sack_and_timestamp(p, header);
    }
    size_t len = (size_t)(p - out);
    store_be16(out, header->source_port);
    store_be16(out + 2, header->destination_port);
    store_be32(out + 4, header->seq);
    store_be32(out + 8, header->ack);
    out[12] = (uint8_t)(len / 4 << 4);
    out[13] = header->flags;
    store_be16(out + 14, header->wnd);
    store_be16(out + 16, 0);
    store_be16(out + 18, header->up);
    return len;
}
