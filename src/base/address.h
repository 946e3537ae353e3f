/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of both families in one form: struct lastack_address (IPv4 as ::ffff:a.b.c.d). */
#ifndef LASTACK_BASE_ADDRESS_H
#define LASTACK_BASE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "lastack.h"

/* `ip4` in host order. */
static inline struct lastack_address address_from_ip4(uint32_t ip4)
{
    struct lastack_address a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    store_be32(a.bytes + 12, ip4);
    return a;
}

static inline uint32_t address_ip4(const struct lastack_address *a)
{
    return load_be32(a->bytes + 12);
}

static inline bool address_equal(const struct lastack_address *a, const struct lastack_address *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* ::ffff:0:0/96 */
bool address_is_ip4(const struct lastack_address *a);
/* 0.0.0.0 or :: */
bool address_is_any(const struct lastack_address *a);
/* 127.0.0.0/8 */
bool address_is_loopback(const struct lastack_address *a);
/* 224.0.0.0/4 */
bool address_is_multicast(const struct lastack_address *a);
/* 255.255.255.255 */
bool address_is_broadcast(const struct lastack_address *a);
/* First `prefix_len` bits of the IPv4 part (0 .. 32) are equal. */
bool address_in_prefix(const struct lastack_address *a, const struct lastack_address *network,
                       uint8_t prefix_len);

#endif
