/* SPDX-License-Identifier: BSD-2-Clause */
/* One program or library: its symbols, debug information and unwinding rules, read when needed and
 * kept for every process that maps it. file.c uses elfutils; file_plain.c does without. */
#ifndef LASTACK_LINES_FILE_H
#define LASTACK_LINES_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lines/lines.h"

#define REG_RBP 6
#define REG_RSP 7
#define REG_RIP 16
#define REG_CNT 17

struct file;

/* Registers of one frame, and the piece of stack that they may point into. */
struct registers {
    uint64_t value[REG_CNT];
    uint32_t known; /* bit n: value[n] */
};
struct memory {
    uint64_t start;
    const uint8_t *bytes;
    size_t len;
};
bool memory_word(const struct memory *memory, uint64_t address, uint64_t *word);

/* Takes over `fd`. `pid` is one of the processes that map it: its file system may hold debug files.
 * `path` is its name there. NULL: no ELF file. */
struct file *file_open(int fd, uint32_t pid, const char *path);
void file_close(struct file *file);
/* The address in the ELF file's own terms of a byte at `offset`; false: none. */
bool file_address(const struct file *file, uint64_t offset, uint64_t *address);
/* Function, file and line of an address, inlined ones first; the number of frames, 0: no name.
 * Fills function, file, line, inlined. */
unsigned file_name(struct file *file, uint64_t address, struct lines_frame *frames, unsigned max);

/* Where the function at an address begins; false: not known. */
bool file_function(struct file *file, uint64_t address, uint64_t *start);

enum step {
    STEP_DONE,   /* registers are the caller's now */
    STEP_SIGNAL, /* the same; the caller was interrupted at its pc, it did not call */
    STEP_END,    /* the outermost frame */
    STEP_NO_RULE /* nothing is known about this address, or a register that it needs is unknown */
};
/* From a frame at `address` (ELF terms) to its caller. */
enum step file_step(struct file *file, uint64_t address, struct registers *registers,
                    const struct memory *memory);

#endif
