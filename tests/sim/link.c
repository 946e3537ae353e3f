/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network between the hosts: one path per direction and pair, each with loss, delay,
 * jitter, reordering, duplication, corruption, a rate, a queue, and outages.
 *
 * A corrupted packet is one that a receiver can tell from its checksums: the simulator makes
 * sure of it, so each of them must show up as a named drop.
 */
#include <stdlib.h>

#include "sim.h"

void link_init(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        for (unsigned j = 0; j < w->plan.host_cnt; j++)
            w->link.path[i][j].plan = w->plan.path[i][j];
}

void link_free(struct world *w)
{
    for (size_t i = 0; i < w->link.heap_len; i++)
        free(w->link.heap[i]);
    free(w->link.heap);
    w->link.heap = NULL;
    w->link.heap_len = w->link.heap_cap = 0;
}

/* From now on the network is good. What flies goes on flying. */
void link_heal(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++) {
        for (unsigned j = 0; j < w->plan.host_cnt; j++) {
            struct path *path = &w->link.path[i][j];
            path->down = 0;
            path->plan.loss_ppm = path->plan.corrupt_ppm = 0;
            path->plan.duplicate_ppm = path->plan.reorder_ppm = path->plan.fragment_ppm = 0;
            path->plan.queue_max = UINT32_MAX;
            if (path->plan.byte_ns > 1000)
                path->plan.byte_ns = 1000;
        }
    }
    w->plan.outage_cnt = 0;
}

static bool outage_covers(const struct outage *o, uint64_t now)
{
    return o->from_ns <= now && now < o->to_ns;
}

void link_outages(struct world *w)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        for (unsigned j = 0; j < w->plan.host_cnt; j++)
            w->link.path[i][j].down = 0;
    for (uint32_t i = 0; i < w->plan.outage_cnt; i++) {
        const struct outage *o = &w->plan.outages[i];
        if (!outage_covers(o, w->now))
            continue;
        w->link.path[o->source][o->destination].down++;
        if (o->both)
            w->link.path[o->destination][o->source].down++;
    }
}

uint64_t link_next_outage(const struct world *w)
{
    uint64_t next = LASTACK_NEVER;
    for (uint32_t i = 0; i < w->plan.outage_cnt; i++) {
        const struct outage *o = &w->plan.outages[i];
        if (o->from_ns > w->now && o->from_ns < next)
            next = o->from_ns;
        if (o->to_ns > w->now && o->to_ns < next)
            next = o->to_ns;
    }
    return next;
}

static bool packet_before(const struct packet *a, const struct packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct link *link, struct packet *packet)
{
    if (link->heap_len == link->heap_cap) {
        link->heap_cap = link->heap_cap ? 2 * link->heap_cap : 64;
        link->heap = realloc(link->heap, link->heap_cap * sizeof *link->heap);
        if (!link->heap)
            abort();
    }
    size_t i = link->heap_len++;
    for (; i && packet_before(packet, link->heap[(i - 1) / 2]); i = (i - 1) / 2)
        link->heap[i] = link->heap[(i - 1) / 2];
    link->heap[i] = packet;
}

static struct packet *heap_pop(struct link *link)
{
    struct packet *top = link->heap[0], *last = link->heap[--link->heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= link->heap_len)
            break;
        if (child + 1 < link->heap_len &&
            packet_before(link->heap[child + 1], link->heap[child]))
            child++;
        if (!packet_before(link->heap[child], last))
            break;
        link->heap[i] = link->heap[child];
        i = child;
    }
    link->heap[i] = last;
    return top;
}

uint64_t link_next(const struct world *w)
{
    return w->link.heap_len ? w->link.heap[0]->due_ns : LASTACK_NEVER;
}

struct packet *link_take(struct world *w)
{
    if (!w->link.heap_len || w->link.heap[0]->due_ns > w->now)
        return NULL;
    struct packet *packet = heap_pop(&w->link);
    if (packet->genuine)
        w->link.path[packet->source][packet->destination].flying--;
    return packet;
}

