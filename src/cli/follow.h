/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack why --follow: a live view of the findings. */
#ifndef LASTACK_CLI_FOLLOW_H
#define LASTACK_CLI_FOLLOW_H

#include "cli/why.h"

/* Until the user has enough; an exit status. */
int follow(const struct why_options *o, const char *command);

#endif
