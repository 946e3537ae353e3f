/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/timeout.h"

#include <errno.h>

#include "tcp/tcp.h"
#include "tcp/transmit.h"

#define NS_PER_MS        1000000u

/* Never early: the part of the current millisecond that has passed counts as one more. */
static uint32_t tick_after(const struct tcp *tcp, uint32_t delay_ms)
{
    uint32_t tick = tcp->now + delay_ms + (tcp->now_ns % NS_PER_MS != 0);
    return tick + (tick == 0);
}

static uint32_t deadline_first(const struct connection *c)
{
    uint32_t first = 0;
    for (int i = 0; i < DEADLINE_CNT; i++)
        if (c->deadline[i] != 0 && (first == 0 || seq_lt(c->deadline[i], first)))
            first = c->deadline[i];
    return first;
}

/* The wheel timer is moved only when it would fire too late; one that fires early finds nothing
 * due and is armed again. So the common "push the deadline on" costs a store. */
static void timer_follow(struct tcp *tcp, struct connection *c, uint32_t tick)
{
    if (!timer_armed(&c->timer) || seq_lt(tick, c->timer.expiry))
        timer_arm(tcp->wheel, &c->timer, tick);
}

void deadline_set(struct tcp *tcp, struct connection *c, enum deadline which, uint32_t delay_ms)
{
    c->deadline[which] = tick_after(tcp, delay_ms);
    timer_follow(tcp, c, c->deadline[which]);
}

void deadline_clear(struct tcp *tcp, struct connection *c, enum deadline which)
{
    if (c->deadline[which] == 0)
        return;
    c->deadline[which] = 0;
    if (deadline_first(c) == 0)
        timer_disarm(tcp->wheel, &c->timer);
}

uint32_t rto_now(const struct tcp *tcp, const struct connection *c)
{
    uint64_t rto = (uint64_t)c->rto_ms << MIN(c->backoff, 16);
    return (uint32_t)MIN(rto, tcp->config.rto_max_ms);
}

void rtt_sample(struct tcp *tcp, struct connection *c, uint32_t rtt_us)
{
    rtt_us = MAX(rtt_us, 1u);
    if (!connection_has(c, CONNECTION_RTT_KNOWN)) {
        c->flags |= CONNECTION_RTT_KNOWN;
        c->srtt_us = rtt_us;
        c->rttvar_us = rtt_us / 2;
    } else {
        uint32_t delta = c->srtt_us > rtt_us ? c->srtt_us - rtt_us : rtt_us - c->srtt_us;
        c->rttvar_us = c->rttvar_us - c->rttvar_us / 4 + delta / 4;
        c->srtt_us = c->srtt_us - c->srtt_us / 8 + rtt_us / 8;
    }
    c->backoff = 0; /* Karn: only now (RFC 9293 3.8.1, RFC 6298 5) */
    uint64_t rto_us = (uint64_t)c->srtt_us + MAX(4 * (uint64_t)c->rttvar_us, 1000u);
    uint64_t rto_ms = (rto_us + 999) / 1000;
    c->rto_ms = (uint32_t)MIN(MAX(rto_ms, tcp->config.rto_min_ms), tcp->config.rto_max_ms);
}

void retransmit_rearm(struct tcp *tcp, struct connection *c)
{
    if (c->snd_nxt != c->snd_una) {
        c->flags &= ~CONNECTION_PROBING;
        deadline_set(tcp, c, DEADLINE_RETRANSMIT, rto_now(tcp, c));
    } else if (!connection_has(c, CONNECTION_PROBING)) {
        deadline_clear(tcp, c, DEADLINE_RETRANSMIT);
    }
}

void user_clock_update(struct tcp *tcp, struct connection *c, bool progress)
{
    if (c->options.user_timeout_ms == 0)
        return;
    bool waiting = flight(c) > 0 || connection_has(c, CONNECTION_PROBING);
    bool running = connection_has(c, CONNECTION_USER_CLOCK);
    if (!waiting && running) {
        c->flags &= ~CONNECTION_USER_CLOCK;
        deadline_clear(tcp, c, DEADLINE_LIFE);
    } else if (waiting && (!running || progress)) {
        c->flags |= CONNECTION_USER_CLOCK;
        deadline_set(tcp, c, DEADLINE_LIFE, c->options.user_timeout_ms);
    }
}

void keepalive_rearm(struct tcp *tcp, struct connection *c)
{
    c->keepalive_probes = 0;
    if (!c->options.keepalive || !state_is(connection_state(c), STATE_SYNCED))
        deadline_clear(tcp, c, DEADLINE_KEEPALIVE);
    else
        deadline_set(tcp, c, DEADLINE_KEEPALIVE, c->options.keepalive_idle_s * 1000u);
}

static void give_up(struct tcp *tcp, struct connection *c, enum lastack_cause cause)
{
    connection_move(tcp, c, LASTACK_CLOSED, cause, ETIMEDOUT);
}

static uint32_t retry_limit(const struct tcp *tcp, const struct connection *c)
{
    if (connection_state(c) == LASTACK_SYN_SENT)
        return tcp->config.syn_retry_max;
    if (!connection_has(c, CONNECTION_SYN_ACKED))
        return tcp->config.syn_ack_retry_max;
    if (connection_has(c, CONNECTION_ORPHAN))
        return MIN(tcp->config.retry_max, tcp->config.orphan_retry_max);
    return tcp->config.retry_max;
}

