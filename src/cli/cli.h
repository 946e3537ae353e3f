/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands share: exit statuses, where to look, finding connections, complaints. */
#ifndef LASTACK_CLI_CLI_H
#define LASTACK_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/control.h"
#include "doctor/facts.h"
#include "kernel/kernel.h"

enum {
    EXIT_DONE = 0,
    EXIT_NOT_DONE = 1, /* no such connection, refused; why: something needs attention */
    EXIT_USAGE = 2,    /* wrong usage, or it could not be looked */
    EXIT_NO_STACK = EXIT_USAGE,
};

/* One file per command. argv[0] is "lastack NAME"; the result is the exit status. */
int ss_main(int argc, char **argv);
int why_main(int argc, char **argv);
int end_main(int argc, char **argv);
int export_main(int argc, char **argv);
int watch_main(int argc, char **argv);
int check_main(int argc, char **argv);

/* "lastack ss: " and a sentence to standard error. */
void complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* From now on collect complaints instead of writing them (and show no progress); NULL: as before. */
void complain_into(struct text *collected);
/* The same with something of a stranger's between two texts, escaped. */
void complain_shown(const char *command, const char *head, const char *raw, const char *tail);

/* Parse with argp in the way of all commands: usage errors exit with EXIT_USAGE. */
struct argp;
struct argp_child;
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* The same parse for --version. */
extern const char cli_version[];

/* ---- where to look: --stack, --facts, --here, --no-bpf ---- */

/* Zero-initialised: the kernel, in every network namespace, and every stack of lastack that runs. */
struct look {
    const char *stack; /* only this one; "kernel": only the kernel */
    const char *file;  /* recorded facts instead; "-": standard input */
    struct kernel_options kernel;
    bool no_history; /* not what a recorder knows */
};

/* Children of a command's argp; their input is a struct look (a struct filter). The parent hands
 * it over in state->child_inputs when its parser is called with ARGP_KEY_INIT. */
extern const struct argp look_argp;
extern const struct argp filter_argp;

#define STACK_MAX 64

/* Facts of where it was looked. */
struct catch
{
    struct facts_list list;
    char names[STACK_MAX][CONTROL_NAME_LEN]; /* the kernel's namespaces are one */
    int stack_cnt;
    bool recorder;      /* a recorder runs, and its history is in the facts */
    struct text unseen; /* lines: what could not be seen, and what would help */
};

/* EXIT_DONE, or EXIT_USAGE after a complaint. Says that it is busy if it takes long. */
int catch_look(struct catch *catch, const char *command, const struct look *look);
/* Ask stack `name`, everything (NULL), or a file of recorded facts (`file` not NULL). */
int catch_fill(struct catch *catch, const char *command, const char *name, const char *file);
void catch_free(struct catch *catch);
struct screen;
/* What could not be seen, as one dim paragraph; nothing if everything was. */
void catch_put_unseen(const struct catch *catch, const struct screen *screen);

/* ---- which of them ---- */

/* "7", or "web/7" and "kernel/4097" when there are several stacks; "-" for an entry without id. */
void catch_add_id(const struct catch *catch, struct text *out, const struct facts *facts);
/* The record that "7", "web/7", "10.0.0.2:80" or ":80" names; NULL after a complaint. */
const struct facts *catch_find(const struct catch *catch, const char *command, const char *target);
/* True if `target` has the form of an id; `name` gets the stack's name or "". */
bool target_parse(const char *target, char name[CONTROL_NAME_LEN], uint64_t *id);
/* Narrow a look down to what `target` names, as far as that can be known before looking. */
void target_narrow(const char *target, struct look *look);

/* What --port, --pid, --program, --state and --finding say. Zero-initialised: everything. */
struct filter {
    unsigned states; /* bits (1 << enum lastack_state); 0: any */
    int port;        /* of either end; 0: any */
    uint32_t pid;    /* of a holder; 0: any */
    const char *program; /* of a holder, a pattern as of fnmatch(3); NULL: any */
    const char *finding; /* codes and classes with commas; NULL: any */
};

#define FILTER_STATES_ALL ((1u << LASTACK_STATE_CNT) - 1)
/* As ss without options: no listeners, nothing half-open, nothing that only waits out its time. */
#define FILTER_STATES_CONNECTED                                                                    \
    (FILTER_STATES_ALL & ~(1u << LASTACK_CLOSED | 1u << LASTACK_LISTEN | 1u << LASTACK_SYN_RCVD |  \
                           1u << LASTACK_TIME_WAIT))

struct finding;
/* All but --finding. */
bool filter_wants(const struct filter *filter, const struct facts *facts);
bool filter_wants_finding(const struct filter *filter, const struct finding *finding);
/* Look only where the filter lets something through. */
void filter_narrow(const struct filter *filter, struct look *look);

/* ---- a sign of life ---- */

/* From two seconds on say on standard error, if it is a terminal, that we are still at it. */
void progress_start(const char *what);
void progress_stop(void);

#endif
