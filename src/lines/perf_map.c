/* SPDX-License-Identifier: BSD-2-Clause */
/* A stranger's file: read up to a limit, believed only as a name to show. */
#include "lines/perf_map.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines/lines.h"
#include "lines/name.h"
#include "lines/space.h"

#define TEXT_MAX  (32u << 20)
#define ENTRY_MAX (1u << 19)
#define BACK_MAX  64 /* older entries that a newer one may overlap */

struct entry {
    uint64_t start, size;
    uint32_t name, order; /* offset in the text; later entries replace earlier ones */
};

struct perf_map {
    char *text;
    size_t size;
    struct entry *entries;
    uint32_t entry_cnt;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

static bool parse_entry(const char *text, char *line, struct entry *entry)
{
    char *end;
    entry->start = strtoull(line, &end, 16);
    if (end == line || *end != ' ')
        return false;
    char *size = end + 1;
    entry->size = strtoull(size, &end, 16);
    if (end == size || *end != ' ' || entry->size == 0 || entry->size > (1u << 30))
        return false;
    entry->name = (uint32_t)(end + 1 - text);
    return entry->start + entry->size > entry->start;
}

struct perf_map *perf_map_parse(char *text, size_t len)
{
    struct perf_map *map = calloc(1, sizeof *map);
    uint32_t line_cnt = 1;
    for (size_t i = 0; i < len && line_cnt < ENTRY_MAX; i++)
        line_cnt += text[i] == '\n';
    if (map)
        map->entries = calloc(line_cnt, sizeof *map->entries);
    if (!map || !map->entries || len == 0) {
        perf_map_free(map);
        free(text);
        return NULL;
    }
    map->text = text;
    map->size = len + line_cnt * sizeof *map->entries;
    text[len - 1] = '\0'; /* the last line is whole, or not worth a name */
    for (char *line = text, *next; line && map->entry_cnt < line_cnt; line = next) {
        next = memchr(line, '\n', (size_t)(text + len - line));
        if (next)
            *next++ = '\0';
        struct entry *entry = &map->entries[map->entry_cnt];
        if (parse_entry(text, line, entry))
            entry->order = map->entry_cnt++;
    }
    qsort(map->entries, map->entry_cnt, sizeof *map->entries, compare_entries);
    return map;
}

void perf_map_free(struct perf_map *map)
{
    if (map) {
        free(map->text);
        free(map->entries);
    }
    free(map);
}

size_t perf_map_size(const struct perf_map *map)
{
    return map ? map->size : 0;
}

/* The process's number in its own pid namespace, and its user. */
static bool read_status(uint32_t pid, uint32_t *inner_pid, uid_t *uid)
{
    char path[40], line[256];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", pid);
    FILE *file = fopen(path, "re");
    unsigned found = 0;
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Uid:\t%*u\t%u", uid) == 1)
            found |= 1;
        char *last = strncmp(line, "NStgid:", 7) == 0 ? strrchr(line, '\t') : NULL;
        if (last && sscanf(last + 1, "%" SCNu32, inner_pid) == 1)
            found |= 2;
    }
    fclose(file);
    return found == 3;
}

struct perf_map *perf_map_read(uint32_t pid)
{
    char path[40];
    uint32_t inner_pid;
    uid_t uid;
    struct stat look;
    if (!read_status(pid, &inner_pid, &uid))
        return NULL;
    snprintf(path, sizeof path, "/tmp/perf-%" PRIu32 ".map", inner_pid);
    int fd = space_open_path(pid, path);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &look) < 0 || (look.st_uid != uid && look.st_uid != 0)) {
        close(fd);
        return NULL;
    }
    size_t cap = (size_t)look.st_size < TEXT_MAX ? (size_t)look.st_size : TEXT_MAX, len = 0;
    char *text = malloc(cap + 1);
    for (ssize_t got = 1; text && len < cap && got > 0; len += got > 0 ? (size_t)got : 0)
        got = read(fd, text + len, cap - len);
    close(fd);
    if (!text)
        return NULL;
    text[len++] = '\n';
    return perf_map_parse(text, len);
}

/* Entries that begin at or before `address`: how many. */
static uint32_t count_up_to(const struct perf_map *map, uint64_t address)
{
    uint32_t low = 0, high = map->entry_cnt;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->entries[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* "LazyCompile:*handler /app/server.js:10:3": what it calls and where that stands. */
static void split_name(const char *name, struct lines_frame *frame)
{
    const char *blank = strrchr(name, ' '), *colon = blank ? strchr(blank, ':') : NULL;
    uint32_t line, column;
    char tail[8];
    if (colon && strncmp(blank, " node:", 6) == 0)
        colon = strchr(colon + 1, ':');
    if (!colon || (sscanf(colon, ":%" SCNu32 ":%" SCNu32 "%1s", &line, &column, tail) != 2 &&
                   sscanf(colon, ":%" SCNu32 "%1s", &line, tail) != 1)) {
        name_copy(frame->function, sizeof frame->function, name, strlen(name));
        return;
    }
    frame->line = line;
    name_copy_path(frame->file, sizeof frame->file, blank + 1, (size_t)(colon - blank - 1));
    const char *kind = memchr(name, ':', (size_t)(blank - name));
    if (kind) {
        name = kind + 1;
        name += strspn(name, "*~^+");
    }
    name_copy(frame->function, sizeof frame->function, name, (size_t)(blank - name));
}

bool perf_map_name(const struct perf_map *map, uint64_t address, struct lines_frame *frame)
{
    const struct entry *best = NULL;
    uint32_t at = count_up_to(map, address);
    for (uint32_t back = 0; at > 0 && back < BACK_MAX; back++) {
        const struct entry *entry = &map->entries[--at];
        if (address - entry->start < entry->size && (!best || entry->order > best->order))
            best = entry;
    }
    if (!best)
        return false;
    split_name(map->text + best->name, frame);
    snprintf(frame->module, sizeof frame->module, "[jit]");
    return true;
}
