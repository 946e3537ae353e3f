/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/transmit.h"

#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

#define CORK_MS 200

uint32_t transmit_seq(const struct connection *c)
{
    uint32_t edge = c->snd_una + c->snd_wnd;
    return connection_has(c, CONNECTION_SYN_ACKED) && seq_gt(c->snd_max, edge) ? edge : c->snd_max;
}

bool transmit_pending(const struct connection *c)
{
    uint32_t end = send_fin_seq(c) + connection_has(c, CONNECTION_FIN_QUEUED);
    return !connection_has(c, CONNECTION_FIN_ACKED) && seq_lt(c->snd_nxt, end);
}

static void fill(struct tcp *tcp, struct connection *c, struct outgoing *out, uint32_t seq,
                 uint8_t flags)
{
    out->key = c->flow.key;
    out->connection_id = c->id;
    out->tos = c->options.tos;
    out->ttl = c->options.ttl;
    out->len = 0;
    out->span_cnt = 0;
    out->h = (struct tcp_header){
        .source_port = c->flow.key.local_port,
        .destination_port = c->flow.key.remote_port,
        .seq = seq,
        .flags = flags,
        .wscale = TCP_WSCALE_NONE,
    };
    if (!(flags & TCP_ACK))
        return;
    out->h.ack = c->rcv_nxt;
    out->h.wnd = window_offer(c);
    c->rcv_unacked = 0;
    c->flags &= ~CONNECTION_ACK_NOW;
    deadline_clear(tcp, c, DEADLINE_DELAYED_ACK);
}

static void fill_data(struct connection *c, struct outgoing *out, uint32_t offset, uint32_t len)
{
    size_t covered;
    out->span_cnt =
        (uint32_t)stream_spans(&c->send, offset, len, out->spans, OUTGOING_SPANS, &covered);
    out->len = (uint32_t)covered;
}

/* Karn: only what is sent for the first time is timed. */
static void sent(struct tcp *tcp, struct connection *c, uint32_t seq, uint32_t seq_len)
{
    bool fresh = seq_ge(seq, c->snd_max);
    c->snd_max = seq_max(c->snd_max, seq + seq_len);
    c->last_tx = tcp->now;
    if (!fresh) {
        tcp->retransmitted++;
        c->retransmit_total++;
    } else if (!connection_has(c, CONNECTION_TIMING)) {
        c->flags |= CONNECTION_TIMING;
        c->rtt_seq = seq;
        c->rtt_start_us = (uint32_t)(tcp->now_ns / 1000);
    }
}

static bool transmit_syn(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (connection_has(c, CONNECTION_SYN_ACKED) || c->snd_nxt != c->snd_una)
        return false;
    bool first = connection_state(c) == LASTACK_SYN_SENT;
    fill(tcp, c, out, c->snd_una, first ? TCP_SYN : TCP_SYN | TCP_ACK);
    uint16_t most = window_syn(&c->options); /* data on the peer's SYN takes some of it */
    out->h.wnd = first ? most : (uint16_t)MIN(receive_window(c), most);
    out->h.mss = c->mss;
    if (!tcp->config.no_window_scale && (first || connection_has(c, CONNECTION_SCALED)))
        out->h.wscale = tcp->rcv_wscale;
    c->snd_nxt = c->snd_una + 1;
    sent(tcp, c, c->snd_una, 1);
    deadline_set(tcp, c, DEADLINE_RETRANSMIT, rto_now(tcp, c));
    user_clock_update(tcp, c, false);
    return true;
}

/* Sender's silly window avoidance and Nagle (RFC 9293 3.8.6.2.1, 3.7.4). */
static bool worth_sending(const struct connection *c, uint32_t len, uint32_t queued)
{
    if (len >= c->mss || seq_lt(c->snd_nxt, c->snd_max) || connection_has(c, CONNECTION_PUSH))
        return true;
    if (len == queued) {
        bool idle = c->snd_nxt == c->snd_una;
        return !send_is_corked(c) && (c->options.nodelay || idle);
    }
    return len >= c->max_snd_wnd / 2;
}

/* Bytes that windows allow from snd_nxt on. */
static uint32_t room_in(const struct connection *c, uint32_t window)
{
    int32_t room = (int32_t)(c->snd_una + window - c->snd_nxt);
    return room > 0 ? (uint32_t)room : 0;
}

static void congestion_idle(struct tcp *tcp, struct connection *c)
{
    if (c->snd_nxt == c->snd_una && c->snd_max == c->snd_una &&
        tcp->now - c->last_tx > rto_now(tcp, c))
        congestion_of(c)->idle(&c->cc, c->mss, tcp->config.initial_window);
}

static void data_sent(struct tcp *tcp, struct connection *c, struct outgoing *out, bool fin)
{
    uint32_t seq = c->snd_nxt, len = out->len + fin;
    c->snd_nxt += len;
    acknowledge_carried(tcp, c);
    sent(tcp, c, seq, len);
    if (c->deadline[DEADLINE_RETRANSMIT] == 0 || connection_has(c, CONNECTION_PROBING))
        retransmit_rearm(tcp, c);
    c->flags &= ~CONNECTION_PUSH;
    user_clock_update(tcp, c, false);
}

