/* SPDX-License-Identifier: BSD-2-Clause */
/* What a look saw, in the terms of the facts. README.md says why each line may be believed. */
#include "kernel/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "kernel/process.h"

#define TIME_WAIT_US 60000000u /* TCP_TIMEWAIT_LEN */

/* ---- states ---- */

static enum lastack_state to_state(uint8_t linux_state)
{
    static const uint8_t states[LINUX_STATE_CNT] = {
        [LINUX_ESTABLISHED] = LASTACK_ESTABLISHED, [LINUX_SYN_SENT] = LASTACK_SYN_SENT,
        [LINUX_SYN_RECV] = LASTACK_SYN_RCVD,       [LINUX_FIN_WAIT1] = LASTACK_FIN_WAIT_1,
        [LINUX_FIN_WAIT2] = LASTACK_FIN_WAIT_2,    [LINUX_TIME_WAIT] = LASTACK_TIME_WAIT,
        [LINUX_CLOSE] = LASTACK_CLOSED,            [LINUX_CLOSE_WAIT] = LASTACK_CLOSE_WAIT,
        [LINUX_LAST_ACK] = LASTACK_LAST_ACK,       [LINUX_LISTEN] = LASTACK_LISTEN,
        [LINUX_CLOSING] = LASTACK_CLOSING,         [LINUX_NEW_SYN_RECV] = LASTACK_SYN_RCVD,
    };
    return linux_state < LINUX_STATE_CNT ? states[linux_state] : LASTACK_CLOSED;
}

/* The peer's FIN has come, and takes a number in the receive queue until it is read. */
static bool has_fin_in(const struct scan_socket *s)
{
    return s->linux_state == LINUX_CLOSE_WAIT || s->linux_state == LINUX_LAST_ACK ||
           s->linux_state == LINUX_CLOSING;
}

/* Our FIN waits for its acknowledgment, and takes a number in the send queue. */
static bool has_fin_out(const struct scan_socket *s)
{
    return s->linux_state == LINUX_FIN_WAIT1 || s->linux_state == LINUX_LAST_ACK ||
           s->linux_state == LINUX_CLOSING;
}

static bool is_half_open(const struct scan_socket *s)
{
    return s->linux_state == LINUX_SYN_RECV || s->linux_state == LINUX_NEW_SYN_RECV;
}

/* close() leaves neither of these states without a socket: it was never accepted. */
static bool is_unaccepted(const struct scan_socket *s)
{
    return s->inode == 0 && !s->held_by_kernel &&
           (s->linux_state == LINUX_ESTABLISHED || s->linux_state == LINUX_CLOSE_WAIT);
}

static bool is_orphan(const struct scan_socket *s)
{
    return s->inode == 0 && !s->held_by_kernel &&
           (has_fin_out(s) || s->linux_state == LINUX_FIN_WAIT2);
}

/* ---- listeners ---- */

struct listeners {
    struct scan_index by_port; /* first place of a port of a namespace; chained through next */
    uint32_t *next;            /* by socket */
};

static uint64_t port_key(uint32_t space, uint16_t port)
{
    return (uint64_t)space << 16 | port;
}

static void listeners_make(struct listeners *l, struct scan *scan)
{
    memset(l, 0, sizeof *l);
    l->next = malloc((scan->socket_cnt + 1) * sizeof *l->next);
    for (uint32_t i = 0; l->next && i < scan->socket_cnt; i++) {
        const struct scan_socket *s = &scan->sockets[i];
        if (s->linux_state != LINUX_LISTEN)
            continue;
        l->next[i] = scan_index_get(&l->by_port, port_key(s->space, s->tuple.local_port));
        if (!scan_index_put(&l->by_port, port_key(s->space, s->tuple.local_port), i))
            scan->failed = true;
    }
    if (!l->next)
        scan->failed = true;
}

static void listeners_free(struct listeners *l)
{
    scan_index_free(&l->by_port);
    free(l->next);
}

static uint32_t listeners_first(const struct listeners *l, uint32_t space, uint16_t port)
{
    return l->next ? scan_index_get(&l->by_port, port_key(space, port)) : SCAN_NONE;
}

/* An address that was not chosen: 0.0.0.0 or ::. */
static bool is_wild(const struct lastack_address *a)
{
    static const struct lastack_address any6;
    return address_is_any(a) || address_equal(a, &any6);
}

