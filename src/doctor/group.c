/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings of many records to groups of records. */
#include "doctor/group.h"

#include <stdlib.h>
#include <string.h>

#define HOLDER_KIND_MAX 16
#define MINUTE_US       60000000u

/* One record: its findings and what makes it like others. */
struct member {
    const struct finding *first;
    uint32_t cnt, order;
    struct text key;
    uint64_t hash;
};

/* The service: our port if we were called, else theirs; if nobody knows, the lower one. */
static unsigned service_port(const struct facts *f)
{
    unsigned local = f->tuple.local_port, remote = f->tuple.remote_port;
    if (f->passive == FACT_MAYBE)
        return remote && remote < local ? remote : local;
    return f->passive == FACT_NO ? remote : local;
}

/* Each kind of holder once: of a forking server every later child inherits what leaks, too. */
static void add_holders(struct text *key, const struct facts *f)
{
    const struct fact_holder *seen[HOLDER_KIND_MAX];
    unsigned seen_cnt = 0;
    for (uint32_t i = 0; i < f->holder_cnt && seen_cnt < HOLDER_KIND_MAX; i++) {
        const struct fact_holder *h = &f->holders[i];
        unsigned at = 0;
        while (at < seen_cnt &&
               (seen[at]->kind != h->kind || strcmp(seen[at]->program, h->program) != 0))
            at++;
        if (at < seen_cnt)
            continue;
        seen[seen_cnt++] = h;
        text_printf(key, "%s %d\n", h->program, h->kind);
    }
}

/* FNV-1a: only to know a group again. */
static uint64_t key_hash(const char *key)
{
    uint64_t hash = 14695981039346656037u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return hash;
}

static void make_key(struct member *m)
{
    const struct facts *f = m->first->about;
    text_printf(&m->key, "%s\n%d\n", f->stack, f->state);
    for (uint32_t i = 0; i < m->cnt; i++)
        text_printf(&m->key, "%s %d %d\n", m->first[i].code, m->first[i].severity,
                    m->first[i].certain);
    text_printf(&m->key, "%u\n", service_port(f));
    add_holders(&m->key, f);
    m->hash = key_hash(text_string(&m->key));
    /* Numbers of places are those of one look, so they stay out of the hash. */
    text_printf(&m->key, "%u %u\n", f->born_at, f->eof_read_at);
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
    /* "At least 5 s" may be an hour. */
    if (f->state_us < MINUTE_US)
        g->minute_cnt++;
    if (f->state_us < MINUTE_US && f->at_least == FACT_YES)
        g->minute_known = false;
}

static int compare_keys(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = strcmp(text_string(&x->key), text_string(&y->key));
    return c ? c : (x->order < y->order ? -1 : 1);
}

static int compare_groups(const void *a, const void *b)
{
    const struct finding *x = ((const struct finding_group *)a)->first;
    const struct finding *y = ((const struct finding_group *)b)->first;
    return x < y ? -1 : x > y;
}

/* Runs of equal keys in `members` become groups. */
static void make_groups(struct finding_groups *groups, struct member *members, uint32_t cnt)
{
    struct finding_group *g = NULL;
    for (uint32_t i = 0; i < cnt; i++) {
        struct member *m = &members[i];
        if (i == 0 || strcmp(text_string(&m->key), text_string(&m[-1].key)) != 0) {
            g = &groups->all[groups->cnt++];
            *g = (struct finding_group){.first = m->first,
                                        .finding_cnt = m->cnt,
                                        .key = m->hash,
                                        .oldest_us = FACT_UNKNOWN,
                                        .minute_known = true};
        }
        group_add(g, m->first->about);
    }
    qsort(groups->all, groups->cnt, sizeof *groups->all, compare_groups);
}

bool findings_group(struct finding_groups *groups, const struct findings *findings,
                    enum severity lowest)
{
    struct member *members = calloc(findings->cnt + 1u, sizeof *members);
    uint32_t cnt = 0;
    bool good = members != NULL;
    memset(groups, 0, sizeof *groups);
    for (uint32_t i = 0; good && i < findings->cnt;) {
        const struct finding *first = &findings->all[i];
        uint32_t n = 0;
        while (i + n < findings->cnt && findings->all[i + n].about == first->about)
            n++;
        i += n;
        if (first->severity < lowest)
            continue;
        members[cnt] = (struct member){.first = first, .cnt = n, .order = cnt};
        make_key(&members[cnt]);
        good = !members[cnt++].key.failed;
    }
    if (good)
        groups->all = calloc(cnt + 1u, sizeof *groups->all);
    good = good && groups->all;
    if (good) {
        qsort(members, cnt, sizeof *members, compare_keys);
        make_groups(groups, members, cnt);
    }
    for (uint32_t i = 0; i < cnt; i++)
        text_free(&members[i].key);
    free(members);
    return good;
}

void finding_groups_free(struct finding_groups *groups)
{
    free(groups->all);
    memset(groups, 0, sizeof *groups);
}
