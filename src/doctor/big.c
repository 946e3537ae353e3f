/* SPDX-License-Identifier: BSD-2-Clause */
#include "doctor/big.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_LEN 4096u

void *big_alloc(size_t len)
{
    size_t whole = (len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN;
    return len < BIG_LEN || whole < len ? malloc(len) : aligned_alloc(PAGE_LEN, whole);
}

void big_fill(void *memory, size_t len)
{
    if (len >= BIG_LEN)
        madvise(memory, len, MADV_POPULATE_WRITE); /* a wish: Linux 5.14 */
}

/* ---- order ---- */

#define SMALL    32  /* fewer are inserted one by one */
#define BYTE_CNT 256 /* values of a byte */

static void sort_few(struct big_order *all, uint32_t cnt)
{
    for (uint32_t i = 1; i < cnt; i++) {
        struct big_order one = all[i];
        uint32_t at = i;
        for (; at > 0 && all[at - 1].key > one.key; at--)
            all[at] = all[at - 1];
        all[at] = one;
    }
}

/* From `from` to `to` by one byte of the keys; `begin`: where each value's run begins. */
static void sort_byte(struct big_order *to, const struct big_order *from, uint32_t cnt, int shift,
                      uint32_t begin[BYTE_CNT])
{
    for (uint32_t i = 0; i < cnt; i++)
        to[begin[from[i].key >> shift & 0xff]++] = from[i];
}

/* Counts become begins. False: all have one value, there is nothing to do. */
static bool begins(uint32_t counts[BYTE_CNT], uint32_t cnt)
{
    uint32_t sum = 0;
    for (int value = 0; value < BYTE_CNT; value++) {
        uint32_t here = counts[value];
        if (here == cnt)
            return false;
        counts[value] = sum;
        sum += here;
    }
    return true;
}

/* Byte by byte, the lowest first: eight walks at the most, no comparison. */
_Bool big_sort(struct big_order *all, uint32_t cnt)
{
    uint32_t counts[8][BYTE_CNT] = {0};
    struct big_order *from = all, *to, *spare;
    if (cnt < SMALL) {
        sort_few(all, cnt);
        return true;
    }
    spare = to = big_alloc(cnt * sizeof *spare);
    if (!spare)
        return false;
    for (uint32_t i = 0; i < cnt; i++)
        for (int byte = 0; byte < 8; byte++)
            counts[byte][all[i].key >> 8 * byte & 0xff]++;
    for (int byte = 0; byte < 8; byte++) {
        struct big_order *sorted = to;
        if (!begins(counts[byte], cnt))
            continue;
        sort_byte(to, from, cnt, 8 * byte, counts[byte]);
        to = from;
        from = sorted;
    }
    if (from != all)
        memcpy(all, from, cnt * sizeof *all);
    free(spare);
    return true;
}
