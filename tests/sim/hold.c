/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oracle: references. Everything that makes or drops one (fork, dup, exec, exit, messages,
 * close), with the simulator's own count beside it. A reference that is dropped while others
 * are left changes nothing; the last one ends the connection, in the way SEMANTICS 2 says.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "sim.h"

/* What a socket looked like before one of its references went. */
struct before {
    struct sock *s;
    enum lastack_state state;
    bool alive, last;
    struct proc *witness; /* holds another reference */
    int witness_fd;
    short ready;
};

static void call_done(struct world *w, struct proc *p, const char *name, int fd, long result)
{
    w->coverage->calls++;
    world_mix(w, (uint64_t)result ^ (uint64_t)fd << 40 ^ (uint64_t)p->pid << 48);
    STORY(w, "host %u  pid %u %s(%d) = %ld%s%s", p->host->index, p->pid, name, fd, result,
          result < 0 ? " " : "", result < 0 ? strerror((int)-result) : "");
}

static struct proc *find_witness(struct world *w, const struct sock *s, const struct proc *not_p,
                                 int not_fd, int *fd)
{
    for (struct proc *p = w->procs; p; p = p->next) {
        if (!p->alive || p->host != s->host)
            continue;
        for (int i = 0; i < FD_MAX; i++) {
            if (p->fds[i].s != s || (p == not_p && (not_fd < 0 || i == not_fd)))
                continue;
            *fd = i;
            return p;
        }
    }
    return NULL;
}

/* `going` references of s are about to be dropped; one of them is fd of p. */
static struct before release_before(struct world *w, struct proc *p, struct sock *s, int fd,
                                    uint32_t going, bool whole_process)
{
    struct before b = {.s = s, .last = s->refs == going};
    b.alive = s->conn && !s->conn->dead;
    b.state = s->conn ? s->conn->state : LASTACK_CLOSED;
    if (!b.last) {
        b.witness = find_witness(w, s, p, whole_process ? -1 : fd, &b.witness_fd);
        if (b.witness && s->kind != SOCK_EPOLL)
            b.ready = call_poll(w, b.witness, b.witness_fd);
        return b;
    }
    int unread = 0;
    if (s->kind == SOCK_CONNECTED || s->kind == SOCK_CONNECTING)
        if (lastack_ioctl(p->p, fd, FIONREAD, &unread) == 0)
            s->unread_close = unread > 0;
    return b;
}

/* The model follows: one reference less. */
static void release_model(struct sock *s, const struct proc *p, int fd)
{
    s->refs--;
    s->has_close = true;
    s->close_pid = p ? p->pid : 0;
    s->close_fd = fd;
    s->close_left = s->refs;
}

/* Nobody listens on its port any more: what waited there is reset (SEMANTICS 2). */
void listener_gone(struct world *w, struct sock *listener)
{
    for (const struct sock *o = w->socks; o; o = o->next)
        if (o != listener && o->host == listener->host && o->kind == SOCK_LISTENING &&
            o->port == listener->port && o->refs)
            return;
    for (unsigned i = 0; i < CONN_BUCKETS; i++) {
        for (struct conn *c = w->conns[i]; c; c = c->next) {
            if (c->host != listener->host || c->tuple.local_port != listener->port ||
                !c->passive || c->sock)
                continue;
            ORACLE(w, c->dead || c->state == LASTACK_TIME_WAIT,
                   "socket %u: its listener is closed, but an unaccepted connection stays in %s",
                   listener->serial, lastack_state_name(c->state));
            c->listener_gone = true;
        }
    }
}

static void last_release_after(struct world *w, const struct before *b)
{
    struct sock *s = b->s;
    const struct conn *c = s->conn;
    if (s->kind == SOCK_LISTENING) {
        s->kind = SOCK_OVER;
        listener_gone(w, s);
        return;
    }
    if (!c || !b->alive)
        return;
    ORACLE(w, c->dead || (c->state != LASTACK_ESTABLISHED && c->state != LASTACK_CLOSE_WAIT &&
                          c->state != LASTACK_SYN_SENT),
           "socket %u: the last reference is gone, but it is still in %s", s->serial,
           lastack_state_name(c->state));
    bool receives = b->state == LASTACK_ESTABLISHED || b->state == LASTACK_CLOSE_WAIT ||
                    b->state == LASTACK_FIN_WAIT_1 || b->state == LASTACK_FIN_WAIT_2;
    if (receives && (s->linger_s == 0 || (s->unread_close && !s->shut_rd)))
        ORACLE(w, c->dead, "socket %u: closed in %s with %s, but not reset: %s", s->serial,
               lastack_state_name(b->state), s->linger_s == 0 ? "linger 0" : "unread data",
               lastack_state_name(c->state));
}

