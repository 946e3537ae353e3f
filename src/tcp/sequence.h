/* SPDX-License-Identifier: BSD-2-Clause */
/* Sequence numbers: 32 bits that wrap (RFC 9293 3.4). */
#ifndef LASTACK_TCP_SEQUENCE_H
#define LASTACK_TCP_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
    return seq_lt(b, a);
}

static inline bool seq_ge(uint32_t a, uint32_t b)
{
    return seq_le(b, a);
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
    return seq_lt(a, b) ? b : a;
}

#endif
