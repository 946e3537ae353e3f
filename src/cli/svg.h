/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one connection as a picture. */
#ifndef LASTACK_CLI_SVG_H
#define LASTACK_CLI_SVG_H

#include "cli/cli.h"
#include "doctor/rules.h"

/* Draw `one` into the file `path` ("-": standard output). An exit status, after a complaint if it
 * is EXIT_USAGE. */
int svg_write(const char *command, const char *path, const struct catch *catch,
              const struct facts *one, const struct findings *findings);

#endif
