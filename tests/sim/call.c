/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket calls that move a connection, each with the model beside it: what the call may
 * answer is decided by what the programs did before, never by asking the engine.
 */
#include <sys/ioctl.h>

#include "sim.h"

#define BUFFER_LEN 65536u
static _Thread_local uint8_t buffer[BUFFER_LEN];

static void call_done(struct world *w, struct proc *p, const char *name, int fd, long result)
{
    w->coverage->calls++;
    world_mix(w, (uint64_t)result ^ (uint64_t)fd << 40 ^ (uint64_t)p->pid << 48);
    const struct sock *s = fd >= 0 && fd < FD_MAX ? p->fds[fd].s : NULL;
    STORY(w, "host %u  pid %u %s(%d) = %ld%s%s  [socket %u]", p->host->index, p->pid, name, fd,
          result, result < 0 ? " " : "", result < 0 ? strerror((int)-result) : "",
          s ? s->serial : 0);
    conn_records(w, p->host);
}

static struct sockaddr_in sockaddr_make(uint32_t ip4, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(ip4),
    };
}

static struct lastack_address address_make(const struct sockaddr_in *a)
{
    struct lastack_address out = {{0}};
    out.bytes[10] = out.bytes[11] = 0xff;
    memcpy(out.bytes + 12, &a->sin_addr, 4);
    return out;
}

int proc_lowest_free(const struct proc *p, int from)
{
    for (int fd = from; fd < FD_MAX; fd++)
        if (!p->fds[fd].s)
            return fd;
    return -1;
}

/* A new descriptor is the lowest free one; running out of them has its own errors. */
void model_check_new_fd(struct world *w, struct proc *p, int fd, int from, const char *call)
{
    if (fd >= 0) {
        ORACLE(w, fd == proc_lowest_free(p, from), "%s gave descriptor %d, the lowest free is %d",
               call, fd, proc_lowest_free(p, from));
        return;
    }
    if (fd == -EINVAL) /* F_DUPFD from beyond the table */
        ORACLE(w, (uint32_t)from >= w->plan.config[p->host->index].descriptor_max,
               "%s says EINVAL", call);
    else if (fd == -EMFILE)
        ORACLE(w, proc_lowest_free(p, from) < 0 ||
                      (uint32_t)proc_lowest_free(p, from) >=
                          w->plan.config[p->host->index].descriptor_max,
               "%s says EMFILE, but descriptor %d is free", call, proc_lowest_free(p, from));
    else
        ORACLE(w, w->plan.tight && (fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM),
               "%s failed with %s", call, strerror(-fd));
}

struct sock *model_sock(struct world *w, struct proc *p, int fd, enum sock_kind kind,
                        enum lastack_origin origin)
{
    struct sock *s = arena_get(&w->arena, sizeof *s);
    *s = (struct sock){
        .next = w->socks,
        .host = p->host,
        .serial = ++w->sock_serial,
        .kind = kind,
        .refs = 1,
        .linger_s = -1,
        .key = rng_u64(&w->check),
        .id = lastack_socket_id(p->p, fd),
    };
    for (const struct sock *o = w->socks; o && kind != SOCK_EPOLL; o = o->next)
        ORACLE(w, o->host != s->host || o->id != s->id || o->kind == SOCK_EPOLL,
               "sockets %u and %u have the same id", o->serial, s->serial);
    w->socks = s;
    if (kind != SOCK_EPOLL)
        ORACLE(w, lastack_user_set(p->p, fd, s) == 0, "user_set of descriptor %d", fd);
    p->fds[fd] = (struct desc){.s = s, .origin = (uint8_t)origin, .kick = true};
    return s;
}

struct sock *sock_by_id(struct world *w, const struct host *host, uint64_t id)
{
    struct sock *s = w->socks;
    while (s && (s->host != host || s->id != id || s->kind == SOCK_EPOLL))
        s = s->next;
    return s;
}

