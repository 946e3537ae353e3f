/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts from a stack of ours: its accounting first, then what its flight recorder knows about the
 * calls that concern an ending. */
#include "doctor/sources/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAMP_US 2000 /* a connection's stamps are in milliseconds, the recorder's are not */

struct source {
    struct facts_list *list;
    const lastack *stack;
    uint64_t now_ns;
    const struct facts_stack_options *options;
};

static uint64_t age_us(const struct source *s, uint64_t then_ns)
{
    if (then_ns == 0)
        return FACT_NEVER;
    return then_ns < s->now_ns ? (s->now_ns - then_ns) / 1000 : 0;
}

static fact_bool to_bool(bool b)
{
    return b ? FACT_YES : FACT_NO;
}

static fact_bool fin_acked(const struct lastack_info *info)
{
    /* TIME_WAIT is reached only with our FIN acknowledged, and keeps no stamps. */
    return to_bool(info->state == LASTACK_FIN_WAIT_2 || info->state == LASTACK_TIME_WAIT);
}

static void put_ages(const struct source *s, struct facts *f, const struct lastack_info *info)
{
    f->born_us = age_us(s, info->born_ns);
    f->state_us = age_us(s, info->state_since_ns);
    f->fin_in_us = age_us(s, info->fin_in_ns);
    f->fin_out_us = age_us(s, info->fin_out_ns);
    f->eof_read_us = s->options->supervised ? FACT_UNKNOWN : age_us(s, info->eof_read_ns);
    f->data_in_us = age_us(s, info->data_in_ns);
    f->data_out_us = age_us(s, info->data_out_ns);
}

static void put_timer(const struct source *s, struct facts *f, const struct lastack_info *info)
{
    f->timer = info->timer;
    if (info->timer == LASTACK_TIMER_NONE || info->timer_ns == LASTACK_NEVER)
        f->timer_us = FACT_NEVER;
    else
        f->timer_us = info->timer_ns > s->now_ns ? (info->timer_ns - s->now_ns) / 1000 : 0;
}

static void put_queues(const struct source *s, struct facts *f, const struct lastack_info *info)
{
    bool listener = info->state == LASTACK_LISTEN;
    /* What the supervisor has read is not what the program has read. Nobody reads where there is no
     * socket (unaccepted, orphan), so there it is exact. */
    if (!s->options->supervised || listener || info->socket_id == 0)
        f->receive_queue = info->receive_queue;
    f->send_queue = info->send_queue;
    f->send_unsent = info->send_unsent;
    f->receive_window = info->receive_window;
    f->send_window = info->send_window;
    f->bytes_in = info->bytes_in;
    f->bytes_out = info->bytes_out;
    f->retransmits = info->retransmit_cnt;
    f->probes = info->probe_cnt;
}

static enum fact_origin to_origin(enum lastack_origin origin)
{
    switch (origin) {
    case LASTACK_ORIGIN_SOCKET:
        return FACT_ORIGIN_SOCKET;
    case LASTACK_ORIGIN_ACCEPT:
        return FACT_ORIGIN_ACCEPT;
    case LASTACK_ORIGIN_DUP:
        return FACT_ORIGIN_DUP;
    case LASTACK_ORIGIN_FORK:
        return FACT_ORIGIN_FORK;
    case LASTACK_ORIGIN_MESSAGE:
        return FACT_ORIGIN_MESSAGE;
    }
    return FACT_ORIGIN_UNKNOWN;
}

static void put_holders(const struct source *s, struct facts *f)
{
    uint64_t cursor = 0;
    struct lastack_holder from;
    while (lastack_holder_next(s->stack, f->socket_id, &cursor, &from)) {
        struct fact_holder *h = facts_holder_add(s->list, f);
        if (!h)
            return;
        h->kind = from.fd < 0 ? FACT_HOLDER_MESSAGE : FACT_HOLDER_DESCRIPTOR;
        h->pid = from.pid;
        h->fd = from.fd;
        snprintf(h->program, sizeof h->program, "%.*s", (int)sizeof from.name, from.name);
        h->origin = to_origin(from.origin);
        h->since_us = age_us(s, from.since_ns);
        h->close_on_exec = to_bool(from.close_on_exec);
    }
}

