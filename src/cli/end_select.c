/* SPDX-License-Identifier: BSD-2-Clause */
/* Which connections are to be ended: by name, or by filters. */
#include <stdlib.h>
#include <string.h>

#include "cli/end.h"

void end_item_init(struct end_item *item, const struct facts *f, int how, int max)
{
    *item = (struct end_item){.facts = f, .last = f->state};
    item->refused = ladder_refusal(f, how, max);
    ladder_make(&item->ladder, f, how, max);
    text_init(&item->path);
    text_init(&item->why);
}

void end_items_free(struct end_items *items)
{
    for (uint32_t i = 0; i < items->cnt; i++) {
        text_free(&items->all[i].path);
        text_free(&items->all[i].why);
    }
    free(items->all);
    memset(items, 0, sizeof *items);
}

/* ---- findings of a record ---- */

/* The first finding of each record, by its place in the list; NULL: none. */
static const struct finding **index_findings(const struct catch *catch,
                                             const struct findings *findings)
{
    const struct finding **first = calloc(catch->list.cnt + 1u, sizeof *first);
    for (uint32_t i = findings->cnt; first && i-- > 0;)
        first[findings->all[i].about - catch->list.all] = &findings->all[i];
    return first;
}

/* Half-closed, and the look has found nothing against it: its program may be about to act. */
static bool is_spotless(const struct facts *f, const struct finding *first)
{
    return !first && rules_half_closed(f);
}

static bool is_healthy(const struct facts *f, const struct finding *first)
{
    return (first && (first->severity == SEVERITY_HEALTHY || first->may_work)) ||
           is_spotless(f, first) || rules_half_close_works(f, &rules_defaults);
}

static const char *healthy_words(const struct facts *f, const struct finding *first)
{
    if (rules_half_close_works(f, &rules_defaults))
        return "is half-closed on purpose and data still moves; --force ends it all the same";
    if (is_spotless(f, first))
        return "is half-closed and nothing speaks against it yet: look again in some seconds; --force "
               "ends it all the same";
    if (first && first->may_work)
        return "may still be worked on: the last sign of that is less than a minute "
               "old; --force ends it all the same";
    return "is healthy as it is (lastack why says more); --force ends it all the same";
}

/* The finding that a filter speaks of, among those of one record. */
static const struct finding *wanted_finding(const struct end_options *o,
                                            const struct findings *findings,
                                            const struct finding *first)
{
    if (!first)
        return NULL;
    const struct finding *end = findings->all + findings->cnt;
    for (const struct finding *at = first; at < end && at->about == first->about; at++)
        if (filter_wants_finding(&o->filter, at))
            return at;
    return NULL;
}

/* ---- by filters ---- */

/* With neither a finding nor a state nor force only what needs attention is meant: never all of the
 * healthy connections of a port. */
static bool wants(const struct end_options *o, const struct findings *findings,
                  const struct facts *f, const struct finding *first, const struct finding **fits)
{
    uint64_t rest_us = facts_rest_us(f);
    bool old = fact_known(rest_us) && rest_us >= o->older_us;
    *fits = first;
    if (ladder_refusal(f, LASTACK_END_RST, LASTACK_END_RST) || !filter_wants(&o->filter, f) ||
        (o->older_us && !old))
        return false;
    if (o->filter.finding)
        return (*fits = wanted_finding(o, findings, first)) != NULL;
    return o->filter.states || o->force || (first && first->severity >= SEVERITY_ATTENTION);
}

static int compare_age(const void *a, const void *b)
{
    const struct end_item *x = a, *y = b;
    uint64_t p = fact_known(x->facts->state_us) ? x->facts->state_us : 0;
    uint64_t q = fact_known(y->facts->state_us) ? y->facts->state_us : 0;
    if (p != q)
        return p > q ? -1 : 1;
    return x->facts->id < y->facts->id ? -1 : x->facts->id > y->facts->id;
}

static void select_by_filters(struct end_items *items, const struct end_options *o,
                              const struct catch *catch, const struct findings *findings,
                              const struct finding **first)
{
    for (uint32_t i = 0; i < catch->list.cnt; i++) {
        const struct facts *f = &catch->list.all[i];
        const struct finding *fits;
        if (!wants(o, findings, f, first[i], &fits))
            continue;
        if (!o->force && is_healthy(f, first[i])) {
            items->healthy_cnt++;
            continue;
        }
        struct end_item *item = &items->all[items->cnt++];
        end_item_init(item, f, o->how, o->max);
        item->finding = first[i];
        item->code = fits ? fits->code : NULL;
    }
    qsort(items->all, items->cnt, sizeof *items->all, compare_age);
    while (o->limit && items->cnt > o->limit) {
        items->cnt--; /* its texts are empty yet */
        items->more_cnt++;
    }
}

/* ---- by name ---- */

static bool is_chosen(const struct end_items *items, const struct facts *f)
{
    for (uint32_t i = 0; i < items->cnt; i++)
        if (items->all[i].facts == f)
            return true;
    return false;
}

static int select_by_name(struct end_items *items, const struct end_options *o,
                          const char *command, const struct catch *catch,
                          const struct finding **first)
{
    int status = EXIT_DONE;
    for (int i = 0; i < o->target_cnt; i++) {
        const struct facts *f = catch_find(catch, command, o->targets[i]);
        if (!f) {
            status = EXIT_NOT_DONE;
            continue;
        }
        if (is_chosen(items, f))
            continue;
        struct end_item *item = &items->all[items->cnt++];
        end_item_init(item, f, o->how, o->max);
        item->finding = first[f - catch->list.all];
        item->code = item->finding ? item->finding->code : NULL;
        if (!item->refused && !o->force && is_healthy(f, item->finding))
            item->refused = healthy_words(f, item->finding);
    }
    return status;
}

int end_select(struct end_items *items, const struct end_options *o, const char *command,
               const struct catch *catch, const struct findings *findings)
{
    int status = EXIT_DONE;
    const struct finding **first = index_findings(catch, findings);
    memset(items, 0, sizeof *items);
    items->all = calloc((o->target_cnt ? (size_t)o->target_cnt : catch->list.cnt) + 1,
                        sizeof *items->all);
    if (!first || !items->all) {
        complain(command, "no memory for %u connections", catch->list.cnt);
        status = EXIT_USAGE;
    } else if (o->target_cnt) {
        status = select_by_name(items, o, command, catch, first);
    } else {
        select_by_filters(items, o, catch, findings, first);
    }
    free(first);
    return status;
}
