/* SPDX-License-Identifier: BSD-2-Clause */
/* Ending a connection of the kernel: a shutdown through a copy of a holder's descriptor
 * (pidfd_getfd), or SOCK_DESTROY. Identity is the cookie: never a number that may be reused. */
#ifndef LASTACK_KERNEL_END_H
#define LASTACK_KERNEL_END_H

#include <stddef.h>

#include "doctor/facts.h"

/* `how`: SHUT_WR, SHUT_RDWR, LASTACK_END_RST. 0; -ENOENT: gone meanwhile; -EOPNOTSUPP: nobody holds
 * a descriptor, so that no shutdown is possible (only LASTACK_END_RST is); -EPERM, or another -errno.
 * `why` gets a sentence that says what to do. */
int kernel_end(const struct facts *facts, int how, char *why, size_t why_len);

#endif
