/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/recorder.h"

int facts_add_history(struct facts_list *list, bool *running, char *why, size_t why_len)
{ (void)list; (void)why; (void)why_len; *running = false; return 0; }
