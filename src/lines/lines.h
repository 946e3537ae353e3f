/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a snapshot of a stack to lines of source: unwinding by call frame information (no frame
 * pointers needed), names by debug information, else by symbols, else by module; frames of JIT code by
 * /tmp/perf-PID.map. elfutils does the work; without it (a build without libdw) modules are named.
 */
#ifndef LASTACK_LINES_LINES_H
#define LASTACK_LINES_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"

#define LINES_FRAME_MAX 32

/* What tells the memory of one program from another's: a fork keeps it, an exec changes it. */
struct lines_layout {
    uint64_t start_code, start_stack, exe_inode;
};

/* x86-64 registers in the numbering of DWARF: rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip. Those that
 * are not in `known` (bit n: register n) are unknown. */
struct lines_snapshot {
    uint32_t pid;
    uint32_t like_pid; /* one of the same layout, in case `pid` is gone (its parent); 0: none */
    struct lines_layout layout; /* of `pid` when the snapshot was taken; all 0: unknown */
    uint64_t reg[17];
    uint32_t known;
    const uint8_t *stack; /* bytes from rsp upwards */
    size_t stack_len;
};

struct lines_frame {
    uint64_t address;
    char function[64], file[128], module[64]; /* raw bytes; "": unknown */
    uint32_t line;
    bool inlined;
    bool program; /* in the program's own file, not in a library */
};

/* Remembers what it has read of each process and file. */
struct lines;
struct lines *lines_open(void);
void lines_close(struct lines *lines);
/* Forget a process that ended or called exec. */
void lines_forget(struct lines *lines, uint32_t pid);

/* Frames innermost first, inlined ones among them; returns how many (0: nothing could be said). */
unsigned lines_unwind(struct lines *lines, const struct lines_snapshot *snapshot,
                      struct lines_frame frames[LINES_FRAME_MAX]);
/* The name of one address of a process ("client_readable epsrv.c:10"); false: none. */
bool lines_name(struct lines *lines, uint32_t pid, uint64_t address, struct lines_frame *frame);
/* A thread that sits in a call: unwound from /proc/PID/task/TID/syscall and its memory, without
 * stopping it. Frames as lines_unwind. */
unsigned lines_unwind_thread(struct lines *lines, uint32_t pid, uint32_t tid,
                             struct lines_frame frames[LINES_FRAME_MAX]);
/* The frame that a reader wants to see: the innermost one outside of libc, the loader, language
 * runtimes and wrappers (a frame with a source file before one without). */
unsigned lines_pick(const struct lines_frame *frames, unsigned frame_cnt);
/* False if it is a frame of libc or of a runtime, which many places have in common: then only the whole
 * stack tells places apart. */
bool lines_is_own(const struct lines_frame *frame);
/* Into a site with its stack. */
void lines_to_site(struct fact_site *site, const struct lines_frame *frames, unsigned frame_cnt);

#endif
