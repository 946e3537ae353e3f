/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Congestion control behind one interface. The connection says what happened; the controller
 * answers with cwnd and ssthresh. Pure functions over struct congestion, bytes throughout.
 */
#ifndef LASTACK_TCP_CONGESTION_H
#define LASTACK_TCP_CONGESTION_H

#include <stddef.h>
#include <stdint.h>

struct congestion {
    uint32_t cwnd, ssthresh; /* bytes (RFC 5681 2) */
    uint32_t acked;          /* towards the next increase in congestion avoidance */
};

struct congestion_ops {
    const char *name;
    /* The connection is established: `initial_window` segments of `mss`. */
    void (*init)(struct congestion *cc, uint32_t mss, uint32_t initial_window);
    /* `acked` new bytes were acknowledged outside of recovery, while the window was in use.
     * Slow start grows by at most `limit` bytes for it. */
    void (*acked)(struct congestion *cc, uint32_t mss, uint32_t acked, uint32_t limit);
    /* Loss seen by duplicate ACKs with `flight` bytes out: recovery starts. */
    void (*loss)(struct congestion *cc, uint32_t mss, uint32_t flight);
    /* One more duplicate ACK in recovery. */
    void (*duplicate)(struct congestion *cc, uint32_t mss);
    /* A partial ACK of `acked` bytes in recovery (RFC 6582 3.2 step 5). */
    void (*partial)(struct congestion *cc, uint32_t mss, uint32_t acked);
    /* Recovery is over with `flight` bytes out. */
    void (*recovered)(struct congestion *cc, uint32_t mss, uint32_t flight);
    /* The retransmission timer ran out with `flight` bytes out; `again`: same data as before. */
    void (*timeout)(struct congestion *cc, uint32_t mss, uint32_t flight, int again);
    /* Nothing was sent for longer than an RTO (RFC 5681 4.1). */
    void (*idle)(struct congestion *cc, uint32_t mss, uint32_t initial_window);
};

extern const struct congestion_ops congestion_reno;

/* The controllers there are; a connection's options hold the index. NULL past the last. To add
 * one: its file, and a line in congestion.c. */
const struct congestion_ops *congestion_at(unsigned index);
/* Index of a name (not NUL-terminated), or -1. */
int congestion_find(const char *name, size_t len);

#endif
