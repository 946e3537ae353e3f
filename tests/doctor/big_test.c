/* SPDX-License-Identifier: BSD-2-Clause */
/* Large tables: their order beside that of a naive sort; holders lent from one block. */
#include "doctor/big.h"

#include "doctor/facts.h"
#include "test.h"

#define MOST 5000

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The naive twin: each to its place among those before it, behind its equals. */
static void sort_naive(struct big_order *all, uint32_t cnt)
{
    for (uint32_t i = 1; i < cnt; i++)
        for (uint32_t at = i; at > 0 && all[at - 1].key > all[at].key; at--) {
            struct big_order one = all[at];
            all[at] = all[at - 1];
            all[at - 1] = one;
        }
}

static void compare(uint32_t cnt, uint64_t mask, uint64_t seed)
{
    struct big_order *quick = malloc((cnt + 1) * sizeof *quick);
    struct big_order *naive = malloc((cnt + 1) * sizeof *naive);
    REQUIRE(quick && naive);
    for (uint32_t i = 0; i < cnt; i++)
        quick[i] = naive[i] = (struct big_order){next(&seed) & mask, i};
    REQUIRE(big_sort(quick, cnt));
    sort_naive(naive, cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        CHECK_EQ(quick[i].key, naive[i].key);
        CHECK_EQ(quick[i].at, naive[i].at); /* equals stay as they were */
    }
    free(quick);
    free(naive);
}

TEST(sorted_as_by_the_naive)
{
    static const uint64_t masks[] = {UINT64_MAX, 0xff, 3, 0xff00000000000000u, 0xffff0000ff00u, 0};
    static const uint32_t cnts[] = {0, 1, 2, 31, 32, 33, 255, 1000};
    for (unsigned m = 0; m < sizeof masks / sizeof *masks; m++)
        for (unsigned c = 0; c < sizeof cnts / sizeof *cnts; c++)
            compare(cnts[c], masks[m], 0x9e3779b97f4a7c15u + m * 8 + c);
}

/* Room was reserved for two holders each; who gets more, or fewer, loses none. */
TEST(holders_from_a_block)
{
    struct facts_list list;
    facts_list_init(&list);
    facts_list_reserve(&list, MOST, MOST * 2);
    for (uint32_t i = 0; i < MOST + 10; i++) {
        struct facts *f = facts_list_add(&list);
        REQUIRE(f);
        f->id = i + 1;
        facts_holders_reserve(&list, f, i % 3);
        for (uint32_t h = 0; h < i % 7; h++)
            facts_holder_add(&list, f)->pid = i * 8 + h;
    }
    facts_holders_clear(&list.all[6]);
    facts_holder_add(&list, &list.all[6])->pid = 4711;
    for (uint32_t i = 0; i < list.cnt; i++) {
        const struct facts *f = &list.all[i];
        CHECK_EQ(f->id, i + 1);
        CHECK_EQ(f->holder_cnt, i == 6 ? 1 : i % 7);
        for (uint32_t h = 0; h < f->holder_cnt; h++)
            CHECK_EQ(f->holders[h].pid, i == 6 ? 4711 : i * 8 + h);
    }
    facts_list_free(&list);
}

TEST_MAIN()
