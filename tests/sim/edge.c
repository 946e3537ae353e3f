/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oracle: edges. A legal edge (legal.c) must also be true: a FIN was really sent and received, a
 * reset was really delivered, a limit was really reached, a reference count was really zero.
 */
#include "sim.h"

static bool is_release(uint8_t cause)
{
    return cause == LASTACK_CAUSE_CLOSE || cause == LASTACK_CAUSE_DUP_OVER ||
           cause == LASTACK_CAUSE_EXEC || cause == LASTACK_CAUSE_EXIT ||
           cause == LASTACK_CAUSE_MESSAGE_DROP;
}

static bool is_shutdown(uint8_t cause)
{
    return cause == LASTACK_CAUSE_SHUT_WR || cause == LASTACK_CAUSE_SHUT_RDWR ||
           cause == LASTACK_CAUSE_SHUT_RD;
}

/* Somebody at the other end has ended the stream towards us. */
static bool peer_ended(struct world *w, const struct conn *c)
{
    for (struct conn *p = conn_peer(w, c); p; p = conn_older(p))
        if (conn_ended(p))
            return true;
    return false;
}

static const struct packet_view *batch_find(const struct world *w, const struct conn *c,
                                            uint8_t flags, bool genuine)
{
    for (uint32_t i = 0; i < w->batch_cnt; i++) {
        const struct packet_view *v = &w->batch[i];
        struct lastack_tuple t = view_tuple(v, false);
        if (v->is_tcp && v->genuine == genuine && (v->flags & flags) == flags && memcmp(&t, &c->tuple, sizeof t) == 0)
            return v;
    }
    return NULL;
}

static bool batch_has_icmp(const struct world *w)
{
    for (uint32_t i = 0; i < w->batch_cnt; i++)
        if (!w->batch[i].is_tcp && w->batch[i].protocol == 1)
            return true;
    return false;
}

/* Inside one stack nothing is seen on a wire: the other end must be gone or have let go. */
static bool local_reset_explained(struct world *w, const struct conn *c)
{
    struct conn *p = conn_peer(w, c);
    return !p || p->dead || p == c || !conn_held(p) || p->op_rst;
}

static void explain_reset(struct world *w, struct conn *c, const char *where)
{
    if (c->local) {
        ORACLE(w, local_reset_explained(w, c), "%s: reset by nobody", where);
        return;
    }
    const struct packet_view *v = batch_find(w, c, F_RST, true);
    if (!v) /* or the attacker was lucky: then it must be exact as well */
        v = batch_find(w, c, F_RST, false);
    ORACLE(w, v, "%s: reset, but no RST was delivered", where);
    if (c->state == LASTACK_SYN_SENT)
        ORACLE(w, (v->flags & F_ACK) && c->iss_known && v->ack == c->iss + 1,
               "%s: RST in SYN-SENT that acknowledges something else", where);
    else if (c->ack_out_known && c->state != LASTACK_SYN_RCVD)
        ORACLE(w, seq_diff(v->seq, c->ack_out) >= 0 && seq_diff(v->seq, c->in_end) <= 0,
               "%s: RST with sequence number %u, expected %u .. %u", where, v->seq, c->ack_out,
               c->in_end);
}

static uint32_t retry_limit(const struct world *w, const struct conn *c)
{
    const struct lastack_config *config = &w->plan.config[c->host->index];
    uint32_t limit = config->retry_max;
    if (c->state == LASTACK_SYN_SENT)
        limit = config->syn_retry_max;
    else if (c->una == c->iss && config->syn_ack_retry_max < config->syn_retry_max)
        limit = config->syn_ack_retry_max;
    else if (c->una == c->iss)
        limit = config->syn_retry_max; /* the limit of a SYN, even if a FIN is queued behind it */
    else if (c->state == LASTACK_SYN_RCVD)
        limit = config->syn_ack_retry_max;
    else if (!conn_held(c) && limit > 3)
        limit = 3; /* an orphan has limits of its own */
    return limit;
}

