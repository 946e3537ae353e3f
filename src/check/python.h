/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of Python: the frames of the interpreter (CPython 3.11 to 3.13), read out of a thread that
 * is stopped in a call. All of it is believed only as names to show. */
#ifndef LASTACK_CHECK_PYTHON_H
#define LASTACK_CHECK_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "lines/lines.h"

#define PYTHON_FRAME_MAX 16

struct python_layout;

/* What a process's memory says of its interpreter. Zero-initialised: not looked yet. */
struct python {
    bool looked;
    const struct python_layout *layout; /* NULL: no Python, or none that is known here */
    uint64_t runtime;                   /* address of its _PyRuntime */
};

struct python_frame {
    uint64_t code, instruction;
};

/* Look for an interpreter in the process of thread `tid`. */
void python_find(struct python *python, uint32_t tid);
/* The frames of this thread, innermost first; 0: it runs no Python. */
unsigned python_frames(const struct python *python, uint32_t tid,
                       struct python_frame frames[PYTHON_FRAME_MAX]);
/* Function, file and line of a frame. */
bool python_name(const struct python *python, uint32_t tid, const struct python_frame *frame,
                 struct lines_frame *name);
/* The frame that a reader wants to see: the innermost outside of Python's own library and of
 * packages. */
unsigned python_pick(const struct lines_frame *frames, unsigned cnt);

#endif
