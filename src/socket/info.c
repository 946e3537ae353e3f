/* SPDX-License-Identifier: BSD-2-Clause */
/* Accounting for people: what is there, who holds it, what happened, what was refused. */
#include <errno.h>
#include <string.h>

#include "base/address.h"
#include "socket/linger.h"
#include "socket/process.h"
#include "tcp/half_open.h"
#include "tcp/time_wait.h"
#include "tcp/timeout.h"
#include "tcp/transmit.h"
#include "tcp/window.h"

/* A cursor walks phase by phase: phase in the top byte, index below. */
enum phase { PHASE_LISTENER, PHASE_BOUND, PHASE_HALF_OPEN, PHASE_CONNECTION, PHASE_TIME_WAIT,
             PHASE_CNT };
#define PHASE_SHIFT 56

static uint64_t tick_ns(const struct tcp *tcp, uint32_t tick)
{
    int64_t ahead = (int32_t)(tick - tcp->now);
    return (uint64_t)((int64_t)(tcp->now_ns / 1000000) + ahead) * 1000000;
}

static const struct socket *socket_of(const struct connection *c)
{
    if (c->owner == NULL || connection_has(c, CONNECTION_UNACCEPTED))
        return NULL;
    const struct file *file = container_of(c->owner, struct file, owner);
    return file->kind == FILE_SOCKET ? container_of(file, struct socket, file) : NULL;
}

/* Somebody waits in close() until this. */
static void linger_fill(const struct tcp *tcp, const struct connection *c,
                        struct lastack_info *info)
{
    if (!connection_has(c, CONNECTION_LINGER_WAIT))
        return;
    const struct lingering *l = container_of(c->owner, struct lingering, file.owner);
    uint64_t due_ns = tick_ns(tcp, l->timer.expiry);
    if (due_ns >= info->timer_ns)
        return;
    info->timer = LASTACK_TIMER_LINGER;
    info->timer_ns = due_ns;
}

static void timer_fill(const struct tcp *tcp, const struct connection *c, struct lastack_info *info)
{
    uint32_t tick;
    info->timer = connection_next_timer(c, &tick);
    info->timer_ns = tick ? tick_ns(tcp, tick) : LASTACK_NEVER;
}

static void stamps_fill(const struct tcp *tcp, const struct connection *c,
                        struct lastack_info *info)
{
    info->born_ns = stamp_ns(tcp, c->born);
    info->state_since_ns = stamp_ns(tcp, c->state_since);
    info->fin_in_ns = stamp_ns(tcp, c->fin_in);
    info->fin_out_ns = stamp_ns(tcp, c->fin_out);
    info->eof_read_ns = stamp_ns(tcp, c->eof_read);
    info->data_in_ns = stamp_ns(tcp, c->data_in);
    info->data_out_ns = stamp_ns(tcp, c->data_out);
    info->close_ns = stamp_ns(tcp, c->closed);
    info->close_pid = c->close_pid;
    info->close_fd = c->close_fd;
    info->close_left = c->close_left;
}

static void queues_fill(const struct tcp *tcp, const struct connection *c,
                        struct lastack_info *info)
{
    info->receive_queue = c->receive.len;
    info->send_queue = c->send.len;
    uint32_t out = c->snd_max - send_base(c);
    info->send_unsent = (int32_t)out > 0 && out < c->send.len ? c->send.len - out : 0;
    if ((int32_t)out <= 0)
        info->send_unsent = c->send.len;
    info->receive_window = receive_window(c);
    info->send_window = c->snd_wnd;
    info->mss = c->mss;
    info->congestion_window = c->cc.cwnd;
    info->slow_start_threshold = c->cc.ssthresh;
    info->srtt_us = c->srtt_us;
    info->rttvar_us = c->rttvar_us;
    info->rto_ms = rto_now(tcp, c);
    info->retransmit_cnt = c->retries;
    info->retransmit_total = c->retransmit_total;
    info->probe_cnt = MAX(c->probes, c->orphan_probes);
    info->bytes_in = c->bytes_in;
    info->bytes_out = c->bytes_out;
}

static void connection_fill(const struct tcp *tcp, const struct connection *c,
                            struct lastack_info *info)
{
    const struct socket *s = socket_of(c);
    *info = (struct lastack_info){
        .id = c->id,
        .socket_id = s != NULL ? s->id : 0,
        .tuple = c->flow.key,
        .state = connection_state(c),
        .passive = connection_has(c, CONNECTION_PASSIVE),
        .unaccepted = connection_has(c, CONNECTION_UNACCEPTED),
        .orphan = connection_has(c, CONNECTION_ORPHAN),
        .shut_rd = connection_has(c, CONNECTION_SHUT_RD),
        .shut_wr = connection_has(c, CONNECTION_FIN_QUEUED),
        .references = s != NULL ? s->file.refs : 0,
        .error = c->error,
        .last_error = c->last_error,
    };
    queues_fill(tcp, c, info);
    stamps_fill(tcp, c, info);
    timer_fill(tcp, c, info);
    linger_fill(tcp, c, info);
}

