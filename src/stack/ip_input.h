/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of a packet in: header, destination, reassembly, transport. */
#ifndef LASTACK_STACK_IP_INPUT_H
#define LASTACK_STACK_IP_INPUT_H

#include "lastack.h"

struct stack;

void ip_input(struct stack *stack, const struct lastack_frame *frame);

#endif
