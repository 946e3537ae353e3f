/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts and lists of them: birth, growth, what follows from the list as a whole. */
#include "doctor/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void call_init(struct fact_call *call)
{
    memset(call, 0, sizeof *call);
    call->age_us = call->left = FACT_UNKNOWN;
    call->fd = FACT_NO_FD;
}

void facts_init(struct facts *f)
{
    static const struct lastack_address any = {{[10] = 0xff, [11] = 0xff}};
    memset(f, 0, sizeof *f);
    f->tuple.local = f->tuple.remote = any;
    f->passive = f->unaccepted = f->orphan = FACT_MAYBE;
    f->shut_rd = f->shut_wr = f->fin_acked = f->close_all = FACT_MAYBE;
    f->references = FACT_UNKNOWN;
    f->fin_in_us = f->fin_out_us = f->eof_read_us = FACT_UNKNOWN;
    call_init(&f->fin_out_by);
    for (unsigned i = 0; i < FACT_CLOSE_MAX; i++)
        call_init(&f->closes[i]);
    f->receive_queue = f->send_queue = f->send_unsent = FACT_UNKNOWN;
    f->receive_window = f->send_window = FACT_UNKNOWN;
    f->born_us = f->state_us = f->data_in_us = f->data_out_us = FACT_UNKNOWN;
    f->bytes_in = f->bytes_out = FACT_UNKNOWN;
    f->timer_us = f->retransmits = f->probes = FACT_UNKNOWN;
    f->error = f->last_error = -1;
}

void facts_list_init(struct facts_list *list)
{
    memset(list, 0, sizeof *list);
}

void facts_list_free(struct facts_list *list)
{
    for (uint32_t i = 0; i < list->cnt; i++)
        free(list->all[i].holders);
    free(list->all);
    facts_list_init(list);
}

struct facts *facts_list_add(struct facts_list *list)
{
    if (list->cnt == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 16;
        struct facts *all = realloc(list->all, cap * sizeof *all);
        if (!all) {
            list->failed = true;
            return NULL;
        }
        list->all = all;
        list->cap = cap;
    }
    struct facts *f = &list->all[list->cnt++];
    facts_init(f);
    return f;
}

struct fact_holder *facts_holder_add(struct facts_list *list, struct facts *f)
{
    /* Grows at 0, 1, 2, 4, ...: no capacity to store. */
    if ((f->holder_cnt & (f->holder_cnt - 1)) == 0) {
        uint32_t cap = f->holder_cnt ? f->holder_cnt * 2 : 1;
        struct fact_holder *holders = realloc(f->holders, cap * sizeof *holders);
        if (!holders) {
            list->failed = true;
            return NULL;
        }
        f->holders = holders;
    }
    struct fact_holder *h = &f->holders[f->holder_cnt++];
    memset(h, 0, sizeof *h);
    h->fd = FACT_NO_FD;
    h->since_us = h->doing_id = FACT_UNKNOWN;
    h->close_on_exec = h->watching = FACT_MAYBE;
    return h;
}

void facts_holders_clear(struct facts *f)
{
    free(f->holders);
    f->holders = NULL;
    f->holder_cnt = 0;
}

void facts_close_add(struct facts *f, const struct fact_call *call)
{
    if (f->close_cnt == FACT_CLOSE_MAX) {
        memmove(&f->closes[0], &f->closes[1], (FACT_CLOSE_MAX - 1) * sizeof f->closes[0]);
        f->close_cnt--;
        f->close_all = FACT_NO;
    }
    f->closes[f->close_cnt++] = *call;
}

struct facts *facts_list_find(const struct facts_list *list, uint64_t id)
{
    for (uint32_t i = 0; id && i < list->cnt; i++)
        if (list->all[i].id == id)
            return &list->all[i];
    return NULL;
}

static void name_put(char to[FACT_PROGRAM_LEN], const char *program)
{
    if (!to[0])
        snprintf(to, FACT_PROGRAM_LEN, "%s", program);
}

void facts_list_name(struct facts_list *list, uint32_t pid, const char *program)
{
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        for (uint32_t h = 0; h < f->holder_cnt; h++)
            if (f->holders[h].pid == pid)
                name_put(f->holders[h].program, program);
        for (uint32_t c = 0; c < f->close_cnt; c++)
            if (f->closes[c].pid == pid)
                name_put(f->closes[c].program, program);
        if (f->fin_out_by.pid == pid)
            name_put(f->fin_out_by.program, program);
    }
}

static int compare_tuples(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    int c = memcmp(&a->local, &b->local, sizeof a->local);
    c = c ? c : (int)a->local_port - (int)b->local_port;
    c = c ? c : memcmp(&a->remote, &b->remote, sizeof a->remote);
    return c ? c : (int)a->remote_port - (int)b->remote_port;
}

static int compare_facts(const void *a, const void *b)
{
    return compare_tuples(&(*(struct facts *const *)a)->tuple, &(*(struct facts *const *)b)->tuple);
}

static struct facts *find_tuple(struct facts **sorted, size_t cnt, const struct lastack_tuple *tuple)
{
    struct facts key = {.tuple = *tuple}, *key_at = &key;
    struct facts **found = bsearch(&key_at, sorted, cnt, sizeof *sorted, compare_facts);
    return found ? *found : NULL;
}

/* The listener an unaccepted connection waits in: bound to its address, else to the wildcard. */
static uint64_t listener_of(struct facts **sorted, size_t cnt, const struct facts *f)
{
    static const struct lastack_address any = {{[10] = 0xff, [11] = 0xff}};
    struct lastack_tuple tuple = f->tuple;
    tuple.remote = any;
    tuple.remote_port = 0;
    struct facts *listener = find_tuple(sorted, cnt, &tuple);
    if (!listener) {
        tuple.local = any;
        listener = find_tuple(sorted, cnt, &tuple);
    }
    return listener && listener->state == LASTACK_LISTEN ? listener->id : 0;
}

void facts_list_relate(struct facts_list *list)
{
    struct facts **sorted = malloc((list->cnt + 1) * sizeof *sorted);
    if (!sorted) {
        list->failed = true;
        return;
    }
    for (uint32_t i = 0; i < list->cnt; i++)
        sorted[i] = &list->all[i];
    qsort(sorted, list->cnt, sizeof *sorted, compare_facts);
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        if (f->state == LASTACK_LISTEN)
            continue;
        struct lastack_tuple mirror = {f->tuple.remote, f->tuple.local, f->tuple.remote_port,
                                       f->tuple.local_port};
        struct facts *peer = find_tuple(sorted, list->cnt, &mirror);
        if (peer && peer != f && peer->state != LASTACK_LISTEN)
            f->peer_id = peer->id;
        if (f->unaccepted == FACT_YES && !f->listener_id)
            f->listener_id = listener_of(sorted, list->cnt, f);
    }
    free(sorted);
}
