/* SPDX-License-Identifier: BSD-2-Clause */
/* What strangers can do to a stack: guess sequence numbers, make it answer, feed its parsers. */
#include <errno.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/random.h"
#include "cells/harness.h"
#include "wire/ip4.h"

/* ---- initial sequence numbers (RFC 6528; the NUMBER:JACK set) ------------ */

static void open_secret(struct world *w, uint64_t secret)
{
    struct lastack_config config;

    world_config(&config);
    config.fixed_iss_set = false;
    config.seed[0] = secret;
    world_open_with(w, &config);
    world_listen(w, 64);
}

/* The stack's initial sequence number for a handshake from `port`, which is then reset. */
static uint32_t isn_passive(struct world *w, uint16_t port)
{
    uint32_t isn;

    w->peer_port = port;
    world_forget(w);
    peer_send(w, TCP_SYN, w->irs, 0, 0);
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_SYN | TCP_ACK);
    isn = world_last(w)->seq;
    peer_send(w, TCP_RST, w->irs + 1, 0, 0);
    return isn;
}

#define ISN_CNT 1024

TEST(number_jack_isn_is_constant_or_counted)
{
    static uint32_t isn[ISN_CNT];
    unsigned ones[32] = {0}, small = 0;
    struct world w;

    open_secret(&w, 1);
    for (unsigned i = 0; i < ISN_CNT; i++) {
        isn[i] = isn_passive(&w, (uint16_t)(10000 + i));
        for (unsigned bit = 0; bit < 32; bit++)
            ones[bit] += isn[i] >> bit & 1;
    }
    for (unsigned i = 1; i < ISN_CNT; i++) {
        uint32_t step = isn[i] - isn[i - 1];

        small += step < 1 << 20 || -step < 1 << 20;
        for (unsigned j = 0; j < i; j++)
            CHECK_NE(isn[i], isn[j]); /* by chance: once in 8,000 secrets, and ours is fixed */
    }
    /* every bit is a fair coin, neighbours are no nearer than chance has it */
    for (unsigned bit = 0; bit < 32; bit++) {
        CHECK_GT(ones[bit], ISN_CNT / 2 - 100);
        CHECK_LT(ones[bit], ISN_CNT / 2 + 100);
    }
    CHECK_LE(small, 5);
    world_close(&w);
}

TEST(rfc_6528_isn_grows_with_time_for_the_same_pair)
{
    struct world w;
    uint32_t before, after;

    open_secret(&w, 2);
    before = isn_passive(&w, 7000);
    for (unsigned i = 0; i < 20; i++) {
        world_advance(&w, 3 * SECOND);
        after = isn_passive(&w, 7000);
        /* a clock of 4 us: 750,000 in three seconds (RFC 6528 3) */
        CHECK_GT(after - before, 750000 - 100);
        CHECK_LT(after - before, 750000 + 100);
        before = after;
    }
    world_close(&w);
}

TEST(rfc_6528_isn_depends_on_the_secret_and_on_every_part_of_the_pair)
{
    struct world a, b;
    uint32_t same, first;

    open_secret(&a, 3);
    open_secret(&b, 4);
    first = isn_passive(&a, 7000);
    same = isn_passive(&a, 7000);
    CHECK_LT(same - first, 1000); /* no time has passed */
    CHECK_GT(isn_passive(&b, 7000) - first + (1 << 16), 1 << 17);
    CHECK_GT(isn_passive(&a, 7001) - first + (1 << 16), 1 << 17);
    world_close(&a);
    world_close(&b);
}

TEST(rfc_6528_isn_of_active_connections)
{
    struct world w;
    uint32_t isn[16];

    open_secret(&w, 5);
    for (unsigned i = 0; i < 16; i++) {
        w.local_port = (uint16_t)(20000 + i);
        w.peer_port = 80;
        w.fd = -1;
        world_syn_sent(&w);
        isn[i] = world_last(&w)->seq;
        for (unsigned j = 0; j < i; j++)
            CHECK_GT(isn[i] - isn[j] + (1 << 12), 1 << 13);
    }
    world_close(&w);
}

/* ---- challenge ACKs (RFC 5961 7) ----------------------------------------- */

static unsigned challenge(struct world *w, unsigned cnt, unsigned kind)
{
    world_forget(w);
    for (unsigned i = 0; i < cnt; i++) {
        if (kind == 0)
            peer_put(w, TCP_RST, w->rcv_nxt + 1 + i % 1000, 0, 0);
        else if (kind == 1)
            peer_put(w, TCP_SYN, w->rcv_nxt + 1 + i % 1000, 0, 0);
        else
            peer_put(w, TCP_ACK, w->rcv_nxt, w->snd_nxt + 1 + i, 0);
        if (i % 50 == 0)
            world_collect(w);
    }
    world_collect(w);
    return w->sent_cnt;
}

