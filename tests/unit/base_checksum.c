/* SPDX-License-Identifier: BSD-2-Clause */
/* base/checksum.c: every body against the naive one, over alignments, lengths and contents. */
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/random.h"
#include "test.h"

#define LEN_MAX 4096
#define ALIGN_MAX 40

static struct random test_random(uint64_t n)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){n, 2, 3, 4});
    return random;
}

/* Contents that sums get wrong: all ones, all zero, top bits, noise. */
static void fill(uint8_t *p, size_t len, int kind)
{
    struct random random = test_random((uint64_t)kind);
    for (size_t i = 0; i < len; i++)
        p[i] = kind == 0   ? (uint8_t)random_u32(&random)
               : kind == 1 ? 0xff
               : kind == 2 ? 0
               : kind == 3 ? 0x80
                           : (i & 1 ? 0x80 : 0x00);
}

TEST(checksum_of_rfc_1071_example)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    static const uint8_t want[] = {0xdd, 0xf2};
    uint16_t sum = checksum_sum(data, sizeof data);
    CHECK_MEM(&sum, want, 2);
    CHECK_EQ(checksum_sum(data, 0), 0);
    CHECK_EQ(checksum_finish(0), 0xffff);
}

TEST(checksum_sum_at_all_alignments_and_lengths)
{
    static uint8_t data[LEN_MAX + ALIGN_MAX];
    for (int kind = 0; kind < 5; kind++) {
        fill(data, sizeof data, kind);
        for (size_t at = 0; at < ALIGN_MAX; at += kind ? 7 : 1)
            for (size_t len = 0; len <= LEN_MAX; len += 1 + (kind != 0) * 2) {
                uint16_t want = checksum_sum_naive(data + at, len);
                if (checksum_sum(data + at, len) != want ||
                    checksum_sum_portable(data + at, len) != want) {
                    FAIL("contents %d, alignment %zu, length %zu", kind, at, len);
                    return;
                }
            }
    }
}

TEST(checksum_copy_copies_and_sums)
{
    static uint8_t from[LEN_MAX + ALIGN_MAX], to[LEN_MAX + ALIGN_MAX + 64];
    uint16_t (*const bodies[])(void *, const void *, size_t) = {checksum_copy,
                                                                checksum_copy_portable};
    fill(from, sizeof from, 0);
    for (int body = 0; body < 2; body++)
        for (size_t at = 0; at < 34; at += 3)
            for (size_t len = 0; len <= LEN_MAX; len++) {
                size_t to_at = (at * 5 + len) % 33 + 1;
                memset(to, 0xa5, to_at);
                memset(to + to_at + len, 0xa5, 32);
                uint16_t sum = bodies[body](to + to_at, from + at, len);
                bool ok = sum == checksum_sum_naive(from + at, len) &&
                          memcmp(to + to_at, from + at, len) == 0 && to[to_at - 1] == 0xa5;
                for (int i = 0; i < 32; i++)
                    ok = ok && to[to_at + len + (size_t)i] == 0xa5;
                if (!ok) {
                    FAIL("body %d, from %zu, to %zu, length %zu", body, at, to_at, len);
                    return;
                }
            }
}

/* Exact-size blocks, so that the address sanitizer sees a read past either end. */
TEST(checksum_reads_nothing_outside)
{
    for (size_t len = 0; len <= 600; len++) {
        uint8_t *from = malloc(len + !len), *to = malloc(len + !len);
        REQUIRE(from && to);
        fill(from, len, 0);
        uint16_t want = checksum_sum_naive(from, len);
        CHECK_EQ(checksum_sum(from, len), want);
        CHECK_EQ(checksum_copy(to, from, len), want);
        CHECK_EQ(checksum_copy_portable(to, from, len), want);
        free(from);
        free(to);
    }
}

/* Long enough for the vector body to fold in the middle; all ones brings lanes to their limit. */
TEST(checksum_of_megabytes)
{
    const size_t len = (3u << 20) + 77;
    uint8_t *data = malloc(len);
    REQUIRE(data);
    for (int kind = 0; kind < 5; kind++) {
        fill(data, len, kind);
        CHECK_EQ(checksum_sum(data, len), checksum_sum_naive(data, len));
    }
    free(data);
}

TEST(checksum_join_of_any_cut)
{
    static uint8_t data[300];
    fill(data, sizeof data, 0);
    for (size_t len = 0; len <= sizeof data; len += 13)
        for (size_t cut = 0; cut <= len; cut++) {
            uint16_t joined = checksum_join(checksum_sum(data, cut), cut,
                                            checksum_sum(data + cut, len - cut));
            CHECK_EQ(joined, checksum_sum_naive(data, len));
        }
    CHECK_EQ(checksum_join(0xffff, 2, 0xffff), 0xffff);
    CHECK_EQ(checksum_join(0, 1, 0), 0);
}

TEST(checksum_of_scatter_lists)
{
    static uint8_t data[2000];
    struct random random = test_random(9);
    fill(data, sizeof data, 0);
    for (int round = 0; round < 2000; round++) {
        struct iovec iov[8];
        size_t cnt = random_below(&random, 9), at = 0;
        for (size_t i = 0; i < cnt; i++) {
            size_t len = random_below(&random, 200);
            iov[i] = (struct iovec){data + at, len};
            at += len;
        }
        CHECK_EQ(checksum_sum_iov(iov, cnt), checksum_sum_naive(data, at));
    }
}

TEST(checksum_of_a_packet_with_its_checksum_finishes_to_zero)
{
    uint8_t packet[99];
    fill(packet, sizeof packet, 0);
    memset(packet + 16, 0, 2);
    uint16_t sum = checksum_finish(checksum_sum(packet, sizeof packet));
    memcpy(packet + 16, &sum, 2);
    CHECK_EQ(checksum_finish(checksum_sum(packet, sizeof packet)), 0);
    packet[50] ^= 0x10;
    CHECK_NE(checksum_finish(checksum_sum(packet, sizeof packet)), 0);
}

TEST_MAIN()
