/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/time_wait.h"

#include "tcp/half_open.h"
#include "tcp/listener.h"
#include "tcp/tcp.h"

static struct time_wait *entry_at(struct tcp *tcp, uint32_t index)
{
    return index ? pool_at(&tcp->time_waits, index) : NULL;
}

static void queue_append(struct tcp *tcp, struct time_wait *tw)
{
    uint32_t index = pool_index(&tcp->time_waits, tw);
    struct time_wait *last = entry_at(tcp, tcp->time_wait_last);
    tw->prev = tcp->time_wait_last;
    tw->next = 0;
    if (last != NULL)
        last->next = index;
    else
        tcp->time_wait_first = index;
    tcp->time_wait_last = index;
    tw->expiry = tcp->now + 2 * tcp->config.msl_ms + (tcp->now_ns % 1000000 != 0);
    if (!timer_armed(&tcp->time_wait_timer))
        timer_arm(tcp->wheel, &tcp->time_wait_timer, tw->expiry);
}

static void queue_remove(struct tcp *tcp, struct time_wait *tw)
{
    struct time_wait *prev = entry_at(tcp, tw->prev), *next = entry_at(tcp, tw->next);
    if (prev != NULL)
        prev->next = tw->next;
    else
        tcp->time_wait_first = tw->next;
    if (next != NULL)
        next->prev = tw->prev;
    else
        tcp->time_wait_last = tw->prev;
}

static void answer(struct tcp *tcp, const struct time_wait *tw)
{
    reply_plain(tcp, &tw->flow.key, tw->snd_nxt, tw->rcv_nxt, TCP_ACK, tw->flow.spare);
}

static uint16_t window_now(const struct connection *c)
{
    return (uint16_t)MIN((c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale, 65535u);
}

void time_wait_create(struct tcp *tcp, const struct connection *c)
{
    struct time_wait *tw = pool_get(&tcp->time_waits);
    if (tw == NULL && tcp->time_wait_first != 0) {
        struct time_wait *oldest = entry_at(tcp, tcp->time_wait_first);
        tcp_drop(tcp, DROP_TIME_WAIT_RECLAIMED, &oldest->flow.key, 0);
        time_wait_delete(tcp, oldest, LASTACK_CAUSE_MEMORY);
        tw = pool_get(&tcp->time_waits);
    }
    if (tw == NULL) { /* the peer's FIN is acknowledged all the same */
        tcp_drop(tcp, DROP_NO_MEMORY, &c->flow.key, c->id);
        if (connection_has(c, CONNECTION_ACK_NOW))
            reply_plain(tcp, &c->flow.key, c->snd_max, c->rcv_nxt, TCP_ACK, window_now(c));
        return;
    }
    tw->flow.key = c->flow.key;
    tw->flow.kind = FLOW_TIME_WAIT;
    tw->flow.reusable = c->options.reuse;
    tw->flow.spare = window_now(c);
    tw->snd_nxt = c->snd_max;
    tw->rcv_nxt = c->rcv_nxt;
    flow_insert(&tcp->flows, &tw->flow);
    queue_append(tcp, tw);
    if (connection_has(c, CONNECTION_ACK_NOW))
        answer(tcp, tw);
}

void time_wait_delete(struct tcp *tcp, struct time_wait *tw, enum lastack_cause cause)
{
    bool reuse = cause == LASTACK_CAUSE_REUSE;
    tcp_edge(tcp, 0, &tw->flow.key, LASTACK_TIME_WAIT, reuse ? LASTACK_SYN_RCVD : LASTACK_CLOSED,
             cause, 0);
    flow_remove(&tcp->flows, &tw->flow);
    queue_remove(tcp, tw);
    pool_put(&tcp->time_waits, tw);
}

/* A new SYN beyond the old sequence space may have the tuple (RFC 1122 4.2.2.13, RFC 6191), with
 * an initial sequence number beyond ours. */
static bool reuse(struct tcp *tcp, struct time_wait *tw, struct segment *seg)
{
    struct listener *l = listener_find(tcp, &seg->key);
    if (l == NULL || listener_is_full(l) || !seq_gt(seg->h.seq, tw->rcv_nxt))
        return false;
    uint32_t above = tw->snd_nxt;
    time_wait_delete(tcp, tw, LASTACK_CAUSE_REUSE);
    half_open_create(tcp, l, seg, &above);
    return true;
}

void time_wait_rx(struct tcp *tcp, struct time_wait *tw, struct segment *seg)
{
    uint8_t flags = seg->h.flags;
    if (flags & TCP_RST) {
        if (seg->h.seq == tw->rcv_nxt)
            time_wait_delete(tcp, tw, LASTACK_CAUSE_RST);
        else
            tcp_drop(tcp, DROP_TIME_WAIT_RST, &seg->key, 0);
        return;
    }
    if ((flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN && reuse(tcp, tw, seg))
        return;
    if (!(flags & (TCP_SYN | TCP_ACK))) {
        tcp_drop(tcp, DROP_NO_ACK, &seg->key, 0);
        return;
    }
    bool fin_again = flags & TCP_FIN && seg->h.seq + seg->len + 1 == tw->rcv_nxt;
    if (fin_again) { /* our last ACK was lost: RFC 9293 3.10.7.4 step 8 */
        queue_remove(tcp, tw);
        queue_append(tcp, tw);
    } else {
        tcp_drop(tcp, DROP_TIME_WAIT_SEGMENT, &seg->key, 0);
    }
    bool odd = segment_seq_len(seg) > 0 || seg->h.seq != tw->rcv_nxt;
    if (odd && reply_to_empty_allowed(tcp, seg))
        answer(tcp, tw);
}

void time_wait_timer(struct tcp *tcp)
{
    struct time_wait *tw;
    while ((tw = entry_at(tcp, tcp->time_wait_first)) != NULL && seq_le(tw->expiry, tcp->now))
        time_wait_delete(tcp, tw, LASTACK_CAUSE_TIME_WAIT_OVER);
    if (tw != NULL)
        timer_arm(tcp->wheel, &tcp->time_wait_timer, tw->expiry);
}
