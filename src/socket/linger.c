/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket/linger.h"

#include <errno.h>

#include "tcp/call.h"

static bool all_acknowledged(const struct connection *c)
{
    return connection_state(c) == LASTACK_CLOSED || connection_has(c, CONNECTION_FIN_ACKED);
}

int linger_start(lastack *stack, struct socket *s, struct connection *c)
{
    struct tcp *tcp = tcp_of(stack);
    bool live = connection_state(c) != LASTACK_CLOSED && connection_state(c) != LASTACK_SYN_SENT;
    struct lingering *l = live && !all_acknowledged(c) ? pool_get(&stack->lingers) : NULL;
    if (l == NULL) {
        tcp_call_close(tcp, c, LASTACK_CAUSE_CLOSE, false);
        return 0;
    }
    l->file.kind = FILE_LINGER;
    list_init(&l->file.owner.event_link);
    list_init(&l->link);
    l->connection = c;
    l->socket_id = s->id;
    l->user = s->user;
    if (!tcp_call_close(tcp, c, LASTACK_CAUSE_CLOSE, false)) {
        pool_put(&stack->lingers, l);
        return 0;
    }
    timer_init(&l->timer, TIMER_LINGER);
    timer_arm(tcp->wheel, &l->timer, tcp->now + s->linger_s * 1000u + 1);
    c->owner = &l->file.owner; /* an orphan for everybody but us */
    c->flags |= CONNECTION_LINGER_WAIT;
    return -EINPROGRESS;
}

static void linger_done(lastack *stack, struct lingering *l)
{
    struct tcp *tcp = tcp_of(stack);
    timer_disarm(tcp->wheel, &l->timer);
    list_remove(&l->file.owner.event_link);
    l->connection->flags &= ~CONNECTION_LINGER_WAIT;
    l->connection->owner = NULL;
    connection_settle(tcp, l->connection);
    l->connection = NULL;
    list_push_back(&stack->lingered, &l->link);
}

void linger_news(lastack *stack, struct lingering *l)
{
    if (l->connection != NULL && all_acknowledged(l->connection))
        linger_done(stack, l);
}

void linger_timer(lastack *stack, struct lingering *l)
{
    linger_done(stack, l);
}
