/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SEGMENT ARRIVES in the synchronized states and SYN_RCVD: RFC 9293 3.10.7.4 step by step. Each
 * step takes the segment in hand and says whether the next one shall see it.
 */
#include "tcp/receive.h"

#include <errno.h>

#include "tcp/acknowledge.h"
#include "tcp/reassembly.h"
#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

enum verdict { NEXT_STEP, DONE };

static enum verdict refuse(struct tcp *tcp, const struct connection *c, enum drop reason)
{
    tcp_drop(tcp, reason, &c->flow.key, c->id);
    return DONE;
}

void receive_syn_options(struct tcp *tcp, struct connection *c, uint32_t irs, uint16_t mss,
                         uint8_t wscale)
{
    uint16_t theirs = mss ? MAX(mss, 64) : 536; /* RFC 9293 3.7.1 [MUST-15] */
    c->mss = MIN(c->mss, theirs);
    if (c->options.mss_clamp != 0)
        c->mss = MIN(c->mss, c->options.mss_clamp);
    bool scale = wscale != TCP_WSCALE_NONE && !tcp->config.no_window_scale;
    c->flags |= scale ? CONNECTION_SCALED : 0;
    c->snd_wscale = scale ? wscale : 0;
    c->rcv_wscale = scale ? tcp->rcv_wscale : 0;
    c->rcv_nxt = irs + 1;
    c->rcv_adv = c->rcv_nxt + window_syn(&c->options);
}

/* ---- step 1: sequence number -------------------------------------------- */

/* RFC 9293 3.4, with the right edge itself allowed for a segment of no length: a peer that has
 * filled the window still acknowledges from there. */
static bool acceptable(const struct connection *c, const struct segment *seg)
{
    uint32_t len = segment_seq_len(seg);
    uint32_t seq = seg->h.seq;
    if (len == 0)
        return seq_ge(seq, c->rcv_nxt) && seq_le(seq, c->rcv_adv);
    return seq_lt(seq, c->rcv_adv) && seq_gt(seq + len, c->rcv_nxt);
}

static enum verdict step_sequence(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    if (acceptable(c, seg))
        return NEXT_STEP;
    if (seg->h.flags & TCP_RST)
        return refuse(tcp, c, DROP_RST_OUTSIDE);
    if (seg->h.flags & TCP_SYN) /* RFC 5961 4.2: whatever its sequence number */
        return NEXT_STEP;
    if (seg->h.seq == c->rcv_nxt) { /* zero window: ACK and URG still count [MUST-66] */
        acknowledge_now(tcp, c);
        tcp_drop(tcp, DROP_SEQ_AFTER, &c->flow.key, c->id);
        seg->len = 0;
        seg->h.flags &= (uint8_t)~TCP_FIN;
        return NEXT_STEP;
    }
    if (seg->len > 0 || seg->h.flags & TCP_FIN)
        acknowledge_now(tcp, c);
    else
        challenge(tcp, c);
    return refuse(tcp, c, seq_lt(seg->h.seq, c->rcv_nxt) ? DROP_SEQ_BEFORE : DROP_SEQ_AFTER);
}

/* ---- step 2: RST (RFC 5961 3.2) ------------------------------------------ */

static int reset_error(enum lastack_state state)
{
    switch (state) {
    case LASTACK_SYN_SENT:
    case LASTACK_SYN_RCVD:
        return ECONNREFUSED;
    case LASTACK_CLOSE_WAIT:
        return EPIPE;
    default:
        return ECONNRESET;
    }
}

static enum verdict step_reset(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    if (!(seg->h.flags & TCP_RST))
        return NEXT_STEP;
    if (seg->h.seq != c->rcv_nxt) {
        challenge(tcp, c);
        return refuse(tcp, c, DROP_RST_INEXACT);
    }
    connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_RST, reset_error(connection_state(c)));
    return DONE;
}

/* ---- step 4: SYN (RFC 5961 4.2) ------------------------------------------ */

