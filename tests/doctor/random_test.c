/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of facts made of nothing but chance: no rule may crash, none may be certain of what rests
 * on a fact that is unknown, words may wait, and every record survives its way through JSON. */
#include "doctor/group.h"
#include "doctor/story.h"
#include "test.h"

#define ROUNDS     400
#define RECORD_CNT 50

static uint64_t seed = 88172645463325252u;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(random_u64() >> 20) % limit;
}

static uint64_t any_age(void)
{
    static const uint64_t ages[] = {FACT_UNKNOWN, FACT_NEVER, 0,        1000,
                                    500000,       2000000,    60000000, 3600000000u};
    return ages[below(8)];
}

static uint64_t any_number(void)
{
    static const uint64_t numbers[] = {FACT_UNKNOWN, 0, 0, 1, 2, 5, 100, 65535};
    return numbers[below(8)];
}

static fact_bool any_bool(void)
{
    return (fact_bool)((int)below(3) - 1);
}

static void any_name(char *name, size_t len)
{
    static const char *const names[] = {"", "server", "sleep", "a\x1b[2Jb", "\xff\xfe", "\"\\"};
    snprintf(name, len, "%s", names[below(6)]);
}

static fact_site_id any_site(struct facts_list *list)
{
    struct fact_site site = {.line = below(4)};
    if (below(2))
        return 0;
    any_name(site.function, sizeof site.function);
    any_name(site.file, sizeof site.file);
    any_name(site.module, sizeof site.module);
    if (!site.function[0] && !site.file[0] && !site.module[0] && !site.line)
        return 0; /* a place of which nothing is known is none */
    if (below(3) == 0)
        site.stack = strdup("main a.c:1\nserve b.c:2");
    return facts_site_add(list, &site);
}

static struct fact_call any_call(struct facts_list *list)
{
    struct fact_call call = {.kind = (enum fact_call_kind)(1 + below(FACT_CALL_KIND_CNT - 1)),
                             .age_us = any_age(),
                             .pid = below(4),
                             .fd = (int32_t)below(5) - 1,
                             .left = any_number(),
                             .at = any_site(list)};
    any_name(call.program, sizeof call.program);
    return call;
}

static void add_holder(struct facts_list *list, struct facts *f)
{
    struct fact_holder *h = facts_holder_add(list, f);
    REQUIRE(h);
    h->kind =
        below(2) ? FACT_HOLDER_DESCRIPTOR : (enum fact_holder_kind)below(FACT_HOLDER_KIND_CNT);
    h->pid = below(4);
    h->fd = (int32_t)below(5) - 1;
    any_name(h->program, sizeof h->program);
    h->origin = (enum fact_origin)below(FACT_ORIGIN_CNT);
    h->since_us = any_age();
    h->close_on_exec = any_bool();
    h->doing = (enum fact_doing)below(FACT_DOING_CNT);
    h->doing_id = below(2) ? f->id : any_number();
    any_name(h->doing_text, sizeof h->doing_text);
    h->threads = below(3);
    h->watching = any_bool();
    h->tid = below(3);
    h->fd_cnt = below(3);
    h->fd_limit = below(3);
    h->cpu_percent = below(2) ? FACT_NO_CPU : below(120);
    h->process_us = any_age();
    h->doing_at = any_site(list);
    any_name(h->where, sizeof h->where);
}

static void add_watch(struct facts_list *list, struct facts *f)
{
    static const uint32_t events[] = {0, 1, 4, 0x19, 0x2000, 0x40000000, 0x80002001};
    struct fact_watch *w = facts_watch_add(list, f);
    REQUIRE(w);
    w->kind = below(2) ? FACT_WATCH_EPOLL : (enum fact_watch_kind)below(FACT_WATCH_KIND_CNT);
    w->pid = below(4);
    w->tid = below(3);
    w->fd = (int32_t)below(5) - 1;
    w->target_fd = (int32_t)below(5) - 1;
    w->events = events[below(7)];
    w->edge = any_bool();
    w->spent = any_bool();
    w->waited = any_bool();
    w->doing = (enum fact_doing)below(FACT_DOING_CNT);
    any_name(w->doing_text, sizeof w->doing_text);
    w->data = any_number();
    w->doing_at = any_site(list);
    any_name(w->object, sizeof w->object);
}

