/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/listener.h"

#include "base/address.h"
#include "base/siphash.h"
#include "tcp/half_open.h"
#include "tcp/tcp.h"

static struct listener **listeners_of(struct tcp *tcp, uint16_t port)
{
    return &tcp->flows.port_use[port].listeners;
}

static void listener_link(struct tcp *tcp, struct listener *l)
{
    l->back = listeners_of(tcp, l->key.local_port);
    l->next = *l->back;
    if (l->next != NULL)
        l->next->back = &l->next;
    *l->back = l;
}

static void listener_unlink(struct listener *l)
{
    *l->back = l->next;
    if (l->next != NULL)
        l->next->back = l->back;
}

struct listener *listener_create(struct tcp *tcp, const struct lastack_tuple *key, uint32_t backlog,
                                 struct tcp_owner *owner, const struct tcp_options *options)
{
    struct listener *l = pool_get(&tcp->listeners);
    if (l == NULL)
        return NULL;
    l->id = tcp->next_id++;
    l->owner = owner;
    l->key = *key;
    l->options = *options;
    l->backlog = backlog;
    l->born_ns = tcp->now_ns;
    l->any_address = address_is_any(&key->local);
    list_init(&l->accept_queue);
    list_init(&l->half_opens);
    listener_link(tcp, l);
    tcp_edge(tcp, l->id, &l->key, LASTACK_CLOSED, LASTACK_LISTEN, LASTACK_CAUSE_LISTEN, 0);
    return l;
}

void listener_delete(struct tcp *tcp, struct listener *l, enum lastack_cause cause)
{
    list_for_each(node, &l->half_opens)
        half_open_reset(tcp, container_of(node, struct half_open, link), cause);
    list_for_each(node, &l->accept_queue)
    {
        struct connection *c = container_of(node, struct connection, queue_link);
        list_remove(&c->queue_link);
        tcp->unaccepted_cnt--;
        c->flags &= ~CONNECTION_UNACCEPTED;
        c->owner = NULL;
        if (connection_state(c) != LASTACK_CLOSED)
            connection_reset(tcp, c, cause, 0);
        connection_settle(tcp, c);
    }
    tcp_edge(tcp, l->id, &l->key, LASTACK_LISTEN, LASTACK_CLOSED, cause, 0);
    listener_unlink(l);
    pool_put(&tcp->listeners, l);
}

static bool listener_matches(const struct listener *l, const struct lastack_tuple *key)
{
    return l->any_address || address_equal(&l->key.local, &key->local);
}

/* Only listeners that share a port are walked: SO_REUSEPORT groups and addresses. */
struct listener *listener_find(struct tcp *tcp, const struct lastack_tuple *key)
{
    struct listener *first = *listeners_of(tcp, key->local_port), *best = NULL;
    uint32_t equals = 0;
    for (struct listener *l = first; l != NULL; l = l->next) {
        if (!listener_matches(l, key))
            continue;
        if (best == NULL || (best->any_address && !l->any_address)) {
            best = l;
            equals = 1;
        } else if (best->any_address == l->any_address) {
            equals++;
        }
    }
    if (equals < 2)
        return best;
    uint32_t skip = (uint32_t)(siphash13(tcp->flows.key, key, sizeof *key) >> 32) % equals;
    struct listener *l = first;
    while (!listener_matches(l, key) || l->any_address != best->any_address || skip-- > 0)
        l = l->next;
    return l;
}

static void refuse(struct tcp *tcp, const struct listener *l, const struct segment *seg,
                   enum drop reason)
{
    tcp_drop(tcp, reason, &seg->key, l->id);
}

/* RFC 9293 3.10.7.2 */
void listener_rx(struct tcp *tcp, struct listener *l, struct segment *seg)
{
    uint8_t flags = seg->h.flags;
    if (flags & TCP_RST) {
        refuse(tcp, l, seg, DROP_LISTEN_RST);
    } else if (flags & TCP_ACK) {
        if (flags & TCP_SYN || !half_open_cookie(tcp, l, seg)) {
            reply_reset(tcp, seg);
            refuse(tcp, l, seg, tcp->cookie_until != 0 ? DROP_COOKIE_BAD : DROP_LISTEN_ACK);
        }
    } else if (!(flags & TCP_SYN)) {
        refuse(tcp, l, seg, DROP_LISTEN_NO_SYN);
    } else if (flags & TCP_FIN) {
        refuse(tcp, l, seg, DROP_LISTEN_SYN_FIN);
    } else if (listener_is_full(l)) {
        refuse(tcp, l, seg, DROP_LISTEN_BACKLOG);
    } else {
        half_open_create(tcp, l, seg, NULL);
    }
}

void listener_enqueue(struct tcp *tcp, struct listener *l, struct connection *c)
{
    c->flags |= CONNECTION_UNACCEPTED | CONNECTION_PASSIVE;
    c->listener = l;
    list_push_back(&l->accept_queue, &c->queue_link);
    l->accept_cnt++;
    tcp->unaccepted_cnt++;
    tcp_notify(tcp, l->owner);
}

struct connection *listener_accept(struct tcp *tcp, struct listener *l, struct tcp_owner *owner)
{
    struct list *node = list_pop_front(&l->accept_queue);
    if (node == NULL)
        return NULL;
    struct connection *c = container_of(node, struct connection, queue_link);
    c->flags &= ~CONNECTION_UNACCEPTED;
    c->owner = owner;
    l->accept_cnt--;
    tcp->unaccepted_cnt--;
    return c;
}
