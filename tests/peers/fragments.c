/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments of packets that never were whole: nothing is taken for one that has a hole. */
#include "cells/harness.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"

#define PROTOCOL_NONE 253 /* RFC 3692: nobody listens, so what was put together is counted */

struct piece {
    uint32_t from, to; /* bytes of the payload */
    bool more;
};

static void piece_in(struct world *w, uint8_t protocol, uint16_t id, const struct piece *piece)
{
    uint8_t out[IP4_HEADER_LEN + 8192];
    uint32_t len = piece->to - piece->from;
    struct ip4 ip = {.ttl = 64, .protocol = protocol, .id = id, .more_fragments = piece->more,
                     .fragment_offset = (uint16_t)piece->from};

    REQUIRE(len <= 8192);
    REQUIRE_EQ(lastack_address_parse(&ip.source, WORLD_PEER), 0);
    REQUIRE_EQ(lastack_address_parse(&ip.destination, WORLD_LOCAL), 0);
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + len);
    ip4_emit(out, &ip);
    memset(out + IP4_HEADER_LEN, 'A', len);
    peer_packet(w, out, IP4_HEADER_LEN + len);
    world_collect(w);
}

/* The last of `cnt` pieces cannot be: the packet is given up, and no memory stays with it. */
static void refused(uint8_t protocol, const struct piece *pieces, unsigned cnt)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    for (unsigned i = 0; i < cnt; i++) {
        CHECK_EQ(world_dropped(&w, DROP_FRAGMENT_BAD), 0);
        piece_in(&w, protocol, 7, &pieces[i]);
    }
    CHECK_EQ(world_dropped(&w, DROP_FRAGMENT_BAD), 1);
    CHECK_EQ(world_dropped(&w, DROP_IP_PROTOCOL), 0);
    CHECK_EQ(w.icmp_cnt + w.sent_cnt, 0);
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.buffer_bytes, 0);
    CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
    world_close(&w);
}

/* All bytes that the last one counts are here, but not where they belong (RFC 815): whole pages
 * in front of them were never filled. */
TEST(a_last_fragment_in_front_of_others_leaves_a_hole_of_pages)
{
    static const struct piece pieces[] = {
        {16384, 24576, true}, {8192, 16384, true}, {16376, 16384, false}};

    refused(IP_PROTOCOL_ICMP, pieces, 3);
    refused(IP_PROTOCOL_TCP, pieces, 3);
    refused(PROTOCOL_NONE, pieces, 3);
}

/* The same within a page: what another connection has left there would be read. */
TEST(a_last_fragment_in_front_of_others_leaves_a_hole_in_a_page)
{
    static const struct piece again[] = {{16, 24, true}, {8, 16, true}, {8, 16, false}};
    static const struct piece fresh[] = {{24, 32, true}, {16, 24, false}};

    refused(PROTOCOL_NONE, again, 3);
    refused(IP_PROTOCOL_ICMP, again, 3);
    refused(PROTOCOL_NONE, fresh, 2);
}

TEST(two_last_fragments_that_do_not_agree)
{
    static const struct piece shorter[] = {{16, 24, false}, {8, 16, false}};
    static const struct piece longer[] = {{8, 16, false}, {16, 24, false}};
    static const struct piece beyond[] = {{8, 16, false}, {16, 24, true}};

    refused(PROTOCOL_NONE, shorter, 2);
    refused(PROTOCOL_NONE, longer, 2);
    refused(PROTOCOL_NONE, beyond, 2);
}

/* ---- every way to send three fragments of at most four units ------------------ */

#define UNITS 4
#define RANGES (UNITS * (UNITS + 1) / 2)
#define KINDS (2 * RANGES)

static struct piece piece_of(unsigned kind)
{
    struct piece piece = {.more = kind >= RANGES};
    unsigned at = kind % RANGES;

    for (unsigned from = 0; from < UNITS; from++)
        for (unsigned to = from + 1; to <= UNITS; to++)
            if (at-- == 0) {
                piece.from = 8 * from;
                piece.to = 8 * to;
                return piece;
            }
    return piece;
}

static unsigned units_of(const struct piece *piece)
{
    return (1u << piece->to / 8) - (1u << piece->from / 8);
}

/* A byte was never sent, or there was no end: nobody may take this for a packet. */
static bool has_hole(const struct piece *pieces, unsigned cnt)
{
    unsigned here = 0, shortest = 0;

    for (unsigned i = 0; i < cnt; i++) {
        here |= units_of(&pieces[i]);
        if (!pieces[i].more && (shortest == 0 || pieces[i].to < shortest))
            shortest = pieces[i].to;
    }
    if (shortest == 0)
        return true;
    shortest = (1u << shortest / 8) - 1;
    return (here & shortest) != shortest;
}

/* Each byte once, one end, and it is the last: this is a packet. */
static bool is_whole(const struct piece *pieces, unsigned cnt)
{
    unsigned here = 0, sum = 0, end = 0;

    for (unsigned i = 0; i < cnt; i++) {
        here |= units_of(&pieces[i]);
        sum += (pieces[i].to - pieces[i].from) / 8;
        if (!pieces[i].more && end)
            return false;
        if (!pieces[i].more)
            end = pieces[i].to / 8;
    }
    return end && sum == end && here == (1u << end) - 1;
}

static void three_in(struct world *w, unsigned number)
{
    const struct piece pieces[3] = {piece_of(number % KINDS), piece_of(number / KINDS % KINDS),
                                    piece_of(number / KINDS / KINDS)};
    unsigned taken = 0;

    world_drops_mark(w);
    for (unsigned cnt = 1; cnt <= 3; cnt++) {
        piece_in(w, PROTOCOL_NONE, (uint16_t)number, &pieces[cnt - 1]);
        taken = (unsigned)world_dropped(w, DROP_IP_PROTOCOL);
        if (taken && has_hole(pieces, cnt))
            FAIL("sequence %u: %u fragments with a hole are taken for a packet", number, cnt);
        if (taken)
            return;
        if (is_whole(pieces, cnt))
            FAIL("sequence %u: %u fragments are a packet and not taken for one", number, cnt);
    }
}

TEST(every_way_to_send_three_fragments)
{
    struct world w;

    world_open(&w);
    for (unsigned number = 0; number < KINDS * KINDS * KINDS; number++) {
        three_in(&w, number);
        world_advance(&w, 40 * SECOND); /* what waits for more is given up */
        world_forget(&w);
    }
    world_close(&w);
}

TEST_MAIN()