static void any_state(struct facts *f)
{
    f->state = below(2) ? LASTACK_CLOSE_WAIT : (enum lastack_state)below(LASTACK_STATE_CNT);
    f->passive = any_bool();
    f->unaccepted = below(4) ? FACT_NO : any_bool();
    f->orphan = below(4) ? FACT_NO : any_bool();
    f->references = any_number();
    f->holders_known = any_bool();
    f->watchers_known = any_bool();
    f->creator_pid = below(4);
    any_name(f->creator_program, sizeof f->creator_program);
    f->creator_alive = any_bool();
    f->creator_holds = any_bool();
    f->shut_rd = any_bool();
    f->shut_wr = any_bool();
    f->fin_acked = any_bool();
    f->fin_consumed = any_bool();
    f->moved = below(3) ? FACT_NO : any_bool();
    f->at_least = any_bool();
    f->close_all = any_bool();
    f->keepalive = any_bool();
    f->timer = (enum lastack_timer)below(LASTACK_TIMER_LINGER + 1);
}

static void any_numbers(struct facts_list *list, struct facts *f)
{
    uint64_t *const ages[] = {&f->fin_in_us,   &f->fin_out_us, &f->eof_read_us,
                              &f->born_us,     &f->state_us,   &f->data_in_us,
                              &f->data_out_us, &f->timer_us,   &f->user_timeout_us};
    uint64_t *const numbers[] = {&f->receive_queue,  &f->send_queue,  &f->send_unsent,
                                 &f->receive_window, &f->send_window, &f->overflows,
                                 &f->bytes_in,       &f->bytes_out,   &f->retransmits,
                                 &f->probes,         &f->sibling_cnt, &f->sibling_closed_cnt,
                                 &f->alike_cnt};
    for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++)
        *ages[i] = any_age();
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        *numbers[i] = any_number();
    f->error = (int)below(3) * 50 - 1;
    f->last_error = (int)below(3) * 50 - 1;
    f->born_at = any_site(list);
    f->eof_read_at = any_site(list);
    f->sibling_close_at = any_site(list);
}

static void add_record(struct facts_list *list, uint32_t place)
{
    struct facts *f = facts_list_add(list);
    REQUIRE(f);
    f->source = (enum fact_source)below(FACT_SOURCE_CNT);
    f->id = below(8) ? place + 1 : 0;
    f->socket_id = below(2) ? place + 100 : 0;
    snprintf(f->stack, sizeof f->stack, "%s", below(2) ? "kernel" : below(2) ? "kernel@x" : "web");
    if (below(3) == 0) { /* IPv6: anything but what stands for IPv4 */
        f->tuple.local.bytes[0] = 0x20;
        f->tuple.local.bytes[15] = (uint8_t)below(4);
        f->tuple.remote = (struct lastack_address){{[15] = 1}};
    }
    f->tuple.local_port = (uint16_t)below(4);
    f->tuple.remote_port = (uint16_t)below(4);
    f->inode = below(3);
    f->netns = below(3);
    any_name(f->container, sizeof f->container);
    any_state(f);
    any_numbers(list, f);
    if (below(2))
        f->fin_out_by = any_call(list);
    for (uint32_t i = below(4) ? below(3) : below(12); i > 0; i--) {
        struct fact_call call = any_call(list);
        facts_close_add(f, &call);
    }
    for (uint32_t i = below(4); i > 0; i--)
        add_holder(list, f);
    for (uint32_t i = below(3); i > 0; i--)
        add_watch(list, f);
}

static void fill(struct facts_list *list)
{
    facts_list_init(list);
    for (uint32_t i = 0; i < RECORD_CNT; i++)
        add_record(list, i);
    facts_list_relate(list);
}

