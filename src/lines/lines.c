/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes and files that were looked at, and the walk from frame to frame. */
#include "lines/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/file.h"
#include "lines/name.h"
#include "lines/perf_map.h"
#include "lines/space.h"
#include "lines/thread.h"

#define SPACE_MAX 256
#define FILE_MAX    192
#define FRESH_MS    2000 /* how old mappings may be before they are read again */
#define PERF_MS     5000
#define PERF_SUM    (96u << 20)

struct known_file {
    uint64_t device, inode;
    struct file *file; /* NULL: it could not be read */
};

struct lines {
    struct space spaces[SPACE_MAX];
    uint32_t space_cnt;
    struct known_file files[FILE_MAX];
    uint32_t file_cnt;
    uint64_t tick;
};

struct lines *lines_open(void)
{
    return calloc(1, sizeof(struct lines));
}

static void forget_all(struct lines *lines)
{
    for (uint32_t i = 0; i < lines->space_cnt; i++)
        space_clear(&lines->spaces[i]);
    for (uint32_t i = 0; i < lines->file_cnt; i++)
        file_close(lines->files[i].file);
    lines->space_cnt = lines->file_cnt = 0;
}

void lines_close(struct lines *lines)
{
    if (lines)
        forget_all(lines);
    free(lines);
}

/* ---- processes ---- */

static struct space *find_pid(struct lines *lines, uint32_t pid)
{
    for (uint32_t i = 0; i < lines->space_cnt; i++)
        if (lines->spaces[i].pid == pid)
            return &lines->spaces[i];
    return NULL;
}

void lines_forget(struct lines *lines, uint32_t pid)
{
    struct space *space = lines ? find_pid(lines, pid) : NULL;
    if (!space)
        return;
    space_clear(space);
    *space = lines->spaces[--lines->space_cnt];
    memset(&lines->spaces[lines->space_cnt], 0, sizeof *space);
}

static bool layout_known(const struct lines_layout *layout)
{
    return layout->start_code > 1 && layout->exe_inode; /* 0 and 1: hidden from us */
}

static bool layout_equal(const struct lines_layout *a, const struct lines_layout *b)
{
    return a->start_code == b->start_code && a->start_stack == b->start_stack &&
           a->exe_inode == b->exe_inode;
}

/* A place for one more; the one that was not used for longest makes way. */
static struct space *new_space(struct lines *lines)
{
    if (lines->space_cnt < SPACE_MAX)
        return &lines->spaces[lines->space_cnt++];
    struct space *oldest = &lines->spaces[0];
    for (uint32_t i = 1; i < SPACE_MAX; i++)
        if (lines->spaces[i].used < oldest->used)
            oldest = &lines->spaces[i];
    space_clear(oldest);
    return oldest;
}

/* A live process with its mappings, read again when they are old. */
static struct space *get_live(struct lines *lines, uint32_t pid, bool again)
{
    uint64_t start_ticks;
    struct lines_layout layout;
    struct space fresh, *space = find_pid(lines, pid);
    if (pid == 0 || !space_identify(pid, &start_ticks, &layout))
        return NULL;
    bool same = space && space->start_ticks == start_ticks &&
                layout_equal(&space->layout, &layout);
    if (same && !again && space_clock_ms() - space->read_ms < FRESH_MS)
        return space;
    if (!space_read(&fresh, pid))
        return same ? space : NULL;
    if (space) {
        if (same) { /* names of JIT code are read again by a clock of their own */
            fresh.perf = space->perf;
            fresh.perf_looked_ms = space->perf_looked_ms;
            space->perf = NULL;
        }
        space_clear(space);
    } else {
        space = new_space(lines);
    }
    *space = fresh;
    return space;
}

/* One that is gone: what is remembered of it, or of a process with the same memory. */
static struct space *get_gone(struct lines *lines, uint32_t pid,
                                const struct lines_layout *layout)
{
    for (uint32_t i = 0; i < lines->space_cnt; i++) {
        struct space *space = &lines->spaces[i];
        if (layout_known(layout) ? layout_equal(&space->layout, layout) : space->pid == pid)
            return space;
    }
    return NULL;
}

