/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets as system objects.
 *
 *   process -> descriptor table -> file (reference count) -> socket -> connection | listener
 *
 * A socket's life: unbound -> bound -> listening, or -> connecting -> connected -> (ended). It is
 * released when its last reference goes, whoever held it: socket_release is the only place, and
 * SEMANTICS 2 "close" is written there.
 */
#ifndef LASTACK_SOCKET_SOCKET_H
#define LASTACK_SOCKET_SOCKET_H

#include "stack/stack.h"
#include "tcp/listener.h"

enum file_kind { FILE_SOCKET, FILE_EPOLL, FILE_LINGER };

/* What a descriptor or a message refers to. */
struct file {
    struct tcp_owner owner; /* what tcp notifies */
    uint32_t refs;
    uint8_t kind;
    bool nonblock;
};

enum socket_body { BODY_NONE, BODY_LISTENER, BODY_CONNECTION };

struct watch;

struct socket {
    struct file file;
    uint8_t body;
    uint8_t error;          /* errno pending without a connection */
    uint16_t linger_s;
    bool linger : 1;
    bool reuse_address : 1;
    bool reuse_port : 1;
    bool connecting : 1;    /* connect() has not reported its success yet */
    bool bound_implicitly : 1;
    uint64_t id;
    union {
        struct connection *connection;
        struct listener *listener;
    };
    struct binding *binding; /* NULL once connected without bind(), and when accepted */
    struct list event_link;  /* on lastack->events */
    struct watch *watches;   /* epoll items that watch it */
    void *user;
};

/* A socket that is not (only) a connection: its address, and options for what comes of it. */
struct binding {
    struct binding *next, **back; /* among those of its port, while it has one */
    struct socket *socket;
    struct lastack_address address;
    uint16_t port;           /* 0: not bound */
    struct tcp_options options;
};

struct lastack {
    struct stack stack;
    struct pool sockets, bindings, epolls, watches, lingers, messages;
    struct list processes, message_list;
    struct binding **bindings_by_port; /* 65536 heads */
    struct list events;      /* sockets with something to tell the embedder */
    struct list lingered;    /* closes that are done lingering */
    uint64_t next_socket_id;
    uint32_t process_cnt;
};

static inline struct tcp *tcp_of(lastack *stack)
{
    return &stack->stack.tcp;
}

/* A socket without references yet (refs = 0) and without body, for accept. NULL: no memory. */
struct socket *socket_create(lastack *stack);
/* The same, unconnected, with default options. 0, -ENFILE, -ENOBUFS. */
int socket_open(lastack *stack, struct socket **out);
/* Connected without bind(): what was kept for an unconnected socket goes. */
void socket_binding_drop(lastack *stack, struct socket *socket);
/* The last reference is gone. Returns 0 or -EINPROGRESS (lingering). */
int socket_release(lastack *stack, struct socket *socket, enum lastack_cause cause);
/* Options of whatever body it has. */
struct tcp_options *socket_options(struct socket *socket);
/* errno pending: returned once, then 0. */
int socket_error_take(struct socket *socket);
/* Drop its connection (with a RST if it lives): the socket is unconnected again. 0, -ENOBUFS. */
int socket_disconnect(lastack *stack, struct socket *socket, enum lastack_cause cause);
static inline struct connection *socket_connection(const struct socket *socket)
{
    return socket->body == BODY_CONNECTION ? socket->connection : NULL;
}

/* Spread what tcp has to say: to epoll instances, to the embedder's event list. */
void events_spread(lastack *stack);
uint32_t socket_readiness(const struct socket *socket);

#endif