/* The listener in whose queue it waits; 0: none or several (SO_REUSEPORT). */
static uint64_t listener_of(const struct scan *scan, const struct listeners *l,
                            const struct scan_socket *s)
{
    uint64_t found = 0;
    bool found_exact = false;
    uint32_t i = listeners_first(l, s->space, s->tuple.local_port);
    for (; i != SCAN_NONE; i = l->next[i]) {
        const struct scan_socket *listener = &scan->sockets[i];
        bool exact = address_equal(&listener->tuple.local, &s->tuple.local);
        if ((!exact && !is_wild(&listener->tuple.local)) || listener->receive_len == 0 ||
            (found_exact && !exact))
            continue;
        found = found && exact == found_exact ? FACT_UNKNOWN : listener->cookie;
        found_exact = exact;
    }
    return found == FACT_UNKNOWN ? 0 : found;
}

/* Who came to us has a listener's port; who went out has a port of the ephemeral range. */
static fact_bool passive_of(const struct scan *scan, const struct listeners *l,
                            const struct scan_socket *s)
{
    const struct scan_space *space = &scan->spaces[s->space];
    if (is_unaccepted(s) || is_half_open(s))
        return FACT_YES;
    if (s->linux_state == LINUX_SYN_SENT || s->linux_state == LINUX_LISTEN)
        return FACT_NO;
    if (listeners_first(l, s->space, s->tuple.local_port) != SCAN_NONE)
        return FACT_YES;
    if (listeners_first(l, s->space, s->tuple.remote_port) != SCAN_NONE)
        return FACT_NO;
    if (space->port_low && s->tuple.local_port >= space->port_low &&
        s->tuple.local_port <= space->port_high)
        return FACT_NO;
    return FACT_MAYBE;
}

/* ---- one record ---- */

static uint64_t ms_to_us(uint32_t ms)
{
    return ms == UINT32_MAX ? FACT_NEVER : (uint64_t)ms * 1000;
}

static uint64_t number(uint32_t n)
{
    return n == UINT32_MAX ? FACT_UNKNOWN : n;
}

static void put_name(const struct scan *scan, struct facts *f, const struct scan_socket *s)
{
    const struct scan_space *space = &scan->spaces[s->space];
    f->source = FACT_SOURCE_KERNEL;
    f->id = s->linux_state == LINUX_TIME_WAIT || is_half_open(s) ? 0 : s->cookie;
    f->socket_id = s->inode ? s->cookie : 0;
    f->inode = s->inode;
    f->netns = space->inode;
    f->taken_ns = s->seen_ns;
    f->tuple = s->tuple;
    f->state = to_state(s->linux_state);
    if (space->here)
        snprintf(f->stack, sizeof f->stack, KERNEL_STACK);
    else
        snprintf(f->stack, sizeof f->stack, KERNEL_STACK "@%s", space->name);
}

/* Without a socket nobody but close() can have shut it down; with one, bit 1 is set by a FIN too. */
static void put_shut(struct facts *f, const struct scan_socket *s)
{
    if (s->shutdown == 0xff || is_orphan(s) || s->linux_state == LINUX_CLOSE)
        return;
    f->shut_wr = s->shutdown & 2 ? FACT_YES : FACT_NO;
    if (!(s->shutdown & 1))
        f->shut_rd = FACT_NO;
    else if (!has_fin_in(s))
        f->shut_rd = FACT_YES;
}

static void put_queues(struct facts *f, const struct scan_socket *s)
{
    bool fin_in = has_fin_in(s), fin_out = has_fin_out(s);
    bool syn = s->linux_state == LINUX_SYN_SENT || is_half_open(s);
    if (s->linux_state == LINUX_CLOSE)
        f->receive_queue = s->receive_len;
    if (s->linux_state == LINUX_TIME_WAIT || s->linux_state == LINUX_CLOSE)
        return;
    f->receive_queue = s->receive_len - (fin_in && s->receive_len ? 1 : 0);
    f->send_queue = syn ? 0 : s->send_len - (fin_out && s->send_len ? 1 : 0);
    if (s->linux_state == LINUX_LISTEN) {
        f->overflows = s->overflows;
        return;
    }
    f->fin_consumed = fin_in && s->receive_len == 0 ? FACT_YES : FACT_NO;
    if (!s->tcp.known)
        return;
    f->send_unsent = number(s->tcp.unsent);
    if (f->send_unsent != FACT_UNKNOWN && f->send_unsent && (fin_out || syn))
        f->send_unsent--;
    f->receive_window = number(s->tcp.receive_window);
    f->send_window = number(s->tcp.send_window);
    f->bytes_in = s->tcp.bytes_received - (fin_in && s->tcp.bytes_received ? 1 : 0);
    f->bytes_out = s->tcp.bytes_sent - s->tcp.bytes_again;
}

