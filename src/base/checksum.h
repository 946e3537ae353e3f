/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Internet checksum (RFC 1071) over bytes and scatter lists, SIMD where the CPU has it.
 *
 * A *partial sum* is a ones-complement sum folded to 16 bits, in memory byte order, of data
 * that starts at an even offset; 0 is the sum of nothing. Partial sums of pieces are put
 * together with checksum_join, which knows what an odd offset means.
 */
#ifndef LASTACK_BASE_CHECKSUM_H
#define LASTACK_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Partial sum of `len` bytes. */
uint16_t checksum_sum(const void *data, size_t len);

/* Copy `len` bytes (no overlap) and return their partial sum: one pass over memory. */
uint16_t checksum_copy(void *restrict to, const void *restrict from, size_t len);

/* What the two above do on a CPU without SIMD, so that tests reach it on every CPU. */
uint16_t checksum_sum_portable(const void *data, size_t len);
uint16_t checksum_copy_portable(void *restrict to, const void *restrict from, size_t len);

/* The reference for tests: two bytes at a time, no SIMD. */
uint16_t checksum_sum_naive(const void *data, size_t len);

/* Partial sum of A followed by B, where A has `a_len` bytes. */
static inline uint16_t checksum_join(uint16_t a, size_t a_len, uint16_t b)
{
    uint32_t s = (a_len & 1) ? (uint16_t)(b << 8 | b >> 8) : b;
    s += a;
    return (uint16_t)(s + (s >> 16));
}

/* Partial sum of a scatter list. */
uint16_t checksum_sum_iov(const struct iovec *iov, size_t iov_cnt);

/* What goes into a header field: the complement. Store with memcpy (already in memory order).
 * A received packet is good when its sum, checksum field included, finishes to 0. */
static inline uint16_t checksum_finish(uint16_t partial)
{
    return (uint16_t)~partial;
}

#endif
