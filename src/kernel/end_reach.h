/* SPDX-License-Identifier: BSD-2-Clause */
/* How `end` reaches one connection: a copy of a holder's descriptor, and the diagnostic socket of its
 * network namespace. Everything found is compared with the cookie before it is used. */
#ifndef LASTACK_KERNEL_END_REACH_H
#define LASTACK_KERNEL_END_REACH_H

#include <linux/inet_diag.h>
#include <stdint.h>

#include "doctor/facts.h"

/* A copy of a descriptor of holder `h` that leads to this very socket, to be closed by the caller.
 * Where the number leads elsewhere by now, the holder's other descriptors are looked through.
 * -ENOENT: it has none any more; -EPERM: it may not be looked at. */
int reach_descriptor(const struct facts *f, const struct fact_holder *h);

/* A diagnostic netlink socket in the connection's network namespace, or -errno (-ENOENT: no way
 * leads there). */
int reach_namespace(const struct facts *f);

/* One connection as the kernel has it now. */
struct reach_entry {
    struct inet_diag_sockid id;
    uint8_t family;
    enum lastack_state state;
    uint64_t send_queue, inode;
};
/* 0, -ENOENT: gone. One that went on to TIME_WAIT (with another cookie) is still found. With facts of
 * id 0: whatever has these addresses. `by_address` becomes true if the addresses alone lead to it; if
 * it is true already, nothing else is tried. */
int reach_look(int net, const struct facts *f, struct reach_entry *entry, bool *by_address);
int reach_destroy(int net, const struct reach_entry *entry);

#endif
