/* SPDX-License-Identifier: BSD-2-Clause */
/* Oracle: which edges are legal. Written from RFC 9293 figure 5 and section 3.10, not from the
 * engine's own table. */
#include "sim.h"

enum { LEGAL = 1, WANTED = 2 };
#define L LEGAL
#define B (LEGAL | WANTED)

/* Rows: from, columns: to, both in the order of enum lastack_state.
 * `B`: a run of the whole set must have gone along it. `L`: right, but hard to meet. */
static const uint8_t table[LASTACK_STATE_CNT][LASTACK_STATE_CNT] = {
    /*                 CLO LIS SSE SRC EST FW1 FW2 CWA CLG LAC TWA */
    [LASTACK_CLOSED] = {0, B, B, 0, 0, 0, 0, 0, 0, 0, 0},
    [LASTACK_LISTEN] = {B, 0, 0, B, L, 0, 0, 0, 0, 0, 0}, /* EST: by a SYN cookie's ACK */
    [LASTACK_SYN_SENT] = {B, 0, 0, B, B, 0, 0, 0, 0, 0, 0},
    [LASTACK_SYN_RCVD] = {B, L, 0, 0, B, B, 0, L, 0, 0, 0},
    [LASTACK_ESTABLISHED] = {B, 0, 0, 0, 0, B, 0, B, 0, 0, 0},
    [LASTACK_FIN_WAIT_1] = {B, 0, 0, 0, 0, 0, B, 0, B, 0, B},
    [LASTACK_FIN_WAIT_2] = {B, 0, 0, 0, 0, 0, 0, 0, 0, 0, B},
    [LASTACK_CLOSE_WAIT] = {B, 0, 0, 0, 0, 0, 0, 0, 0, B, 0},
    [LASTACK_CLOSING] = {B, 0, 0, 0, 0, 0, 0, 0, 0, 0, B},
    [LASTACK_LAST_ACK] = {B, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    [LASTACK_TIME_WAIT] = {B, 0, 0, B, 0, 0, 0, 0, 0, 0, 0}, /* SRC: reuse by a new SYN */
};

bool edge_legal(enum lastack_state from, enum lastack_state to)
{
    return table[from][to] & LEGAL;
}

bool edge_wanted(enum lastack_state from, enum lastack_state to)
{
    return table[from][to] & WANTED;
}
