/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a bad wire. Frames pushed in come out later, in another order, twice, damaged,
 * or not at all; the same seed, frames and times always do the same. No clock: time is an
 * argument. Frames are copied, so that the owner of a frame need not wait for it.
 */
#ifndef LASTACK_DEVICE_IMPAIR_H
#define LASTACK_DEVICE_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "lastack.h"

/* All zero: a perfect wire. Chances are parts per million, of each frame. */
struct impair_config {
    uint64_t seed;
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm;   /* one bit of the frame is flipped */
    uint32_t reorder_ppm;   /* the frame is held back by reorder_ns, those behind it overtake */
    uint64_t reorder_ns;
    uint64_t delay_ns;      /* of every frame */
    uint64_t jitter_ns;     /* more of it, 0 .. jitter_ns; does not change the order */
    uint64_t byte_ns;       /* the wire's rate: time that each byte takes; 0: none */
    uint32_t queue_max;     /* frames on their way at most, more are lost; 0: no limit */
};

struct impair_frame; /* a copy on its way */

struct impair {
    struct impair_config config;
    struct random random;
    struct impair_frame **heap; /* the earliest first */
    size_t heap_len, heap_cap;
    struct impair_frame *out;   /* what impair_pop showed last */
    uint64_t sequence;
    uint64_t last_due_ns;       /* of the frames that keep their order */
    uint64_t wire_free_ns;      /* when the wire has sent all that was pushed */
    bool cut;
    uint64_t pushed, lost, duplicated, corrupted, reordered, popped;
};

void impair_init(struct impair *impair, const struct impair_config *config);
void impair_free(struct impair *impair);

/* Change the chances and delays from now on; the random numbers go on. */
void impair_set(struct impair *impair, const struct impair_config *config);

/* Partition: while it is cut, all that is pushed is lost. What is on its way still arrives. */
void impair_cut(struct impair *impair, bool cut);

/* A frame into the wire, at `now_ns`. False: no memory, and the frame is lost. */
bool impair_push(struct impair *impair, const struct lastack_frame *frame, uint64_t now_ns);

/* The next frame that is due, one iov, `interface` and `connection_id` as pushed. Valid until the
 * next call. False: none is due. */
bool impair_pop(struct impair *impair, struct lastack_frame *frame, uint64_t now_ns);

/* When the next frame is due; LASTACK_NEVER. */
uint64_t impair_deadline(const struct impair *impair);

#endif