/* It is at least as old as the oldest thing that it remembers. */
static uint64_t born_at_least(const struct scan_tcp *tcp)
{
    uint32_t ages[] = {tcp->data_in_ms, tcp->data_out_ms, tcp->ack_in_ms};
    uint64_t born = tcp->busy_us;
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++)
        if (ages[i] != UINT32_MAX && (uint64_t)ages[i] * 1000 > born)
            born = (uint64_t)ages[i] * 1000;
    return born;
}

/*
 * A FIN is acknowledged data for the clock of "last ACK received": it came at least that long ago,
 * and later only if nothing was acknowledged since. The same clock bounds the acknowledgment of our
 * own FIN, which is where FIN_WAIT_2 begins.
 */
/* The timer of an orphan in FIN_WAIT_2 began with the acknowledgment of its FIN. The end of it that
 * runs longer than TIME_WAIT does is counted first, by another timer. */
static void put_orphan_age(struct facts *f, const struct scan_socket *s, uint32_t fin_wait_ms)
{
    uint32_t last_ms = TIME_WAIT_US / 1000;
    uint32_t whole_ms = fin_wait_ms > last_ms && s->timer == 2 ? fin_wait_ms - last_ms : fin_wait_ms;
    if (is_orphan(s) && s->linux_state == LINUX_FIN_WAIT2 && s->timer && s->timer_ms <= whole_ms)
        f->state_us = f->fin_out_us = (uint64_t)(whole_ms - s->timer_ms) * 1000;
}

static void put_ages(struct facts *f, const struct scan_socket *s)
{
    uint64_t ack = ms_to_us(s->tcp.ack_in_ms);
    bool fin_out = has_fin_out(s);
    f->at_least = FACT_YES;
    if (s->linux_state == LINUX_LISTEN || s->linux_state == LINUX_SYN_SENT || is_half_open(s) ||
        s->linux_state == LINUX_ESTABLISHED || s->linux_state == LINUX_CLOSE_WAIT)
        f->fin_out_us = FACT_NEVER;
    if (!has_fin_in(s) && s->linux_state != LINUX_TIME_WAIT && s->linux_state != LINUX_CLOSE)
        f->fin_in_us = f->eof_read_us = FACT_NEVER;
    else if (f->fin_consumed == FACT_NO)
        f->eof_read_us = FACT_NEVER;
    if (s->linux_state == LINUX_TIME_WAIT && s->timer_ms <= TIME_WAIT_US / 1000)
        f->fin_in_us = f->state_us = TIME_WAIT_US - s->timer_ms * 1000u;
    if (!s->tcp.known)
        return;
    f->data_in_us = ms_to_us(s->tcp.data_in_ms);
    f->data_out_us = ms_to_us(s->tcp.data_out_ms);
    f->born_us = s->linux_state == LINUX_LISTEN ? FACT_UNKNOWN : born_at_least(&s->tcp);
    if (!fact_known(ack))
        return;
    if (has_fin_in(s))
        f->fin_in_us = ack;
    if (s->linux_state == LINUX_FIN_WAIT2)
        f->fin_out_us = ack;
    if (s->linux_state == LINUX_ESTABLISHED)
        f->state_us = f->born_us;
    else if (s->linux_state == LINUX_CLOSE_WAIT || s->linux_state == LINUX_FIN_WAIT2)
        f->state_us = ack;
    if (fin_out)
        f->fin_acked = FACT_NO;
}

static void put_timer(struct facts *f, const struct scan_socket *s)
{
    bool fin_wait = s->linux_state == LINUX_FIN_WAIT2 && s->inode == 0;
    f->timer = LASTACK_TIMER_NONE;
    f->timer_us = s->timer ? (uint64_t)s->timer_ms * 1000 : FACT_NEVER;
    f->retransmits = s->timer == 1 ? s->timer_cnt : 0;
    /* An answer to a probe clears their number, but not how far they have slowed down. */
    f->probes = s->timer != 4                      ? 0
                : s->tcp.backoff > s->timer_cnt ? s->tcp.backoff
                                                   : s->timer_cnt;
    if (s->timer == 1)
        f->timer = LASTACK_TIMER_RETRANSMIT;
    else if (s->timer == 4)
        f->timer = LASTACK_TIMER_PROBE;
    else if (s->timer == 2 || s->timer == 3)
        f->timer = fin_wait          ? LASTACK_TIMER_FIN_WAIT
                   : s->timer == 2 ? LASTACK_TIMER_KEEPALIVE
                                     : LASTACK_TIMER_TIME_WAIT;
    /* The timer of keepalive runs whenever it is on and no other one does. */
    if (s->linux_state == LINUX_ESTABLISHED || s->linux_state == LINUX_CLOSE_WAIT)
        f->keepalive = s->timer == 2 ? FACT_YES : s->timer == 0 ? FACT_NO : FACT_MAYBE;
}

