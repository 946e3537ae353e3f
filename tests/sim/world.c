/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world: built from its plan, run through four phases under virtual time, taken down.
 *
 *   CHAOS   programs are wild, the network is bad
 *   FINISH  the network has healed; every program that wants to end does, within a bound
 *   HOLD    what is held on purpose stays as it is, for hours
 *   END     all programs die; a little later nothing is left anywhere
 */
#include <stdarg.h>
#include <stdlib.h>

#include "sim.h"

#define STEP_LIMIT 2000000u

_Noreturn void world_fail(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->failure, sizeof w->failure, format, args);
    va_end(args);
    w->failed = true;
    STORY(w, "FAILED: %s", w->failure);
    longjmp(w->out, 1);
}

void world_story(struct world *w, const char *format, ...)
{
    va_list args;
    printf("%13.6f  ", (double)(w->now - w->plan.start_ns) / 1e9);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

struct host *world_host_of(struct world *w, const struct lastack_address *a, struct host *self)
{
    if (a->bytes[12] == 127)
        return self;
    uint32_t ip4 = (uint32_t)a->bytes[12] << 24 | (uint32_t)a->bytes[13] << 16 |
                   (uint32_t)a->bytes[14] << 8 | a->bytes[15];
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        if (w->host[i].ip4 == ip4)
            return &w->host[i];
    return NULL;
}

/* ---- birth ------------------------------------------------------------------------------ */

static void host_build(struct world *w, unsigned index)
{
    struct host *host = &w->host[index];
    *host = (struct host){.index = index, .ip4 = 0x0a000001u + index, .next_pid = 100 * (index + 1)};
    host->told_ns = w->now;
    host->stack = lastack_create(&w->plan.config[index], w->now);
    ORACLE(w, host->stack, "lastack_create failed");
    struct lastack_interface interface = {
        .name = "link",
        .link = LASTACK_LINK_IP,
        .mtu = w->plan.mtu[index],
        .prefix_len = 24,
        .rx_checksum_trusted = w->plan.checksum_free,
        .tx_checksum_none = w->plan.checksum_free,
    };
    char text[32];
    snprintf(text, sizeof text, "10.0.0.%u", index + 1);
    ORACLE(w, lastack_address_parse(&interface.address, text) == 0, "address %s", text);
    ORACLE(w, lastack_interface_add(host->stack, &interface) == 1, "interface_add");
}

/* ---- packets in --------------------------------------------------------------------------- */

/* What the stack will see of this packet: NULL until the last piece of a cut one is there. */
static const uint8_t *packet_whole(struct packet *packet, size_t *len)
{
    struct pieces *pieces = packet->pieces;
    if (packet->corrupt)
        return NULL;
    *len = packet->len;
    if (!pieces)
        return packet->data;
    pieces->arrived |= 1u << packet->piece;
    if (pieces->arrived != (1u << pieces->cnt) - 1)
        return NULL;
    pieces->arrived = 0;
    *len = pieces->len;
    return pieces->whole;
}

static bool packet_header_is_good(const struct packet *packet)
{
    struct packet_view v;
    const char *wrong = packet_parse(&v, packet->data, packet->len, false);
    return wrong && strcmp(wrong, "fragment") == 0;
}

static void batch_add(struct world *w, struct host *host, struct packet *packet,
                      struct lastack_frame *frame)
{
    struct packet_view *v = &w->batch[w->batch_cnt++];
    size_t len;
    const uint8_t *whole = packet_whole(packet, &len);
    host->frames_in++;
    if (packet->corrupt && packet->pieces && packet_header_is_good(packet))
        host->corrupt_pieces++;
    else
        host->corrupt_in += packet->corrupt;
    *frame = (struct lastack_frame){.interface = 1, .len = packet->len, .iov_cnt = 1};
    frame->iov[0] = (struct iovec){packet->data, packet->len};
    if (packet->len > 60 && rng_chance(&w->net, 20 * PERCENT)) {
        size_t cut = 60 + rng_below(&w->net, packet->len - 60);
        frame->iov_cnt = 2;
        frame->iov[0].iov_len = cut;
        frame->iov[1] = (struct iovec){packet->data + cut, packet->len - cut};
    }
    *v = (struct packet_view){.genuine = packet->genuine};
    if (packet->corrupt)
        STORY(w, "      (host %u gets a damaged packet of %u bytes)", host->index, packet->len);
    if (!whole || packet_parse(v, whole, len, w->plan.checksum_free))
        return;
    v->genuine = packet->genuine;
    if (v->is_tcp)
        watch_in(w, host, v);
}

static bool packet_wants_company(struct world *w, const struct packet *packet)
{
    struct packet_view v;
    if (packet->pieces)
        return false;
    if (packet_parse(&v, packet->data, packet->len, w->plan.checksum_free))
        return true;
    return v.is_tcp && !(v.flags & (F_SYN | F_RST));
}

/* Packets that are due go in, several at a time if they go the same way. */
static void deliver(struct world *w)
{
    struct packet *taken[BATCH_MAX], *packet;
    while ((packet = link_take(w))) {
        struct lastack_frame frames[BATCH_MAX];
        struct host *host = &w->host[packet->destination];
        uint32_t most = packet_wants_company(w, packet) ? 1 + rng_below(&w->net, BATCH_MAX) : 1;
        w->batch_cnt = 0;
        uint32_t cnt = 0;
        for (;;) {
            taken[cnt] = packet;
            batch_add(w, host, packet, &frames[cnt++]);
            if (cnt >= most || link_next(w) > w->now ||
                w->link.heap[0]->destination != host->index ||
                !packet_wants_company(w, w->link.heap[0]))
                break;
            packet = link_take(w);
        }
        bool genuine = packet->genuine;
        fault_rx(w, host, frames, cnt);
        for (uint32_t i = 0; i < cnt; i++)
            free(taken[i]);
        conn_records(w, host);
        w->batch_cnt = 0;
        if (w->phase == PHASE_CHAOS && genuine && rng_chance(&w->net, w->plan.stranger_ppm))
            stranger_strike(w);
        if (w->phase == PHASE_CHAOS && genuine && rng_chance(&w->net, w->plan.flood_ppm))
            stranger_flood(w);
    }
}

/* ---- packets out, events ------------------------------------------------------------------- */

static bool host_settle(struct world *w, struct host *host)
{
    struct lastack_frame frames[16];
    struct lastack_event event;
    bool moved = false;
    uint32_t total = 0;
    conn_records(w, host);
    for (;;) {
        size_t max = w->plan.lazy_tx ? 1 : 1 + rng_below(&w->net, 16);
        size_t cnt = fault_tx(w, host, frames, max);
        conn_records(w, host);
        ORACLE(w, cnt <= max, "tx gave %zu frames of at most %zu", cnt, max);
        if (!cnt)
            break;
        moved = true;
        host->frames_out += cnt;
        for (size_t i = 0; i < cnt; i++)
            link_send(w, host, &frames[i]);
        total += (uint32_t)cnt;
        ORACLE(w, total < 20000, "host %u: tx never comes to an end", host->index);
    }
    while (fault_event(w, host->stack, &event)) {
        moved = true;
        call_event(w, host, &event);
    }
    return moved;
}

void world_settle(struct world *w)
{
    bool moved = true;
    for (int round = 0; moved; round++) {
        ORACLE(w, round < 1000, "the world never comes to rest at one moment");
        moved = false;
        for (unsigned i = 0; i < w->plan.host_cnt; i++)
            moved = host_settle(w, &w->host[i]) || moved;
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t next_of_programs(const struct world *w)
{
    uint64_t next = LASTACK_NEVER;
    for (const struct proc *p = w->procs; p; p = p->next)
        if (p->alive && p->next_ns < next)
            next = p->next_ns;
    return next;
}

static uint64_t next_of_stacks(struct world *w)
{
    uint64_t next = LASTACK_NEVER;
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        uint64_t deadline = fault_deadline(w, w->host[i].stack);
        if (deadline < next)
            next = deadline;
    }
    return next;
}

static uint64_t earliest(struct world *w)
{
    uint64_t next = next_of_stacks(w), other = next_of_programs(w);
    if (other < next)
        next = other;
    other = link_next(w);
    if (other < next)
        next = other;
    other = link_next_outage(w);
    return other < next ? other : next;
}

static void run_programs(struct world *w)
{
    for (struct proc *p = w->procs, *next; p; p = next) {
        next = p->next;
        if (!p->alive || p->next_ns > w->now)
            continue;
        actor_step(w, p);
        if (p->alive)
            next = p->next;
    }
}

static void world_moment(struct world *w)
{
    world_mix(w, w->now);
    w->coverage->steps++;
    ORACLE(w, ++w->steps < w->step_limit, "more than %llu steps: somebody spins",
           (unsigned long long)w->step_limit);
    link_outages(w);
    deliver(w);
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        if (fault_deadline(w, w->host[i].stack) <= w->now)
            fault_tick(w, &w->host[i]);
        conn_records(w, &w->host[i]);
    }
    run_programs(w);
    world_settle(w);
    check_deadlines(w);
    if (rng_chance(&w->check, 3 * PERCENT))
        for (unsigned i = 0; i < w->plan.host_cnt; i++)
            check_host(w, &w->host[i]);
}

/* False: nothing more will ever happen by itself. */
static bool world_advance(struct world *w, uint64_t until)
{
    uint64_t next = earliest(w);
    if (next == LASTACK_NEVER || next > until) {
        w->now = until;
        return false;
    }
    if (next > w->now)
        w->now = next;
    world_moment(w);
    return true;
}

static void world_until(struct world *w, uint64_t until)
{
    while (world_advance(w, until))
        ;
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        check_host(w, &w->host[i]);
}

/* ---- phases ----------------------------------------------------------------------------------- */

/* Its peer is gone and cannot tell it any more: a limit of TCP itself. Who only waits for the
 * other's end then waits for ever. */
static bool peer_died_silently(struct world *w, const struct conn *c)
{
    const struct conn *peer = conn_peer(w, c);
    if (c->rst_unsure)
        return true;
    bool no_rst = peer && (peer->death_from == LASTACK_LAST_ACK ||
                           peer->death_from == LASTACK_CLOSING); /* RFC 9293 3.10.5 */
    if (no_rst && peer->death_cause == LASTACK_CAUSE_OPERATOR)
        return true;
    return peer && peer->dead && (!c->local || w->plan.tight) &&
           (peer->death_cause == LASTACK_CAUSE_RETRY_LIMIT ||
            peer->death_cause == LASTACK_CAUSE_USER_TIMEOUT ||
            peer->death_cause == LASTACK_CAUSE_KEEPALIVE ||
            peer->death_cause == LASTACK_CAUSE_PROBE_LIMIT);
}

/* Does this end wait for somebody who holds the other end on purpose? */
static bool waits_for_holder(struct world *w, const struct sock *s)
{
    if (!s->conn)
        return false;
    if (s->conn->state == LASTACK_FIN_WAIT_2 && peer_died_silently(w, s->conn))
        return true;
    for (struct conn *c = conn_peer(w, s->conn); c; c = conn_older(c)) {
        if (c->dead)
            continue;
        if (c->sock && sock_held_on_purpose(w, c->sock))
            return true;
        if (c->sock || !c->passive)
            continue;
        for (const struct sock *l = w->socks; l; l = l->next) /* in a listener's queue */
            if (l->host == c->host && l->kind == SOCK_LISTENING &&
                l->port == c->tuple.local_port && sock_held_on_purpose(w, l))
                return true;
    }
    return false;
}

/* What others hold on purpose fills the buffers of a stack with tight limits. */
static bool waits_for_memory(struct world *w, const struct sock *s)
{
    const struct host *peer = s->conn ? conn_peer_host(w, s->conn) : NULL;
    for (unsigned i = 0; i < w->plan.host_cnt && w->plan.tight; i++) {
        struct lastack_usage usage;
        lastack_usage(w->host[i].stack, &usage);
        if ((&w->host[i] == s->host || &w->host[i] == peer) &&
            usage.buffer_bytes * 2 >= w->plan.config[i].buffer_max)
            return true;
    }
    return false;
}

static void tell_usage(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        struct lastack_usage usage;
        lastack_usage(w->host[i].stack, &usage);
        STORY(w, "host %u  %u connections, %llu bytes in buffers, limit %llu", i,
              usage.connections, (unsigned long long)usage.buffer_bytes,
              (unsigned long long)w->plan.config[i].buffer_max);
    }
}