/* An error other than EAGAIN was handed to a program: it is explained, and comes once. */
void sock_reported(struct world *w, struct sock *s, int error, const char *call)
{
    if (error > 0 && error < 256)
        w->coverage->error[error]++;
    if (error == EPIPE && (s->shut_wr || (s->conn && s->conn->op_wr) || s->error_cnt))
        return;
    edge_error_explain(w, s, error, call);
    ORACLE(w, s->error_cnt == 0 || error == EPIPE, "socket %u: %s reports %s, after %s before",
           s->serial, call, strerror(error), strerror(s->error));
    s->error_cnt++;
    if (!s->error)
        s->error = error;
}

int call_socket(struct world *w, struct proc *p, bool nonblocking)
{
    int type = SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0);
    int fd = lastack_socket(p->p, AF_INET, type, 0);
    model_check_new_fd(w, p, fd, 0, "socket");
    if (fd >= 0)
        model_sock(w, p, fd, SOCK_FRESH, LASTACK_ORIGIN_SOCKET)->nonblocking = nonblocking;
    call_done(w, p, "socket", fd, fd);
    return fd;
}

int call_bind(struct world *w, struct proc *p, int fd, uint32_t ip4, uint16_t port)
{
    struct sock *s = p->fds[fd].s;
    struct sockaddr_in a = sockaddr_make(ip4, port);
    int on = 1;
    int option = s->reuse_port ? SO_REUSEPORT : SO_REUSEADDR;
    int result = lastack_setsockopt(p->p, fd, SOL_SOCKET, option, &on, sizeof on);
    ORACLE(w, result == 0, "SO_REUSEADDR or SO_REUSEPORT failed: %s", strerror(-result));
    result = lastack_bind(p->p, fd, (struct sockaddr *)&a, sizeof a);
    ORACLE(w, result == 0 || result == -EADDRINUSE, "bind to port %u failed: %s", port,
           strerror(-result));
    if (result == 0) {
        s->bound = true;
        s->port = port;
    }
    call_done(w, p, "bind", fd, result);
    return result;
}

static bool port_is_listened(const struct world *w, const struct sock *mine)
{
    for (const struct sock *s = w->socks; s; s = s->next)
        if (s != mine && s->host == mine->host && s->kind == SOCK_LISTENING && s->refs &&
            s->port == mine->port)
            return true;
    return false;
}

int call_listen(struct world *w, struct proc *p, int fd, int backlog)
{
    struct sock *s = p->fds[fd].s;
    int result = lastack_listen(p->p, fd, backlog);
    ORACLE(w, result != -EADDRINUSE || port_is_listened(w, s),
           "listen says EADDRINUSE, but nobody else listens on port %u", s->port);
    ORACLE(w, result == 0 || result == -EADDRINUSE || (w->plan.tight && result == -ENOBUFS),
           "listen failed: %s", strerror(-result));
    if (result == 0) {
        s->kind = SOCK_LISTENING;
        s->backlog = (uint32_t)backlog;
    }
    call_done(w, p, "listen", fd, result);
    return result;
}

static void connect_began(struct world *w, struct proc *p, int fd, const struct sockaddr_in *to)
{
    struct sock *s = p->fds[fd].s;
    struct sockaddr_in local = {0};
    socklen_t len = sizeof local;
    int got = lastack_getsockname(p->p, fd, (struct sockaddr *)&local, &len);
    ORACLE(w, got == 0 && len == sizeof local && local.sin_port != 0,
           "getsockname after connect: %d, port %u", got, ntohs(local.sin_port));
    ORACLE(w, !s->bound || ntohs(local.sin_port) == s->port, "connect changed the bound port");
    s->tuple = (struct lastack_tuple){
        .local = address_make(&local),
        .remote = address_make(to),
        .local_port = ntohs(local.sin_port),
        .remote_port = ntohs(to->sin_port),
    };
    s->has_tuple = true;
    s->port = s->tuple.local_port;
    s->kind = SOCK_CONNECTING;
    if (world_host_of(w, &s->tuple.remote, p->host) == p->host)
        p->host->used_loopback = true;
}

