/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doctor's rules on recorded facts: facts/NAME.json is one case.
 *   about   what the record shows, for people
 *   expect  {"ID": ["CODE SEVERITY certain|inferred", ...]}, cause first; every record that is not
 *           named must yield nothing
 *   says    words that the findings must contain
 *   grace_us 0 for programs that are over; else what rules_defaults say
 *   may_work the records that must not be ended without being forced; if given, no others
 *   end     how to end record 7 (wr, rdwr, rst), or "refuse": a half-close that works
 */
#include <dirent.h>
#include <inttypes.h>

#include "doctor/control.h"
#include "doctor/group.h"
#include "doctor/json.h"
#include "doctor/rules.h"
#include "doctor/story.h"
#include "test.h"

static char *file_read(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t len = 0;
    char *bytes = calloc(1, 1 << 20);
    if (file && bytes)
        len = fread(bytes, 1, (1 << 20) - 1, file);
    if (file)
        fclose(file);
    if (!len)
        FAIL("%s cannot be read", path);
    return bytes;
}

/* "CODE SEVERITY certain" of every finding about `facts`, one per line. */
static void list_findings(struct text *out, const struct findings *findings,
                          const struct facts *facts)
{
    for (uint32_t i = 0; i < findings->cnt; i++) {
        const struct finding *f = &findings->all[i];
        if (f->about == facts)
            text_printf(out, "%s %s %s\n", f->code, severity_name(f->severity),
                        f->certain ? "certain" : "inferred");
    }
}

static void check_expected(const struct json *root, const struct facts_list *list,
                           const struct findings *findings)
{
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct text got, want;
        char id[24];
        snprintf(id, sizeof id, "%" PRIu64, list->all[i].id);
        text_init(&got);
        text_init(&want);
        list_findings(&got, findings, &list->all[i]);
        const struct json *lines = json_get(json_get(root, "expect"), id);
        for (const struct json *l = lines ? lines->child : NULL; l; l = l->next)
            text_printf(&want, "%s\n", l->string);
        CHECK_STR(text_string(&got), text_string(&want));
        text_free(&got);
        text_free(&want);
    }
}

static void check_says(const struct json *root, const struct findings *findings)
{
    struct text all;
    text_init(&all);
    for (uint32_t i = 0; i < findings->cnt; i++)
        text_printf(&all, "%s\n%s%s", text_string(&findings->all[i].sentence),
                    text_string(&findings->all[i].evidence), text_string(&findings->all[i].remedy));
    const struct json *says = json_get(root, "says");
    for (const struct json *s = says ? says->child : NULL; s; s = s->next)
        if (!strstr(text_string(&all), s->string))
            FAIL("\"%s\" is not said; this is:\n%s", s->string, text_string(&all));
    for (const char *c = text_string(&all); *c; c++)
        CHECK(*c == '\n' || (unsigned char)*c >= 0x20);
    text_free(&all);
}

static void check_end(const struct json *root, const struct facts_list *list,
                      const struct findings *findings)
{
    const char *want = json_get_string(root, "end", NULL);
    const struct facts *f = facts_list_find(list, 7);
    if (!want || !f)
        return;
    bool works = false;
    for (uint32_t i = 0; i < findings->cnt; i++)
        works =
            works || (findings->all[i].about == f && findings->all[i].severity == SEVERITY_HEALTHY);
    CHECK_STR(works ? "refuse" : control_how_name(rules_end_how(f)), want);
}

static void check_may_work(const struct json *root, const struct findings *findings)
{
    const struct json *ids = json_get(root, "may_work");
    for (uint32_t i = 0; ids && i < findings->cnt; i++) {
        const struct finding *f = &findings->all[i];
        bool want = false;
        for (const struct json *id = ids->child; id; id = id->next)
            want = want || (uint64_t)id->number == f->about->id;
        CHECK_EQ(f->may_work, want);
    }
}

/* Every record must survive its way through JSON, and its story must be told without a crash. */
static void check_round_trip(const struct facts_list *list)
{
    struct text first, second;
    struct facts_list again;
    char why[128];
    text_init(&first);
    text_init(&second);
    facts_list_init(&again);
    facts_encode(&first, list);
    CHECK_EQ(facts_decode(&again, text_string(&first), why, sizeof why), 0);
    facts_encode(&second, &again);
    CHECK_STR(text_string(&first), text_string(&second));
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct story story;
        story_tell(&story, &list->all[i]);
        CHECK(story.now.len > 0);
        story_free(&story);
    }
    facts_list_free(&again);
    text_free(&first);
    text_free(&second);
}

