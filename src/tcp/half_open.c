/* SPDX-License-Identifier: BSD-2-Clause */
/* SYN_RCVD of a passive open (RFC 9293 3.10.7.4 as far as it concerns this state). */
#include "tcp/half_open.h"

#include "tcp/acknowledge.h"
#include "tcp/isn.h"
#include "tcp/listener.h"
#include "tcp/receive.h"
#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

#define COOKIE_LIFE_MS 131072u

static uint16_t own_mss(const struct tcp_options *options, uint32_t mtu)
{
    uint32_t mss = MIN(mtu, 65535u) - 40;
    return (uint16_t)(options->mss_clamp ? MIN(mss, options->mss_clamp) : mss);
}

static void syn_ack(struct tcp *tcp, const struct lastack_tuple *key, const struct listener *l,
                    uint32_t iss, uint32_t irs, uint16_t mss, uint8_t wscale)
{
    reply_push(tcp, &(struct reply){.key = *key,
                                    .seq = iss,
                                    .ack = irs + 1,
                                    .flags = TCP_SYN | TCP_ACK,
                                    .wnd = window_syn(&l->options),
                                    .mss = mss,
                                    .wscale = wscale});
}

static void half_open_answer(struct tcp *tcp, const struct half_open *half)
{
    bool scale = half->snd_wscale != TCP_WSCALE_NONE;
    syn_ack(tcp, &half->flow.key, half->listener, half->iss, half->irs, half->mss,
            scale ? tcp->rcv_wscale : TCP_WSCALE_NONE);
}

static void timer_start(struct tcp *tcp, struct half_open *half)
{
    uint64_t delay = (uint64_t)tcp->config.rto_initial_ms << half->flow.spare;
    uint32_t ms = (uint32_t)MIN(delay, tcp->config.rto_max_ms);
    timer_arm(tcp->wheel, &half->timer, tcp->now + ms + (tcp->now_ns % 1000000 != 0));
}

/* No room: the SYN-ACK itself remembers (SEMANTICS 4). Window scale is lost with it. */
static void cookie_answer(struct tcp *tcp, struct listener *l, const struct segment *seg)
{
    if (tcp->config.no_syn_cookies) {
        tcp_drop(tcp, DROP_LISTEN_HALF_OPEN_NO_COOKIE, &seg->key, l->id);
        return;
    }
    uint16_t mss = seg->h.mss ? seg->h.mss : 536;
    uint32_t iss = cookie_make(tcp, &seg->key, seg->h.seq, mss);
    tcp->cookie_until = tcp->now + COOKIE_LIFE_MS;
    tcp->cookie_until += tcp->cookie_until == 0;
    tcp_drop(tcp, DROP_LISTEN_HALF_OPEN, &seg->key, l->id);
    syn_ack(tcp, &seg->key, l, iss, seg->h.seq, own_mss(&l->options, seg->mtu), TCP_WSCALE_NONE);
}

void half_open_create(struct tcp *tcp, struct listener *l, const struct segment *seg,
                      const uint32_t *iss_above)
{
    bool full = l->half_open_cnt > MAX(l->backlog, 8u);
    struct half_open *half = full ? NULL : pool_get(&tcp->half_opens);
    if (half == NULL) {
        cookie_answer(tcp, l, seg);
        return;
    }
    if (seg->len > 0)
        tcp_drop(tcp, DROP_LISTEN_SYN_DATA, &seg->key, l->id);
    half->flow.key = seg->key;
    half->flow.kind = FLOW_HALF_OPEN;
    half->flow.reusable = l->options.reuse;
    half->irs = seg->h.seq;
    half->answered_us = (uint32_t)(tcp->now_ns / 1000);
    half->iss = isn_make(tcp, &seg->key);
    if (iss_above != NULL && seq_le(half->iss, *iss_above))
        half->iss = *iss_above + 1;
    /* What we say and what they said are both bounds for us; we keep the smaller of the two. */
    half->mss = own_mss(&l->options, seg->mtu);
    half->peer_mss = seg->h.mss ? seg->h.mss : 536;
    half->snd_wscale = tcp->config.no_window_scale ? TCP_WSCALE_NONE : seg->h.wscale;
    half->listener = l;
    list_push_back(&l->half_opens, &half->link);
    l->half_open_cnt++;
    timer_init(&half->timer, TIMER_HALF_OPEN);
    flow_insert(&tcp->flows, &half->flow);
    timer_start(tcp, half);
    half_open_answer(tcp, half);
    tcp_edge(tcp, 0, &seg->key, LASTACK_LISTEN, LASTACK_SYN_RCVD, LASTACK_CAUSE_SYN, 0);
}

