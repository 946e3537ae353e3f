/* SPDX-License-Identifier: BSD-2-Clause */
/* Live connections of the kernel for tests of ending: a network namespace of our own, pairs of
 * sockets in a state that was asked for, and their facts without a look at the whole machine. */
#ifndef LASTACK_TESTS_END_WORLD_H
#define LASTACK_TESTS_END_WORLD_H

#include "doctor/facts.h"

/* Enter a network namespace of our own, once; skips the case if that may not be. */
void world_enter(void);

struct pair {
    int listener, owner, peer; /* -1: none. `owner` was accepted, `peer` connected */
};
enum world_family { WORLD_IP4, WORLD_IP6, WORLD_MAPPED };
/* Connected, and ESTABLISHED at both ends. */
struct pair pair_open(enum world_family family);
/* The same, and nobody accepts it: owner is -1. */
struct pair pair_queue(void);
/* Fill the owner's send queue until nothing more fits: the peer reads nothing. */
void pair_stuff(struct pair *pair);
void pair_close(struct pair *pair);

/* Facts of the connection behind `fd`, held by this process under this number. Freed by list. */
struct facts *facts_of(struct facts_list *list, int fd);
/* Facts of the connection as the other end of `peer` has them, without a holder. */
struct facts *facts_across(struct facts_list *list, int peer);
uint64_t cookie_of(int fd);
uint64_t inode_of(int fd);

/* Poll until the connection is in `state` (TIME_WAIT: or gone); true if that came true. */
bool state_comes(const struct facts *facts, enum lastack_state state);

#endif