/* A reference beside descriptors that nobody could name. A fork that has copied its parent's table and
 * cannot be met yet looks like that, so it counts only if nobody forked. */
static bool is_passing(const struct scan *scan, const struct scan_socket *s,
                       const struct scan_hold *hold)
{
    if (!scan->unsteady || hold->kind != FACT_HOLDER_OTHER || hold->where)
        return false;
    for (uint32_t i = s->hold_first; i != SCAN_NONE; i = scan->holds[i].next)
        if (scan->holds[i].kind == FACT_HOLDER_DESCRIPTOR)
            return true;
    return false;
}

static void put_holders(const struct scan *scan, struct facts_list *list, struct facts *f,
                        const struct scan_socket *s)
{
    uint64_t now = process_now_ticks();
    bool nobody = s->inode == 0 && !s->held_by_kernel;
    f->holders_known = nobody || scan->exact || scan->holders_all ? FACT_YES : FACT_NO;
    facts_holders_reserve(list, f, s->hold_cnt);
    for (uint32_t i = s->hold_first; i != SCAN_NONE; i = scan->holds[i].next) {
        const struct scan_hold *from = &scan->holds[i];
        struct fact_holder *h = is_passing(scan, s, from) ? NULL : facts_holder_add(list, f);
        if (!h)
            continue;
        h->kind = from->kind;
        h->fd = from->fd;
        h->tid = from->tid;
        h->origin = from->origin;
        h->close_on_exec = from->close_on_exec;
        if (from->where)
            snprintf(h->where, sizeof h->where, "%s", from->where);
        if (from->process == SCAN_NONE)
            continue;
        const struct scan_process *p = &scan->processes[from->process];
        h->pid = p->pid;
        h->fd_cnt = p->fd_cnt;
        memcpy(h->program, p->program, sizeof h->program);
        if (p->start_ticks && p->start_ticks <= now)
            h->process_us = process_ticks_us(now - p->start_ticks);
    }
    f->references = nobody ? 0 : scan->exact ? f->holder_cnt : FACT_UNKNOWN;
}

/* A ring may wait for any socket of its process, and does not tell for which. */
static bool rings_busy(const struct scan *scan, const struct scan_socket *s)
{
    for (uint32_t i = s->hold_first; i != SCAN_NONE; i = scan->holds[i].next)
        if (scan->holds[i].process != SCAN_NONE &&
            scan->processes[scan->holds[i].process].rings_busy)
            return true;
    return false;
}

static void put_watches(const struct scan *scan, struct facts_list *list, struct facts *f,
                        const struct scan_socket *s)
{
    if (scan->exact)
        f->watchers_known = s->watchers_cut ? FACT_NO : FACT_YES;
    else if (s->interesting)
        f->watchers_known = scan->watchers_all && !rings_busy(scan, s) ? FACT_YES : FACT_NO;
    for (uint32_t i = s->watch_first; i != SCAN_NONE; i = scan->watches[i].next) {
        struct fact_watch *w = facts_watch_add(list, f);
        if (!w)
            return;
        *w = scan->watches[i].watch;
    }
}

/* Who has the credentials that made it lives. */
static void put_creator(const struct scan *scan, struct facts *f, const struct scan_socket *s)
{
    if (s->creator == SCAN_NONE)
        return;
    const struct scan_process *p = &scan->processes[s->creator];
    f->creator_pid = p->pid;
    memcpy(f->creator_program, p->program, sizeof f->creator_program);
    f->creator_alive = FACT_YES;
    f->creator_holds = FACT_NO;
    for (uint32_t i = s->hold_first; i != SCAN_NONE; i = scan->holds[i].next)
        if (scan->holds[i].process == s->creator)
            f->creator_holds = FACT_YES;
}

