/* SPDX-License-Identifier: BSD-2-Clause */
/* device/impair.c: each impairment by itself, all together repeatable. */
#include "base/bytes.h"
#include "device/impair.h"
#include "test.h"

#define FRAME_LEN 100
#define MS 1000000u

/* Frame number n: its number in the first 4 bytes, the rest follows from it; in two pieces. */
static struct lastack_frame frame_make(uint8_t bytes[FRAME_LEN], uint32_t n)
{
    store_be32(bytes, n);
    for (size_t i = 4; i < FRAME_LEN; i++)
        bytes[i] = (uint8_t)(n * 31 + i);
    return (struct lastack_frame){
        .interface = 3,
        .len = FRAME_LEN,
        .iov_cnt = 3,
        .connection_id = n + 1000,
        .iov = {{bytes, 2}, {bytes + 2, 0}, {bytes + 2, FRAME_LEN - 2}},
    };
}

static bool push(struct impair *impair, uint32_t n, uint64_t now_ns)
{
    uint8_t bytes[FRAME_LEN];
    struct lastack_frame frame = frame_make(bytes, n);
    bool ok = impair_push(impair, &frame, now_ns);
    memset(bytes, 0xdd, sizeof bytes); /* the wire has a copy */
    return ok;
}

/* How many bits of the frame are not as frame_make would have them, given its number. */
static unsigned damage(const struct lastack_frame *frame, uint32_t n)
{
    uint8_t want[FRAME_LEN];
    unsigned bits = 0;
    const uint8_t *got = frame->iov[0].iov_base;
    frame_make(want, n);
    REQUIRE_EQ(frame->len, FRAME_LEN);
    REQUIRE_EQ(frame->iov_cnt, 1);
    REQUIRE_EQ(frame->iov[0].iov_len, FRAME_LEN);
    for (size_t i = 0; i < FRAME_LEN; i++)
        bits += (unsigned)__builtin_popcount(got[i] ^ want[i]);
    return bits;
}

/* The next undamaged frame that is due: its number, or -1. */
static int64_t pop(struct impair *impair, uint64_t now_ns)
{
    struct lastack_frame frame;
    if (!impair_pop(impair, &frame, now_ns))
        return -1;
    uint32_t n = load_be32(frame.iov[0].iov_base);
    CHECK_EQ(damage(&frame, n), 0);
    CHECK_EQ(frame.interface, 3);
    CHECK_EQ(frame.connection_id, n + 1000);
    return n;
}

TEST(impair_perfect_wire_is_in_order_and_at_once)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.seed = 1});
    CHECK_EQ(impair_deadline(&impair), LASTACK_NEVER);
    for (uint32_t n = 0; n < 200; n++)
        CHECK(push(&impair, n, 5 * MS));
    CHECK_EQ(impair_deadline(&impair), 5 * MS);
    for (uint32_t n = 0; n < 200; n++)
        CHECK_EQ(pop(&impair, 5 * MS), n);
    CHECK_EQ(pop(&impair, 5 * MS), -1);
    CHECK_EQ(impair_deadline(&impair), LASTACK_NEVER);
    CHECK_EQ(impair.pushed, 200);
    CHECK_EQ(impair.popped, 200);
    CHECK_EQ(impair.lost + impair.corrupted + impair.duplicated + impair.reordered, 0);
    impair_free(&impair);
}

TEST(impair_delay_is_exact)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.delay_ns = 10 * MS});
    push(&impair, 1, 100 * MS);
    push(&impair, 2, 103 * MS);
    CHECK_EQ(impair_deadline(&impair), 110 * MS);
    CHECK_EQ(pop(&impair, 110 * MS - 1), -1);
    CHECK_EQ(pop(&impair, 110 * MS), 1);
    CHECK_EQ(pop(&impair, 110 * MS), -1);
    CHECK_EQ(impair_deadline(&impair), 113 * MS);
    CHECK_EQ(pop(&impair, 113 * MS), 2);
    impair_free(&impair);
}

