/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guard remembers from look to look: two looks before an act, limits, who was acted on. */
#include <stdlib.h>
#include <string.h>

#include "doctor/policy.h"

/* One connection that fitted a rule that ends. */
struct memory {
    uint64_t id;
    char stack[32];
    const char *code;  /* of finding.def: lives for ever */
    uint64_t acted_us; /* FACT_NEVER: not yet */
};

/* Tokens of one limit: they come back evenly over its period. */
struct purse {
    double tokens;
    uint64_t filled_us;
    bool open;
};

struct policy_guard {
    uint32_t own_pid;
    struct memory *last; /* of the last look, in order */
    uint32_t last_cnt;
    struct purse total, rules[POLICY_RULE_MAX];
};

struct policy_guard *policy_guard_open(uint32_t own_pid)
{
    struct policy_guard *guard = calloc(1, sizeof *guard);
    if (guard)
        guard->own_pid = own_pid;
    return guard;
}

void policy_guard_close(struct policy_guard *guard)
{
    if (guard)
        free(guard->last);
    free(guard);
}

void policy_guard_reload(struct policy_guard *guard)
{
    memset(guard->rules, 0, sizeof guard->rules);
}

/* ---- limits ---- */

static void purse_fill(struct purse *purse, const struct policy_limit *limit, uint64_t now_us)
{
    if (!purse->open) {
        *purse = (struct purse){limit->cnt, now_us, true};
        return;
    }
    double gone = now_us > purse->filled_us ? (double)(now_us - purse->filled_us) : 0;
    purse->tokens += gone * limit->cnt / (double)limit->period_us;
    if (purse->tokens > limit->cnt)
        purse->tokens = limit->cnt;
    purse->filled_us = now_us;
}

static bool spend(struct policy_guard *guard, const struct policy *policy,
                  const struct policy_rule *rule, uint64_t now_us)
{
    struct purse *own = &guard->rules[rule - policy->rules];
    purse_fill(own, &rule->limit, now_us);
    purse_fill(&guard->total, &policy->total, now_us);
    if (own->tokens < 1 || guard->total.tokens < 1)
        return false;
    own->tokens -= 1;
    guard->total.tokens -= 1;
    return true;
}

/* ---- memory ---- */

static int compare_memory(const void *a, const void *b)
{
    const struct memory *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return strncmp(x->stack, y->stack, sizeof x->stack);
}

static const struct memory *remembered(const struct policy_guard *guard, const struct memory *key)
{
    return guard->last ? bsearch(key, guard->last, guard->last_cnt, sizeof *key, compare_memory)
                       : NULL;
}

/* ---- one look ---- */

struct looking {
    struct policy_look *look;
    struct policy_guard *guard;
    const struct policy *policy;
    const struct rules_options *options;
    uint64_t now_us;
    struct memory *now; /* room for `cap` */
    uint32_t now_cnt, cap;
};

static bool is_own(const struct policy_guard *guard, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].pid == guard->own_pid)
            return true;
    return false;
}

/* True if it is to be ended now; `m` becomes what is remembered of it. */
static bool decide(struct looking *l, const struct policy_rule *rule, struct memory *m)
{
    const struct memory *before = remembered(l->guard, m);
    m->acted_us = before ? before->acted_us : FACT_NEVER;
    if (m->acted_us != FACT_NEVER && l->now_us - m->acted_us < POLICY_RETRY_US) {
        l->look->waiting_cnt++;
    } else if (!before || strcmp(before->code, m->code) != 0) {
        l->look->first_cnt++;
    } else if (!spend(l->guard, l->policy, rule, l->now_us)) {
        l->look->held_cnt++;
    } else {
        m->acted_us = l->now_us;
        return true;
    }
    return false;
}

static void look_at(struct looking *l, const struct finding *first, uint32_t cnt)
{
    const struct facts *f = first->about;
    const char *code = NULL;
    const struct policy_rule *rule =
        policy_rule_for(l->policy, f, first, cnt, l->options, &code);
    if (!rule || is_own(l->guard, f))
        return;
    if (rule->keep) {
        l->look->kept_cnt++;
        return;
    }
    if (l->now_cnt == l->cap) {
        l->look->failed = true;
        return;
    }
    struct memory *m = &l->now[l->now_cnt++];
    *m = (struct memory){.id = f->id, .code = code};
    memcpy(m->stack, f->stack, sizeof m->stack);
    if (decide(l, rule, m))
        l->look->choices[l->look->choice_cnt++] = (struct policy_choice){f, rule, code};
}

/* Records that fit; bounded, whatever the number of connections. */
static uint32_t count_records(const struct findings *findings)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < findings->cnt && cnt < POLICY_MEMORY_MAX; i++)
        cnt += i == 0 || findings->all[i].about != findings->all[i - 1].about;
    return cnt;
}

void policy_look(struct policy_look *look, struct policy_guard *guard, const struct policy *policy,
                 const struct findings *findings, const struct rules_options *options,
                 uint64_t now_us)
{
    struct looking l = {look, guard, policy, options, now_us, NULL, 0, count_records(findings)};
    memset(look, 0, sizeof *look);
    l.now = calloc(l.cap + 1u, sizeof *l.now);
    look->choices = calloc(l.cap + 1u, sizeof *look->choices);
    if (!l.now || !look->choices) {
        free(l.now);
        look->failed = true; /* what the last look saw is kept: nothing is done without two */
        return;
    }
    for (uint32_t i = 0; i < findings->cnt;) {
        uint32_t cnt = 1;
        while (i + cnt < findings->cnt && findings->all[i + cnt].about == findings->all[i].about)
            cnt++;
        look_at(&l, &findings->all[i], cnt);
        i += cnt;
    }
    qsort(l.now, l.now_cnt, sizeof *l.now, compare_memory);
    free(guard->last);
    guard->last = l.now;
    guard->last_cnt = l.now_cnt;
}

void policy_look_free(struct policy_look *look)
{
    free(look->choices);
    memset(look, 0, sizeof *look);
}
