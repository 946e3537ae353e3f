/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections as the flight recorder tells them: each edge must continue the connection's own
 * history, be legal, and have been caused by something that really happened (edge.c).
 */
#include "sim.h"

static uint64_t tuple_hash(const struct lastack_tuple *t, unsigned host)
{
    uint64_t h = ((uint64_t)t->local_port << 32 | t->remote_port) + host * 0x51ed27f1u;
    for (int i = 12; i < 16; i++)
        h = h * 131 + t->remote.bytes[i] + 7u * t->local.bytes[i];
    h *= 0x9e3779b97f4a7c15ull;
    return h >> 58;
}

static bool tuple_equal(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0 &&
           memcmp(&a->local, &b->local, sizeof a->local) == 0;
}

struct lastack_tuple tuple_mirror(const struct lastack_tuple *t)
{
    return (struct lastack_tuple){
        .local = t->remote,
        .remote = t->local,
        .local_port = t->remote_port,
        .remote_port = t->local_port,
    };
}

const char *tuple_text(const struct lastack_tuple *t, char out[128])
{
    const uint8_t *l = t->local.bytes + 12, *r = t->remote.bytes + 12;
    snprintf(out, 128, "%u.%u.%u.%u:%u-%u.%u.%u.%u:%u", l[0], l[1], l[2], l[3], t->local_port,
             r[0], r[1], r[2], r[3], t->remote_port);
    return out;
}

struct conn *conn_find(struct world *w, const struct host *host, const struct lastack_tuple *t)
{
    if (!host)
        return NULL;
    struct conn *c = w->conns[tuple_hash(t, host->index)];
    while (c && (c->host != host || !tuple_equal(&c->tuple, t)))
        c = c->next;
    return c;
}

struct conn *conn_older(struct conn *c)
{
    const struct conn *mine = c;
    for (c = c->next; c; c = c->next)
        if (c->host == mine->host && tuple_equal(&c->tuple, &mine->tuple))
            return c;
    return NULL;
}

struct conn *conn_peer(struct world *w, const struct conn *c)
{
    struct lastack_tuple mirror = tuple_mirror(&c->tuple);
    return conn_find(w, conn_peer_host(w, c), &mirror);
}

/* Its listener went while it waited. */
static bool conn_discarded(const struct conn *c)
{
    return c->dead && (c->death_cause == LASTACK_CAUSE_CLOSE ||
                       c->death_cause == LASTACK_CAUSE_DUP_OVER ||
                       c->death_cause == LASTACK_CAUSE_EXEC ||
                       c->death_cause == LASTACK_CAUSE_EXIT ||
                       c->death_cause == LASTACK_CAUSE_MESSAGE_DROP ||
                       c->death_cause == LASTACK_CAUSE_SHUT_RD ||
                       c->death_cause == LASTACK_CAUSE_SHUT_RDWR || c->listener_gone);
}

/* The oldest that came in through a listener and that no program has taken yet. */
struct conn *conn_unaccepted(struct world *w, const struct host *host,
                             const struct lastack_tuple *t)
{
    struct conn *found = NULL;
    for (struct conn *c = conn_find(w, host, t); c; c = conn_older(c))
        if (c->passive && !c->sock && c->was_synchronized && !conn_discarded(c))
            found = c;
    return found;
}

struct host *conn_peer_host(struct world *w, const struct conn *c)
{
    return world_host_of(w, &c->tuple.remote, c->host);
}

bool conn_ended(const struct conn *c)
{
    return c->op_wr || (c->sock && (c->sock->shut_wr || c->sock->refs == 0));
}

bool conn_held(const struct conn *c)
{
    return c->sock && c->sock->refs > 0;
}

void conn_bind_sock(struct world *w, struct sock *s, struct conn *c)
{
    ORACLE(w, !c->sock, "two sockets for one connection");
    s->conn = c;
    c->sock = s;
    s->blind = s->blind || c->reborn;
}

static struct conn *conn_new(struct world *w, struct host *host, const struct lastack_record *r)
{
    char text[128];
    const struct conn *old = conn_find(w, host, &r->tuple);
    ORACLE(w, !old || old->dead, "host %u %s: born twice, the other one is in %s", host->index,
           tuple_text(&r->tuple, text), old ? lastack_state_name(old->state) : "");
    struct conn *c = arena_get(&w->arena, sizeof *c);
    struct conn **bucket = &w->conns[tuple_hash(&r->tuple, host->index)];
    *c = (struct conn){
        .next = *bucket,
        .host = host,
        .tuple = r->tuple,
        .state = r->from,
        .passive = r->to != LASTACK_SYN_SENT,
        .born_ns = w->now,
        .wscale_in = -1,
        .wscale_out = -1,
    };
    *bucket = c;
    c->local = world_host_of(w, &c->tuple.remote, host) == host;
    watch_born(w, c);
    return c;
}

