/* SPDX-License-Identifier: BSD-2-Clause */
/* The flight recorder's ring: record N lies at N modulo len. */
#include "base/recorder.h"

#include <assert.h>
#include <stdlib.h>

bool recorder_init(struct recorder *recorder, uint32_t len)
{
    assert((len & (len - 1)) == 0);
    *recorder = (struct recorder){.len = len};
    if (len == 0)
        return true;
    recorder->ring = calloc(len, sizeof *recorder->ring);
    return recorder->ring != NULL;
}

void recorder_free(struct recorder *recorder)
{
    free(recorder->ring);
    *recorder = (struct recorder){0};
}

void recorder_put(struct recorder *recorder, const struct lastack_record *record)
{
    if (recorder->len == 0)
        return;
    uint64_t sequence = ++recorder->sequence;
    struct lastack_record *slot = &recorder->ring[sequence & (recorder->len - 1)];
    *slot = *record;
    slot->sequence = sequence;
}

bool recorder_next(const struct recorder *recorder, uint64_t *cursor,
                   struct lastack_record *record)
{
    if (recorder->len == 0 || *cursor >= recorder->sequence)
        return false;
    uint64_t next = *cursor + 1;
    if (recorder->sequence - next >= recorder->len)
        next = recorder->sequence - recorder->len + 1; /* the rest was overwritten */
    *record = recorder->ring[next & (recorder->len - 1)];
    *cursor = next;
    return true;
}
