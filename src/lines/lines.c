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
#include "lines/process.h"
#include "lines/thread.h"

#define PROCESS_MAX 256
#define FILE_MAX    192
#define FRESH_MS    2000 /* how old mappings may be before they are read again */
#define PERF_MS     5000

struct known_file {
    uint64_t device, inode;
    struct file *file; /* NULL: it could not be read */
};

struct lines {
    struct process processes[PROCESS_MAX];
    uint32_t process_cnt;
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
    for (uint32_t i = 0; i < lines->process_cnt; i++)
        process_clear(&lines->processes[i]);
    for (uint32_t i = 0; i < lines->file_cnt; i++)
        file_close(lines->files[i].file);
    lines->process_cnt = lines->file_cnt = 0;
}

void lines_close(struct lines *lines)
{
    if (lines)
        forget_all(lines);
    free(lines);
}

/* ---- processes ---- */

static struct process *find_pid(struct lines *lines, uint32_t pid)
{
    for (uint32_t i = 0; i < lines->process_cnt; i++)
        if (lines->processes[i].pid == pid)
            return &lines->processes[i];
    return NULL;
}

void lines_forget(struct lines *lines, uint32_t pid)
{
    struct process *process = lines ? find_pid(lines, pid) : NULL;
    if (!process)
        return;
    process_clear(process);
    *process = lines->processes[--lines->process_cnt];
    memset(&lines->processes[lines->process_cnt], 0, sizeof *process);
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
static struct process *new_process(struct lines *lines)
{
    if (lines->process_cnt < PROCESS_MAX)
        return &lines->processes[lines->process_cnt++];
    struct process *oldest = &lines->processes[0];
    for (uint32_t i = 1; i < PROCESS_MAX; i++)
        if (lines->processes[i].used < oldest->used)
            oldest = &lines->processes[i];
    process_clear(oldest);
    return oldest;
}

/* A live process with its mappings, read again when they are old. */
static struct process *get_live(struct lines *lines, uint32_t pid, bool again)
{
    uint64_t start_ticks;
    struct lines_layout layout;
    struct process fresh, *process = find_pid(lines, pid);
    if (pid == 0 || !process_identify(pid, &start_ticks, &layout))
        return NULL;
    bool same = process && process->start_ticks == start_ticks &&
                layout_equal(&process->layout, &layout);
    if (same && !again && process_clock_ms() - process->read_ms < FRESH_MS)
        return process;
    if (!process_read(&fresh, pid))
        return same ? process : NULL;
    if (process) {
        if (same) { /* names of JIT code are read again by a clock of their own */
            fresh.perf = process->perf;
            fresh.perf_looked_ms = process->perf_looked_ms;
            process->perf = NULL;
        }
        process_clear(process);
    } else {
        process = new_process(lines);
    }
    *process = fresh;
    return process;
}

/* One that is gone: what is remembered of it, or of a process with the same memory. */
static struct process *get_gone(struct lines *lines, uint32_t pid,
                                const struct lines_layout *layout)
{
    for (uint32_t i = 0; i < lines->process_cnt; i++) {
        struct process *process = &lines->processes[i];
        if (layout_known(layout) ? layout_equal(&process->layout, layout) : process->pid == pid)
            return process;
    }
    return NULL;
}

/* The process whose memory the snapshot was taken from, or one like it. */
static struct process *get_process(struct lines *lines, const struct lines_snapshot *snapshot,
                                   bool again)
{
    const struct lines_layout *layout = &snapshot->layout;
    const uint32_t pids[] = {snapshot->pid, snapshot->like_pid};
    struct process *process = NULL;
    for (int i = 0; i < 2 && !process; i++) {
        process = get_live(lines, pids[i], again);
        /* Another layout: it called exec meanwhile, or the number is another process's now. */
        bool other = process && layout_known(layout) && layout_known(&process->layout) &&
                     !layout_equal(&process->layout, layout);
        if (other || (i == 1 && !layout_known(layout)))
            process = NULL;
    }
    if (!process)
        process = get_gone(lines, snapshot->pid, layout);
    if (process)
        process->used = ++lines->tick;
    return process;
}

/* ---- files ---- */

static struct file *get_file(struct lines *lines, const struct process *process,
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
    int fd = process_open_mapping(process, mapping);
    if (fd < 0)
        return NULL;
    mapping->file = file_open(fd, process->pid, mapping->path);
    lines->files[lines->file_cnt++] =
        (struct known_file){mapping->device, mapping->inode, mapping->file};
    return mapping->file;
}

/* ---- names ---- */

static const struct perf_map *get_perf(struct process *process)
{
    uint64_t now = process_clock_ms();
    if (!process->perf_looked_ms || now - process->perf_looked_ms > PERF_MS) {
        struct perf_map *fresh = perf_map_read(process->pid);
        if (fresh) {
            perf_map_free(process->perf);
            process->perf = fresh;
        }
        process->perf_looked_ms = now ? now : 1;
    }
    return process->perf;
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
static unsigned name_address(struct lines *lines, struct process *process, struct mapping *mapping,
                             uint64_t pc, uint64_t address, struct lines_frame *frames,
                             unsigned max)
{
    struct file *file = get_file(lines, process, mapping);
    uint64_t inside;
    unsigned cnt = 0;
    if (file && file_address(file, address - mapping->start + mapping->offset, &inside))
        cnt = file_name(file, inside, frames, max);
    if (cnt == 0) {
        memset(frames, 0, sizeof *frames);
        cnt = 1;
    }
    const struct perf_map *perf = file || mapping->path[0] == '[' ? NULL : get_perf(process);
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
static bool follow_frame_pointer(const struct process *process, struct registers *registers,
                                 const struct memory *memory)
{
    uint64_t frame = registers->value[REG_RBP], next, pc;
    if (!(registers->known & 1u << REG_RBP) || frame < registers->value[REG_RSP] ||
        !memory_word(memory, frame, &next) || !memory_word(memory, frame + 8, &pc) ||
        !process_find(process, pc))
        return false;
    registers->known = 1u << REG_RBP | 1u << REG_RSP | 1u << REG_RIP;
    registers->value[REG_RBP] = next;
    registers->value[REG_RSP] = frame + 16;
    registers->value[REG_RIP] = pc;
    return true;
}

static enum step step_out(struct lines *lines, struct process *process, struct mapping *mapping,
                          uint64_t address, struct registers *registers,
                          const struct memory *memory)
{
    struct file *file = get_file(lines, process, mapping);
    uint64_t inside, start = 0;
    enum step step = STEP_NO_RULE;
    if (file && file_address(file, address - mapping->start + mapping->offset, &inside)) {
        step = file_step(file, inside, registers, memory);
        if (step == STEP_NO_RULE && file_function(file, inside, &start))
            start += address - inside;
        if (step == STEP_NO_RULE && thread_guess_frame(process, start, registers, memory))
            step = file_step(file, inside, registers, memory);
    }
    if (step == STEP_NO_RULE && follow_frame_pointer(process, registers, memory))
        step = STEP_DONE;
    return step;
}

static unsigned walk(struct lines *lines, struct process *process, struct registers *registers,
                     const struct memory *memory, struct lines_frame frames[LINES_FRAME_MAX])
{
    unsigned cnt = 0;
    bool exact = true; /* the pc is where it stands, not where a call returns to */
    while (cnt < LINES_FRAME_MAX) {
        uint64_t pc = registers->value[REG_RIP], stack = registers->value[REG_RSP];
        uint64_t address = pc - !exact;
        struct mapping *mapping = process_find(process, address);
        if (!mapping)
            break;
        cnt += name_address(lines, process, mapping, pc, address, frames + cnt,
                            LINES_FRAME_MAX - cnt);
        enum step step = step_out(lines, process, mapping, address, registers, memory);
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
    struct process *process = get_process(lines, snapshot, false);
    if (process && !process_find(process, snapshot->reg[REG_RIP]))
        process = get_process(lines, snapshot, true); /* a library came in meanwhile */
    return process ? walk(lines, process, &registers, &memory, frames) : 0;
}

bool lines_name(struct lines *lines, uint32_t pid, uint64_t address, struct lines_frame *frame)
{
    struct lines_snapshot snapshot = {.pid = pid};
    struct lines_frame frames[LINES_FRAME_MAX];
    if (!lines)
        return false;
    if (lines->file_cnt > FILE_MAX - LINES_FRAME_MAX)
        forget_all(lines);
    struct process *process = get_process(lines, &snapshot, false);
    struct mapping *mapping = process ? process_find(process, address) : NULL;
    if (!mapping)
        return false;
    name_address(lines, process, mapping, address, address, frames, LINES_FRAME_MAX);
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
