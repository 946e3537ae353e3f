/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs: who is born, when each acts, what it does beside its job, and how it comes to an
 * end when the network has healed. */
#include "sim.h"

#define PORT_SERVER 5000u
#define PORT_SIMULTANEOUS 6000u
#define PORT_FIXED 7000u
#define PORT_NOBODY 9u

static uint64_t draw_gap(struct world *w)
{
    uint64_t mean = w->plan.gap_us * US;
    return rng_range(&w->actor, mean / 10, 2 * mean);
}

void actor_wake_proc(struct world *w, struct proc *p, uint64_t after_ns)
{
    if (p->alive && w->now + after_ns < p->next_ns)
        p->next_ns = w->now + after_ns;
}

void actor_wake(struct world *w, struct sock *s)
{
    for (struct proc *p = w->procs; p; p = p->next) {
        for (int fd = 0; p->alive && p->host == s->host && fd < FD_MAX; fd++) {
            if (p->fds[fd].s != s || p->wake == WAKE_TIMER)
                continue;
            p->fds[fd].kick = p->fds[fd].kick || p->wake == WAKE_EVENT;
            actor_wake_proc(w, p, rng_range(&w->actor, 0, 500 * US));
        }
    }
}

static void draw_wake(struct world *w, struct proc *p)
{
    static const uint8_t wakes[] = {WAKE_TIMER,    WAKE_TIMER,    WAKE_EVENT,
                                    WAKE_EPOLL_ET, WAKE_EPOLL_LT, WAKE_EPOLL_ONESHOT};
    p->wake = (enum wake)wakes[rng_below(&w->actor, sizeof wakes)];
    if (p->wake >= WAKE_EPOLL_ET)
        call_epoll_open(w, p);
}

/* socket, bind, listen on the server's port; true: it listens. */
static bool server_open(struct world *w, struct proc *p, uint16_t port, bool shared)
{
    int fd = call_socket(w, p, true);
    if (fd < 0)
        return false;
    p->fds[fd].s->reuse_port = shared;
    uint32_t ip4 = rng_chance(&w->actor, 50 * PERCENT) ? p->host->ip4 : 0;
    if (rng_chance(&w->actor, 20 * PERCENT))
        call_option(w, p, fd);
    if (call_bind(w, p, fd, shared ? 0 : ip4, port) != 0)
        return false;
    return call_listen(w, p, fd, (int)rng_below(&w->actor, w->plan.backlog_max + 1)) == 0;
}

static void populate_server(struct world *w, uint32_t number)
{
    struct host *host = &w->host[number % w->plan.host_cnt];
    bool shared = rng_chance(&w->actor, 15 * PERCENT); /* two listeners on one port */
    for (int i = 0; i < (shared ? 2 : 1); i++) {
        struct proc *p = call_spawn(w, host, PROGRAM_SERVER);
        if (!p)
            return;
        p->serve = (enum serve)rng_below(&w->actor, SERVE_NEVER);
        if (rng_chance(&w->actor, w->plan.never_accept_ppm))
            p->serve = SERVE_NEVER;
        p->hold = rng_chance(&w->actor, w->plan.hold_ppm);
        p->port = (uint16_t)(PORT_SERVER + number);
        draw_wake(w, p);
        bool open = server_open(w, p, p->port, shared);
        ORACLE(w, open || w->plan.tight, "a server cannot listen on a free port");
        if (rng_chance(&w->actor, 20 * PERCENT))
            call_fork(w, p); /* two that accept from one listener */
        actor_wake_proc(w, p, 0);
    }
}

