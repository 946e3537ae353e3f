/* SPDX-License-Identifier: BSD-2-Clause */
/* 25,000 connections that leak in the same way are one piece of news. Records whose findings have
 * the same codes, at the same service, with the same programs as holders, born and read to the end
 * at the same places, make one group. Two moments tell whether a group grows. */
#ifndef LASTACK_DOCTOR_GROUP_H
#define LASTACK_DOCTOR_GROUP_H

#include <stdint.h>

#include "doctor/rules.h"

#define GROUP_ID_MAX         8
#define GROUP_GROWTH_UNKNOWN INT64_MIN

struct finding_group {
    const struct finding *first; /* `finding_cnt` findings of its worst and oldest record, told */
    uint32_t finding_cnt;
    uint32_t record_cnt;
    const struct facts *members[GROUP_ID_MAX]; /* the first of its records */
    uint64_t key;                              /* the same at another moment and in another run */
    uint64_t oldest_us, youngest_us; /* how long its records are in their states; FACT_UNKNOWN */
    uint32_t minute_cnt;             /* entered their state within the last minute */
    bool minute_known;               /* every age is known well enough for minute_cnt */
    int64_t per_minute;              /* growth since the other moment, or GROUP_GROWTH_UNKNOWN */
    struct finding flood;            /* FINDING_FLOOD if it grows; code NULL: it does not */
};

struct finding_groups {
    struct finding_group *all;
    uint32_t cnt;
};

/* Findings as `diagnose` leaves them: worst first. Findings below `lowest` are left out. Groups
 * keep that order and point into `findings`. False: out of memory. */
bool findings_group(struct finding_groups *groups, const struct findings *findings,
                    enum severity lowest);
void finding_groups_free(struct finding_groups *groups);

/* What is kept of a moment: how many records each group had. Needs no facts any more. */
struct group_count {
    uint64_t key;
    uint32_t cnt;
};
struct group_moment {
    struct group_count *all; /* by key */
    uint32_t cnt;
    uint64_t at_us; /* of any clock that does not jump */
};
/* False: out of memory. Groups must have been made with the same `lowest` at both moments. */
bool group_moment_take(struct group_moment *moment, const struct finding_groups *groups,
                       uint64_t at_us);
void group_moment_free(struct group_moment *moment);
/* Growth of every group since `then`, and a flood where that is steep. */
void finding_groups_grow(struct finding_groups *groups, const struct group_moment *then,
                         uint64_t at_us);

#endif