/* Before our SYN is acknowledged only a FIN without data goes (RFC 9293 3.10.4, SYN-RECEIVED). */
static bool may_transmit(const struct connection *c)
{
    return connection_has(c, CONNECTION_SYN_ACKED) ||
           (connection_state(c) == LASTACK_FIN_WAIT_1 && c->send.len == 0 &&
            c->snd_max == c->snd_una + 1 && c->snd_nxt == c->snd_max);
}

static bool transmit_data(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (!may_transmit(c) || !transmit_pending(c))
        return false;
    congestion_idle(tcp, c);
    uint32_t offset = c->snd_nxt - send_base(c);
    uint32_t queued = c->send.len - offset;
    uint32_t room = room_in(c, c->snd_wnd);
    uint32_t len = MIN(MIN(queued, c->mss), MIN(room, room_in(c, c->cc.cwnd)));
    bool fin = connection_has(c, CONNECTION_FIN_QUEUED) && len == queued && room > len;
    if (len == 0 && !fin)
        return false;
    if (!fin && !worth_sending(c, len, queued))
        return false;
    fill(tcp, c, out, c->snd_nxt, TCP_ACK);
    fill_data(c, out, offset, len);
    fin = fin && out->len == len;
    if (fin)
        out->h.flags |= TCP_FIN;
    if (out->len == queued && queued > 0)
        out->h.flags |= TCP_PSH;
    data_sent(tcp, c, out, fin);
    return true;
}

/* The segment at snd_una once more, without touching snd_nxt (RFC 5681 3.2, RFC 6582 3.2). */
static bool transmit_head(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (!connection_has(c, CONNECTION_RESEND_HEAD))
        return false;
    c->flags &= ~CONNECTION_RESEND_HEAD;
    uint32_t out_cnt = flight(c);
    if (out_cnt == 0 || !connection_has(c, CONNECTION_SYN_ACKED))
        return false;
    uint32_t len = MIN(MIN(c->send.len, c->mss), out_cnt);
    bool fin = connection_has(c, CONNECTION_FIN_QUEUED) && len == c->send.len && out_cnt > len;
    fill(tcp, c, out, c->snd_una, fin ? TCP_ACK | TCP_FIN : TCP_ACK);
    fill_data(c, out, 0, len);
    if (len == c->send.len && len > 0)
        out->h.flags |= TCP_PSH;
    sent(tcp, c, c->snd_una, len + fin);
    retransmit_rearm(tcp, c);
    return true;
}

/* One byte beyond a zero window, or the FIN (RFC 9293 3.8.6.1). */
static bool transmit_probe(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (!connection_has(c, CONNECTION_PROBE_NOW))
        return false;
    c->flags &= ~CONNECTION_PROBE_NOW;
    if (!transmit_pending(c) || c->snd_nxt != c->snd_una)
        return false;
    if (c->snd_wnd > 0) { /* it was silly window avoidance or a cork that held it */
        c->flags |= CONNECTION_PUSH;
        return transmit_data(tcp, c, out);
    }
    bool fin = c->send.len == 0;
    fill(tcp, c, out, c->snd_una, fin ? TCP_ACK | TCP_FIN : TCP_ACK);
    fill_data(c, out, 0, MIN(c->send.len, 1u));
    c->flags &= ~CONNECTION_TIMING;
    c->snd_max = seq_max(c->snd_max, c->snd_una + 1);
    c->last_tx = tcp->now;
    return true;
}

static bool transmit_keepalive(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (!connection_has(c, CONNECTION_KEEPALIVE_NOW))
        return false;
    c->flags &= ~CONNECTION_KEEPALIVE_NOW;
    fill(tcp, c, out, c->snd_una - 1, TCP_ACK);
    return true;
}

static bool transmit_ack(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (!connection_has(c, CONNECTION_ACK_NOW) || connection_state(c) == LASTACK_SYN_SENT)
        return false;
    fill(tcp, c, out, transmit_seq(c), TCP_ACK);
    return true;
}

/* Something waits, nothing is in flight that could bring an ACK: a timer must watch. */
static void probe_arm(struct tcp *tcp, struct connection *c)
{
    if (!connection_has(c, CONNECTION_SYN_ACKED) || c->snd_nxt != c->snd_una ||
        !transmit_pending(c) || connection_has(c, CONNECTION_PROBING))
        return;
    bool corked = send_is_corked(c) && c->snd_wnd > 0;
    c->flags |= CONNECTION_PROBING;
    c->probes = 0;
    deadline_set(tcp, c, DEADLINE_RETRANSMIT, corked ? CORK_MS : rto_now(tcp, c));
    user_clock_update(tcp, c, false);
}

bool transmit_next(struct tcp *tcp, struct connection *c, struct outgoing *out)
{
    if (transmit_syn(tcp, c, out) || transmit_head(tcp, c, out) || transmit_probe(tcp, c, out) ||
        transmit_data(tcp, c, out))
        return true;
    probe_arm(tcp, c);
    return transmit_keepalive(tcp, c, out) || transmit_ack(tcp, c, out);
}
