/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings of many records to groups of records, and groups of two moments to growth. */
#include "doctor/group.h"

#include <stdlib.h>
#include <string.h>

#include "doctor/big.h"
#include "doctor/rules_case.h"
#include "doctor/words.h"

#define MINUTE_US       UINT64_C(60000000)
#define FLOOD_MORE      5    /* so many more than before, and */
#define FLOOD_LEAST     10   /* so many in all, are a flood */
#define ORPHAN_LEAST    5000 /* of those that end by themselves */
#define EPHEMERAL_PORT  32768
#define PROGRAMS_IN_KEY 16

/* ---- keys ---- */

/* FNV-1a with a finish: equal things give equal keys in every run. */
static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ b[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static uint64_t mix_string(uint64_t hash, const char *string)
{
    return mix_bytes(hash, string, strlen(string) + 1);
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_site(uint64_t hash, const struct facts_list *list, fact_site_id id)
{
    const struct fact_site *site = list ? facts_site(list, id) : NULL;
    if (!site)
        return mix_number(hash, 0);
    hash = mix_string(hash, site->function);
    hash = mix_string(hash, site->file);
    hash = mix_string(hash, site->module);
    return mix_number(hash, site->line);
}

/* Four children or five, in whatever order: the same programs. */
static uint64_t mix_programs(uint64_t hash, const struct facts *f)
{
    uint64_t seen[PROGRAMS_IN_KEY], sum = 0;
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < f->holder_cnt && cnt < PROGRAMS_IN_KEY; i++) {
        uint64_t one = mix_string(f->holders[i].kind + 1, f->holders[i].program);
        uint32_t at = 0;
        while (at < cnt && seen[at] != one)
            at++;
        if (at < cnt)
            continue;
        seen[cnt++] = one;
        sum += mix_number(one, cnt ? 1 : 0);
    }
    return mix_number(hash, sum);
}

/* The service: our port if we were called, else theirs. */
static uint16_t service_port(const struct facts *f)
{
    bool called = f->passive == FACT_YES ||
                  (f->passive == FACT_MAYBE && (f->tuple.local_port < EPHEMERAL_PORT ||
                                                f->tuple.remote_port >= EPHEMERAL_PORT));
    return called ? f->tuple.local_port : f->tuple.remote_port;
}

/* One record: its findings and what makes it like others. */
struct member {
    const struct finding *first;
    uint32_t cnt;
};

/* A leak of which nothing but its youth keeps one from being sure: it counts with the older ones. */
static bool is_early(const struct finding *finding)
{
    return finding->code == FINDING_END_SEEN && finding->may_work && !has_answered(finding->about);
}

static uint64_t make_key(const struct member *m, const struct facts_list *list)
{
    const struct facts *f = m->first->about;
    uint64_t key = mix_string(0xcbf29ce484222325u, f->stack);
    for (uint32_t i = 0; i < m->cnt; i++) {
        key = mix_string(key, m->first[i].code);
        key = mix_number(key, is_early(&m->first[i])
                                  ? SEVERITY_PROBLEM * 2 + 1
                                  : (uint64_t)m->first[i].severity * 2 + m->first[i].certain);
    }
    key = mix_number(key, service_port(f));
    key = mix_programs(key, f);
    key = mix_site(key, list, f->born_at);
    return mix_site(key, list, f->eof_read_at);
}

/* ---- groups ---- */

static int compare_groups(const void *a, const void *b)
{
    const struct finding *x = ((const struct finding_group *)a)->first;
    const struct finding *y = ((const struct finding_group *)b)->first;
    return x < y ? -1 : x > y;
}

static void group_add(struct finding_group *g, const struct facts *f)
{
    if (g->record_cnt < GROUP_ID_MAX)
        g->members[g->record_cnt] = f;
    g->record_cnt++;
    if (!fact_known(f->state_us)) {
        g->minute_known = false;
        return;
    }
    if (!fact_known(g->oldest_us) || f->state_us > g->oldest_us)
        g->oldest_us = f->state_us;
    if (!fact_known(g->youngest_us) || f->state_us < g->youngest_us)
        g->youngest_us = f->state_us;
    if (f->state_us >= MINUTE_US)
        return;
    g->minute_cnt++;
    if (f->at_least == FACT_YES) /* "at least 5 s" may be an hour */
        g->minute_known = false;
}

/* Runs of equal keys in the order of `order` become groups. */
static void make_groups(struct finding_groups *groups, const struct member *members,
                        const struct big_order *order, uint32_t cnt)
{
    struct finding_group *g = NULL;
    for (uint32_t i = 0; i < cnt; i++) {
        const struct member *m = &members[order[i].at];
        if (i == 0 || order[i].key != order[i - 1].key) {
            g = &groups->all[groups->cnt++];
            *g = (struct finding_group){.first = m->first,
                                        .finding_cnt = m->cnt,
                                        .key = order[i].key,
                                        .oldest_us = FACT_UNKNOWN,
                                        .youngest_us = FACT_UNKNOWN,
                                        .minute_known = true,
                                        .per_minute = GROUP_GROWTH_UNKNOWN};
        }
        group_add(g, m->first->about);
    }
    qsort(groups->all, groups->cnt, sizeof *groups->all, compare_groups);
}

static uint32_t groups_cnt(const struct big_order *order, uint32_t cnt)
{
    uint32_t groups = cnt > 0;
    for (uint32_t i = 1; i < cnt; i++)
        groups += order[i].key != order[i - 1].key;
    return groups;
}

/* Only what is shown needs words. They are a cache in findings that are otherwise left alone. */
static void tell_groups(struct finding_groups *groups, const struct findings *findings)
{
    for (uint32_t i = 0; i < groups->cnt; i++)
        for (uint32_t j = 0; j < groups->all[i].finding_cnt; j++)
            finding_tell(findings, (struct finding *)&groups->all[i].first[j]);
}

bool findings_group(struct finding_groups *groups, const struct findings *findings,
                    enum severity lowest)
{
    struct member *members = big_alloc((findings->cnt + 1ull) * sizeof *members);
    struct big_order *order = big_alloc((findings->cnt + 1ull) * sizeof *order);
    uint32_t cnt = 0;
    memset(groups, 0, sizeof *groups);
    for (uint32_t i = 0, n; members && order && i < findings->cnt; i += n) {
        const struct finding *first = &findings->all[i];
        for (n = 1; i + n < findings->cnt && findings->all[i + n].about == first->about;)
            n++;
        if (first->severity < lowest)
            continue;
        members[cnt] = (struct member){.first = first, .cnt = n};
        order[cnt] = (struct big_order){make_key(&members[cnt], findings->list), cnt};
        cnt++;
    }
    if (members && order && big_sort(order, cnt))
        groups->all = calloc(groups_cnt(order, cnt) + 1ull, sizeof *groups->all);
    if (groups->all) {
        make_groups(groups, members, order, cnt);
        tell_groups(groups, findings);
    }
    free(members);
    free(order);
    return groups->all != NULL;
}

void finding_groups_free(struct finding_groups *groups)
{
    for (uint32_t i = 0; i < groups->cnt; i++) {
        text_free(&groups->all[i].flood.sentence);
        text_free(&groups->all[i].flood.evidence);
        text_free(&groups->all[i].flood.remedy);
    }
    free(groups->all);
    memset(groups, 0, sizeof *groups);
}

/* ---- two moments ---- */

static int compare_counts(const void *a, const void *b)
{
    const struct group_count *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

bool group_moment_take(struct group_moment *moment, const struct finding_groups *groups,
                       uint64_t at_us)
{
    *moment = (struct group_moment){.at_us = at_us};
    moment->all = malloc((groups->cnt + 1ull) * sizeof *moment->all);
    if (!moment->all)
        return false;
    for (uint32_t i = 0; i < groups->cnt; i++)
        moment->all[i] = (struct group_count){groups->all[i].key, groups->all[i].record_cnt};
    moment->cnt = groups->cnt;
    qsort(moment->all, moment->cnt, sizeof *moment->all, compare_counts);
    return true;
}

void group_moment_free(struct group_moment *moment)
{
    free(moment->all);
    memset(moment, 0, sizeof *moment);
}

static uint32_t moment_count(const struct group_moment *moment, uint64_t key)
{
    struct group_count wanted = {.key = key};
    const struct group_count *found =
        moment->cnt ? bsearch(&wanted, moment->all, moment->cnt, sizeof wanted, compare_counts)
                    : NULL;
    return found ? found->cnt : 0;
}

/* When the process that holds them is out of descriptors, at this rate. */
static void say_room(struct text *out, const struct finding_group *g)
{
    const struct facts *f = g->first->about;
    const struct fact_holder *h = f->holder_cnt ? &f->holders[0] : NULL;
    if (!h || h->fd_limit == 0 || h->fd_cnt == 0 || h->fd_cnt > h->fd_limit)
        return;
    words_process(out, h->pid, h->program);
    text_printf(out, " has %u of %u descriptors in use", h->fd_cnt, h->fd_limit);
    if (g->per_minute > 0) {
        text_add(out, ": at this rate they are used up in ");
        words_duration(out, (h->fd_limit - h->fd_cnt) * MINUTE_US / (uint64_t)g->per_minute);
    }
    text_add(out, "\n");
}

static void make_flood(struct finding_group *g, uint32_t before, uint64_t apart_us)
{
    struct finding *flood = &g->flood;
    bool harmless = g->first->severity < SEVERITY_ATTENTION;
    flood->code = FINDING_FLOOD;
    flood->class = finding_class_of(FINDING_FLOOD);
    flood->severity = harmless ? SEVERITY_ATTENTION : SEVERITY_PROBLEM;
    flood->certain = true;
    flood->about = g->first->about;
    flood->end_how = g->first->end_how;
    flood->told = true;
    text_printf(&flood->sentence, "%u connections have this finding (%s), %u had it ",
                g->record_cnt, g->first->code, before);
    words_ago(&flood->sentence, apart_us);
    text_printf(&flood->sentence, ": %lld more each minute", (long long)g->per_minute);
    say_room(&flood->evidence, g);
    text_add(&flood->remedy, harmless
                                 ? "look at who opens and closes them at such a rate\n"
                                 : "the cause is that of the finding above; repair it first\n");
}

/* A pool that grows is a leak; orphans come and go with the load, until they are very many. */
static bool is_flood(const struct finding_group *g, uint32_t before)
{
    uint32_t least = g->first->severity >= SEVERITY_ATTENTION || g->first->code == FINDING_POOL_IDLE
                         ? FLOOD_LEAST
                         : ORPHAN_LEAST;
    return g->first->severity != SEVERITY_HEALTHY && g->record_cnt >= least &&
           g->record_cnt >= before + FLOOD_MORE && g->record_cnt >= before + before / 50;
}

void finding_groups_grow(struct finding_groups *groups, const struct group_moment *then,
                         uint64_t at_us)
{
    uint64_t apart_us = at_us > then->at_us ? at_us - then->at_us : 0;
    for (uint32_t i = 0; apart_us > 0 && i < groups->cnt; i++) {
        struct finding_group *g = &groups->all[i];
        uint32_t before = moment_count(then, g->key);
        int64_t more = (int64_t)g->record_cnt - before;
        g->per_minute = (int64_t)((double)more * (double)MINUTE_US / (double)apart_us);
        if (is_flood(g, before) && !g->flood.code)
            make_flood(g, before, apart_us);
    }
}
