/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program does with one descriptor. `greedy`: until nothing more can be done, as a
 * program must that is told of changes only; otherwise a bite at a time. */
#include "sim.h"

static bool is_ended(const struct sock *s)
{
    return s->shut_wr || (s->conn && s->conn->op_wr);
}

static void job_close(struct world *w, struct proc *p, int fd)
{
    if (p->fds[fd].s->kind == SOCK_CONNECTED && rng_chance(&w->actor, 10 * PERCENT))
        call_linger(w, p, fd, (int)rng_below(&w->actor, 4));
    call_close(w, p, fd);
    w->progress++;
}

/* More than 0: bytes; 0: nothing now; -1: end of stream; -2: it is dead. */
static ssize_t job_read(struct world *w, struct proc *p, int fd)
{
    ssize_t got = call_recv(w, p, fd, 1 + rng_below(&w->actor, 8000));
    if (got > 0) {
        w->progress++;
        return got;
    }
    if (got == -EAGAIN)
        return 0;
    return got == 0 ? -1 : -2;
}

/* Towards `goal`: more than 0: bytes; 0: nothing now; -1: done; -2: it is dead. */
static ssize_t job_write(struct world *w, struct proc *p, int fd, uint64_t goal)
{
    struct sock *s = p->fds[fd].s;
    if (is_ended(s) || s->sent >= goal)
        return -1;
    uint64_t left = goal - s->sent;
    size_t len = 1 + rng_below(&w->actor, 12000);
    ssize_t took = call_send(w, p, fd, len < left ? len : (size_t)left);
    if (took > 0) {
        w->progress++;
        return s->sent >= goal ? -1 : took;
    }
    if (took == -EAGAIN || took == -ENOBUFS || took == 0)
        return 0;
    return -2;
}

static bool polite_step(struct world *w, struct proc *p, int fd, bool greedy)
{
    struct sock *s = p->fds[fd].s;
    for (int budget = greedy ? 40 : 1 + (int)rng_below(&w->actor, 3); budget; budget--) {
        ssize_t got = job_read(w, p, fd);
        ssize_t took = got == -2 ? -2 : job_write(w, p, fd, s->goal);
        if (got == -2 || took == -2) {
            job_close(w, p, fd);
            return false;
        }
        if (took == -1 && !is_ended(s)) {
            int how = got == -1 && rng_chance(&w->actor, 30 * PERCENT) ? SHUT_RDWR : SHUT_WR;
            call_shutdown(w, p, fd, how);
            w->progress++;
        }
        if (got == -1 && took == -1) {
            job_close(w, p, fd);
            return false;
        }
        if (got <= 0 && took <= 0)
            return false;
    }
    return true;
}

static bool echo_step(struct world *w, struct proc *p, int fd, bool greedy)
{
    struct sock *s = p->fds[fd].s;
    for (int budget = greedy ? 40 : 2; budget; budget--) {
        ssize_t got = job_read(w, p, fd);
        ssize_t took = got == -2 ? -2 : job_write(w, p, fd, s->received);
        if (got == -2 || took == -2 || (got == -1 && took == -1)) {
            if (rng_chance(&w->actor, 50 * PERCENT))
                call_shutdown(w, p, fd, SHUT_RDWR);
            job_close(w, p, fd);
            return false;
        }
        if (got <= 0 && took <= 0)
            return false;
    }
    return true;
}

static bool deaf_step(struct world *w, struct proc *p, int fd, bool greedy)
{
    for (int budget = greedy ? 40 : 2; budget; budget--)
        if (job_read(w, p, fd) <= 0)
            return false;
    return true;
}

static bool closer_step(struct world *w, struct proc *p, int fd)
{
    if (rng_chance(&w->actor, 20 * PERCENT)) {
        job_close(w, p, fd);
        return false;
    }
    if (rng_chance(&w->actor, 50 * PERCENT))
        job_read(w, p, fd);
    else
        job_write(w, p, fd, p->fds[fd].s->goal);
    return true;
}

static bool chaos_step(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    switch (rng_below(&w->actor, 24)) {
    case 0:
        job_close(w, p, fd);
        return false;
    case 1:
        call_linger(w, p, fd, 0);
        job_close(w, p, fd);
        return false;
    case 2:
        call_shutdown(w, p, fd, SHUT_RD);
        break;
    case 3:
        call_shutdown(w, p, fd, SHUT_WR);
        break;
    case 4:
        call_shutdown(w, p, fd, SHUT_RDWR);
        break;
    case 5:
        call_error(w, p, fd);
        break;
    case 6:
        call_option(w, p, fd);
        break;
    case 7:
        call_linger(w, p, fd, (int)rng_below(&w->actor, 5) - 1);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
        job_write(w, p, fd, s->goal);
        break;
    default:
        job_read(w, p, fd);
        break;
    }
    return true;
}

