/* SPDX-License-Identifier: BSD-2-Clause */
/* What follows from a list of facts as a whole: which records are two ends of one connection, two
 * legs of one proxy, wait in whose queue, and who called. Linear, or nearly so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/facts.h"

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
        snprintf(call->program, sizeof call->program, "%s", (*found)->program);
}

/* Who closed one socket may still hold another. */
static void name_calls(struct facts_list *list)
{
    size_t cnt = 0;
    bool wanted = false;
    for (uint32_t i = 0; i < list->cnt; i++) {
        cnt += list->all[i].holder_cnt;
        wanted = wanted || list->all[i].close_cnt || list->all[i].fin_out_by.pid != FACT_NO_PID;
    }
    if (!wanted)
        return;
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

/* ---- a table of tuples ---- */

#define TABLE_WALK 64 /* looks at one place; more records with one tuple are not worth it */

struct table {
    struct facts *all;
    uint32_t *places; /* record + 1, 0: free */
    uint64_t mask;
};

static const struct lastack_address any4 = {{[10] = 0xff, [11] = 0xff}}, any6;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_tuple(const struct lastack_tuple *t)
{
    uint64_t words[4];
    memcpy(words, &t->local, 16);
    memcpy(words + 2, &t->remote, 16);
    uint64_t hash = (uint64_t)t->local_port << 16 | t->remote_port;
    for (int i = 0; i < 4; i++)
        hash = mix(hash, words[i]);
    return hash ^ hash >> 32;
}

static bool same_tuple(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}

static bool table_fill(struct table *table, const struct facts_list *list)
{
    uint64_t cap = 16;
    while (cap < 2ull * list->cnt)
        cap *= 2;
    *table = (struct table){list->all, calloc(cap, sizeof *table->places), cap - 1};
    for (uint32_t i = 0; table->places && i < list->cnt; i++) {
        uint64_t at = hash_tuple(&list->all[i].tuple);
        for (int walk = 0; walk < TABLE_WALK; walk++, at++) {
            if (table->places[at & table->mask])
                continue;
            table->places[at & table->mask] = i + 1;
            break;
        }
    }
    return table->places != NULL;
}

/* Records with this tuple: calls `take` with each until it returns false. */
static void table_each(const struct table *table, const struct lastack_tuple *tuple,
                       bool (*take)(void *context, struct facts *facts), void *context)
{
    uint64_t at = hash_tuple(tuple);
    for (int walk = 0; walk < TABLE_WALK && table->places[at & table->mask]; walk++, at++) {
        struct facts *f = &table->all[table->places[at & table->mask] - 1];
        if (same_tuple(&f->tuple, tuple) && !take(context, f))
            return;
    }
}

/* ---- peers ---- */

static bool is_kernel(const struct facts *f)
{
    return strncmp(f->stack, "kernel", 6) == 0 && (f->stack[6] == 0 || f->stack[6] == '@');
}

static bool is_loopback(const struct lastack_address *a)
{
    static const struct lastack_address one = {{[15] = 1}};
    bool v4 = memcmp(a->bytes, any4.bytes, 12) == 0;
    return (v4 && a->bytes[12] == 127) || memcmp(a, &one, sizeof one) == 0;
}

struct search {
    const struct facts *of;
    struct facts *here; /* in the same stack */
    struct facts *elsewhere;
    uint32_t elsewhere_cnt; /* in other namespaces of the kernel */
};

static bool take_peer(void *context, struct facts *f)
{
    struct search *search = context;
    if (f == search->of || f->state == LASTACK_LISTEN)
        return true;
    if (strcmp(f->stack, search->of->stack) == 0) {
        search->here = f;
        return false;
    }
    if (is_kernel(f) && is_kernel(search->of)) {
        search->elsewhere = f;
        search->elsewhere_cnt++;
    }
    return true;
}

static struct lastack_tuple mirror_of(const struct facts *f)
{
    return (struct lastack_tuple){f->tuple.remote, f->tuple.local, f->tuple.remote_port,
                                  f->tuple.local_port};
}

static void peer_put(struct facts *f, const struct facts *peer)
{
    f->peer_id = peer->id;
    f->peer_end = peer->orphan == FACT_YES ? FACT_PEER_ORPHAN : FACT_PEER_HERE;
}

/* Stacks are worlds of their own: 127.0.0.1 is somebody else in each. Namespaces of the kernel talk
 * to each other; a pair of addresses that is found there just once at either end is one connection.
 */
static void relate_peer(const struct table *table, struct facts *f)
{
    struct lastack_tuple mirror = mirror_of(f);
    struct search search = {.of = f}, back = {.of = NULL};
    table_each(table, &mirror, take_peer, &search);
    if (search.here) {
        peer_put(f, search.here);
        return;
    }
    if (search.elsewhere_cnt != 1 || is_loopback(&f->tuple.local))
        return;
    back.of = search.elsewhere;
    table_each(table, &f->tuple, take_peer, &back);
    if (!back.here && back.elsewhere_cnt == 1)
        peer_put(f, search.elsewhere);
}

/* ---- ends that are gone ---- */

/* Who talks to a loopback address, or to its own, talks to a connection of its own stack. */
static bool is_within(const struct facts *f)
{
    return is_loopback(&f->tuple.remote) ||
           memcmp(&f->tuple.remote, &f->tuple.local, sizeof f->tuple.local) == 0;
}

static bool is_half_closed(const struct facts *f)
{
    return f->state == LASTACK_CLOSE_WAIT || f->state == LASTACK_FIN_WAIT_1 ||
           f->state == LASTACK_FIN_WAIT_2 || f->state == LASTACK_CLOSING ||
           f->state == LASTACK_LAST_ACK;
}

void facts_list_mark_gone(struct facts_list *list, uint32_t first)
{
    struct table table;
    bool any = false;
    for (uint32_t i = first; i < list->cnt && !any; i++)
        any = is_half_closed(&list->all[i]) && is_within(&list->all[i]);
    if (!any || list->failed || !table_fill(&table, list))
        return;
    for (uint32_t i = first; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        struct lastack_tuple mirror = mirror_of(f);
        struct search search = {.of = f};
        if (!is_half_closed(f) || !is_within(f))
            continue;
        table_each(&table, &mirror, take_peer, &search);
        if (!search.here)
            f->peer_end = FACT_PEER_GONE;
    }
    free(table.places);
}

/* ---- listeners ---- */

static bool take_listener(void *context, struct facts *f)
{
    struct search *search = context;
    if (f->state != LASTACK_LISTEN || strcmp(f->stack, search->of->stack) != 0)
        return true;
    search->here = f;
    return false;
}

/* The listener an unaccepted connection waits in: bound to its address, else to a wildcard. */
static uint64_t listener_of(const struct table *table, const struct facts *f)
{
    const struct lastack_address *const locals[] = {&f->tuple.local, &any4, &any6};
    const struct lastack_address *const remotes[] = {&any4, &any6};
    struct search search = {.of = f};
    for (int i = 0; i < 6 && !search.here; i++) {
        struct lastack_tuple tuple = {
            .local = *locals[i / 2], .remote = *remotes[i % 2], .local_port = f->tuple.local_port};
        table_each(table, &tuple, take_listener, &search);
    }
    return search.here ? search.here->id : 0;
}

/* ---- relays and pools ---- */

/* The first process that holds it by a descriptor. */
static uint32_t owner_of(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].kind == FACT_HOLDER_DESCRIPTOR)
            return f->holders[i].pid;
    return FACT_NO_PID;
}

