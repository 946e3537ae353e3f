/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments of a system call in a script -> values. All say what is wrong and return false. */
#ifndef TESTS_PACKETDRILL_JOB_H
#define TESTS_PACKETDRILL_JOB_H

#include "run.h"

__attribute__((format(printf, 2, 3))) bool job_fail(struct job *job, const char *format, ...);
/* The argument at `index`; there are as many as the table of calls says. */
const struct expr *job_arg(const struct job *job, unsigned index);
/* A number, a constant's name, or several joined by |. */
bool job_number(struct job *job, const struct expr *expr, long *value);
bool job_arg_number(struct job *job, unsigned index, long *value);
/* A descriptor of the script -> one of the stack. */
bool job_live_fd(struct job *job, long number, int *fd);
bool job_arg_fd(struct job *job, unsigned index, int *fd);
bool job_arg_ellipsis(struct job *job, unsigned index);
/* `...` or NULL, then the length at `index` + 1. */
bool job_arg_buffer(struct job *job, unsigned index);
/* [n] */
bool job_arg_bracketed(struct job *job, unsigned index, long *value);
/* A field of a struct literal; NULL without it. */
const struct expr *expr_field(const struct expr *expr, const char *name);
bool job_field(struct job *job, const struct expr *expr, const char *name, long *value);
/* [{..., length}, ...] */
bool job_list_iov(struct job *job, const struct expr *list);

#endif
