/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hierarchical timing wheel (Varghese, Lauck 1987): arm, disarm and "when is the next" are O(1)
 * whatever the number of timers. One tick is a millisecond; the range is 2^31 ticks.
 * A timer is never reported early, and late only if wheel_advance is called late.
 */
#ifndef LASTACK_BASE_WHEEL_H
#define LASTACK_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_BITS 6
#define WHEEL_SLOTS (1u << WHEEL_BITS)
#define WHEEL_LEVELS 6

struct timer {
    struct list link;
    uint32_t expiry;    /* tick */
    uint16_t slot;      /* where it lies; owned by the wheel */
    uint16_t kind;      /* of the owner: free for the user of the wheel */
};

struct wheel {
    uint32_t now; /* tick up to which everything is expired */
    uint32_t armed_cnt;
    uint64_t occupied[WHEEL_LEVELS];
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list due;
};

void wheel_init(struct wheel *wheel, uint32_t now);
void timer_init(struct timer *timer, uint16_t kind);
static inline bool timer_armed(const struct timer *timer)
{
    return list_linked(&timer->link);
}
/* (Re)arm for tick `expiry`; one in the past is due at the next advance. */
void timer_arm(struct wheel *wheel, struct timer *timer, uint32_t expiry);
void timer_disarm(struct wheel *wheel, struct timer *timer);

/* Move time on to tick `now`, then take what is due one by one: wheel_due returns a disarmed
 * timer or NULL. Taking one may arm or disarm any other. */
void wheel_advance(struct wheel *wheel, uint32_t now);
struct timer *wheel_due(struct wheel *wheel);

/* A tick at which wheel_advance should be called next: at or before the first expiry, after now
 * (or now itself if something is due). False: nothing armed. */
bool wheel_next(const struct wheel *wheel, uint32_t *tick);

#endif
