/* SPDX-License-Identifier: BSD-2-Clause */
/* The address space of a process: its executable mappings, remembered, from an address to a file and
 * a place in it. */
#ifndef LASTACK_LINES_SPACE_H
#define LASTACK_LINES_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lines/lines.h"

struct file;
struct perf_map;

/* One executable mapping. */
struct mapping {
    uint64_t start, end, offset;
    uint64_t device, inode; /* 0: anonymous */
    char *path;             /* as /proc shows it; "" for anonymous ones */
    struct file *file;      /* NULL: not looked for yet, or not to be had */
    bool looked;
    bool program; /* of the program's own file */
};

struct space {
    uint32_t pid;
    uint64_t start_ticks;
    struct lines_layout layout;
    struct mapping *maps; /* sorted by address */
    uint32_t map_cnt;
    uint64_t read_ms;       /* when the mappings were read */
    uint64_t used;          /* for eviction */
    struct perf_map *perf;  /* of JIT code; NULL: none, or not looked for */
    uint64_t perf_looked_ms;
};

/* Read the identity of a live process; false: gone. */
bool space_identify(uint32_t pid, uint64_t *start_ticks, struct lines_layout *layout);
/* Fill `process` from a live one; false: gone or not allowed. */
bool space_read(struct space *space, uint32_t pid);
void space_clear(struct space *space);
/* The mapping at `address`, or NULL. */
struct mapping *space_find(const struct space *space, uint64_t address);
/* A descriptor of the very file that is mapped, deleted or not, in whatever mount namespace; -1. */
int space_open_mapping(const struct space *space, const struct mapping *mapping);
/* A regular file by its path in the file system of the process; -1. */
int space_open_path(uint32_t pid, const char *path);
uint64_t space_clock_ms(void);

#endif