/* The process whose memory the snapshot was taken from, or one like it. */
static struct space *get_space(struct lines *lines, const struct lines_snapshot *snapshot,
                                   bool again)
{
    const struct lines_layout *layout = &snapshot->layout;
    const uint32_t pids[] = {snapshot->pid, snapshot->like_pid};
    struct space *space = NULL;
    for (int i = 0; i < 2 && !space; i++) {
        space = get_live(lines, pids[i], again);
        /* Another layout: it called exec meanwhile, or the number is another process's now. */
        bool other = space && layout_known(layout) && layout_known(&space->layout) &&
                     !layout_equal(&space->layout, layout);
        if (other || (i == 1 && !layout_known(layout)))
            space = NULL;
    }
    if (!space)
        space = get_gone(lines, snapshot->pid, layout);
    if (space)
        space->used = ++lines->tick;
    return space;
}

/* ---- files ---- */

static struct file *get_file(struct lines *lines, const struct space *space,
                             struct mapping *mapping)
{
    if (mapping->looked || mapping->inode == 0)
        return mapping->file;
    mapping->looked = true;
    for (uint32_t i = 0; i < lines->file_cnt; i++)
        if (lines->files[i].device == mapping->device && lines->files[i].inode == mapping->inode)
            return mapping->file = lines->files[i].file;
    if (lines->file_cnt == FILE_MAX)
        return NULL; /* lines_unwind makes room before it begins */
    int fd = space_open_mapping(space, mapping);
    if (fd < 0)
        return NULL;
    mapping->file = file_open(fd, space->pid, mapping->path);
    lines->files[lines->file_cnt++] =
        (struct known_file){mapping->device, mapping->inode, mapping->file};
    return mapping->file;
}

/* ---- names ---- */

/* Maps of strangers may be large and many: when they take too much, all but one go. */
static void limit_perf(struct lines *lines, const struct space *keep)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < lines->space_cnt; i++)
        sum += perf_map_size(lines->spaces[i].perf);
    for (uint32_t i = 0; i < lines->space_cnt && sum > PERF_SUM; i++) {
        if (&lines->spaces[i] == keep)
            continue;
        perf_map_free(lines->spaces[i].perf);
        lines->spaces[i].perf = NULL;
    }
}

static const struct perf_map *get_perf(struct lines *lines, struct space *space)
{
    uint64_t now = space_clock_ms();
    if (!space->perf_looked_ms || now - space->perf_looked_ms > PERF_MS) {
        struct perf_map *fresh = perf_map_read(space->pid);
        if (fresh) {
            perf_map_free(space->perf);
            space->perf = fresh;
            limit_perf(lines, space);
        }
        space->perf_looked_ms = now ? now : 1;
    }
    return space->perf;
}

static void put_module(struct lines_frame *frame, const struct mapping *mapping)
{
    frame->program = mapping->program;
    if (mapping->path[0] == '/' || mapping->path[0] == '[')
        name_copy_last(frame->module, sizeof frame->module, mapping->path);
    else
        snprintf(frame->module, sizeof frame->module, "[jit]");
}

/* Names of the code at `address` (of a call: the byte before its return address `pc`). */
static unsigned name_address(struct lines *lines, struct space *space, struct mapping *mapping,
                             uint64_t pc, uint64_t address, struct lines_frame *frames,
                             unsigned max)
{
    struct file *file = get_file(lines, space, mapping);
    uint64_t inside;
    unsigned cnt = 0;
    if (file && file_address(file, address - mapping->start + mapping->offset, &inside))
        cnt = file_name(file, inside, frames, max);
    if (cnt == 0) {
        memset(frames, 0, sizeof *frames);
        cnt = 1;
    }
    const struct perf_map *perf = file || mapping->path[0] == '[' ? NULL : get_perf(lines, space);
    for (unsigned i = 0; i < cnt; i++) {
        frames[i].address = pc;
        put_module(&frames[i], mapping);
    }
    if (perf)
        perf_map_name(perf, address, &frames[0]);
    return cnt;
}

/* ---- the walk ---- */

/* Code without rules (JIT, assembler) usually keeps the chain of frame pointers. */
static bool follow_frame_pointer(const struct space *space, struct registers *registers,
                                 const struct memory *memory)
{
    uint64_t frame = registers->value[REG_RBP], next, pc;
    if (!(registers->known & 1u << REG_RBP) || frame < registers->value[REG_RSP] ||
        !memory_word(memory, frame, &next) || !memory_word(memory, frame + 8, &pc) ||
        !space_find(space, pc))
        return false;
    registers->known = 1u << REG_RBP | 1u << REG_RSP | 1u << REG_RIP;
    registers->value[REG_RBP] = next;
    registers->value[REG_RSP] = frame + 16;
    registers->value[REG_RIP] = pc;
    return true;
}

