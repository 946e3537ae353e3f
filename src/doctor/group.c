/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings of many records to groups of records. */
#include "doctor/group.h"

#include <stdlib.h>
#include <string.h>

/* One record: its findings and what makes it like others. */
struct member {
    const struct finding *first;
    uint32_t cnt, order;
    struct text key;
};

static void make_key(struct member *m)
{
    const struct facts *f = m->first->about;
    text_printf(&m->key, "%s\n%d\n", f->stack, f->state);
    for (uint32_t i = 0; i < m->cnt; i++)
        text_printf(&m->key, "%s %d %d\n", m->first[i].code, m->first[i].severity,
                    m->first[i].certain);
    /* The service: our port if we were called, else theirs. */
    text_printf(&m->key, "%u\n",
                f->passive == FACT_NO ? f->tuple.remote_port : f->tuple.local_port);
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        text_printf(&m->key, "%s %d %d\n", f->holders[i].program, f->holders[i].kind,
                    f->holders[i].doing);
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
            *g = (struct finding_group){.first = m->first, .finding_cnt = m->cnt};
        }
        if (g->record_cnt < GROUP_ID_MAX)
            g->members[g->record_cnt] = m->first->about;
        g->record_cnt++;
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
