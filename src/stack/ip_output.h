/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of a segment out: headers, checksum, route. */
#ifndef LASTACK_STACK_IP_OUTPUT_H
#define LASTACK_STACK_IP_OUTPUT_H

#include "tcp/segment.h"

struct stack;
struct packet;

/* Make a frame of a segment, its headers in `header`. False: no route (a named drop). */
bool ip_output_segment(struct stack *stack, struct outgoing *out, uint8_t *header,
                       struct lastack_frame *frame);
/* The next fragment (or all) of a queued packet; *last: nothing of it remains. */
bool ip_output_packet(struct stack *stack, struct packet *packet, uint8_t *header,
                      struct lastack_frame *frame, bool *last);

#endif
