/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/census.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct census_process *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

const struct census_process *census_find(const struct census *census, uint32_t pid)
{
    struct census_process key = {.pid = pid};
    return census->process_cnt ? bsearch(&key, census->processes, census->process_cnt, sizeof key,
                                         compare)
                               : NULL;
}

void census_free(struct census *census)
{
    free(census->processes);
    free(census->threads);
    memset(census, 0, sizeof *census);
}
