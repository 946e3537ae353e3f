/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP of a stack: set-up, and the way of a segment to the body that it concerns. */
#include "tcp/tcp.h"

#include <errno.h>
#include <string.h>

#include "tcp/half_open.h"
#include "tcp/listener.h"
#include "tcp/receive.h"
#include "tcp/time_wait.h"
#include "tcp/timeout.h"
#include "tcp/transmit.h"
#include "tcp/window.h"

#define LISTENER_MAX 65536u

static void keys_init(struct tcp *tcp)
{
    random_init(&tcp->random, tcp->config.seed);
    for (int i = 0; i < 2; i++) {
        tcp->isn_key[i] = random_u64(&tcp->random);
        tcp->cookie_key[i] = random_u64(&tcp->random);
        tcp->port_key[i] = random_u64(&tcp->random);
    }
}

static void pools_init(struct tcp *tcp)
{
    const struct lastack_config *config = &tcp->config;
    pool_init(&tcp->connections, "connection", sizeof(struct connection), config->connection_max);
    pool_init(&tcp->half_opens, "half-open", sizeof(struct half_open), config->half_open_max);
    pool_init(&tcp->time_waits, "time-wait", sizeof(struct time_wait), config->time_wait_max);
    pool_init(&tcp->listeners, "listener", sizeof(struct listener), LISTENER_MAX);
    uint64_t pages = config->buffer_max / PAGE_LEN;
    pool_init(&tcp->pages, "page", PAGE_LEN, (uint32_t)MIN(pages, 1u << 29));
    pool_init(&tcp->gaps, "out-of-order", sizeof(struct out_of_order), config->connection_max);
}

bool tcp_init(struct tcp *tcp, const struct lastack_config *config, struct wheel *wheel,
              uint64_t now_ns)
{
    memset(tcp, 0, sizeof *tcp);
    tcp->config = *config;
    tcp->wheel = wheel;
    tcp->now_ns = now_ns;
    tcp->now = (uint32_t)(now_ns / 1000000);
    tcp->born_ms = now_ns / 1000000;
    tcp->next_id = 1;
    tcp->rcv_wscale = window_scale_for(config->buffer_limit);
    keys_init(tcp);
    pools_init(tcp);
    list_init(&tcp->tx_queue);
    list_init(&tcp->events);
    list_init(&tcp->orphans);
    list_init(&tcp->starving);
    list_init(&tcp->gapped);
    timer_init(&tcp->time_wait_timer, TIMER_TIME_WAIT);
    uint64_t flow_key[2] = {random_u64(&tcp->random), random_u64(&tcp->random)};
    bool ok = flow_table_init(&tcp->flows, flow_key);
    ok = recorder_init(&tcp->recorder, config->record_len) && ok;
    tcp->flows.pools[FLOW_CONNECTION] = &tcp->connections;
    tcp->flows.pools[FLOW_HALF_OPEN] = &tcp->half_opens;
    tcp->flows.pools[FLOW_TIME_WAIT] = &tcp->time_waits;
    return ok;
}

void tcp_free(struct tcp *tcp)
{
    flow_table_free(&tcp->flows);
    recorder_free(&tcp->recorder);
    pool_free(&tcp->connections);
    pool_free(&tcp->half_opens);
    pool_free(&tcp->time_waits);
    pool_free(&tcp->listeners);
    pool_free(&tcp->pages);
    pool_free(&tcp->gaps);
}

void tcp_rx(struct tcp *tcp, struct segment *seg)
{
    struct flow *flow = flow_find(&tcp->flows, &seg->key);
    if (flow != NULL && flow->kind == FLOW_CONNECTION) {
        connection_rx(tcp, container_of(flow, struct connection, flow), seg);
    } else if (flow != NULL && flow->kind == FLOW_HALF_OPEN) {
        half_open_rx(tcp, container_of(flow, struct half_open, flow), seg);
    } else if (flow != NULL) {
        time_wait_rx(tcp, container_of(flow, struct time_wait, flow), seg);
    } else {
        struct listener *listener = listener_find(tcp, &seg->key);
        if (listener != NULL) {
            listener_rx(tcp, listener, seg);
            return;
        }
        bool rst = seg->h.flags & TCP_RST; /* RFC 9293 3.10.7.1 */
        tcp_drop(tcp, rst ? DROP_TCP_RST_NO_FLOW : DROP_TCP_NO_LISTENER, &seg->key, 0);
        reply_reset(tcp, seg);
    }
}

const struct lastack_address *tcp_tx_destination(const struct tcp *tcp)
{
    const struct reply_queue *q = &tcp->replies;
    if (q->head != q->tail)
        return &q->ring[q->head % REPLY_MAX].key.remote;
    if (list_empty(&tcp->tx_queue))
        return NULL;
    return &container_of(tcp->tx_queue.next, struct connection, tx_link)->flow.key.remote;
}

bool tcp_tx(struct tcp *tcp, struct outgoing *out)
{
    if (reply_pop(tcp, out))
        return true;
    struct connection *c = container_of(tcp->tx_queue.next, struct connection, tx_link);
    if (transmit_next(tcp, c, out))
        return true;
    list_remove(&c->tx_link);
    return false;
}

bool tcp_owes(const struct tcp *tcp)
{
    return tcp->replies.head != tcp->replies.tail || !list_empty(&tcp->tx_queue);
}