static void probe_send(struct tcp *tcp, struct connection *c)
{
    c->probes++;
    c->orphan_probes += connection_has(c, CONNECTION_ORPHAN);
    deadline_set(tcp, c, DEADLINE_RETRANSMIT, rto_now(tcp, c));
    connection_owe(tcp, c, CONNECTION_PROBE_NOW);
}

/* RFC 6298 5.4 - 5.6: back to the oldest unacknowledged byte, timer doubled, one segment. */
static void retransmit_due(struct tcp *tcp, struct connection *c)
{
    if (c->retries >= retry_limit(tcp, c)) {
        give_up(tcp, c, LASTACK_CAUSE_RETRY_LIMIT);
        return;
    }
    if (connection_has(c, CONNECTION_SYN_ACKED))
        congestion_of(c)->timeout(&c->cc, c->mss, flight(c), c->retries > 0);
    c->retries++;
    c->backoff = (uint8_t)MIN(c->backoff + 1, 16);
    c->snd_nxt = c->snd_una;
    c->recover = c->snd_max;
    c->dup_acks = 0;
    c->flags &= ~(CONNECTION_RECOVERY | CONNECTION_RESEND_HEAD | CONNECTION_TIMING);
    c->flags |= CONNECTION_RTO_BACKED;
    if (c->snd_wnd == 0 && connection_has(c, CONNECTION_SYN_ACKED)) { /* [SHLD-29] */
        c->flags |= CONNECTION_PROBING;
        probe_send(tcp, c);
    }
    connection_owe(tcp, c, 0);
}

/* RFC 9293 3.8.6.1: probe for ever while the peer answers [MUST-36, MUST-37]; an orphan only so
 * often, or a peer could keep it for ever. */
static void probe_due(struct tcp *tcp, struct connection *c)
{
    bool orphan = connection_has(c, CONNECTION_ORPHAN);
    if (c->probes >= tcp->config.retry_max ||
        (orphan && c->orphan_probes >= tcp->config.orphan_probe_max)) {
        if (orphan)
            connection_reset(tcp, c, LASTACK_CAUSE_PROBE_LIMIT, ETIMEDOUT);
        else
            give_up(tcp, c, LASTACK_CAUSE_PROBE_LIMIT);
        return;
    }
    c->backoff = (uint8_t)MIN(c->backoff + 1, 16);
    probe_send(tcp, c);
}

/* RFC 9293 3.8.4 */
static void keepalive_due(struct tcp *tcp, struct connection *c)
{
    if (flight(c) > 0 || c->send.len > 0) { /* other timers watch the peer now */
        keepalive_rearm(tcp, c);
        return;
    }
    if (c->keepalive_probes >= c->options.keepalive_cnt) {
        connection_reset(tcp, c, LASTACK_CAUSE_KEEPALIVE, ETIMEDOUT);
        return;
    }
    c->keepalive_probes++;
    deadline_set(tcp, c, DEADLINE_KEEPALIVE, c->options.keepalive_interval_s * 1000u);
    connection_owe(tcp, c, CONNECTION_KEEPALIVE_NOW);
}

static void life_due(struct tcp *tcp, struct connection *c)
{
    if (connection_has(c, CONNECTION_USER_CLOCK))
        give_up(tcp, c, LASTACK_CAUSE_USER_TIMEOUT);
    else
        connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_FIN_WAIT_TIMEOUT, 0);
}

static void deadline_due(struct tcp *tcp, struct connection *c, enum deadline which)
{
    switch (which) {
    case DEADLINE_RETRANSMIT:
        if (connection_has(c, CONNECTION_PROBING))
            probe_due(tcp, c);
        else
            retransmit_due(tcp, c);
        break;
    case DEADLINE_DELAYED_ACK:
        c->flags &= ~CONNECTION_ANSWERS;
        connection_owe(tcp, c, CONNECTION_ACK_NOW);
        break;
    case DEADLINE_KEEPALIVE:
        keepalive_due(tcp, c);
        break;
    case DEADLINE_LIFE:
    case DEADLINE_CNT:
        life_due(tcp, c);
        break;
    }
}

void connection_timer(struct tcp *tcp, struct connection *c)
{
    for (int i = 0; i < DEADLINE_CNT && connection_state(c) != LASTACK_CLOSED; i++) {
        if (c->deadline[i] == 0 || seq_gt(c->deadline[i], tcp->now))
            continue;
        c->deadline[i] = 0;
        deadline_due(tcp, c, (enum deadline)i);
    }
    uint32_t first = deadline_first(c);
    if (first != 0)
        timer_follow(tcp, c, first);
    connection_settle(tcp, c);
}

enum lastack_timer connection_next_timer(const struct connection *c, uint32_t *tick)
{
    static const enum lastack_timer names[DEADLINE_CNT] = {
        [DEADLINE_RETRANSMIT] = LASTACK_TIMER_RETRANSMIT,
        [DEADLINE_DELAYED_ACK] = LASTACK_TIMER_DELAYED_ACK,
        [DEADLINE_KEEPALIVE] = LASTACK_TIMER_KEEPALIVE,
        [DEADLINE_LIFE] = LASTACK_TIMER_FIN_WAIT,
    };
    *tick = deadline_first(c);
    if (*tick == 0)
        return LASTACK_TIMER_NONE;
    int which = 0;
    while (c->deadline[which] != *tick)
        which++;
    if (which == DEADLINE_RETRANSMIT && connection_has(c, CONNECTION_PROBING))
        return LASTACK_TIMER_PROBE;
    if (which == DEADLINE_LIFE && connection_has(c, CONNECTION_USER_CLOCK))
        return LASTACK_TIMER_USER;
    return names[which];
}
