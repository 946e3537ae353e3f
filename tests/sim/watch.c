/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oracle: the wire. Every segment that leaves a host is compared with what its programs have
 * done and with what was delivered to it: bytes are the stream's, FIN stands after the last
 * byte and only when the half is ended, acknowledgments cover only what came, the offered window
 * never shrinks, the peer's window and MSS are kept, and a live connection sends no RST.
 */
#include "sim.h"

#define DEFAULT_MSS 536u

static struct lastack_address address_of(uint32_t ip4)
{
    struct lastack_address a = {{0}};
    a.bytes[10] = a.bytes[11] = 0xff;
    for (int i = 0; i < 4; i++)
        a.bytes[12 + i] = (uint8_t)(ip4 >> (24 - 8 * i));
    return a;
}

struct lastack_tuple view_tuple(const struct packet_view *v, bool outgoing)
{
    struct lastack_tuple t = {
        .local = address_of(v->source),
        .remote = address_of(v->destination),
        .local_port = v->source_port,
        .remote_port = v->destination_port,
    };
    return outgoing ? t : tuple_mirror(&t);
}

static void watch_peer_syn(struct conn *c, const struct packet_view *v)
{
    c->irs = v->seq;
    c->irs_known = true;
    c->wscale_in = v->wscale;
    c->peer_mss = v->mss ? v->mss : DEFAULT_MSS;
    c->in_end = v->seq + 1;
}

/*
 * A cookie remembers nothing: when the connection that it opened was reset and the reset did not
 * reach the peer, the peer's next ACK opens another one with the same numbers, and the peer cannot
 * know. That is a limit of cookies (RFC 4987 3.6), so streams of such a pair are not compared.
 */
static void watch_reborn(struct world *w, struct conn *c)
{
    const struct conn *old = conn_older(c);
    if (!old || !old->was_established || old->death_cause == LASTACK_CAUSE_TIME_WAIT_OVER)
        return;
    w->coverage->reborn++;
    c->reborn = true;
    struct conn *peer = conn_peer(w, c);
    if (!peer)
        return;
    peer->reborn = true;
    if (peer->sock)
        peer->sock->blind = true;
}

/* Born by the packet that is being read right now (or by a call: then there is none). */
void watch_born(struct world *w, struct conn *c)
{
    c->una_ns = c->una_before_ns = c->last_in_ns = w->now;
    for (uint32_t i = 0; i < w->batch_cnt; i++) {
        const struct packet_view *v = &w->batch[i];
        struct lastack_tuple t = view_tuple(v, false);
        if (!c->passive || !v->is_tcp || memcmp(&t, &c->tuple, sizeof t) != 0)
            continue;
        if (v->flags & F_SYN) {
            watch_peer_syn(c, v);
            c->right_in = (v->flags & F_ACK ? v->ack : 0) + v->window;
        } else if (v->flags & F_ACK) { /* a cookie comes back */
            w->coverage->cookies++;
            c->iss = v->ack - 1;
            c->iss_known = true;
            c->una = c->out_end = v->ack;
            c->irs = v->seq - 1;
            c->irs_known = true;
            c->in_end = view_end(v) + 1; /* or it was a keepalive probe, one below */
            c->cookie = true;
            watch_reborn(w, c);
            c->peer_mss = 65535;
        }
    }
}

static unsigned shift_of(const struct conn *c, int wscale)
{
    return c->wscale_in >= 0 && c->wscale_out >= 0 ? (unsigned)wscale : 0;
}

static void watch_ack_in(struct world *w, struct conn *c, const struct packet_view *v)
{
    if (!c->iss_known || seq_diff(v->ack, c->iss) <= 0 || seq_diff(v->ack, c->out_end) > 0)
        return;
    unsigned shift = v->flags & F_SYN ? 0 : shift_of(c, c->wscale_in);
    uint32_t right = v->ack + (v->window << shift);
    if (!c->right_in_known || seq_diff(right, c->right_in) > 0)
        c->right_in = right;
    c->right_in_known = true;
    if (seq_diff(v->ack, c->una) <= 0)
        return;
    c->una = v->ack;
    c->una_before_ns = c->una_ns;
    c->una_ns = w->now;
    if (!c->ack_out_known || seq_diff(view_end(v), c->next_in) > 0 || view_end(v) == v->seq)
        c->tries = 0; /* else it may be too old by now to be looked at */
}

