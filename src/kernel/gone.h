/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections whose other end was on this machine and is gone. Private to src/kernel. */
#ifndef LASTACK_KERNEL_GONE_H
#define LASTACK_KERNEL_GONE_H

#include "kernel/scan.h"

/* Mark them, where the dump was complete enough to know. */
void gone_look(struct scan *scan);

#endif
