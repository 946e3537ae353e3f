/* SPDX-License-Identifier: BSD-2-Clause */
/* A hash table of things that know their key: the node is the first member of each. */
#ifndef LASTACK_CHECK_TABLE_H
#define LASTACK_CHECK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct table_node {
    struct table_node *next;
    uint64_t key;
};

/* Zero-initialised: empty. */
struct hash_table {
    struct table_node **slots;
    uint32_t slot_cnt, cnt;
};

/* NULL: not there. */
void *hash_find(const struct hash_table *table, uint64_t key);
/* False: out of memory, and nothing was added. Equal keys may stand side by side. */
bool hash_add(struct hash_table *table, struct table_node *node);
void hash_remove(struct hash_table *table, struct table_node *node);
/* Any node's successor in the order of slots, NULL at the end; NULL asks for the first. Removing
 * the node that was returned is allowed once its successor is known. */
void *hash_next(const struct hash_table *table, const void *node);
/* Frees the table and, one by one, what is in it. */
void hash_free(struct hash_table *table, void (*free_one)(void *));

#endif