static void listener_fill(const struct listener *l, struct lastack_info *info)
{
    const struct socket *s =
        container_of(container_of(l->owner, struct file, owner), struct socket, file);
    *info = (struct lastack_info){
        .id = l->id,
        .socket_id = s->id,
        .tuple = l->key,
        .state = LASTACK_LISTEN,
        .passive = true,
        .references = s->file.refs,
        .receive_queue = l->accept_cnt,
        .send_queue = l->backlog,
        .born_ns = l->born_ns,
        .state_since_ns = l->born_ns,
        .timer_ns = LASTACK_NEVER,
    };
}

static void bound_fill(const struct socket *s, struct lastack_info *info)
{
    *info = (struct lastack_info){
        .socket_id = s->id,
        .tuple = {.local = s->binding->address,
                  .remote = address_from_ip4(0),
                  .local_port = s->binding->port},
        .state = LASTACK_CLOSED,
        .references = s->file.refs,
        .error = s->error,
        .timer_ns = LASTACK_NEVER,
    };
}

static void half_open_fill(const struct tcp *tcp, const struct half_open *h,
                           struct lastack_info *info)
{
    *info = (struct lastack_info){
        .tuple = h->flow.key,
        .state = LASTACK_SYN_RCVD,
        .passive = true,
        .retransmit_cnt = h->flow.spare,
        .mss = h->mss,
        .timer = LASTACK_TIMER_RETRANSMIT,
        .timer_ns = tick_ns(tcp, h->timer.expiry),
    };
}

static void time_wait_fill(const struct tcp *tcp, const struct time_wait *tw,
                           struct lastack_info *info)
{
    uint64_t over = tick_ns(tcp, tw->expiry), lasts = 2000000ull * tcp->config.msl_ms;
    *info = (struct lastack_info){
        .tuple = tw->flow.key,
        .state = LASTACK_TIME_WAIT,
        .state_since_ns = over > lasts ? MIN(over - lasts, tcp->now_ns) : 1,
        .timer = LASTACK_TIMER_TIME_WAIT,
        .timer_ns = over,
    };
}

static const struct pool *phase_pool(const lastack *stack, enum phase phase)
{
    const struct tcp *tcp = &stack->stack.tcp;
    switch (phase) {
    case PHASE_LISTENER: return &tcp->listeners;
    case PHASE_BOUND: return &stack->bindings;
    case PHASE_HALF_OPEN: return &tcp->half_opens;
    case PHASE_CONNECTION: return &tcp->connections;
    default: return &tcp->time_waits;
    }
}

/* False: this object is told elsewhere. */
static bool phase_fill(const lastack *stack, enum phase phase, const void *object,
                       struct lastack_info *info)
{
    const struct tcp *tcp = &stack->stack.tcp;
    switch (phase) {
    case PHASE_LISTENER: listener_fill(object, info); return true;
    case PHASE_BOUND: {
        const struct binding *binding = object;
        if (binding->socket->body != BODY_NONE)
            return false;
        bound_fill(binding->socket, info);
        return true;
    }
    case PHASE_HALF_OPEN: half_open_fill(tcp, object, info); return true;
    case PHASE_CONNECTION: connection_fill(tcp, object, info); return true;
    default: time_wait_fill(tcp, object, info); return true;
    }
}

bool lastack_info_next(const lastack *stack, uint64_t *cursor, struct lastack_info *info)
{
    while (*cursor >> PHASE_SHIFT < PHASE_CNT) {
        enum phase phase = (enum phase)(*cursor >> PHASE_SHIFT);
        const struct pool *pool = phase_pool(stack, phase);
        uint32_t index = (uint32_t)*cursor + 1;
        if (index > pool_high(pool)) {
            *cursor = (uint64_t)(phase + 1) << PHASE_SHIFT;
            continue;
        }
        ++*cursor;
        if (pool_is_used(pool, index) && phase_fill(stack, phase, pool_at(pool, index), info))
            return true;
    }
    return false;
}

int lastack_info_get(const lastack *stack, uint64_t id, struct lastack_info *info)
{
    uint64_t cursor = 0;
    while (id != 0 && lastack_info_next(stack, &cursor, info))
        if (info->id == id)
            return 0;
    return -ENOENT;
}

/* ---- holders --------------------------------------------------------------------- */

static bool file_is_socket(const struct file *file, uint64_t id)
{
    return file != NULL && file->kind == FILE_SOCKET &&
           container_of(file, struct socket, file)->id == id;
}

