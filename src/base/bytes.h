/* SPDX-License-Identifier: BSD-2-Clause */
/* Big-endian loads and stores at any alignment, and small integer helpers. */
#ifndef LASTACK_BASE_BYTES_H
#define LASTACK_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline void store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

/* memcpy for payload. Where gcc can bound the length it copies with `rep movs`, which starts slowly;
 * hiding the bound makes it call the library's, which picks by CPU. */
static inline void copy_bytes(void *restrict to, const void *restrict from, size_t len)
{
    __asm__("" : "+r"(len));
    memcpy(to, from, len);
}

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