int call_connect(struct world *w, struct proc *p, int fd, uint32_t ip4, uint16_t port)
{
    struct sock *s = p->fds[fd].s;
    struct sockaddr_in to = sockaddr_make(ip4, port);
    char text[128];
    int result = lastack_connect(p->p, fd, (struct sockaddr *)&to, sizeof to);
    if (result == -EINPROGRESS) {
        connect_began(w, p, fd, &to);
        call_done(w, p, "connect", fd, result);
        struct conn *c = conn_find(w, p->host, &s->tuple);
        ORACLE(w, c && !c->sock && !c->passive,
               "connect %s is in progress, but no SYN-SENT is recorded",
               tuple_text(&s->tuple, text));
        conn_bind_sock(w, s, c);
        return result;
    }
    ORACLE(w, result == -EADDRNOTAVAIL || result == -EADDRINUSE ||
                  (w->plan.tight && (result == -ENOBUFS || result == -ENOMEM)),
           "connect failed at once: %s", result ? strerror(-result) : "0 without a handshake");
    s->kind = SOCK_OVER;
    call_done(w, p, "connect", fd, result);
    return result;
}

/* Ask again: EALREADY, connected, or what went wrong. */
int call_connect_check(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    const struct conn *c = s->conn;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->tuple.remote_port)};
    memcpy(&to.sin_addr, s->tuple.remote.bytes + 12, 4);
    enum lastack_state state = c->state;
    bool dead = c->dead;
    int result = lastack_connect(p->p, fd, (struct sockaddr *)&to, sizeof to);
    if (result == -EALREADY) {
        ORACLE(w, !dead && state <= LASTACK_SYN_RCVD, "connect says EALREADY in %s%s",
               lastack_state_name(state), dead ? " (dead)" : "");
    } else if (result == 0 || result == -EISCONN) {
        ORACLE(w, c->was_synchronized, "connect says connected in %s", lastack_state_name(state));
        s->kind = SOCK_CONNECTED;
    } else if (result == -EINPROGRESS) {
        /* The error was read elsewhere, and this began anew. */
        ORACLE(w, dead && s->error_cnt, "connect starts again in %s", lastack_state_name(state));
        connect_began(w, p, fd, &to);
        call_done(w, p, "connect", fd, result);
        struct conn *fresh = conn_find(w, p->host, &s->tuple);
        ORACLE(w, fresh && !fresh->sock, "second connect without SYN-SENT");
        s->conn = NULL;
        s->error_cnt = 0;
        conn_bind_sock(w, s, fresh);
        return result;
    } else {
        bool over = result == -ECONNABORTED && c->was_synchronized; /* came and went */
        if (!s->error_cnt && !over)
            sock_reported(w, s, -result, "connect");
        s->kind = SOCK_OVER;
    }
    call_done(w, p, "connect", fd, result);
    return result;
}

static void accept_took(struct world *w, struct proc *p, struct sock *listener, int fd,
                        const struct sockaddr_in *from)
{
    char text[128];
    struct sock *s = model_sock(w, p, fd, SOCK_CONNECTED, LASTACK_ORIGIN_ACCEPT);
    struct sockaddr_in local = {0};
    socklen_t len = sizeof local;
    int got = lastack_getsockname(p->p, fd, (struct sockaddr *)&local, &len);
    ORACLE(w, got == 0 && ntohs(local.sin_port) == listener->port,
           "getsockname after accept: %d, port %u, listener has %u", got, ntohs(local.sin_port),
           listener->port);
    s->tuple = (struct lastack_tuple){
        .local = address_make(&local),
        .remote = address_make(from),
        .local_port = ntohs(local.sin_port),
        .remote_port = ntohs(from->sin_port),
    };
    s->has_tuple = true;
    s->port = listener->port;
    s->keepalive = listener->keepalive;
    s->user_timeout_ms = listener->user_timeout_ms;
    s->linger_s = listener->linger_s;
    struct conn *c = conn_unaccepted(w, p->host, &s->tuple);
    ORACLE(w, c, "accept gave %s, which nobody has opened", tuple_text(&s->tuple, text));
    conn_bind_sock(w, s, c);
    c->accepted = true;
    if (c->op_rd)
        s->blind = true;
}

