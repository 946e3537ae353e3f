/* SPDX-License-Identifier: BSD-2-Clause */
/* Chains in a power of two of slots, doubled when they are as many as the slots. */
#include "check/table.h"

#include <stdlib.h>

static uint32_t slot_of(const struct hash_table *table, uint64_t key)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) & (table->slot_cnt - 1);
}

void *hash_find(const struct hash_table *table, uint64_t key)
{
    struct table_node *node = table->slot_cnt ? table->slots[slot_of(table, key)] : NULL;
    while (node && node->key != key)
        node = node->next;
    return node;
}

static bool grow(struct hash_table *table)
{
    struct hash_table larger = {.slot_cnt = table->slot_cnt ? table->slot_cnt * 2 : 64};
    larger.slots = calloc(larger.slot_cnt, sizeof *larger.slots);
    if (!larger.slots)
        return table->slot_cnt != 0; /* full chains are slow, not wrong */
    for (uint32_t i = 0; i < table->slot_cnt; i++)
        for (struct table_node *node = table->slots[i], *next; node; node = next) {
            struct table_node **slot = &larger.slots[slot_of(&larger, node->key)];
            next = node->next;
            node->next = *slot;
            *slot = node;
        }
    free(table->slots);
    table->slots = larger.slots;
    table->slot_cnt = larger.slot_cnt;
    return true;
}

bool hash_add(struct hash_table *table, struct table_node *node)
{
    if (table->cnt >= table->slot_cnt && !grow(table))
        return false;
    struct table_node **slot = &table->slots[slot_of(table, node->key)];
    node->next = *slot;
    *slot = node;
    table->cnt++;
    return true;
}

void hash_remove(struct hash_table *table, struct table_node *node)
{
    struct table_node **at = &table->slots[slot_of(table, node->key)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    table->cnt--;
}

void *hash_next(const struct hash_table *table, const void *last)
{
    const struct table_node *node = last;
    if (node && node->next)
        return node->next;
    for (uint32_t i = node ? slot_of(table, node->key) + 1 : 0; i < table->slot_cnt; i++)
        if (table->slots[i])
            return table->slots[i];
    return NULL;
}

void hash_free(struct hash_table *table, void (*free_one)(void *))
{
    for (uint32_t i = 0; i < table->slot_cnt; i++)
        for (struct table_node *node = table->slots[i], *next; node; node = next) {
            next = node->next;
            free_one(node);
        }
    free(table->slots);
    *table = (struct hash_table){0};
}
