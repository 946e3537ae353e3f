/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/reassembly.h"

#include <string.h>

#include "tcp/tcp.h"
#include "tcp/window.h"

static bool gaps_get(struct tcp *tcp, struct connection *c)
{
    if (c->ooo != NULL)
        return true;
    c->ooo = pool_get(&tcp->gaps);
    if (c->ooo == NULL)
        return false;
    c->ooo->connection = c;
    list_push_back(&tcp->gapped, &c->ooo->link);
    return true;
}

void reassembly_clear(struct tcp *tcp, struct connection *c)
{
    if (c->ooo == NULL)
        return;
    list_remove(&c->ooo->link);
    pool_put(&tcp->gaps, c->ooo);
    c->ooo = NULL;
    c->flags &= ~CONNECTION_FIN_HELD;
    stream_trim(&c->receive, &tcp->pages);
}

/* RFC 9293 3.10.7.4: what came out of order MAY be discarded. */
bool reassembly_prune(struct tcp *tcp)
{
    if (list_empty(&tcp->gapped))
        return false;
    struct connection *c = container_of(tcp->gapped.next, struct out_of_order, link)->connection;
    tcp_drop(tcp, DROP_OUT_OF_ORDER_PRUNED, &c->flow.key, c->id);
    reassembly_clear(tcp, c);
    return true;
}

/* Put [from, to) into the sorted list, joined with all that touch it. False: too many gaps. */
static bool range_add(struct out_of_order *ooo, uint32_t from, uint32_t to)
{
    uint32_t first = 0;
    while (first < ooo->cnt && seq_lt(ooo->range[first].to, from))
        first++;
    uint32_t last = first;
    while (last < ooo->cnt && seq_le(ooo->range[last].from, to)) {
        from = seq_lt(ooo->range[last].from, from) ? ooo->range[last].from : from;
        to = seq_max(ooo->range[last].to, to);
        last++;
    }
    if (last == first && ooo->cnt == OOO_MAX)
        return false;
    memmove(&ooo->range[first + 1], &ooo->range[last], (ooo->cnt - last) * sizeof ooo->range[0]);
    ooo->range[first].from = from;
    ooo->range[first].to = to;
    ooo->cnt = ooo->cnt + 1 - (last - first);
    return true;
}

/* The first range has become in order: how far? */
static void ranges_join(struct tcp *tcp, struct connection *c)
{
    struct out_of_order *ooo = c->ooo;
    while (ooo->cnt > 0 && seq_le(ooo->range[0].from, c->rcv_nxt)) {
        if (seq_gt(ooo->range[0].to, c->rcv_nxt)) {
            uint32_t more = ooo->range[0].to - c->rcv_nxt;
            c->rcv_nxt += more;
            c->bytes_in += more;
            if (!connection_has(c, CONNECTION_DISCARD))
                c->receive.len += more;
        }
        ooo->cnt--;
        memmove(&ooo->range[0], &ooo->range[1], ooo->cnt * sizeof ooo->range[0]);
    }
    acknowledge_now(tcp, c);
    if (ooo->cnt == 0 && !connection_has(c, CONNECTION_FIN_HELD))
        reassembly_clear(tcp, c);
}

static void take_in_order(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    uint32_t len = seg->len;
    if (connection_has(c, CONNECTION_DISCARD)) {
        tcp_drop(tcp, DROP_SHUT_RD_DATA, &c->flow.key, c->id);
    } else {
        do
            len = (uint32_t)stream_write(&c->receive, &tcp->pages, c->receive.len, &seg->payload,
                                         seg->len);
        while (len < seg->len && reassembly_prune(tcp));
        c->receive.len += len;
    }
    if (len < seg->len) { /* the rest and the FIN will be repeated */
        tcp_drop(tcp, DROP_RECEIVE_MEMORY, &c->flow.key, c->id);
        seg->len = len;
        seg->h.flags &= (uint8_t)~TCP_FIN;
    }
    c->rcv_nxt += len;
    c->bytes_in += len;
    stamp_set(tcp, &c->data_in);
    c->flags &= ~CONNECTION_PUSHED;
    c->flags |= seg->h.flags & TCP_PSH ? CONNECTION_PUSHED : 0;
    acknowledge_soon(tcp, c, len);
    if (c->ooo != NULL)
        ranges_join(tcp, c);
    connection_notify(tcp, c);
}

static void take_out_of_order(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    acknowledge_now(tcp, c); /* at once, as a duplicate (RFC 5681 4.2) */
    if (!gaps_get(tcp, c)) {
        tcp_drop(tcp, DROP_RECEIVE_MEMORY, &c->flow.key, c->id);
        return;
    }
    uint32_t offset = c->receive.len + (seg->h.seq - c->rcv_nxt), len = seg->len;
    if (offset + len > STREAM_MAX)
        len = 0;
    if (!connection_has(c, CONNECTION_DISCARD))
        len = (uint32_t)stream_write(&c->receive, &tcp->pages, offset, &seg->payload, len);
    if (len < seg->len) {
        tcp_drop(tcp, DROP_RECEIVE_MEMORY, &c->flow.key, c->id);
        seg->h.flags &= (uint8_t)~TCP_FIN;
    }
    if (len > 0 && !range_add(c->ooo, seg->h.seq, seg->h.seq + len)) {
        tcp_drop(tcp, DROP_OUT_OF_ORDER_LIMIT, &c->flow.key, c->id);
        seg->h.flags &= (uint8_t)~TCP_FIN;
    }
}

void reassembly_take(struct tcp *tcp, struct connection *c, struct segment *seg)
{
    if (connection_has(c, CONNECTION_FIN_HELD) && seq_gt(seg->h.seq + seg->len, c->ooo->fin)) {
        tcp_drop(tcp, DROP_AFTER_FIN, &c->flow.key, c->id);
        uint32_t beyond = seg->h.seq + seg->len - c->ooo->fin;
        seg->len -= MIN(beyond, seg->len);
        seg->h.flags &= (uint8_t)~TCP_FIN;
        if (seg->len == 0)
            return;
    }
    if (seg->h.seq == c->rcv_nxt)
        take_in_order(tcp, c, seg);
    else
        take_out_of_order(tcp, c, seg);
}

void reassembly_hold_fin(struct tcp *tcp, struct connection *c, uint32_t fin_seq)
{
    acknowledge_now(tcp, c);
    if (seq_le(fin_seq, c->rcv_nxt) || connection_has(c, CONNECTION_FIN_HELD) || !gaps_get(tcp, c))
        return;
    /* A FIN below bytes that are already here cannot be the end. */
    if (c->ooo->cnt > 0 && seq_lt(fin_seq, c->ooo->range[c->ooo->cnt - 1].to)) {
        tcp_drop(tcp, DROP_AFTER_FIN, &c->flow.key, c->id);
        return;
    }
    c->ooo->fin = fin_seq;
    c->flags |= CONNECTION_FIN_HELD;
}
