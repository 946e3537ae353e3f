/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP in and out (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2). */
#ifndef LASTACK_STACK_ICMP_H
#define LASTACK_STACK_ICMP_H

#include <stddef.h>

#include "wire/ip4.h"

struct stack;

/* A message for this stack, contiguous. */
void icmp_rx(struct stack *stack, const struct ip4 *ip, const uint8_t *data, size_t len);
/* Tell the sender of `ip` that it cannot be delivered. `packet` is what came, IP header first. */
void icmp_unreachable(struct stack *stack, const struct ip4 *ip, uint8_t code,
                      const uint8_t *packet, size_t len);

#endif
