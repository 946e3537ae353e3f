/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold of every packet that leaves the stack, whatever the script says: an outside
 * judge with its own eyes (no code of the stack is used here).
 */
#ifndef TESTS_PACKETDRILL_WATCH_H
#define TESTS_PACKETDRILL_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WATCH_FLOWS 64

/* One direction pair, as far as seen. Sequence numbers are absolute. */
struct watch_flow {
    bool used;
    uint32_t remote;           /* address, network order */
    uint16_t local_port, remote_port;

    bool out_syn;              /* our SYN was seen: the fields below are valid */
    uint32_t out_max;          /* highest sequence number we used, + 1 */
    uint32_t out_una;          /* highest acknowledgment that came in */
    bool out_fin;
    uint32_t out_fin_seq;
    uint8_t out_shift;         /* of the windows we announce */
    bool out_shift_offered, in_shift_offered;
    bool out_acked;            /* out_ack, out_edge are valid */
    uint32_t out_ack;          /* highest acknowledgment we sent */
    uint32_t out_edge;         /* highest right edge we offered */

    bool in_syn, in_fin;
    uint16_t in_mss;
    uint8_t in_shift;
    bool in_edge_valid;
    uint32_t in_edge;          /* highest right edge the peer offered */
};

struct watch {
    uint32_t mtu;
    char fault[400];
    struct watch_flow flows[WATCH_FLOWS];
    unsigned next;
};

void watch_init(struct watch *watch, uint32_t mtu);
/* A packet for the stack. */
void watch_in(struct watch *watch, const uint8_t *packet, size_t len);
/* A packet from the stack. False: it breaks a promise, see watch->fault (the first stays). */
bool watch_out(struct watch *watch, const uint8_t *packet, size_t len);

#endif
