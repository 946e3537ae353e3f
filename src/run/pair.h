/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of pairs: one for each TCP socket of the program. */
#ifndef LASTACK_RUN_PAIR_H
#define LASTACK_RUN_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "run/supervisor.h"

/* A pair for library descriptor `fd`; pair->a is A, to be given away and closed. NULL with errno:
 * nothing was made (`fd` is still the caller's). */
struct pair *pair_create(struct supervisor *s, int fd);
/* By a descriptor of A, wherever it came from. NULL: not one of ours. */
struct pair *pair_find(struct supervisor *s, int a);
struct pair *pair_find_cookie(struct supervisor *s, uint64_t cookie);
struct pair *pair_find_socket(struct supervisor *s, uint64_t socket_id);

/* The program has it now: `pid` under `fd`, through its call. Closes pair->a. */
void pair_given(struct supervisor *s, struct pair *pair, pid_t pid, int fd);
/* A duplicate of A for a moment: from whoever is known to hold it, else found through /proc.
 * -1: nobody has it as a descriptor (it may be in flight in a message). */
int pair_open_a(struct supervisor *s, struct pair *pair);
/* Some process, or a message in flight, still refers to A. */
bool pair_alive(struct supervisor *s, struct pair *pair);
/* Does thread or process `pid` have A under `fd`? */
bool pair_held_by(struct supervisor *s, const struct pair *pair, pid_t pid, int fd);

/* A larger send buffer for A. */
void pair_buffer_raise(int a);
/* Ask for EPOLLOUT of B, or not. */
void pair_watch(struct supervisor *s, struct pair *pair, bool writable);
/* B is closed: the program sees an error or the end. Becomes DEAD. */
void pair_cut(struct supervisor *s, struct pair *pair);
/* Out of the table; the memory is freed when the turn ends (events may still name it). */
void pair_bury(struct supervisor *s, struct pair *pair);
void pair_free_buried(struct supervisor *s);

#endif
