/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what a process had open at its exit to leaks. What is open when the last thread stops at its
 * exit is only a candidate; when the thread is gone, sock_diag says whether anybody still holds the
 * socket. If nobody does, only the exit ended the connection: a leak.
 */
#ifndef LASTACK_CHECK_JUDGE_H
#define LASTACK_CHECK_JUDGE_H

#include "check/book.h"
#include "check/check.h"
#include "check/suppress.h"

#define HOLDING_MAX 4

/* A descriptor; or, as FACT_NO_FD, a message that its process has not received. */
struct holding {
    uint32_t pid;
    int fd;
    enum fact_origin origin;
    bool execed; /* its program was started with it */
    char program[FACT_PROGRAM_LEN];
};

struct candidate {
    uint64_t inode;
    struct look look;
    uint64_t seen_ns, born_ns;
    uint32_t holding_cnt;
    struct holding holdings[HOLDING_MAX];
};

/* A list of candidates, one for each socket. All zero at first. */
struct candidate_list {
    struct candidate *all;
    uint32_t cnt, cap;
    struct looker looker;
};
void candidates_free(struct candidate_list *list);

/* How the process came to its end. */
struct ending {
    uint32_t pid;
    int signal; /* that killed it; 0: it exited */
    bool alive; /* it has not ended, but the run is over */
};

struct judge {
    const struct check_options *options;
    struct check_report report;
    struct hash_table keys;  /* groups by what makes leaks alike */
    struct hash_table pairs; /* told leaks by the tuple of their connection */
    uint32_t leak_cap;
};

struct watch; /* trace.c: tree, book, places, looker */

/* Add what `task` has open to `list`. False: it could not be looked at. */
bool judge_look(struct watch *watch, const struct task *task, struct candidate_list *list);
/* One entry for each socket, in the order of their births. */
void candidates_merge(struct candidate_list *list);
/* Make the source lines of the candidates `from` on while a process of their images still lives. */
void judge_resolve(struct watch *watch, const struct task *task, const struct candidate_list *list,
                   uint32_t from);
/* The process is gone: which of them are leaks? */
void judge_ended(struct watch *watch, struct candidate_list *list,
                 const struct ending *ending);
/* Order the report, and note what is to be noted. */
void judge_finish(struct judge *judge, struct watch *watch);
void judge_free(struct judge *judge);

#endif
