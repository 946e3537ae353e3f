/* SPDX-License-Identifier: BSD-2-Clause */
/* Birth, edges and death of a connection. */
#include "tcp/connection.h"

#include <assert.h>

#include "tcp/listener.h"
#include "tcp/reassembly.h"
#include "tcp/tcp.h"
#include "tcp/time_wait.h"
#include "tcp/timeout.h"
#include "tcp/transmit.h"

/* DESIGN: what the stack itself may end when the table is full are orphans, oldest first. */
static bool orphan_reclaim(struct tcp *tcp)
{
    list_for_each(node, &tcp->orphans) {
        struct connection *c = container_of(node, struct connection, queue_link);
        if (c->id == tcp->delivering_id || c->owner != NULL)
            continue; /* on its way through the loopback; somebody lingers for it */
        tcp_drop(tcp, DROP_ORPHAN_LIMIT, &c->flow.key, c->id);
        connection_reset(tcp, c, LASTACK_CAUSE_MEMORY, 0);
        connection_settle(tcp, c);
        return true;
    }
    return false;
}

struct connection *connection_create(struct tcp *tcp, const struct lastack_tuple *key,
                                     const struct tcp_options *options, enum lastack_state state)
{
    struct connection *c = pool_get(&tcp->connections);
    if (c == NULL && orphan_reclaim(tcp))
        c = pool_get(&tcp->connections);
    if (c == NULL) {
        tcp_drop(tcp, DROP_CONNECTION_LIMIT, key, 0);
        return NULL;
    }
    c->flow.key = *key;
    c->flow.kind = FLOW_CONNECTION;
    c->flow.spare = (uint16_t)state;
    c->flow.reusable = options->reuse;
    c->id = tcp->next_id++;
    c->options = *options;
    c->rto_ms = tcp->config.rto_initial_ms;
    c->mss = 536;
    c->rcv_mss = 536;
    list_init(&c->tx_link);
    list_init(&c->queue_link);
    timer_init(&c->timer, TIMER_CONNECTION);
    stamp_set(tcp, &c->born);
    return c;
}

void connection_hash(struct tcp *tcp, struct connection *c)
{
    flow_insert(&tcp->flows, &c->flow);
}

/* Off the wire: nothing of it can be found or fires any more. What was received may be read. */
static void connection_leave(struct tcp *tcp, struct connection *c)
{
    flow_remove(&tcp->flows, &c->flow);
    timer_disarm(tcp->wheel, &c->timer);
    for (int i = 0; i < DEADLINE_CNT; i++)
        c->deadline[i] = 0;
    list_remove(&c->tx_link);
    stream_clear(&c->send, &tcp->pages);
    reassembly_clear(tcp, c);
    if (!connection_has(c, CONNECTION_UNACCEPTED))
        list_remove(&c->queue_link);
    tcp->orphan_cnt -= connection_has(c, CONNECTION_ORPHAN);
}

void connection_move(struct tcp *tcp, struct connection *c, enum lastack_state to,
                     enum lastack_cause cause, int error)
{
    assert(state_edge_is_legal(connection_state(c), to));
    tcp_edge(tcp, c->id, &c->flow.key, connection_state(c), to, cause, error);
    stamp_set(tcp, &c->state_since);
    if (error != 0)
        c->error = c->last_error = (uint8_t)error;
    if (to == LASTACK_CLOSED || to == LASTACK_TIME_WAIT)
        connection_leave(tcp, c);
    if (to == LASTACK_TIME_WAIT)
        time_wait_create(tcp, c);
    c->flow.spare = to == LASTACK_TIME_WAIT ? LASTACK_CLOSED : to;
    if (to == LASTACK_FIN_WAIT_2 && connection_has(c, CONNECTION_ORPHAN))
        deadline_set(tcp, c, DEADLINE_LIFE, tcp->config.orphan_fin_wait_ms);
    connection_notify(tcp, c);
}

void connection_settle(struct tcp *tcp, struct connection *c)
{
    if (connection_state(c) != LASTACK_CLOSED || c->owner != NULL)
        return;
    stream_clear(&c->receive, &tcp->pages);
    pool_put(&tcp->connections, c);
}

void connection_reset(struct tcp *tcp, struct connection *c, enum lastack_cause cause, int error)
{
    reply_plain(tcp, &c->flow.key, transmit_seq(c), c->rcv_nxt, TCP_RST | TCP_ACK, 0);
    connection_move(tcp, c, LASTACK_CLOSED, cause, error);
}

/* RFC 9293 3.10.5: in SYN_SENT the peer knows nothing; in the last states it needs no RST. */
void connection_abort(struct tcp *tcp, struct connection *c, enum lastack_cause cause, int error)
{
    switch (connection_state(c)) {
    case LASTACK_CLOSED:
        break;
    case LASTACK_CLOSING:
    case LASTACK_LAST_ACK:
        if (c->send.len > 0) { /* but it must not take silence for the end of our data */
            connection_reset(tcp, c, cause, error);
            break;
        }
        /* fall through */
    case LASTACK_SYN_SENT:
        connection_move(tcp, c, LASTACK_CLOSED, cause, error);
        break;
    default:
        connection_reset(tcp, c, cause, error);
    }
}

void connection_discard(struct tcp *tcp, struct connection *c)
{
    c->flags |= CONNECTION_DISCARD;
    stream_drop(&c->receive, &tcp->pages, c->receive.len, c->ooo != NULL);
}

bool connection_may_orphan(struct tcp *tcp, const struct connection *c)
{
    if (tcp->orphan_cnt < tcp->config.orphan_max)
        return true;
    tcp_drop(tcp, DROP_ORPHAN_LIMIT, &c->flow.key, c->id);
    return false;
}

void connection_orphan(struct tcp *tcp, struct connection *c)
{
    c->owner = NULL;
    if (connection_state(c) == LASTACK_CLOSED)
        return;
    c->flags |= CONNECTION_ORPHAN;
    list_remove(&c->queue_link);
    list_push_back(&tcp->orphans, &c->queue_link);
    tcp->orphan_cnt++;
    if (connection_state(c) == LASTACK_FIN_WAIT_2)
        deadline_set(tcp, c, DEADLINE_LIFE, tcp->config.orphan_fin_wait_ms);
}

void connection_notify(struct tcp *tcp, struct connection *c)
{
    if (c->owner != NULL && !connection_has(c, CONNECTION_UNACCEPTED))
        tcp_notify(tcp, c->owner);
}

void connection_owe(struct tcp *tcp, struct connection *c, unsigned flags)
{
    c->flags |= flags;
    if (!list_linked(&c->tx_link) && connection_state(c) != LASTACK_CLOSED)
        list_push_back(&tcp->tx_queue, &c->tx_link);
}
