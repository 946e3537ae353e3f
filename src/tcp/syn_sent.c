/* SPDX-License-Identifier: BSD-2-Clause */
/* SEGMENT ARRIVES in SYN_SENT: RFC 9293 3.10.7.3. */
#include <errno.h>

#include "tcp/acknowledge.h"
#include "tcp/receive.h"
#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

static void refuse(struct tcp *tcp, const struct connection *c, enum drop reason)
{
    tcp_drop(tcp, reason, &c->flow.key, c->id);
}

static bool ack_acceptable(const struct connection *c, const struct segment *seg)
{
    return seq_gt(seg->h.ack, c->snd_una) && seq_le(seg->h.ack, c->snd_max);
}

/* RFC 5961 3.2 allows only the exact acknowledgment of our SYN to refuse it. */
static void reset_arrives(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    if (seg->h.flags & TCP_ACK && ack_acceptable(c, seg))
        connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_RST, ECONNREFUSED);
    else
        refuse(tcp, c, DROP_SYN_SENT_RST);
}

static void send_window(struct connection *c, const struct segment *seg)
{
    c->snd_wnd = c->max_snd_wnd = seg->h.wnd; /* never scaled in a SYN (RFC 7323 2.2) */
    c->snd_wl1 = seg->h.seq;
    c->snd_wl2 = seg->h.flags & TCP_ACK ? seg->h.ack : c->snd_una;
}

/* The peer opens too: RFC 9293 3.5, figure 8. Our SYN goes again, now with an ACK. */
static void simultaneous_open(struct tcp *tcp, struct connection *c)
{
    connection_move(tcp, c, LASTACK_SYN_RCVD, LASTACK_CAUSE_SYN, 0);
    c->snd_nxt = c->snd_una;
    c->flags &= ~CONNECTION_TIMING;
    connection_owe(tcp, c, 0);
}

static void opened(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    bool again = c->retries > 0;
    if (connection_has(c, CONNECTION_TIMING)) {
        c->flags &= ~CONNECTION_TIMING;
        if (!again)
            rtt_sample(tcp, c, (uint32_t)(tcp->now_ns / 1000) - c->rtt_start_us);
    }
    c->snd_una = c->snd_nxt = seg->h.ack;
    c->flags |= CONNECTION_SYN_ACKED;
    connection_move(tcp, c, LASTACK_ESTABLISHED, LASTACK_CAUSE_SYN_ACK, 0);
    acknowledge_established(tcp, c, again);
    retransmit_rearm(tcp, c);
    user_clock_update(tcp, c, true);
    acknowledge_now(tcp, c);
}

void syn_sent_rx(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    uint8_t flags = seg->h.flags;
    if (flags & TCP_RST) {
        reset_arrives(tcp, c, seg);
    } else if (flags & TCP_ACK && !ack_acceptable(c, seg)) {
        reply_reset(tcp, seg);
        refuse(tcp, c, DROP_SYN_SENT_ACK);
    } else if (!(flags & TCP_SYN)) {
        refuse(tcp, c, DROP_SYN_SENT_NO_SYN);
    } else if (flags & TCP_FIN && !(flags & TCP_ACK)) {
        refuse(tcp, c, DROP_SYN_SENT_SYN_FIN);
    } else {
        receive_syn_options(tcp, c, seg->h.seq, seg->h.mss, seg->h.wscale);
        send_window(c, seg);
        if (flags & TCP_ACK)
            opened(tcp, c, seg);
        else
            simultaneous_open(tcp, c);
        seg->h.seq++;
        seg->h.flags &= (uint8_t)~TCP_SYN;
        receive_text(tcp, c, seg);
    }
}