TEST(impair_jitter_keeps_the_order_and_its_bounds)
{
    struct impair impair;
    uint64_t now = 0, spread = 0;
    impair_init(&impair,
                &(struct impair_config){.seed = 2, .delay_ns = 10 * MS, .jitter_ns = 5 * MS});
    for (uint32_t n = 0; n < 500; n++, now += 20 * MS) {
        push(&impair, n, now);
        uint64_t due = impair_deadline(&impair);
        CHECK(due >= now + 10 * MS && due <= now + 15 * MS);
        spread = MAX(spread, due - now);
        CHECK_EQ(pop(&impair, due), n);
    }
    CHECK_GT(spread, 14 * MS);
    for (uint32_t n = 0; n < 500; n++)
        push(&impair, n, now + n);
    for (uint32_t n = 0; n < 500; n++)
        CHECK_EQ(pop(&impair, LASTACK_NEVER - 1), n);
    impair_free(&impair);
}

TEST(impair_rate_spaces_the_frames)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.byte_ns = 10, .delay_ns = 500});
    for (uint32_t n = 0; n < 5; n++)
        push(&impair, n, 1000);
    for (uint32_t n = 0; n < 5; n++) {
        uint64_t due = 1000 + 500 + (n + 1) * FRAME_LEN * 10;
        CHECK_EQ(impair_deadline(&impair), due);
        CHECK_EQ(pop(&impair, due), n);
    }
    push(&impair, 9, 100000); /* the wire is idle again */
    CHECK_EQ(impair_deadline(&impair), 100000 + 500 + FRAME_LEN * 10);
    impair_free(&impair);
}

TEST(impair_loss_has_its_rate)
{
    struct impair impair;
    unsigned arrived = 0;
    impair_init(&impair, &(struct impair_config){.seed = 3, .loss_ppm = 300000});
    for (uint32_t n = 0; n < 10000; n++)
        push(&impair, n, 0);
    for (int64_t last = -1, n; (n = pop(&impair, 0)) >= 0; last = n, arrived++)
        CHECK_GT(n, last);
    CHECK(arrived > 6800 && arrived < 7200);
    CHECK_EQ(impair.lost, 10000 - arrived);
    impair_free(&impair);
}

TEST(impair_loss_of_all_and_of_none)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.loss_ppm = 1000000});
    for (uint32_t n = 0; n < 1000; n++)
        push(&impair, n, 0);
    CHECK_EQ(impair.lost, 1000);
    impair_set(&impair, &(struct impair_config){.loss_ppm = 0});
    for (uint32_t n = 0; n < 1000; n++)
        push(&impair, n, 0);
    CHECK_EQ(impair.lost, 1000);
    CHECK_EQ(pop(&impair, 0), 0);
    impair_free(&impair);
}

TEST(impair_duplicate_comes_twice)
{
    struct impair impair;
    unsigned seen[2000] = {0}, twice = 0;
    impair_init(&impair, &(struct impair_config){.seed = 4, .duplicate_ppm = 250000});
    for (uint32_t n = 0; n < 2000; n++)
        push(&impair, n, 0);
    for (int64_t n; (n = pop(&impair, 0)) >= 0;)
        seen[n]++;
    for (int n = 0; n < 2000; n++) {
        CHECK(seen[n] == 1 || seen[n] == 2);
        twice += seen[n] == 2;
    }
    CHECK(twice > 430 && twice < 570);
    CHECK_EQ(impair.duplicated, twice);
    impair_free(&impair);
}

TEST(impair_corrupt_flips_one_bit_anywhere)
{
    struct impair impair;
    struct lastack_frame frame;
    unsigned damaged = 0;
    uint32_t expected = 0;
    uint64_t places = 0;
    impair_init(&impair, &(struct impair_config){.seed = 5, .corrupt_ppm = 500000});
    for (uint32_t n = 0; n < 4000; n++)
        push(&impair, n, 0);
    for (; impair_pop(&impair, &frame, 0); expected++) {
        uint8_t want[FRAME_LEN];
        unsigned bits = damage(&frame, expected);
        CHECK_LE(bits, 1);
        damaged += bits;
        frame_make(want, expected);
        for (size_t i = 0; i < FRAME_LEN; i++)
            if (((const uint8_t *)frame.iov[0].iov_base)[i] != want[i])
                places |= (uint64_t)1 << (i * 64 / FRAME_LEN);
    }
    CHECK_EQ(expected, 4000);
    CHECK_EQ(damaged, impair.corrupted);
    CHECK(damaged > 1850 && damaged < 2150);
    CHECK_EQ(places, UINT64_MAX); /* from the first bytes to the last */
    impair_free(&impair);
}

