/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of a world: taken piece by piece, given back at once, whatever happened. */
#include <stdlib.h>

#include "sim.h"

#define BLOCK_LEN (256u * 1024u)

void *arena_get(struct arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct arena_block *block = arena->first;
    if (!block || block->cap - block->used < size) {
        size_t cap = size > BLOCK_LEN ? size : BLOCK_LEN;
        block = malloc(sizeof *block + cap);
        if (!block) {
            fprintf(stderr, "sim: out of memory\n");
            exit(2);
        }
        block->next = arena->first;
        block->used = 0;
        block->cap = cap;
        arena->first = block;
    }
    void *memory = (uint8_t *)block->bytes + block->used;
    block->used += size;
    return memset(memory, 0, size);
}

void arena_free(struct arena *arena)
{
    while (arena->first) {
        struct arena_block *block = arena->first;
        arena->first = block->next;
        free(block);
    }
}