static void half_open_forget(struct tcp *tcp, struct half_open *half)
{
    flow_remove(&tcp->flows, &half->flow);
    timer_disarm(tcp->wheel, &half->timer);
    list_remove(&half->link);
    half->listener->half_open_cnt--;
    pool_put(&tcp->half_opens, half);
}

static void half_open_end(struct tcp *tcp, struct half_open *half, enum lastack_cause cause)
{
    tcp_edge(tcp, 0, &half->flow.key, LASTACK_SYN_RCVD, LASTACK_CLOSED, cause, 0);
    half_open_forget(tcp, half);
}

void half_open_reset(struct tcp *tcp, struct half_open *half, enum lastack_cause cause)
{
    reply_plain(tcp, &half->flow.key, half->iss + 1, half->irs + 1, TCP_RST | TCP_ACK, 0);
    half_open_end(tcp, half, cause);
}

void half_open_icmp(struct tcp *tcp, struct half_open *half, uint32_t seq, bool hard)
{
    if (seq != half->iss)
        tcp_drop(tcp, DROP_ICMP_SEQUENCE, &half->flow.key, 0);
    else if (hard)
        half_open_end(tcp, half, LASTACK_CAUSE_ICMP);
}

void half_open_timer(struct tcp *tcp, struct half_open *half)
{
    if (half->flow.spare >= tcp->config.syn_ack_retry_max) {
        tcp_drop(tcp, DROP_HALF_OPEN_TIMEOUT, &half->flow.key, half->listener->id);
        half_open_end(tcp, half, LASTACK_CAUSE_RETRY_LIMIT);
        return;
    }
    half->flow.spare++;
    timer_start(tcp, half);
    half_open_answer(tcp, half);
}

/* A connection as the handshake left it: RFC 9293 3.10.7.4 step 5, SYN_RCVD. */
static struct connection *promote(struct tcp *tcp, struct listener *l, const struct segment *seg,
                                  const struct half_open *half, bool retransmitted)
{
    struct connection *c = connection_create(tcp, &seg->key, &l->options, LASTACK_SYN_RCVD);
    if (c == NULL)
        return NULL;
    c->mss = half->mss;
    receive_syn_options(tcp, c, half->irs, half->peer_mss, half->snd_wscale);
    c->snd_una = c->snd_nxt = c->snd_max = half->iss + 1;
    c->flags |= CONNECTION_SYN_ACKED;
    c->snd_wl1 = seg->h.seq - 1;
    c->snd_wl2 = seg->h.ack;
    acknowledge_established(tcp, c, retransmitted);
    return c;
}

static void promoted(struct tcp *tcp, struct listener *l, struct connection *c, struct segment *seg)
{
    connection_hash(tcp, c);
    connection_move(tcp, c, LASTACK_ESTABLISHED, LASTACK_CAUSE_ACK, 0);
    keepalive_rearm(tcp, c);
    listener_enqueue(tcp, l, c);
    connection_rx(tcp, c, seg);
}

static void refuse(struct tcp *tcp, const struct half_open *half, enum drop reason)
{
    tcp_drop(tcp, reason, &half->flow.key, half->listener->id);
}