static uint64_t since_ns(const lastack *stack, uint32_t since_ms)
{
    return tick_ns(&stack->stack.tcp, since_ms);
}

static bool message_holder(const lastack *stack, uint64_t id, uint32_t skip,
                           struct lastack_holder *holder)
{
    list_for_each(node, &stack->message_list) {
        const lastack_message *m = container_of(node, lastack_message, link);
        if (!file_is_socket(m->file, id) || skip-- > 0)
            continue;
        *holder = (struct lastack_holder){.pid = m->pid, .fd = -1, .name = "(in a message)",
                                          .origin = LASTACK_ORIGIN_MESSAGE,
                                          .since_ns = since_ns(stack, m->since_ms)};
        return true;
    }
    return false;
}

/* The cursor counts processes in its upper half, descriptors in its lower; the messages come
 * after the last process. */
bool lastack_holder_next(const lastack *stack, uint64_t socket_id, uint64_t *cursor,
                         struct lastack_holder *holder)
{
    uint32_t at = (uint32_t)(*cursor >> 32), fd = (uint32_t)*cursor, index = 0;
    list_for_each(node, &stack->processes) {
        const lastack_process *p = container_of(node, lastack_process, link);
        if (index++ < at)
            continue;
        for (; fd < p->table_len; fd++) {
            const struct descriptor *d = &p->table[fd];
            if (!file_is_socket(d->file, socket_id))
                continue;
            *cursor = (uint64_t)(index - 1) << 32 | (fd + 1);
            *holder = (struct lastack_holder){.pid = p->pid, .fd = (int)fd,
                                              .origin = (enum lastack_origin)d->origin,
                                              .since_ns = since_ns(stack, d->since_ms),
                                              .close_on_exec = d->close_on_exec};
            memcpy(holder->name, p->name, sizeof holder->name);
            return true;
        }
        fd = 0;
    }
    if (at < index)
        fd = 0;
    *cursor = (uint64_t)index << 32 | (fd + 1);
    return message_holder(stack, socket_id, fd, holder);
}

/* ---- records and counters ---------------------------------------------------------- */

bool lastack_record_next(const lastack *stack, uint64_t *cursor, struct lastack_record *record)
{
    return recorder_next(&stack->stack.tcp.recorder, cursor, record);
}

const char *lastack_drop_name(unsigned reason)
{
    return reason < DROP_CNT ? drop_name((enum drop)reason) : NULL;
}

const char *lastack_drop_text(unsigned reason)
{
    return reason < DROP_CNT ? drop_text((enum drop)reason) : NULL;
}

uint64_t lastack_drop_count(const lastack *stack, unsigned reason)
{
    return reason < DROP_CNT ? stack->stack.tcp.drops[reason] : 0;
}

static uint64_t memory_bytes(const lastack *stack)
{
    const struct tcp *tcp = &stack->stack.tcp;
    const struct pool *pools[] = {&tcp->connections, &tcp->half_opens,  &tcp->time_waits,
                                  &tcp->listeners,   &tcp->pages,       &tcp->gaps,
                                  &stack->sockets,   &stack->bindings,  &stack->epolls,
                                  &stack->watches,   &stack->lingers,   &stack->messages};
    uint64_t bytes = sizeof *stack + flow_table_bytes(&tcp->flows) +
                     (uint64_t)tcp->recorder.len * sizeof(struct lastack_record);
    for (size_t i = 0; i < ARRAY_LEN(pools); i++)
        bytes += pool_bytes(pools[i]);
    list_for_each(node, &stack->processes) {
        const lastack_process *p = container_of(node, lastack_process, link);
        bytes += sizeof *p + p->table_len * sizeof(struct descriptor) + p->table_len / 8;
    }
    return bytes;
}

void lastack_usage(const lastack *stack, struct lastack_usage *usage)
{
    const struct tcp *tcp = &stack->stack.tcp;
    *usage = (struct lastack_usage){
        .connections = tcp->connections.used,
        .half_open = tcp->half_opens.used,
        .time_wait = tcp->time_waits.used,
        .listeners = tcp->listeners.used,
        .orphans = tcp->orphan_cnt,
        .sockets = stack->sockets.used,
        .processes = stack->process_cnt,
        .unaccepted = tcp->unaccepted_cnt,
        .buffer_bytes = (uint64_t)tcp->pages.used * PAGE_LEN,
        .memory_bytes = memory_bytes(stack),
        .packets_in = stack->stack.packets_in,
        .packets_out = stack->stack.packets_out,
        .segments_retransmitted = tcp->retransmitted,
    };
    for (unsigned i = 1; i < DROP_CNT; i++)
        usage->packets_dropped += tcp->drops[i];
}
