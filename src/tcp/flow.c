/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/pool.h"
#include "base/siphash.h"
#include "tcp/connection.h"

#define FLOW_SEGMENT   1024u
#define REFERENCE_BITS 30

static uint32_t reference_of(const struct flow_table *t, const struct flow *flow)
{
    return (uint32_t)flow->kind << REFERENCE_BITS | pool_index(t->pools[flow->kind], flow);
}

static struct flow *flow_at(const struct flow_table *t, uint32_t reference)
{
    return pool_at(t->pools[reference >> REFERENCE_BITS], reference & ((1u << REFERENCE_BITS) - 1));
}

/* IPv4 needs 12 of the 36 bytes. */
static uint32_t tuple_hash(const struct flow_table *t, const struct lastack_tuple *key)
{
    if (!address_is_ip4(&key->remote))
        return (uint32_t)siphash13(t->key, key, sizeof *key);
    uint8_t packed[12];
    memcpy(packed, key->local.bytes + 12, 4);
    memcpy(packed + 4, key->remote.bytes + 12, 4);
    memcpy(packed + 8, &key->local_port, 2);
    memcpy(packed + 10, &key->remote_port, 2);
    return (uint32_t)siphash13(t->key, packed, sizeof packed);
}

static uint32_t *bucket_head(const struct flow_table *t, uint32_t bucket)
{
    return &t->segments[bucket / FLOW_SEGMENT][bucket % FLOW_SEGMENT];
}

/* Buckets 0 .. bucket_cnt-1 exist: take the low bits that reach all of them, one fewer if that
 * bucket is not there yet. */
static uint32_t *bucket_of(const struct flow_table *t, uint32_t hash)
{
    uint32_t mask = UINT32_MAX >> __builtin_clz((t->bucket_cnt - 1) | 1);
    uint32_t bucket = hash & mask;
    if (bucket >= t->bucket_cnt)
        bucket &= mask >> 1;
    return bucket_head(t, bucket);
}

static bool segment_add(struct flow_table *t)
{
    if (t->segment_cnt == t->segment_cap) {
        uint32_t cap = t->segment_cap ? t->segment_cap * 2 : 16;
        uint32_t **segments = realloc(t->segments, cap * sizeof *segments);
        if (segments == NULL)
            return false;
        t->segments = segments;
        t->segment_cap = cap;
    }
    uint32_t *segment = calloc(FLOW_SEGMENT, sizeof *segment);
    if (segment == NULL)
        return false;
    t->segments[t->segment_cnt++] = segment;
    return true;
}

bool flow_table_init(struct flow_table *t, const uint64_t key[2])
{
    memset(t, 0, sizeof *t);
    memcpy(t->key, key, sizeof t->key);
    t->port_use = calloc(65536, sizeof *t->port_use);
    t->bucket_cnt = FLOW_SEGMENT;
    return t->port_use != NULL && segment_add(t);
}

void flow_table_free(struct flow_table *t)
{
    for (uint32_t i = 0; i < t->segment_cnt; i++)
        free(t->segments[i]);
    free(t->segments);
    free(t->port_use);
}

size_t flow_table_bytes(const struct flow_table *t)
{
    return (size_t)t->segment_cnt * FLOW_SEGMENT * sizeof(uint32_t) +
           65536 * sizeof(struct port_use);
}

struct flow *flow_find(struct flow_table *t, const struct lastack_tuple *key)
{
    if (t->last != NULL && tuple_equal(&t->last->key, key))
        return t->last;
    uint32_t reference = *bucket_of(t, tuple_hash(t, key));
    while (reference != 0) {
        struct flow *flow = flow_at(t, reference);
        if (reference >> REFERENCE_BITS == FLOW_CONNECTION)
            connection_prefetch(container_of(flow, struct connection, flow));
        if (tuple_equal(&flow->key, key)) {
            t->last = flow;
            return flow;
        }
        reference = flow->hash_next;
    }
    return NULL;
}

/* One more bucket: its entries come out of the bucket that shared its low bits. */
static void bucket_split(struct flow_table *t)
{
    if (t->bucket_cnt == t->segment_cnt * FLOW_SEGMENT && !segment_add(t))
        return;
    uint32_t half = 1u << (31 - __builtin_clz(t->bucket_cnt));
    uint32_t *old_head = bucket_head(t, t->bucket_cnt - half);
    t->bucket_cnt++;
    uint32_t reference = *old_head;
    *old_head = 0;
    while (reference != 0) {
        struct flow *flow = flow_at(t, reference);
        uint32_t next = flow->hash_next;
        uint32_t *head = bucket_of(t, tuple_hash(t, &flow->key));
        flow->hash_next = *head;
        *head = reference;
        reference = next;
    }
}

static void port_enter(struct flow_table *t, const struct flow *flow)
{
    struct port_use *use = &t->port_use[flow->key.local_port];
    if (use->flow_cnt++ == 0) {
        use->local = flow->key.local;
        use->strict_cnt = 0;
        use->mixed = false;
    }
    use->strict_cnt += !flow->reusable;
    use->mixed |= !address_equal(&use->local, &flow->key.local);
}

void flow_insert(struct flow_table *t, struct flow *flow)
{
    assert(!flow->hashed);
    if (t->used >= t->bucket_cnt / 2) /* short chains: each link may be a cache miss */
        bucket_split(t);
    uint32_t *head = bucket_of(t, tuple_hash(t, &flow->key));
    flow->hash_next = *head;
    *head = reference_of(t, flow);
    flow->hashed = true;
    t->used++;
    port_enter(t, flow);
}

void flow_remove(struct flow_table *t, struct flow *flow)
{
    if (!flow->hashed)
        return;
    if (t->last == flow)
        t->last = NULL;
    uint32_t own = reference_of(t, flow);
    uint32_t *link = bucket_of(t, tuple_hash(t, &flow->key));
    while (*link != own) {
        assert(*link != 0);
        link = &flow_at(t, *link)->hash_next;
    }
    *link = flow->hash_next;
    flow->hashed = false;
    t->used--;
    struct port_use *use = &t->port_use[flow->key.local_port];
    use->flow_cnt--;
    use->strict_cnt -= !flow->reusable;
}