/* The first descriptor that should be closed by now, or NULL. */
static struct sock *unfinished(struct world *w, struct proc **who)
{
    for (struct proc *p = w->procs; p; p = p->next) {
        for (int fd = 0; p->alive && !p->hold && fd < FD_MAX; fd++) {
            struct sock *s = p->fds[fd].s;
            if (!s || s->kind == SOCK_EPOLL || p->fds[fd].style == STYLE_HOLD ||
                p->fds[fd].style == STYLE_DEAF || waits_for_holder(w, s) ||
                waits_for_memory(w, s))
                continue;
            *who = p;
            return s;
        }
    }
    return NULL;
}

static uint64_t rto_max_ns(const struct world *w)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        if (w->plan.config[i].rto_max_ms * MS > most)
            most = w->plan.config[i].rto_max_ms * MS;
    return most;
}

static void phase_finish(struct world *w)
{
    struct proc *who = NULL;
    struct sock *s;
    uint64_t healed = w->now, bound = w->now + 12 * rto_max_ns(w) + 120 * SEC;
    w->phase = PHASE_FINISH;
    link_heal(w);
    STORY(w, "---- the network has healed, programs come to their end");
    actor_finish(w);
    for (uint32_t i = 0;; i++) {
        bool alive = world_advance(w, bound);
        if (i % 16 && alive)
            continue;
        s = unfinished(w, &who);
        if (!s || !alive)
            break;
    }
    char text[128];
    if (s)
        tell_usage(w);
    ORACLE(w, !s, "liveness: pid %u still has socket %u %s (%s) %llu s after the network healed",
           who->pid, s->serial, s->conn ? tuple_text(&s->conn->tuple, text) : "",
           s->conn ? lastack_state_name(s->conn->state) : "no connection",
           (unsigned long long)((w->now - healed) / SEC));
}

