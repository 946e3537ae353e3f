/* SPDX-License-Identifier: BSD-2-Clause */
/* How a socket of the program ends: reset, last close, shutdown, and who closed what. */
#ifndef LASTACK_RUN_ENDING_H
#define LASTACK_RUN_ENDING_H

#include <stdint.h>

struct supervisor;
struct pair;
struct call;

/* The connection broke with `error`: show it to the program. */
void ending_reset(struct supervisor *s, struct pair *pair, int error);
/* The last reference is gone. */
void ending_last_close(struct supervisor *s, struct pair *pair);
/* shutdown(2) by the program. Returns 0 or -errno. Needs call->a. */
int ending_shutdown(struct supervisor *s, struct call *call, int how);
/* `lastack end`. Returns 0 or -errno. */
int ending_operator(struct supervisor *s, uint64_t id, int how);

/* A close(2) of `fd` by call->pid is let through. */
void ending_close_seen(struct supervisor *s, struct call *call, int fd);
/* Closes whose time has come: does anybody else still hold the socket? */
void ending_closings_look(struct supervisor *s);
/* The last reference is gone, but the stack does not take all that was written yet. */
void ending_leaving(struct supervisor *s, struct pair *pair);
/* DEAD pairs that nobody holds any more; pairs that leave and get nowhere. */
void ending_dead_look(struct supervisor *s);
/* When the two above next have work. */
uint64_t ending_deadline(const struct supervisor *s);

#endif