static void release_after(struct world *w, const struct before *b)
{
    const struct sock *s = b->s;
    if (b->last && s->refs == 0) {
        last_release_after(w, b);
        return;
    }
    if (!s->conn || !b->alive)
        return;
    ORACLE(w, !s->conn->dead && s->conn->state == b->state,
           "socket %u: a close that leaves %u references moved it from %s to %s", s->serial,
           s->refs, lastack_state_name(b->state), lastack_state_name(s->conn->state));
    if (!b->witness || !b->witness->alive || b->witness->fds[b->witness_fd].s != s)
        return;
    short ready = call_poll(w, b->witness, b->witness_fd);
    ORACLE(w, ready == b->ready,
           "socket %u: a close that leaves references changed its readiness: 0x%x, 0x%x", s->serial,
           (unsigned)b->ready, (unsigned)ready);
}

static void check_close_result(struct world *w, struct sock *s, bool last, int result)
{
    if (result != -EINPROGRESS) {
        ORACLE(w, result == 0, "close says %s", strerror(-result));
        return;
    }
    ORACLE(w, last && s->linger_s > 0 && !s->nonblocking,
           "socket %u: close lingers, but it was not asked to (linger %d, %u left)", s->serial,
           s->linger_s, s->refs);
    s->lingering = true;
    s->linger_until_ns = w->now + (uint64_t)s->linger_s * SEC;
}

int call_close(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    struct before b = release_before(w, p, s, fd, 1, false);
    int result = fault_close(w, p, fd, b.last);
    p->fds[fd].s = NULL;
    release_model(s, p, fd);
    if (fd == p->epoll_fd)
        p->epoll_fd = -1;
    check_close_result(w, s, b.last, result);
    call_done(w, p, "close", fd, result);
    conn_records(w, p->host);
    release_after(w, &b);
    return result;
}

int call_dup(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    int from = 0, result;
    bool cloexec = rng_chance(&w->actor, 30 * PERCENT);
    if (rng_chance(&w->actor, 50 * PERCENT)) {
        from = (int)rng_below(&w->actor, 10);
        result = lastack_fcntl(p->p, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, from);
    } else {
        cloexec = false;
        result = lastack_dup(p->p, fd);
    }
    model_check_new_fd(w, p, result, from, "dup");
    if (result >= 0) {
        s->refs++;
        p->fds[result] = p->fds[fd];
        p->fds[result].cloexec = cloexec;
        p->fds[result].origin = LASTACK_ORIGIN_DUP;
        p->fds[result].registered = false;
        p->fds[result].kick = true;
    }
    call_done(w, p, "dup", fd, result);
    conn_records(w, p->host);
    return result;
}

/* F_SETFD is the descriptor's own, O_NONBLOCK is the socket's. */
void call_flags(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    bool on = rng_chance(&w->actor, 50 * PERCENT);
    int result;
    if (rng_chance(&w->actor, 50 * PERCENT)) {
        result = lastack_fcntl(p->p, fd, F_SETFD, on ? FD_CLOEXEC : 0);
        p->fds[fd].cloexec = on;
        ORACLE(w, lastack_fcntl(p->p, fd, F_GETFD, 0) == (on ? FD_CLOEXEC : 0), "F_GETFD");
    } else {
        result = lastack_fcntl(p->p, fd, F_SETFL, on ? O_NONBLOCK : 0);
        s->nonblocking = on;
        ORACLE(w, !(lastack_fcntl(p->p, fd, F_GETFL, 0) & O_NONBLOCK) == !on, "F_GETFL");
    }
    ORACLE(w, result == 0, "fcntl: %s", strerror(-result));
    call_done(w, p, "fcntl", fd, on);
}

