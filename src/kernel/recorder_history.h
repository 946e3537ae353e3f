/* SPDX-License-Identifier: BSD-2-Clause */
/* From the recorder's records to facts. Private. */
#ifndef LASTACK_KERNEL_RECORDER_HISTORY_H
#define LASTACK_KERNEL_RECORDER_HISTORY_H

#include "kernel/recorder.h"
#include "kernel/recorder_maps.h"

void recorder_tuple_get(struct lastack_tuple *to, uint8_t family, const uint8_t local[16],
                        uint16_t local_port, const uint8_t remote[16], uint16_t remote_port);
/* Its age is counted at `now_ns`; the place is left out. */
void recorder_call_get(struct fact_call *to, const struct recorder_call *from, uint64_t now_ns);

#endif
