/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects of one size, in slabs, under a limit. get and put are O(1), last in first out.
 * An object has an index (never 0) that stays the same while it lives, so that links can be
 * 4 bytes. Slabs are taken from the system when the free list is empty, returned at pool_free.
 */
#ifndef LASTACK_BASE_POOL_H
#define LASTACK_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool {
    const char *name;
    uint32_t object_size;    /* rounded up to 8 */
    uint32_t slab_objects;   /* per slab */
    uint32_t used, used_max; /* now, most ever */
    uint32_t limit;          /* most objects at one time */
    uint32_t slab_cnt, slab_cap;
    uint8_t **slabs;
    void *free_list;
    uint32_t fresh;          /* objects of the newest slab never given out */
    /* how pool.c finds an object's place without dividing */
    uint8_t slab_shift;      /* a slab has 2^slab_shift bytes, aligned to that */
    uint32_t head_len;       /* bytes before its first object */
    uint32_t size_inverse;
    uint64_t objects_inverse;
};

/* `limit` objects of `size` bytes at most. Takes no memory yet. */
void pool_init(struct pool *pool, const char *name, size_t size, uint32_t limit);
/* Return all memory. Objects in use become invalid. */
void pool_free(struct pool *pool);
/* A zeroed object, or NULL: limit reached, or no memory. */
void *pool_get(struct pool *pool);
/* As pool_get, contents undefined (for buffer pages). */
void *pool_get_dirty(struct pool *pool);
void pool_put(struct pool *pool, void *object);
/* Index of an object, >= 1; and back. pool_at of an index not given out is undefined. */
uint32_t pool_index(const struct pool *pool, const void *object);
void *pool_at(const struct pool *pool, uint32_t index);
/* Objects ever given out have indices 1 .. pool_high(pool); see pool_is_used for walks. */
uint32_t pool_high(const struct pool *pool);
/* True if the index is in use now (a walk for people; needs one bit per object). */
bool pool_is_used(const struct pool *pool, uint32_t index);
size_t pool_bytes(const struct pool *pool);

#endif
