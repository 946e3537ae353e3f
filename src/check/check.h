/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leak checker for connections: runs a program with all its children, and finds every TCP
 * connection that they failed to end. It needs no privilege: ptrace, and a seccomp filter that
 * stops the few calls that matter.
 */
#ifndef LASTACK_CHECK_CHECK_H
#define LASTACK_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/rules.h"
#include "doctor/text.h"

/* Exit statuses of its own; else that of the program, as a shell has it. */
enum {
    CHECK_FAILED = 2, /* could not check: never to be taken for "clean" */
    CHECK_NOT_EXECUTED = 126,
    CHECK_NOT_FOUND = 127,
};

struct suppressions; /* suppress.h */
struct place;

struct check_options {
    char **program;
    uint64_t grace_ns; /* for the rest of the tree once the program has ended */
    bool no_closes;    /* do not look at close(): faster, knows less */
    bool killed;       /* what a process left open that was killed by a signal counts, too */
    bool ignore_open;  /* what was in use until the exit (open-at-exit) does not count */
    bool kill_rest;    /* end what is left of the tree after the grace */
    struct suppressions *suppressions; /* NULL: none */
};

#define LEAK_EXAMPLE_MAX 5

/* Connections that were left open in the same way, at the same places. */
struct check_leak {
    const char *code;
    enum severity severity;
    bool certain;
    bool alive; /* held by a process that still ran at the end */
    uint64_t cnt;
    struct facts_list list; /* one record: the first of them */
    struct lastack_tuple examples[LEAK_EXAMPLE_MAX];
    uint32_t example_cnt;
    uint64_t other_end_cnt; /* of these, the other end was left open, too */
    uint64_t ended_cnt;     /* of these, somebody had closed a descriptor */
    struct place *birth;    /* place.h; NULL: unknown */
    struct text key, sentence, evidence, remedy;
};
/* The record; its sites are those of leak->list. */
const struct facts *leak_facts(const struct check_leak *leak);
/* Where it was born, or where its siblings are closed; NULL: unknown. */
const struct fact_site *leak_born_at(const struct check_leak *leak);
const struct fact_site *leak_closed_at(const struct check_leak *leak);

struct check_report {
    struct check_leak **leaks; /* worst first, then most; those with cnt 0 are gone */
    uint32_t leak_cnt;
    uint64_t leaked_cnt;     /* connections in them */
    uint64_t connection_cnt; /* whose birth was seen */
    uint64_t process_cnt;
    uint64_t suppressed_cnt, killed_cnt, ignored_cnt; /* connections that did not count */
    struct text notes;                                /* sentences, one a line */
    bool blind;  /* a process with connections could not be looked at */
    int status;  /* of the program, as from wait() */
    bool failed; /* out of memory: not complete */
};

/* Runs in the watching process once all is over: prints, and says whether that worked. */
typedef bool check_tell(const struct check_report *report, void *arg);

/* Run the program and tell. The exit status of the command: the program's own if it is not 0, else
 * `leak_status` if connections leaked, CHECK_FAILED after a complaint, 0. */
int check_run(const struct check_options *options, int leak_status, check_tell *tell, void *arg);

/* ---- renderings for machines (report.c) ---- */

void check_report_json(struct text *out, const struct check_report *report, char **program);
void check_report_junit(struct text *out, const struct check_report *report, char **program);
/* "handle_client server.c:48"; "" if it is unknown. Safe for a terminal. */
void check_add_site(struct text *out, const struct fact_site *site);
/* The same with its caller: "close_it server.c:16, called by serve server.c:26". */
void check_add_site_called(struct text *out, const struct fact_site *site);
/* The program and its arguments, as one types them. Raw bytes. */
void check_add_command(struct text *out, char **program);
/* 0 to 255, as shells have it, from the status of wait(). */
int check_status(int wait_status);

#endif
