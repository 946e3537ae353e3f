/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many connections and the IP under them.
 *
 * In:  stack_rx -> ip_input (check, reassemble) -> tcp | icmp
 * Out: stack_tx <- tcp_tx, packet queue (ICMP) <- route -> frame, or back in through the loopback
 *
 * Everything is owned by one struct stack; nothing is global.
 */
#ifndef LASTACK_STACK_STACK_H
#define LASTACK_STACK_STACK_H

#include "stack/fragment.h"
#include "stack/interface.h"
#include "stack/packet.h"
#include "tcp/tcp.h"

#define TX_BATCH LASTACK_TX_MAX /* frames whose headers can be out at one time */
#define TX_HEADER_LEN 80        /* IP 20, TCP up to 60 */

/* Kinds of timers from TIMER_TCP_CNT on. */
enum stack_timer_kind {
    TIMER_FRAGMENT = TIMER_TCP_CNT,
    TIMER_STACK_CNT, /* kinds from here on belong to the layer above */
};

struct stack {
    struct tcp tcp;
    struct wheel wheel;
    struct interface_table interfaces;
    struct fragment_table fragments;
    struct packet_queue packets;
    struct list upper_due; /* timers of the layer above that are due (struct timer.link) */
    uint64_t packets_in, packets_out;
    uint32_t icmp_tokens, icmp_tick;
    uint16_t ip_id;
    uint8_t *gather; /* 65535 bytes, for frames whose headers are scattered */
    uint8_t *tap;    /* 65535 bytes, with config.tap_loopback */
    uint8_t (*headers)[TX_HEADER_LEN]; /* TX_BATCH + 1: the last is for loopback */
};

bool stack_init(struct stack *stack, const struct lastack_config *config, uint64_t now_ns);
void stack_free(struct stack *stack);

void stack_rx(struct stack *stack, const struct lastack_frame *frames, size_t frame_cnt,
              uint64_t now_ns);
size_t stack_tx(struct stack *stack, struct lastack_frame *frames, size_t max, uint64_t now_ns);
void stack_tick(struct stack *stack, uint64_t now_ns);
uint64_t stack_deadline(const struct stack *stack);

#endif
