/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack as the embedder sees it: its making, and the five verbs. */
#include <errno.h>
#include <stdlib.h>

#include "socket/epoll.h"
#include "socket/linger.h"
#include "socket/process.h"

#define EPOLL_MAX          65536u
#define KEEPALIVE_MS_MAX   32767000u /* as TCP_KEEPIDLE */
#define INITIAL_WINDOW_MAX 1000u

void lastack_config_init(struct lastack_config *config)
{
    *config = (struct lastack_config){
        .connection_max = 1u << 20,
        .half_open_max = 65536,
        .time_wait_max = 262144,
        .orphan_max = 65536,
        .process_max = 65536,
        .descriptor_max = 1u << 20,
        .buffer_max = 1ull << 30,
        .send_buffer = 262144,
        .receive_buffer = 262144,
        .buffer_limit = 1048576,
        .msl_ms = 30000,
        .orphan_fin_wait_ms = 60000,
        .orphan_probe_max = 8,
        .orphan_retry_max = 8,
        .syn_retry_max = 7, /* 255 s: at least 3 minutes [MUST-23] */
        .syn_ack_retry_max = 5,
        .retry_max = 15,
        .rto_initial_ms = 1000,
        .rto_min_ms = 200,
        .rto_max_ms = 120000,
        .delayed_ack_ms = 40,
        .keepalive_idle_ms = 7200000,
        .keepalive_interval_ms = 75000,
        .keepalive_count = 9,
        .initial_window = 10,
        .port_low = 32768,
        .port_high = 60999,
        .record_len = 16384,
    };
}

static bool config_is_sane(const struct lastack_config *c)
{
    bool buffers = c->buffer_limit <= STREAM_MAX - PAGE_LEN && c->send_buffer > 0 &&
                   c->receive_buffer > 0 && c->send_buffer <= c->buffer_limit &&
                   c->receive_buffer <= c->buffer_limit;
    bool ports = c->port_low > 0 && c->port_low <= c->port_high;
    bool timers = c->rto_initial_ms > 0 && c->rto_min_ms > 0 && c->rto_min_ms <= c->rto_max_ms &&
                  c->rto_max_ms < 1u << 30 && c->delayed_ack_ms <= 500 && c->msl_ms < 1u << 29 &&
                  c->syn_ack_retry_max < 32 && c->syn_retry_max < 128 && c->retry_max < 128;
    bool keepalive = c->keepalive_idle_ms > 0 && c->keepalive_idle_ms <= KEEPALIVE_MS_MAX &&
                     c->keepalive_interval_ms > 0 && c->keepalive_interval_ms <= KEEPALIVE_MS_MAX;
    bool recorder = (c->record_len & (c->record_len - 1)) == 0;
    return buffers && ports && timers && keepalive && recorder && c->descriptor_max < 1u << 30 &&
           c->orphan_probe_max < 256 && c->orphan_retry_max < 128 &&
           c->orphan_fin_wait_ms < 1u << 30 && c->initial_window <= INITIAL_WINDOW_MAX;
}

static void pools_init(lastack *stack, const struct lastack_config *config)
{
    uint64_t sockets = (uint64_t)config->connection_max + 65536;
    uint32_t max = (uint32_t)MIN(sockets, 1u << 29);
    pool_init(&stack->sockets, "socket", sizeof(struct socket), max);
    pool_init(&stack->bindings, "binding", sizeof(struct binding), max);
    pool_init(&stack->messages, "message", sizeof(struct lastack_message), max);
    pool_init(&stack->lingers, "linger", sizeof(struct lingering), max);
    pool_init(&stack->watches, "watch", epoll_watch_size(), max);
    pool_init(&stack->epolls, "epoll", epoll_size(), EPOLL_MAX);
}

lastack *lastack_create(const struct lastack_config *config, uint64_t now_ns)
{
    if (!config_is_sane(config)) {
        errno = EINVAL;
        return NULL;
    }
    lastack *stack = calloc(1, sizeof *stack);
    if (stack == NULL)
        return NULL;
    struct lastack_config own = *config;
    own.initial_window = own.initial_window ? own.initial_window : 10;
    pools_init(stack, &own);
    list_init(&stack->processes);
    list_init(&stack->message_list);
    list_init(&stack->events);
    list_init(&stack->lingered);
    stack->bindings_by_port = calloc(65536, sizeof(struct binding *));
    stack->next_socket_id = 1;
    bool made = stack_init(&stack->stack, &own, now_ns);
    if (!made || stack->bindings_by_port == NULL) {
        lastack_destroy(stack);
        errno = ENOMEM;
        return NULL;
    }
    return stack;
}

void lastack_destroy(lastack *stack)
{
    if (stack == NULL)
        return;
    list_for_each(node, &stack->processes)
    {
        lastack_process *p = container_of(node, lastack_process, link);
        free(p->table);
        free(p->used);
        free(p->full);
        free(p);
    }
    struct pool *pools[] = {&stack->sockets, &stack->bindings, &stack->messages,
                            &stack->lingers, &stack->watches,  &stack->epolls};
    for (size_t i = 0; i < ARRAY_LEN(pools); i++)
        pool_free(pools[i]);
    stack_free(&stack->stack);
    free(stack->bindings_by_port);
    free(stack);
}

int lastack_interface_add(lastack *stack, const struct lastack_interface *interface)
{
    return interface_add(&stack->stack.interfaces, interface);
}

int lastack_route_add(lastack *stack, const struct lastack_address *destination, uint8_t prefix_len,
                      unsigned interface)
{
    return route_add(&stack->stack.interfaces, destination, prefix_len, interface);
}

/* Any verb may find timers due, when the clock has leapt. */
static void lingers_expire(lastack *stack)
{
    struct list *node;
    while ((node = list_pop_front(&stack->stack.upper_due)) != NULL) {
        struct timer *timer = container_of(node, struct timer, link);
        linger_timer(stack, container_of(timer, struct lingering, timer));
    }
}

void lastack_rx(lastack *stack, const struct lastack_frame *frames, size_t frame_cnt,
                uint64_t now_ns)
{
    stack_rx(&stack->stack, frames, frame_cnt, now_ns);
    lingers_expire(stack);
}

size_t lastack_tx(lastack *stack, struct lastack_frame *frames, size_t max, uint64_t now_ns)
{
    size_t cnt = stack_tx(&stack->stack, frames, max, now_ns);
    lingers_expire(stack);
    return cnt;
}

void lastack_tick(lastack *stack, uint64_t now_ns)
{
    stack_tick(&stack->stack, now_ns);
    lingers_expire(stack);
}

uint64_t lastack_deadline(const lastack *stack)
{
    return stack_deadline(&stack->stack);
}