static void explain_retry_limit(struct world *w, struct conn *c, const char *where)
{
    if (c->local) {
        struct conn *p = conn_peer(w, c);
        ORACLE(w, !p || p->dead || w->plan.tight || p->state == LASTACK_SYN_RCVD || c->state <= LASTACK_SYN_RCVD,
               "%s: given up although the other end is in this very stack", where);
        return;
    }
    bool syn = c->state <= LASTACK_SYN_RCVD || c->una == c->iss;
    uint32_t tries = syn ? c->syn_tries : c->tries;
    ORACLE(w, tries >= retry_limit(w, c), "%s: given up after %u transmissions, limit %u", where,
           tries, retry_limit(w, c));
}

/* Options of an unaccepted connection are its listener's. */
static const struct sock *optioned(const struct world *w, const struct conn *c)
{
    for (const struct sock *s = c->sock ? NULL : w->socks; s; s = s->next)
        if (s->host == c->host && !s->conn && s->port == c->tuple.local_port &&
            (s->user_timeout_ms || s->keepalive))
            return s;
    return c->sock;
}

static void explain_timers(struct world *w, struct conn *c, const struct lastack_record *r,
                           const char *where)
{
    const struct lastack_config *config = &w->plan.config[c->host->index];
    uint64_t age = w->now - c->state_since_ns;
    const struct sock *s = optioned(w, c);
    switch (r->cause) {
    case LASTACK_CAUSE_RETRY_LIMIT:
        explain_retry_limit(w, c, where);
        break;
    case LASTACK_CAUSE_PROBE_LIMIT:
        ORACLE(w, !conn_held(c) || (c->local && w->plan.tight) ||
                      w->now - c->last_in_ns >= config->retry_max * (config->rto_min_ms * MS),
               "%s: probe limit of a connection that a program holds and the peer answers", where);
        break;
    case LASTACK_CAUSE_USER_TIMEOUT:
        ORACLE(w, s && s->user_timeout_ms, "%s: user timeout that nobody has set", where);
        /* The last ACK may have come in a segment that was too old to be looked at. */
        ORACLE(w, c->local || w->now - c->una_before_ns + 2 * MS >= s->user_timeout_ms * MS,
               "%s: user timeout of %u ms after %llu", where, s->user_timeout_ms,
               (unsigned long long)((w->now - c->una_before_ns) / MS));
        break;
    case LASTACK_CAUSE_KEEPALIVE:
        ORACLE(w, s && s->keepalive, "%s: keepalive that nobody has set", where);
        ORACLE(w, c->local || w->now - c->last_in_ns >= SEC, "%s: keepalive, but it is not idle",
               where);
        break;
    case LASTACK_CAUSE_FIN_WAIT_TIMEOUT:
        ORACLE(w, !conn_held(c), "%s: FIN-WAIT-2 timer of a connection that a program holds",
               where);
        ORACLE(w, age + 2 * MS >= config->orphan_fin_wait_ms * MS, "%s: FIN-WAIT-2 timer too early",
               where);
        break;
    case LASTACK_CAUSE_TIME_WAIT_OVER:
        ORACLE(w, age + 2 * MS >= 2 * config->msl_ms * MS, "%s: TIME-WAIT over after %llu ms",
               where, (unsigned long long)(age / MS));
        break;
    default:
        break;
    }
}

/* A close that resets: there was unread data, or SO_LINGER {on, 0}, or nobody had accepted it. */
static void explain_release_abort(struct world *w, struct conn *c, const char *where)
{
    const struct sock *s = c->sock;
    if (!s)
        return; /* its listener went */
    ORACLE(w, s->refs == 0, "%s: ended by a close that leaves %u references", where, s->refs);
    ORACLE(w, c->state <= LASTACK_SYN_RCVD || c->state == LASTACK_CLOSING ||
                  c->state == LASTACK_LAST_ACK || s->unread_close || s->linger_s == 0 ||
                  s->closed_blind || w->plan.tight,
           "%s: aborted by close without unread data and without linger 0", where);
}