TEST(impair_reorder_lets_others_overtake)
{
    struct impair impair;
    unsigned overtaken = 0, cnt = 0;
    int64_t highest = -1;
    impair_init(&impair, &(struct impair_config){
                             .seed = 6, .delay_ns = MS, .reorder_ppm = 100000, .reorder_ns = MS});
    for (uint32_t n = 0; n < 2000; n++)
        push(&impair, n, n * (MS / 10));
    for (int64_t n; (n = pop(&impair, LASTACK_NEVER - 1)) >= 0; cnt++) {
        overtaken += n < highest;
        highest = MAX(highest, n);
    }
    CHECK_EQ(cnt, 2000);
    CHECK(overtaken > 140 && overtaken < 260);
    CHECK(impair.reordered >= overtaken);
    impair_free(&impair);
}

TEST(impair_queue_has_a_limit)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.delay_ns = MS, .queue_max = 10});
    for (uint32_t n = 0; n < 15; n++)
        CHECK(push(&impair, n, 0));
    CHECK_EQ(impair.lost, 5);
    for (uint32_t n = 0; n < 10; n++)
        CHECK_EQ(pop(&impair, MS), n);
    CHECK_EQ(pop(&impair, MS), -1);
    push(&impair, 99, MS);
    CHECK_EQ(pop(&impair, 2 * MS), 99);
    impair_free(&impair);
}

TEST(impair_cut_loses_what_is_pushed_and_keeps_what_flies)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.delay_ns = MS});
    push(&impair, 1, 0);
    impair_cut(&impair, true);
    push(&impair, 2, 0);
    impair_cut(&impair, false);
    push(&impair, 3, 0);
    CHECK_EQ(pop(&impair, MS), 1);
    CHECK_EQ(pop(&impair, MS), 3);
    CHECK_EQ(pop(&impair, MS), -1);
    CHECK_EQ(impair.lost, 1);
    impair_free(&impair);
}

/* A hash of all that comes out and when. */
static uint64_t life(uint64_t seed)
{
    struct impair impair;
    struct lastack_frame frame;
    uint64_t hash = 14695981039346656037u, now = 0;
    impair_init(&impair, &(struct impair_config){.seed = seed,
                                                 .loss_ppm = 100000,
                                                 .duplicate_ppm = 100000,
                                                 .corrupt_ppm = 100000,
                                                 .reorder_ppm = 100000,
                                                 .reorder_ns = 300,
                                                 .delay_ns = 1000,
                                                 .jitter_ns = 500});
    for (uint32_t n = 0; n < 1000; n++, now += 50) {
        push(&impair, n, now);
        while (impair_pop(&impair, &frame, now))
            for (size_t i = 0; i < frame.len; i++)
                hash = (hash ^ ((const uint8_t *)frame.iov[0].iov_base)[i] ^ now) * 1099511628211u;
    }
    impair_free(&impair);
    return hash;
}

TEST(impair_repeats_itself)
{
    CHECK_EQ(life(1), life(1));
    CHECK_NE(life(1), life(2));
}

/* A setting that never acts does not change what the others do. */
TEST(impair_luck_does_not_depend_on_other_chances)
{
    struct impair a, b;
    impair_init(&a, &(struct impair_config){.seed = 7, .loss_ppm = 200000});
    impair_init(&b, &(struct impair_config){.seed = 7, .loss_ppm = 200000, .jitter_ns = 5 * MS,
                                            .reorder_ppm = 500000, .reorder_ns = MS});
    for (uint32_t n = 0; n < 1000; n++) {
        push(&a, n, 0);
        push(&b, n, 0);
        CHECK_EQ(a.lost, b.lost);
    }
    impair_free(&a);
    impair_free(&b);
}

TEST(impair_free_with_frames_on_their_way)
{
    struct impair impair;
    impair_init(&impair, &(struct impair_config){.delay_ns = MS});
    for (uint32_t n = 0; n < 100; n++)
        push(&impair, n, 0);
    pop(&impair, MS);
    impair_free(&impair);
    CHECK_EQ(impair_deadline(&impair), LASTACK_NEVER);
}

TEST_MAIN()
