/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Somebody who is on neither end: a blind attacker who sends segments that RFC 5961 and RFC 9293
 * say must change nothing, and a router that reports lost packets by ICMP.
 */
#include "sim.h"

static struct conn *random_conn(struct world *w)
{
    struct conn *found = NULL;
    uint32_t cnt = 0;
    for (unsigned i = 0; i < CONN_BUCKETS; i++)
        for (struct conn *c = w->conns[i]; c; c = c->next)
            if (!c->dead && !c->local && c->irs_known && c->was_established && c->right_out_known &&
                c->state >= LASTACK_ESTABLISHED && c->state < LASTACK_TIME_WAIT &&
                rng_below(&w->net, ++cnt) == 0)
                found = c;
    return found;
}

static uint32_t ip4_of(const struct lastack_address *a)
{
    const uint8_t *b = a->bytes + 12;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Each of these is refused by a rule that needs no luck. */
static void forge(struct world *w, const struct conn *c, struct packet_view *v)
{
    static const uint8_t junk[16] = "junkjunkjunkjunk";
    uint32_t window = c->right_out - c->ack_out;
    switch (rng_below(&w->net, 6)) {
    case 0: /* RST in the window, not exact: a challenge ACK */
        v->flags = F_RST;
        v->seq = c->in_end + 2 + rng_below(&w->net, window / 2 + 1);
        break;
    case 1: /* RST outside */
        v->flags = F_RST | F_ACK;
        v->seq = c->right_out + 70000 + rng_below(&w->net, 1u << 29);
        break;
    case 2: /* SYN: a challenge ACK, wherever it lies */
        v->flags = F_SYN;
        v->seq = c->ack_out + rng_below(&w->net, window + 1);
        break;
    case 3: /* data with an ACK of what was never sent */
        v->flags = F_ACK | F_PSH;
        v->seq = c->ack_out;
        v->ack = c->out_end + 1000000 + rng_below(&w->net, 1u << 29);
        v->payload = junk;
        v->payload_len = sizeof junk;
        break;
    case 4: /* data far beyond the window */
        v->flags = F_ACK | F_PSH;
        v->seq = c->right_out + 70000 + rng_below(&w->net, 1u << 28);
        v->ack = c->una;
        v->payload = junk;
        v->payload_len = sizeof junk;
        break;
    default: /* a FIN without ACK */
        v->flags = F_FIN;
        v->seq = c->ack_out;
        break;
    }
}

void stranger_strike(struct world *w)
{
    uint8_t data[128];
    const struct conn *c = random_conn(w);
    if (!c)
        return;
    struct packet_view v = {
        .source = ip4_of(&c->tuple.remote),
        .destination = ip4_of(&c->tuple.local),
        .source_port = c->tuple.remote_port,
        .destination_port = c->tuple.local_port,
        .window = rng_below(&w->net, 65536),
    };
    forge(w, c, &v);
    c->host->stranger_in++;
    STORY(w, "      (stranger: to host %u port %u flags 0x%x seq %u)", c->host->index,
          v.destination_port, v.flags, v.seq);
    link_inject(w, c->host->index, data, packet_make(data, &v));
}

static void put_sum(uint8_t *p, size_t len, size_t at)
{
    uint32_t sum = 0;
    p[at] = p[at + 1] = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    p[at] = (uint8_t)(~sum >> 8);
    p[at + 1] = (uint8_t)~sum;
}

static const struct sock *random_listener(struct world *w)
{
    const struct sock *found = NULL;
    uint32_t cnt = 0;
    for (const struct sock *s = w->socks; s; s = s->next)
        if (s->kind == SOCK_LISTENING && s->refs && rng_below(&w->net, ++cnt) == 0)
            found = s;
    return found;
}

/* SYNs from hosts that do not exist, and what else comes to an open port in the wild. */
static void forge_for_listener(struct world *w, struct packet_view *v)
{
    static const uint8_t junk[16] = "junkjunkjunkjunk";
    static const uint8_t flags[] = {F_SYN | F_FIN, F_ACK, 0, F_RST, F_SYN, F_SYN, F_SYN, F_SYN};
    v->seq = (uint32_t)rng_u64(&w->net);
    v->ack = (uint32_t)rng_u64(&w->net);
    v->flags = flags[rng_below(&w->net, sizeof flags)];
    if (rng_chance(&w->net, 10 * PERCENT)) {
        v->payload = junk;
        v->payload_len = sizeof junk;
    }
}

void stranger_flood(struct world *w)
{
    uint8_t data[128];
    const struct sock *listener = random_listener(w);
    for (uint32_t cnt = listener ? 1 + rng_below(&w->net, 6) : 0; cnt; cnt--) {
        struct packet_view v = {
            .source = 0x0a000080u + rng_below(&w->net, 100),
            .destination = listener->host->ip4,
            .source_port = (uint16_t)(1 + rng_below(&w->net, 65535)),
            .destination_port = listener->port,
            .window = rng_below(&w->net, 65536),
        };
        forge_for_listener(w, &v);
        size_t len = packet_make(data, &v);
        if (rng_chance(&w->net, 5 * PERCENT)) { /* or no TCP at all */
            data[9] = 17;
            put_sum(data, 20, 10);
        }
        listener->host->stranger_in++;
        link_inject(w, listener->host->index, data, len);
    }
}

/* Host (1), port (3) or network (0) unreachable about a packet that was lost. */
void stranger_icmp(struct world *w, struct host *to, const uint8_t *lost, size_t len, bool hard)
{
    uint8_t out[56] = {0x45};
    if (len < 28)
        return;
    static const uint8_t codes[] = {0, 1, 1, 2, 3};
    out[3] = sizeof out;
    out[8] = 64;
    out[9] = 1;
    out[12] = 10, out[15] = 254; /* the router */
    for (int i = 0; i < 4; i++)
        out[16 + i] = (uint8_t)(to->ip4 >> (24 - 8 * i));
    put_sum(out, 20, 10);
    out[20] = 3;
    out[21] = hard ? 3 : codes[rng_below(&w->net, sizeof codes)];
    memcpy(out + 28, lost, 28);
    put_sum(out + 20, 36, 2);
    link_inject(w, to->index, out, sizeof out);
}