int call_accept(struct world *w, struct proc *p, int fd)
{
    struct sock *listener = p->fds[fd].s;
    struct sockaddr_in from = {0};
    socklen_t len = sizeof from;
    bool cloexec = rng_chance(&w->actor, 30 * PERCENT);
    bool nonblocking = rng_chance(&w->actor, 50 * PERCENT);
    short ready = call_poll(w, p, fd);
    int flags = (cloexec ? SOCK_CLOEXEC : 0) | (nonblocking ? SOCK_NONBLOCK : 0);
    int result = lastack_accept(p->p, fd, (struct sockaddr *)&from, &len, flags);
    conn_records(w, p->host);
    if (result >= 0) {
        model_check_new_fd(w, p, result, 0, "accept");
        ORACLE(w, ready & POLLIN, "accept succeeds, but poll did not say so");
        accept_took(w, p, listener, result, &from);
        p->fds[result].cloexec = cloexec;
        p->fds[result].s->nonblocking = nonblocking;
    } else if (result == -EAGAIN) {
        ORACLE(w, !(ready & POLLIN), "poll says POLLIN, accept says EAGAIN");
    } else if (result == -EINVAL) {
        ORACLE(w, listener->kind != SOCK_LISTENING, "accept says EINVAL on a listener");
    } else {
        model_check_new_fd(w, p, result, 0, "accept");
    }
    call_done(w, p, "accept", fd, result);
    return result;
}

static ssize_t send_somehow(struct world *w, struct proc *p, int fd, size_t len, size_t *offered)
{
    struct sock *s = p->fds[fd].s;
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (rng_chance(&w->actor, 5 * PERCENT))
        flags |= MSG_MORE;
    uint32_t how = rng_below(&w->actor, 8);
    if (how == 0) { /* zero-copy */
        struct iovec iov[4];
        size_t cnt = 4, done = 0;
        ssize_t room = lastack_reserve(p->p, fd, iov, &cnt);
        if (room <= 0)
            return room == 0 ? -EAGAIN : room;
        for (size_t i = 0; i < cnt && done < len; i++) {
            size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;
            pattern_fill(s->key, s->sent + done, iov[i].iov_base, n);
            done += n;
        }
        int result = lastack_commit(p->p, fd, done);
        ORACLE(w, result == 0, "commit of reserved bytes: %d", result);
        return (ssize_t)done;
    }
    pattern_fill(s->key, s->sent, buffer, len);
    *offered = len;
    if (how == 1) {
        size_t half = rng_below(&w->actor, (uint32_t)len + 1);
        struct iovec iov[2] = {{buffer, half}, {buffer + half, len - half}};
        return lastack_sendv(p->p, fd, iov, 2, flags);
    }
    return fault_send(w, p->p, fd, buffer, len, flags);
}

static void send_refused(struct world *w, struct sock *s, int error)
{
    const struct conn *c = s->conn;
    if (error == EPIPE && (s->shut_wr || (c && (c->op_wr || c->op_rst))))
        return;
    if (error == ENOTCONN) {
        ORACLE(w, !c || s->kind != SOCK_CONNECTED, "send says ENOTCONN on a connection");
        return;
    }
    if (error == ENOBUFS || error == ENOMEM) {
        ORACLE(w, w->plan.tight, "send says %s", strerror(error));
        return;
    }
    sock_reported(w, s, error, "send");
}