static bool record_is_birth(struct world *w, struct host *host, const struct lastack_record *r)
{
    if (r->from == LASTACK_SYN_RCVD && r->to == LASTACK_ESTABLISHED) {
        const struct conn *c = conn_find(w, host, &r->tuple); /* by a cookie: was never half-open */
        return !w->plan.config[host->index].no_syn_cookies && (!c || c->dead);
    }
    if (r->to == LASTACK_SYN_SENT)
        return r->from == LASTACK_CLOSED;
    if (r->to == LASTACK_SYN_RCVD || r->to == LASTACK_ESTABLISHED)
        return r->from == LASTACK_LISTEN;
    return false;
}

static void conn_move(struct world *w, struct conn *c, const struct lastack_record *r)
{
    char text[128];
    ORACLE(w, c->state == r->from && !c->dead, "host %u %s: edge %s -> %s, but it was in %s",
           c->host->index, tuple_text(&r->tuple, text), lastack_state_name(r->from),
           lastack_state_name(r->to), c->dead ? "its grave" : lastack_state_name(c->state));
    edge_explain(w, c, r);
    c->state = r->to;
    c->state_since_ns = r->time_ns;
    c->was_synchronized = c->was_synchronized || r->to >= LASTACK_ESTABLISHED;
    c->was_established = c->was_established || r->to == LASTACK_ESTABLISHED;
    bool reused = r->from == LASTACK_TIME_WAIT && r->to == LASTACK_SYN_RCVD; /* its heir is born */
    if (r->to != LASTACK_CLOSED && !reused)
        return;
    c->dead = true;
    c->death_ns = w->now;
    c->death_cause = r->cause;
    c->death_from = r->from;
    c->death_errno = r->arg;
}

static void record_edge(struct world *w, struct host *host, const struct lastack_record *r)
{
    char text[128];
    ORACLE(w, r->from < LASTACK_STATE_CNT && r->to < LASTACK_STATE_CNT &&
                  r->cause < LASTACK_CAUSE_CNT,
           "host %u: a record with values beyond its enums", host->index);
    STORY(w, "host %u  %s  %s -> %s  by %s (pid %u)", host->index, tuple_text(&r->tuple, text),
          lastack_state_name(r->from), lastack_state_name(r->to), lastack_cause_name(r->cause),
          r->pid);
    w->coverage->edge[r->from][r->to]++;
    w->coverage->cause[r->cause]++;
    ORACLE(w, edge_legal(r->from, r->to), "host %u %s: illegal edge %s -> %s by %s", host->index,
           tuple_text(&r->tuple, text), lastack_state_name(r->from), lastack_state_name(r->to),
           lastack_cause_name(r->cause));
    if (r->tuple.remote_port == 0)
        return; /* a listener: several may have one tuple */
    struct conn *c;
    if (record_is_birth(w, host, r)) {
        c = conn_new(w, host, r);
    } else {
        c = conn_find(w, host, &r->tuple);
        ORACLE(w, c, "host %u %s: edge %s -> %s of a connection that was never born", host->index,
               tuple_text(&r->tuple, text), lastack_state_name(r->from),
               lastack_state_name(r->to));
    }
    conn_move(w, c, r);
}

void conn_records(struct world *w, struct host *host)
{
    struct lastack_record r;
    for (;;) {
        uint64_t before = host->record_cursor;
        if (!fault_record_next(w, host->stack, &host->record_cursor, &r))
            return;
        ORACLE(w, r.sequence == before + 1, "host %u: the flight recorder jumps from %llu to %llu",
               host->index, (unsigned long long)before, (unsigned long long)r.sequence);
        ORACLE(w, r.time_ns == host->told_ns, "host %u: a record of %llu, the stack knows %llu",
               host->index, (unsigned long long)r.time_ns, (unsigned long long)host->told_ns);
        world_mix(w, r.kind | (uint64_t)r.cause << 8 | (uint64_t)r.from << 16 |
                         (uint64_t)r.to << 24 | (uint64_t)r.pid << 32);
        if (r.kind == LASTACK_RECORD_EDGE)
            record_edge(w, host, &r);
        else if (r.kind == LASTACK_RECORD_DROP)
            STORY(w, "host %u  drop: %s", host->index,
                  lastack_drop_name(r.arg) ? lastack_drop_name(r.arg) : "?");
    }
}