TEST(records_survive_json)
{
    for (int round = 0; round < ROUNDS / 4; round++) {
        struct facts_list list, again;
        struct text first, second;
        char why[128] = "";
        fill(&list);
        facts_list_init(&again);
        text_init(&first);
        text_init(&second);
        facts_encode(&first, &list);
        CHECK_EQ(facts_decode(&again, text_string(&first), why, sizeof why), 0);
        CHECK_STR(why, "");
        facts_encode(&second, &again);
        /* Bytes that are no UTF-8 come back as what they were shown as, so the second way tells. */
        facts_list_free(&list);
        facts_list_init(&list);
        CHECK_EQ(facts_decode(&list, text_string(&second), why, sizeof why), 0);
        text_clear(&first);
        facts_encode(&first, &list);
        CHECK(strcmp(text_string(&first), text_string(&second)) == 0);
        CHECK_EQ(list.cnt, RECORD_CNT);
        for (uint32_t i = 0; i < list.cnt && i < again.cnt; i++) {
            CHECK_EQ(list.all[i].watch_cnt, again.all[i].watch_cnt);
            CHECK_EQ(list.all[i].alike_cnt, again.all[i].alike_cnt);
        }
        facts_list_free(&list);
        facts_list_free(&again);
        text_free(&first);
        text_free(&second);
    }
}

/* Every field of every kind comes back: a record with all of them, compared one by one. */
TEST(places_and_watchers_come_back)
{
    struct facts_list list, again;
    struct text json;
    char why[128];
    facts_list_init(&list);
    facts_list_init(&again);
    text_init(&json);
    struct facts *f = facts_list_add(&list);
    REQUIRE(f);
    f->id = 7;
    struct fact_site site = {.function = "conn_read",
                             .file = "server.c",
                             .line = 25,
                             .stack = strdup("conn_read server.c:25\nmain server.c:31")};
    f->eof_read_at = facts_site_add(&list, &site);
    struct fact_watch *w = facts_watch_add(&list, f);
    struct fact_holder *h = facts_holder_add(&list, f);
    REQUIRE(w && h);
    w->kind = FACT_WATCH_EPOLL;
    w->events = 0x40000001;
    w->spent = FACT_YES;
    w->doing_at = f->eof_read_at;
    h->cpu_percent = 97;
    h->fd_limit = 1024;
    facts_encode(&json, &list);
    CHECK_EQ(facts_decode(&again, text_string(&json), why, sizeof why), 0);
    REQUIRE(again.cnt == 1 && again.all[0].watch_cnt == 1 && again.all[0].holder_cnt == 1);
    const struct facts *g = &again.all[0];
    const struct fact_site *place = facts_site(&again, g->eof_read_at);
    REQUIRE(place);
    CHECK_STR(place->function, "conn_read");
    CHECK_STR(place->file, "server.c");
    CHECK_EQ(place->line, 25);
    CHECK_STR(place->stack, "conn_read server.c:25\nmain server.c:31");
    CHECK_EQ(again.site_cnt, 1);
    CHECK_EQ(g->watches[0].events, 0x40000001);
    CHECK_EQ(g->watches[0].spent, FACT_YES);
    CHECK_EQ(g->watches[0].doing_at, g->eof_read_at);
    CHECK_EQ(g->watches[0].edge, FACT_MAYBE);
    CHECK_EQ(g->watches[0].data, FACT_UNKNOWN);
    CHECK_EQ(g->holders[0].cpu_percent, 97);
    CHECK_EQ(g->holders[0].fd_limit, 1024);
    CHECK_EQ(g->relay_id, 0);
    CHECK_EQ(g->keepalive, FACT_MAYBE);
    facts_list_free(&list);
    facts_list_free(&again);
    text_free(&json);
}

/* ---- certain ---- */

