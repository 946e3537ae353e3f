/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of `lastack end`: what was asked, which connections, the plan, the deed, the log, the
 * guard. Private to end*.c. */
#ifndef LASTACK_CLI_END_H
#define LASTACK_CLI_END_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "doctor/ladder.h"
#include "doctor/rules.h"
#include "kernel/end.h"

struct end_options {
    int how, max; /* how: -1: the ladder up to `max` */
    bool yes, force, dry_run, json, no_log, watch;
    uint64_t older_us, wait_us, every_us;
    uint32_t limit; /* 0: none */
    const char *log, *policy;
    struct look look;
    struct filter filter;
    char **targets;
    int target_cnt;
};

/* ---- which connections (end_select.c) ---- */

enum end_outcome {
    END_PLANNED, /* nothing was done yet */
    END_ENDED,   /* it is gone, or only waits out its time */
    END_ENDING,  /* on its way, within a bound of the stack's own */
    END_TOLD,    /* the call was made; it waits for somebody */
    END_FAILED,
    END_OUTCOME_CNT
};

struct end_item {
    const struct facts *facts;
    const struct finding *finding; /* its cause; NULL: none */
    const char *code;              /* the finding that chose it, else its cause; NULL */
    unsigned rule_line;            /* of a policy; 0: none */
    const char *refused;           /* end of a sentence; NULL: it may be ended */
    struct ladder ladder;
    unsigned step_cnt;             /* of the ladder, taken */
    int results[LADDER_MAX];
    enum end_outcome outcome;
    bool active;
    enum lastack_state last; /* seen */
    struct kernel_now now;   /* the last look at a connection of the kernel */
    struct text path;        /* " -> LAST-ACK -> closed" */
    struct text why;         /* lines: what a step said */
};

struct end_items {
    struct end_item *all;
    uint32_t cnt;
    uint32_t healthy_cnt; /* would have fitted the filters, and are healthy */
    uint32_t more_cnt;    /* beyond --limit */
};

/* EXIT_DONE, or another status after a complaint about a target. `findings` as diagnose leaves them. */
int end_select(struct end_items *items, const struct end_options *o, const char *command,
               const struct catch *catch, const struct findings *findings);
/* One item; its ladder is made. */
void end_item_init(struct end_item *item, const struct facts *facts, int how, int max);
void end_items_free(struct end_items *items);

/* ---- words (end_plan.c) ---- */

void end_put_plan(const struct end_options *o, const struct catch *catch,
                  const struct end_items *items, int argc, char **argv);
void end_put_result(const struct catch *catch, const struct end_item *item, bool brief);
void end_put_summary(const struct end_items *items, const char *log);
void end_put_json(const struct end_items *items, bool done);
/* One connection and what is, or was, done with it: an object of JSON without its newline. With
 * `log`: a line of the log, with time and user. */
void end_add_json(struct text *out, const struct end_item *item, bool log);
/* The line of the log before it is touched: who it is, why, and which steps may be taken. */
void end_add_json_intent(struct text *out, const struct end_item *item);
/* "time":"...","uid":0, */
void end_add_json_stamp(struct text *out);
const char *end_outcome_name(enum end_outcome outcome);

/* ---- the log (end_log.c) ---- */

struct end_log {
    int fd;         /* -1: none */
    char path[512]; /* "" : no log */
    bool failed;    /* a line could not be written: nothing more is done */
    bool quiet;     /* that was said already; what was done and is not logged is said all the same */
};

/* The usual place, unless `path` says another; false after a complaint (none if `command` is NULL). */
bool end_log_open(struct end_log *log, const char *command, const char *path);
void end_log_close(struct end_log *log);
/* A line before anything is done: what cannot be logged shows here. False: do nothing. */
bool end_log_begin(struct end_log *log, const char *command, uint32_t cnt);
/* The same before a connection is touched. */
bool end_log_intent(struct end_log *log, const char *command, const struct end_item *item);
/* What came of it. */
bool end_log_add(struct end_log *log, const char *command, const struct end_item *item);
/* Where it is without an option; "": nowhere. */
void end_log_path(char *path, size_t len);

/* ---- the deed (end_act.c) ---- */

/* Set by a signal: no further step is taken. */
extern volatile sig_atomic_t end_stopped;
/* SIGINT, SIGTERM and SIGHUP let what was begun be logged. */
void end_catch_signals(void);

struct end_run {
    const char *command;
    struct end_log *log;
    uint64_t wait_us; /* between steps */
    void (*done)(void *arg, const struct end_item *item); /* called once for each */
    void *arg;
};
/* All of them together, step by step, until each is over or nothing more may be done. */
void end_act(const struct end_run *run, struct end_items *items);

/* ---- the guard (end_guard.c) ---- */

int end_guard(const struct end_options *o, const char *command);

#endif
