/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A link in memory between two stacks of one thread: what one owes goes into the other, at once,
 * or through an impair for each direction.
 */
#ifndef LASTACK_DEVICE_PAIR_H
#define LASTACK_DEVICE_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "device/impair.h"
#include "lastack.h"

struct memory_pair {
    lastack *stack[2];
    uint32_t interface[2];    /* of each stack */
    struct impair *impair[2]; /* for what stack 0, 1 sends; NULL: arrives at once */
    uint64_t moved[2];        /* packets that stack 0, 1 sent */
    uint64_t stray;           /* packets for other interfaces of either stack: lost */
};

/* Add an interface "pair" with these addresses to either stack, and a default route out of it.
 * 0, or what lastack_interface_add and lastack_route_add return. */
int memory_pair_init(struct memory_pair *pair, lastack *a, const struct lastack_address *address_a,
                     lastack *b, const struct lastack_address *address_b, uint8_t prefix_len,
                     uint32_t mtu);

/* Move what is owed and due at `now_ns`, both ways, until there is nothing left to move (or
 * `max` packets are moved: 0 for no limit). Returns how many were. */
size_t memory_pair_move(struct memory_pair *pair, uint64_t now_ns, size_t max);

/* When something is next to do: the earliest of the stacks' and the impairs' deadlines. */
uint64_t memory_pair_deadline(const struct memory_pair *pair);

#endif