static void explain_death(struct world *w, struct conn *c, const struct lastack_record *r,
                          const char *where)
{
    explain_timers(w, c, r, where);
    if (r->cause == LASTACK_CAUSE_RST)
        explain_reset(w, c, where);
    else if (is_release(r->cause))
        explain_release_abort(w, c, where);
    else if (r->cause == LASTACK_CAUSE_OPERATOR)
        ORACLE(w, c->op_rst || c->op_wr || c->op_rd, "%s: no operator has ended it", where);
    else if (r->cause == LASTACK_CAUSE_DATA)
        ORACLE(w, !conn_held(c), "%s: data is no reason to end what a program holds", where);
    else if (r->cause == LASTACK_CAUSE_ICMP)
        ORACLE(w, batch_has_icmp(w) && c->state <= LASTACK_SYN_RCVD,
               "%s: ended by an ICMP error in that state", where);
    else if (r->cause == LASTACK_CAUSE_MEMORY)
        ORACLE(w, w->plan.tight, "%s: out of memory in a world without tight limits", where);
    else if (r->cause == LASTACK_CAUSE_ACK || r->cause == LASTACK_CAUSE_FIN_ACK ||
             r->cause == LASTACK_CAUSE_FIN)
        ORACLE(w, c->state == LASTACK_LAST_ACK, "%s: an ACK ends only LAST-ACK", where);
    else if (is_shutdown(r->cause))
        ORACLE(w, c->state <= LASTACK_SYN_RCVD || (!c->sock && r->cause != LASTACK_CAUSE_SHUT_WR),
               "%s: shutdown is not a reset", where); /* but a listener's is, for its queue */
}

void edge_explain(struct world *w, struct conn *c, const struct lastack_record *r)
{
    char where[256], text[128];
    snprintf(where, sizeof where, "host %u %s: %s -> %s by %s", c->host->index,
             tuple_text(&c->tuple, text), lastack_state_name(r->from), lastack_state_name(r->to),
             lastack_cause_name(r->cause));
    switch (r->to) {
    case LASTACK_FIN_WAIT_1:
    case LASTACK_LAST_ACK:
        ORACLE(w, conn_ended(c), "%s: its programs have neither shut it down nor closed it "
                                 "(%u references)",
               where, c->sock ? c->sock->refs : 0);
        break;
    case LASTACK_CLOSE_WAIT:
    case LASTACK_CLOSING:
        ORACLE(w, peer_ended(w, c), "%s: the peer has not ended its half", where);
        break;
    case LASTACK_FIN_WAIT_2:
        ORACLE(w, c->local || (c->fin_out && c->una == c->out_end),
               "%s: our FIN was not acknowledged", where);
        break;
    case LASTACK_TIME_WAIT:
        ORACLE(w, peer_ended(w, c), "%s: the peer has not ended its half", where);
        ORACLE(w, c->local || (c->fin_out && c->una == c->out_end),
               "%s: our FIN was not acknowledged", where);
        break;
    case LASTACK_CLOSED:
        explain_death(w, c, r, where);
        break;
    default:
        break;
    }
}

static bool error_fits(const struct conn *c, int error)
{
    switch (c->death_cause) {
    case LASTACK_CAUSE_RST:
        if (c->death_from == LASTACK_SYN_SENT || c->death_from == LASTACK_SYN_RCVD)
            return error == ECONNREFUSED;
        return error == (c->death_from == LASTACK_CLOSE_WAIT ? EPIPE : ECONNRESET);
    case LASTACK_CAUSE_RETRY_LIMIT:
    case LASTACK_CAUSE_USER_TIMEOUT:
    case LASTACK_CAUSE_KEEPALIVE:
    case LASTACK_CAUSE_PROBE_LIMIT:
    case LASTACK_CAUSE_FIN_WAIT_TIMEOUT:
        return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
    case LASTACK_CAUSE_ICMP:
        return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
               error == ENOPROTOOPT;
    case LASTACK_CAUSE_OPERATOR:
        return error == ECONNABORTED || error == ECONNRESET || error == EPIPE;
    default:
        return error == ECONNABORTED || error == ENOBUFS || error == ECONNRESET;
    }
}

/* An error that tells of the connection's death: is it dead, and of that? */
void edge_error_explain(struct world *w, struct sock *s, int error, const char *call)
{
    const struct conn *c = s->conn;
    ORACLE(w, c, "socket %u: %s says %s, but it never had a connection", s->serial, call,
           strerror(error));
    ORACLE(w, c->dead, "socket %u: %s says %s, but its connection is alive in %s", s->serial, call,
           strerror(error), lastack_state_name(c->state));
    ORACLE(w, error_fits(c, error), "socket %u: %s says %s, but it was ended in %s by %s",
           s->serial, call, strerror(error), lastack_state_name(c->death_from),
           lastack_cause_name(c->death_cause));
}
