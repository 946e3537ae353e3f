/* SPDX-License-Identifier: BSD-2-Clause */
/* base/pool.c against an array of what is out. */
#include "base/bytes.h"
#include "base/pool.h"
#include "base/random.h"
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif

#define OUT_MAX 3000

static const size_t sizes[] = {1, 8, 16, 17, 48, 64, 100, 128, 384, 2048, 4096, 65536, 300000};

TEST(pool_takes_no_memory_until_asked)
{
    struct pool pool;
    pool_init(&pool, "test", 64, 100);
    CHECK_EQ(pool_bytes(&pool), 0);
    CHECK_EQ(pool_high(&pool), 0);
    CHECK(!pool_is_used(&pool, 1));
    pool_free(&pool);
}

TEST(pool_of_limit_zero_gives_nothing)
{
    struct pool pool;
    pool_init(&pool, "test", 64, 0);
    CHECK(pool_get(&pool) == NULL);
    pool_free(&pool);
}

/* Indices count up from 1, objects are zeroed, aligned, do not overlap, and map back. */
TEST(pool_indices_of_every_size)
{
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (uint32_t limit = 1; limit <= 1000; limit = limit * 3 + 1) {
            struct pool pool;
            void *out[1000];
            if (limit * sizes[s] > 8u << 20)
                break;
            pool_init(&pool, "test", sizes[s], limit);
            for (uint32_t i = 0; i < limit; i++) {
                out[i] = pool_get(&pool);
                REQUIRE(out[i] != NULL);
                CHECK_EQ((uintptr_t)out[i] % 8, 0);
                CHECK(((uint8_t *)out[i])[0] == 0 && ((uint8_t *)out[i])[sizes[s] - 1] == 0);
                memset(out[i], (int)(i | 1), sizes[s]);
                CHECK_EQ(pool_index(&pool, out[i]), i + 1);
                CHECK_EQ(pool_high(&pool), i + 1);
            }
            CHECK(pool_get(&pool) == NULL);
            CHECK_EQ(pool.used, limit);
            for (uint32_t i = 0; i < limit; i++) {
                CHECK(pool_at(&pool, i + 1) == out[i]);
                CHECK_EQ(((uint8_t *)out[i])[0], (uint8_t)(i | 1));
                CHECK_EQ(((uint8_t *)out[i])[sizes[s] - 1], (uint8_t)(i | 1));
            }
            CHECK_GE(pool_bytes(&pool), limit * sizes[s]);
            pool_free(&pool);
            CHECK_EQ(pool_bytes(&pool), 0);
        }
}

TEST(pool_gives_the_last_back_first)
{
    struct pool pool;
    pool_init(&pool, "test", 100, 10);
    void *a = pool_get(&pool), *b = pool_get(&pool);
    pool_put(&pool, a);
    pool_put(&pool, b);
    CHECK(pool_get_dirty(&pool) == b);
    CHECK(pool_get(&pool) == a);
    pool_free(&pool);
}

#ifdef ASAN_POISON_MEMORY_REGION
/* In builds with the address sanitizer a freed object cannot be touched, nor can its neighbour
 * that was never given out. */
TEST(pool_poisons_what_is_not_out)
{
    struct pool pool;
    pool_init(&pool, "test", 100, 10);
    uint8_t *object = pool_get(&pool);
    CHECK(__asan_region_is_poisoned(object, 100) == NULL);
    CHECK(__asan_address_is_poisoned(object + pool.object_size));
    pool_put(&pool, object);
    CHECK(__asan_address_is_poisoned(object) && __asan_address_is_poisoned(object + 99));
    CHECK(pool_get_dirty(&pool) == object);
    CHECK(__asan_region_is_poisoned(object, 100) == NULL);
    pool_free(&pool);
}
#endif

/* Random gets and puts beside an array; a walk over the indices finds exactly what is out. */
TEST(pool_does_what_an_array_does)
{
    static void *out[OUT_MAX];
    struct pool pool;
    struct random random;
    uint32_t cnt = 0, most = 0;
    random_init(&random, (const uint64_t[4]){7});
    pool_init(&pool, "test", 96, OUT_MAX);
    for (int round = 0; round < 200000; round++) {
        bool growing = round / 20000 % 2 == 0;
        if (random_below(&random, 100) < (growing ? 60u : 40u)) {
            uint32_t *object = pool_get(&pool);
            CHECK_EQ(object == NULL, cnt == OUT_MAX);
            if (object == NULL)
                continue;
            CHECK_EQ(object[0] | object[23], 0);
            object[0] = object[23] = pool_index(&pool, object);
            out[cnt++] = object;
            most = MAX(most, cnt);
        } else if (cnt > 0) {
            uint32_t at = random_below(&random, cnt);
            uint32_t *object = out[at], index = pool_index(&pool, object);
            CHECK_EQ(object[0], index);
            CHECK_EQ(object[23], index);
            CHECK(pool_at(&pool, index) == object);
            CHECK(pool_is_used(&pool, index));
            pool_put(&pool, object);
            CHECK(!pool_is_used(&pool, index));
            out[at] = out[--cnt];
        }
        CHECK_EQ(pool.used, cnt);
        if (round % 5000 == 0) {
            uint32_t walked = 0;
            for (uint32_t i = 1; i <= pool_high(&pool); i++)
                walked += pool_is_used(&pool, i);
            CHECK_EQ(walked, cnt);
        }
    }
    CHECK_EQ(pool.used_max, most);
    CHECK(!pool_is_used(&pool, 0));
    CHECK(!pool_is_used(&pool, pool_high(&pool) + 1));
    pool_free(&pool);
}

TEST_MAIN()
