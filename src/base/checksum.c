/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Internet checksum (RFC 1071).
 *
 * Three bodies compute the same number. Up to SHORT_LEN bytes and on CPUs without AVX2: eight
 * bytes at a time with the carry added back. With AVX2: 16-bit words, made signed by flipping
 * their top bit, are added in pairs by one multiply-add; the flips are paid back at the end.
 * The sum of data that is not all zero never folds to 0, whichever body made it.
 */
#include "base/checksum.h"

#include <stdbool.h>
#include <string.h>

#define SHORT_LEN 96 /* below this a vector loop does not pay for its start and end */

static inline uint16_t fold64(uint64_t s)
{
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The last 0 .. 7 bytes as they lie in memory, padded with zeros behind. */
static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    unsigned at = 0;
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "load_tail and bytes.h assume a little-endian machine"
#endif
    if (len & 4) {
        uint32_t w;
        memcpy(&w, p, 4);
        v = w;
        at = 4;
    }
    if (len & 2) {
        uint16_t w;
        memcpy(&w, p + at, 2);
        v |= (uint64_t)w << (8 * at);
        at += 2;
    }
    if (len & 1)
        v |= (uint64_t)p[at] << (8 * at);
    return v;
}

static inline uint64_t sum_words(const uint8_t *p, size_t len, uint64_t a)
{
    uint64_t b = 0;
    for (; len >= 16; p += 16, len -= 16) {
        a = add_carry(a, load64(p));
        b = add_carry(b, load64(p + 8));
    }
    if (len & 8) {
        a = add_carry(a, load64(p));
        p += 8;
    }
    if (len & 7)
        b = add_carry(b, load_tail(p, len & 7));
    return add_carry(a, b);
}

static inline uint64_t copy_words(uint8_t *restrict to, const uint8_t *restrict from, size_t len,
                                  uint64_t a)
{
    for (; len >= 8; to += 8, from += 8, len -= 8) {
        uint64_t v = load64(from);
        memcpy(to, &v, 8);
        a = add_carry(a, v);
    }
    if (len) {
        a = add_carry(a, load_tail(from, len));
        for (size_t i = 0; i < len; i++)
            to[i] = from[i];
    }
    return a;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))

/* A lane of one accumulator takes at most 2^16 per step in size; 2^12 steps of four accumulators
 * keep their total below 2^30, far from the sign. */
#define CHUNK_LEN ((size_t)128 << 12)

static inline bool have_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* Pairs of words, each less 2^15, added to the 32-bit lanes of `acc`. */
AVX2 static inline __m256i madd_step(__m256i acc, __m256i v)
{
    const __m256i flip = _mm256_set1_epi16((short)0x8000), one = _mm256_set1_epi16(1);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_xor_si256(v, flip), one));
}

/* The true sum of what was added in `step_cnt` steps of 16 words. */
AVX2 static inline uint64_t madd_total(__m256i acc, size_t step_cnt)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
    __m128i wide = _mm_add_epi64(_mm_cvtepi32_epi64(s), _mm_cvtepi32_epi64(_mm_srli_si128(s, 8)));
    int64_t sum = _mm_cvtsi128_si64(wide) + _mm_extract_epi64(wide, 1);
    return (uint64_t)(sum + (int64_t)(step_cnt * 16 * 0x8000));
}

AVX2 static uint16_t sum_avx2(const uint8_t *p, size_t len)
{
    uint64_t total = 0;
    while (len >= 32) {
        size_t n = (len < CHUNK_LEN ? len : CHUNK_LEN) & ~(size_t)31, left = n;
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
        for (; left >= 128; p += 128, left -= 128) {
            a = madd_step(a, _mm256_loadu_si256((const __m256i *)p));
            b = madd_step(b, _mm256_loadu_si256((const __m256i *)(p + 32)));
            c = madd_step(c, _mm256_loadu_si256((const __m256i *)(p + 64)));
            d = madd_step(d, _mm256_loadu_si256((const __m256i *)(p + 96)));
        }
        for (; left; p += 32, left -= 32)
            a = madd_step(a, _mm256_loadu_si256((const __m256i *)p));
        a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
        total += madd_total(a, n / 32);
        len -= n;
    }
    return fold64(sum_words(p, len, total));
}

AVX2 static inline __m256i copy_step(__m256i acc, uint8_t *to, const uint8_t *from)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)from);
    _mm256_storeu_si256((__m256i *)to, v);
    return madd_step(acc, v);
}

AVX2 static uint16_t copy_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t len)
{
    uint64_t total = 0;
    while (len >= 32) {
        size_t n = (len < CHUNK_LEN ? len : CHUNK_LEN) & ~(size_t)31, left = n;
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
        for (; left >= 128; to += 128, from += 128, left -= 128) {
            a = copy_step(a, to, from);
            b = copy_step(b, to + 32, from + 32);
            c = copy_step(c, to + 64, from + 64);
            d = copy_step(d, to + 96, from + 96);
        }
        for (; left; to += 32, from += 32, left -= 32)
            a = copy_step(a, to, from);
        a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
        total += madd_total(a, n / 32);
        len -= n;
    }
    return fold64(copy_words(to, from, len, total));
}
#else
static inline bool have_avx2(void)
{
    return false;
}
static inline uint16_t sum_avx2(const uint8_t *p, size_t len)
{
    return fold64(sum_words(p, len, 0));
}
static inline uint16_t copy_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t len)
{
    return fold64(copy_words(to, from, len, 0));
}
#endif

uint16_t checksum_sum(const void *data, size_t len)
{
    if (len >= SHORT_LEN && have_avx2())
        return sum_avx2(data, len);
    return fold64(sum_words(data, len, 0));
}

uint16_t checksum_copy(void *restrict to, const void *restrict from, size_t len)
{
    if (len >= SHORT_LEN && have_avx2())
        return copy_avx2(to, from, len);
    return fold64(copy_words(to, from, len, 0));
}

uint16_t checksum_sum_portable(const void *data, size_t len)
{
    return fold64(sum_words(data, len, 0));
}

uint16_t checksum_copy_portable(void *restrict to, const void *restrict from, size_t len)
{
    return fold64(copy_words(to, from, len, 0));
}

uint16_t checksum_sum_naive(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i += 2) {
        uint8_t pair[2] = {p[i], i + 1 < len ? p[i + 1] : 0};
        uint16_t word;
        memcpy(&word, pair, sizeof word);
        sum += word;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

uint16_t checksum_sum_iov(const struct iovec *iov, size_t iov_cnt)
{
    uint16_t sum = 0;
    size_t offset = 0;
    for (size_t i = 0; i < iov_cnt; i++) {
        sum = checksum_join(sum, offset, checksum_sum(iov[i].iov_base, iov[i].iov_len));
        offset += iov[i].iov_len;
    }
    return sum;
}
