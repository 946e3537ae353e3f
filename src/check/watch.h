/* SPDX-License-Identifier: BSD-2-Clause */
/* All that the watching process knows. */
#ifndef LASTACK_CHECK_WATCH_H
#define LASTACK_CHECK_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "check/book.h"
#include "check/judge.h"
#include "check/place.h"
#include "check/tree.h"

struct watch {
    const struct check_options *options;
    struct tree tree;
    struct book book;
    struct places places;
    struct judge judge;
    uint32_t program; /* its pid */
    bool started;     /* the program's exec succeeded */
    bool ended;       /* the program is gone: `status` */
    bool over;        /* the report is made: only let the rest go on */
    int status;
    uint64_t ended_ns;
    uint64_t unseen_cnt; /* processes that could not be looked at */
    bool traces;         /* a program of the tree called ptrace itself */
};

/* Sent to the watching process by the front: wait no longer for those that outlive the program; tell
 * whether the signal in its value came to the watching process, too. */
#define WATCH_ENOUGH SIGRTMAX
#define WATCH_WITNESS (SIGRTMAX - 1)

/* What front.c does with the watching process: traces `child` until it and its tree are over. */
int watch_attach(uint32_t child);
void watch_run(struct watch *watch);
/* Let those that are left go on until they end. */
void watch_rest(struct watch *watch);

#endif
