/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hierarchical timing wheel.
 *
 * Read ticks as numbers of six digits in base 64. A timer lies at the level of the highest digit
 * in which its expiry differs from now, in the slot of its expiry's digit there. So level 0 holds
 * what expires in this block of 64 ticks, level 1 the rest of this block of 4096, and so on: the
 * lowest level with anything in it has the earliest timer, and all slots of a level are ahead of
 * now's own digit. When now comes to the first tick of a slot, its timers are dealt out to lower
 * levels. The slot of now itself at level 0 takes timers that are already over: they wait there
 * for the next advance, whose first step is to come to now.
 *
 * The top level has only two bits left (digits 0 .. 3), and its order is that of a circle: this
 * is how 32-bit ticks wrap.
 */
#include "base/wheel.h"

#define SLOT_MASK (WHEEL_SLOTS - 1)
#define TOP (WHEEL_LEVELS - 1)
#define TOP_SHIFT (WHEEL_BITS * TOP)
#define TOP_MASK (UINT32_MAX >> TOP_SHIFT)

void wheel_init(struct wheel *wheel, uint32_t now)
{
    wheel->now = now;
    wheel->armed_cnt = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
    list_init(&wheel->due);
}

void timer_init(struct timer *timer, uint16_t kind)
{
    *timer = (struct timer){.kind = kind};
    list_init(&timer->link);
}

static void place(struct wheel *wheel, struct timer *timer)
{
    uint32_t expiry = timer->expiry;
    if ((int32_t)(expiry - wheel->now) < 0)
        expiry = wheel->now;
    uint32_t differs = (expiry ^ wheel->now) | 1;
    unsigned level = (unsigned)(31 - __builtin_clz(differs)) / WHEEL_BITS;
    unsigned slot = (expiry >> (WHEEL_BITS * level)) & SLOT_MASK;
    list_push_back(&wheel->slots[level][slot], &timer->link);
    wheel->occupied[level] |= (uint64_t)1 << slot;
    timer->slot = (uint16_t)(level << WHEEL_BITS | slot);
}

void timer_arm(struct wheel *wheel, struct timer *timer, uint32_t expiry)
{
    timer_disarm(wheel, timer);
    timer->expiry = expiry;
    place(wheel, timer);
    wheel->armed_cnt++;
}

void timer_disarm(struct wheel *wheel, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    list_remove(&timer->link);
    wheel->armed_cnt--;
    /* A timer on the due list still names the slot it came from; whether that is empty now is a
     * true statement all the same. */
    unsigned level = timer->slot >> WHEEL_BITS, slot = timer->slot & SLOT_MASK;
    if (list_empty(&wheel->slots[level][slot]))
        wheel->occupied[level] &= ~((uint64_t)1 << slot);
}

/* Move all of `from` behind `to`. */
static void splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

static void take_slot(struct wheel *wheel, unsigned level, unsigned slot, struct list *out)
{
    splice(out, &wheel->slots[level][slot]);
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
}

/* The first slot ahead of now: its first tick. False: all levels are empty. */
static bool first_slot(const struct wheel *wheel, unsigned *level, unsigned *slot, uint32_t *tick)
{
    unsigned l = 0;
    while (l < WHEEL_LEVELS && wheel->occupied[l] == 0)
        l++;
    if (l == WHEEL_LEVELS)
        return false;
    *level = l;
    if (l == TOP) {
        unsigned digit = wheel->now >> TOP_SHIFT;
        do
            digit = (digit + 1) & TOP_MASK;
        while (!(wheel->occupied[TOP] >> digit & 1));
        *slot = digit;
        *tick = (uint32_t)digit << TOP_SHIFT;
        return true;
    }
    unsigned shift = WHEEL_BITS * l;
    *slot = (unsigned)__builtin_ctzll(wheel->occupied[l]);
    *tick = (wheel->now >> shift & ~SLOT_MASK) << shift | (uint32_t)*slot << shift;
    return true;
}

void wheel_advance(struct wheel *wheel, uint32_t now)
{
    unsigned level, slot;
    uint32_t tick;

    while (first_slot(wheel, &level, &slot, &tick) && tick - wheel->now <= now - wheel->now) {
        struct list moved;
        list_init(&moved);
        take_slot(wheel, level, slot, &moved);
        wheel->now = tick;
        if (level == 0) {
            splice(&wheel->due, &moved);
            continue;
        }
        for (struct list *node; (node = list_pop_front(&moved)) != NULL;) {
            __builtin_prefetch(moved.next->next); /* timers lie far apart in memory */
            place(wheel, (struct timer *)node); /* link is the first member */
        }
    }
    wheel->now = now;
}

struct timer *wheel_due(struct wheel *wheel)
{
    struct list *node = list_pop_front(&wheel->due);
    if (node == NULL)
        return NULL;
    wheel->armed_cnt--;
    return (struct timer *)node;
}

bool wheel_next(const struct wheel *wheel, uint32_t *tick)
{
    unsigned level, slot;
    if (!list_empty(&wheel->due)) {
        *tick = wheel->now;
        return true;
    }
    return first_slot(wheel, &level, &slot, tick);
}