bool link_has(const struct world *w, const struct lastack_tuple *t)
{
    struct lastack_tuple mirror = tuple_mirror(t);
    for (size_t i = 0; i < w->link.heap_len; i++) {
        const struct packet *packet = w->link.heap[i];
        struct packet_view v;
        if (packet_parse(&v, packet->data, packet->len, w->plan.checksum_free) || !v.is_tcp)
            continue;
        struct lastack_tuple there = view_tuple(&v, true);
        if (!memcmp(&there, t, sizeof there) || !memcmp(&there, &mirror, sizeof there))
            return true;
    }
    return false;
}

static struct packet *packet_new(struct world *w, size_t len)
{
    struct packet *packet = malloc(sizeof *packet + len);
    if (!packet)
        abort();
    *packet = (struct packet){.order = ++w->link.order, .len = (uint32_t)len, .genuine = true};
    return packet;
}

/* Flip one bit, or cut the end off: both are always found by a checksum or a length. */
static void packet_corrupt(struct world *w, struct packet *packet)
{
    struct packet_view view;
    packet->corrupt = true;
    if (rng_chance(&w->net, 20 * PERCENT) && packet->len > 1)
        packet->len -= 1 + rng_below(&w->net, packet->len - 1);
    else
        packet->data[rng_below(&w->net, packet->len)] ^= (uint8_t)(1u << rng_below(&w->net, 8));
    if (!packet_parse(&view, packet->data, packet->len, false))
        world_fail(w, "simulator: a corrupted packet passes its own checksum");
}

static struct packet *path_fly(struct world *w, unsigned from, unsigned to, const uint8_t *data,
                               size_t len, bool copy, bool damage)
{
    struct path *path = &w->link.path[from][to];
    struct packet *packet = packet_new(w, len);
    memcpy(packet->data, data, len);
    packet->source = (uint8_t)from;
    packet->destination = (uint8_t)to;
    uint64_t start = path->busy_until_ns > w->now ? path->busy_until_ns : w->now;
    if (!copy)
        path->busy_until_ns = start + len * path->plan.byte_ns;
    uint64_t due = start + len * path->plan.byte_ns + path->plan.delay_ns;
    if (path->plan.jitter_ns)
        due += rng_range(&w->net, 0, path->plan.jitter_ns);
    if (rng_chance(&w->net, path->plan.reorder_ppm))
        due += rng_range(&w->net, 0, 4 * path->plan.delay_ns + 5 * MS);
    else if (due < path->last_due_ns)
        due = path->last_due_ns; /* first in, first out */
    else
        path->last_due_ns = due;
    packet->due_ns = due;
    if (damage && rng_chance(&w->net, path->plan.corrupt_ppm))
        packet_corrupt(w, packet);
    path->flying++;
    heap_push(&w->link, packet);
    return packet;
}

/* A router cuts it; each piece has a fate of its own. Two packets that are cut at one time have
 * different identifications, as RFC 6864 wants for packets that may be fragmented. */
static void path_fly_cut(struct world *w, unsigned from, unsigned to, const uint8_t *data,
                         size_t len)
{
    static _Thread_local uint8_t whole[65536], cut[65536];
    struct pieces *pieces = arena_get(&w->arena, sizeof *pieces + len);
    size_t payload_len = len - 20, at = 0;
    bool damaged = false;
    memcpy(whole, data, len);
    memcpy(pieces->whole, data, len);
    pieces->len = (uint32_t)len;
    w->link.next_id++;
    whole[4] = (uint8_t)(w->link.next_id >> 8);
    whole[5] = (uint8_t)w->link.next_id;
    while (at < payload_len) {
        size_t part = 8 * (1 + rng_below(&w->net, (uint32_t)(payload_len / 8)));
        if (part > payload_len - at || pieces->cnt == PIECES_MAX - 1)
            part = payload_len - at;
        size_t cut_len = packet_cut(cut, whole, len, at, part);
        struct packet *packet = path_fly(w, from, to, cut, cut_len, false, !damaged);
        damaged = damaged || packet->corrupt; /* two could make up for each other */
        packet->pieces = pieces;
        packet->piece = (uint8_t)pieces->cnt++;
        at += part;
    }
}

