/* SPDX-License-Identifier: BSD-2-Clause */
/* What a socket is ready for, and how the news travels: poll, epoll, events for the embedder. */
#include <errno.h>

#include "socket/epoll.h"
#include "socket/linger.h"
#include "socket/process.h"
#include "tcp/call.h"

#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)

/* Two thirds full is full, as Linux has it; whoever asks in vain is told when there is room. */
static bool has_room(struct connection *c)
{
    if (c->send.len < c->options.send_buffer / 3 * 2 && !list_linked(&c->queue_link))
        return true; /* not full, not starving for memory */
    c->flags |= CONNECTION_WANTS_ROOM;
    return false;
}

static uint32_t connection_readiness(struct connection *c)
{
    enum lastack_state state = connection_state(c);
    bool closed = state == LASTACK_CLOSED;
    bool ended_in = closed || connection_has(c, CONNECTION_FIN_IN | CONNECTION_SHUT_RD);
    bool ended_out = closed || connection_has(c, CONNECTION_FIN_QUEUED);
    uint32_t ready = 0;
    if (ended_in && ended_out)
        ready |= POLLHUP;
    if (ended_in)
        ready |= READABLE | POLLRDHUP;
    if (c->error != 0)
        ready |= POLLERR;
    if (state == LASTACK_SYN_SENT || state == LASTACK_SYN_RCVD)
        return ready;
    if (c->receive.len > 0)
        ready |= READABLE;
    if (ended_out || has_room(c))
        ready |= WRITABLE;
    return ready;
}

uint32_t socket_readiness(const struct socket *s)
{
    if (s->body == BODY_CONNECTION)
        return connection_readiness(s->connection);
    if (s->body == BODY_LISTENER)
        return list_empty(&s->listener->accept_queue) ? 0 : READABLE;
    return WRITABLE | POLLHUP | (s->error ? POLLERR : 0u);
}

int lastack_poll(lastack_process *p, struct pollfd *fds, size_t fd_cnt)
{
    int cnt = 0;
    events_spread(p->stack);
    for (size_t i = 0; i < fd_cnt; i++) {
        struct file *file = fds[i].fd >= 0 ? process_file(p, fds[i].fd) : NULL;
        uint32_t ready = 0;
        if (fds[i].fd >= 0 && file == NULL)
            ready = POLLNVAL;
        else if (file != NULL && file->kind == FILE_SOCKET)
            ready = socket_readiness(container_of(file, struct socket, file)) &
                    ((unsigned short)fds[i].events | POLLERR | POLLHUP);
        fds[i].revents = (short)ready;
        cnt += ready != 0;
    }
    return cnt;
}

void events_spread(lastack *stack)
{
    struct list *node;
    tcp_feed(tcp_of(stack));
    while ((node = list_pop_front(&tcp_of(stack)->events)) != NULL) {
        struct file *file = container_of(node, struct file, owner.event_link);
        if (file->kind == FILE_LINGER) {
            linger_news(stack, container_of(file, struct lingering, file));
            continue;
        }
        struct socket *s = container_of(file, struct socket, file);
        epoll_news(s);
        if (!list_linked(&s->event_link))
            list_push_back(&stack->events, &s->event_link);
    }
}

static bool lingered_event(lastack *stack, struct lastack_event *event)
{
    struct list *node = list_pop_front(&stack->lingered);
    if (node == NULL)
        return false;
    struct lingering *l = container_of(node, struct lingering, link);
    *event = (struct lastack_event){l->socket_id, l->user, LASTACK_LINGERED};
    pool_put(&stack->lingers, l);
    return true;
}

bool lastack_event(lastack *stack, struct lastack_event *event)
{
    events_spread(stack);
    if (lingered_event(stack, event))
        return true;
    struct list *node = list_pop_front(&stack->events);
    if (node == NULL)
        return false;
    struct socket *s = container_of(node, struct socket, event_link);
    *event = (struct lastack_event){
        .socket_id = s->id,
        .user = s->user,
        .events = socket_readiness(s) & (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR),
    };
    return true;
}

uint64_t lastack_socket_id(lastack_process *p, int fd)
{
    struct file *file = process_file(p, fd);
    return file != NULL && file->kind == FILE_SOCKET ? container_of(file, struct socket, file)->id
                                                     : 0;
}

int lastack_user_set(lastack_process *p, int fd, void *user)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s != NULL)
        s->user = user;
    return error;
}
