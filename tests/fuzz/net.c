/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets and time from the input's bytes. Checksums are put right, and sequence numbers are
 * given relative to what the stack expects, so that few bytes lead deep into a connection. */
#include <string.h>

#include "world.h"

#define PACKET_MAX 2048u

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static uint32_t add_words(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static void ip_write(uint8_t *out, uint32_t source, uint8_t protocol, size_t payload_len)
{
    memset(out, 0, 20);
    out[0] = 0x45;
    put16(out + 2, (uint32_t)(20 + payload_len));
    out[8] = 64;
    out[9] = protocol;
    put32(out + 12, source);
    put32(out + 16, HERE);
    put16(out + 10, ~add_words(0, out, 20) & 0xffff);
}

static void feed(struct fuzz *f, uint8_t *data, size_t len)
{
    /* A block of exactly this size, so that a read past its end is seen. */
    uint8_t *exact = malloc(len + !len);
    REQUIRE(exact);
    memcpy(exact, data, len);
    struct lastack_frame frame = {.interface = 1, .len = (uint32_t)len, .iov_cnt = 1};
    frame.iov[0] = (struct iovec){exact, len};
    lastack_rx(f->stack, &frame, 1, f->now);
    free(exact);
}

static struct flow *flow_choose(struct fuzz *f)
{
    uint8_t choice = take_u8(&f->in);
    struct flow *flow = &f->flows[choice % FLOW_CNT];
    if (!flow->used)
        *flow = (struct flow){
            .peer_ip4 = THERE + (choice >> 7),
            .peer_port = (uint16_t)(PORT_PEER + choice % FLOW_CNT),
            .local_port = choice & 0x40 ? PORT_LISTEN + 1 : PORT_LISTEN,
            .next = 0xfffffff0u + choice, /* close to the wrap */
            .used = true,
        };
    return flow;
}

/* Where the number stands: exact, a little or a lot beside it, anywhere. */
static uint32_t number_choose(struct fuzz *f, uint32_t base, unsigned mode)
{
    switch (mode & 3) {
    case 0:
        return base;
    case 1:
        return base + (uint32_t)(int32_t)(int8_t)take_u8(&f->in);
    case 2:
        return base + (uint32_t)(int32_t)(int16_t)take_u16(&f->in);
    default:
        return take_u32(&f->in);
    }
}

static size_t options_write(struct fuzz *f, uint8_t *out, uint8_t flags, uint8_t mode)
{
    static const uint8_t usual[8] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7};
    if (!(mode & 0x20)) {
        if (!(flags & 0x02))
            return 0;
        memcpy(out, usual, sizeof usual);
        return sizeof usual;
    }
    size_t len = (size_t)(take_u8(&f->in) % 11) * 4;
    for (size_t i = 0; i < len; i++)
        out[i] = take_u8(&f->in);
    return len;
}

/* A whole TCP packet into `out`; returns its length. */
static size_t segment_write(struct fuzz *f, uint8_t out[PACKET_MAX])
{
    struct flow *flow = flow_choose(f);
    uint8_t flags = take_u8(&f->in), mode = take_u8(&f->in), *tcp = out + 20;
    uint32_t seq = number_choose(f, flow->next, mode);
    uint32_t ack = number_choose(f, flow->unacked, mode >> 2);
    uint16_t window = mode & 0x10 ? take_u16(&f->in) : 65535;
    memset(tcp, 0, 20);
    put16(tcp, flow->peer_port);
    put16(tcp + 2, flow->local_port);
    put32(tcp + 4, seq);
    put32(tcp + 8, ack);
    tcp[13] = flags;
    put16(tcp + 14, window);
    size_t header_len = 20 + options_write(f, tcp + 20, flags, mode);
    tcp[12] = (uint8_t)(header_len / 4 << 4);
    size_t payload_len = mode & 0x40 ? (size_t)take_u8(&f->in) * 5 : 0;
    memset(tcp + header_len, 'x', payload_len);
    size_t tcp_len = header_len + payload_len;
    ip_write(out, flow->peer_ip4, 6, tcp_len);
    if (!(mode & 0x80) || take_u8(&f->in) % 8) /* rarely a wrong checksum */
        put16(tcp + 16,
              ~add_words(add_words(6 + (uint32_t)tcp_len, out + 12, 8), tcp, tcp_len) & 0xffff);
    if ((mode & 3) == 0) /* as if it had been taken; an ACK will correct it */
        flow->next += (uint32_t)payload_len + !!(flags & 1) + !!(flags & 2);
    return 20 + tcp_len;
}

