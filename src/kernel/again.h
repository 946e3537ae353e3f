/* SPDX-License-Identifier: BSD-2-Clause */
/* The second look: what only time can tell. Private. */
#ifndef LASTACK_KERNEL_AGAIN_H
#define LASTACK_KERNEL_AGAIN_H

#include "kernel/scan.h"

/* Some 50 ms after the first look, if anything is worth it: which interesting connections moved
 * bytes, which are gone (no longer wanted), and whether a socket without a holder still has none. */
void again_look(struct scan *scan);

/* A socket that somebody must hold, and nobody was seen to. */
bool again_is_hidden(const struct scan_socket *s);

#endif