ssize_t call_send(struct world *w, struct proc *p, int fd, size_t len)
{
    struct sock *s = p->fds[fd].s;
    size_t offered = len;
    if (len > BUFFER_LEN)
        len = BUFFER_LEN;
    short ready = call_poll(w, p, fd);
    bool dead = s->conn && s->conn->dead;
    ssize_t result = send_somehow(w, p, fd, len, &offered);
    if (result > 0) {
        ORACLE(w, (size_t)result <= len, "send took %zd of %zu bytes", result, len);
        ORACLE(w, !s->shut_wr && !(s->conn && s->conn->op_wr),
               "socket %u: send succeeds after shutdown", s->serial);
        ORACLE(w, s->conn && !dead, "socket %u: send succeeds without a connection", s->serial);
        s->sent += (uint64_t)result;
    } else if (result == -EAGAIN) {
        ORACLE(w, !(ready & POLLOUT) || w->plan.tight,
               "socket %u: poll says POLLOUT, send says EAGAIN", s->serial);
        ORACLE(w, !dead, "socket %u: send says EAGAIN on a dead connection", s->serial);
        ORACLE(w, !s->shut_wr, "socket %u: send says EAGAIN after shutdown", s->serial);
    } else if (result < 0) {
        send_refused(w, s, (int)-result);
    }
    call_done(w, p, "send", fd, result);
    return result;
}

static ssize_t recv_peeked(struct world *w, struct proc *p, int fd, size_t len)
{
    static _Thread_local uint8_t peeked[BUFFER_LEN];
    ssize_t seen = lastack_recv(p->p, fd, peeked, len, MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0)
        return seen;
    ssize_t got = fault_recv(w, p->p, fd, buffer, len, MSG_DONTWAIT);
    ORACLE(w, got == seen && (got <= 0 || memcmp(peeked, buffer, (size_t)got) == 0),
           "recv(MSG_PEEK) said %zd, recv %zd, or other bytes", seen, got);
    return got;
}

static ssize_t recv_spans(struct world *w, struct proc *p, int fd, size_t len)
{
    struct iovec iov[4];
    size_t cnt = 4, done = 0;
    ssize_t shown = lastack_peekv(p->p, fd, iov, &cnt);
    if (shown <= 0)
        return shown;
    for (size_t i = 0; i < cnt && done < len; i++) {
        size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;
        memcpy(buffer + done, iov[i].iov_base, n);
        done += n;
    }
    ORACLE(w, done > 0 && done <= (size_t)shown, "peekv shows %zd bytes, its spans %zu", shown,
           done);
    int result = lastack_consume(p->p, fd, done);
    ORACLE(w, result == 0, "consume of what peekv showed: %d", result);
    return (ssize_t)done;
}

static ssize_t recv_somehow(struct world *w, struct proc *p, int fd, size_t len)
{
    switch (rng_below(&w->actor, 8)) {
    case 0:
        return recv_peeked(w, p, fd, len);
    case 1:
        return recv_spans(w, p, fd, len);
    case 2: {
        size_t half = rng_below(&w->actor, (uint32_t)len);
        struct iovec iov[2] = {{buffer, half}, {buffer + half, len - half}};
        return lastack_recvv(p->p, fd, iov, 2, MSG_DONTWAIT);
    }
    default:
        return fault_recv(w, p->p, fd, buffer, len, MSG_DONTWAIT);
    }
}

static void recv_refused(struct world *w, struct sock *s, int error, short ready)
{
    if (error == EAGAIN) {
        ORACLE(w, !(ready & POLLIN), "socket %u: poll says POLLIN, recv says EAGAIN", s->serial);
        ORACLE(w, !s->eof, "socket %u: recv says EAGAIN after the end of stream", s->serial);
        ORACLE(w, !s->shut_rd, "socket %u: recv says EAGAIN after shutdown(RD)", s->serial);
        ORACLE(w, !s->conn || !s->conn->dead, "socket %u: recv says EAGAIN on a dead connection",
               s->serial);
    } else if (error == ENOTCONN) {
        ORACLE(w, s->kind != SOCK_CONNECTED, "socket %u: recv says ENOTCONN", s->serial);
    } else {
        sock_reported(w, s, error, "recv");
    }
}