static void put_close(const struct source *s, struct facts *f, const struct lastack_info *info)
{
    if (info->close_ns == 0)
        return;
    struct fact_call call = {
        .kind = FACT_CALL_CLOSE,
        .age_us = age_us(s, info->close_ns),
        .pid = info->close_pid,
        .fd = info->close_fd,
        .left = info->close_left,
    };
    facts_close_add(f, &call);
}

static void put_one(const struct source *s, const struct lastack_info *info)
{
    struct facts *f = facts_list_add(s->list);
    if (!f)
        return;
    f->id = info->id;
    f->socket_id = info->socket_id;
    snprintf(f->stack, sizeof f->stack, "%s", s->options->name ? s->options->name : "");
    f->tuple = info->tuple;
    f->state = info->state;
    f->passive = to_bool(info->passive);
    f->unaccepted = to_bool(info->unaccepted);
    f->orphan = to_bool(info->orphan);
    f->shut_rd = to_bool(info->shut_rd);
    f->shut_wr = to_bool(info->shut_wr);
    f->fin_acked = fin_acked(info);
    f->error = info->error;
    f->last_error = info->last_error;
    put_ages(s, f, info);
    put_timer(s, f, info);
    put_queues(s, f, info);
    put_close(s, f, info);
    if (info->socket_id == 0)
        f->references = 0;
    else if (!s->options->supervised)
        f->references = info->references;
    if (info->socket_id && !s->options->supervised)
        put_holders(s, f);
}

/* ---- the flight recorder ---- */

static enum fact_call_kind to_call(uint8_t cause)
{
    switch ((enum lastack_cause)cause) {
    case LASTACK_CAUSE_CLOSE:
        return FACT_CALL_CLOSE;
    case LASTACK_CAUSE_DUP_OVER:
        return FACT_CALL_DUP_OVER;
    case LASTACK_CAUSE_EXEC:
        return FACT_CALL_EXEC;
    case LASTACK_CAUSE_EXIT:
        return FACT_CALL_EXIT;
    case LASTACK_CAUSE_MESSAGE_DROP:
        return FACT_CALL_MESSAGE_DROP;
    case LASTACK_CAUSE_SHUT_RD:
        return FACT_CALL_SHUT_RD;
    case LASTACK_CAUSE_SHUT_WR:
        return FACT_CALL_SHUT_WR;
    case LASTACK_CAUSE_SHUT_RDWR:
        return FACT_CALL_SHUT_RDWR;
    case LASTACK_CAUSE_OPERATOR:
        return FACT_CALL_OPERATOR;
    default:
        return FACT_CALL_NONE;
    }
}

static bool is_close(enum fact_call_kind kind)
{
    return kind >= FACT_CALL_CLOSE && kind <= FACT_CALL_MESSAGE_DROP;
}

static bool sends_fin(const struct fact_call *call)
{
    return call->kind == FACT_CALL_SHUT_WR || call->kind == FACT_CALL_SHUT_RDWR ||
           call->kind == FACT_CALL_OPERATOR || (is_close(call->kind) && call->left == 0);
}

/* The same close as the connection's own stamp says, but with its true kind. */
static bool same_close(const struct fact_call *a, const struct fact_call *b)
{
    uint64_t apart_us = a->age_us > b->age_us ? a->age_us - b->age_us : b->age_us - a->age_us;
    return a->pid == b->pid && a->fd == b->fd && a->left == b->left && apart_us <= STAMP_US;
}

