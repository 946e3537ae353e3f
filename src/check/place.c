/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots of stacks, equal ones once, and their source lines when they are asked for. */
#include "check/place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "doctor/text.h"

#define COMPARED_LEN 4096u  /* of the stack, for being equal */
#define SNAPSHOT_LEN 32768u /* of the stack, for unwinding */
#define PLACES_MAX   2048u  /* of one image */
#define RANGES_MAX   4096u
#define REG_SP       7
#define REG_PC       16

struct place_snapshot {
    uint64_t reg[17];
    struct lines_frame *python; /* its frames of Python; NULL: none */
    unsigned python_cnt;
    size_t stack_len;
    uint8_t stack[];
};

/* ---- images ---- */

struct image *image_new(struct image *parent)
{
    struct image *image = calloc(1, sizeof *image);
    if (image && parent) {
        image->parent = parent;
        parent->child_cnt++;
    }
    return image;
}

void image_join(struct image *image)
{
    image->member_cnt++;
}

static void snapshot_free(struct place_snapshot *snapshot)
{
    if (snapshot)
        free(snapshot->python);
    free(snapshot);
}

/* Nobody can help any more to resolve what is left; the places themselves are small, and counted on
 * by connections. */
static void image_forget_snapshots(struct image *image)
{
    for (struct place *p = hash_next(&image->places, NULL); p; p = hash_next(&image->places, p)) {
        snapshot_free(p->snapshot);
        p->snapshot = NULL;
    }
    free(image->ranges);
    image->ranges = NULL;
    image->range_cnt = 0;
}

void image_leave(struct image *image)
{
    while (image && --image->member_cnt == 0) {
        image_forget_snapshots(image);
        if (image->places.cnt || image->child_cnt)
            return;
        struct image *parent = image->parent;
        hash_free(&image->places, free);
        free(image);
        if (!parent || --parent->child_cnt || parent->member_cnt || parent->places.cnt)
            return;
        image = parent;
        image->member_cnt = 1; /* it waited for us */
    }
}

/* ---- code or not ---- */

static void ranges_read(struct image *image, uint32_t tid)
{
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%u/maps", tid);
    FILE *file = fopen(path, "re");
    uint32_t cap = 0;
    free(image->ranges);
    image->ranges = NULL;
    image->range_cnt = 0;
    while (file && image->range_cnt < RANGES_MAX && fgets(line, sizeof line, file)) {
        struct text_range range;
        char mode[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &range.from, &range.to, mode) != 3)
            continue;
        range.code = mode[2] == 'x';
        if (image->range_cnt == cap) {
            struct text_range *ranges =
                realloc(image->ranges, (cap = cap * 2 + 32) * sizeof *ranges);
            if (!ranges)
                break;
            image->ranges = ranges;
        }
        image->ranges[image->range_cnt++] = range;
    }
    if (file)
        fclose(file);
}

/* Words that do not point at data: return addresses, and what the ranges do not know yet. */
static bool may_be_code(const struct image *image, uint64_t word)
{
    if (word < 0x10000 || word >> 47)
        return false;
    uint32_t low = 0, high = image->range_cnt;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (image->ranges[middle].to <= word)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < image->range_cnt && image->ranges[low].from <= word)
        return image->ranges[low].code;
    return false;
}

static uint64_t mix(uint64_t key, uint64_t word)
{
    key = (key ^ word) * 0xff51afd7ed558ccdull;
    return key ^ key >> 32;
}

/* A call as it was found: where it stands in C, and in Python if there is some. */
struct standing {
    uint64_t reg[17];
    uint8_t stack[COMPARED_LEN];
    size_t stack_len;
    struct python_frame python[PYTHON_FRAME_MAX];
    unsigned python_cnt;
};

static uint64_t place_key(const struct image *image, const struct standing *s)
{
    uint64_t key = s->reg[REG_PC] * 0x9e3779b97f4a7c15ull;
    for (size_t at = 0; at + 8 <= s->stack_len; at += 8) {
        uint64_t word;
        memcpy(&word, s->stack + at, 8);
        if (may_be_code(image, word))
            key = mix(key, word ^ (uint64_t)at << 48);
    }
    for (unsigned i = 0; i < s->python_cnt; i++)
        key = mix(mix(key, s->python[i].code), s->python[i].instruction);
    return key;
}

/* ---- snapshots ---- */

#if defined(__x86_64__)
/* rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip, as DWARF numbers them. */
static bool registers_read(uint32_t tid, uint64_t reg[17])
{
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, (pid_t)tid, NULL, &r) != 0)
        return false;
    const uint64_t all[17] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
                              r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
    memcpy(reg, all, sizeof all);
    return true;
}
#else
static bool registers_read(uint32_t tid, uint64_t reg[17])
{
    (void)tid;
    (void)reg;
    return false;
}
#endif
static size_t stack_read(uint32_t tid, uint64_t sp, uint8_t *to, size_t len)
{
    /* Page by page: the stack may end before `len`. */
    struct iovec local = {to, len}, remote[SNAPSHOT_LEN / 4096 + 1];
    unsigned cnt = 0;
    for (uint64_t at = sp, end = sp + len; at < end; cnt++) {
        uint64_t next = (at | 4095) + 1 < end ? (at | 4095) + 1 : end;
        remote[cnt] = (struct iovec){(void *)(uintptr_t)at, next - at};
        at = next;
    }
    ssize_t got = process_vm_readv((pid_t)tid, &local, 1, remote, cnt, 0);
    return got < 0 ? 0 : (size_t)got;
}

