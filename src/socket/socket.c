/* SPDX-License-Identifier: BSD-2-Clause */
/* Birth, release and body of a socket. */
#include "socket/socket.h"

#include <errno.h>

#include "socket/epoll.h"
#include "socket/linger.h"
#include "socket/port.h"
#include "tcp/call.h"

static struct tcp_options options_default(const struct lastack_config *config)
{
    return (struct tcp_options){
        .send_buffer = config->send_buffer,
        .receive_buffer = config->receive_buffer,
        .keepalive_idle_s = (uint16_t)MIN((config->keepalive_idle_ms + 999) / 1000, 65535u),
        .keepalive_interval_s = (uint16_t)MIN((config->keepalive_interval_ms + 999) / 1000, 65535u),
        .keepalive_cnt = (uint8_t)MIN(config->keepalive_count, 255u),
    };
}

struct socket *socket_create(lastack *stack)
{
    struct socket *s = pool_get(&stack->sockets);
    if (s == NULL)
        return NULL;
    s->file.kind = FILE_SOCKET;
    s->id = stack->next_socket_id++;
    list_init(&s->file.owner.event_link);
    list_init(&s->event_link);
    return s;
}

/* (Back) to a socket without connection: it needs a binding for its address and options. */
static int binding_give(lastack *stack, struct socket *s, const struct tcp_options *options)
{
    if (s->binding != NULL)
        return 0;
    s->binding = pool_get(&stack->bindings);
    if (s->binding == NULL)
        return -ENOBUFS;
    binding_init(s->binding, s, options);
    return 0;
}

int socket_open(lastack *stack, struct socket **out)
{
    struct socket *s = socket_create(stack);
    if (s == NULL)
        return -ENFILE;
    struct tcp_options options = options_default(&tcp_of(stack)->config);
    int error = binding_give(stack, s, &options);
    if (error != 0)
        pool_put(&stack->sockets, s);
    *out = s;
    return error;
}

void socket_binding_drop(lastack *stack, struct socket *s)
{
    if (s->binding == NULL)
        return;
    port_release(s->binding);
    pool_put(&stack->bindings, s->binding);
    s->binding = NULL;
}

int socket_disconnect(lastack *stack, struct socket *s, enum lastack_cause cause)
{
    struct connection *c = s->connection;
    int error = binding_give(stack, s, &c->options);
    if (error != 0)
        return error;
    s->body = BODY_NONE;
    s->connection = NULL;
    s->connecting = false;
    tcp_call_close(tcp_of(stack), c, cause, true);
    return 0;
}

struct tcp_options *socket_options(struct socket *s)
{
    return s->body == BODY_CONNECTION ? &s->connection->options : &s->binding->options;
}

int socket_error_take(struct socket *s)
{
    uint8_t *error = s->body == BODY_CONNECTION ? &s->connection->error : &s->error;
    int value = *error;
    *error = 0;
    return value;
}

static int connection_release(lastack *stack, struct socket *s, enum lastack_cause cause)
{
    struct connection *c = s->connection;
    bool abort = s->linger && s->linger_s == 0;
    bool unread = c->receive.len > 0;
    if (s->linger && !abort && !unread && !s->file.nonblock && cause == LASTACK_CAUSE_CLOSE)
        return linger_start(stack, s, c);
    tcp_call_close(tcp_of(stack), c, cause, abort);
    return 0;
}

int socket_release(lastack *stack, struct socket *s, enum lastack_cause cause)
{
    int result = 0;
    epoll_forget(stack, s);
    list_remove(&s->file.owner.event_link);
    list_remove(&s->event_link);
    if (s->body == BODY_LISTENER)
        listener_delete(tcp_of(stack), s->listener, cause);
    else if (s->body == BODY_CONNECTION)
        result = connection_release(stack, s, cause);
    socket_binding_drop(stack, s);
    pool_put(&stack->sockets, s);
    return result;
}