int call_dup3(struct world *w, struct proc *p, int fd, int new_fd)
{
    struct sock *s = p->fds[fd].s, *old = p->fds[new_fd].s;
    bool cloexec = rng_chance(&w->actor, 30 * PERCENT);
    struct before b = {0};
    if (old && new_fd != fd)
        b = release_before(w, p, old, new_fd, 1, false);
    int result = lastack_dup3(p->p, fd, new_fd, cloexec ? O_CLOEXEC : 0);
    if (fd == new_fd) {
        ORACLE(w, result == -EINVAL, "dup3 onto itself says %d", result);
        return result;
    }
    ORACLE(w, result == new_fd, "dup3(%d, %d) says %d", fd, new_fd, result);
    s->refs++; /* the new one is there before the old one goes */
    if (old)
        release_model(old, p, new_fd);
    p->fds[new_fd] = p->fds[fd];
    p->fds[new_fd].cloexec = cloexec;
    p->fds[new_fd].origin = LASTACK_ORIGIN_DUP;
    p->fds[new_fd].registered = false;
    p->fds[new_fd].kick = true;
    if (new_fd == p->epoll_fd)
        p->epoll_fd = -1;
    call_done(w, p, "dup3", fd, result);
    conn_records(w, p->host);
    if (old && old != s)
        release_after(w, &b);
    return result;
}

/* ---- processes --------------------------------------------------------------- */

static struct proc *proc_add(struct world *w, struct host *host, lastack_process *object,
                             uint32_t pid)
{
    struct proc *p = arena_get(&w->arena, sizeof *p);
    *p = (struct proc){
        .host = host,
        .p = object,
        .pid = pid,
        .alive = true,
        .next_ns = LASTACK_NEVER,
        .epoll_fd = -1,
    };
    struct proc **link = &w->procs; /* in order of birth, so that worlds repeat */
    while (*link)
        link = &(*link)->next;
    *link = p;
    w->proc_cnt++;
    return p;
}

struct proc *call_spawn(struct world *w, struct host *host, enum program program)
{
    static const char *const names[] = {"server", "client", "worker"};
    uint32_t pid = ++host->next_pid;
    lastack_process *object = lastack_process_create(host->stack, pid, names[program]);
    ORACLE(w, object || w->plan.tight, "lastack_process_create failed");
    if (!object)
        return NULL;
    struct proc *p = proc_add(w, host, object, pid);
    p->program = program;
    return p;
}

struct proc *call_fork(struct world *w, struct proc *p)
{
    if (w->proc_cnt >= PROC_MAX)
        return NULL;
    uint32_t pid = ++p->host->next_pid;
    lastack_process *object = fault_fork(w, p->p, pid);
    if (!object) {
        ORACLE(w, w->plan.tight, "fork failed");
        return NULL;
    }
    struct proc *child = proc_add(w, p->host, object, pid);
    child->program = PROGRAM_WORKER;
    child->wake = p->wake;
    child->hold = p->hold;
    child->epoll_fd = p->epoll_fd;
    for (int fd = 0; fd < FD_MAX; fd++) {
        child->fds[fd] = p->fds[fd];
        if (!p->fds[fd].s)
            continue;
        child->fds[fd].s->refs++;
        child->fds[fd].origin = LASTACK_ORIGIN_FORK;
        child->fds[fd].registered = false;
        child->fds[fd].kick = true;
    }
    call_done(w, p, "fork", (int)pid, 0);
    conn_records(w, p->host);
    if (child->epoll_fd >= 0) /* to share it would be to share its events */
        call_close(w, child, child->epoll_fd);
    actor_wake_proc(w, child, 0);
    return child;
}

static void drop_many(struct world *w, struct proc *p, bool only_cloexec, struct before *before,
                      uint32_t *before_cnt)
{
    for (int fd = 0; fd < FD_MAX; fd++) {
        struct sock *s = p->fds[fd].s;
        bool seen = false;
        if (!s || (only_cloexec && !p->fds[fd].cloexec))
            continue;
        for (uint32_t i = 0; i < *before_cnt; i++)
            seen = seen || before[i].s == s;
        if (seen)
            continue;
        uint32_t going = 0;
        for (int i = 0; i < FD_MAX; i++)
            going += p->fds[i].s == s && (!only_cloexec || p->fds[i].cloexec);
        before[(*before_cnt)++] = release_before(w, p, s, fd, going, true);
    }
}