static enum step step_out(struct lines *lines, struct space *space, struct mapping *mapping,
                          uint64_t address, struct registers *registers,
                          const struct memory *memory)
{
    struct file *file = get_file(lines, space, mapping);
    uint64_t inside, start = 0;
    enum step step = STEP_NO_RULE;
    if (file && file_address(file, address - mapping->start + mapping->offset, &inside)) {
        step = file_step(file, inside, registers, memory);
        if (step == STEP_NO_RULE && file_function(file, inside, &start))
            start += address - inside;
        if (step == STEP_NO_RULE && thread_guess_frame(space, start, registers, memory))
            step = file_step(file, inside, registers, memory);
    }
    if (step == STEP_NO_RULE && follow_frame_pointer(space, registers, memory))
        step = STEP_DONE;
    return step;
}

static unsigned walk(struct lines *lines, struct space *space, struct registers *registers,
                     const struct memory *memory, struct lines_frame frames[LINES_FRAME_MAX])
{
    unsigned cnt = 0;
    bool exact = true; /* the pc is where it stands, not where a call returns to */
    while (cnt < LINES_FRAME_MAX) {
        uint64_t pc = registers->value[REG_RIP], stack = registers->value[REG_RSP];
        uint64_t address = pc - !exact;
        struct mapping *mapping = space_find(space, address);
        if (!mapping)
            break;
        cnt += name_address(lines, space, mapping, pc, address, frames + cnt,
                            LINES_FRAME_MAX - cnt);
        enum step step = step_out(lines, space, mapping, address, registers, memory);
        if (step == STEP_END || step == STEP_NO_RULE)
            break;
        exact = step == STEP_SIGNAL;
        if (registers->value[REG_RSP] <= stack && !exact)
            break; /* a stack that does not go up has no end */
    }
    return cnt;
}

unsigned lines_unwind(struct lines *lines, const struct lines_snapshot *snapshot,
                      struct lines_frame frames[LINES_FRAME_MAX])
{
    struct registers registers = {.known = snapshot->known & ((1u << REG_CNT) - 1)};
    uint32_t needed = 1u << REG_RIP | 1u << REG_RSP;
    if (!lines || (registers.known & needed) != needed)
        return 0;
    if (lines->file_cnt > FILE_MAX - LINES_FRAME_MAX)
        forget_all(lines);
    memcpy(registers.value, snapshot->reg, sizeof registers.value);
    struct memory memory = {snapshot->reg[REG_RSP], snapshot->stack, snapshot->stack_len};
    struct space *space = get_space(lines, snapshot, false);
    if (space && !space_find(space, snapshot->reg[REG_RIP]))
        space = get_space(lines, snapshot, true); /* a library came in meanwhile */
    return space ? walk(lines, space, &registers, &memory, frames) : 0;
}

bool lines_name(struct lines *lines, uint32_t pid, uint64_t address, struct lines_frame *frame)
{
    struct lines_snapshot snapshot = {.pid = pid};
    struct lines_frame frames[LINES_FRAME_MAX];
    if (!lines)
        return false;
    if (lines->file_cnt > FILE_MAX - LINES_FRAME_MAX)
        forget_all(lines);
    struct space *space = get_space(lines, &snapshot, false);
    struct mapping *mapping = space ? space_find(space, address) : NULL;
    if (!mapping)
        return false;
    name_address(lines, space, mapping, address, address, frames, LINES_FRAME_MAX);
    *frame = frames[0];
    return frame->function[0] != '\0';
}

unsigned lines_unwind_thread(struct lines *lines, uint32_t pid, uint32_t tid,
                             struct lines_frame frames[LINES_FRAME_MAX])
{
    struct lines_snapshot snapshot = {.pid = pid};
    uint8_t *stack = lines ? thread_look(&snapshot, tid) : NULL;
    unsigned cnt = stack ? lines_unwind(lines, &snapshot, frames) : 0;
    free(stack);
    return cnt;
}
