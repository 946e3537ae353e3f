/* SPDX-License-Identifier: BSD-2-Clause */
/* One look of --follow, how its groups grow from look to look, and a thread that looks while the
 * view answers to keys. */
#ifndef LASTACK_CLI_FOLLOW_LOOK_H
#define LASTACK_CLI_FOLLOW_LOOK_H

#include "cli/why.h"

struct follow_look {
    struct catch catch;
    struct findings findings;
    struct finding_groups groups;
    struct group_change *changes; /* of each group */
    char moment[16];              /* "12:34:56" */
    uint64_t cost_us;             /* CPU time that it took */
    struct text trouble;          /* why nothing is to be seen; "": all is well */
};

/* Numbers of each group over the last minute. */
struct follow_history;
struct follow_history *follow_history_open(void);
void follow_history_close(struct follow_history *history);

/* NULL: out of memory. */
struct follow_look *follow_look_take(const struct why_options *o, const char *command,
                                     struct follow_history *history);
void follow_look_free(struct follow_look *look);
/* How long to wait before the next one: what was asked for, and a look's cost twenty times. */
uint64_t follow_pause_us(const struct why_options *o, uint64_t cost_us);
uint64_t follow_now_us(void);

/* ---- the thread ---- */

struct follow_looker;
/* `fd` gets readable when a look is ready. NULL: no thread is to be had. */
struct follow_looker *follow_looker_start(const struct why_options *o, const char *command,
                                          int *fd);
void follow_looker_ask(struct follow_looker *looker);
/* The newest look, to be freed by the caller; NULL: none yet. */
struct follow_look *follow_looker_take(struct follow_looker *looker);
/* False if it is in the middle of a look: then it is left alone, for the process is to end. */
bool follow_looker_stop(struct follow_looker *looker);

#endif
