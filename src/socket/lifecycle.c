/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls that begin and end: socket, bind, listen, accept, connect, shutdown. */
#include <errno.h>

#include "base/address.h"
#include "socket/name.h"
#include "socket/port.h"
#include "socket/process.h"
#include "tcp/call.h"

#define BACKLOG_MAX 4096

int lastack_socket(lastack_process *p, int domain, int type, int protocol)
{
    if (domain != AF_INET)
        return -EAFNOSUPPORT;
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC | 0xf)) != 0)
        return -EINVAL;
    if ((type & 0xf) != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != 0 && protocol != IP_PROTOCOL_TCP)
        return -EPROTONOSUPPORT;
    struct socket *s;
    int error = socket_open(p->stack, &s);
    if (error != 0)
        return error;
    s->file.nonblock = type & SOCK_NONBLOCK;
    int fd = descriptor_open(p, &s->file, 0, LASTACK_ORIGIN_SOCKET, type & SOCK_CLOEXEC);
    if (fd < 0)
        socket_release(p->stack, s, LASTACK_CAUSE_NONE);
    return fd;
}

int lastack_bind(lastack_process *p, int fd, const struct sockaddr *name, socklen_t len)
{
    int error;
    struct lastack_address address;
    uint16_t port;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = name_parse(name, len, &address, &port)) != 0)
        return error;
    if (s->body != BODY_NONE || s->binding->port != 0)
        return -EINVAL;
    if (!address_is_any(&address) && !address_is_mine(&p->stack->stack.interfaces, &address))
        return -EADDRNOTAVAIL;
    error = port_bind(p->stack, s->binding, &address, port);
    if (error == 0)
        s->bound_implicitly = false;
    return error;
}

static int bind_implicitly(lastack *stack, struct socket *s)
{
    if (s->binding->port != 0)
        return 0;
    s->bound_implicitly = true;
    struct lastack_address any = address_from_ip4(0);
    return port_bind(stack, s->binding, &any, 0);
}

static uint32_t backlog_of(int backlog)
{
    return backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (uint32_t)backlog;
}

int lastack_listen(lastack_process *p, int fd, int backlog)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (s->body == BODY_LISTENER) {
        s->listener->backlog = backlog_of(backlog);
        return 0;
    }
    if (s->body != BODY_NONE)
        return -EINVAL;
    if ((error = bind_implicitly(p->stack, s)) != 0 ||
        (error = port_may_listen(p->stack, s->binding)) != 0)
        return error;
    struct lastack_tuple key = {.local = s->binding->address,
                                .local_port = s->binding->port,
                                .remote = address_from_ip4(0)};
    struct listener *l = listener_create(tcp_of(p->stack), &key, backlog_of(backlog),
                                         &s->file.owner, &s->binding->options);
    if (l == NULL)
        return -ENOBUFS;
    s->body = BODY_LISTENER;
    s->listener = l;
    return 0;
}

