/* SPDX-License-Identifier: BSD-2-Clause */
/* Does an AF_UNIX socket still exist? Asked of the kernel by inode (sock_diag). */
#ifndef LASTACK_RUN_DIAG_H
#define LASTACK_RUN_DIAG_H

#include <stdint.h>

#define DIAG_UNOPENED (-1)
#define DIAG_NONE (-2) /* this kernel has no unix_diag */

/* 1: it exists, 0: it does not, -1: this kernel cannot tell. *diag is the cached netlink socket,
 * DIAG_UNOPENED at first. */
int diag_unix_exists(int *diag, uint32_t inode);

#endif