/* What a finding rests on: made unknown, the finding may not be certain any more. */
static void forget_eof(struct facts *f)
{
    f->eof_read_us = FACT_UNKNOWN;
}
static void forget_reading(struct facts *f)
{
    f->eof_read_us = FACT_UNKNOWN;
    f->fin_consumed = FACT_MAYBE;
}
static void forget_receive_queue(struct facts *f)
{
    f->receive_queue = FACT_UNKNOWN;
}
static void forget_receive_window(struct facts *f)
{
    f->receive_window = FACT_UNKNOWN;
}
static void forget_send_window(struct facts *f)
{
    f->send_window = FACT_UNKNOWN;
}
static void forget_unaccepted(struct facts *f)
{
    f->unaccepted = FACT_MAYBE;
}
static void forget_creator(struct facts *f)
{
    f->creator_holds = FACT_MAYBE;
    f->close_cnt = 0;
}
static void forget_creator_life(struct facts *f)
{
    f->creator_alive = FACT_MAYBE;
    f->close_cnt = 0;
}
static void forget_closes(struct facts *f)
{
    f->close_cnt = 0;
}
static void forget_holders(struct facts *f)
{
    f->holders_known = FACT_MAYBE;
    f->references = FACT_UNKNOWN;
    f->close_cnt = 0;
}
static void forget_spent(struct facts *f)
{
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        f->watches[i].spent = FACT_MAYBE;
}
static void forget_waited(struct facts *f)
{
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        f->watches[i].waited = FACT_MAYBE;
}
static void forget_watchers(struct facts *f)
{
    f->watchers_known = FACT_MAYBE;
}
static void forget_limit(struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        f->holders[i].fd_limit = 0;
}
static void forget_motion(struct facts *f)
{
    f->data_in_us = f->data_out_us = f->send_queue = FACT_UNKNOWN;
    f->moved = FACT_MAYBE;
}
static void forget_ages(struct facts *f)
{
    f->state_us = f->fin_in_us = f->born_us = f->eof_read_us = f->data_in_us = FACT_UNKNOWN;
    f->data_out_us = f->retransmits = FACT_UNKNOWN; /* so many take their time */
    f->close_cnt = 0;
}
static void forget_keeping(struct facts *f)
{
    f->orphan = FACT_MAYBE;
    f->holder_cnt = 0;
    f->references = FACT_UNKNOWN;
}

static const struct {
    const char *code;
    void (*forget)(struct facts *f);
} rests[] = {
    {FINDING_END_SEEN, forget_eof},
    {FINDING_UNREAD_END, forget_reading},
    {FINDING_UNREAD_DATA, forget_receive_queue},
    {FINDING_WINDOW_SHUT, forget_receive_window},
    {FINDING_WINDOW_SHUT, forget_receive_queue},
    {FINDING_FIN_BLOCKED, forget_send_window},
    {FINDING_ZERO_WINDOW, forget_send_window},
    {FINDING_NEVER_ACCEPTED, forget_unaccepted},
    {FINDING_ACCEPT_WAITS, forget_unaccepted},
    {FINDING_HEIR_HOLDS, forget_creator},
    {FINDING_HEIR_HOLDS, forget_creator_life},
    {FINDING_LAST_CLOSE_MISSING, forget_closes},
    {FINDING_CLOSED_BUT_BUSY, forget_holders},
    {FINDING_HELD_BY_MESSAGE, forget_holders},
    {FINDING_HELD_BY_RING, forget_holders},
    {FINDING_HELD_BY_MAPPING, forget_holders},
    {FINDING_HELD_HIDDEN, forget_holders},
    {FINDING_ONE_SHOT_SPENT, forget_spent},
    {FINDING_LOOP_BUSY, forget_waited},
    {FINDING_EDGE_MISSED, forget_waited},
    {FINDING_NOBODY_WATCHES, forget_watchers},
    {FINDING_NO_DESCRIPTORS, forget_limit},
    {FINDING_QUEUE_FULL, forget_receive_queue},
    {FINDING_HALF_CLOSE, forget_motion},
    {FINDING_FIN_WAIT_HELD, forget_keeping},
    {FINDING_FIN_WAIT_ORPHAN, forget_keeping},
    {FINDING_ORPHAN_CLOSING, forget_keeping},
    {FINDING_UNREAD_END, forget_ages},
    {FINDING_UNREAD_DATA, forget_ages},
    {FINDING_HEIR_HOLDS, forget_ages},
    {FINDING_CLOSED_BUT_BUSY, forget_ages},
    {FINDING_FIN_BLOCKED, forget_ages},
};

static const struct finding *find_certain(const struct findings *findings, const char *code)
{
    for (uint32_t i = 0; i < findings->cnt; i++)
        if (findings->all[i].code == code && findings->all[i].certain)
            return &findings->all[i];
    return NULL;
}

