/* SPDX-License-Identifier: BSD-2-Clause */
/* The flight recorder: one ring of the newest records. Writing overwrites the oldest. */
#ifndef LASTACK_BASE_RECORDER_H
#define LASTACK_BASE_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lastack.h"

struct recorder {
    struct lastack_record *ring;
    uint32_t len;      /* power of two, or 0: records nothing */
    uint64_t sequence; /* of the newest */
};

/* False: no memory. */
bool recorder_init(struct recorder *recorder, uint32_t len);
void recorder_free(struct recorder *recorder);
/* `record.sequence` is filled in. */
void recorder_put(struct recorder *recorder, const struct lastack_record *record);
bool recorder_next(const struct recorder *recorder, uint64_t *cursor,
                   struct lastack_record *record);

#endif
