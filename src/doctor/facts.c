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
    f->holders_known = f->watchers_known = f->creator_alive = f->creator_holds = FACT_MAYBE;
    f->fin_consumed = f->moved = f->keepalive = FACT_MAYBE;
    f->overflows = f->sibling_cnt = f->sibling_closed_cnt = FACT_UNKNOWN;
    f->user_timeout_us = FACT_UNKNOWN;
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
    for (uint32_t i = 0; i < list->cnt; i++) {
        free(list->all[i].holders);
        free(list->all[i].watches);
        free(list->all[i].closes);
    }
    for (uint32_t i = 0; i < list->site_cnt; i++)
        free(list->sites[i].stack);
    free(list->sites);
    free(list->all);
    free(list->by_id);
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

/* Room for one more in an array that grows at 0, 1, 2, 4, ...: no capacity to store. */
static bool array_grow(struct facts_list *list, void *array_at, uint32_t cnt, size_t size)
{
    void *array;
    if (cnt & (cnt - 1))
        return true;
    memcpy(&array, array_at, sizeof array);
    array = realloc(array, (cnt ? cnt * 2 : 1) * size);
    if (array)
        memcpy(array_at, &array, sizeof array);
    else
        list->failed = true;
    return array != NULL;
}

struct fact_holder *facts_holder_add(struct facts_list *list, struct facts *f)
{
    if (!array_grow(list, &f->holders, f->holder_cnt, sizeof *f->holders))
        return NULL;
    struct fact_holder *h = &f->holders[f->holder_cnt++];
    memset(h, 0, sizeof *h);
    h->fd = FACT_NO_FD;
    h->cpu_percent = FACT_NO_CPU;
    h->process_us = FACT_UNKNOWN;
    h->since_us = h->doing_id = FACT_UNKNOWN;
    h->close_on_exec = h->watching = FACT_MAYBE;
    return h;
}

struct fact_watch *facts_watch_add(struct facts_list *list, struct facts *f)
{
    if (!array_grow(list, &f->watches, f->watch_cnt, sizeof *f->watches))
        return NULL;
    struct fact_watch *w = &f->watches[f->watch_cnt++];
    memset(w, 0, sizeof *w);
    w->fd = w->target_fd = FACT_NO_FD;
    w->edge = w->spent = w->waited = FACT_MAYBE;
    w->data = FACT_UNKNOWN;
    return w;
}

static bool same_site(const struct fact_site *a, const struct fact_site *b)
{
    return a->line == b->line && strcmp(a->function, b->function) == 0 &&
           strcmp(a->file, b->file) == 0 && strcmp(a->module, b->module) == 0;
}

/* Programs have a handful of places where they make, read and close connections: a walk will do. */
fact_site_id facts_site_add(struct facts_list *list, struct fact_site *site)
{
    for (uint32_t i = 0; i < list->site_cnt; i++) {
        if (!same_site(&list->sites[i], site))
            continue;
        free(site->stack);
        site->stack = NULL;
        return i + 1;
    }
    if (list->site_cnt == list->site_cap) {
        uint32_t cap = list->site_cap ? list->site_cap * 2 : 16;
        struct fact_site *sites = realloc(list->sites, cap * sizeof *sites);
        if (!sites) {
            list->failed = true;
            free(site->stack);
            site->stack = NULL;
            return 0;
        }
        list->sites = sites;
        list->site_cap = cap;
    }
    list->sites[list->site_cnt] = *site;
    site->stack = NULL;
    return ++list->site_cnt;
}

const struct fact_site *facts_site(const struct facts_list *list, fact_site_id id)
{
    return id && id <= list->site_cnt ? &list->sites[id - 1] : NULL;
}

void facts_holders_clear(struct facts *f)
{
    free(f->holders);
    f->holders = NULL;
    f->holder_cnt = 0;
}

void facts_close_add(struct facts *f, const struct fact_call *call)
{
    if (!f->closes && !(f->closes = calloc(FACT_CLOSE_MAX, sizeof *f->closes))) {
        f->close_all = FACT_NO;
        return;
    }
    if (f->close_cnt == FACT_CLOSE_MAX) {
        memmove(&f->closes[0], &f->closes[1], (FACT_CLOSE_MAX - 1) * sizeof f->closes[0]);
        f->close_cnt--;
        f->close_all = FACT_NO;
    }
    f->closes[f->close_cnt++] = *call;
}

static int compare_ids(const void *a, const void *b, void *arg)
{
    const struct facts *all = arg;
    uint64_t x = all[*(const uint32_t *)a].id, y = all[*(const uint32_t *)b].id;
    return x < y ? -1 : x > y;
}

