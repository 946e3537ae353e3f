/* SPDX-License-Identifier: BSD-2-Clause */
/* Ending a connection of the kernel: a shutdown through a copy of a holder's descriptor
 * (pidfd_getfd), or SOCK_DESTROY. Identity is the cookie: never a number that may be reused. */
#ifndef LASTACK_KERNEL_END_H
#define LASTACK_KERNEL_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"

/* `how`: SHUT_WR, SHUT_RDWR, LASTACK_END_RST. 0; -ENOENT: gone meanwhile; -EOPNOTSUPP: nobody holds
 * a descriptor, so that no shutdown is possible (only LASTACK_END_RST is); -ENOSYS: this kernel
 * destroys no sockets; -EINVAL: there is no connection to end; -EPERM, or another -errno. `why` gets
 * a sentence that says what to do; with 0 it is "", or what this did not do (no RST to the peer). */
int kernel_end(const struct facts *facts, int how, char *why, size_t why_len);

/* One connection at this moment, without asking who holds it. */
struct kernel_now {
    enum lastack_state state; /* TIME_WAIT: it has ended */
    uint64_t send_queue;      /* bytes and FIN that the peer has not acknowledged */
    uint64_t inode;           /* 0: no descriptor leads to it (any more) */
    bool by_address;          /* an earlier look found it so: then a search through all is spared */
};
/* 0, -ENOENT: gone, or another -errno. `now` is zero-initialised before the first look, and given to
 * the next ones again. */
int kernel_end_look(const struct facts *facts, struct kernel_now *now);

#endif
