/* SPDX-License-Identifier: BSD-2-Clause */
/* base/random.c: repeatable, different for different seeds, without visible bias. */
#include "base/random.h"
#include "test.h"

static const uint64_t seed[4] = {11, 22, 33, 44};

TEST(random_repeats_itself)
{
    struct random a, b;
    random_init(&a, seed);
    random_init(&b, seed);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(random_u64(&a), random_u64(&b));
}

TEST(random_uses_every_bit_of_the_seed)
{
    struct random a;
    random_init(&a, seed);
    uint64_t first = random_u64(&a);
    for (unsigned bit = 0; bit < 256; bit++) {
        uint64_t other[4];
        memcpy(other, seed, sizeof other);
        other[bit / 64] ^= (uint64_t)1 << bit % 64;
        random_init(&a, other);
        CHECK_NE(random_u64(&a), first);
    }
}

TEST(random_below_stays_below_and_reaches_all)
{
    struct random a;
    random_init(&a, seed);
    for (uint32_t bound = 1; bound <= 40; bound++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint32_t n = random_below(&a, bound);
            CHECK_LT(n, bound);
            seen |= (uint64_t)1 << n;
        }
        CHECK_EQ(seen, ((uint64_t)1 << bound) - 1);
    }
    for (int i = 0; i < 1000; i++)
        CHECK_LT(random_below(&a, UINT32_MAX), UINT32_MAX);
}

/* A bound of 3 * 2^30 without the refusal would give every third value twice as often. */
TEST(random_below_is_even)
{
    struct random a;
    unsigned thirds[3] = {0}, modulo[3] = {0};
    random_init(&a, seed);
    for (int i = 0; i < 30000; i++) {
        uint32_t n = random_below(&a, 3u << 30);
        thirds[n >> 30]++;
        modulo[n % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        CHECK(thirds[i] > 9500 && thirds[i] < 10500);
        CHECK(modulo[i] > 9500 && modulo[i] < 10500);
    }
}

TEST(random_bits_are_balanced)
{
    struct random a;
    unsigned set[64] = {0};
    random_init(&a, seed);
    for (int i = 0; i < 10000; i++) {
        uint64_t n = random_u64(&a);
        for (int bit = 0; bit < 64; bit++)
            set[bit] += n >> bit & 1;
    }
    for (int bit = 0; bit < 64; bit++)
        CHECK(set[bit] > 4700 && set[bit] < 5300);
}

TEST_MAIN()
