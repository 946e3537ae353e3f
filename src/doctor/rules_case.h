/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of rules share: the case in hand, and questions to its facts. */
#ifndef LASTACK_DOCTOR_RULES_CASE_H
#define LASTACK_DOCTOR_RULES_CASE_H

#include "doctor/rules.h"

/* One record under judgement. */
struct rules_case {
    const struct facts_list *list;
    const struct facts *f;
    const struct rules_options *options;
    struct findings *out;
};

/* One more finding, texts empty. Never NULL: out of memory gives a spare that is thrown away. */
struct finding *finding_add(struct rules_case *c, const char *code, enum severity severity,
                            bool certain);
/* One line to evidence or remedy. */
void line_printf(struct text *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Evidence lines: every holder, and every close after `since_us` (an age). */
void evidence_holders(struct finding *finding, const struct facts *f);
void evidence_closes(struct finding *finding, const struct facts *f, uint64_t since_us);

/* Ages: `a` happened, and not before `b`. */
static inline bool age_after(uint64_t a, uint64_t b)
{
    return fact_known(a) && fact_known(b) && a <= b;
}
/* `a` happened, and strictly after `b`: stamps are coarse, and an answer that the peer's FIN
 * follows at once may carry the same one. */
static inline bool age_later(uint64_t a, uint64_t b)
{
    return fact_known(a) && fact_known(b) && a < b;
}
/* Happened at least `us` ago. */
static inline bool age_over(uint64_t age, uint64_t us)
{
    return fact_known(age) && age >= us;
}

/* A holder that can do nothing about the connection: inferred unless it is stopped. */
bool holder_is_forgotten(const struct facts *f, const struct fact_holder *holder);
/* There are holders, and all of them are. */
bool holders_all_forgotten(const struct facts *f);

/* Data or FIN that cannot leave (class "blocked"). */
bool facts_are_blocked(const struct facts *f);

/* The rules, in the order in which they are asked. True: the cause is found. */
bool rule_listener(struct rules_case *c);
bool rule_unaccepted(struct rules_case *c);
bool rule_blocked(struct rules_case *c);
bool rule_orphan(struct rules_case *c);
bool rule_waiting_peer(struct rules_case *c);
bool rule_working(struct rules_case *c);
bool rule_shared(struct rules_case *c);
bool rule_deaf(struct rules_case *c);
bool rule_unread(struct rules_case *c);
/* Adds to a cause that was found. */
void rule_forgotten(struct rules_case *c);

#endif
