/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of rules share: the case in hand, questions to its facts, and lines of evidence.
 */
#ifndef LASTACK_DOCTOR_RULES_CASE_H
#define LASTACK_DOCTOR_RULES_CASE_H

#include "doctor/rules.h"

#define COMES_BACK_US UINT64_C(30000000) /* a pause between two reads is hardly longer */
#define REST_US       UINT64_C(10000000) /* who may be at work or reads slowly is left alone so long */
#define ANSWER_US     UINT64_C(60000000) /* an answer may take so long, and so may its next piece */

/* One record under judgement. */
struct rules_case {
    const struct facts_list *list;
    const struct facts *f;
    const struct rules_options *options;
    struct findings *out;
    uint32_t from; /* findings before this one are of other records */
};

/* ---- findings ---- */

/* One more finding, texts empty. Never NULL: out of memory gives a spare that is thrown away. */
struct finding *finding_add(struct rules_case *c, const char *code, enum severity severity,
                            bool certain);
/* The finding of this record that came last; NULL while there is none. */
struct finding *finding_last(const struct rules_case *c);

/* ---- lines ---- */

/* One line to evidence or remedy. */
void line_printf(struct text *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Evidence lines: every holder, and every close after `since_us` (an age). */
void evidence_holders(struct finding *finding, const struct facts *f);
void evidence_closes(struct finding *finding, const struct facts *f, uint64_t since_us);
/* The other end, if it lives here: what it is and who holds it. */
void evidence_peer(struct finding *finding, const struct rules_case *c);
/* If `soon`: who is to take it up may be busy, and come. */
void evidence_turn(struct finding *finding, bool soon);
/* Where it was born, where its end was read, where its siblings are closed. */
void evidence_places(struct finding *finding, const struct rules_case *c);
/* "at main() f.c:12" of a thread, as a line after `who`; nothing if it is not known. */
void evidence_thread(struct finding *finding, const struct rules_case *c, uint32_t pid,
                     fact_site_id at);
/* "process 1 holds descriptor 4 and ...; process 2 holds ..." */
void say_holders(struct text *out, const struct facts *f, bool still);
/* "the peer's FIN came 12 s ago" */
void say_fin(struct text *out, const struct facts *f);
/* "3 s ago", or "at least 3 s ago" where ages are lower bounds. */
void say_ago(struct text *out, const struct facts *f, uint64_t age_us);

/* ---- questions ---- */

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
static inline bool number_over(uint64_t number, uint64_t limit)
{
    return fact_known(number) && number > limit;
}

/* CLOSE_WAIT in the hands of a program. */
static inline bool is_close_wait(const struct facts *f)
{
    return f->state == LASTACK_CLOSE_WAIT && f->unaccepted != FACT_YES;
}
/* Since the peer's FIN: of the FIN itself, else of the state that it began. */
static inline uint64_t fin_age(const struct facts *f)
{
    return fact_known(f->fin_in_us) || f->state != LASTACK_CLOSE_WAIT ? f->fin_in_us : f->state_us;
}
/* Data was given to send after the FIN, or may have been: then a half-close on purpose may rest. */
bool has_answered(const struct facts *f);

/* Asks for being told of something to read. */
bool watch_reads(const struct fact_watch *watch);
/* Forked by who made the connection, it may be its worker, which is busy elsewhere for the moment
 * (a database, a child, a pause with an end): it looks like an heir that forgot. */
bool holder_may_serve(const struct facts *f, const struct fact_holder *holder);
bool any_may_serve(const struct facts *f);
/* A holder sits in a write to something else: back-pressure, however long it takes. */
bool any_in_output(const struct facts *f);
/* A holder is in a call that ends by itself, and may read on then; `age_us`: of what waits. */
bool any_comes_back(const struct facts *f, uint64_t age_us);
/* It waits for something that its own work may need: a connection that it opened, or on which it has the
 * last word, a child. */
bool holder_asks(const struct rules_case *c, const struct fact_holder *holder);
/* It may be at work for others, and come to this one then: has threads beside the one that is seen, asks,
 * runs, or sits in a call that ends by itself. */
bool holder_may_come(const struct rules_case *c, const struct fact_holder *holder);
/* One of its holders; what waits for them, since `age_us`, is not so old that nobody will come. */
bool any_may_come(const struct rules_case *c, uint64_t age_us);
/* In a queue, and who is to take it out may come: of a listener; of an AF_UNIX socket, in a message. */
bool may_be_accepted(const struct rules_case *c);
bool may_be_received(const struct rules_case *c);
/* A holder that can do nothing about the connection: inferred unless it is stopped. */
bool holder_is_forgotten(const struct rules_case *c, const struct fact_holder *holder);
/* There are holders, and all of them are. */
bool holders_all_forgotten(const struct rules_case *c);
/* It is running, watches the socket, or sits in a call on it. FACT_MAYBE: cannot be seen. */
fact_bool holder_is_at_work(const struct rules_case *c, const struct fact_holder *holder);
/* A request came before the peer's FIN, no answer has left since, and it is not so old that nobody can
 * be thought to be at work on one: what a read-ahead runtime looks like, or a thread that asks a
 * database. */
bool may_be_answering(const struct rules_case *c);
bool any_holder_runs(const struct facts *f);
/* No poller and no call of anybody would be told if it got readable. */
bool nobody_watches(const struct facts *f);
uint32_t descriptor_cnt(const struct facts *f);
/* Different processes with a descriptor of it. */
uint32_t process_cnt(const struct facts *f);

/* Whether the end was read cannot be seen, and its shape says that it was not. */
bool end_likely_unread(const struct rules_case *c);
/* Unread data has shut our window. */
bool window_is_shut(const struct facts *f);
/* Unread data has shut our window, and there is a sign that it stays so. */
bool is_stuck_reader(const struct rules_case *c);
/* Data or FIN that cannot leave (class "blocked"). */
bool facts_are_blocked(const struct facts *f);

/* ---- the rules, in the order in which they are asked; true: the cause is found ---- */

bool rule_open_at_exit(struct rules_case *c); /* rules_end.c */
bool rule_listener(struct rules_case *c);     /* rules_queue.c */
bool rule_unaccepted(struct rules_case *c);
bool rule_blocked(struct rules_case *c); /* rules_wire.c */
bool rule_orphan(struct rules_case *c);
bool rule_waiting_peer(struct rules_case *c);
bool rule_closed_and_held(struct rules_case *c); /* rules_hold.c: a close is known */
bool rule_half_close(struct rules_case *c);      /* rules_end.c */
bool rule_hidden(struct rules_case *c);          /* rules_hold.c */
bool rule_heir(struct rules_case *c);
bool rule_worker(struct rules_case *c); /* true: nothing is to be said yet */
bool rule_dead(struct rules_case *c); /* rules_end.c */
bool rule_relay(struct rules_case *c);
bool rule_end_read(struct rules_case *c);
bool rule_unread(struct rules_case *c); /* rules_read.c */
bool rule_pool_dead(struct rules_case *c); /* of those that rule_dead would blame */

/* Add to a cause that was found. */
void add_watchers(struct rules_case *c); /* rules_watch.c: to unread and deaf */
void add_many_holders(struct rules_case *c);
void add_stuck_holder(struct rules_case *c);

#endif
