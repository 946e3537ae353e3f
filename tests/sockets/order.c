/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments in any order, overlapping, repeated: the stream that comes out, against a naive twin
 * that only remembers which bytes have come. */
#include <errno.h>

#include "base/random.h"
#include "cells/harness.h"

#define STREAM_LEN 6000

struct twin {
    bool has[STREAM_LEN + 1]; /* the last one is the FIN */
    uint32_t next;            /* first that is missing */
    uint32_t read;
};

static void twin_take(struct twin *t, uint32_t from, uint32_t len, bool fin)
{
    for (uint32_t i = from; i < from + len + fin; i++)
        t->has[i] = true;
    while (t->next <= STREAM_LEN && t->has[t->next])
        t->next++;
}

/* Read some, and compare with what must be there. */
static void read_some(struct world *w, struct twin *t, uint32_t most)
{
    uint32_t data_end = t->next < STREAM_LEN ? t->next : STREAM_LEN;
    uint32_t there = data_end - t->read;
    ssize_t got = world_recv_at(w, WORLD_IRS + 1 + t->read, most);

    if (there == 0)
        CHECK_EQ(got, t->next > STREAM_LEN ? 0 : -EAGAIN);
    else
        CHECK_EQ(got, there < most ? there : most);
    t->read += got > 0 ? (uint32_t)got : 0;
}

static void shuffle_once(uint64_t seed)
{
    const uint64_t seeds[4] = {seed, 1, 2, 3};
    unsigned failures = test_state.failure_cnt;
    static struct twin twin;
    struct twin *t = &twin;
    struct random random;
    struct world w;

    memset(t, 0, sizeof(*t));
    random_init(&random, seeds);
    world_open(&w);
    world_established(&w, seed & 1);
    for (unsigned i = 0; t->next <= STREAM_LEN && i < 20000; i++) {
        /* mostly near the edge, in grains that make segments meet, overlap and repeat */
        uint32_t grain = 1 + random_below(&random, 2) * 99;
        uint32_t base = random_below(&random, 4) ? t->next : random_below(&random, STREAM_LEN);
        uint32_t from = base + random_below(&random, 12) * grain;
        uint32_t len = 1 + random_below(&random, 8) * grain;
        bool fin;

        from = from > 6 * grain ? from - 6 * grain : 0;
        from = from < STREAM_LEN ? from : STREAM_LEN;
        len = from + len < STREAM_LEN ? len : STREAM_LEN - from;
        fin = from + len == STREAM_LEN && random_below(&random, 2);
        world_forget(&w);
        peer_send(&w, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0)), WORLD_IRS + 1 + from, w.snd_nxt,
                  len);
        twin_take(t, from, len, fin);
        CHECK_EQ(w.rcv_nxt - WORLD_IRS - 1, t->next);
        if (random_below(&random, 8) == 0)
            read_some(&w, t, 1 + random_below(&random, 1000));
        if (test_state.failure_cnt != failures)
            break;
    }
    CHECK_EQ(t->next, STREAM_LEN + 1);
    for (unsigned i = 0; i < 3; i++)
        read_some(&w, t, STREAM_LEN);
    CHECK_EQ(world_state(&w), LASTACK_CLOSE_WAIT);
    CHECK_EQ(world_dropped(&w, DROP_OUT_OF_ORDER_LIMIT), 0);
    if (test_state.failure_cnt != failures)
        test_note("seed %llu", (unsigned long long)seed);
    world_close(&w);
}

TEST(the_stream_is_the_same_in_whatever_order_it_comes)
{
    for (uint64_t seed = 1; seed <= 200 && test_state.failure_cnt == 0; seed++)
        shuffle_once(seed);
}

TEST(nothing_is_taken_beyond_a_fin_that_is_held)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    first = w.rcv_nxt;
    peer_send(&w, TCP_ACK | TCP_FIN, first + 10, w.snd_nxt, 10); /* the end is at 20 */
    world_drops_mark(&w);
    peer_send(&w, TCP_ACK, first + 15, w.snd_nxt, 10);
    peer_send(&w, TCP_ACK, first + 30, w.snd_nxt, 10);
    CHECK_EQ(world_dropped(&w, DROP_AFTER_FIN), 2);
    peer_send(&w, TCP_ACK, first, w.snd_nxt, 40); /* trimmed, or refused and repeated */
    peer_send(&w, TCP_ACK, first, w.snd_nxt, 10);
    CHECK_EQ(w.rcv_nxt, first + 21);
    CHECK_EQ(world_recv_at(&w, first, 100), 20);
    CHECK_EQ(world_recv_at(&w, 0, 100), 0);
    CHECK_EQ(world_state(&w), LASTACK_CLOSE_WAIT);
    world_close(&w);
}

TEST(a_segment_longer_than_the_window_is_cut)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    first = w.rcv_nxt;
    for (unsigned i = 0; i < 32; i++)
        peer_data(&w, 1000);
    CHECK_EQ(w.rcv_wnd, 768);
    peer_send(&w, TCP_ACK | TCP_FIN, w.rcv_nxt, w.snd_nxt, 1000);
    CHECK_EQ(w.rcv_nxt, first + 32768); /* 768 bytes, and no FIN */
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK_EQ(world_recv_at(&w, first, 60000), 32768);
    world_close(&w);
}

TEST_MAIN()