static struct place_snapshot *snapshot_take(const struct image *image, uint32_t tid,
                                            const struct standing *s)
{
    struct place_snapshot *snapshot = calloc(1, sizeof *snapshot + SNAPSHOT_LEN);
    if (!snapshot)
        return NULL;
    memcpy(snapshot->reg, s->reg, sizeof snapshot->reg);
    snapshot->stack_len = stack_read(tid, s->reg[REG_SP], snapshot->stack, SNAPSHOT_LEN);
    struct place_snapshot *fit = realloc(snapshot, sizeof *snapshot + snapshot->stack_len);
    snapshot = fit ? fit : snapshot;
    if (s->python_cnt)
        snapshot->python = calloc(s->python_cnt, sizeof *snapshot->python);
    for (unsigned i = 0; snapshot->python && i < s->python_cnt; i++)
        snapshot->python_cnt += python_name(&image->python, tid, &s->python[i],
                                            &snapshot->python[snapshot->python_cnt]);
    return snapshot;
}

static struct place *place_new(struct places *places, struct image *image, uint64_t key,
                               uint32_t pid, uint32_t tid, const struct standing *s)
{
    struct place *place = image->places.cnt < PLACES_MAX ? calloc(1, sizeof *place) : NULL;
    if (place) {
        place->node.key = key;
        place->image = image;
        place->pid = pid;
        place->snapshot = snapshot_take(image, tid, s);
    }
    if (!place || !hash_add(&image->places, &place->node)) {
        if (place)
            snapshot_free(place->snapshot);
        free(place);
        places->lost = true;
        return NULL;
    }
    if (image->places.cnt == 1) {
        image->next = places->images;
        places->images = image;
    }
    return place;
}

struct place *place_take(struct places *places, struct image *image, uint32_t pid, uint32_t tid)
{
    struct standing s = {.python_cnt = 0};
    struct place *place;
    if (!registers_read(tid, s.reg))
        return NULL;
    s.stack_len = stack_read(tid, s.reg[REG_SP], s.stack, sizeof s.stack);
    if (!image->python.looked)
        python_find(&image->python, tid);
    s.python_cnt = python_frames(&image->python, tid, s.python);
    if (image->ranges && (place = hash_find(&image->places, place_key(image, &s))))
        return place;
    /* New, or it came with code that was loaded meanwhile. */
    ranges_read(image, tid);
    uint64_t key = place_key(image, &s);
    place = hash_find(&image->places, key);
    return place ? place : place_new(places, image, key, pid, tid, &s);
}

void place_ended(struct place *birth, struct place *end)
{
    if (!birth)
        return;
    birth->ended_cnt++;
    for (unsigned i = 0; end && i < PLACE_END_MAX; i++) {
        if (birth->ends[i].place && birth->ends[i].place != end)
            continue;
        birth->ends[i].place = end;
        birth->ends[i].cnt++;
        break;
    }
}

/* ---- lines ---- */

bool place_equal(const struct place *a, const struct place *b)
{
    if (a == b || !a->resolved || !b->resolved || !a->site.function[0])
        return a == b; /* a module's name alone says nothing */
    return a->site.line == b->site.line && strcmp(a->site.function, b->site.function) == 0 &&
           strcmp(a->site.file, b->site.file) == 0 && strcmp(a->site.module, b->site.module) == 0;
}

/* The frames of Python, then those of the interpreter. */
static void put_python(struct fact_site *site, const struct place_snapshot *snapshot)
{
    const struct lines_frame *frames = snapshot->python;
    const struct lines_frame *picked = &frames[python_pick(frames, snapshot->python_cnt)];
    struct text stack;
    text_init(&stack);
    for (unsigned i = 0; i < snapshot->python_cnt; i++)
        text_printf(&stack, "%s %s:%u\n", frames[i].function, frames[i].file, frames[i].line);
    text_add(&stack, site->stack ? site->stack : "");
    free(site->stack);
    site->stack = stack.at;
    memcpy(site->function, picked->function, sizeof site->function);
    memcpy(site->file, picked->file, sizeof site->file);
    memcpy(site->module, picked->module, sizeof site->module);
    site->line = picked->line;
}

void place_resolve(struct places *places, struct place *place, uint32_t pid)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    if (!place || !place->snapshot)
        return;
    if (!places->lines)
        places->lines = lines_open();
    struct lines_snapshot snapshot = {.pid = pid,
                                      .known = 0x1ffff,
                                      .stack = place->snapshot->stack,
                                      .stack_len = place->snapshot->stack_len};
    memcpy(snapshot.reg, place->snapshot->reg, sizeof snapshot.reg);
    unsigned cnt = places->lines ? lines_unwind(places->lines, &snapshot, frames) : 0;
    if (cnt)
        lines_to_site(&place->site, frames, cnt);
    if (place->snapshot->python_cnt)
        put_python(&place->site, place->snapshot);
    place->resolved = cnt || place->snapshot->python_cnt;
    snapshot_free(place->snapshot);
    place->snapshot = NULL;
}

void image_resolve(struct places *places, struct image *image, uint32_t pid)
{
    for (struct place *p = hash_next(&image->places, NULL); p; p = hash_next(&image->places, p))
        place_resolve(places, p, pid);
}