TEST(challenge_acks_are_absent_or_unbounded)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        struct world w;
        unsigned sent;

        world_open(&w);
        world_established(&w, true);
        world_drops_mark(&w);
        sent = challenge(&w, 5000, kind);
        CHECK_GE(sent, 1);
        CHECK_LE(sent, 100);
        /* several that are owed at once go out as one */
        CHECK_GE(world_dropped(&w, DROP_CHALLENGE_LIMIT), 4900);
        CHECK_LE(world_dropped(&w, DROP_CHALLENGE_LIMIT) + sent, 5000);
        CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
        world_advance(&w, 10 * SECOND);
        CHECK_GE(challenge(&w, 1, kind), 1); /* the limit recovers */
        world_close(&w);
    }
}

/* A budget shared by all connections tells one peer about another (CVE-2016-5696). */
TEST(challenge_ack_limit_is_a_side_channel)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    world_handshake(&w);
    challenge(&w, 5000, 0);
    w.peer_port++;
    w.snd_una = w.snd_nxt = 0;
    world_handshake(&w);
    CHECK_GE(challenge(&w, 1, 0), 1);
    world_close(&w);
}

/* ---- parsers ------------------------------------------------------------- */

/* A SYN whose options are these bytes; checksums right. Returns its length. */
static size_t syn_with_options(const struct world *w, const uint8_t *options, size_t option_len,
                               uint8_t *out)
{
    struct wire_segment s = {.flags = TCP_SYN, .seq = w->irs, .wnd = 1000,
                             .wscale = TCP_WSCALE_NONE};
    uint8_t *tcp = out + IP4_HEADER_LEN;
    struct ip4 ip;
    uint16_t sum;
    size_t len = peer_build(w, &s, out) - IP4_HEADER_LEN;

    REQUIRE_EQ(len, TCP_HEADER_LEN);
    REQUIRE_EQ(option_len % 4, 0);
    memcpy(tcp + len, options, option_len);
    len += option_len;
    tcp[12] = (uint8_t)(len / 4 << 4);
    memset(tcp + 16, 0, 2);
    REQUIRE_EQ(ip4_parse(&ip, out, IP4_HEADER_LEN, 1500), DROP_NONE);
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + len);
    ip4_emit(out, &ip);
    sum = ip_pseudo_sum(&ip.source, &ip.destination, IP_PROTOCOL_TCP, (uint32_t)len);
    sum = checksum_finish(checksum_join(sum, 12, checksum_sum_naive(tcp, len)));
    memcpy(tcp + 16, &sum, sizeof(sum));
    return IP4_HEADER_LEN + len;
}

/* Whether RFC 9293 3.1 allows these options [MUST-7]; the naive reading of the RFC. */
static bool options_are_legal(const uint8_t *o, size_t len)
{
    static const uint8_t exact[9] = {0, 0, 4, 3, 2, 0, 0, 0, 10};

    for (size_t i = 0; i < len;) {
        if (o[i] == 0)
            return true;
        if (o[i] == 1) {
            i++;
            continue;
        }
        if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
            return false;
        if (o[i] < 9 && exact[o[i]] && o[i + 1] != exact[o[i]])
            return false;
        i += o[i + 1];
    }
    return true;
}

static void try_options(struct world *w, const uint8_t *options, size_t len)
{
    uint8_t packet[IP4_HEADER_LEN + TCP_HEADER_MAX];
    size_t packet_len = syn_with_options(w, options, len, packet);
    bool legal = options_are_legal(options, len);

    world_drops_mark(w);
    world_forget(w);
    peer_packet(w, packet, packet_len);
    world_collect(w);
    CHECK_EQ(world_dropped(w, DROP_TCP_OPTIONS), !legal);
    CHECK_EQ(w->sent_cnt, legal);
    if (legal && w->sent_cnt)
        peer_send(w, TCP_RST, w->irs + 1, 0, 0);
}

/* peer_packet hands over an allocation of exactly the packet's size, so that ASan sees a read
 * past the end (lwIP 2026-06, smoltcp 0.13.1). */
TEST(lwip_2026_06_option_parser_reads_past_the_end)
{
    struct world w;
    uint8_t options[40];

    world_open(&w);
    world_listen(&w, 8);
    for (unsigned kind = 0; kind < 256; kind++)
        for (unsigned len = 0; len < 44; len++) {
            memset(options, 1, sizeof(options));
            options[38] = (uint8_t)kind; /* at the very end */
            options[39] = (uint8_t)len;
            try_options(&w, options, 40);
            options[38] = 1;
            options[0] = (uint8_t)kind;
            options[1] = (uint8_t)len;
            try_options(&w, options, 4);
        }
    world_close(&w);
}

