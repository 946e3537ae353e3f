/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups of records with the same findings: what makes them alike, how they grow, what they cost.
 */
#include "doctor/group.h"
#include "test.h"

#define S UINT64_C(1000000)

/* One connection whose end was read `age_s` ago and that nobody closed. */
static struct facts *add_leak(struct facts_list *list, uint64_t id, uint64_t age_s)
{
    struct facts *f = facts_list_add(list);
    REQUIRE(f);
    f->id = id;
    f->references = 1;
    f->passive = FACT_YES;
    f->tuple.local_port = 80;
    f->tuple.remote_port = (uint16_t)id;
    f->state = LASTACK_CLOSE_WAIT;
    f->receive_queue = 0;
    f->fin_in_us = f->state_us = f->eof_read_us = age_s * S;
    struct fact_holder *h = facts_holder_add(list, f);
    REQUIRE(h);
    h->pid = (uint32_t)id;
    h->fd = 3;
    snprintf(h->program, sizeof h->program, "leaky");
    return f;
}

struct scene {
    struct facts_list list;
    struct findings findings;
    struct finding_groups groups;
};

static void scene_begin(struct scene *s)
{
    facts_list_init(&s->list);
    findings_init(&s->findings);
    s->groups = (struct finding_groups){0};
}

static void scene_judge(struct scene *s, enum severity lowest)
{
    const struct rules_options options = {.grace_us = rules_defaults.grace_us,
                                          .moving_us = rules_defaults.moving_us,
                                          .no_words = true};
    facts_list_relate(&s->list);
    diagnose(&s->findings, &s->list, &options);
    REQUIRE(findings_group(&s->groups, &s->findings, lowest));
}

static void scene_end(struct scene *s)
{
    finding_groups_free(&s->groups);
    findings_free(&s->findings);
    facts_list_free(&s->list);
}

/* A thousand connections that leak in the same way are one group, worst first. */
TEST(same_leaks_are_one_group)
{
    struct scene s;
    scene_begin(&s);
    for (uint64_t id = 1; id <= 1001; id++) {
        struct facts *f = add_leak(&s.list, id, id + 5);
        if (id != 500)
            continue;
        f->state = LASTACK_FIN_WAIT_2;
        f->fin_out_us = f->state_us;
    }
    scene_judge(&s, SEVERITY_ATTENTION);
    CHECK_EQ(s.groups.cnt, 2);
    REQUIRE(s.groups.cnt == 2);
    const struct finding_group *g = &s.groups.all[0];
    CHECK_STR(g->first->code, "end-seen");
    CHECK_EQ(g->record_cnt, 1000);
    CHECK_EQ(g->first->about->id, 1001); /* the oldest */
    CHECK_EQ(g->members[0]->id, 1001);
    CHECK_EQ(g->oldest_us, 1006 * S);
    CHECK_EQ(g->youngest_us, 6 * S);
    CHECK_EQ(g->per_minute, GROUP_GROWTH_UNKNOWN);
    CHECK(g->first->told && g->first->sentence.len > 0);
    CHECK(!g->flood.code);
    CHECK_STR(s.groups.all[1].first->code, "fin-wait-held");
    CHECK_EQ(s.groups.all[1].record_cnt, 1);
    scene_end(&s);
}

/* What sets leaks apart: place of birth, service, program. What does not: how many hold it, what
 * they do at this moment. */
TEST(what_makes_a_group)
{
    struct scene s;
    scene_begin(&s);
    struct fact_site here = {.function = "serve", .file = "a.c", .line = 10};
    struct fact_site there = {.function = "serve", .file = "a.c", .line = 11};
    fact_site_id a = facts_site_add(&s.list, &here), b = facts_site_add(&s.list, &there);
    for (uint64_t id = 1; id <= 8; id++)
        add_leak(&s.list, id, 100)->born_at = a;
    s.list.all[1].born_at = b;
    s.list.all[2].tuple.local_port = 443;
    snprintf(s.list.all[3].holders[0].program, FACT_PROGRAM_LEN, "other");
    s.list.all[4].holders[0].doing = FACT_DOING_SLEEP;
    s.list.all[5].holders[0].doing = FACT_DOING_LOCK;
    scene_judge(&s, SEVERITY_ATTENTION);
    CHECK_EQ(s.groups.cnt, 4);
    uint32_t largest = 0;
    for (uint32_t i = 0; i < s.groups.cnt; i++)
        largest = s.groups.all[i].record_cnt > largest ? s.groups.all[i].record_cnt : largest;
    CHECK_EQ(largest, 5);
    scene_end(&s);
}

