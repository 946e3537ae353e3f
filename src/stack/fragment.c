/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/fragment.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "tcp/tcp.h"

bool fragment_init(struct fragment_table *table, uint16_t timer_kind)
{
    table->packet = calloc(FRAGMENT_PACKETS, sizeof *table->packet);
    table->done = NULL;
    for (uint32_t i = 0; table->packet != NULL && i < FRAGMENT_PACKETS; i++)
        timer_init(&table->packet[i].timer, timer_kind);
    return table->packet != NULL;
}

void fragment_free(struct fragment_table *table)
{
    free(table->packet);
}

static void packet_clear(struct tcp *tcp, struct fragment_packet *p)
{
    stream_clear(&p->data, &tcp->pages);
    timer_disarm(tcp->wheel, &p->timer);
    memset(p->have, 0, sizeof p->have);
    p->total_len = p->have_len = p->end_max = 0;
    p->used = false;
}

static bool same_packet(const struct ip4 *a, const struct ip4 *b)
{
    return a->id == b->id && a->protocol == b->protocol && address_equal(&a->source, &b->source) &&
           address_equal(&a->destination, &b->destination);
}

static struct fragment_packet *packet_for(struct fragment_table *table, struct tcp *tcp,
                                          const struct ip4 *ip)
{
    struct fragment_packet *empty = NULL;
    for (uint32_t i = 0; i < FRAGMENT_PACKETS; i++) {
        struct fragment_packet *p = &table->packet[i];
        if (p->used && same_packet(&p->ip, ip))
            return p;
        if (!p->used)
            empty = p;
    }
    if (empty == NULL)
        return NULL;
    empty->used = true;
    empty->ip = *ip;
    timer_arm(tcp->wheel, &empty->timer, tcp->now + FRAGMENT_MS);
    return empty;
}

/* How many of the 8-byte units from `first` are here already. */
static uint32_t units_here(const struct fragment_packet *p, uint32_t first, uint32_t cnt)
{
    uint32_t here = 0;
    for (uint32_t i = first; i < first + cnt; i++)
        here += p->have[i / 64] >> (i % 64) & 1;
    return here;
}

static enum drop fragment_check(const struct fragment_packet *p, const struct ip4 *ip, size_t len)
{
    size_t end = ip->fragment_offset + len;
    if (len == 0 || end > 65535 || (ip->more_fragments && len % 8 != 0))
        return DROP_FRAGMENT_BAD;
    if (p->total_len != 0 && (end > p->total_len || (!ip->more_fragments && end != p->total_len)))
        return DROP_FRAGMENT_BAD;
    if (!ip->more_fragments && end < p->end_max) /* a last one that is not */
        return DROP_FRAGMENT_BAD;
    uint32_t cnt = (uint32_t)(len + 7) / 8;
    uint32_t here = units_here(p, ip->fragment_offset / 8, cnt);
    return here != 0 && here != cnt ? DROP_FRAGMENT_OVERLAP : DROP_NONE;
}

static void drop_packet(struct tcp *tcp, struct fragment_packet *p, enum drop reason)
{
    tcp_drop(tcp, reason, NULL, 0);
    packet_clear(tcp, p);
}

/* False: given up. */
static bool fragment_store(struct tcp *tcp, struct fragment_packet *p, const struct ip4 *ip,
                           const struct source *source, size_t len)
{
    uint32_t first = ip->fragment_offset / 8, cnt = (uint32_t)(len + 7) / 8;
    p->end_max = MAX(p->end_max, ip->fragment_offset + (uint32_t)len);
    if (!ip->more_fragments)
        p->total_len = ip->fragment_offset + (uint32_t)len;
    if (units_here(p, first, cnt) == cnt)
        return true;
    if (stream_write(&p->data, &tcp->pages, ip->fragment_offset, source, len) < len) {
        drop_packet(tcp, p, DROP_FRAGMENT_LIMIT);
        return false;
    }
    for (uint32_t i = first; i < first + cnt; i++)
        p->have[i / 64] |= 1ull << (i % 64);
    p->have_len += (uint32_t)len;
    return true;
}

size_t fragment_take(struct fragment_table *table, struct tcp *tcp, struct ip4 *ip,
                     const struct source *source, size_t len, struct iovec *out, size_t out_max)
{
    struct fragment_packet *p = packet_for(table, tcp, ip);
    if (p == NULL) {
        tcp_drop(tcp, DROP_FRAGMENT_LIMIT, NULL, 0);
        return 0;
    }
    enum drop reason = fragment_check(p, ip, len);
    if (reason != DROP_NONE) {
        drop_packet(tcp, p, reason);
        return 0;
    }
    if (!fragment_store(tcp, p, ip, source, len) || p->total_len == 0 ||
        p->have_len != p->total_len)
        return 0;
    size_t covered;
    size_t span_cnt = stream_spans(&p->data, 0, p->total_len, out, out_max, &covered);
    ip->fragment_offset = 0;
    ip->more_fragments = false;
    ip->total_len = (uint16_t)MIN(ip->header_len + p->total_len, 65535u);
    table->done = p;
    return covered == p->total_len ? span_cnt : 0;
}

void fragment_release(struct fragment_table *table, struct tcp *tcp)
{
    if (table->done != NULL)
        packet_clear(tcp, table->done);
    table->done = NULL;
}

void fragment_timer(struct fragment_table *table, struct tcp *tcp, struct timer *timer)
{
    (void)table;
    drop_packet(tcp, container_of(timer, struct fragment_packet, timer), DROP_FRAGMENT_TIMEOUT);
}