/* Over this path a reset may be lost, come damaged, or come before the bytes it follows. */
static void reset_watch(struct world *w, struct host *to, const struct packet_view *view,
                        const struct path *path)
{
    const struct path_plan *p = &path->plan;
    if (!view->is_tcp || !(view->flags & F_RST) || w->phase != PHASE_CHAOS)
        return;
    if (!p->loss_ppm && !p->corrupt_ppm && !p->reorder_ppm && !p->fragment_ppm &&
        p->queue_max > 100 && !w->plan.outage_cnt)
        return;
    struct lastack_tuple t = view_tuple(view, false);
    struct conn *c = conn_find(w, to, &t);
    if (c)
        c->rst_unsure = true;
}

void link_inject(struct world *w, unsigned to, const uint8_t *data, size_t len)
{
    struct packet *packet = packet_new(w, len);
    memcpy(packet->data, data, len);
    packet->destination = (uint8_t)to;
    packet->genuine = false;
    packet->due_ns = w->now + rng_range(&w->net, 0, 2 * MS);
    heap_push(&w->link, packet);
}

static struct host *host_by_ip(struct world *w, uint32_t ip4)
{
    for (unsigned i = 0; i < w->plan.host_cnt; i++)
        if (w->host[i].ip4 == ip4)
            return &w->host[i];
    return NULL;
}

void link_send(struct world *w, struct host *from, const struct lastack_frame *frame)
{
    static _Thread_local uint8_t data[65536];
    size_t len = 0;
    ORACLE(w, frame->iov_cnt >= 1 && frame->iov_cnt <= LASTACK_FRAME_IOV,
           "frame with %u pieces", frame->iov_cnt);
    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        ORACLE(w, len + frame->iov[i].iov_len <= sizeof data, "frame longer than 64 KB");
        memcpy(data + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        len += frame->iov[i].iov_len;
    }
    ORACLE(w, len == frame->len, "frame says %u bytes, its pieces have %zu", frame->len, len);
    ORACLE(w, len <= w->plan.mtu[from->index], "frame of %zu bytes on a link of MTU %u", len,
           w->plan.mtu[from->index]);
    struct packet_view view;
    const char *wrong = packet_parse(&view, data, len, w->plan.checksum_free);
    ORACLE(w, !wrong, "host %u sent a malformed packet: %s", from->index, wrong);
    ORACLE(w, view.source == from->ip4, "host %u sent a packet with a strange source address",
           from->index);
    for (size_t i = 0; i + 8 <= len && i < 64; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        world_mix(w, word);
    }
    w->coverage->packets++;
    if (view.is_tcp)
        watch_out(w, from, &view);
    struct host *to = host_by_ip(w, view.destination);
    if (!to || to == from)
        return;
    struct path *path = &w->link.path[from->index][to->index];
    reset_watch(w, to, &view, path);
    if (path->down || path->flying >= path->plan.queue_max ||
        rng_chance(&w->net, path->plan.loss_ppm)) {
        STORY(w, "      (lost)");
        if (w->phase == PHASE_CHAOS && view.is_tcp && rng_chance(&w->net, w->plan.icmp_ppm))
            stranger_icmp(w, from, data, len, false);
        return;
    }
    if (len >= 48 && rng_chance(&w->net, path->plan.fragment_ppm)) {
        path_fly_cut(w, from->index, to->index, data, len);
        return;
    }
    path_fly(w, from->index, to->index, data, len, false, true);
    if (rng_chance(&w->net, path->plan.duplicate_ppm))
        path_fly(w, from->index, to->index, data, len, true, true);
}