struct leg {
    uint32_t pid;
    uint64_t key; /* of relays: 0; of pools: the service */
    uint64_t age_us;
    struct facts *facts;
};

static int compare_legs(const void *a, const void *b)
{
    const struct leg *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->age_us != y->age_us)
        return x->age_us < y->age_us ? -1 : 1;
    return x->facts < y->facts ? -1 : x->facts > y->facts;
}

#define RELAY_APART_US UINT64_C(1000000) /* from one FIN to the other that it caused */
#define RELAY_WALK     16                /* legs of a busy proxy that lie between the two */

static uint64_t relay_age(const struct facts *f)
{
    uint64_t age_us = f->state == LASTACK_CLOSE_WAIT ? f->fin_in_us : f->fin_out_us;
    return fact_known(age_us) ? age_us : f->state_us;
}

/* Numbers of the kernel count SYN and FIN here and there. */
static bool same_bytes(uint64_t a, uint64_t b)
{
    return !fact_known(a) || !fact_known(b) || (a > b ? a - b : b - a) <= 2;
}

/* A thread of its holder sits in a receive on the other. */
static bool waits_on(const struct facts *f, const struct facts *other)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].doing == FACT_DOING_RECV && f->holders[i].doing_id == other->id)
            return true;
    return false;
}

/* One was accepted and one was opened, and what came in here went out there; or its thread has
 * turned from the one to the other. */
