/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's own list of TCP sockets, by netlink (sock_diag). Private to src/kernel. */
#ifndef LASTACK_KERNEL_DIAG_H
#define LASTACK_KERNEL_DIAG_H

#include "kernel/scan.h"

/* A socket of sock_diag in the namespace of the calling thread; -errno. */
int diag_open(void);
/* Add all sockets of a namespace in one of `states` (bits 1 << LINUX_*), both families. 0, -errno. */
int diag_dump(struct scan *scan, uint32_t space, uint32_t states);
/* Look at the sockets in `states` again: fills `moved`, `gone` and nothing else. */
int diag_dump_again(struct scan *scan, uint32_t space, uint32_t states);
/* The same for one socket (~4 us). */
void diag_look_again(struct scan *scan, uint32_t socket);
/* What a struct tcp_info of `len` bytes says. */
void diag_read_tcp(struct scan_tcp *to, const void *info, size_t len);
/* Whether somebody has the other end of it, in its own namespace; true if that cannot be known. */
bool diag_has_peer(const struct scan *scan, uint32_t socket);

#endif
