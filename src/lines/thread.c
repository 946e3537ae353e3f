/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/PID/task/TID/syscall and memory of the thread's stack. */
#include "lines/thread.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define STACK_LEN  (32u << 10)
#define GUESS_LEN  4096u /* how far a frame pointer is looked for */
#define FRAME_LEN  (64u << 10)
#define PAGE_BYTES 4096u

/* Up to `len` bytes at `address`, page by page so that the stack's end does not spoil the rest. */
static size_t read_memory(uint32_t pid, uint64_t address, uint8_t *to, size_t len)
{
    size_t done = 0;
    while (done < len) {
        size_t piece = PAGE_BYTES - (address + done) % PAGE_BYTES;
        if (piece > len - done)
            piece = len - done;
        struct iovec here = {to + done, piece}, there = {(void *)(uintptr_t)(address + done), piece};
        if (process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0) != (ssize_t)piece)
            break;
        done += piece;
    }
    return done;
}

uint8_t *thread_look(struct lines_snapshot *snapshot, uint32_t tid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/task/%" PRIu32 "/syscall", snapshot->pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return NULL;
    text[len] = '\0'; /* "running", or "NR ARGUMENTS SP PC", or "-1 SP PC" */
    char *pc = strrchr(text, ' '), *sp = NULL;
    if (pc) {
        *pc++ = '\0';
        sp = strrchr(text, ' ');
    }
    if (!sp)
        return NULL;
    snapshot->reg[REG_RSP] = strtoull(sp + 1, NULL, 16);
    snapshot->reg[REG_RIP] = strtoull(pc, NULL, 16);
    snapshot->known = 1u << REG_RSP | 1u << REG_RIP;
    uint8_t *stack = malloc(STACK_LEN);
    if (!stack)
        return NULL;
    snapshot->stack = stack;
    snapshot->stack_len = read_memory(snapshot->pid, snapshot->reg[REG_RSP], stack, STACK_LEN);
    return stack;
}

/* True if a call instruction ends at `address`: a direct one to `start` (unless 0), or an indirect
 * one. What lies about on a stack from calls that are over rarely passes this. */
static bool follows_call(const struct space *space, uint64_t address, uint64_t start)
{
    uint8_t code[7];
    int32_t distance;
    if (!space_find(space, address - 1) ||
        read_memory(space->pid, address - sizeof code, code, sizeof code) != sizeof code)
        return false;
    memcpy(&distance, code + 3, sizeof distance);
    if (code[2] == 0xe8 && (start == 0 || address + (uint64_t)(int64_t)distance == start))
        return true;
    for (int at = 0; at < 6; at++) /* FF /2 in its lengths: 2, 3, 6 and 7 bytes */
        if (code[at] == 0xff && (code[at + 1] & 0x38) == 0x10 && (at < 2 || at > 3))
            return true;
    return false;
}

/* True if `at` looks like where a frame pointer points: the caller's frame pointer, further up (or
 * none, in the outermost function), and behind it the return address of a call. */
static bool is_frame(const struct space *space, const struct memory *memory, uint64_t at,
                     uint64_t start, unsigned depth)
{
    uint64_t next, pc;
    if (!memory_word(memory, at, &next) || !memory_word(memory, at + 8, &pc))
        return false;
    bool outermost = next <= 1;
    if (!outermost && (next <= at || next - at > FRAME_LEN || next % 8))
        return false;
    if (!follows_call(space, pc, start))
        return false;
    return outermost || depth == 0 || is_frame(space, memory, next, 0, depth - 1);
}

bool thread_guess_frame(const struct space *space, uint64_t start, struct registers *registers,
                        const struct memory *memory)
{
    uint64_t stack = registers->value[REG_RSP];
    if (registers->known & 1u << REG_RBP)
        return false;
    for (uint64_t at = stack; at < stack + GUESS_LEN; at += 8) {
        if (!is_frame(space, memory, at, start, 1))
            continue;
        registers->value[REG_RBP] = at;
        registers->known |= 1u << REG_RBP;
        return true;
    }
    return false;
}
