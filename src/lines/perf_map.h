/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of code that a runtime made while running: /tmp/perf-PID.map, lines "START SIZE NAME". */
#ifndef LASTACK_LINES_PERF_MAP_H
#define LASTACK_LINES_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines_frame;
struct perf_map;

/* The map of a process, found in its own file system under its own number; NULL: none that could be
 * trusted. It must be a regular file that belongs to the process's user or to root. */
struct perf_map *perf_map_read(uint32_t pid);
/* The same from a text, which it takes over (malloc). */
struct perf_map *perf_map_parse(char *text, size_t len);
void perf_map_free(struct perf_map *map);
/* Memory that it takes. */
size_t perf_map_size(const struct perf_map *map);
/* Function, and file and line where the name tells them. */
bool perf_map_name(const struct perf_map *map, uint64_t address, struct lines_frame *frame);

#endif