ssize_t call_recv(struct world *w, struct proc *p, int fd, size_t len)
{
    struct sock *s = p->fds[fd].s;
    if (len > BUFFER_LEN)
        len = BUFFER_LEN;
    short ready = call_poll(w, p, fd);
    ssize_t result = recv_somehow(w, p, fd, len);
    if (result > 0) {
        ORACLE(w, (size_t)result <= len, "recv gave %zd of at most %zu bytes", result, len);
        ORACLE(w, ready & POLLIN, "socket %u: recv succeeds, but poll did not say so", s->serial);
        ORACLE(w, !s->shut_rd || w->plan.config[p->host->index].late_data_after_shut_rd,
               "socket %u: data after shutdown(RD)", s->serial);
        stream_received(w, s, buffer, (size_t)result);
    } else if (result == 0) {
        ORACLE(w, ready & POLLIN, "socket %u: end of stream, but poll did not say so", s->serial);
        stream_eof(w, s);
    } else {
        recv_refused(w, s, (int)-result, ready);
    }
    call_done(w, p, "recv", fd, result);
    return result;
}

static void shutdown_did(struct world *w, struct proc *p, struct sock *s, int how)
{
    if (s->kind == SOCK_LISTENING) {
        if (how != SHUT_WR)
            s->kind = SOCK_FRESH;
        return;
    }
    if (how != SHUT_RD)
        s->shut_wr = true;
    if (how != SHUT_WR) {
        s->shut_rd = true;
        s->blind = s->blind || !s->eof;
    }
    if (s->kind == SOCK_CONNECTING && s->conn->state == LASTACK_SYN_SENT)
        s->kind = SOCK_OVER;
    (void)w;
    (void)p;
}

int call_shutdown(struct world *w, struct proc *p, int fd, int how)
{
    static const char *const names[] = {"shutdown(RD)", "shutdown(WR)", "shutdown(RDWR)"};
    struct sock *s = p->fds[fd].s;
    const struct conn *c = s->conn;
    bool lives = c && !c->dead && c->state >= LASTACK_ESTABLISHED && c->state < LASTACK_TIME_WAIT;
    int result = lastack_shutdown(p->p, fd, how);
    ORACLE(w, result == 0 || (result == -ENOTCONN && !lives), "socket %u: %s says %s%s%s",
           s->serial, names[how], strerror(-result), c ? " in " : "",
           c ? lastack_state_name(c->state) : "");
    if (result == 0)
        shutdown_did(w, p, s, how);
    call_done(w, p, names[how], fd, result);
    if (result == 0 && !c && how != SHUT_WR && s->port)
        listener_gone(w, s);
    if (lives && how != SHUT_RD)
        ORACLE(w, c->state != LASTACK_ESTABLISHED && c->state != LASTACK_CLOSE_WAIT,
               "socket %u: %s left it in %s", s->serial, names[how],
               lastack_state_name(c->state));
    return result;
}