/* No SYN, so the window is scaled (RFC 7323 2.2). */
static void ack_again(struct tcp *tcp, const struct half_open *half)
{
    uint8_t shift = half->snd_wscale != TCP_WSCALE_NONE ? tcp->rcv_wscale : 0;
    reply_plain(tcp, &half->flow.key, half->iss + 1, half->irs + 1, TCP_ACK,
                (uint16_t)(window_syn(&half->listener->options) >> shift));
}

static void handshake_done(struct tcp *tcp, struct half_open *half, struct segment *seg)
{
    struct listener *l = half->listener;
    if (listener_is_full(l)) { /* the SYN-ACK's timer asks again */
        refuse(tcp, half, DROP_LISTEN_BACKLOG);
        return;
    }
    struct connection *c = promote(tcp, l, seg, half, half->flow.spare > 0);
    if (c == NULL)
        return;
    if (half->flow.spare == 0) /* Karn: only if it went once */
        rtt_sample(tcp, c, (uint32_t)(tcp->now_ns / 1000) - half->answered_us);
    half_open_forget(tcp, half);
    promoted(tcp, l, c, seg);
}

static void reset_arrives(struct tcp *tcp, struct half_open *half, const struct segment *seg)
{
    uint32_t rcv_nxt = half->irs + 1;
    if (seg->h.seq == rcv_nxt) { /* back to LISTEN, silently */
        refuse(tcp, half, DROP_HALF_OPEN_RST);
        half_open_end(tcp, half, LASTACK_CAUSE_RST);
        return;
    }
    if (seg->h.seq - rcv_nxt < window_syn(&half->listener->options))
        ack_again(tcp, half);
    refuse(tcp, half, DROP_HALF_OPEN_RST_BAD);
}

/* RFC 9293 3.10.7.4 step 1. */
static bool acceptable(const struct half_open *half, const struct segment *seg)
{
    uint32_t rcv_nxt = half->irs + 1, edge = rcv_nxt + window_syn(&half->listener->options);
    uint32_t len = segment_seq_len(seg);
    return seq_lt(seg->h.seq, edge) &&
           (len == 0 ? seq_ge(seg->h.seq, rcv_nxt) : seq_gt(seg->h.seq + len, rcv_nxt));
}

void half_open_rx(struct tcp *tcp, struct half_open *half, struct segment *seg)
{
    uint8_t flags = seg->h.flags;
    if (flags & TCP_RST) {
        reset_arrives(tcp, half, seg);
    } else if (flags & TCP_SYN) { /* SEMANTICS 6: the same answer, forged or honest */
        half_open_answer(tcp, half);
    } else if (!acceptable(half, seg)) {
        refuse(tcp, half, DROP_HALF_OPEN_SEQUENCE);
        if (reply_to_empty_allowed(tcp, seg))
            ack_again(tcp, half);
    } else if (!(flags & TCP_ACK)) {
        refuse(tcp, half, DROP_HALF_OPEN_NO_ACK);
    } else if (seg->h.ack != half->iss + 1) {
        reply_reset(tcp, seg);
        refuse(tcp, half, DROP_HALF_OPEN_ACK);
    } else {
        handshake_done(tcp, half, seg);
    }
}

bool half_open_cookie(struct tcp *tcp, struct listener *l, struct segment *seg)
{
    if (tcp->cookie_until == 0)
        return false;
    if (seq_lt(tcp->cookie_until, tcp->now)) {
        tcp->cookie_until = 0;
        return false;
    }
    struct half_open half = {.irs = seg->h.seq - 1,
                             .iss = seg->h.ack - 1,
                             .mss = own_mss(&l->options, seg->mtu),
                             .snd_wscale = TCP_WSCALE_NONE};
    if (!cookie_check(tcp, &seg->key, half.irs, half.iss, &half.peer_mss))
        return false;
    if (listener_is_full(l)) {
        tcp_drop(tcp, DROP_LISTEN_BACKLOG, &seg->key, l->id);
        return true;
    }
    struct connection *c = promote(tcp, l, seg, &half, false);
    if (c != NULL)
        promoted(tcp, l, c, seg);
    return true;
}