static bool are_two_legs(const struct facts *a, const struct facts *b)
{
    bool opposite = a->passive != FACT_MAYBE && b->passive != FACT_MAYBE
                        ? a->passive != b->passive
                        : a->tuple.local_port != b->tuple.local_port;
    if (!opposite || a->state == b->state || a->peer_id == b->id || strcmp(a->stack, b->stack) != 0)
        return false;
    const struct facts *in = a->state == LASTACK_CLOSE_WAIT ? a : b, *out = in == a ? b : a;
    return waits_on(in, out) ||
           (same_bytes(a->bytes_in, b->bytes_out) && same_bytes(a->bytes_out, b->bytes_in));
}

/* Of one process: a connection whose end came in, and one whose end went out within a second; the
 * nearest in time, each used once. */
static void relate_legs(struct leg *legs, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++) {
        struct facts *a = legs[i].facts;
        for (size_t j = i + 1; !a->relay_id && j < cnt && j <= i + RELAY_WALK; j++) {
            struct facts *b = legs[j].facts;
            if (legs[j].pid != legs[i].pid || legs[j].age_us - legs[i].age_us > RELAY_APART_US)
                break;
            if (b->relay_id || !are_two_legs(a, b))
                continue;
            a->relay_id = b->id;
            b->relay_id = a->id;
        }
    }
}

static bool is_leg(const struct facts *f)
{
    return (f->state == LASTACK_CLOSE_WAIT && f->unaccepted != FACT_YES) ||
           (f->state == LASTACK_FIN_WAIT_2 && f->orphan != FACT_YES);
}

/* A connection whose own data cannot leave: the key of its leg is 0; of one that is not read, 1. */
static bool is_held_up(const struct facts *f)
{
    return f->send_window == 0 && fact_known(f->send_queue) && f->send_queue > 0;
}

static bool is_left_unread(const struct facts *f)
{
    return f->receive_window == 0 && fact_known(f->receive_queue) && f->receive_queue > 0 &&
           f->state == LASTACK_ESTABLISHED && f->unaccepted != FACT_YES;
}

/* Of one process: what is not read waits for a connection on the other side that takes no more. */
static void relate_held_up(struct leg *legs, size_t cnt)
{
    for (size_t i = 0, first = 0; i < cnt; i++) {
        struct facts *f = legs[i].facts;
        if (legs[i].pid != legs[first].pid)
            first = i;
        for (size_t j = first; legs[i].key && j < cnt && j < first + RELAY_WALK; j++) {
            const struct facts *other = legs[j].facts;
            if (legs[j].pid != legs[i].pid || legs[j].key)
                break;
            if (!f->relay_id && f->peer_id != other->id && f->passive != FACT_MAYBE &&
                other->passive != FACT_MAYBE && f->passive != other->passive &&
                strcmp(f->stack, other->stack) == 0)
                f->relay_id = other->id;
        }
    }
}

