/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal of a live view: its own page, single keys, and everything as it was at the end. */
#ifndef LASTACK_CLI_TTY_H
#define LASTACK_CLI_TTY_H

#include <stdbool.h>
#include <stddef.h>

#include "doctor/text.h"

/* Both standard input and output are one that can move its cursor. */
bool tty_able(void);
/* Take the terminal over. False: it cannot be. */
bool tty_enter(void);
/* Give it back; any number of times, also from a signal handler and at exit. */
void tty_leave(void);
void tty_size(unsigned *width, unsigned *height);
/* All of it; false if the terminal is gone. */
bool tty_write(const struct text *bytes);

/* Keys that are no characters. */
enum {
    TTY_NONE = -1,
    TTY_GONE = -2,
    TTY_ESCAPE = 0x1b,
    TTY_UP = 0x10000,
    TTY_DOWN,
    TTY_PAGE_UP,
    TTY_PAGE_DOWN,
    TTY_HOME,
    TTY_END,
};
struct tty_keys {
    char bytes[64];
    size_t len, at;
};
/* The next key: a byte or one of the above; TTY_NONE when there is none now. */
int tty_key(struct tty_keys *keys);

#endif
