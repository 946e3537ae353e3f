/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/packet.h"

bool packet_push(struct packet_queue *q, struct pool *pages, const struct ip4 *ip,
                 const struct source *source, size_t len)
{
    if (q->tail - q->freed == PACKET_MAX)
        return false;
    struct packet *p = &q->ring[q->tail % PACKET_MAX];
    *p = (struct packet){.ip = *ip};
    p->data.len = (uint32_t)stream_write(&p->data, pages, 0, source, len);
    if (p->data.len < len) {
        stream_clear(&p->data, pages);
        return false;
    }
    q->tail++;
    return true;
}

struct packet *packet_first(struct packet_queue *q)
{
    return q->head == q->tail ? NULL : &q->ring[q->head % PACKET_MAX];
}

void packet_next(struct packet_queue *q)
{
    q->head++;
}

void packet_release(struct packet_queue *q, struct pool *pages)
{
    while (q->freed != q->head)
        stream_clear(&q->ring[q->freed++ % PACKET_MAX].data, pages);
}