/* A slow program may need hours for what it wants to send. */
static bool still_works(struct world *w, const struct sock *s)
{
    return s->refs && !s->shut_wr && !sock_held_on_purpose(w, s);
}

static uint32_t conns_note(struct world *w, struct conn **list, enum lastack_state *states,
                           uint32_t max)
{
    uint32_t cnt = 0;
    for (unsigned i = 0; i < CONN_BUCKETS; i++) {
        for (struct conn *c = w->conns[i]; c; c = c->next) {
            if (c->dead || !conn_held(c) || c->sock->keepalive || c->sock->user_timeout_ms)
                continue;
            const struct conn *peer = conn_peer(w, c);
            bool limited = peer && peer->sock &&
                           (peer->sock->keepalive || peer->sock->user_timeout_ms);
            if (still_works(w, c->sock) || (peer && peer->sock && still_works(w, peer->sock)))
                continue;
            if (limited || cnt == max)
                continue;
            list[cnt] = c;
            states[cnt++] = c->state;
        }
    }
    return cnt;
}

static bool may_stay(struct world *w, const struct conn *c)
{
    struct lastack_info info;
    uint64_t cursor = 0;
    if (c->state == LASTACK_ESTABLISHED || c->state == LASTACK_CLOSE_WAIT ||
        c->state == LASTACK_FIN_WAIT_2)
        return true;
    if (c->state != LASTACK_FIN_WAIT_1 && c->state != LASTACK_LAST_ACK &&
        c->state != LASTACK_CLOSING)
        return false;
    while (lastack_info_next(c->host->stack, &cursor, &info)) /* only behind a closed window */
        if (info.state == c->state && memcmp(&info.tuple, &c->tuple, sizeof info.tuple) == 0)
            return info.send_window == 0 || info.timer == LASTACK_TIMER_PROBE;
    (void)w;
    return false;
}