void watch_in(struct world *w, struct host *host, const struct packet_view *v)
{
    struct lastack_tuple t = view_tuple(v, false);
    struct conn *c = conn_find(w, host, &t);
    if (!c || c->dead)
        return;
    c->last_in_ns = w->now;
    if (!v->genuine)
        return; /* nothing in it may matter */
    if ((v->flags & F_SYN) && c->state == LASTACK_SYN_SENT)
        watch_peer_syn(c, v);
    bool synced = c->state > LASTACK_SYN_RCVD && !(v->flags & F_SYN);
    bool old = synced && c->ack_out_known &&
               (view_end(v) == v->seq ? seq_diff(v->seq, c->ack_out) < 0
                                      : seq_diff(view_end(v), c->ack_out) <= 0);
    /* Of a segment that is entirely old, the ACK is not read either (RFC 9293 3.10.7.4, first). */
    bool strange = (v->flags & F_RST) ||
                   (c->right_out_known && seq_diff(v->seq, c->right_out) > 0);
    if ((v->flags & F_ACK) && !old && !strange && ((v->flags & F_SYN) || c->state != LASTACK_SYN_SENT))
        watch_ack_in(w, c, v);
    if (v->flags & F_FIN)
        c->last_fin_in_ns = w->now;
    uint32_t end = view_end(v);
    if (c->irs_known && seq_diff(end, c->in_end) > 0 &&
        (!c->right_out_known || seq_diff(end, c->right_out) <= 1))
        c->in_end = end;
    if (c->ack_out_known && seq_diff(v->seq, c->next_in) <= 0 && seq_diff(end, c->next_in) > 0)
        c->next_in = end;
}

/* The segment in words: made only when it is needed. */
static const char *watch_text(const struct host *host, const struct packet_view *v)
{
    static _Thread_local char out[256];
    char text[128];
    struct lastack_tuple t = view_tuple(v, true);
    snprintf(out, sizeof out, "host %u %s: sends [%s%s%s%s%s] seq %u len %u ack %u win %u",
             host->index, tuple_text(&t, text), v->flags & F_SYN ? "S" : "",
             v->flags & F_FIN ? "F" : "", v->flags & F_RST ? "R" : "",
             v->flags & F_PSH ? "P" : "", v->flags & F_ACK ? "." : "", v->seq, v->payload_len,
             v->ack, v->window);
    return out;
}

static void watch_syn_out(struct world *w, struct conn *c, const struct packet_view *v)
{
    const struct lastack_config *config = &w->plan.config[c->host->index];
    if (!c->iss_known) {
        c->iss = c->una = v->seq;
        c->out_end = v->seq + 1;
        c->iss_known = true;
        bool reused = conn_older(c); /* then it must lie above the last one (RFC 6191, RFC 1122) */
        ORACLE(w, !config->fixed_iss_set || v->seq == config->fixed_iss || reused,
               "%s: not the initial sequence number that was asked for", watch_text(c->host, v));
    }
    ORACLE(w, v->seq == c->iss, "%s: SYN repeated with another sequence number", watch_text(c->host, v));
    c->syn_tries++;
    ORACLE(w, v->payload_len == 0, "%s: data on a SYN", watch_text(c->host, v));
    ORACLE(w, v->mss > 0, "%s: SYN without MSS", watch_text(c->host, v));
    ORACLE(w, v->mss + 40u <= w->plan.mtu[c->host->index], "%s: MSS %u is more than the link takes",
           watch_text(c->host, v), v->mss);
    c->wscale_out = v->wscale;
}