void fuzz_segment(struct fuzz *f)
{
    uint8_t packet[PACKET_MAX];
    size_t len = segment_write(f, packet);
    feed(f, packet, len);
}

/* The same in two or three fragments, in any order, perhaps overlapping, perhaps not all, perhaps
 * some pages further on: several of these make a packet that is larger than one page. */
void fuzz_fragment(struct fuzz *f)
{
    uint8_t packet[PACKET_MAX], piece[PACKET_MAX];
    size_t len = segment_write(f, packet) - 20;
    uint8_t how = take_u8(&f->in);
    size_t page = (size_t)(how >> 3 & 7) * 4096;
    for (int i = 0; i < 3; i++) {
        size_t from = (size_t)take_u8(&f->in) % (len / 8 + 1) * 8;
        size_t n = (size_t)take_u8(&f->in) * 8;
        bool more = how >> i & 1;
        if (n > len - from)
            n = len - from;
        memcpy(piece + 20, packet + 20 + from, n);
        ip_write(piece, THERE, 6, n);
        piece[5] = how >> 6;
        put16(piece + 6, (uint32_t)((page + from) / 8) | (more ? 0x2000 : 0));
        put16(piece + 10, 0);
        put16(piece + 10, ~add_words(0, piece, 20) & 0xffff);
        feed(f, piece, 20 + n);
        fuzz_pump(f);
    }
}

/* Any bytes at all; the IP header's checksum is put right if there is a header. */
void fuzz_raw(struct fuzz *f)
{
    uint8_t packet[256];
    size_t len = take_u8(&f->in);
    bool mend = take_u8(&f->in) & 1;
    for (size_t i = 0; i < len; i++)
        packet[i] = take_u8(&f->in);
    size_t header_len = len ? (size_t)(packet[0] & 15) * 4 : 0;
    if (mend && header_len >= 20 && header_len <= len) {
        put16(packet + 10, 0);
        put16(packet + 10, ~add_words(0, packet, header_len) & 0xffff);
    }
    feed(f, packet, len);
}

/* An ICMP message: an error that quotes what the stack sent last, or an echo. */
void fuzz_icmp(struct fuzz *f)
{
    uint8_t packet[512] = {0};
    uint8_t *icmp = packet + 20;
    size_t quote = take_u8(&f->in) % 64;
    if (quote > f->last_frame_len)
        quote = f->last_frame_len;
    icmp[0] = take_u8(&f->in) % 16;
    icmp[1] = take_u8(&f->in) % 8;
    put32(icmp + 4, take_u32(&f->in));
    memcpy(icmp + 8, f->last_frame, quote);
    if (quote > 30)
        icmp[8 + 24 + 3] = (uint8_t)(icmp[8 + 24 + 3] + take_u8(&f->in));
    ip_write(packet, THERE, 1, 8 + quote);
    put16(icmp + 2, ~add_words(0, icmp, 8 + quote) & 0xffff);
    feed(f, packet, 28 + quote);
}

/* What came out last goes back in, its ends swapped: a mirror for a peer. */
void fuzz_reflect(struct fuzz *f)
{
    uint8_t packet[256];
    size_t len = f->last_frame_len;
    memcpy(packet, f->last_frame, len);
    if (len < 40 || len != (size_t)packet[2] * 256 + packet[3])
        return;
    memcpy(packet + 12, f->last_frame + 16, 4);
    memcpy(packet + 16, f->last_frame + 12, 4);
    if (packet[9] == 6) {
        memcpy(packet + 20, f->last_frame + 22, 2);
        memcpy(packet + 22, f->last_frame + 20, 2);
    }
    feed(f, packet, len);
}

/* From a microsecond to half a day, or exactly to the next deadline. */
void fuzz_time(struct fuzz *f)
{
    uint8_t jump = take_u8(&f->in);
    uint64_t deadline = lastack_deadline(f->stack);
    if (jump & 0x80) {
        if (deadline != LASTACK_NEVER && deadline > f->now)
            f->now = deadline;
    } else {
        f->now += (uint64_t)(1 + jump % 4) * 1000 << jump / 4 % 28;
    }
    if (jump & 0x40 || lastack_deadline(f->stack) <= f->now)
        lastack_tick(f->stack, f->now);
}
