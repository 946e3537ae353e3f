/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slabs of objects of one size.
 *
 * A slab is 2^slab_shift bytes at an address that is a multiple of that, so an object's slab is
 * found by clearing low bits of its address, and with it the slab's number: pool_index needs no
 * search and objects need no header. The slab's head also has one bit per object: given out.
 * Divisions by the object's size and by the objects per slab are multiplications by inverses.
 */
#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif

#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, len) ASAN_POISON_MEMORY_REGION(p, len)
#define UNPOISON(p, len) ASAN_UNPOISON_MEMORY_REGION(p, len)
#else
#define POISON(p, len) ((void)0)
#define UNPOISON(p, len) ((void)0)
#endif

#define SHIFT_MIN 12
#define SHIFT_MAX 18      /* 256 KiB, unless one slab could not hold 8 objects then */
#define OBJECTS_WANTED 64 /* per slab */
#define MALLOC_ROOM 64    /* left over in each slab for the allocator's own header, so that
                             neighbouring slabs can touch */

struct slab {
    uint32_t number;
    uint32_t pad;
    uint64_t used[]; /* one bit per object */
};

static uint32_t head_len(uint32_t object_cnt)
{
    uint32_t len = (uint32_t)sizeof(struct slab) + (object_cnt + 63) / 64 * 8;
    return (len + 63) & ~63u; /* objects of whole cache lines start on one */
}

/* How many objects fit in a slab of 2^shift bytes. */
static uint32_t slab_fits(unsigned shift, uint32_t size)
{
    uint32_t room = (1u << shift) - MALLOC_ROOM;
    if (room < size + head_len(1))
        return 0;
    uint32_t cnt = (room - head_len(1)) / size;
    while (head_len(cnt) + cnt * size > room)
        cnt--;
    return cnt;
}

void pool_init(struct pool *pool, const char *name, size_t size, uint32_t limit)
{
    assert(size > 0 && size <= 1u << 24);
    uint32_t object_size = (uint32_t)(size + 7) & ~7u;
    unsigned shift = SHIFT_MIN;
    uint32_t wanted = limit < OBJECTS_WANTED ? limit + !limit : OBJECTS_WANTED;
    while (shift < SHIFT_MAX && slab_fits(shift, object_size) < wanted)
        shift++;
    while (slab_fits(shift, object_size) < (wanted < 8 ? wanted : 8))
        shift++;

    uint32_t cnt = slab_fits(shift, object_size);
    *pool = (struct pool){
        .name = name,
        .object_size = object_size,
        .slab_objects = cnt,
        .limit = limit,
        .slab_shift = (uint8_t)shift,
        .head_len = head_len(cnt),
        /* ceil of 2^32 / size (or one more) and of 2^64 / cnt; the latter wraps to 0 for 1 */
        .size_inverse = (uint32_t)(((uint64_t)1 << 32) / object_size) + 1,
        .objects_inverse = UINT64_MAX / cnt + 1,
    };
}

void pool_free(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->slab_cnt; i++) {
        UNPOISON(pool->slabs[i], ((size_t)1 << pool->slab_shift) - MALLOC_ROOM);
        free(pool->slabs[i]);
    }
    free(pool->slabs);
    pool->slabs = NULL;
    pool->free_list = NULL;
    pool->slab_cnt = pool->slab_cap = pool->used = pool->fresh = 0;
}

/* One more slab. False: no memory. */
static bool pool_grow(struct pool *pool)
{
    if (pool->slab_cnt == pool->slab_cap) {
        uint32_t cap = pool->slab_cap ? pool->slab_cap * 2 : 4;
        uint8_t **slabs = realloc(pool->slabs, cap * sizeof *slabs);
        if (slabs == NULL)
            return false;
        pool->slabs = slabs;
        pool->slab_cap = cap;
    }
    size_t slab_len = (size_t)1 << pool->slab_shift;
    void *memory;
    if (posix_memalign(&memory, slab_len, slab_len - MALLOC_ROOM) != 0)
        return false;
    struct slab *slab = memory;
    memset(slab, 0, pool->head_len);
    slab->number = pool->slab_cnt;
    POISON((uint8_t *)memory + pool->head_len, slab_len - MALLOC_ROOM - pool->head_len);
    pool->slabs[pool->slab_cnt++] = memory;
    pool->fresh = pool->slab_objects;
    return true;
}