static enum verdict step_syn(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    if (!(seg->h.flags & TCP_SYN))
        return NEXT_STEP;
    /* Simultaneous open: the peer's SYN comes once more, now with the ACK of ours. */
    bool again = connection_state(c) == LASTACK_SYN_RCVD && seg->h.seq + 1 == c->rcv_nxt &&
                 seg->h.flags & TCP_ACK;
    if (!again) {
        challenge(tcp, c);
        return refuse(tcp, c, DROP_SYN_CHALLENGED);
    }
    seg->h.flags &= (uint8_t)~TCP_SYN;
    seg->h.seq++;
    seg->unscaled = true;
    acknowledge_now(tcp, c);
    return NEXT_STEP;
}

/* ---- step 5: ACK ---------------------------------------------------------- */

static enum verdict ack_syn_rcvd(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    if (seq_le(seg->h.ack, c->snd_una) || seq_gt(seg->h.ack, c->snd_max)) {
        reply_reset(tcp, seg);
        return refuse(tcp, c, DROP_HALF_OPEN_ACK);
    }
    c->snd_wl1 = seg->h.seq - 1;
    if (connection_state(c) == LASTACK_SYN_RCVD)
        connection_move(tcp, c, LASTACK_ESTABLISHED, LASTACK_CAUSE_ACK, 0);
    acknowledge_established(tcp, c, c->retries > 0);
    return NEXT_STEP;
}

/* RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT. */
static enum verdict ack_range(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    if (seq_gt(seg->h.ack, c->snd_max)) {
        challenge(tcp, c);
        return refuse(tcp, c, DROP_ACK_BEYOND);
    }
    if (seq_lt(seg->h.ack, c->snd_una - c->max_snd_wnd)) {
        challenge(tcp, c);
        return refuse(tcp, c, DROP_ACK_OLD);
    }
    return NEXT_STEP;
}

static bool fin_is_next(const struct connection *c, const struct segment *seg)
{
    return seg->h.flags & TCP_FIN && seg->h.seq == c->rcv_nxt;
}

static enum verdict ack_of_fin(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    switch (connection_state(c)) {
    case LASTACK_FIN_WAIT_1: /* with the peer's FIN in the same segment: straight to TIME_WAIT */
        if (!fin_is_next(c, seg))
            connection_move(tcp, c, LASTACK_FIN_WAIT_2, LASTACK_CAUSE_ACK, 0);
        return NEXT_STEP;
    case LASTACK_CLOSING:
        connection_move(tcp, c, LASTACK_TIME_WAIT, LASTACK_CAUSE_ACK, 0);
        return DONE;
    case LASTACK_LAST_ACK:
        connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_ACK, 0);
        return DONE;
    default:
        return NEXT_STEP;
    }
}

static enum verdict step_ack(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    if (!(seg->h.flags & TCP_ACK))
        return refuse(tcp, c, DROP_NO_ACK);
    if (!connection_has(c, CONNECTION_SYN_ACKED) && ack_syn_rcvd(tcp, c, seg) == DONE)
        return DONE;
    if (ack_range(tcp, c, seg) == DONE)
        return DONE;
    bool was_acked = connection_has(c, CONNECTION_FIN_ACKED);
    acknowledge(tcp, c, seg);
    if (connection_has(c, CONNECTION_FIN_ACKED) && !was_acked)
        return ack_of_fin(tcp, c, seg);
    return NEXT_STEP;
}

/* ---- steps 7 and 8: text, FIN ---------------------------------------------- */

/* Cut to the window: what is old in front, what is beyond behind. */
static void trim(struct connection *c, struct segment *seg)
{
    if (seq_lt(seg->h.seq, c->rcv_nxt)) {
        uint32_t old = MIN(c->rcv_nxt - seg->h.seq, seg->len);
        seg->payload.offset += old;
        seg->len -= old;
        seg->h.seq += old;
    }
    uint32_t end = seg->h.seq + seg->len;
    if (seq_gt(end, c->rcv_adv)) {
        seg->len -= MIN(end - c->rcv_adv, seg->len);
        seg->h.flags &= (uint8_t)~TCP_FIN;
    }
}