/* The socket and descriptor are made first: an error then loses no connection. */
int lastack_accept(lastack_process *p, int fd, struct sockaddr *name, socklen_t *len, int flags)
{
    int error;
    struct socket *listening = process_socket(p, fd, &error);
    if (listening == NULL)
        return error;
    if (listening->body != BODY_LISTENER || (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
        return -EINVAL;
    if (list_empty(&listening->listener->accept_queue))
        return -EAGAIN;
    struct socket *s = socket_create(p->stack);
    if (s == NULL)
        return -ENFILE;
    int new_fd = descriptor_open(p, &s->file, 0, LASTACK_ORIGIN_ACCEPT, flags & SOCK_CLOEXEC);
    if (new_fd < 0) {
        pool_put(&p->stack->sockets, s);
        return new_fd;
    }
    s->file.nonblock = flags & SOCK_NONBLOCK;
    s->body = BODY_CONNECTION;
    s->connection = listener_accept(tcp_of(p->stack), listening->listener, &s->file.owner);
    s->linger = listening->linger;
    s->linger_s = listening->linger_s;
    s->reuse_address = listening->reuse_address;
    s->reuse_port = listening->reuse_port;
    const struct lastack_tuple *key = &s->connection->flow.key;
    name_emit(name, len, &key->remote, key->remote_port);
    return new_fd;
}

/* ---- connect ------------------------------------------------------------------ */

static int connect_start(lastack *stack, struct socket *s, struct lastack_tuple *key)
{
    struct tcp *tcp = tcp_of(stack);
    int interface = route_find(&stack->stack.interfaces, &key->remote);
    if (interface < 0 || !route_source(&stack->stack.interfaces, &key->remote, &key->local))
        return -ENETUNREACH;
    bool bound = s->binding->port != 0;
    if (!address_is_any(&s->binding->address))
        key->local = s->binding->address;
    if (bound)
        key->local_port = s->binding->port;
    int error = bound ? 0 : port_for_connection(stack, key);
    if (error != 0)
        return error;
    if (flow_find(&tcp->flows, key) != NULL)
        return -EADDRNOTAVAIL;
    struct connection *c =
        tcp_call_open(tcp, key, &s->binding->options,
                      stack->stack.interfaces.interface[interface].mtu, &s->file.owner);
    if (c == NULL)
        return -ENOBUFS;
    s->body = BODY_CONNECTION;
    s->connection = c;
    s->connecting = true;
    s->error = 0;
    if (!bound)
        socket_binding_drop(stack, s);
    return -EINPROGRESS;
}

/* A connect() while there is a connection: how did the first one go? */
static int connect_again(lastack *stack, struct socket *s)
{
    switch (connection_state(s->connection)) {
    case LASTACK_SYN_SENT:
    case LASTACK_SYN_RCVD:
        return -EALREADY;
    case LASTACK_CLOSED:
        if (s->connecting) {
            int error = socket_error_take(s);
            int failed = socket_disconnect(stack, s, LASTACK_CAUSE_NONE);
            return failed != 0 ? failed : -(error ? error : ECONNABORTED);
        }
        return -EISCONN;
    default:
        if (!s->connecting)
            return -EISCONN;
        s->connecting = false;
        return 0;
    }
}

static int connect_unspec(lastack *stack, struct socket *s)
{
    if (s->body == BODY_CONNECTION)
        return socket_disconnect(stack, s, LASTACK_CAUSE_CONNECT);
    if (s->body == BODY_LISTENER) {
        listener_delete(tcp_of(stack), s->listener, LASTACK_CAUSE_CONNECT);
        s->body = BODY_NONE;
    }
    return 0;
}

int lastack_connect(lastack_process *p, int fd, const struct sockaddr *name, socklen_t len)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (name != NULL && len >= sizeof name->sa_family && name->sa_family == AF_UNSPEC)
        return connect_unspec(p->stack, s);
    struct lastack_tuple key = {0};
    if ((error = name_parse(name, len, &key.remote, &key.remote_port)) != 0)
        return error;
    if (s->body == BODY_CONNECTION)
        return connect_again(p->stack, s);
    if (s->body == BODY_LISTENER)
        return -EISCONN;
    if (address_is_any(&key.remote)) /* as Linux: this host */
        key.remote = address_from_ip4(0x7f000001);
    if (address_is_multicast(&key.remote) || address_is_broadcast(&key.remote))
        return -ENETUNREACH;
    if (key.remote_port == 0) /* nobody can listen there */
        return -ECONNREFUSED;
    return connect_start(p->stack, s, &key);
}

/* ---- shutdown (SEMANTICS 2) ------------------------------------------------------ */

static enum lastack_cause shutdown_cause(int how)
{
    return how == SHUT_RD   ? LASTACK_CAUSE_SHUT_RD
           : how == SHUT_WR ? LASTACK_CAUSE_SHUT_WR
                            : LASTACK_CAUSE_SHUT_RDWR;
}

static int shutdown_listener(lastack *stack, struct socket *s, int how)
{
    if (how == SHUT_WR)
        return 0;
    listener_delete(tcp_of(stack), s->listener, shutdown_cause(how));
    s->body = BODY_NONE;
    tcp_notify(tcp_of(stack), &s->file.owner);
    return 0;
}

/* It acts on the socket itself, whatever the number of references. */
static void shutdown_connection(struct tcp *tcp, struct connection *c, int how,
                                enum lastack_cause cause)
{
    tcp_record(tcp, c, LASTACK_RECORD_CALL, cause, 0);
    if (how != SHUT_RD)
        tcp_call_shutdown_write(tcp, c, cause);
    if (how != SHUT_WR)
        tcp_call_shutdown_read(tcp, c);
}

int lastack_shutdown(lastack_process *p, int fd, int how)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (s->body == BODY_LISTENER)
        return shutdown_listener(p->stack, s, how);
    struct connection *c = socket_connection(s);
    if (c == NULL || connection_state(c) == LASTACK_CLOSED)
        return -ENOTCONN;
    if (connection_state(c) == LASTACK_SYN_SENT) { /* as Linux: the attempt is given up */
        error = socket_disconnect(p->stack, s, shutdown_cause(how));
        s->error = ECONNRESET;
        tcp_notify(tcp_of(p->stack), &s->file.owner);
        return error;
    }
    shutdown_connection(tcp_of(p->stack), c, how, shutdown_cause(how));
    return 0;
}

static bool listener_exists(struct tcp *tcp, uint64_t id)
{
    for (uint32_t i = 1; i <= pool_high(&tcp->listeners); i++)
        if (pool_is_used(&tcp->listeners, i) &&
            ((struct listener *)pool_at(&tcp->listeners, i))->id == id)
            return true;
    return false;
}

/* The operator's ending: as shutdown, by whoever asks. */
int lastack_end(lastack *stack, uint64_t id, int how)
{
    struct tcp *tcp = tcp_of(stack);
    struct connection *c = NULL;
    if (how != SHUT_WR && how != SHUT_RDWR && how != LASTACK_END_RST)
        return -EINVAL;
    for (uint32_t i = 1; i <= pool_high(&tcp->connections) && c == NULL; i++) {
        struct connection *at = pool_at(&tcp->connections, i);
        if (pool_is_used(&tcp->connections, i) && at->id == id)
            c = at;
    }
    if (c == NULL)
        return listener_exists(tcp, id) ? -ENOTCONN : -ENOENT;
    enum lastack_state state = connection_state(c);
    if (state == LASTACK_CLOSED)
        return -ENOTCONN;
    tcp->actor_pid = 0;
    tcp->actor_fd = -1;
    if (how == LASTACK_END_RST)
        connection_abort(tcp, c, LASTACK_CAUSE_OPERATOR, ECONNABORTED);
    else if (state == LASTACK_SYN_SENT)
        connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_OPERATOR, ECONNABORTED);
    else
        shutdown_connection(tcp, c, how, LASTACK_CAUSE_OPERATOR);
    connection_settle(tcp, c);
    return 0;
}