/* The program's right: no silent timer ends what it holds (SEMANTICS 4). */
static void phase_hold(struct world *w)
{
    struct conn *list[EVER_HELD_MAX];
    enum lastack_state states[EVER_HELD_MAX];
    char text[128];
    w->phase = PHASE_HOLD;
    world_until(w, w->now + 3600 * SEC);
    uint32_t cnt = conns_note(w, list, states, EVER_HELD_MAX);
    if (cnt)
        world_until(w, w->now + 3 * 3600 * SEC);
    for (uint32_t i = 0; i < cnt; i++) {
        ORACLE(w, list[i]->state == states[i] && !list[i]->dead,
               "host %u %s was held in %s and is now in %s", list[i]->host->index,
               tuple_text(&list[i]->tuple, text), lastack_state_name(states[i]),
               lastack_state_name(list[i]->state));
        ORACLE(w, may_stay(w, list[i]), "host %u %s may not stay in %s", list[i]->host->index,
               tuple_text(&list[i]->tuple, text), lastack_state_name(states[i]));
        w->coverage->held[states[i]]++;
    }
}

static void phase_end(struct world *w)
{
    w->phase = PHASE_END;
    STORY(w, "---- all programs die");
    while (w->procs)
        call_exit(w, w->procs);
    world_settle(w);
    world_until(w, w->now + 6 * 3600 * SEC);
    STORY(w, "---- nothing may be left");
    check_end(w);
    ORACLE(w, earliest(w) == LASTACK_NEVER, "a timer still runs in an empty world");
}

