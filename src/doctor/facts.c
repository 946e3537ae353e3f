/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts and lists of them: birth, growth, what follows from the list as a whole. */
#include "doctor/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/big.h"

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
    f->fin_consumed = f->moved = f->answered = f->keepalive = FACT_MAYBE;
    f->alike_cnt = f->overflows = f->sibling_cnt = f->sibling_closed_cnt = FACT_UNKNOWN;
    f->sibling_linger_us = FACT_UNKNOWN;
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
        facts_holders_clear(&list->all[i]);
        free(list->all[i].watches);
        free(list->all[i].closes);
    }
    for (uint32_t i = 0; i < list->site_cnt; i++)
        free(list->sites[i].stack);
    free(list->sites);
    free(list->all);
    free(list->by_id);
    free(list->block);
    facts_list_init(list);
}

/* Without memory for it the tables grow one by one. */
void facts_list_reserve(struct facts_list *list, uint32_t cnt, uint32_t holder_cnt)
{
    if (list->all || list->block)
        return;
    list->all = cnt ? big_alloc(cnt * sizeof *list->all) : NULL;
    list->cap = list->all ? cnt : 0;
    list->block = holder_cnt ? big_alloc(holder_cnt * sizeof *list->block) : NULL;
    list->block_cap = list->block ? holder_cnt : 0;
    big_fill(list->all, list->cap * sizeof *list->all);
    big_fill(list->block, list->block_cap * sizeof *list->block);
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

void facts_holders_reserve(struct facts_list *list, struct facts *f, uint32_t cnt)
{
    struct fact_holder *holders;
    if (cnt <= f->holder_cap)
        return;
    if (!f->holders && cnt <= list->block_cap - list->block_cnt) {
        f->holders = list->block + list->block_cnt;
        f->holder_cap = cnt;
        f->holders_lent = true;
        list->block_cnt += cnt;
        return;
    }
    holders = realloc(f->holders_lent ? NULL : f->holders, cnt * sizeof *holders);
    if (!holders) {
        list->failed = true;
        return;
    }
    if (f->holders_lent)
        memcpy(holders, f->holders, f->holder_cnt * sizeof *holders);
    f->holders = holders;
    f->holder_cap = cnt;
    f->holders_lent = false;
}

struct fact_holder *facts_holder_add(struct facts_list *list, struct facts *f)
{
    if (f->holder_cnt == f->holder_cap)
        facts_holders_reserve(list, f, f->holder_cap ? 2 * f->holder_cap : 1);
    if (f->holder_cnt == f->holder_cap)
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

/* Where only a module is known, what led there tells places apart. */
static bool same_site(const struct fact_site *a, const struct fact_site *b)
{
    if (a->line != b->line || strcmp(a->function, b->function) != 0 ||
        strcmp(a->file, b->file) != 0 || strcmp(a->module, b->module) != 0)
        return false;
    return a->line || a->function[0] ||
           strcmp(a->stack ? a->stack : "", b->stack ? b->stack : "") == 0;
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
    if (!f->holders_lent)
        free(f->holders);
    f->holders = NULL;
    f->holder_cnt = f->holder_cap = 0;
    f->holders_lent = false;
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

/* Network namespaces of the kernel are one world: a cookie is unique in all of them. */
static bool is_kernel(const char *stack)
{
    return strncmp(stack, "kernel", 6) == 0 && (stack[6] == 0 || stack[6] == '@');
}

enum scope { SCOPE_ALL, SCOPE_STACK, SCOPE_WORLD };

static bool in_scope(const struct facts *f, const char *stack, enum scope scope)
{
    return scope == SCOPE_ALL || strcmp(f->stack, stack) == 0 ||
           (scope == SCOPE_WORLD && is_kernel(stack) && is_kernel(f->stack));
}

static struct facts *find(const struct facts_list *list, const char *stack, enum scope scope,
                          uint64_t id)
{
    bool indexed = list->by_id && list->by_id_cnt == list->cnt;
    if (!id)
        return NULL;
    for (uint32_t at = facts_id_hash(id); indexed; at++) {
        uint32_t place = list->by_id[at & list->by_id_mask];
        if (!place)
            return NULL;
        if (list->all[place - 1].id == id && in_scope(&list->all[place - 1], stack, scope))
            return &list->all[place - 1];
    }
    for (uint32_t i = 0; i < list->cnt; i++)
        if (list->all[i].id == id && in_scope(&list->all[i], stack, scope))
            return &list->all[i];
    return NULL;
}

struct facts *facts_list_find(const struct facts_list *list, uint64_t id)
{
    return find(list, "", SCOPE_ALL, id);
}

struct facts *facts_list_find_in(const struct facts_list *list, const char *stack, uint64_t id)
{
    return find(list, stack, SCOPE_STACK, id);
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

struct facts *facts_list_peer(const struct facts_list *list, const struct facts *f)
{
    return find(list, f->stack, SCOPE_WORLD, f->peer_id);
}

uint64_t facts_age(const struct facts *f)
{
    if (fact_known(f->state_us))
        return f->state_us;
    return f->state == LASTACK_CLOSE_WAIT && fact_known(f->fin_in_us) ? f->fin_in_us : 0;
}

uint64_t facts_rest_us(const struct facts *f)
{
    bool repeats = (fact_known(f->retransmits) && f->retransmits > 0) ||
                   (fact_known(f->probes) && f->probes > 0);
    if (!fact_known(f->state_us))
        return FACT_UNKNOWN;
    uint64_t rest_us = f->state_us;
    if (fact_known(f->data_in_us) && f->data_in_us < rest_us)
        rest_us = f->data_in_us;
    if (fact_known(f->data_out_us) && f->data_out_us < rest_us && !repeats)
        rest_us = f->data_out_us;
    return rest_us;
}