static void run_file(const void *arg)
{
    char why[128] = "";
    char *bytes = file_read(arg);
    struct json_document *document = json_parse(bytes, strlen(bytes), why, sizeof why);
    struct facts_list list;
    struct findings findings;
    facts_list_init(&list);
    findings_init(&findings);
    if (!document ||
        facts_decode_json(&list, json_get(json_root(document), "facts"), why, sizeof why) < 0) {
        FAIL("%s: %s", (const char *)arg, why);
    } else {
        const struct json *root = json_root(document);
        CHECK(json_get(root, "about") != NULL);
        struct rules_options options = rules_defaults;
        json_get_u64(root, "grace_us", &options.grace_us);
        diagnose(&findings, &list, &options);
        check_expected(root, &list, &findings);
        check_says(root, &findings);
        check_may_work(root, &findings);
        check_end(root, &list, &findings);
        check_round_trip(&list);
    }
    findings_free(&findings);
    facts_list_free(&list);
    json_free(document);
    free(bytes);
}

/* Bytes of a record changed at random: whatever comes over a control socket or out of a file must
 * be refused or judged, never crash (run it under ASan). */
static void run_mutations(const void *arg)
{
    char *bytes = file_read(arg), why[128];
    size_t len = strlen(bytes);
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 300 && len > 0; round++) {
        char *copy = strdup(bytes);
        struct facts_list list;
        struct findings findings;
        facts_list_init(&list);
        findings_init(&findings);
        REQUIRE(copy);
        for (int change = 0; change <= round % 4; change++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            static const char common[] = "\"{}[],:0129-tfn\\u. ";
            copy[random % len] = random & 1 << 20 ? common[(random >> 32) % (sizeof common - 1)]
                                                  : (char)((random >> 40) % 255 + 1);
        }
        facts_decode(&list, copy, why, sizeof why);
        facts_list_relate(&list);
        diagnose(&findings, &list, NULL);
        for (uint32_t i = 0; i < list.cnt; i++) {
            struct story story;
            story_tell(&story, &list.all[i]);
            story_free(&story);
        }
        findings_free(&findings);
        facts_list_free(&list);
        free(copy);
    }
    free(bytes);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

TEST_SETUP(files)
{
    static char *paths[512];
    size_t cnt = 0;
    DIR *dir = opendir(FACTS_DIR);
    for (struct dirent *e; dir && (e = readdir(dir)) && cnt < 512;) {
        size_t len = strlen(e->d_name);
        if (len > 5 && strcmp(e->d_name + len - 5, ".json") == 0 &&
            asprintf(&paths[cnt], "%s/%s", FACTS_DIR, e->d_name) > 0)
            cnt++;
    }
    if (dir)
        closedir(dir);
    qsort(paths, cnt, sizeof paths[0], compare_strings);
    for (size_t i = 0; i < cnt; i++)
        test_register(strrchr(paths[i], '/') + 1, run_file, paths[i]);
    if (cnt)
        test_register("mutations", run_mutations, paths[cnt / 2]);
    if (cnt)
        test_register("mutations_of_two", run_mutations, paths[cnt - 1]);
}

/* Every code has a record that shows it. A flood takes two moments: tests/doctor/group_test.c. */
TEST(every_code_has_a_record)
{
    for (unsigned i = 0; finding_kind_at(i); i++) {
        const struct finding_kind *kind = finding_kind_at(i);
        char command[512];
        snprintf(command, sizeof command, "grep -qs '\"%s [a-z]* [a-z]*\"' %s/*.json", kind->code,
                 FACTS_DIR);
        if (kind->code != FINDING_FLOOD && system(command) != 0)
            FAIL("no record expects %s", kind->code);
        CHECK(finding_class_of(kind->code)[0] && finding_line(kind->code)[0]);
    }
}

/* Age alone is never a verdict: any record that is healthy now is healthy when everything about it
 * is ten times as old, as long as no deadline of a program depends on it. */