static void forget_many(struct proc *p, bool only_cloexec)
{
    for (int fd = 0; fd < FD_MAX; fd++) {
        struct sock *s = p->fds[fd].s;
        if (!s || (only_cloexec && !p->fds[fd].cloexec))
            continue;
        p->fds[fd].s = NULL;
        release_model(s, p, fd);
        if (fd == p->epoll_fd)
            p->epoll_fd = -1;
    }
}

void call_exec(struct world *w, struct proc *p)
{
    struct before before[FD_MAX];
    uint32_t cnt = 0;
    drop_many(w, p, true, before, &cnt);
    lastack_exec(p->p, "execed");
    forget_many(p, true);
    call_done(w, p, "exec", 0, 0);
    conn_records(w, p->host);
    for (uint32_t i = 0; i < cnt; i++)
        release_after(w, &before[i]);
}

void call_exit(struct world *w, struct proc *p)
{
    struct before before[FD_MAX];
    uint32_t cnt = 0;
    drop_many(w, p, false, before, &cnt);
    fault_exit(w, p->p);
    forget_many(p, false);
    p->alive = false;
    p->p = NULL;
    p->next_ns = LASTACK_NEVER;
    w->proc_cnt--;
    call_done(w, p, "exit", 0, 0);
    conn_records(w, p->host);
    for (uint32_t i = 0; i < cnt; i++)
        release_after(w, &before[i]);
    struct proc **link = &w->procs;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
}

/* ---- messages ------------------------------------------------------------------- */

bool call_message_put(struct world *w, struct proc *p, int fd)
{
    struct flight *f = w->flights;
    while (f < w->flights + FLIGHT_MAX && f->message)
        f++;
    if (f == w->flights + FLIGHT_MAX)
        return false;
    lastack_message *message = lastack_message_put(p->p, fd);
    if (!message) {
        ORACLE(w, w->plan.tight, "lastack_message_put failed");
        return false;
    }
    *f = (struct flight){
        .message = message,
        .s = p->fds[fd].s,
        .host = p->host,
        .style = p->fds[fd].style,
        .due_ns = w->now + rng_range(&w->actor, 0, 50 * MS),
    };
    f->s->refs++;
    call_done(w, p, "message_put", fd, 0);
    conn_records(w, p->host);
    return true;
}

/* Take a message for this host. The message's reference becomes the descriptor's. */
bool call_message_get(struct world *w, struct proc *p)
{
    for (struct flight *f = w->flights; f < w->flights + FLIGHT_MAX; f++) {
        if (!f->message || f->host != p->host || f->due_ns > w->now)
            continue;
        bool cloexec = rng_chance(&w->actor, 30 * PERCENT);
        int fd = lastack_message_get(p->p, f->message, cloexec ? SOCK_CLOEXEC : 0);
        model_check_new_fd(w, p, fd, 0, "message_get");
        if (fd >= 0) {
            p->fds[fd] = (struct desc){.s = f->s,
                                       .cloexec = cloexec,
                                       .origin = LASTACK_ORIGIN_MESSAGE,
                                       .style = f->style,
                                       .kick = true};
            f->message = NULL;
        }
        call_done(w, p, "message_get", fd, fd);
        conn_records(w, p->host);
        return fd >= 0;
    }
    return false;
}

void call_message_drop(struct world *w, struct flight *f)
{
    struct sock *s = f->s;
    struct before b = {.s = s, .last = s->refs == 1};
    b.alive = s->conn && !s->conn->dead;
    b.state = s->conn ? s->conn->state : LASTACK_CLOSED;
    s->closed_blind = b.last; /* no descriptor to ask about unread data */
    lastack_message_drop(f->message);
    f->message = NULL;
    release_model(s, NULL, -1);
    w->coverage->calls++;
    STORY(w, "host %u  message with socket %u dropped", s->host->index, s->serial);
    conn_records(w, s->host);
    release_after(w, &b);
}
