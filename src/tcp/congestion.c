/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/congestion.h"

#include <string.h>

#include "base/bytes.h"

static const struct congestion_ops *const controllers[] = {&congestion_reno};

const struct congestion_ops *congestion_at(unsigned index)
{
    return index < ARRAY_LEN(controllers) ? controllers[index] : NULL;
}

int congestion_find(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(controllers); i++)
        if (strlen(controllers[i]->name) == len && memcmp(controllers[i]->name, name, len) == 0)
            return (int)i;
    return -1;
}
