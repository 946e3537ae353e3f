/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/isn.h"

#include <string.h>

#include "base/siphash.h"
#include "tcp/tcp.h"

/* RFC 6528 3: M + F(connection, secret); M steps every 4 microseconds. */
uint32_t isn_make(struct tcp *tcp, const struct lastack_tuple *key)
{
    if (tcp->config.fixed_iss_set)
        return tcp->config.fixed_iss;
    uint32_t offset = (uint32_t)siphash24(tcp->isn_key, key, sizeof *key);
    return (uint32_t)(tcp->now_ns / 4000) + offset;
}

/* 5 bits of time, 3 of MSS, 24 of keyed hash. */
#define COOKIE_PERIOD_MS 65536u
static const uint16_t cookie_mss[8] = {536, 1024, 1220, 1360, 1440, 1460, 8960, 65495};

/* From the whole clock: the tick wraps after 49 days. */
static uint32_t cookie_period(const struct tcp *tcp)
{
    return (uint32_t)(tcp->now_ns / 1000000 / COOKIE_PERIOD_MS);
}

static uint32_t cookie_hash(struct tcp *tcp, const struct lastack_tuple *key, uint32_t irs,
                            uint32_t period, uint32_t mss_index)
{
    struct {
        struct lastack_tuple key;
        uint32_t irs, period, mss_index;
    } input = {*key, irs, period, mss_index};
    return (uint32_t)siphash24(tcp->cookie_key, &input, sizeof input) & 0xffffff;
}

uint32_t cookie_make(struct tcp *tcp, const struct lastack_tuple *key, uint32_t irs, uint16_t mss)
{
    uint32_t index = ARRAY_LEN(cookie_mss) - 1;
    while (index > 0 && cookie_mss[index] > mss)
        index--;
    uint32_t period = cookie_period(tcp);
    return (period & 31) << 27 | index << 24 | cookie_hash(tcp, key, irs, period, index);
}

bool cookie_check(struct tcp *tcp, const struct lastack_tuple *key, uint32_t irs, uint32_t iss,
                  uint16_t *mss)
{
    uint32_t period = cookie_period(tcp);
    uint32_t age = (period - (iss >> 27)) & 31;
    uint32_t index = iss >> 24 & 7;
    if (age > 1 || cookie_hash(tcp, key, irs, period - age, index) != (iss & 0xffffff))
        return false;
    *mss = cookie_mss[index];
    return true;
}