static inline struct slab *slab_of(const struct pool *pool, const void *object)
{
    return (struct slab *)((uintptr_t)object & ~(((uintptr_t)1 << pool->slab_shift) - 1));
}

/* Which object of its slab it is. Exact, because the offset is a multiple of the size. */
static inline uint32_t slab_place(const struct pool *pool, const struct slab *slab,
                                  const void *object)
{
    uint32_t offset = (uint32_t)((const uint8_t *)object - (const uint8_t *)slab) - pool->head_len;
    return (uint32_t)((uint64_t)offset * pool->size_inverse >> 32);
}

void *pool_get_dirty(struct pool *pool)
{
    if (pool->used >= pool->limit)
        return NULL;
    void *object = pool->free_list;
    if (object != NULL) {
        UNPOISON(object, pool->object_size);
        memcpy(&pool->free_list, object, sizeof pool->free_list);
    } else {
        if (pool->fresh == 0 && !pool_grow(pool))
            return NULL;
        object = pool->slabs[pool->slab_cnt - 1] + pool->head_len +
                 (size_t)(pool->slab_objects - pool->fresh) * pool->object_size;
        pool->fresh--;
        UNPOISON(object, pool->object_size);
    }
    struct slab *slab = slab_of(pool, object);
    uint32_t place = slab_place(pool, slab, object);
    slab->used[place / 64] |= (uint64_t)1 << (place % 64);
    if (++pool->used > pool->used_max)
        pool->used_max = pool->used;
    return object;
}

void *pool_get(struct pool *pool)
{
    void *object = pool_get_dirty(pool);
    if (object != NULL)
        memset(object, 0, pool->object_size);
    return object;
}

void pool_put(struct pool *pool, void *object)
{
    struct slab *slab = slab_of(pool, object);
    uint32_t place = slab_place(pool, slab, object);
    uint64_t bit = (uint64_t)1 << (place % 64);
    assert(slab->used[place / 64] & bit); /* put twice, or not of this pool */
    slab->used[place / 64] &= ~bit;
    memcpy(object, &pool->free_list, sizeof pool->free_list);
    pool->free_list = object;
    pool->used--;
    POISON(object, pool->object_size);
}

uint32_t pool_index(const struct pool *pool, const void *object)
{
    const struct slab *slab = slab_of(pool, object);
    return slab->number * pool->slab_objects + slab_place(pool, slab, object) + 1;
}

/* Which slab the index lies in: exact for every 32-bit index. */
static inline uint32_t slab_number(const struct pool *pool, uint32_t index)
{
    if (pool->objects_inverse == 0)
        return index - 1;
    return (uint32_t)((unsigned __int128)(index - 1) * pool->objects_inverse >> 64);
}

void *pool_at(const struct pool *pool, uint32_t index)
{
    uint32_t number = slab_number(pool, index);
    uint32_t place = index - 1 - number * pool->slab_objects;
    return pool->slabs[number] + pool->head_len + (size_t)place * pool->object_size;
}

uint32_t pool_high(const struct pool *pool)
{
    return pool->slab_cnt * pool->slab_objects - pool->fresh;
}

bool pool_is_used(const struct pool *pool, uint32_t index)
{
    if (index == 0 || index > pool_high(pool))
        return false;
    uint32_t number = slab_number(pool, index);
    uint32_t place = index - 1 - number * pool->slab_objects;
    const struct slab *slab = (const struct slab *)pool->slabs[number];
    return slab->used[place / 64] >> (place % 64) & 1;
}

size_t pool_bytes(const struct pool *pool)
{
    return ((size_t)pool->slab_cnt << pool->slab_shift) + pool->slab_cap * sizeof *pool->slabs;
}
