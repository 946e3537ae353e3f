/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket/epoll.h"

#include <errno.h>

#include "socket/process.h"

struct epoll {
    struct file file;
    struct list ready;   /* watches that may have something to report */
    struct list watches; /* all of them */
};

struct watch {
    struct list epoll_link, ready_link;
    struct watch *next, **back; /* among those of the socket */
    struct epoll *epoll;
    struct socket *socket;
    int fd; /* under which it was added: part of the key, as on Linux */
    struct epoll_event event;
};

#define EVENT_FLAGS (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

size_t epoll_size(void)
{
    return sizeof(struct epoll);
}

size_t epoll_watch_size(void)
{
    return sizeof(struct watch);
}

static struct epoll *epoll_of(lastack_process *p, int fd, int *error)
{
    struct file *file = process_file(p, fd);
    *error = file == NULL ? -EBADF : file->kind == FILE_EPOLL ? 0 : -EINVAL;
    return *error == 0 ? container_of(file, struct epoll, file) : NULL;
}

int lastack_epoll_create(lastack_process *p, int flags)
{
    if ((flags & ~EPOLL_CLOEXEC) != 0)
        return -EINVAL;
    struct epoll *epoll = pool_get(&p->stack->epolls);
    if (epoll == NULL)
        return -ENOMEM;
    epoll->file.kind = FILE_EPOLL;
    list_init(&epoll->file.owner.event_link);
    list_init(&epoll->ready);
    list_init(&epoll->watches);
    int fd = descriptor_open(p, &epoll->file, 0, LASTACK_ORIGIN_SOCKET, flags & EPOLL_CLOEXEC);
    if (fd < 0)
        pool_put(&p->stack->epolls, epoll);
    return fd;
}

static void watch_delete(lastack *stack, struct watch *watch)
{
    *watch->back = watch->next;
    if (watch->next != NULL)
        watch->next->back = watch->back;
    list_remove(&watch->epoll_link);
    list_remove(&watch->ready_link);
    pool_put(&stack->watches, watch);
}

void epoll_release(lastack *stack, struct file *file)
{
    struct epoll *epoll = container_of(file, struct epoll, file);
    list_for_each(node, &epoll->watches)
        watch_delete(stack, container_of(node, struct watch, epoll_link));
    pool_put(&stack->epolls, epoll);
}

void epoll_forget(lastack *stack, struct socket *socket)
{
    while (socket->watches != NULL)
        watch_delete(stack, socket->watches);
}

static void watch_look(struct watch *watch)
{
    if (!list_linked(&watch->ready_link))
        list_push_back(&watch->epoll->ready, &watch->ready_link);
}

void epoll_news(struct socket *socket)
{
    for (struct watch *watch = socket->watches; watch != NULL; watch = watch->next)
        watch_look(watch);
}

static struct watch *watch_find(const struct epoll *epoll, const struct socket *socket, int fd)
{
    struct watch *watch = socket->watches;
    while (watch != NULL && (watch->epoll != epoll || watch->fd != fd))
        watch = watch->next;
    return watch;
}

static int watch_add(lastack *stack, struct epoll *epoll, struct socket *socket, int fd,
                     const struct epoll_event *event)
{
    struct watch *watch = pool_get(&stack->watches);
    if (watch == NULL)
        return -ENOSPC;
    watch->epoll = epoll;
    watch->socket = socket;
    watch->fd = fd;
    watch->event = *event;
    list_init(&watch->ready_link);
    watch->next = socket->watches;
    watch->back = &socket->watches;
    if (watch->next != NULL)
        watch->next->back = &watch->next;
    socket->watches = watch;
    list_push_back(&epoll->watches, &watch->epoll_link);
    watch_look(watch);
    return 0;
}

int lastack_epoll_ctl(lastack_process *p, int epoll_fd, int operation, int fd,
                      const struct epoll_event *event)
{
    int error;
    struct epoll *epoll = epoll_of(p, epoll_fd, &error);
    struct file *file = process_file(p, fd);
    if (epoll == NULL || file == NULL)
        return epoll == NULL ? error : -EBADF;
    if (file->kind != FILE_SOCKET)
        return epoll_fd == fd ? -EINVAL : -EPERM;
    struct socket *socket = container_of(file, struct socket, file);
    struct watch *watch = watch_find(epoll, socket, fd);
    if (event == NULL && operation != EPOLL_CTL_DEL)
        return -EFAULT;
    switch (operation) {
    case EPOLL_CTL_ADD:
        return watch != NULL ? -EEXIST : watch_add(p->stack, epoll, socket, fd, event);
    case EPOLL_CTL_MOD:
        if (watch == NULL)
            return -ENOENT;
        watch->event = *event;
        watch_look(watch);
        return 0;
    case EPOLL_CTL_DEL:
        if (watch == NULL)
            return -ENOENT;
        watch_delete(p->stack, watch);
        return 0;
    default:
        return -EINVAL;
    }
}

/* What a watch reports now; 0: nothing. A one-shot that has fired has no events left. */
static uint32_t watch_events(const struct watch *watch)
{
    uint32_t interest = watch->event.events & ~EVENT_FLAGS;
    if (interest == 0)
        return 0;
    return socket_readiness(watch->socket) & (interest | EPOLLERR | EPOLLHUP);
}

int lastack_epoll_wait(lastack_process *p, int epoll_fd, struct epoll_event *events, int event_max)
{
    int error, cnt = 0;
    struct epoll *epoll = epoll_of(p, epoll_fd, &error);
    if (epoll == NULL)
        return error;
    if (event_max <= 0)
        return -EINVAL;
    events_spread(p->stack);
    struct list again; /* level-triggered ones stay candidates */
    list_init(&again);
    while (cnt < event_max && !list_empty(&epoll->ready)) {
        struct watch *watch = container_of(list_pop_front(&epoll->ready), struct watch, ready_link);
        uint32_t ready = watch_events(watch);
        if (ready == 0)
            continue;
        events[cnt] = watch->event;
        events[cnt++].events = ready;
        if (watch->event.events & EPOLLONESHOT)
            watch->event.events &= EVENT_FLAGS;
        else if (!(watch->event.events & EPOLLET))
            list_push_back(&again, &watch->ready_link);
    }
    for (struct list *node; (node = list_pop_front(&again)) != NULL;)
        list_push_back(&epoll->ready, node);
    return cnt;
}