/* Both ends open to each other before either SYN can arrive. */
static void populate_simultaneous(struct world *w, uint32_t number)
{
    unsigned a = rng_below(&w->actor, w->plan.host_cnt);
    unsigned b = (a + 1) % w->plan.host_cnt;
    unsigned ends[2] = {a, rng_chance(&w->actor, 5 * PERCENT) ? a : b}; /* a, a: to itself */
    uint16_t port = (uint16_t)(PORT_SIMULTANEOUS + number);
    for (int i = 0; i < (ends[1] == a ? 1 : 2); i++) {
        struct proc *p = call_spawn(w, &w->host[ends[i]], PROGRAM_CLIENT);
        if (!p)
            return;
        draw_wake(w, p);
        int fd = call_socket(w, p, rng_chance(&w->actor, 50 * PERCENT));
        if (fd < 0)
            continue;
        if (call_bind(w, p, fd, w->host[ends[i]].ip4, port) == 0 &&
            call_connect(w, p, fd, w->host[ends[!i]].ip4, port) == -EINPROGRESS)
            job_draw(w, p, fd);
        actor_wake_proc(w, p, draw_gap(w));
    }
}

void actor_populate(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.server_cnt; i++)
        populate_server(w, i);
    for (uint32_t i = 0; i < w->plan.simultaneous_cnt; i++)
        populate_simultaneous(w, i);
    for (uint32_t i = 0; i < w->plan.client_cnt && w->proc_cnt < PROC_MAX; i++) {
        struct host *host = &w->host[(i + 1) % w->plan.host_cnt];
        struct proc *p = call_spawn(w, host, PROGRAM_CLIENT);
        if (!p)
            return;
        p->connects = 1 + rng_below(&w->actor, w->plan.connect_max);
        p->hold = rng_chance(&w->actor, w->plan.hold_ppm / 2);
        draw_wake(w, p);
        actor_wake_proc(w, p, draw_gap(w));
    }
}

/* ---- a client begins ------------------------------------------------------------- */

/* A used tuple may be used again only when nothing of its former life flies: that a duplicate
 * from there is taken for new is a limit of TCP itself, not of this one. */
static bool fixed_port_is_free(struct world *w, struct host *host, uint32_t ip4, uint16_t local,
                               uint16_t remote)
{
    struct lastack_tuple t = {.local_port = local, .remote_port = remote};
    t.local.bytes[10] = t.local.bytes[11] = t.remote.bytes[10] = t.remote.bytes[11] = 0xff;
    for (int i = 0; i < 4; i++) {
        t.local.bytes[12 + i] = (uint8_t)(host->ip4 >> (24 - 8 * i));
        t.remote.bytes[12 + i] = (uint8_t)(ip4 >> (24 - 8 * i));
    }
    return !link_has(w, &t);
}

static void client_connect(struct world *w, struct proc *p)
{
    struct host *to = p->host;
    uint32_t ip4 = rng_chance(&w->actor, 50 * PERCENT) ? 0x7f000001 : p->host->ip4;
    uint32_t number = rng_below(&w->actor, w->plan.server_cnt);
    uint16_t port = (uint16_t)(PORT_SERVER + number);
    p->connects--;
    if (!rng_chance(&w->actor, w->plan.loopback_ppm)) {
        to = &w->host[number % w->plan.host_cnt];
        ip4 = to->ip4;
    }
    if (rng_chance(&w->actor, w->plan.refused_ppm))
        port = PORT_NOBODY;
    int fd = call_socket(w, p, rng_chance(&w->actor, 50 * PERCENT));
    if (fd < 0)
        return;
    uint16_t fixed = (uint16_t)(PORT_FIXED + rng_below(&w->actor, 2));
    if (to != p->host && rng_chance(&w->actor, w->plan.fixed_port_ppm) &&
        fixed_port_is_free(w, p->host, ip4, fixed, port))
        call_bind(w, p, fd, 0, fixed);
    if (rng_chance(&w->actor, 20 * PERCENT))
        call_option(w, p, fd);
    if (call_connect(w, p, fd, ip4, port) == -EINPROGRESS)
        job_draw(w, p, fd);
}

/* ---- what has nothing to do with the job ------------------------------------------ */

