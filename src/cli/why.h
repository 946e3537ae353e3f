/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of lastack why share: the findings in hand, and the blocks that tell of them. */
#ifndef LASTACK_CLI_WHY_H
#define LASTACK_CLI_WHY_H

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/group.h"
#include "doctor/rules.h"

struct why_options {
    struct look look;
    struct filter filter;
    bool all, json, follow;
    uint64_t every_us; /* --every; 0: as often as is cheap */
    const char *svg, *target;
};

/* Where a group is named on its head: how its number changed since an earlier look. */
struct group_change {
    bool known;
    int64_t per_minute;
};

/* ---- judging ---- */

/* Diagnose everything that the filter lets through. False: out of memory. */
bool why_judge(struct findings *findings, const struct catch *catch, const struct why_options *o);
/* Connections whose worst finding has this severity. */
unsigned why_count(const struct findings *findings, enum severity severity);
/* EXIT_DONE: nothing needs attention, EXIT_NOT_DONE: something does. */
int why_status(const struct findings *findings);
/* The command that ends a whole group, or one connection; "" if it is not to be ended. */
void why_end_group(struct text *out, const struct catch *catch, const struct finding_group *group);
void why_end_one(struct text *out, const struct catch *catch, const struct finding *finding);
/* "25,000 connections, 120 more in the last minute, the oldest for 2 h 5 min" */
void why_count_words(struct text *out, const struct finding_group *group,
                     const struct group_change *change);
/* "accept_one() server.c:14"; false for an unknown place. */
bool why_place(struct text *out, const struct facts_list *list, fact_site_id id);
/* Lines about source: born, read to the end, closed, where others like it are closed. */
void why_places(struct text *out, const struct facts_list *list, const struct facts *f);

/* ---- blocks of text ---- */

/* "7  10.0.0.2:8080 <-> 10.0.0.1:40007  CLOSE-WAIT for 12 s, in network namespace blue", after `first` */
void why_put_head(const struct screen *screen, const char *first, const struct catch *catch,
                  const struct facts *f);
/* "PROBLEM end-seen (deaf, certain)", and its columns */
void why_put_code(const struct screen *screen, const struct finding *finding);
unsigned why_code_columns(const struct finding *finding);
void why_put_sentence(const struct screen *screen, const char *first,
                      const struct finding *finding);
void why_put_group(const struct screen *screen, const struct catch *catch,
                   const struct finding_group *group, const struct group_change *change);

/* ---- the views ---- */

/* All groups, as far as the terminal is high. False: out of memory. */
bool why_tell_all(const struct why_options *o, const struct catch *catch,
                  const struct findings *findings);
bool why_tell_one(const struct catch *catch, const struct facts *f,
                  const struct findings *findings);
/* docs/JSON.md; with `one` its facts and story instead of groups. */
bool why_json_all(FILE *out, const struct catch *catch, const struct findings *findings);
bool why_json_one(FILE *out, const struct catch *catch, const struct facts *one,
                  const struct findings *findings);

#endif
