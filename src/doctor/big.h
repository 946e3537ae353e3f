/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory and order for tables of a hundred thousand. */
#ifndef LASTACK_DOCTOR_BIG_H
#define LASTACK_DOCTOR_BIG_H

#include <stddef.h>
#include <stdint.h>

#define BIG_LEN (1u << 20)

/* As malloc, and free() frees it. From BIG_LEN bytes on it begins at a page. */
void *big_alloc(size_t len);
/* All of what big_alloc gave will be used: the kernel then brings it at once, for half of what a fault
 * at each page costs. */
void big_fill(void *memory, size_t len);

/* Something that has a place among others. */
struct big_order {
    uint64_t key;
    uint32_t at; /* which one it is */
};

/* Sort by key; equals stay as they were. Without memory for it nothing is sorted, and false. */
_Bool big_sort(struct big_order *all, uint32_t cnt);

#endif
