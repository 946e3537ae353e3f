/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Facts in, findings out: pure functions. A finding has a code that never changes (docs/findings/
 * has a page for each), says how sure it is, on what evidence, and what to change.
 *
 * Age alone is never a verdict: every rule names a call that is missing or bytes that cannot move.
 * Age only keeps a rule silent: a program gets `grace_us` to make the call that it owes.
 */
#ifndef LASTACK_DOCTOR_RULES_H
#define LASTACK_DOCTOR_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/text.h"

enum severity {
    SEVERITY_HEALTHY,   /* looks odd, is right: do not touch it */
    SEVERITY_NOTE,      /* ends by itself, or its cause is at the other end */
    SEVERITY_ATTENTION, /* somebody waits for it; it may be meant so */
    SEVERITY_PROBLEM,   /* will not end unless something is changed */
    SEVERITY_CNT
};
const char *severity_name(enum severity severity); /* "healthy", "note", "attention", "problem" */

/* FINDING_HEIR_HOLDS is "heir-holds", CLASS_SHARED is "shared": every line of finding.def. */
#define FINDING_CLASS(name, code, line)  extern const char CLASS_##name[];
#define FINDING(name, code, class, line) extern const char FINDING_##name[];
#include "doctor/finding.def"

struct finding_kind {
    const char *code, *class, *line;
};
/* The kinds in the order of finding.def; NULL behind the last one. */
const struct finding_kind *finding_kind_at(unsigned place);
/* NULL: no such code. */
const struct finding_kind *finding_kind(const char *code);
/* Its class, and what it means in one line; "" if there is no such code. */
const char *finding_class_of(const char *code);
const char *finding_line(const char *code);

struct finding {
    const char *code;  /* one of FINDING_* */
    const char *class; /* one of CLASS_*: the nine of SEMANTICS.md section 5 */
    enum severity severity;
    bool certain;              /* follows from the facts; else inferred from them */
    const struct facts *about; /* belongs to the list that was judged */
    bool may_work;             /* half-closed, and nothing excludes that it works: not to be ended
                                  without being forced */
    bool told;                 /* its texts are there */
    struct text sentence;      /* no full stop, safe for a terminal */
    struct text evidence;      /* lines, each with its newline */
    struct text remedy;        /* lines: what to change in the program */
    int end_how;               /* the politest lastack_end that ends it now; -1: not to be ended */
};

struct findings {
    struct finding *all;
    uint32_t cnt, cap;
    bool failed;                   /* out of memory: not complete */
    const struct facts_list *list; /* that was judged */
    uint64_t grace_us, moving_us;  /* with these options */
};

struct rules_options {
    uint64_t grace_us;  /* how long a program may take to make the call it owes; 0: its processes
                           are over, what is open now stays so (open-at-exit) */
    uint64_t moving_us; /* data that moved within this time moves */
    bool no_words;      /* leave the texts of findings empty until finding_tell: a hundred thousand
                           records are judged in the time in which a thousand are told */
};

/* 1 s and 5 s. */
extern const struct rules_options rules_defaults;

void findings_init(struct findings *findings);
void findings_free(struct findings *findings);
/* Judge one record, its cause first. `list` is where it looks for peers and listeners. */
void diagnose_one(struct findings *out, const struct facts_list *list, const struct facts *facts,
                  const struct rules_options *options);
/* Put the texts of a finding there, if they are not yet. `findings` is where it stands. */
void finding_tell(const struct findings *findings, struct finding *finding);
/* Judge all. Worst first, then oldest state first; findings of one record stay together. */
void diagnose(struct findings *out, const struct facts_list *list,
              const struct rules_options *options);

/* How to end this connection in the politest way that ends it: SHUT_WR, SHUT_RDWR,
 * LASTACK_END_RST; -1 if there is nothing to end (listener, TIME_WAIT, closed). */
int rules_end_how(const struct facts *facts);
/* True if one half is closed and the other may still be wanted: then it takes a finding that says
 * otherwise (without `may_work`) to end it. */
bool rules_half_closed(const struct facts *facts);
/* True if it is half-closed on purpose and data moves (class "working", from either side). */
bool rules_half_close_works(const struct facts *facts, const struct rules_options *options);

#endif