static void count_alike(struct leg *legs, size_t cnt)
{
    for (size_t i = 0, n; i < cnt; i += n) {
        for (n = 1;
             i + n < cnt && legs[i + n].pid == legs[i].pid && legs[i + n].key == legs[i].key;)
            n++;
        for (size_t j = 0; j < n; j++)
            legs[i + j].facts->alike_cnt = n;
    }
}

static uint64_t service_key(const struct facts *f)
{
    struct lastack_tuple service = {.remote = f->tuple.remote, .remote_port = f->tuple.remote_port};
    return hash_tuple(&service);
}

static void relate_owners(struct facts_list *list)
{
    struct leg *legs = malloc((list->cnt + 1ull) * sizeof *legs);
    size_t leg_cnt = 0, pooled_cnt = 0;
    if (!legs)
        return; /* relays and pools are a courtesy */
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        uint32_t pid = is_leg(f) ? owner_of(f) : FACT_NO_PID;
        if (pid != FACT_NO_PID && fact_known(relay_age(f)))
            legs[leg_cnt++] = (struct leg){pid, 0, relay_age(f), f};
    }
    qsort(legs, leg_cnt, sizeof *legs, compare_legs);
    relate_legs(legs, leg_cnt);
    leg_cnt = 0;
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        bool any = is_held_up(f) || is_left_unread(f);
        uint32_t pid = any ? owner_of(f) : FACT_NO_PID;
        if (pid != FACT_NO_PID)
            legs[leg_cnt++] = (struct leg){pid, !is_held_up(f), 0, f};
    }
    qsort(legs, leg_cnt, sizeof *legs, compare_legs);
    relate_held_up(legs, leg_cnt);
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct facts *f = &list->all[i];
        bool over = f->state == LASTACK_CLOSE_WAIT || f->state == LASTACK_CLOSED;
        bool pooled = over && f->passive == FACT_NO;
        uint32_t pid = pooled ? owner_of(f) : FACT_NO_PID;
        if (pid != FACT_NO_PID)
            legs[pooled_cnt++] = (struct leg){pid, service_key(f), 0, f};
    }
    qsort(legs, pooled_cnt, sizeof *legs, compare_legs);
    count_alike(legs, pooled_cnt);
    free(legs);
}

/* ---- the index by id ---- */

static void index_ids(struct facts_list *list)
{
    uint32_t cap = 16;
    while (cap < 2ull * list->cnt && cap < 1u << 31)
        cap *= 2;
    free(list->by_id);
    list->by_id = list->cnt < cap ? calloc(cap, sizeof *list->by_id) : NULL;
    if (!list->by_id)
        return; /* looking one by one will do */
    list->by_id_mask = cap - 1;
    list->by_id_cnt = list->cnt;
    for (uint32_t i = 0; i < list->cnt; i++) {
        uint32_t at = facts_id_hash(list->all[i].id);
        if (!list->all[i].id)
            continue;
        while (list->by_id[at & list->by_id_mask])
            at++;
        list->by_id[at & list->by_id_mask] = i + 1;
    }
}

void facts_list_relate(struct facts_list *list)
{
    struct table table;
    if (table_fill(&table, list)) {
        for (uint32_t i = 0; i < list->cnt; i++) {
            struct facts *f = &list->all[i];
            if (f->state == LASTACK_LISTEN)
                continue;
            relate_peer(&table, f);
            if (f->unaccepted == FACT_YES && !f->listener_id)
                f->listener_id = listener_of(&table, f);
        }
    } else {
        list->failed = true;
    }
    free(table.places);
    index_ids(list);
    relate_owners(list);
    name_calls(list);
}