/* A copy that shares what hangs on it but may be changed: holders and watches are copied. */
static void check_rest(const struct facts_list *list, const struct facts *f, size_t rest)
{
    struct fact_holder holders[16];
    struct fact_watch watches[16];
    struct facts copy = *f;
    struct findings findings;
    REQUIRE(f->holder_cnt <= 16 && f->watch_cnt <= 16);
    if (f->holder_cnt)
        memcpy(holders, f->holders, f->holder_cnt * sizeof *holders);
    if (f->watch_cnt)
        memcpy(watches, f->watches, f->watch_cnt * sizeof *watches);
    copy.holders = holders;
    copy.watches = watches;
    rests[rest].forget(&copy);
    findings_init(&findings);
    diagnose_one(&findings, list, &copy, NULL);
    if (find_certain(&findings, rests[rest].code))
        FAIL("%s is certain although what it rests on (%zu) is unknown: %s", rests[rest].code, rest,
             text_string(&find_certain(&findings, rests[rest].code)->sentence));
    findings_free(&findings);
}

TEST(certain_rests_on_what_is_known)
{
    unsigned tried[sizeof rests / sizeof rests[0]] = {0};
    for (int round = 0; round < ROUNDS * 4; round++) {
        struct facts_list list;
        fill(&list);
        for (uint32_t i = 0; i < list.cnt; i++) {
            struct findings findings;
            findings_init(&findings);
            diagnose_one(&findings, &list, &list.all[i], NULL);
            for (size_t r = 0; r < sizeof rests / sizeof rests[0]; r++) {
                if (!find_certain(&findings, rests[r].code))
                    continue;
                tried[r]++;
                check_rest(&list, &list.all[i], r);
            }
            findings_free(&findings);
        }
        facts_list_free(&list);
    }
    for (size_t r = 0; r < sizeof rests / sizeof rests[0]; r++)
        if (tried[r] == 0 && rests[r].code != FINDING_EDGE_MISSED &&
            rests[r].code != FINDING_HELD_HIDDEN)
            FAIL("chance never made a certain %s (%zu)", rests[r].code, r);
}

/* ---- the shape of findings ---- */

static void check_finding(const struct findings *findings, uint32_t place)
{
    const struct finding *f = &findings->all[place];
    CHECK(finding_kind(f->code) != NULL);
    CHECK_STR(f->class, finding_class_of(f->code));
    CHECK(f->sentence.len > 0 && !f->sentence.failed);
    CHECK(f->severity != SEVERITY_HEALTHY || f->end_how == -1);
    for (const char *c = text_string(&f->sentence); *c; c++)
        if ((unsigned char)*c < 0x20)
            FAIL("a sentence holds byte %d", *c);
    if (f->sentence.len && f->sentence.at[f->sentence.len - 1] == '.')
        FAIL("a full stop: %s", f->sentence.at);
    /* A record says each thing once. */
    for (uint32_t i = 0; i < place; i++)
        if (findings->all[i].about == f->about && findings->all[i].code == f->code)
            FAIL("%s is said twice", f->code);
}

TEST(any_facts_give_findings_in_shape)
{
    const struct rules_options quiet = {
        .grace_us = 1000000, .moving_us = 5000000, .no_words = true};
    for (int round = 0; round < ROUNDS; round++) {
        struct facts_list list;
        struct findings aloud, silent;
        struct finding_groups groups;
        fill(&list);
        findings_init(&aloud);
        findings_init(&silent);
        diagnose(&aloud, &list, NULL);
        diagnose(&silent, &list, &quiet);
        CHECK_EQ(aloud.cnt, silent.cnt);
        for (uint32_t i = 0; i < aloud.cnt; i++) {
            check_finding(&aloud, i);
            CHECK(silent.all[i].code == aloud.all[i].code);
            CHECK_EQ(silent.all[i].sentence.len, 0);
        }
        CHECK(findings_group(&groups, &silent, SEVERITY_HEALTHY));
        finding_groups_free(&groups);
        for (uint32_t i = 0; i < list.cnt; i++) {
            struct story story;
            story_tell(&story, &list.all[i]);
            story_free(&story);
        }
        findings_free(&aloud);
        findings_free(&silent);
        facts_list_free(&list);
    }
}

TEST_MAIN()