static void fin_move(struct tcp *tcp, struct connection *c)
{
    switch (connection_state(c)) {
    case LASTACK_SYN_RCVD:
    case LASTACK_ESTABLISHED:
        connection_move(tcp, c, LASTACK_CLOSE_WAIT, LASTACK_CAUSE_FIN, 0);
        break;
    case LASTACK_FIN_WAIT_1:
        if (connection_has(c, CONNECTION_FIN_ACKED))
            connection_move(tcp, c, LASTACK_TIME_WAIT, LASTACK_CAUSE_FIN_ACK, 0);
        else
            connection_move(tcp, c, LASTACK_CLOSING, LASTACK_CAUSE_FIN, 0);
        break;
    case LASTACK_FIN_WAIT_2:
        connection_move(tcp, c, LASTACK_TIME_WAIT, LASTACK_CAUSE_FIN, 0);
        break;
    default:
        break;
    }
}

static void fin_take(struct tcp *tcp, struct connection *c)
{
    c->rcv_nxt++;
    c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt);
    c->flags |= CONNECTION_FIN_IN;
    stamp_set(tcp, &c->fin_in);
    acknowledge_now(tcp, c);
    reassembly_clear(tcp, c);
    fin_move(tcp, c);
}

static enum verdict step_text(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    if (seg->len == 0)
        return NEXT_STEP;
    if (!state_is(connection_state(c), STATE_RECEIVES)) {
        acknowledge_now(tcp, c);
        return refuse(tcp, c, DROP_AFTER_FIN);
    }
    if (connection_has(c, CONNECTION_ORPHAN)) { /* RFC 1122 4.2.2.13: nobody will read it */
        tcp_drop(tcp, DROP_ORPHAN_DATA, &c->flow.key, c->id);
        connection_reset(tcp, c, LASTACK_CAUSE_DATA, 0);
        return DONE;
    }
    c->rcv_mss = (uint16_t)MAX(c->rcv_mss, MIN(seg->len, 65535u));
    reassembly_take(tcp, c, seg);
    return NEXT_STEP;
}

static void step_fin(struct tcp *tcp, struct connection *c, const struct segment *seg)
{
    if (connection_has(c, CONNECTION_FIN_IN)) {
        if (seg->h.flags & TCP_FIN && seq_ge(seg->h.seq + seg->len, c->rcv_nxt))
            tcp_drop(tcp, DROP_AFTER_FIN, &c->flow.key, c->id);
        return;
    }
    bool held = connection_has(c, CONNECTION_FIN_HELD) && c->ooo->fin == c->rcv_nxt;
    if (held || (seg->h.flags & TCP_FIN && seg->h.seq + seg->len == c->rcv_nxt))
        fin_take(tcp, c);
    else if (seg->h.flags & TCP_FIN && state_is(connection_state(c), STATE_RECEIVES))
        reassembly_hold_fin(tcp, c, seg->h.seq + seg->len);
}

void receive_text(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    trim(c, seg);
    if (step_text(tcp, c, seg) == DONE)
        return;
    step_fin(tcp, c, seg);
    if (connection_state(c) == LASTACK_FIN_WAIT_1 && connection_has(c, CONNECTION_FIN_ACKED))
        connection_move(tcp, c, LASTACK_FIN_WAIT_2, LASTACK_CAUSE_ACK, 0);
}

void connection_rx(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    __builtin_prefetch(c->owner);
    if (connection_state(c) == LASTACK_SYN_SENT) {
        syn_sent_rx(tcp, c, seg);
    } else if (step_sequence(tcp, c, seg) == NEXT_STEP && step_reset(tcp, c, seg) == NEXT_STEP &&
               step_syn(tcp, c, seg) == NEXT_STEP && step_ack(tcp, c, seg) == NEXT_STEP) {
        if (c->options.keepalive)
            keepalive_rearm(tcp, c);
        receive_text(tcp, c, seg);
    }
    connection_settle(tcp, c);
}
