/* SPDX-License-Identifier: BSD-2-Clause */
/* The five verbs over TCP, ICMP and IP. */
#include "stack/stack.h"

#include <stdlib.h>
#include <string.h>

#include "stack/ip_input.h"
#include "stack/ip_output.h"

#define LOOPBACK_BUDGET 4096 /* packets to itself in one tx: two programs cannot keep it busy */

bool stack_init(struct stack *stack, const struct lastack_config *config, uint64_t now_ns)
{
    memset(stack, 0, sizeof *stack);
    wheel_init(&stack->wheel, (uint32_t)(now_ns / 1000000));
    interface_table_init(&stack->interfaces);
    list_init(&stack->upper_due);
    bool ok = tcp_init(&stack->tcp, config, &stack->wheel, now_ns);
    ok = fragment_init(&stack->fragments, TIMER_FRAGMENT) && ok;
    stack->gather = malloc(65535);
    stack->headers = malloc((TX_BATCH + 1) * sizeof *stack->headers);
    stack->ip_id = (uint16_t)random_u32(&stack->tcp.random);
    if (config->tap_loopback)
        stack->tap = malloc(65535);
    ok = ok && (stack->tap != NULL) == config->tap_loopback;
    return ok && stack->gather != NULL && stack->headers != NULL;
}

void stack_free(struct stack *stack)
{
    tcp_free(&stack->tcp);
    fragment_free(&stack->fragments);
    free(stack->gather);
    free(stack->tap);
    free(stack->headers);
}

/* What is due by now, in order. */
static void expire(struct stack *stack)
{
    struct timer *timer;
    wheel_advance(&stack->wheel, stack->tcp.now);
    while ((timer = wheel_due(&stack->wheel)) != NULL) {
        if (timer->kind < TIMER_TCP_CNT)
            tcp_timer(&stack->tcp, timer);
        else if (timer->kind == TIMER_FRAGMENT)
            fragment_timer(&stack->fragments, &stack->tcp, timer);
        else
            list_push_back(&stack->upper_due, &timer->link);
    }
}

static void clock_set(struct stack *stack, uint64_t now_ns)
{
    stack->tcp.now_ns = now_ns;
    stack->tcp.now = (uint32_t)(now_ns / 1000000);
    if (stack->wheel.armed_cnt == 0) /* nobody ticks an idle stack, for weeks perhaps */
        wheel_advance(&stack->wheel, stack->tcp.now);
}

/* Ticks are compared within half of their circle (24 days): a clock that leaps goes in steps. */
#define LEAP_NS ((1ull << 30) * 1000000)

static void time_set(struct stack *stack, uint64_t now_ns)
{
    stack->tcp.actor_pid = 0;
    stack->tcp.actor_fd = -1;
    if (now_ns <= stack->tcp.now_ns)
        return;
    while (stack->wheel.armed_cnt > 0 && now_ns - stack->tcp.now_ns > LEAP_NS) {
        clock_set(stack, stack->tcp.now_ns + LEAP_NS);
        expire(stack);
    }
    clock_set(stack, now_ns);
}

void stack_rx(struct stack *stack, const struct lastack_frame *frames, size_t frame_cnt,
              uint64_t now_ns)
{
    time_set(stack, now_ns);
    for (size_t i = 0; i < frame_cnt; i++)
        ip_input(stack, &frames[i]);
}

static const struct lastack_address *next_destination(struct stack *stack)
{
    struct packet *packet = packet_first(&stack->packets);
    return packet != NULL ? &packet->ip.destination : tcp_tx_destination(&stack->tcp);
}

/* The next frame owed. False: none came of it. */
static bool frame_next(struct stack *stack, uint8_t *header, struct lastack_frame *frame)
{
    struct packet *packet = packet_first(&stack->packets);
    if (packet != NULL) {
        bool last, made = ip_output_packet(stack, packet, header, frame, &last);
        if (last)
            packet_next(&stack->packets);
        return made;
    }
    struct outgoing out;
    return tcp_tx(&stack->tcp, &out) && ip_output_segment(stack, &out, header, frame);
}

/* A copy to look at: the delivery may free what the frame refers to. */
static void tap(struct stack *stack, struct lastack_frame *frame)
{
    size_t len = 0;
    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        memcpy(stack->tap + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        len += frame->iov[i].iov_len;
    }
    frame->iov[0] = (struct iovec){stack->tap, len};
    frame->iov_cnt = 1;
}

static void loop_back(struct stack *stack, const struct lastack_frame *frame)
{
    stack->tcp.delivering_id = frame->connection_id;
    ip_input(stack, frame);
    stack->tcp.delivering_id = 0;
}

/* A delivery through the loopback may end connections and free their buffers. So none happens
 * while frames are filled that refer to buffers: those go out first. */
size_t stack_tx(struct stack *stack, struct lastack_frame *frames, size_t max, uint64_t now_ns)
{
    size_t cnt = 0;
    int budget = LOOPBACK_BUDGET;
    time_set(stack, now_ns);
    packet_release(&stack->packets, &stack->tcp.pages);
    max = MIN(max, (size_t)TX_BATCH);
    const struct lastack_address *to;
    while (cnt < max && budget > 0 && (to = next_destination(stack)) != NULL) {
        bool inside = address_is_mine(&stack->interfaces, to);
        if (inside && cnt > 0)
            break;
        if (!frame_next(stack, stack->headers[cnt], &frames[cnt]))
            continue;
        stack->packets_out++;
        if (!inside) {
            cnt++;
            continue;
        }
        if (stack->tap != NULL)
            tap(stack, &frames[cnt]);
        loop_back(stack, &frames[cnt]);
        budget--;
        if (stack->tap != NULL)
            return 1;
    }
    return cnt;
}

void stack_tick(struct stack *stack, uint64_t now_ns)
{
    time_set(stack, now_ns);
    expire(stack);
}

uint64_t stack_deadline(const struct stack *stack)
{
    uint32_t tick;
    if (tcp_owes(&stack->tcp) || stack->packets.head != stack->packets.tail)
        return stack->tcp.now_ns;
    if (!wheel_next(&stack->wheel, &tick))
        return LASTACK_NEVER;
    int32_t ahead = (int32_t)(tick - stack->tcp.now);
    uint64_t ms = stack->tcp.now_ns / 1000000 + (uint64_t)(ahead > 0 ? ahead : 0);
    return MAX(ms * 1000000, stack->tcp.now_ns);
}
