/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of `lastack export`: numbers in the text format of Prometheus, and a small server for
 * them. Private to export*.c. */
#ifndef LASTACK_CLI_EXPORT_H
#define LASTACK_CLI_EXPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "cli/end.h"
#include "doctor/rules.h"
#include "doctor/text.h"

#define EXPORT_PROGRAM_MAX 20 /* label values; all others are "other" */
#define EXPORT_STACK_MAX   50

/* ---- numbers (export_metrics.c) ---- */

/* What was done by `lastack end`, counted from its log as it grows. */
struct export_log {
    char path[512];
    dev_t device;
    ino_t inode;
    off_t offset;
    uint64_t outcomes[END_OUTCOME_CNT];
};
void export_log_read(struct export_log *log);

/* What the looks cost. */
struct export_cost {
    uint64_t looks, failures, last_us, cpu_us;
};

/* All metrics as text. `catch` is NULL if the look failed. */
void export_metrics(struct text *out, const struct catch *catch, const struct findings *findings,
                    const struct export_log *log, const struct export_cost *cost);

/* ---- the server (export_http.c) ---- */

struct export_server {
    const char *command;
    /* Put the page of this moment into `page`; called when somebody asks. */
    void (*fill)(void *arg, struct text *page);
    void *arg;
};
/* Listen on "127.0.0.1:9464", "[::1]:9464", ":9464". The descriptor, or -1 after a complaint. */
int export_listen(const char *command, const char *where);
/* Until `end_stopped`. */
void export_serve(const struct export_server *server, int listener);

#endif
