/* SPDX-License-Identifier: BSD-2-Clause */
/* base/siphash.c against published values. */
#include "base/siphash.h"
#include "test.h"

static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* Input 00 01 02 ... of `len` bytes. */
static const uint8_t *counting(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)i;
    return out;
}

/* Appendix A of the paper. */
TEST(siphash24_of_the_paper)
{
    uint8_t in[15];
    CHECK_EQ(siphash24(key, counting(in, 15), 15), 0xa129ca6149be45e5u);
}

/* The first of the reference implementation's table (bytes there, numbers here). */
TEST(siphash24_of_the_reference_table)
{
    static const uint64_t want[] = {0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au};
    uint8_t in[8];
    counting(in, sizeof in);
    for (size_t len = 0; len < 3; len++)
        CHECK_EQ(siphash24(key, in, len), want[len]);
}

/* CPython 3.11 hashes bytes with SipHash-1-3; with PYTHONHASHSEED=0 its key is zero:
 * hash(bytes(range(n))). */
TEST(siphash13_of_cpython)
{
    static const uint64_t zero[2];
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {
        {1, 0x68a914128e01e473u},
        {2, 0x010bac45c41e3669u},
        {3, 0x4d4c9a4a8ef6e0adu},
        {4, 0x7cc43f98813e4dbdu},
        {5, 0x5abe2169dff36275u},
        {6, 0xe3c25f87624f1cdbu},
        {7, 0x2f098ab0c751325au},
        {8, 0xead411e67ebe2eeau},
        {9, 0x75927f9d95124362u},
        {15, 0xf30eb725bb91c9eau},
        {16, 0x8972188433a5c5b7u},
        {17, 0x4883c49a2c009c1du},
        {63, 0x385d3e39e5f37359u},
        {64, 0x75e05fd5bbc870c6u},
        {65, 0x9551550c825974c6u},
    };
    uint8_t in[80];
    counting(in, sizeof in);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_EQ(siphash13(zero, in, rows[i].len), rows[i].want);
}

TEST(siphash_depends_on_every_bit_of_key_and_input)
{
    uint8_t in[20];
    counting(in, sizeof in);
    uint64_t base24 = siphash24(key, in, sizeof in), base13 = siphash13(key, in, sizeof in);
    for (unsigned bit = 0; bit < 128; bit++) {
        uint64_t other[2] = {key[0], key[1]};
        other[bit / 64] ^= (uint64_t)1 << bit % 64;
        CHECK_NE(siphash24(other, in, sizeof in), base24);
        CHECK_NE(siphash13(other, in, sizeof in), base13);
    }
    for (unsigned bit = 0; bit < 8 * sizeof in; bit++) {
        in[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_NE(siphash24(key, in, sizeof in), base24);
        CHECK_NE(siphash13(key, in, sizeof in), base13);
        in[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

TEST(siphash_reads_nothing_outside)
{
    for (size_t len = 0; len < 40; len++) {
        uint8_t *in = malloc(len + !len), padded[64];
        REQUIRE(in);
        memset(padded, 0xee, sizeof padded);
        counting(in, len);
        counting(padded, len);
        CHECK_EQ(siphash24(key, in, len), siphash24(key, padded, len));
        free(in);
    }
}

TEST_MAIN()
