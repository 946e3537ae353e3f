/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc says of one process. Every path starts at a directory that is open: it belongs to one
 * process for ever, so that a number that is given to another one meanwhile cannot mislead. Private. */
#ifndef LASTACK_KERNEL_PROCESS_H
#define LASTACK_KERNEL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "doctor/facts.h"

/* Of a failed open: our own limit, and no right or file, was missing. */
bool process_is_short(int error);
/* /proc/PID, for paths below it; -errno. */
int process_open(uint32_t pid);
/* A file below an open directory, NUL-terminated: its length, or -errno. */
ssize_t process_read(int dir, const char *path, char *out, size_t out_len);

/* Lines of a file below an open directory that may be large. */
struct process_text {
    int fd;
    char *buffer;
    size_t len, at, total; /* total: bytes read so far */
    bool failed;           /* could not be opened or read to its end */
};
void process_text_open(struct process_text *text, int dir, const char *path);
/* The next line without its newline, valid until the next call; NULL: no more. Lines beyond 64 KB are
 * cut in pieces. */
char *process_text_line(struct process_text *text);
void process_text_close(struct process_text *text);

/* /proc/PID/stat, or of a thread. */
struct process_stat {
    char program[FACT_PROGRAM_LEN];
    char state; /* R S D T t Z X */
    uint32_t threads;
    uint64_t start_ticks;
    unsigned long flags;
};
#define PROCESS_FLAG_KERNEL 0x00200000ul /* a thread of the kernel's own */
bool process_stat(int dir, const char *path, struct process_stat *stat);

/* Numbers among the names of a directory, a large buffer at a time. */
struct process_numbers {
    int dir;
    char *buffer;
    long len, at;
    const char *name; /* the number as it stands there */
    int error; /* why it ended; 0: all is read */
};
/* Takes over `dir`; negative is an empty directory with that error. `buffer`: NUMBERS_LEN bytes. */
#define NUMBERS_LEN 65536
void numbers_begin(struct process_numbers *numbers, int dir, char *buffer);
bool numbers_next(struct process_numbers *numbers, uint32_t *number);
void numbers_end(struct process_numbers *numbers);

/* How far CLOCK_MONOTONIC of our time namespace is ahead of the kernel's own, which BPF programs read
 * (time_namespaces(7)); 0 where there is none. */
int64_t process_clock_offset_ns(void);
/* Since the boot, in the unit of `start_ticks`. */
uint64_t process_now_ticks(void);
uint64_t process_ticks_us(uint64_t ticks);

#endif
