/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands share: exit statuses, finding stacks and connections, complaints. */
#ifndef LASTACK_CLI_CLI_H
#define LASTACK_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/control.h"
#include "doctor/facts.h"

enum {
    EXIT_DONE = 0,
    EXIT_NOT_DONE = 1, /* no such connection, refused, or --check found something */
    EXIT_USAGE = 2,
    EXIT_NO_STACK = 3, /* none runs, or it does not answer */
};

/* One file per command. argv[0] is "lastack NAME"; the result is the exit status. */
int ss_main(int argc, char **argv);
int why_main(int argc, char **argv);
int end_main(int argc, char **argv);

/* "lastack ss: " and a sentence to standard error. */
void complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Parse with argp in the way of all commands: usage errors exit with EXIT_USAGE. */
struct argp;
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* The same parse for --version. */
extern const char cli_version[];

#define STACK_MAX 64

/* Facts of the stacks that were asked. */
struct catch
{
    struct facts_list list;
    char names[STACK_MAX][CONTROL_NAME_LEN];
    int stack_cnt;
};

/* Ask stack `name`, all that run (NULL), or a file of recorded facts (`file` not NULL, "-" is
 * standard input). EXIT_DONE, or another status after a complaint. */
int catch_fill(struct catch *catch, const char *command, const char *name, const char *file);
void catch_free(struct catch *catch);
/* "7", or "web/7" when several stacks run; "-" for an entry without id. */
void catch_add_id(const struct catch *catch, struct text *out, const struct facts *facts);
/* The record that "7" or "web/7" names; NULL after a complaint. */
const struct facts *catch_find(const struct catch *catch, const char *command, const char *target);
/* True if `target` has the form of an id; `name` gets the stack's name or "". */
bool target_parse(const char *target, char name[CONTROL_NAME_LEN], uint64_t *id);

#endif
