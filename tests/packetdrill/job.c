/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments of a system call in a script -> values. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

bool job_fail(struct job *job, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return run_fail_at(job->run, job->event->line, "%s: %s", job->event->call.name, text);
}

const struct expr *job_arg(const struct job *job, unsigned index)
{
    const struct expr *expr = job->event->call.args;

    while (index--)
        expr = expr->next;
    return expr;
}

bool job_number(struct job *job, const struct expr *expr, long *value)
{
    int64_t constant;

    *value = 0;
    switch (expr->kind) {
    case EXPR_INT:
        *value = expr->number;
        return true;
    case EXPR_WORD:
        if (!symbol_value(expr->text, &constant))
            return job_fail(job, "unknown name '%s' (column %u)", expr->text, expr->column);
        *value = constant;
        return true;
    case EXPR_OR:
        for (const struct expr *part = expr->children; part; part = part->next) {
            long bits;

            if (!job_number(job, part, &bits))
                return false;
            *value |= bits;
        }
        return true;
    default:
        return job_fail(job, "a number is needed (column %u)", expr->column);
    }
}

bool job_arg_number(struct job *job, unsigned index, long *value)
{
    return job_number(job, job_arg(job, index), value);
}

bool job_live_fd(struct job *job, long number, int *fd)
{
    if (number < 0 || number >= RUN_FDS || job->run->live_fd[number] < 0)
        return job_fail(job, "the script has no descriptor %ld", number);
    *fd = job->run->live_fd[number];
    return true;
}

bool job_arg_fd(struct job *job, unsigned index, int *fd)
{
    long number;

    return job_arg_number(job, index, &number) && job_live_fd(job, number, fd);
}

bool job_arg_ellipsis(struct job *job, unsigned index)
{
    const struct expr *expr = job_arg(job, index);

    return expr->kind == EXPR_ELLIPSIS ||
           job_fail(job, "'...' is needed (column %u)", expr->column);
}

/* `...` or NULL, then the length at `index` + 1. */
bool job_arg_buffer(struct job *job, unsigned index)
{
    const struct expr *expr = job_arg(job, index);
    long len;

    if (!job_arg_number(job, index + 1, &len))
        return false;
    if (len < 0)
        return job_fail(job, "negative length");
    job->len = (size_t)len;
    if (expr->kind == EXPR_WORD && !strcmp(expr->text, "NULL"))
        return true;
    job->data = calloc(1, job->len + 1);
    return job_arg_ellipsis(job, index);
}

/* [n] */
bool job_arg_bracketed(struct job *job, unsigned index, long *value)
{
    const struct expr *expr = job_arg(job, index);

    if (expr->kind != EXPR_LIST || expr->child_cnt != 1)
        return job_fail(job, "[number] is needed (column %u)", expr->column);
    return job_number(job, expr->children, value);
}

const struct expr *expr_field(const struct expr *expr, const char *name)
{
    for (const struct expr *child = expr->children; child; child = child->next)
        if (child->field && !strcmp(child->field, name))
            return child;
    return NULL;
}

bool job_field(struct job *job, const struct expr *expr, const char *name, long *value)
{
    const struct expr *field = expr->kind == EXPR_STRUCT ? expr_field(expr, name) : NULL;

    if (!field)
        return job_fail(job, "{..., %s=number, ...} is needed (column %u)", name, expr->column);
    return job_number(job, field, value);
}

bool job_list_iov(struct job *job, const struct expr *list)
{
    if (!list || list->kind != EXPR_LIST)
        return job_fail(job, "[{..., length}, ...] is needed");
    for (const struct expr *item = list->children; item; item = item->next) {
        long len;

        if (item->kind != EXPR_STRUCT || item->child_cnt != 2 || job->iov_cnt == RUN_IOV ||
            item->children->kind != EXPR_ELLIPSIS)
            return job_fail(job, "{..., length} is needed (column %u)", item->column);
        if (!job_number(job, item->children->next, &len))
            return false;
        job->iov[job->iov_cnt].iov_base = calloc(1, (size_t)len + 1);
        job->iov[job->iov_cnt++].iov_len = (size_t)len;
    }
    return true;
}