int call_linger(struct world *w, struct proc *p, int fd, int seconds)
{
    struct linger linger = {.l_onoff = seconds >= 0, .l_linger = seconds < 0 ? 0 : seconds};
    int result = lastack_setsockopt(p->p, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    ORACLE(w, result == 0, "SO_LINGER: %s", strerror(-result));
    p->fds[fd].s->linger_s = seconds;
    call_done(w, p, "setsockopt(SO_LINGER)", fd, result);
    return result;
}

/* One of the options that must not change what is delivered. */
int call_option(struct world *w, struct proc *p, int fd)
{
    static const struct {
        int level, name, low, high;
    } options[] = {
        {IPPROTO_TCP, 1 /* TCP_NODELAY */, 0, 1},
        {IPPROTO_TCP, 3 /* TCP_CORK */, 0, 0},
        {SOL_SOCKET, SO_KEEPALIVE, 0, 1},
        {SOL_SOCKET, SO_SNDBUF, 1024, 40000},
        {IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, 500, 60000},
        {IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, 1, 20},
        {SOL_SOCKET, SO_RCVBUF, 1024, 40000},
    };
    struct sock *s = p->fds[fd].s;
    uint32_t cnt = s->kind == SOCK_FRESH ? 7 : 6; /* a smaller window later would shrink it */
    uint32_t i = rng_below(&w->actor, cnt);
    int value = (int)rng_range(&w->actor, (uint64_t)options[i].low, (uint64_t)options[i].high);
    int result =
        lastack_setsockopt(p->p, fd, options[i].level, options[i].name, &value, sizeof value);
    ORACLE(w, result == 0, "setsockopt(%d, %d, %d): %s", options[i].level, options[i].name, value,
           strerror(-result));
    if (i == 2 && value)
        s->keepalive = true;
    if (i == 4)
        s->user_timeout_ms = (uint32_t)value;
    call_done(w, p, "setsockopt", fd, result);
    return result;
}

int call_error(struct world *w, struct proc *p, int fd)
{
    struct sock *s = p->fds[fd].s;
    int error = -1;
    socklen_t len = sizeof error;
    int result = lastack_getsockopt(p->p, fd, SOL_SOCKET, SO_ERROR, &error, &len);
    ORACLE(w, result == 0 && len == sizeof error && error >= 0, "SO_ERROR: %d, %d", result, error);
    if (error)
        sock_reported(w, s, error, "SO_ERROR");
    call_done(w, p, "SO_ERROR", fd, error);
    return error;
}

short call_poll(struct world *w, struct proc *p, int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    int result = lastack_poll(p->p, &item, 1);
    ORACLE(w, result == (item.revents != 0), "poll says %d ready, revents 0x%x", result,
           (unsigned)item.revents);
    ORACLE(w, !(item.revents & POLLNVAL), "poll does not know descriptor %d", fd);
    return item.revents;
}

/* The operator picks a connection and ends it for its owners. */
void call_operator(struct world *w, struct host *host)
{
    static const int hows[] = {SHUT_WR, SHUT_RDWR, LASTACK_END_RST};
    struct lastack_info info, chosen;
    uint64_t cursor = 0;
    uint32_t cnt = 0;
    while (fault_info_next(w, host->stack, &cursor, &info))
        if (info.id && info.state >= LASTACK_SYN_SENT && info.state < LASTACK_TIME_WAIT &&
            rng_below(&w->actor, ++cnt) == 0)
            chosen = info;
    if (!cnt)
        return;
    struct conn *c = conn_find(w, host, &chosen.tuple);
    ORACLE(w, c && !c->dead, "lastack_info shows a connection that was never born");
    int how = hows[rng_below(&w->actor, 3)];
    int result = lastack_end(host->stack, chosen.id, how);
    ORACLE(w, result == 0 || (result == -ENOTCONN && c->state < LASTACK_ESTABLISHED),
           "lastack_end(%d) in %s: %s", how, lastack_state_name(c->state), strerror(-result));
    STORY(w, "host %u  operator ends connection %llu, how %d: %d", host->index,
          (unsigned long long)chosen.id, how, result);
    world_mix(w, (uint64_t)result + chosen.id);
    if (result == 0) {
        c->op_wr = true;
        c->op_rd = c->op_rd || how == SHUT_RDWR;
        c->op_rst = how == LASTACK_END_RST;
        if (c->sock && how == SHUT_RDWR)
            c->sock->blind = true;
    }
    conn_records(w, host);
    if (result == 0 && how == LASTACK_END_RST)
        ORACLE(w, c->dead, "lastack_end(RST) leaves it in %s", lastack_state_name(c->state));
}
