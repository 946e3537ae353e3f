/* SPDX-License-Identifier: BSD-2-Clause */
/* Seeded, unpredictable without the seed: SipHash-2-4 over a counter. Deterministic. */
#ifndef LASTACK_BASE_RANDOM_H
#define LASTACK_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t key[2];
    uint64_t counter;
};

void random_init(struct random *random, const uint64_t seed[4]);
uint64_t random_u64(struct random *random);
uint32_t random_u32(struct random *random);
/* 0 .. bound - 1 without bias; bound > 0. */
uint32_t random_below(struct random *random, uint32_t bound);

#endif
