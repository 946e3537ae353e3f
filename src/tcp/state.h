/* SPDX-License-Identifier: BSD-2-Clause */
/* The one table of states: names, legal edges and what a state implies (RFC 9293 3.3.2). */
#ifndef LASTACK_TCP_STATE_H
#define LASTACK_TCP_STATE_H

#include <stdbool.h>

#include "lastack.h"

enum state_flag {
    STATE_SENDS = 1,    /* a program may queue data */
    STATE_RECEIVES = 2, /* the peer may send data: its FIN has not come */
    STATE_SYNCED = 4,   /* RFC 9293: a synchronized state */
};

bool state_edge_is_legal(enum lastack_state from, enum lastack_state to);
bool state_is(enum lastack_state state, enum state_flag flag);

#endif