static void index_ids(struct facts_list *list)
{
    uint32_t *by_id = realloc(list->by_id, (list->cnt + 1) * sizeof *by_id);
    if (!by_id)
        return; /* looking one by one will do */
    for (uint32_t i = 0; i < list->cnt; i++)
        by_id[i] = i;
    qsort_r(by_id, list->cnt, sizeof *by_id, compare_ids, list->all);
    list->by_id = by_id;
    list->by_id_cnt = list->cnt;
}

/* The first place in the index whose id is not below `id`. */
static uint32_t find_first(const struct facts_list *list, uint64_t id)
{
    uint32_t low = 0, high = list->cnt;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->all[list->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* `stack` NULL: any. */
static struct facts *find(const struct facts_list *list, const char *stack, uint64_t id)
{
    bool indexed = list->by_id && list->by_id_cnt == list->cnt;
    for (uint32_t i = indexed ? find_first(list, id) : 0; id && i < list->cnt; i++) {
        struct facts *f = &list->all[indexed ? list->by_id[i] : i];
        if (f->id == id && (!stack || strcmp(f->stack, stack) == 0))
            return f;
        if (indexed && f->id != id)
            break;
    }
    return NULL;
}

struct facts *facts_list_find(const struct facts_list *list, uint64_t id)
{
    return find(list, NULL, id);
}

struct facts *facts_list_find_in(const struct facts_list *list, const char *stack, uint64_t id)
{
    return find(list, stack, id);
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

/* ---- names ---- */

static int compare_pids(const void *a, const void *b)
{
    const struct fact_holder *x = *(struct fact_holder *const *)a;
    const struct fact_holder *y = *(struct fact_holder *const *)b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void name_call(struct fact_call *call, struct fact_holder **holders, size_t cnt)
{
    struct fact_holder key = {.pid = call->pid}, *key_at = &key, **found;
    if (call->pid == FACT_NO_PID || call->program[0])
        return;
    found = bsearch(&key_at, holders, cnt, sizeof *holders, compare_pids);
    if (found)
        name_put(call->program, (*found)->program);
}

/* Who closed one socket may still hold another. */
static void name_calls(struct facts_list *list)
{
    size_t cnt = 0;
    for (uint32_t i = 0; i < list->cnt; i++)
        cnt += list->all[i].holder_cnt;
    struct fact_holder **holders = malloc((cnt + 1) * sizeof *holders);
    if (!holders)
        return; /* names are a courtesy */
    cnt = 0;
    for (uint32_t i = 0; i < list->cnt; i++)
        for (uint32_t h = 0; h < list->all[i].holder_cnt; h++)
            holders[cnt++] = &list->all[i].holders[h];
    qsort(holders, cnt, sizeof *holders, compare_pids);
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        for (uint32_t c = 0; c < f->close_cnt; c++)
            name_call(&f->closes[c], holders, cnt);
        name_call(&f->fin_out_by, holders, cnt);
    }
    free(holders);
}

/* ---- what belongs together ---- */

static int compare_tuples(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    int c = memcmp(&a->local, &b->local, sizeof a->local);
    c = c ? c : (int)a->local_port - (int)b->local_port;
    c = c ? c : memcmp(&a->remote, &b->remote, sizeof a->remote);
    return c ? c : (int)a->remote_port - (int)b->remote_port;
}

/* Stacks are worlds of their own: 127.0.0.1 is somebody else in each. */
static int compare_facts(const void *a, const void *b)
{
    const struct facts *x = *(struct facts *const *)a, *y = *(struct facts *const *)b;
    int c = strcmp(x->stack, y->stack);
    return c ? c : compare_tuples(&x->tuple, &y->tuple);
}

static struct facts *find_tuple(struct facts **sorted, size_t cnt, const struct facts *of,
                                const struct lastack_tuple *tuple)
{
    struct facts key = {.tuple = *tuple}, *key_at = &key;
    memcpy(key.stack, of->stack, sizeof key.stack);
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
    struct facts *listener = find_tuple(sorted, cnt, f, &tuple);
    if (!listener) {
        tuple.local = any;
        listener = find_tuple(sorted, cnt, f, &tuple);
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
        struct facts *peer = find_tuple(sorted, list->cnt, f, &mirror);
        if (peer && peer != f && peer->state != LASTACK_LISTEN)
            f->peer_id = peer->id;
        if (f->unaccepted == FACT_YES && !f->listener_id)
            f->listener_id = listener_of(sorted, list->cnt, f);
    }
    free(sorted);
    index_ids(list);
    name_calls(list);
}