/* Two moments: 20 leaks, and 50 half a minute later. */
TEST(growth_is_a_flood)
{
    struct scene first, second;
    struct group_moment then;
    scene_begin(&first);
    for (uint64_t id = 1; id <= 20; id++)
        add_leak(&first.list, id, 100);
    scene_judge(&first, SEVERITY_ATTENTION);
    REQUIRE(group_moment_take(&then, &first.groups, 1000 * S));
    scene_end(&first);
    scene_begin(&second);
    for (uint64_t id = 1; id <= 50; id++)
        add_leak(&second.list, id, 130);
    second.list.all[0].state_us = 131 * S; /* the oldest is the example */
    second.list.all[0].holders[0].fd_cnt = 904;
    second.list.all[0].holders[0].fd_limit = 1024;
    scene_judge(&second, SEVERITY_ATTENTION);
    finding_groups_grow(&second.groups, &then, 1030 * S);
    REQUIRE(second.groups.cnt == 1);
    const struct finding_group *g = &second.groups.all[0];
    CHECK_EQ(g->per_minute, 60);
    REQUIRE(g->flood.code);
    CHECK_STR(g->flood.code, "flood");
    CHECK(g->flood.certain && g->flood.severity == SEVERITY_PROBLEM);
    CHECK(strstr(text_string(&g->flood.sentence), "50 connections have this finding (end-seen)"));
    CHECK(strstr(text_string(&g->flood.sentence), "20 had it 30 s ago: 60 more each minute"));
    CHECK(strstr(text_string(&g->flood.evidence), "904 of 1024 descriptors"));
    CHECK(strstr(text_string(&g->flood.evidence), "used up in 120 s") ||
          strstr(text_string(&g->flood.evidence), "used up in 2 min"));
    scene_end(&second);
    group_moment_free(&then);
}

/* The same number, or a few more, is no flood; nor is a first moment without a second. */
TEST(no_flood_without_growth)
{
    struct scene s;
    struct group_moment then;
    scene_begin(&s);
    for (uint64_t id = 1; id <= 50; id++)
        add_leak(&s.list, id, 100);
    scene_judge(&s, SEVERITY_ATTENTION);
    REQUIRE(group_moment_take(&then, &s.groups, 1000 * S));
    finding_groups_grow(&s.groups, &then, 1030 * S);
    CHECK_EQ(s.groups.all[0].per_minute, 0);
    CHECK(!s.groups.all[0].flood.code);
    then.all[0].cnt = 47;
    finding_groups_grow(&s.groups, &then, 1060 * S);
    CHECK_EQ(s.groups.all[0].per_minute, 3);
    CHECK(!s.groups.all[0].flood.code);
    finding_groups_grow(&s.groups, &then, 1000 * S); /* no time between them */
    CHECK(!s.groups.all[0].flood.code);
    scene_end(&s);
    group_moment_free(&then);
}

/* A pool that is stable is a note; a pool that grows is a leak. */
TEST(a_pool_that_grows)
{
    struct scene s;
    struct group_moment then = {.at_us = 0};
    scene_begin(&s);
    for (uint64_t id = 1; id <= 40; id++) {
        struct facts *f = add_leak(&s.list, id, 100);
        f->passive = FACT_NO;
        f->tuple.local_port = (uint16_t)(40000 + id);
        f->tuple.remote_port = 443;
        f->eof_read_us = FACT_NEVER;
        f->fin_consumed = FACT_NO;
        f->receive_queue = 0;
        f->bytes_in = f->bytes_out = 300;
        f->watchers_known = FACT_YES;
    }
    scene_judge(&s, SEVERITY_NOTE);
    REQUIRE(s.groups.cnt == 1);
    CHECK_STR(s.groups.all[0].first->code, "pool-idle");
    CHECK_EQ(s.groups.all[0].first->severity, SEVERITY_NOTE);
    finding_groups_grow(&s.groups, &then, 60 * S);
    REQUIRE(s.groups.all[0].flood.code);
    CHECK_EQ(s.groups.all[0].flood.severity, SEVERITY_ATTENTION);
    scene_end(&s);
}

/* Words that come later are those that come at once. */
TEST(words_may_wait)
{
    struct scene s;
    struct findings aloud;
    scene_begin(&s);
    findings_init(&aloud);
    for (uint64_t id = 1; id <= 3; id++)
        add_leak(&s.list, id, 100);
    s.list.all[1].holders[0].doing = FACT_DOING_STOPPED;
    scene_judge(&s, SEVERITY_HEALTHY);
    diagnose(&aloud, &s.list, NULL);
    CHECK_EQ(aloud.cnt, s.findings.cnt);
    for (uint32_t i = 0; i < aloud.cnt && i < s.findings.cnt; i++) {
        finding_tell(&s.findings, &s.findings.all[i]);
        CHECK(aloud.all[i].sentence.len > 0);
        CHECK_STR(aloud.all[i].code, s.findings.all[i].code);
        CHECK_STR(text_string(&aloud.all[i].sentence), text_string(&s.findings.all[i].sentence));
        CHECK_STR(text_string(&aloud.all[i].evidence), text_string(&s.findings.all[i].evidence));
        CHECK_STR(text_string(&aloud.all[i].remedy), text_string(&s.findings.all[i].remedy));
    }
    findings_free(&aloud);
    scene_end(&s);
}

TEST(places_of_which_only_the_module_is_known)
{
    struct facts_list list;
    facts_list_init(&list);
    struct fact_site born = {.module = "python3.11", .stack = strdup("accept4 (libc.so.6)\n")};
    struct fact_site read = {.module = "python3.11", .stack = strdup("recv (libc.so.6)\n")};
    struct fact_site again = {.module = "python3.11", .stack = strdup("recv (libc.so.6)\n")};
    struct fact_site named = {.module = "web", .function = "serve", .line = 7};
    struct fact_site other_way = {.module = "web", .function = "serve", .line = 7,
                                  .stack = strdup("read (libc.so.6)\n")};
    fact_site_id a = facts_site_add(&list, &born), b = facts_site_add(&list, &read);
    CHECK(a != b);
    CHECK_EQ(facts_site_add(&list, &again), b);
    fact_site_id c = facts_site_add(&list, &named);
    CHECK_EQ(facts_site_add(&list, &other_way), c);
    facts_list_free(&list);
}

TEST_MAIN()