TEST(age_is_no_verdict)
{
    static const enum lastack_state states[] = {
        LASTACK_ESTABLISHED, LASTACK_CLOSED, LASTACK_SYN_SENT, LASTACK_TIME_WAIT, LASTACK_LISTEN};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct facts_list list;
        struct findings findings;
        facts_list_init(&list);
        findings_init(&findings);
        struct facts *f = facts_list_add(&list);
        REQUIRE(f);
        f->id = 1;
        f->state = states[i];
        f->state_us = f->born_us = f->data_in_us = f->data_out_us = 30ull * 86400 * 1000000;
        f->fin_in_us = f->fin_out_us = f->eof_read_us = FACT_NEVER;
        f->references = 1;
        if (states[i] == LASTACK_CLOSED)
            f->born_us = FACT_NEVER;
        struct fact_holder *h = facts_holder_add(&list, f);
        REQUIRE(h);
        h->pid = 5;
        h->fd = 3;
        diagnose(&findings, &list, NULL);
        CHECK_EQ(findings.cnt, 0);
        findings_free(&findings);
        facts_list_free(&list);
    }
}

/* The same ids and addresses in two stacks are strangers to each other. */
TEST(stacks_are_worlds_of_their_own)
{
    struct facts_list list;
    facts_list_init(&list);
    for (int i = 0; i < 4; i++) {
        struct facts *f = facts_list_add(&list);
        REQUIRE(f);
        snprintf(f->stack, sizeof f->stack, i < 2 ? "a" : "b");
        f->id = (uint64_t)(i % 2) + 1;
        f->state = LASTACK_ESTABLISHED;
        f->tuple.local_port = i % 2 ? 80 : 5000;
        f->tuple.remote_port = i % 2 ? 5000 : 80;
    }
    list.all[3].tuple.local_port = 81; /* in "b" the two do not belong together */
    CHECK_EQ(facts_list_find_in(&list, "b", 2), &list.all[3]);
    facts_list_relate(&list);
    CHECK_EQ(facts_list_find_in(&list, "a", 2), &list.all[1]);
    CHECK_EQ(facts_list_find_in(&list, "b", 2), &list.all[3]);
    CHECK_EQ(facts_list_find_in(&list, "c", 2), NULL);
    CHECK_EQ(facts_list_find_in(&list, "a", 3), NULL);
    CHECK_EQ(facts_list_find_in(&list, "a", 0), NULL);
    CHECK_EQ(list.all[0].peer_id, 2);
    CHECK_EQ(list.all[1].peer_id, 1);
    CHECK_EQ(list.all[2].peer_id, 0);
    CHECK_EQ(list.all[3].peer_id, 0);
    facts_list_free(&list);
}

TEST_MAIN()

/* A proxy and its origin live in one process: what the proxy does not read waits for its client, which takes
 * no more, and not for the origin's own end of the same connection. */
TEST(the_leg_that_takes_no_more_is_found)
{
    static const struct {
        uint16_t local_port, remote_port;
        uint32_t pid;
        uint64_t receive_window, receive_queue, send_window, send_queue;
        uint64_t relay_id;
    } all[] = {
        {5000, 80, 7, 0, 100, 9, 0, 3}, /* opened: the proxy's origin */
        {80, 5000, 7, 9, 0, 0, 100, 0}, /* accepted: the other end of that */
        {81, 6000, 7, 9, 0, 0, 100, 0}, /* accepted: the proxy's client */
        {5001, 90, 8, 0, 100, 9, 0, 0}, /* opened: of another process */
    };
    struct facts_list list;
    facts_list_init(&list);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct facts *f = facts_list_add(&list);
        struct fact_holder *h = f ? facts_holder_add(&list, f) : NULL;
        REQUIRE(h);
        f->id = i + 1;
        f->state = LASTACK_ESTABLISHED;
        f->tuple.local_port = all[i].local_port;
        f->tuple.remote_port = all[i].remote_port;
        f->passive = all[i].local_port < 100 ? FACT_YES : FACT_NO;
        f->receive_window = all[i].receive_window;
        f->receive_queue = all[i].receive_queue;
        f->send_window = all[i].send_window;
        f->send_queue = all[i].send_queue;
        h->kind = FACT_HOLDER_DESCRIPTOR;
        h->pid = all[i].pid;
    }
    facts_list_relate(&list);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK_EQ(list.all[i].relay_id, all[i].relay_id);
    facts_list_free(&list);
}
