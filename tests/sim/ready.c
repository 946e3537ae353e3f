/* SPDX-License-Identifier: BSD-2-Clause */
/* Oracle: readiness. Events and epoll say what poll says; programs that act only when they are
 * told so (WAKE_EVENT, WAKE_EPOLL_*) hang if one is lost, and liveness finds that. */
#include "sim.h"

static uint32_t interest_of(const struct proc *p)
{
    uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (p->wake == WAKE_EPOLL_ET)
        events |= (uint32_t)EPOLLET;
    if (p->wake == WAKE_EPOLL_ONESHOT)
        events |= (uint32_t)EPOLLONESHOT;
    return events;
}

/* Which descriptor, of which socket: old registrations of reused numbers are told apart. */
static uint64_t event_key(const struct proc *p, int fd)
{
    return (uint64_t)p->fds[fd].s->serial << 8 | (unsigned)fd;
}

void call_epoll_open(struct world *w, struct proc *p)
{
    int fd = lastack_epoll_create(p->p, 0);
    model_check_new_fd(w, p, fd, 0, "epoll_create");
    if (fd < 0) {
        p->wake = WAKE_EVENT;
        return;
    }
    model_sock(w, p, fd, SOCK_EPOLL, LASTACK_ORIGIN_SOCKET);
    p->epoll_fd = fd;
    for (int i = 0; i < FD_MAX; i++)
        p->fds[i].registered = false;
}

void call_epoll_add(struct world *w, struct proc *p, int fd)
{
    struct epoll_event event = {.events = interest_of(p), .data.u64 = event_key(p, fd)};
    int result = lastack_epoll_ctl(p->p, p->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (result == -EEXIST) /* a dup'ed or forked twin keeps an old registration alive */
        result = lastack_epoll_ctl(p->p, p->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    ORACLE(w, result == 0 || (w->plan.tight && (result == -ENOMEM || result == -ENOSPC)),
           "epoll_ctl: %s", strerror(-result));
    p->fds[fd].registered = true;
    STORY(w, "host %u  pid %u epoll_ctl(%d, ADD, %d, 0x%x)  [socket %u]", p->host->index, p->pid,
          p->epoll_fd, fd, event.events, p->fds[fd].s->serial);
    world_mix(w, (uint64_t)fd);
}

static void check_epoll_event(struct world *w, struct proc *p, int fd, uint32_t events)
{
    const uint32_t all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    short ready = call_poll(w, p, fd);
    ORACLE(w, (events & all) && !(events & all & ~(uint32_t)(uint16_t)ready),
           "epoll says 0x%x for descriptor %d, poll 0x%x", events, fd, (unsigned)ready);
    if (p->wake == WAKE_EPOLL_ONESHOT) {
        struct epoll_event again = {.events = interest_of(p), .data.u64 = event_key(p, fd)};
        int result = lastack_epoll_ctl(p->p, p->epoll_fd, EPOLL_CTL_MOD, fd, &again);
        ORACLE(w, result == 0 || result == -ENOENT, "epoll_ctl(MOD): %s", strerror(-result));
    }
}

/* One call; true: there may be more. */
static bool epoll_wait_once(struct world *w, struct proc *p, uint32_t *found)
{
    struct epoll_event events[8];
    int cnt = lastack_epoll_wait(p->p, p->epoll_fd, events, 8);
    ORACLE(w, cnt >= 0 && cnt <= 8, "epoll_wait says %d", cnt);
    for (int i = 0; i < cnt; i++) {
        int fd = (int)(events[i].data.u64 & 0xff);
        if (!p->fds[fd].s || event_key(p, fd) != events[i].data.u64 || !p->fds[fd].registered)
            continue;
        check_epoll_event(w, p, fd, events[i].events);
        p->fds[fd].kick = true;
        (*found)++;
    }
    STORY(w, "host %u  pid %u epoll_wait(%d) = %d, %u of them its own", p->host->index, p->pid,
          p->epoll_fd, cnt, *found);
    world_mix(w, (uint64_t)cnt);
    return cnt == 8;
}

/* Look at what p's epoll says. Registrations of descriptors that are closed here and open
 * elsewhere are reported too, and stand in the way of others. */
uint32_t call_epoll_wait(struct world *w, struct proc *p)
{
    uint32_t found = 0;
    for (int round = 0; round < 8; round++)
        if (!epoll_wait_once(w, p, &found))
            break;
    return found;
}

static void lingered(struct world *w, struct sock *s)
{
    ORACLE(w, s->refs == 0 && s->linger_s > 0, "socket %u: LASTACK_LINGERED, but it is not closed",
           s->serial);
    if (!s->lingering)
        return; /* the death of a process lingers too, but nobody waits for it */
    ORACLE(w, w->now <= s->linger_until_ns + 2 * MS,
           "socket %u: a lingering close was reported %llu ms late", s->serial,
           (unsigned long long)((w->now - s->linger_until_ns) / MS));
    s->lingering = false;
    w->coverage->lingered++;
}

void call_event(struct world *w, struct host *host, const struct lastack_event *event)
{
    struct sock *s = sock_by_id(w, host, event->socket_id);
    world_mix(w, event->socket_id << 20 ^ event->events);
    w->coverage->event_cnt++;
    if (!event->socket_id && w->fault == FAULT_EVENT_LOST)
        return;
    ORACLE(w, s, "event for socket %llu, which the model does not know",
           (unsigned long long)event->socket_id);
    ORACLE(w, event->user == s, "socket %u: its event carries another user", s->serial);
    STORY(w, "host %u  event on socket %u: 0x%x", host->index, s->serial, event->events);
    if (event->events & LASTACK_LINGERED) {
        lingered(w, s);
        return;
    }
    for (struct proc *p = w->procs; p; p = p->next) {
        for (int fd = 0; fd < FD_MAX && p->host == host && p->alive; fd++) {
            if (p->fds[fd].s != s)
                continue;
            short ready = call_poll(w, p, fd);
            ORACLE(w, (uint32_t)(uint16_t)ready == event->events,
                   "socket %u: event says 0x%x, poll 0x%x", s->serial, event->events,
                   (unsigned)ready);
            actor_wake(w, s);
            return;
        }
    }
}
