/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread that sits in a call, seen without stopping it. */
#ifndef LASTACK_LINES_THREAD_H
#define LASTACK_LINES_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lines/file.h"
#include "lines/lines.h"
#include "lines/space.h"

/* Its stack pointer, pc and stack; the caller frees what is returned. NULL: it runs, or is not ours
 * to look at. */
uint8_t *thread_look(struct lines_snapshot *snapshot, uint32_t tid);

/* /proc does not tell rbp, which programs built without optimization need to find their caller. Look
 * for the place on the stack that only it can point to; `start` is where the function begins, 0 if
 * that is not known. False: rbp is known, or there is no such place. */
bool thread_guess_frame(const struct space *space, uint64_t start, struct registers *registers,
                        const struct memory *memory);

#endif