void tcp_timer(struct tcp *tcp, struct timer *timer)
{
    if (timer->kind == TIMER_CONNECTION)
        connection_timer(tcp, container_of(timer, struct connection, timer));
    else if (timer->kind == TIMER_HALF_OPEN)
        half_open_timer(tcp, container_of(timer, struct half_open, timer));
    else
        time_wait_timer(tcp);
}

/* RFC 1191 6.4: smaller segments from here on, and the lost ones again. */
static void path_mtu(struct tcp *tcp, struct connection *c, uint32_t mtu)
{
    uint32_t mss = MAX(mtu, 576u) - 40;
    if (mss >= c->mss || !connection_has(c, CONNECTION_SYN_ACKED))
        return;
    c->mss = (uint16_t)mss;
    c->snd_nxt = c->snd_una;
    c->flags &= ~CONNECTION_TIMING;
    connection_owe(tcp, c, 0);
}

/* RFC 5927 4: only an error about bytes in flight counts. SEMANTICS 6: a hard one ends an attempt
 * to connect; later it is only noted. */
void tcp_icmp(struct tcp *tcp, const struct lastack_tuple *key, uint32_t seq, int error, bool hard,
              uint32_t mtu)
{
    struct flow *flow = flow_find(&tcp->flows, key);
    if (flow != NULL && flow->kind == FLOW_HALF_OPEN) {
        half_open_icmp(tcp, container_of(flow, struct half_open, flow), seq, hard && mtu == 0);
        return;
    }
    if (flow == NULL || flow->kind != FLOW_CONNECTION) {
        tcp_drop(tcp, DROP_ICMP_NO_FLOW, key, 0);
        return;
    }
    struct connection *c = container_of(flow, struct connection, flow);
    if (seq_lt(seq, c->snd_una) || seq_gt(seq, c->snd_max)) {
        tcp_drop(tcp, DROP_ICMP_SEQUENCE, key, c->id);
        return;
    }
    bool opening = !state_is(connection_state(c), STATE_SYNCED);
    if (mtu > 0) {
        path_mtu(tcp, c, mtu);
    } else if (hard && opening) {
        connection_move(tcp, c, LASTACK_CLOSED, LASTACK_CAUSE_ICMP, error);
        connection_settle(tcp, c);
    } else {
        c->last_error = (uint8_t)error;
    }
}

void tcp_drop(struct tcp *tcp, enum drop reason, const struct lastack_tuple *key, uint64_t id)
{
    tcp->drops[reason]++;
    struct lastack_record record = {
        .time_ns = tcp->now_ns, .id = id, .kind = LASTACK_RECORD_DROP, .fd = -1, .arg = reason};
    if (key != NULL)
        record.tuple = *key;
    recorder_put(&tcp->recorder, &record);
}

void tcp_edge(struct tcp *tcp, uint64_t id, const struct lastack_tuple *key,
              enum lastack_state from, enum lastack_state to, enum lastack_cause cause, int error)
{
    recorder_put(&tcp->recorder, &(struct lastack_record){.time_ns = tcp->now_ns,
                                                          .id = id,
                                                          .tuple = *key,
                                                          .kind = LASTACK_RECORD_EDGE,
                                                          .cause = (uint8_t)cause,
                                                          .from = (uint8_t)from,
                                                          .to = (uint8_t)to,
                                                          .pid = tcp->actor_pid,
                                                          .fd = tcp->actor_fd,
                                                          .arg = (uint32_t)error});
}

void tcp_record(struct tcp *tcp, const struct connection *c, enum lastack_record_kind kind,
                enum lastack_cause cause, uint32_t arg)
{
    recorder_put(&tcp->recorder, &(struct lastack_record){.time_ns = tcp->now_ns,
                                                          .id = c->id,
                                                          .tuple = c->flow.key,
                                                          .kind = (uint8_t)kind,
                                                          .cause = (uint8_t)cause,
                                                          .from = (uint8_t)connection_state(c),
                                                          .to = (uint8_t)connection_state(c),
                                                          .pid = tcp->actor_pid,
                                                          .fd = tcp->actor_fd,
                                                          .arg = arg});
}

void stamp_set(struct tcp *tcp, struct stamp *stamp)
{
    uint64_t ms = tcp->now_ns / 1000000 - tcp->born_ms + 1;
    memcpy(stamp->bytes, &ms, sizeof stamp->bytes);
}

uint64_t stamp_ns(const struct tcp *tcp, struct stamp stamp)
{
    uint64_t ms = 0;
    memcpy(&ms, stamp.bytes, sizeof stamp.bytes);
    return ms == 0 ? 0 : MAX((tcp->born_ms + ms - 1) * 1000000, 1u);
}

void tcp_feed(struct tcp *tcp)
{
    uint32_t unused = tcp->pages.limit - tcp->pages.used;
    if (unused == 0 || unused < MIN(2u, tcp->pages.limit)) /* one page and its directory */
        return;
    for (struct list *node; (node = list_pop_front(&tcp->starving)) != NULL;)
        connection_notify(tcp, container_of(node, struct connection, queue_link));
}

void tcp_notify(struct tcp *tcp, struct tcp_owner *owner)
{
    if (!list_linked(&owner->event_link))
        list_push_back(&tcp->events, &owner->event_link);
}
