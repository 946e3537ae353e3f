/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/acknowledge.h"

#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/transmit.h"

#define DUPLICATES 3

void acknowledge_established(struct tcp *tcp, struct connection *c, bool syn_retransmitted)
{
    /* RFC 5681 3.1: a lost SYN means a window of one segment. RFC 6298 5.7: and an RTO of 3 s. */
    congestion_of(c)->init(&c->cc, c->mss, syn_retransmitted ? 1 : tcp->config.initial_window);
    if (syn_retransmitted && !connection_has(c, CONNECTION_RTT_KNOWN))
        c->rto_ms = MAX(c->rto_ms, 3000u);
    c->backoff = c->retries = 0;
    c->last_tx = tcp->now;
    keepalive_rearm(tcp, c);
}

static uint32_t window_told(const struct connection *c, const struct segment *seg)
{
    return (uint32_t)seg->h.wnd << (seg->unscaled ? 0 : c->snd_wscale);
}

static void window_update(struct tcp *tcp, struct connection *c, const struct segment *seg,
                          bool advances)
{
    uint32_t wnd = window_told(c, seg);
    /* RFC 9293 3.10.7.4; a segment that acknowledges more is newer by that alone: with the old
     * window the right edge would move past all that the peer ever offered. */
    bool newer = advances || seq_lt(c->snd_wl1, seg->h.seq) ||
                 (c->snd_wl1 == seg->h.seq && seq_le(c->snd_wl2, seg->h.ack));
    if (!newer)
        return;
    if (wnd > c->snd_wnd && transmit_pending(c)) {
        if (c->snd_wnd == 0 && connection_has(c, CONNECTION_PROBING))
            c->backoff = 0;
        connection_owe(tcp, c, 0);
    }
    c->snd_wnd = wnd;
    c->snd_wl1 = seg->h.seq;
    c->snd_wl2 = seg->h.ack;
    c->max_snd_wnd = MAX(c->max_snd_wnd, wnd);
}

/* Take acknowledged SYN, bytes and FIN off the send side; returns payload bytes. */
static uint32_t take_acked(struct tcp *tcp, struct connection *c, uint32_t ack)
{
    uint32_t acked = ack - c->snd_una;
    if (!connection_has(c, CONNECTION_SYN_ACKED)) {
        c->flags |= CONNECTION_SYN_ACKED;
        acked--;
    }
    if (acked > c->send.len) {
        c->flags |= CONNECTION_FIN_ACKED;
        acked = c->send.len;
    }
    stream_drop(&c->send, &tcp->pages, acked, false);
    c->snd_una = ack;
    c->snd_nxt = seq_max(c->snd_nxt, ack);
    c->snd_max = seq_max(c->snd_max, ack);
    c->bytes_out += acked;
    return acked;
}

/* A window that is not used is no evidence that a larger one would be good (RFC 7661 1). */
static bool congestion_limits(const struct connection *c, uint32_t out)
{
    return c->cc.cwnd < c->cc.ssthresh ? out >= c->cc.cwnd / 2 : out + c->mss >= c->cc.cwnd;
}

/* `out`: bytes in flight before this acknowledgment. */
static void congestion_acked(struct tcp *tcp, struct connection *c, uint32_t acked, uint32_t out)
{
    if (!connection_has(c, CONNECTION_RECOVERY)) {
        /* RFC 3465 2.3: two segments for an ACK, one after a timeout. */
        uint32_t limit = connection_has(c, CONNECTION_RTO_BACKED) ? c->mss : 2u * c->mss;
        if (congestion_limits(c, out))
            congestion_of(c)->acked(&c->cc, c->mss, acked, limit);
        return;
    }
    if (seq_ge(c->snd_una, c->recover)) { /* full acknowledgment */
        c->flags &= ~CONNECTION_RECOVERY;
        congestion_of(c)->recovered(&c->cc, c->mss, flight(c));
        return;
    }
    congestion_of(c)->partial(&c->cc, c->mss, acked);
    connection_owe(tcp, c, CONNECTION_RESEND_HEAD);
}

static void rtt_take(struct tcp *tcp, struct connection *c, uint32_t ack)
{
    if (!connection_has(c, CONNECTION_TIMING) || seq_le(ack, c->rtt_seq))
        return;
    c->flags &= ~CONNECTION_TIMING;
    rtt_sample(tcp, c, (uint32_t)(tcp->now_ns / 1000) - c->rtt_start_us);
}

/* A third of the buffer is free again: as Linux, so that a writer is not woken for crumbs. */
static void room_notify(struct tcp *tcp, struct connection *c)
{
    if (!connection_has(c, CONNECTION_WANTS_ROOM))
        return;
    if (c->send.len >= c->options.send_buffer / 3 * 2)
        return;
    c->flags &= ~CONNECTION_WANTS_ROOM;
    connection_notify(tcp, c);
}

static void acknowledge_new(struct tcp *tcp, struct connection *c, uint32_t ack)
{
    rtt_take(tcp, c, ack);
    bool handshake = !connection_has(c, CONNECTION_SYN_ACKED);
    uint32_t out = flight(c);
    uint32_t acked = take_acked(tcp, c, ack);
    c->dup_acks = 0;
    c->retries = 0;
    c->probes = 0;
    if (connection_has(c, CONNECTION_PROBING))
        c->backoff = 0;
    c->flags &= ~CONNECTION_PROBING;
    if (!handshake)
        congestion_acked(tcp, c, acked, out);
    if (seq_ge(c->snd_una, c->recover))
        c->flags &= ~CONNECTION_RTO_BACKED;
    retransmit_rearm(tcp, c);
    user_clock_update(tcp, c, true);
    room_notify(tcp, c);
    if (connection_has(c, CONNECTION_LINGER_WAIT) && c->send.len == 0)
        connection_notify(tcp, c);
    if (c->send.len > 0 || transmit_pending(c))
        connection_owe(tcp, c, 0);
}

/* RFC 5681 2 "duplicate acknowledgment", RFC 6582 3.2. */
static void acknowledge_duplicate(struct tcp *tcp, struct connection *c)
{
    if (connection_has(c, CONNECTION_RECOVERY)) {
        congestion_of(c)->duplicate(&c->cc, c->mss);
        connection_owe(tcp, c, 0);
        return;
    }
    if (c->dup_acks < UINT8_MAX)
        c->dup_acks++;
    /* RFC 6582 4.1: not again for what a timeout has already resent. */
    bool after_timeout = connection_has(c, CONNECTION_RTO_BACKED) && seq_le(c->snd_una, c->recover);
    if (c->dup_acks != DUPLICATES || after_timeout)
        return;
    c->flags |= CONNECTION_RECOVERY;
    c->recover = c->snd_max;
    c->flags &= ~CONNECTION_TIMING;
    congestion_of(c)->loss(&c->cc, c->mss, flight(c));
    connection_owe(tcp, c, CONNECTION_RESEND_HEAD);
}

void acknowledge(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    bool newer = seq_gt(seg->h.ack, c->snd_una);
    bool same_window = window_told(c, seg) == c->snd_wnd;
    bool duplicate = seg->h.ack == c->snd_una && seg->len == 0 && same_window &&
                     !(seg->h.flags & (TCP_SYN | TCP_FIN)) && c->snd_nxt != c->snd_una;
    if (newer)
        acknowledge_new(tcp, c, seg->h.ack);
    c->probes = 0; /* the peer lives [MUST-37] */
    if (seq_ge(seg->h.ack, c->snd_una))
        window_update(tcp, c, seg, newer);
    if (duplicate && !newer)
        acknowledge_duplicate(tcp, c);
}
