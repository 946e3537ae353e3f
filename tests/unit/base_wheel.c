/* SPDX-License-Identifier: BSD-2-Clause */
/* base/wheel.c against a naive twin: an array of expiries that is searched each time. */
#include "base/bytes.h"
#include "base/random.h"
#include "base/wheel.h"
#include "test.h"

#define TIMER_CNT 150

struct twin {
    struct wheel wheel;
    struct timer timers[TIMER_CNT];
    uint64_t expiry[TIMER_CNT]; /* in ticks that do not wrap; 0: not armed */
    uint64_t now;
    struct random random;
};

static void twin_init(struct twin *twin, uint64_t now, uint64_t seed)
{
    memset(twin, 0, sizeof *twin);
    random_init(&twin->random, (const uint64_t[4]){seed});
    twin->now = now;
    wheel_init(&twin->wheel, (uint32_t)now);
    for (uint16_t i = 0; i < TIMER_CNT; i++)
        timer_init(&twin->timers[i], i);
}

/* Small, middle and large distances are equally likely; up to 2^31 - 1. */
static uint32_t distance(struct twin *twin)
{
    return (random_u32(&twin->random) >> 1) >> random_below(&twin->random, 31);
}

static void twin_arm(struct twin *twin, unsigned i)
{
    uint64_t expiry = twin->now + distance(twin);
    if (random_below(&twin->random, 16) == 0)
        expiry = twin->now - random_below(&twin->random, 1000);
    twin->expiry[i] = expiry;
    timer_arm(&twin->wheel, &twin->timers[i], (uint32_t)expiry);
}

static void twin_disarm(struct twin *twin, unsigned i)
{
    twin->expiry[i] = 0;
    timer_disarm(&twin->wheel, &twin->timers[i]);
}

/* The naive answer: earliest expiry, UINT64_MAX if none; *cnt is how many are armed. */
static uint64_t earliest(const struct twin *twin, unsigned *cnt)
{
    uint64_t best = UINT64_MAX;
    *cnt = 0;
    for (int i = 0; i < TIMER_CNT; i++) {
        CHECK_EQ(timer_armed(&twin->timers[i]), twin->expiry[i] != 0);
        if (twin->expiry[i] == 0)
            continue;
        best = MIN(best, twin->expiry[i]);
        ++*cnt;
    }
    return best;
}

static void check_next(const struct twin *twin)
{
    unsigned cnt;
    uint32_t tick;
    uint64_t best = earliest(twin, &cnt);
    CHECK_EQ(twin->wheel.armed_cnt, cnt);
    REQUIRE_EQ(wheel_next(&twin->wheel, &tick), cnt > 0);
    if (cnt == 0)
        return;
    uint64_t next = twin->now + (uint32_t)(tick - (uint32_t)twin->now);
    if (best <= twin->now)
        CHECK_EQ(next, twin->now);
    else
        CHECK(next > twin->now && next <= best);
}

static void twin_advance(struct twin *twin, uint64_t now)
{
    unsigned due = 0;
    for (int i = 0; i < TIMER_CNT; i++)
        due += twin->expiry[i] != 0 && twin->expiry[i] <= now;
    twin->now = now;
    wheel_advance(&twin->wheel, (uint32_t)now);
    for (struct timer *timer; (timer = wheel_due(&twin->wheel)) != NULL; due--) {
        CHECK(!timer_armed(timer));
        CHECK(timer == &twin->timers[timer->kind]);
        CHECK(twin->expiry[timer->kind] != 0 && twin->expiry[timer->kind] <= now);
        CHECK_EQ(timer->expiry, (uint32_t)twin->expiry[timer->kind]);
        twin->expiry[timer->kind] = 0;
    }
    CHECK_EQ(due, 0);
}

static void random_life(uint64_t start, uint64_t seed)
{
    static struct twin twin;
    twin_init(&twin, start, seed);
    for (int round = 0; round < 30000; round++) {
        unsigned i = random_below(&twin.random, TIMER_CNT);
        switch (random_below(&twin.random, 8)) {
        case 0:
            twin_disarm(&twin, i);
            break;
        case 1:
            twin_advance(&twin, twin.now + distance(&twin));
            check_next(&twin);
            break;
        case 2:
            twin_advance(&twin, twin.now + random_below(&twin.random, 300));
            check_next(&twin);
            break;
        default:
            twin_arm(&twin, i);
            break;
        }
    }
}

TEST(wheel_does_what_an_array_does)
{
    random_life(5000, 1);
    random_life(0x7ffffff0u, 2);
    random_life(0xfffffff0u, 3);
    random_life(0xfffff000u, 4);
}

/* One timer at a time, at every distance around the edges of the levels and across the wrap:
 * wheel_next leads to the exact tick, with few stops on the way. */
