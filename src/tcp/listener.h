/* SPDX-License-Identifier: BSD-2-Clause */
/* A listener: the passive OPEN (RFC 9293 3.10.1), its half-open entries and its accept queue. */
#ifndef LASTACK_TCP_LISTENER_H
#define LASTACK_TCP_LISTENER_H

#include "base/list.h"
#include "tcp/connection.h"

struct listener {
    struct listener *next, **back; /* among those of its port */
    uint64_t id;
    struct tcp_owner *owner;
    struct lastack_tuple key;   /* remote is zero */
    struct tcp_options options; /* its children start with these */
    uint32_t backlog;
    uint32_t accept_cnt, half_open_cnt;
    struct list accept_queue, half_opens;
    uint64_t born_ns;
    bool any_address;
};

/* Start to listen at local address and port. NULL: limit. */
struct listener *listener_create(struct tcp *tcp, const struct lastack_tuple *key, uint32_t backlog,
                                 struct tcp_owner *owner, const struct tcp_options *options);
/* Stop: half-open entries are reset, connections nobody accepted too. */
void listener_delete(struct tcp *tcp, struct listener *listener, enum lastack_cause cause);
/* The listener for a segment: exact address before wildcard; among several of equal rank
 * (SO_REUSEPORT) by the flow's hash. */
struct listener *listener_find(struct tcp *tcp, const struct lastack_tuple *key);
void listener_rx(struct tcp *tcp, struct listener *listener, struct segment *seg);
static inline bool listener_is_full(const struct listener *l)
{
    return l->accept_cnt > l->backlog; /* as Linux: one more than the backlog */
}
/* A finished handshake enters the accept queue. */
void listener_enqueue(struct tcp *tcp, struct listener *listener, struct connection *c);
/* The oldest, no longer in the queue; NULL: none. The caller becomes its owner. */
struct connection *listener_accept(struct tcp *tcp, struct listener *listener,
                                   struct tcp_owner *owner);

#endif
