/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/window.h"

#include "tcp/tcp.h"
#include "tcp/timeout.h"

#define CHALLENGES_PER_SECOND 10

uint8_t window_scale_for(uint32_t buffer)
{
    uint8_t shift = 0;
    while (shift < TCP_WSCALE_MAX && (65535u << shift) < buffer)
        shift++;
    return shift;
}

/* Room for the peer, as far as the window field can tell it. */
static uint32_t window_free(const struct connection *c)
{
    uint32_t buffer = c->options.receive_buffer;
    uint32_t room = c->receive.len < buffer ? buffer - c->receive.len : 0;
    return MIN(room, 65535u << c->rcv_wscale);
}

/* RFC 9293 3.8.6.2.2: the edge moves by a useful step or not at all [MUST-39]. */
static uint32_t window_edge(const struct connection *c)
{
    uint32_t edge = c->rcv_nxt + window_free(c);
    uint32_t step = MIN(c->options.receive_buffer / 2, c->rcv_mss);
    if (seq_lt(edge, c->rcv_adv) || edge - c->rcv_adv < step)
        return c->rcv_adv;
    return edge;
}

uint16_t window_offer(struct connection *c)
{
    uint32_t window = window_edge(c) - c->rcv_nxt;
    uint32_t unit = 1u << c->rcv_wscale;
    uint32_t field = MIN((window + unit - 1) >> c->rcv_wscale, 65535u);
    c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + (field << c->rcv_wscale));
    return (uint16_t)field;
}

void window_opened(struct tcp *tcp, struct connection *c)
{
    if (!state_is(connection_state(c), STATE_RECEIVES))
        return;
    uint32_t gain = c->rcv_nxt + window_free(c) - c->rcv_adv;
    if ((int32_t)gain <= 0)
        return;
    if (gain >= receive_window(c) && gain >= MIN(c->options.receive_buffer / 2, c->rcv_mss))
        acknowledge_now(tcp, c);
}

void acknowledge_now(struct tcp *tcp, struct connection *c)
{
    connection_owe(tcp, c, CONNECTION_ACK_NOW);
}

void acknowledge_soon(struct tcp *tcp, struct connection *c, uint32_t len)
{
    c->rcv_unacked += len;
    if (c->rcv_unacked >= 2u * c->rcv_mss || tcp->config.delayed_ack_ms == 0)
        acknowledge_now(tcp, c);
    else if (c->deadline[DEADLINE_DELAYED_ACK] == 0)
        deadline_set(tcp, c, DEADLINE_DELAYED_ACK, tcp->config.delayed_ack_ms);
}

void acknowledge_read(struct tcp *tcp, struct connection *c)
{
    if (c->receive.len == 0 && c->deadline[DEADLINE_DELAYED_ACK] != 0 &&
        connection_has(c, CONNECTION_PUSHED) && !connection_has(c, CONNECTION_ANSWERS))
        acknowledge_now(tcp, c);
}

void acknowledge_carried(struct tcp *tcp, struct connection *c)
{
    uint64_t in_ns = stamp_ns(tcp, c->data_in);
    if (in_ns != 0 && tcp->now_ns - in_ns < tcp->config.delayed_ack_ms * 1000000ull)
        c->flags |= CONNECTION_ANSWERS;
}

void challenge(struct tcp *tcp, struct connection *c)
{
    uint8_t second = (uint8_t)(tcp->now / 1000);
    if (c->challenge_s != second) {
        c->challenge_s = second;
        c->challenges = 0;
    }
    if (c->challenges >= CHALLENGES_PER_SECOND) {
        tcp_drop(tcp, DROP_CHALLENGE_LIMIT, &c->flow.key, c->id);
        return;
    }
    c->challenges++;
    acknowledge_now(tcp, c);
}
