/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/reply.h"

#include "tcp/tcp.h"

#define EMPTY_PER_SECOND 100u

void reply_push(struct tcp *tcp, const struct reply *reply)
{
    struct reply_queue *q = &tcp->replies;
    if (q->tail - q->head == REPLY_MAX) {
        tcp_drop(tcp, DROP_REPLY_LIMIT, &reply->key, 0);
        return;
    }
    q->ring[q->tail++ % REPLY_MAX] = *reply;
}

bool reply_pop(struct tcp *tcp, struct outgoing *out)
{
    struct reply_queue *q = &tcp->replies;
    if (q->head == q->tail)
        return false;
    const struct reply *r = &q->ring[q->head++ % REPLY_MAX];
    *out = (struct outgoing){
        .key = r->key,
        .h = {.source_port = r->key.local_port,
              .destination_port = r->key.remote_port,
              .seq = r->seq,
              .ack = r->ack,
              .flags = r->flags,
              .wnd = r->wnd,
              .mss = r->mss,
              .wscale = r->wscale},
    };
    return true;
}

bool reply_to_empty_allowed(struct tcp *tcp, const struct segment *seg)
{
    struct reply_queue *q = &tcp->replies;
    if (segment_seq_len(seg) > 0)
        return true;
    if (q->empty_second != tcp->now / 1000) {
        q->empty_second = tcp->now / 1000;
        q->empty_cnt = 0;
    }
    if (q->empty_cnt++ < EMPTY_PER_SECOND)
        return true;
    tcp_drop(tcp, DROP_CHALLENGE_LIMIT, &seg->key, 0);
    return false;
}

void reply_plain(struct tcp *tcp, const struct lastack_tuple *key, uint32_t seq, uint32_t ack,
                 uint8_t flags, uint16_t wnd)
{
    reply_push(tcp, &(struct reply){.key = *key,
                                    .seq = seq,
                                    .ack = ack,
                                    .flags = flags,
                                    .wnd = wnd,
                                    .wscale = TCP_WSCALE_NONE});
}

void reply_reset(struct tcp *tcp, const struct segment *seg)
{
    if (seg->h.flags & TCP_RST)
        return;
    if (seg->h.flags & TCP_ACK)
        reply_plain(tcp, &seg->key, seg->h.ack, 0, TCP_RST, 0);
    else
        reply_plain(tcp, &seg->key, 0, seg->h.seq + segment_seq_len(seg), TCP_RST | TCP_ACK, 0);
}
