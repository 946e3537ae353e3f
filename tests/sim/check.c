/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oracle: accounting. What lastack_info, the holders and lastack_usage say is what the programs
 * did and what the recorder told; at the end nothing is left; deadlines lie ahead.
 */
#include "sim.h"

static bool is_drop_of_damage(const char *name)
{
    static const char *const names[] = {
        "ip-truncated",  "ip-version",   "ip-header-length", "ip-checksum",
        "tcp-truncated", "tcp-checksum", "icmp-truncated",   "icmp-checksum",
        "ip-options",    "tcp-options",  "tcp-port-zero",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static uint64_t damage_count(const struct host *host)
{
    uint64_t sum = 0;
    const char *name;
    for (unsigned i = 0; (name = lastack_drop_name(i)); i++)
        if (is_drop_of_damage(name))
            sum += lastack_drop_count(host->stack, i);
    return sum;
}

/* Each damaged packet was dropped by a name that says so. */
static void check_damage(struct world *w, const struct host *host)
{
    uint64_t dropped = damage_count(host);
    ORACLE(w, dropped >= host->corrupt_in && dropped <= host->corrupt_in + host->corrupt_pieces,
           "host %u: %llu corrupted packets went in, %llu were dropped by name", host->index,
           (unsigned long long)host->corrupt_in, (unsigned long long)dropped);
}

/* ---- holders --------------------------------------------------------------------- */

static bool holder_in_model(struct world *w, const struct sock *s, const struct lastack_holder *h)
{
    if (h->fd < 0) {
        for (const struct flight *f = w->flights; f < w->flights + FLIGHT_MAX; f++)
            if (f->message && f->s == s)
                return true;
        return false;
    }
    for (const struct proc *p = w->procs; p; p = p->next)
        if (p->alive && p->host == s->host && p->pid == h->pid && h->fd < FD_MAX &&
            p->fds[h->fd].s == s)
            return p->fds[h->fd].cloexec == h->close_on_exec &&
                   p->fds[h->fd].origin == (uint8_t)h->origin;
    return false;
}

static void check_holders(struct world *w, const struct sock *s)
{
    struct lastack_holder h;
    uint64_t cursor = 0;
    uint32_t cnt = 0;
    while (lastack_holder_next(s->host->stack, s->id, &cursor, &h)) {
        ORACLE(w, holder_in_model(w, s, &h),
               "socket %u: holder pid %u fd %d (origin %d, cloexec %d) is not the model's",
               s->serial, h.pid, h.fd, h.origin, h.close_on_exec);
        ORACLE(w, h.since_ns <= w->now, "socket %u: holder since the future", s->serial);
        cnt++;
    }
    ORACLE(w, cnt == s->refs, "socket %u: %u holders, the model has %u references", s->serial, cnt,
           s->refs);
}

/* ---- one entry of lastack_info ------------------------------------------------------ */

static void check_socket(struct world *w, const struct host *host, const struct lastack_info *i)
{
    const struct sock *s = sock_by_id(w, host, i->socket_id);
    ORACLE(w, s, "info shows socket %llu, which the model does not know",
           (unsigned long long)i->socket_id);
    ORACLE(w, i->references == s->refs, "socket %u: info says %u references, the model %u",
           s->serial, i->references, s->refs);
    if (s->refs)
        ORACLE(w, !i->orphan, "socket %u: an orphan with holders", s->serial);
    if (s->has_close && s->close_pid && i->close_ns && s->refs)
        ORACLE(w, i->close_pid == s->close_pid && i->close_left == s->close_left &&
                      i->close_fd == s->close_fd,
               "socket %u: last close by pid %u fd %d left %u; it was pid %u fd %d left %u",
               s->serial, i->close_pid, i->close_fd, i->close_left, s->close_pid, s->close_fd,
               s->close_left);
    check_holders(w, s);
}

static void check_streams(struct world *w, const struct conn *c, const struct lastack_info *i)
{
    const struct sock *s = c->sock;
    if (!s || c->op_rst)
        return;
    ORACLE(w, i->bytes_out + i->send_queue == s->sent,
           "socket %u: %llu acknowledged + %u queued, but %llu were sent", s->serial,
           (unsigned long long)i->bytes_out, i->send_queue, (unsigned long long)s->sent);
    ORACLE(w, i->send_unsent <= i->send_queue, "socket %u: more unsent than queued", s->serial);
    if (!s->blind && !s->shut_rd)
        ORACLE(w, i->bytes_in == s->received + i->receive_queue,
               "socket %u: %llu came in, %llu read, %u queued", s->serial,
               (unsigned long long)i->bytes_in, (unsigned long long)s->received,
               i->receive_queue);
    if (s->refs)
        ORACLE(w, i->shut_wr == (s->shut_wr || c->op_wr), "socket %u: shut_wr is %d", s->serial,
               i->shut_wr);
    if (s->peer && s->peer->host != s->host && !s->blind)
        ORACLE(w, i->bytes_in <= s->peer->sent, "socket %u: more came in than was sent",
               s->serial);
}

static bool state_had_fin_in(enum lastack_state state)
{
    return state == LASTACK_CLOSE_WAIT || state == LASTACK_CLOSING || state == LASTACK_LAST_ACK ||
           state == LASTACK_TIME_WAIT;
}

static bool state_had_fin_out(enum lastack_state state)
{
    return state == LASTACK_FIN_WAIT_1 || state == LASTACK_FIN_WAIT_2 ||
           state == LASTACK_CLOSING || state == LASTACK_LAST_ACK || state == LASTACK_TIME_WAIT;
}

static void check_stamps(struct world *w, const struct conn *c, const struct lastack_info *i)
{
    char text[128];
    const char *name = tuple_text(&c->tuple, text);
    const uint64_t stamps[] = {i->born_ns,     i->state_since_ns, i->fin_in_ns,   i->fin_out_ns,
                               i->eof_read_ns, i->data_in_ns,     i->data_out_ns, i->close_ns};
    for (size_t k = 0; k < sizeof stamps / sizeof stamps[0]; k++)
        ORACLE(w, stamps[k] <= (w->now ? w->now : 1), "%s: stamp %zu lies in the future", name, k);
    if (i->state < LASTACK_ESTABLISHED || i->state == LASTACK_TIME_WAIT)
        return; /* the small bodies do not keep all of them */
    ORACLE(w, (i->fin_in_ns != 0) == state_had_fin_in(i->state), "%s: fin_in_ns %llu in %s", name,
           (unsigned long long)i->fin_in_ns, lastack_state_name(i->state));
    ORACLE(w, (i->fin_out_ns != 0) == state_had_fin_out(i->state), "%s: fin_out_ns %llu in %s",
           name, (unsigned long long)i->fin_out_ns, lastack_state_name(i->state));
    ORACLE(w, i->state_since_ns <= c->state_since_ns + 1 &&
                  i->state_since_ns + MS > c->state_since_ns, /* stamps count milliseconds */
           "%s: in %s since %llu, recorded %llu", name, lastack_state_name(i->state),
           (unsigned long long)i->state_since_ns, (unsigned long long)c->state_since_ns);
    if (c->sock && c->sock->eof && c->sock->refs)
        ORACLE(w, i->eof_read_ns, "%s: the end of stream was read, but there is no stamp", name);
    if (c->sock && !c->sock->eof && !c->sock->shut_rd && !c->op_rd)
        ORACLE(w, !i->eof_read_ns, "%s: nobody has read the end of stream", name);
    if (i->timer != LASTACK_TIMER_NONE)
        ORACLE(w, i->timer_ns + 2 * MS > w->now, "%s: timer %s lies %llu ms in the past", name,
               lastack_timer_name(i->timer), (unsigned long long)((w->now - i->timer_ns) / MS));
}

static void check_connection(struct world *w, struct host *host, const struct lastack_info *i)
{
    char text[128];
    struct conn *c = conn_find(w, host, &i->tuple);
    ORACLE(w, c, "info shows %s in %s, which was never born", tuple_text(&i->tuple, text),
           lastack_state_name(i->state));
    if (i->state == LASTACK_CLOSED)
        return; /* a socket that outlives its connection */
    ORACLE(w, !c->dead, "info shows %s in %s, the recorder saw it die",
           tuple_text(&i->tuple, text), lastack_state_name(i->state));
    ORACLE(w, c->state == i->state, "info shows %s in %s, the recorder says %s",
           tuple_text(&i->tuple, text), lastack_state_name(i->state),
           lastack_state_name(c->state));
    ORACLE(w, i->unaccepted == (c->passive && !c->sock && c->was_synchronized) ||
                  i->state == LASTACK_TIME_WAIT,
           "info says %s is %saccepted", tuple_text(&i->tuple, text), i->unaccepted ? "un" : "");
    if (i->state >= LASTACK_ESTABLISHED && i->state != LASTACK_TIME_WAIT) {
        ORACLE(w, i->orphan == (c->sock && c->sock->refs == 0), "info says %s is %sorphan",
               tuple_text(&i->tuple, text), i->orphan ? "an " : "no ");
        check_streams(w, c, i);
    }
    check_stamps(w, c, i);
}

struct tally {
    uint32_t half_open, time_wait, orphans, listeners;
};

static void tally_model(struct world *w, const struct host *host, struct tally *t)
{
    for (unsigned i = 0; i < CONN_BUCKETS; i++) {
        for (const struct conn *c = w->conns[i]; c; c = c->next) {
            if (c->host != host || c->dead)
                continue;
            t->half_open += c->state == LASTACK_SYN_RCVD && c->passive;
            t->time_wait += c->state == LASTACK_TIME_WAIT;
            t->orphans += c->state >= LASTACK_ESTABLISHED && c->state < LASTACK_TIME_WAIT &&
                          c->sock && c->sock->refs == 0;
        }
    }
    for (const struct sock *s = w->socks; s; s = s->next)
        t->listeners += s->host == host && s->kind == SOCK_LISTENING && s->refs;
}

static void check_usage(struct world *w, struct host *host)
{
    struct lastack_usage u;
    struct tally t = {0};
    uint32_t proc_cnt = 0;
    fault_usage(w, host->stack, &u);
    tally_model(w, host, &t);
    for (const struct proc *p = w->procs; p; p = p->next)
        proc_cnt += p->host == host && p->alive;
    ORACLE(w, u.processes == proc_cnt, "usage says %u processes, the model %u", u.processes,
           proc_cnt);
    ORACLE(w, u.half_open == t.half_open, "usage says %u half-open, the recorder %u", u.half_open,
           t.half_open);
    ORACLE(w, u.time_wait == t.time_wait, "usage says %u in TIME-WAIT, the recorder %u",
           u.time_wait, t.time_wait);
    ORACLE(w, u.orphans == t.orphans, "usage says %u orphans, the model %u", u.orphans, t.orphans);
    ORACLE(w, u.listeners == t.listeners, "usage says %u listeners, the model %u", u.listeners,
           t.listeners);
    const struct lastack_config *config = &w->plan.config[host->index];
    ORACLE(w, u.connections <= config->connection_max && u.half_open <= config->half_open_max &&
                  u.time_wait <= config->time_wait_max && u.orphans <= config->orphan_max &&
                  u.buffer_bytes <= config->buffer_max,
           "usage is beyond the configured limits");
    if (!host->used_loopback)
        ORACLE(w, u.packets_out == host->frames_out, "usage says %llu packets out, %llu came out",
               (unsigned long long)u.packets_out, (unsigned long long)host->frames_out);
    if (!host->used_loopback)
        ORACLE(w, u.packets_in == host->frames_in, "usage says %llu packets in, %llu went in",
               (unsigned long long)u.packets_in, (unsigned long long)host->frames_in);
    check_damage(w, host);
}

void check_host(struct world *w, struct host *host)
{
    struct lastack_info info;
    uint64_t cursor = 0;
    while (fault_info_next(w, host->stack, &cursor, &info)) {
        ORACLE(w, info.state < LASTACK_STATE_CNT, "info with state %d", info.state);
        if (info.socket_id)
            check_socket(w, host, &info);
        if (info.tuple.remote_port)
            check_connection(w, host, &info);
    }
    check_usage(w, host);
}

/* The deadline may be early: then a tick finds nothing to do, but moves it into the future. */
void check_deadlines(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        struct host *host = &w->host[i];
        uint64_t deadline = fault_deadline(w, host->stack);
        if (deadline <= w->now) {
            fault_tick(w, host);
            world_settle(w);
            deadline = fault_deadline(w, host->stack);
        }
        ORACLE(w, deadline > w->now, "host %u: after tick and tx, deadline %llu is not after now "
                                     "%llu",
               i, (unsigned long long)deadline, (unsigned long long)w->now);
    }
}

/* Every program has gone and time has passed: nothing may be left. */
void check_end(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        struct lastack_usage u;
        fault_usage(w, w->host[i].stack, &u);
        ORACLE(w, !u.connections && !u.half_open && !u.orphans && !u.sockets && !u.listeners &&
                      !u.processes && !u.unaccepted && !u.time_wait && !u.buffer_bytes,
               "host %u leaks: %u connections, %u half-open, %u time-wait, %u orphans, "
               "%u sockets, %u listeners, %u processes, %u unaccepted, %llu buffer bytes",
               i, u.connections, u.half_open, u.time_wait, u.orphans, u.sockets, u.listeners,
               u.processes, u.unaccepted, (unsigned long long)u.buffer_bytes);
        check_damage(w, &w->host[i]);
        const char *name;
        for (unsigned r = 0; (name = lastack_drop_name(r)) && r < REASON_MAX; r++)
            w->coverage->drop[r] += lastack_drop_count(w->host[i].stack, r);
    }
    for (unsigned i = 0; i < CONN_BUCKETS; i++) {
        for (const struct conn *c = w->conns[i]; c; c = c->next) {
            char text[128];
            ORACLE(w, c->dead, "%s never ended: %s", tuple_text(&c->tuple, text),
                   lastack_state_name(c->state));
        }
    }
    for (const struct sock *s = w->socks; s; s = s->next)
        ORACLE(w, !s->lingering, "socket %u: a lingering close was never reported", s->serial);
}
