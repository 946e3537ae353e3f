/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder (`lastack watch`): tracepoint programs that remember, for each TCP socket, what no
 * snapshot can show: when it was born and where, when the peer's FIN came, when a receive returned 0
 * and where, who closed which descriptor and how many references stayed. Its memory is bounded and
 * lives in BPF maps of the recorder's process, so that `lastack why` reads it without asking anybody.
 */
#ifndef LASTACK_KERNEL_RECORDER_H
#define LASTACK_KERNEL_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"

/* Complete kernel records of `list` with the history of a running recorder. The number of records
 * completed; 0 with `*running` false if there is no recorder; -errno with a sentence in `why`. */
int facts_add_history(struct facts_list *list, bool *running, char *why, size_t why_len);

#endif
