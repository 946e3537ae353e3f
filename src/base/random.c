/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers that are a keyed function of a counter. */
#include "base/random.h"

#include "base/siphash.h"

void random_init(struct random *random, const uint64_t seed[4])
{
    /* All four words of the seed go into both words of the key, and the key differs from what
     * other users of the same seed derive with a hash of their own input. */
    const uint64_t in[3] = {seed[2], seed[3], 0x72616e646f6du};
    const uint64_t swapped[2] = {seed[1], seed[0]};
    random->key[0] = siphash24(seed, in, sizeof in);
    random->key[1] = siphash24(swapped, in, sizeof in);
    random->counter = 0;
}

uint64_t random_u64(struct random *random)
{
    uint64_t n = random->counter++;
    return siphash24(random->key, &n, sizeof n);
}

uint32_t random_u32(struct random *random)
{
    return (uint32_t)random_u64(random);
}

uint32_t random_below(struct random *random, uint32_t bound)
{
    /* Lemire 2019: the high half of a product is uniform once the few low halves that would
     * make some values more likely than others are refused. */
    uint32_t refuse_below = -bound % bound;
    uint64_t product;
    do
        product = (uint64_t)random_u32(random) * bound;
    while ((uint32_t)product < refuse_below);
    return (uint32_t)(product >> 32);
}