static void put_one(struct scan *scan, struct facts_list *list, const struct listeners *listeners,
                    const struct scan_socket *s)
{
    struct facts *f = facts_list_add(list);
    if (!f)
        return;
    put_name(scan, f, s);
    f->passive = passive_of(scan, listeners, s);
    f->unaccepted = is_unaccepted(s) ? FACT_YES : FACT_NO;
    f->orphan = is_orphan(s) ? FACT_YES : FACT_NO;
    if (is_unaccepted(s))
        f->listener_id = s->listener ? s->listener : listener_of(scan, listeners, s);
    f->moved = s->moved;
    f->error = s->error;
    if (s->linux_state == LINUX_FIN_WAIT2)
        f->fin_acked = FACT_YES;
    f->peer_end = s->peer_gone ? FACT_PEER_GONE : FACT_PEER_UNKNOWN;
    put_shut(f, s);
    put_queues(f, s);
    put_ages(f, s);
    put_orphan_age(f, s, scan->spaces[s->space].fin_wait_ms);
    put_timer(f, s);
    put_holders(scan, list, f, s);
    put_creator(scan, f, s);
    put_watches(scan, list, f, s);
}

void join_facts(struct scan *scan, struct facts_list *list)
{
    struct listeners listeners;
    uint32_t cnt = 0, hold_cnt = 0;
    listeners_make(&listeners, scan);
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        cnt += scan->sockets[i].wanted;
        hold_cnt += scan->sockets[i].wanted ? scan->sockets[i].hold_cnt : 0;
    }
    facts_list_reserve(list, cnt, hold_cnt);
    for (uint32_t i = 0; i < scan->socket_cnt; i++)
        if (scan->sockets[i].wanted)
            put_one(scan, list, &listeners, &scan->sockets[i]);
    listeners_free(&listeners);
}

/* ---- choice ---- */

static bool is_mirror(const struct scan_socket *a, const struct scan_socket *b)
{
    return a->space == b->space && a->tuple.local_port == b->tuple.remote_port &&
           a->tuple.remote_port == b->tuple.local_port &&
           address_equal(&a->tuple.local, &b->tuple.remote) &&
           address_equal(&a->tuple.remote, &b->tuple.local);
}

static bool is_listener_of(const struct scan_socket *listener, const struct scan_socket *s)
{
    return listener->linux_state == LINUX_LISTEN && listener->space == s->space &&
           listener->tuple.local_port == s->tuple.local_port;
}

/* One cookie, and who stands in a relation to it. */
static void choose_id(struct scan *scan, uint64_t id)
{
    uint32_t at = scan_by_cookie(scan, id);
    if (at == SCAN_NONE)
        return;
    const struct scan_socket *one = &scan->sockets[at];
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        struct scan_socket *s = &scan->sockets[i];
        s->wanted = i == at || is_mirror(s, one) || is_listener_of(s, one);
    }
}

static bool is_held_by(const struct scan *scan, const struct scan_socket *s, uint32_t pid)
{
    for (uint32_t i = s->hold_first; i != SCAN_NONE; i = scan->holds[i].next)
        if (scan->holds[i].process != SCAN_NONE &&
            scan->processes[scan->holds[i].process].pid == pid)
            return true;
    return false;
}

/* A socket that was made and has not been used yet is no connection. */
static bool is_fresh(const struct scan_socket *s)
{
    return s->linux_state == LINUX_CLOSE && s->tcp.known && s->tcp.segments_in == 0 &&
           s->tcp.segments_out == 0;
}

void join_choose(struct scan *scan)
{
    const struct kernel_options *o = scan->options;
    if (o->id) {
        choose_id(scan, o->id);
        return;
    }
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        struct scan_socket *s = &scan->sockets[i];
        s->wanted =
            !is_fresh(s) && (!o->states || o->states & 1u << to_state(s->linux_state)) &&
            (!o->port || s->tuple.local_port == o->port || s->tuple.remote_port == o->port) &&
            (!o->pid || is_held_by(scan, s, o->pid));
    }
}

static bool is_interesting(const struct scan_socket *s)
{
    switch (s->linux_state) {
    case LINUX_LISTEN:
        return s->receive_len > 0;
    case LINUX_ESTABLISHED:
        return s->receive_len > 0 || s->send_len > 0 || s->hold_cnt == 0;
    case LINUX_SYN_SENT:
    case LINUX_TIME_WAIT:
        return false;
    default:
        return true;
    }
}

void join_weigh(struct scan *scan)
{
    const struct kernel_options *o = scan->options;
    bool asked = o->id || o->port || o->pid;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        struct scan_socket *s = &scan->sockets[i];
        s->interesting = s->wanted && (asked || is_interesting(s));
    }
}