static void put_call(struct facts *f, const struct fact_call *call)
{
    if (is_close(call->kind)) {
        if (f->close_cnt && same_close(&f->closes[f->close_cnt - 1], call))
            f->closes[f->close_cnt - 1].kind = call->kind;
        else
            facts_close_add(f, call);
    }
    /* Our FIN was queued by the first call that could: later ones found it queued. */
    if (f->fin_out_by.kind == FACT_CALL_NONE && fact_known(f->fin_out_us) && sends_fin(call))
        f->fin_out_by = *call;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = (*(struct facts *const *)a)->id, y = (*(struct facts *const *)b)->id;
    return x < y ? -1 : x > y;
}

static struct facts *find_id(struct facts **sorted, size_t cnt, uint64_t id)
{
    struct facts key = {.id = id}, *key_at = &key;
    struct facts **found = bsearch(&key_at, sorted, cnt, sizeof *sorted, compare_ids);
    return found ? *found : NULL;
}

static void put_record(const struct source *s, struct facts **sorted, size_t cnt,
                       const struct lastack_record *record)
{
    struct facts *f = NULL;
    if (record->kind == LASTACK_RECORD_CALL && record->id)
        f = find_id(sorted, cnt, record->id);
    if (!f)
        return;
    struct fact_call call = {
        .kind = to_call(record->cause),
        .age_us = age_us(s, record->time_ns),
        .pid = record->pid,
        .fd = record->fd,
        .left = record->arg,
    };
    if (call.kind != FACT_CALL_NONE)
        put_call(f, &call);
}

/* The stamp of the last close came first (put_close); with the recorder's closes appended it may
 * stand before older ones. */
static void order_closes(struct facts *f)
{
    for (uint32_t i = 1; i < f->close_cnt; i++) {
        for (uint32_t j = i; j > 0 && f->closes[j - 1].age_us < f->closes[j].age_us; j--) {
            struct fact_call swap = f->closes[j];
            f->closes[j] = f->closes[j - 1];
            f->closes[j - 1] = swap;
        }
    }
    /* The stamp and its record are one close. */
    uint32_t n = f->close_cnt;
    if (n >= 2 && same_close(&f->closes[n - 1], &f->closes[n - 2])) {
        if (f->closes[n - 2].kind != FACT_CALL_CLOSE)
            f->closes[n - 1] = f->closes[n - 2];
        f->closes[n - 2] = f->closes[n - 1];
        f->close_cnt--;
    }
}

static void put_history(const struct source *s, uint32_t first)
{
    uint32_t cnt = s->list->cnt - first;
    struct facts **sorted = malloc((cnt + 1) * sizeof *sorted);
    if (!sorted) {
        s->list->failed = true;
        return;
    }
    for (uint32_t i = 0; i < cnt; i++)
        sorted[i] = &s->list->all[first + i];
    qsort(sorted, cnt, sizeof *sorted, compare_ids);

    uint64_t cursor = 0, oldest_ns = 0;
    bool complete = false;
    struct lastack_record record;
    for (bool any = false; lastack_record_next(s->stack, &cursor, &record); any = true) {
        if (!any) {
            complete = record.sequence == 1;
            oldest_ns = record.time_ns;
        }
        put_record(s, sorted, cnt, &record);
    }
    for (uint32_t i = 0; i < cnt; i++) {
        struct facts *f = sorted[i];
        order_closes(f);
        if (f->close_all == FACT_MAYBE && cursor)
            f->close_all = to_bool(complete || f->born_us < age_us(s, oldest_ns));
    }
    free(sorted);
}

void facts_from_stack(struct facts_list *list, const lastack *stack, uint64_t now_ns,
                      const struct facts_stack_options *options)
{
    static const struct facts_stack_options plain;
    struct source s = {list, stack, now_ns, options ? options : &plain};
    uint32_t first = list->cnt;
    uint64_t cursor = 0;
    struct lastack_info info;
    while (lastack_info_next(stack, &cursor, &info) && !list->failed)
        put_one(&s, &info);
    if (!list->failed)
        put_history(&s, first);
    facts_list_mark_gone(list, first);
    facts_list_relate(list);
}
