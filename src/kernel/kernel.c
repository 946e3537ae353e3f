/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void kernel_view_init(struct kernel_view *view) { memset(view, 0, sizeof *view); }
void kernel_view_free(struct kernel_view *view) { text_free(&view->unseen); }
int facts_from_kernel(struct facts_list *list, const struct kernel_options *options, struct kernel_view *view, char *why, size_t why_len)
{ (void)list; (void)options; (void)view; snprintf(why, why_len, "not built yet"); return -ENOSYS; }