TEST(smoltcp_0_13_1_option_parser_random_bytes)
{
    struct world w;
    struct random random;
    static const uint64_t seed[4] = {6, 6, 6, 6};

    random_init(&random, seed);
    world_open(&w);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t options[40];
        size_t len = random_below(&random, 11) * 4;

        for (size_t at = 0; at < len; at++)
            options[at] = (uint8_t)random_below(&random, random_below(&random, 2) ? 12 : 256);
        try_options(&w, options, len);
    }
    world_close(&w);
}

TEST(packets_cut_short_anywhere)
{
    struct world w;
    uint8_t packet[200];
    unsigned honest;
    size_t len;
    struct wire_segment s = {.flags = TCP_SYN, .seq = WORLD_IRS, .wnd = 1000, .mss = 1460,
                             .wscale = 7};

    world_open(&w);
    world_listen(&w, 8);
    len = peer_build(&w, &s, packet);
    for (size_t cut = 0; cut < len; cut++) {
        struct lastack_usage before, after;

        lastack_usage(w.stack, &before);
        world_forget(&w);
        peer_packet(&w, packet, cut);
        world_collect(&w);
        lastack_usage(w.stack, &after);
        CHECK_EQ(w.sent_cnt, 0);
        CHECK_EQ(after.packets_dropped - before.packets_dropped, 1);
    }
    /* a data offset that says less than a header, or more than the segment */
    honest = packet[IP4_HEADER_LEN + 12] >> 4;
    for (unsigned offset = 0; offset < 16; offset++) {
        if (offset == honest)
            continue;
        packet[IP4_HEADER_LEN + 12] = (uint8_t)(offset << 4);
        world_forget(&w);
        peer_packet(&w, packet, len);
        world_collect(&w);
        CHECK_EQ(w.sent_cnt, 0);
    }
    world_close(&w);
}

/* ---- half-open connections ------------------------------------------------ */

TEST(syn_flood_is_bounded_and_honest_peers_get_in)
{
    struct world w;
    struct lastack_usage usage;
    struct lastack_config config;

    world_config(&config);
    config.half_open_max = 16;
    config.fixed_iss_set = false; /* cookies are initial sequence numbers too */
    world_open_with(&w, &config);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 2000; i++) {
        w.peer_port = (uint16_t)(10000 + i);
        world_forget(&w);
        peer_send(&w, TCP_SYN, w.irs + i, 0, 0);
        CHECK_LE(w.sent_cnt, 1);
    }
    lastack_usage(w.stack, &usage);
    CHECK_LE(usage.half_open, 16);
    CHECK_GT(world_dropped(&w, DROP_LISTEN_HALF_OPEN), 1000);
    /* by a cookie */
    w.peer_port = 9999;
    w.snd_una = w.snd_nxt = 0;
    world_handshake(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    world_accept(&w);
    peer_data(&w, 10);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), 10);
    world_close(&w);
}

TEST(forged_cookie_opens_nothing)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.half_open_max = 1;
    config.fixed_iss_set = false;
    world_open_with(&w, &config);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 4; i++) {
        w.peer_port = (uint16_t)(10000 + i);
        peer_send(&w, TCP_SYN, w.irs, 0, 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        w.peer_port = (uint16_t)(20000 + i);
        world_forget(&w);
        peer_send(&w, TCP_ACK, w.irs + 1, i * 0x01234567u, 0);
        CHECK_EQ(world_state(&w), LASTACK_LISTEN);
        CHECK_EQ(world_sent_with(&w, TCP_RST), 1);
    }
    world_close(&w);
}

/* One byte per segment, every second one missing: neither memory nor gaps without limit. */
TEST(a_peer_cannot_pin_memory_with_gaps)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_established(&w, true);
    for (uint32_t i = 1; i < 32000; i += 2) {
        peer_put(&w, TCP_ACK, w.rcv_nxt + i, w.snd_nxt, 1);
        if (i % 64 == 1)
            world_collect(&w);
        w.sent_cnt = 0;
    }
    lastack_usage(w.stack, &usage);
    CHECK_LE(usage.buffer_bytes, 4 * w.config.receive_buffer);
    CHECK_GT(world_dropped(&w, DROP_OUT_OF_ORDER_LIMIT), 0);
    /* the stream goes on */
    world_forget(&w);
    peer_data(&w, 1000);
    CHECK_GE(world_recv_at(&w, WORLD_IRS + 1, 60000), 1000);
    world_close(&w);
}

TEST_MAIN()
