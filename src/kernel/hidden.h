/* SPDX-License-Identifier: BSD-2-Clause */
/* Holders that have no descriptor. Private. */
#ifndef LASTACK_KERNEL_HIDDEN_H
#define LASTACK_KERNEL_HIDDEN_H

#include "kernel/scan.h"

/* Name who holds a socket that has no descriptor, as far as it can be known: first what is certain
 * (registered with a ring, mapped, in a message), then what remains by elimination; where more than
 * one answer remains, the holder is OTHER. Rings are looked at in any case: they hide holders and
 * watchers of sockets that have descriptors, too. */
void hidden_look(struct scan *scan);

#endif
