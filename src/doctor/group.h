/* SPDX-License-Identifier: BSD-2-Clause */
/* 25,000 connections that leak in the same way are one piece of news. Records whose findings have
 * the same codes, at the same service, with the same programs as holders, born and read to their end
 * at the same places (as far as that is known), make one group. */
#ifndef LASTACK_DOCTOR_GROUP_H
#define LASTACK_DOCTOR_GROUP_H

#include <stdint.h>

#include "doctor/rules.h"

#define GROUP_ID_MAX 8

struct finding_group {
    const struct finding *first; /* `finding_cnt` findings of its worst record */
    uint32_t finding_cnt;
    uint32_t record_cnt;
    const struct facts *members[GROUP_ID_MAX]; /* the first of its records */
    uint64_t key;        /* the same at another look; groups that differ only in places share it */
    uint64_t oldest_us;  /* age of the oldest state in it; FACT_UNKNOWN */
    uint32_t minute_cnt; /* entered their state within the last minute */
    bool minute_known;   /* every age is known well enough for minute_cnt */
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

#endif