static int random_fd(struct world *w, const struct proc *p)
{
    int found = -1;
    uint32_t cnt = 0;
    for (int fd = 0; fd < FD_MAX; fd++)
        if (p->fds[fd].s && p->fds[fd].s->kind != SOCK_EPOLL && rng_below(&w->actor, ++cnt) == 0)
            found = fd;
    return found;
}

/* A server begins anew: with SO_REUSEADDR, what lingers on the port does not hinder it. */
static void chaos_restart(struct world *w, struct proc *p)
{
    for (int fd = 0; fd < FD_MAX; fd++)
        if (p->fds[fd].s && p->fds[fd].s->kind == SOCK_LISTENING)
            call_close(w, p, fd);
    server_open(w, p, p->port, false);
}

static void chaos_bad_fd(struct world *w, struct proc *p)
{
    uint8_t byte = 0;
    int fd = proc_lowest_free(p, 0);
    if (fd < 0)
        fd = 1000;
    ORACLE(w, lastack_close(p->p, fd) == -EBADF, "close of no descriptor");
    ORACLE(w, lastack_recv(p->p, fd, &byte, 1, 0) == -EBADF, "recv of no descriptor");
    ORACLE(w, lastack_send(p->p, fd, &byte, 1, 0) == -EBADF, "send of no descriptor");
    ORACLE(w, lastack_shutdown(p->p, fd, SHUT_WR) == -EBADF, "shutdown of no descriptor");
    ORACLE(w, lastack_dup(p->p, -1) == -EBADF, "dup of no descriptor");
    ORACLE(w, lastack_socket_id(p->p, fd) == 0, "identity of no descriptor");
}

void actor_chaos(struct world *w, struct proc *p)
{
    int fd = random_fd(w, p);
    switch (rng_below(&w->actor, 12)) {
    case 0:
        if (rng_chance(&w->actor, 30 * PERCENT))
            call_exit(w, p);
        break;
    case 1:
        call_exec(w, p);
        break;
    case 2:
    case 3:
        call_fork(w, p);
        break;
    case 4:
    case 5:
        if (fd >= 0)
            call_dup(w, p, fd);
        break;
    case 6:
        if (fd >= 0)
            call_dup3(w, p, fd, (int)rng_below(&w->actor, 6));
        break;
    case 7:
        if (fd >= 0 && call_message_put(w, p, fd) && rng_chance(&w->actor, 70 * PERCENT))
            call_close(w, p, fd);
        break;
    case 8:
        if (fd >= 0 && p->fds[fd].s->kind == SOCK_LISTENING)
            call_shutdown(w, p, fd, (int)rng_below(&w->actor, 3));
        break;
    case 9:
        if (p->port)
            chaos_restart(w, p);
        break;
    case 10:
        if (fd >= 0)
            call_flags(w, p, fd);
        break;
    default:
        chaos_bad_fd(w, p);
        break;
    }
}

/* ---- a step --------------------------------------------------------------------------- */

static void step_timed(struct world *w, struct proc *p)
{
    for (int fd = 0; fd < FD_MAX && p->alive; fd++)
        if (p->fds[fd].s && rng_chance(&w->actor, 70 * PERCENT))
            job_step(w, p, fd, false);
}

/* True: something is not finished. */
static bool step_kicked(struct world *w, struct proc *p)
{
    bool more = false;
    for (int fd = 0; fd < FD_MAX && p->alive; fd++) {
        struct desc *d = &p->fds[fd];
        if (!d->s || !d->kick)
            continue;
        struct sock *s = d->s;
        d->kick = false;
        bool again = job_step(w, p, fd, true);
        if (d->s != s)
            again = d->s && d->kick; /* another one has this number now */
        d->kick = d->kick || again;
        more = more || d->kick;
    }
    return more;
}

