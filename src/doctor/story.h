/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one connection as far as the facts know it: what happened when, and how it is now. */
#ifndef LASTACK_DOCTOR_STORY_H
#define LASTACK_DOCTOR_STORY_H

#include "doctor/facts.h"
#include "doctor/text.h"

#define STORY_EVENT_MAX (FACT_CLOSE_MAX + 8)

struct story_event {
    uint64_t age_us;
    unsigned order; /* of events at the same moment */
    struct text text;
};

struct story {
    struct story_event events[STORY_EVENT_MAX]; /* oldest first */
    unsigned event_cnt;
    struct text now; /* lines: queues, holders, timer */
};

void story_tell(struct story *story, const struct facts *facts);
void story_free(struct story *story);

#endif