static void watch_text_out(struct world *w, struct conn *c, const struct packet_view *v)
{
    uint32_t offset = v->seq - (c->iss + 1);
    bool probe = v->payload_len == 1 && v->seq == c->una - 1;
    if (v->payload_len && !probe) {
        ORACLE(w, c->sock, "%s: data of a connection that nobody has accepted", watch_text(c->host, v));
        ORACLE(w, offset + v->payload_len <= c->sock->sent && offset < 0x7fffffff,
               "%s: bytes %u .. %u, only %llu were written", watch_text(c->host, v), offset, offset + v->payload_len,
               (unsigned long long)c->sock->sent);
        ORACLE(w, pattern_match(c->sock->key, offset, v->payload, v->payload_len),
               "%s: bytes %u .. %u are not the stream's", watch_text(c->host, v), offset, offset + v->payload_len);
        ORACLE(w, v->payload_len <= c->peer_mss, "%s: %u bytes, MSS is %u", watch_text(c->host, v), v->payload_len,
               c->peer_mss);
        ORACLE(w, v->payload_len == 1 || !c->right_in_known || c->cookie ||
                      seq_diff(v->seq + v->payload_len, c->right_in) <= 0,
               "%s: %d bytes beyond the peer's window", watch_text(c->host, v),
               seq_diff(v->seq + v->payload_len, c->right_in));
    }
    if (!(v->flags & F_FIN))
        return;
    uint64_t sent = c->sock ? c->sock->sent : 0;
    ORACLE(w, conn_ended(c), "%s: FIN, but the half is not ended (%u references)", watch_text(c->host, v),
           c->sock ? c->sock->refs : 0);
    ORACLE(w, offset + v->payload_len == (uint32_t)sent, "%s: FIN after byte %u of %llu", watch_text(c->host, v),
           offset + v->payload_len, (unsigned long long)sent);
    c->fin_out = true;
}

static void watch_ack_out(struct world *w, struct conn *c, const struct packet_view *v)
{
    ORACLE(w, c->irs_known, "%s: acknowledges before anything came", watch_text(c->host, v));
    ORACLE(w, seq_diff(v->ack, c->in_end) <= 0, "%s: acknowledges %d bytes that never came", watch_text(c->host, v),
           seq_diff(v->ack, c->in_end));
    ORACLE(w, !c->ack_out_known || seq_diff(v->ack, c->ack_out) >= 0,
           "%s: acknowledgment goes back by %d", watch_text(c->host, v), seq_diff(c->ack_out, v->ack));
    c->ack_out = v->ack;
    if (!c->ack_out_known || seq_diff(v->ack, c->next_in) > 0)
        c->next_in = v->ack;
    c->ack_out_known = true;
    if (c->cookie)
        return;
    unsigned shift = v->flags & F_SYN ? 0 : shift_of(c, c->wscale_out);
    uint32_t right = v->ack + (v->window << shift);
    int32_t shrink = seq_diff(c->right_out, right);
    bool rounded = v->flags & F_SYN; /* 65535 at most, and not scaled */
    ORACLE(w, !c->right_out_known || shrink < (1 << shift) || rounded ||
                  c->state == LASTACK_TIME_WAIT,
           "%s: the offered window shrinks by %d", watch_text(c->host, v), shrink);
    if (!c->right_out_known || shrink < 0)
        c->right_out = right;
    c->right_out_known = true;
}

/* A segment for a tuple without a live connection. */
static void watch_ghost(struct world *w, const struct host *host, const struct conn *c,
                        const struct packet_view *v)
{
    if ((v->flags & F_RST) || (v->flags & (F_SYN | F_ACK)) == (F_SYN | F_ACK))
        return; /* refusal, or a cookie */
    ORACLE(w, c && c->death_ns == w->now && !v->payload_len && !(v->flags & (F_SYN | F_FIN)),
           "%s: of a connection that does not exist", watch_text(host, v));
}

void watch_out(struct world *w, struct host *host, const struct packet_view *v)
{
    struct lastack_tuple t = view_tuple(v, true);
    struct conn *c = conn_find(w, host, &t);
    STORY(w, "%s", watch_text(host, v));
    if (!c || c->dead) {
        watch_ghost(w, host, c, v);
        return;
    }
    if (v->flags & F_RST) {
        ORACLE(w, c->state <= LASTACK_SYN_RCVD || c->reborn,
               "%s: RST, but the connection is alive in %s", watch_text(host, v),
               lastack_state_name(c->state));
        return;
    }
    if ((v->flags & F_SYN) && c->cookie)
        return; /* one more cookie, that was on its way out when the first came back */
    if (v->flags & F_SYN)
        watch_syn_out(w, c, v);
    ORACLE(w, c->iss_known, "%s: before its SYN", watch_text(host, v));
    if (!(v->flags & F_SYN))
        watch_text_out(w, c, v);
    if (v->flags & F_ACK)
        watch_ack_out(w, c, v);
    bool again = v->seq == c->una || seq_diff(view_end(v), c->out_end) <= 0;
    if (again && view_end(v) != v->seq)
        c->tries++;
    if (seq_diff(view_end(v), c->out_end) > 0)
        c->out_end = view_end(v);
}