static bool step_epoll(struct world *w, struct proc *p)
{
    if (p->epoll_fd < 0) {
        call_epoll_open(w, p);
        if (p->epoll_fd < 0) {
            for (int fd = 0; fd < FD_MAX; fd++)
                p->fds[fd].kick = true;
            return true;
        }
    }
    for (int fd = 0; fd < FD_MAX; fd++)
        if (p->fds[fd].s && !p->fds[fd].registered && p->fds[fd].s->kind != SOCK_EPOLL)
            call_epoll_add(w, p, fd);
    return call_epoll_wait(w, p) > 0;
}

static bool act(struct world *w, struct proc *p)
{
    bool more = false;
    if (w->phase == PHASE_CHAOS && rng_chance(&w->actor, w->plan.chaos_ppm)) {
        actor_chaos(w, p);
        if (!p->alive)
            return false;
    }
    if (w->phase == PHASE_CHAOS && rng_chance(&w->actor, w->plan.operator_ppm))
        call_operator(w, p->host);
    if (w->phase == PHASE_CHAOS && p->connects) {
        client_connect(w, p);
        more = p->connects > 0;
    }
    if (p->program == PROGRAM_WORKER || rng_chance(&w->actor, 30 * PERCENT))
        more = call_message_get(w, p) || more;
    if (p->wake == WAKE_TIMER) {
        step_timed(w, p);
        return true;
    }
    if (p->wake >= WAKE_EPOLL_ET)
        more = step_epoll(w, p) || more;
    more = step_kicked(w, p) || more;
    for (int fd = 0; fd < FD_MAX && p->alive; fd++) /* a new one may have a lower number */
        more = more || (p->fds[fd].s && p->fds[fd].kick);
    return more;
}

static bool has_nothing(const struct proc *p)
{
    for (int fd = 0; fd < FD_MAX; fd++)
        if (p->fds[fd].s && p->fds[fd].s->kind != SOCK_EPOLL)
            return false;
    return true;
}

void actor_step(struct world *w, struct proc *p)
{
    uint64_t before = w->progress;
    p->next_ns = LASTACK_NEVER;
    if (w->phase != PHASE_CHAOS && p->hold)
        return;
    bool more = act(w, p);
    if (!p->alive)
        return;
    if (w->phase != PHASE_CHAOS && has_nothing(p)) {
        call_exit(w, p);
        return;
    }
    p->idle = w->progress == before ? p->idle + 1 : 0;
    if (!more)
        return;
    uint64_t gap = draw_gap(w);
    if (w->phase == PHASE_FINISH && p->idle > 8)
        gap = (p->idle < 40 ? p->idle : 40) * 25 * MS;
    else if (w->phase != PHASE_CHAOS && p->idle > 8)
        gap = 20 * SEC;
    actor_wake_proc(w, p, gap);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void finish_desc(struct world *w, struct desc *d)
{
    d->kick = true;
    if (d->style == STYLE_HOLD || d->style == STYLE_DEAF || d->s->kind == SOCK_EPOLL)
        return;
    if (d->style != STYLE_POLITE)
        d->s->goal = (uint32_t)d->s->sent;
    d->style = STYLE_POLITE;
    (void)w;
}

void actor_finish(struct world *w)
{
    for (struct proc *p = w->procs; p; p = p->next) {
        p->connects = 0;
        for (int fd = 0; fd < FD_MAX; fd++)
            if (p->fds[fd].s && !p->hold)
                finish_desc(w, &p->fds[fd]);
        p->idle = 0;
        if (!p->hold)
            actor_wake_proc(w, p, rng_range(&w->actor, 0, 500 * MS));
    }
    for (struct flight *f = w->flights; f < w->flights + FLIGHT_MAX; f++)
        if (f->message)
            call_message_drop(w, f);
}

bool sock_held_on_purpose(struct world *w, const struct sock *s)
{
    for (const struct proc *p = w->procs; p; p = p->next)
        for (int fd = 0; p->alive && fd < FD_MAX; fd++)
            if (p->fds[fd].s == s && (p->hold || p->fds[fd].style == STYLE_HOLD ||
                                      p->fds[fd].style == STYLE_DEAF))
                return true;
    return false;
}