TEST(wheel_leads_to_the_exact_tick)
{
    static const uint32_t starts[] = {0, 1, 63, 64, 4095, 0x7fffffff, 0x80000000, 0xbfffffff,
                                      0xffffffc0, 0xffffffff};
    static struct wheel wheel;
    for (size_t s = 0; s < ARRAY_LEN(starts); s++)
        for (unsigned bit = 0; bit < 31; bit++)
            for (int delta = -1; delta <= 1; delta++) {
                uint32_t ahead = (1u << bit) + (uint32_t)delta, tick, expiry = starts[s] + ahead;
                struct timer timer;
                int stop_cnt = 0;
                if (ahead == 0)
                    continue;
                wheel_init(&wheel, starts[s]);
                timer_init(&timer, 0);
                timer_arm(&wheel, &timer, expiry);
                while (timer_armed(&timer) && stop_cnt < WHEEL_LEVELS + 1) {
                    REQUIRE(wheel_next(&wheel, &tick));
                    CHECK_LE((uint32_t)(tick - starts[s]), ahead);
                    wheel_advance(&wheel, tick);
                    CHECK_EQ(wheel_due(&wheel) != NULL, tick == expiry);
                    stop_cnt++;
                }
                CHECK(!timer_armed(&timer));
                CHECK_LE(stop_cnt, WHEEL_LEVELS);
                CHECK_EQ(wheel.now, expiry);
                CHECK(!wheel_next(&wheel, &tick));
            }
}

TEST(wheel_is_never_early)
{
    static struct wheel wheel;
    struct timer timer;
    wheel_init(&wheel, 0xffffff00u);
    timer_init(&timer, 0);
    timer_arm(&wheel, &timer, 0x100);
    for (uint32_t now = 0xffffff00u; now != 0x100; now++) {
        wheel_advance(&wheel, now);
        REQUIRE(wheel_due(&wheel) == NULL);
    }
    wheel_advance(&wheel, 0x100);
    CHECK(wheel_due(&wheel) == &timer);
}

/* What is armed for now or the past waits for the next advance: a handler that rearms itself so
 * does not keep its own loop going. */
TEST(wheel_past_is_due_at_the_next_advance)
{
    static struct wheel wheel;
    struct timer timer;
    uint32_t tick;
    wheel_init(&wheel, 1000);
    timer_init(&timer, 0);
    for (uint32_t ago = 0; ago < 3; ago++) {
        timer_arm(&wheel, &timer, 1000 - ago);
        CHECK(wheel_due(&wheel) == NULL);
        REQUIRE(wheel_next(&wheel, &tick));
        CHECK_EQ(tick, 1000);
        wheel_advance(&wheel, 1000);
        REQUIRE(wheel_next(&wheel, &tick));
        CHECK_EQ(tick, 1000);
        CHECK(wheel_due(&wheel) == &timer);
        timer_arm(&wheel, &timer, 1000);
        CHECK(wheel_due(&wheel) == NULL);
        timer_disarm(&wheel, &timer);
        CHECK(!wheel_next(&wheel, &tick));
    }
}

/* Taking one that is due may disarm or move others that are due as well. */
TEST(wheel_due_timers_can_be_disarmed_and_moved)
{
    static struct wheel wheel;
    struct timer timers[4];
    wheel_init(&wheel, 0);
    for (uint16_t i = 0; i < 4; i++) {
        timer_init(&timers[i], i);
        timer_arm(&wheel, &timers[i], 10);
    }
    wheel_advance(&wheel, 20);
    CHECK(wheel_due(&wheel) == &timers[0]);
    timer_disarm(&wheel, &timers[1]);
    timer_arm(&wheel, &timers[2], 30);
    timer_arm(&wheel, &timers[0], 25);
    CHECK(wheel_due(&wheel) == &timers[3]);
    CHECK(wheel_due(&wheel) == NULL);
    CHECK_EQ(wheel.armed_cnt, 2);
    wheel_advance(&wheel, 25);
    CHECK(wheel_due(&wheel) == &timers[0]);
    CHECK(wheel_due(&wheel) == NULL);
    wheel_advance(&wheel, 30);
    CHECK(wheel_due(&wheel) == &timers[2]);
    CHECK_EQ(wheel.armed_cnt, 0);
}

/* In the order of time, whatever levels they came through; in the order of arming at one tick
 * when they lay together. */
TEST(wheel_due_comes_in_order)
{
    static struct wheel wheel;
    static struct timer timers[500];
    struct random random;
    random_init(&random, (const uint64_t[4]){3});
    wheel_init(&wheel, 0xffff0000u);
    for (int i = 0; i < 500; i++) {
        timer_init(&timers[i], 0);
        timer_arm(&wheel, &timers[i], 0xffff0000u + 1 + random_below(&random, 200000));
    }
    wheel_advance(&wheel, 0xffff0000u + 200001);
    uint32_t last = 0xffff0000u;
    int cnt = 0;
    for (struct timer *timer; (timer = wheel_due(&wheel)) != NULL; cnt++) {
        CHECK_LE(last - 0xffff0000u, timer->expiry - 0xffff0000u);
        last = timer->expiry;
    }
    CHECK_EQ(cnt, 500);
}

TEST_MAIN()
