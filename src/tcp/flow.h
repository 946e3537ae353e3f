/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flow table: from the four-tuple of a segment to one of three bodies (connection, half-open
 * entry, time-wait entry). Keyed hash, linear hashing (Litwin 1980): it grows by one bucket at a
 * time, so no insertion ever rehashes the whole table.
 */
#ifndef LASTACK_TCP_FLOW_H
#define LASTACK_TCP_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

enum flow_kind {
    FLOW_NONE,
    FLOW_CONNECTION,
    FLOW_HALF_OPEN,
    FLOW_TIME_WAIT,
    FLOW_KIND_CNT
};

/* The head of every body. */
struct flow {
    struct lastack_tuple key;
    uint32_t hash_next; /* reference: kind in the top two bits, pool index below */
    uint8_t kind;
    bool hashed : 1;
    bool reusable : 1; /* its port may be bound again: SO_REUSEADDR was set */
    uint16_t spare; /* for the body's own use */
};

struct pool;
struct listener;

/* Who uses a local port, as bind() wants to know it. */
struct port_use {
    uint32_t flow_cnt;
    uint32_t strict_cnt; /* of these without SO_REUSEADDR */
    struct lastack_address local; /* of all of them, unless mixed */
    bool mixed;
    struct listener *listeners; /* several with SO_REUSEPORT or addresses of their own */
};

struct flow_table {
    uint64_t key[2];
    struct pool *pools[FLOW_KIND_CNT]; /* where references point */
    uint32_t **segments;               /* of FLOW_SEGMENT bucket heads */
    uint32_t segment_cnt, segment_cap;
    uint32_t bucket_cnt;               /* in use */
    uint32_t used;
    struct flow *last; /* found last: segments come in trains */
    struct port_use *port_use;         /* per local port */
};

bool flow_table_init(struct flow_table *table, const uint64_t key[2]);
void flow_table_free(struct flow_table *table);

size_t flow_table_bytes(const struct flow_table *table);

struct flow *flow_find(struct flow_table *table, const struct lastack_tuple *key);
/* The key must not be in the table. */
void flow_insert(struct flow_table *table, struct flow *flow);
void flow_remove(struct flow_table *table, struct flow *flow);

static inline bool tuple_equal(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    return __builtin_memcmp(a, b, sizeof *a) == 0;
}

#endif