static uint8_t draw_style(struct world *w)
{
    static const uint8_t styles[] = {STYLE_POLITE, STYLE_POLITE, STYLE_POLITE, STYLE_ECHO,
                                     STYLE_CHAOS,  STYLE_CHAOS,  STYLE_CLOSER};
    if (w->phase != PHASE_CHAOS)
        return STYLE_POLITE;
    if (rng_chance(&w->actor, w->plan.hold_ppm))
        return rng_chance(&w->actor, 50 * PERCENT) ? STYLE_HOLD : STYLE_DEAF;
    return styles[rng_below(&w->actor, sizeof styles)];
}

void job_draw(struct world *w, struct proc *p, int fd)
{
    p->fds[fd].style = draw_style(w);
    p->fds[fd].s->goal = rng_below(&w->actor, w->plan.bytes_max + 1);
    if (rng_chance(&w->actor, 15 * PERCENT))
        call_option(w, p, fd);
}

/* A connection was accepted: by whom is it served? */
static void serve(struct world *w, struct proc *p, int fd)
{
    job_draw(w, p, fd);
    if (p->serve == SERVE_FORK || p->serve == SERVE_FORK_LEAKY) {
        struct proc *child = call_fork(w, p);
        if (!child)
            return;
        for (int i = 0; i < FD_MAX; i++) /* the child wants only this one */
            if (i != fd && child->fds[i].s && rng_chance(&w->actor, 90 * PERCENT))
                call_close(w, child, i);
        if (p->serve == SERVE_FORK)
            call_close(w, p, fd);
        else
            p->fds[fd].style = STYLE_CLOSER; /* the classic bug: forgotten for a long time */
    } else if (p->serve == SERVE_PASS && w->phase == PHASE_CHAOS &&
               call_message_put(w, p, fd)) {
        call_close(w, p, fd);
    }
}

static bool listener_step(struct world *w, struct proc *p, int fd, bool greedy)
{
    bool finish = w->phase != PHASE_CHAOS;
    if (p->serve == SERVE_NEVER && !finish)
        return false;
    for (int budget = greedy || finish ? 12 : 1; budget; budget--) {
        int got = call_accept(w, p, fd);
        if (got >= 0) {
            w->progress++;
            serve(w, p, got);
            continue;
        }
        if (got == -EAGAIN && !finish)
            return false;
        if (finish || got == -EINVAL) {
            job_close(w, p, fd);
            return false;
        }
        return true; /* no descriptor free, for instance: later */
    }
    return true;
}

/* True: connected. */
static bool connecting_step(struct world *w, struct proc *p, int fd)
{
    if (w->phase != PHASE_CHAOS && rng_chance(&w->actor, 20 * PERCENT)) {
        job_close(w, p, fd);
        return false;
    }
    short ready = call_poll(w, p, fd);
    if (!(ready & (POLLOUT | POLLERR | POLLHUP)) && rng_chance(&w->actor, 80 * PERCENT))
        return false;
    if (rng_chance(&w->actor, 30 * PERCENT) && call_error(w, p, fd)) {
        job_close(w, p, fd);
        return false;
    }
    int result = call_connect_check(w, p, fd);
    struct sock *s = p->fds[fd].s;
    if (result == -EALREADY || result == -EINPROGRESS) {
        ORACLE(w, !(ready & POLLOUT) || result == -EINPROGRESS,
               "socket %u: poll says POLLOUT, connect says EALREADY", s->serial);
        return false;
    }
    w->progress++;
    if (s->kind != SOCK_CONNECTED)
        job_close(w, p, fd);
    return p->fds[fd].s == s;
}

bool job_step(struct world *w, struct proc *p, int fd, bool greedy)
{
    struct desc *d = &p->fds[fd];
    switch (d->s->kind) {
    case SOCK_EPOLL:
        return false;
    case SOCK_FRESH:
    case SOCK_OVER:
        job_close(w, p, fd);
        return false;
    case SOCK_LISTENING:
        return listener_step(w, p, fd, greedy);
    case SOCK_CONNECTING:
        if (!connecting_step(w, p, fd))
            return false;
        break;
    case SOCK_CONNECTED:
        break;
    }
    switch ((enum style)d->style) {
    case STYLE_POLITE:
        return polite_step(w, p, fd, greedy);
    case STYLE_ECHO:
        return echo_step(w, p, fd, greedy);
    case STYLE_CHAOS:
        return chaos_step(w, p, fd);
    case STYLE_DEAF:
        return deaf_step(w, p, fd, greedy);
    case STYLE_CLOSER:
        return closer_step(w, p, fd);
    default:
        return false;
    }
}