static void world_live(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        host_build(w, i);
    link_init(w);
    actor_populate(w);
    world_settle(w);
    world_until(w, w->plan.start_ns + w->plan.chaos_ns);
    phase_finish(w);
    if (w->procs)
        phase_hold(w);
    phase_end(w);
}

void world_run(uint64_t seed, const struct world_options *options, struct coverage *coverage,
               struct world_result *result)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->seed = seed;
    w->trace = options->trace;
    w->fault = options->fault;
    w->coverage = coverage;
    w->step_limit = options->step_limit ? options->step_limit : STEP_LIMIT;
    w->actor.s = seed ^ 0xac70;
    w->net.s = seed ^ 0x0e700000;
    w->check.s = seed ^ 0xc4ec00000000;
    w->fault_rng.s = seed ^ 0xfa;
    plan_draw(&w->plan, seed);
    w->now = w->plan.start_ns;
    coverage->worlds++;
    if (setjmp(w->out) == 0)
        world_live(w);
    *result = (struct world_result){
        .failed = w->failed,
        .hash = w->hash,
        .fault_cnt = w->fault_cnt,
        .end_ns = w->now - w->plan.start_ns,
        .steps = w->steps,
    };
    memcpy(result->failure, w->failure, sizeof result->failure);
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        if (w->host[i].stack)
            lastack_destroy(w->host[i].stack);
    link_free(w);
    arena_free(&w->arena);
    free(w);
}
