/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of the matrix, by number: the list is event.def. */
#ifndef LASTACK_TESTS_EVENT_H
#define LASTACK_TESTS_EVENT_H

enum event_number {
#define CALL(name, columns, setup) EVENT_##name,
#define SEGMENT(name, flags, seq, len, ack, prepare) EVENT_##name,
#define SEGMENT_SPECIAL(name) EVENT_##name,
#define TIMEOUT(name, setup, configure, prepare) EVENT_##name,
#include "event.def"
#undef CALL
#undef SEGMENT
#undef SEGMENT_SPECIAL
#undef TIMEOUT
    EVENT_CNT
};

#endif
