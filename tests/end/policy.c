/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard's policy: good and bad text, which rule fits, two looks, limits, and what is never
 * touched whatever the rules say. No I/O. */
#include "doctor/policy.h"

#include <errno.h>
#include <sys/socket.h>

#include "lastack.h"
#include "test.h"

static char why[512];

static int parse(struct policy *policy, const char *text)
{
    memset(why, 'x', sizeof why);
    return policy_parse(policy, "guard.policy", text, strlen(text), why, sizeof why);
}

/* ---- text ---- */

TEST(an_empty_policy_ends_nothing)
{
    static const char *const texts[] = {"", "\n", "# only words\n\n   \t \n", "#", "\r\n"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct policy policy;
        CHECK_EQ(parse(&policy, texts[i]), 0);
        CHECK_EQ(policy.rule_cnt, 0);
        policy_free(&policy);
    }
}

TEST(a_whole_policy)
{
    struct policy policy;
    REQUIRE_EQ(parse(&policy, "# words\r\n"
                              "keep port=22   # ssh\n"
                              "total limit=5/10s\n"
                              "\tend finding=end-seen,unread older=10m  program=my*  max=rst "
                              "limit=20/min state=close-wait,ESTAB stack=web port=80"),
               0);
    REQUIRE_EQ(policy.rule_cnt, 2);
    const struct policy_rule *keep = &policy.rules[0], *end = &policy.rules[1];
    CHECK(keep->keep);
    CHECK_EQ(keep->port, 22);
    CHECK_EQ(keep->line, 2);
    CHECK(!end->keep);
    CHECK_EQ(end->line, 4);
    CHECK_STR(end->finding, "end-seen,unread");
    CHECK_STR(end->program, "my*");
    CHECK_STR(end->stack, "web");
    CHECK_EQ(end->older_us, 600000000);
    CHECK_EQ(end->max, LASTACK_END_RST);
    CHECK_EQ(end->limit.cnt, 20);
    CHECK_EQ(end->limit.period_us, 60000000);
    CHECK_EQ(end->states, 1u << LASTACK_CLOSE_WAIT | 1u << LASTACK_ESTABLISHED);
    CHECK_EQ(policy.total.cnt, 5);
    CHECK_EQ(policy.total.period_us, 10000000);
    policy_free(&policy);
}

TEST(what_is_not_said_is_cautious)
{
    struct policy policy;
    REQUIRE_EQ(parse(&policy, "end finding=deaf\n"), 0);
    CHECK_EQ(policy.rules[0].older_us, 60000000);
    CHECK_EQ(policy.rules[0].max, SHUT_RDWR); /* no reset unless it is said */
    CHECK_EQ(policy.rules[0].limit.cnt, 20);
    CHECK_EQ(policy.total.cnt, 100);
    policy_free(&policy);
}

TEST(bad_lines_say_file_line_and_what)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"\n\nremove port=1\n", "guard.policy:3: a line begins with end, keep or total"},
        {"end older=10m", "guard.policy:1: a rule that ends must name a finding"},
        {"end", "end what?"},
        {"keep", "keep what?"},
        {"keep 22", "\"22\" is not of the form key=value"},
        {"keep port", "\"port\" is not of the form key=value"},
        {"keep port=0", "port= takes a number from 1 to 65535"},
        {"keep port=65536", "not \"65536\""},
        {"keep port=22x", "not \"22x\""},
        {"keep port=-1", "not \"-1\""},
        {"keep port=", "not \"\""},
        {"keep port=1 port=2", "\"port\" is said twice"},
        {"keep =1", "there is no key \"\""},
        {"keep colour=red", "there is no key \"colour\""},
        {"keep older=1m", "older= belongs to rules that end"},
        {"keep max=wr", "max= belongs to rules that end"},
        {"end finding=no-such", "there is no finding \"no-such\""},
        {"end finding=", "there is no finding"},
        {"end finding=deaf,", "there is no finding"},
        {"end finding=,deaf", "there is no finding"},
        {"end finding=deafdeaf", "there is no finding"},
        {"end finding=deaf older=10", "older= takes a time"},
        {"end finding=deaf older=m", "older= takes a time"},
        {"end finding=deaf older=10m3", "older= takes a time"},
        {"end finding=deaf older=99999999999999999999d", "older= takes a time"},
        {"end finding=deaf max=kill", "max= takes wr, rdwr or rst"},
        {"end finding=deaf limit=20", "limit= takes a number and a time"},
        {"end finding=deaf limit=20/", "limit= takes a number"},
        {"end finding=deaf limit=/min", "limit= takes a number"},
        {"end finding=deaf limit=1/0s", "limit= takes a number"},
        {"end finding=deaf limit=1/fortnight", "limit= takes a number"},
        {"end finding=deaf state=", "state= names none"},
        {"end finding=deaf state=gone", "there is no state \"gone\""},
        {"end finding=deaf program=", "program= takes a name"},
        {"end finding=deaf program=a23456789012345678901234567890123", "program= takes a name"},
        {"total", "total takes one limit"},
        {"total limit=x", "total takes one limit"},
        {"total limit=1/min more", "total takes one limit"},
        {"keep port=1\nend finding=deaf port=\033[31m", "guard.policy:2: port= takes a number from 1 "
                                                        "to 65535, not \"\\x1b[31m\""},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy policy;
        CHECK_EQ(parse(&policy, cases[i].text), -EINVAL);
        CHECK_EQ(policy.rule_cnt, 0); /* a policy that is bad in one line is not half used */
        if (!strstr(why, cases[i].words))
            FAIL("\"%s\" gives: %s", cases[i].text, why);
        if (strncmp(why, "guard.policy:", 13) != 0 || strchr(why, '\033'))
            FAIL("\"%s\" gives: %s", cases[i].text, why);
    }
}

TEST(long_and_binary_lines)
{
    struct policy policy;
    char text[5000];
    memset(text, 'a', sizeof text);
    CHECK_EQ(policy_parse(&policy, "p", text, sizeof text, why, sizeof why), -EINVAL);
    CHECK(strstr(why, "p:1: the line is too long"));
    memset(text, '#', 1023); /* as long as it may be */
    text[1023] = '\n';
    CHECK_EQ(policy_parse(&policy, "p", text, 1024, why, sizeof why), 0);
    text[5] = 0;
    CHECK_EQ(policy_parse(&policy, "p", text, 1024, why, sizeof why), -EINVAL);
    CHECK(strstr(why, "NUL byte"));
    char small[8];
    CHECK_EQ(policy_parse(&policy, "a long name of a file", "x", 1, small, sizeof small), -EINVAL);
    CHECK_EQ(small[7], 0);
}

TEST(too_many_rules)
{
    struct policy policy;
    struct text text;
    text_init(&text);
    for (int i = 0; i < POLICY_RULE_MAX; i++)
        text_add(&text, "keep port=1\n");
    CHECK_EQ(parse(&policy, text_string(&text)), 0);
    policy_free(&policy);
    text_add(&text, "keep port=1\n");
    CHECK_EQ(parse(&policy, text_string(&text)), -EINVAL);
    CHECK(strstr(why, "guard.policy:257: more than 256 rules"));
    text_free(&text);
}

/* Good text with bytes changed: never a crash, and a refusal always names a line. */
TEST(any_bytes_are_read_or_refused)
{
    static const char good[] = "keep port=22 stack=a\nend finding=end-seen,unread older=10m "
                               "program=m? max=rst limit=20/min\ntotal limit=5/10s\n";
    uint64_t seed = 4711;
    unsigned taken = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        struct policy policy;
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int n = 0; n <= round % 4; n++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            static const char odd[] = "=,/ \n#\t0a\xff\x01";
            text[(seed >> 33) % (sizeof good - 1)] =
                seed >> 63 ? (char)(seed >> 20) : odd[(seed >> 50) % (sizeof odd - 1)];
        }
        size_t len = (seed >> 40) % 4 ? sizeof good - 1 : (seed >> 42) % sizeof good;
        int result = policy_parse(&policy, "p", text, len, why, sizeof why);
        if (result == 0)
            taken++, policy_free(&policy);
        else
            refused++;
        if (result != 0 && (result != -EINVAL || strncmp(why, "p:", 2) != 0 || why[2] == '0'))
            FAIL("round %d: %d %s", round, result, why);
    }
    CHECK_GT(taken, 100);
    CHECK_GT(refused, 100);
}

/* ---- records ---- */

#define RECORD_MAX 64

static struct facts records[RECORD_MAX];
static struct fact_holder holders[RECORD_MAX];
static struct finding found[RECORD_MAX];
static struct findings findings;

/* Record `i` is in CLOSE_WAIT for an hour, its holder has read the end. */
static void record(unsigned i)
{
    struct facts *f = &records[i];
    facts_init(f);
    f->source = FACT_SOURCE_KERNEL;
    f->id = 1000 + i;
    snprintf(f->stack, sizeof f->stack, "kernel");
    f->state = LASTACK_CLOSE_WAIT;
    f->state_us = 3600000000u;
    f->fin_in_us = f->state_us;
    f->data_out_us = FACT_NEVER;
    f->send_queue = 0;
    f->tuple.local_port = 8080;
    f->tuple.remote_port = (uint16_t)(40000 + i);
    holders[i] = (struct fact_holder){.kind = FACT_HOLDER_DESCRIPTOR, .pid = 50, .fd = 3};
    snprintf(holders[i].program, sizeof holders[i].program, "server");
    f->holders = &holders[i];
    f->holder_cnt = 1;
    found[i] = (struct finding){
        .code = FINDING_END_SEEN, .class = CLASS_DEAF, .severity = SEVERITY_PROBLEM, .about = f};
}

static void records_make(unsigned cnt)
{
    for (unsigned i = 0; i < cnt; i++)
        record(i);
    findings = (struct findings){.all = found, .cnt = cnt, .cap = cnt};
}

static const struct policy_rule *rule_for(const struct policy *policy)
{
    const char *code = NULL;
    return policy_rule_for(policy, &records[0], &found[0], 1, &rules_defaults, &code);
}

/* What a policy says of one ordinary record: 'e'nd, 'k'eep, '-' nothing. */
static char verdict_of(const char *text)
{
    struct policy policy;
    REQUIRE_EQ(parse(&policy, text), 0);
    const struct policy_rule *rule = rule_for(&policy);
    char verdict = !rule ? '-' : rule->keep ? 'k' : 'e';
    policy_free(&policy);
    return verdict;
}

TEST(the_first_rule_that_fits_decides)
{
    records_make(1);
    CHECK_EQ(verdict_of(""), '-');
    CHECK_EQ(verdict_of("end finding=end-seen"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf"), 'e');
    CHECK_EQ(verdict_of("end finding=unread,deaf"), 'e');
    CHECK_EQ(verdict_of("end finding=unread"), '-');
    CHECK_EQ(verdict_of("end finding=deaf older=1h"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf older=61m"), '-');
    CHECK_EQ(verdict_of("end finding=deaf port=8080"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf port=40000"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf port=808"), '-');
    CHECK_EQ(verdict_of("end finding=deaf program=server"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf program=s*r"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf program=serve"), '-');
    CHECK_EQ(verdict_of("end finding=deaf stack=kernel*"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf stack=web"), '-');
    CHECK_EQ(verdict_of("end finding=deaf state=close-wait"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf state=estab"), '-');
    CHECK_EQ(verdict_of("keep port=8080\nend finding=deaf"), 'k');
    CHECK_EQ(verdict_of("keep port=22\nend finding=deaf"), 'e');
    CHECK_EQ(verdict_of("keep finding=end-seen\nend finding=deaf"), 'k');
    CHECK_EQ(verdict_of("end finding=deaf\nkeep port=8080"), 'e');
    records[0].data_out_us = 1800000000; /* it spoke half an hour ago: so old it is, no more */
    CHECK_EQ(verdict_of("end finding=deaf older=30m"), 'e');
    CHECK_EQ(verdict_of("end finding=deaf older=31m"), '-');
    records[0].retransmits = 3; /* the same again and again is nothing new */
    CHECK_EQ(verdict_of("end finding=deaf older=1h"), 'e');
    records[0].state_us = FACT_UNKNOWN; /* an age that is not known is not old */
    CHECK_EQ(verdict_of("end finding=deaf older=0s"), '-');
}

TEST(what_is_never_touched)
{
    static const char all[] = "end finding=deaf,unread,shared,working,blocked,unaccepted,orphan,"
                              "waiting-peer,forgotten older=0s max=rst";
    records_make(1);
    CHECK_EQ(verdict_of(all), 'e');
    found[0].severity = SEVERITY_HEALTHY;
    CHECK_EQ(verdict_of(all), '-');
    records_make(1);
    records[0].data_out_us = 1000000; /* data has moved since the peer's FIN: a half-close at work */
    CHECK_EQ(verdict_of(all), '-');
    static const enum lastack_state states[] = {LASTACK_LISTEN, LASTACK_TIME_WAIT, LASTACK_CLOSED};
    for (unsigned i = 0; i < 3; i++) {
        records_make(1);
        records[0].state = states[i];
        CHECK_EQ(verdict_of(all), '-');
    }
    records_make(1);
    records[0].id = 0;
    CHECK_EQ(verdict_of(all), '-');
}

/* ---- looks ---- */

static struct policy policy;
static struct policy_guard *guard;

static void guard_start(const char *text)
{
    REQUIRE_EQ(parse(&policy, text), 0);
    guard = policy_guard_open(77);
    REQUIRE(guard != NULL);
}

static void guard_stop(void)
{
    policy_guard_close(guard);
    policy_free(&policy);
}

static struct policy_look look_at_s(unsigned s)
{
    struct policy_look look, numbers;
    policy_look(&look, guard, &policy, &findings, &rules_defaults, 1000000ull * s);
    CHECK(!look.failed);
    numbers = look;
    policy_look_free(&look);
    return numbers;
}

TEST(two_looks_before_an_act)
{
    guard_start("end finding=deaf");
    records_make(2);
    struct policy_look look = look_at_s(0);
    CHECK_EQ(look.choice_cnt, 0);
    CHECK_EQ(look.first_cnt, 2);
    record(1);
    records[1].id = 7777; /* another connection took the place of the second */
    look = look_at_s(10);
    CHECK_EQ(look.choice_cnt, 1);
    CHECK_EQ(look.first_cnt, 1);
    found[1].code = FINDING_END_CONSUMED; /* another finding begins anew */
    look = look_at_s(20);
    CHECK_EQ(look.choice_cnt, 0);
    CHECK_EQ(look.waiting_cnt, 1);
    CHECK_EQ(look.first_cnt, 1);
    findings.cnt = 0; /* out of sight for a look */
    look = look_at_s(30);
    records_make(1);
    look = look_at_s(40);
    CHECK_EQ(look.choice_cnt, 0);
    CHECK_EQ(look.first_cnt, 1);
    guard_stop();
}

TEST(the_same_number_in_another_stack_is_another_connection)
{
    guard_start("end finding=deaf");
    records_make(1);
    look_at_s(0);
    snprintf(records[0].stack, sizeof records[0].stack, "web");
    CHECK_EQ(look_at_s(10).choice_cnt, 0);
    CHECK_EQ(look_at_s(20).choice_cnt, 1);
    guard_stop();
}

TEST(one_that_was_acted_on_is_left_alone)
{
    guard_start("end finding=deaf limit=1000/min");
    records_make(1);
    look_at_s(0);
    CHECK_EQ(look_at_s(10).choice_cnt, 1);
    for (unsigned s = 20; s < 610; s += 10)
        CHECK_EQ(look_at_s(s).choice_cnt, 0);
    CHECK_EQ(look_at_s(610).choice_cnt, 1);
    guard_stop();
}

TEST(a_rule_has_its_limit)
{
    guard_start("end finding=deaf limit=6/min");
    records_make(40);
    look_at_s(0);
    unsigned acted = 0;
    struct policy_look look = look_at_s(10);
    CHECK_EQ(look.choice_cnt, 6);
    CHECK_EQ(look.held_cnt, 34);
    acted = look.choice_cnt;
    for (unsigned s = 20; s <= 70; s += 10)
        acted += look_at_s(s).choice_cnt;
    CHECK_EQ(acted, 12); /* six at once, six over the minute */
    guard_stop();
}

TEST(all_rules_together_have_one)
{
    guard_start("total limit=3/min\nend finding=deaf state=estab limit=50/min\n"
                "end finding=deaf limit=50/min");
    records_make(10);
    records[3].state = LASTACK_ESTABLISHED;
    look_at_s(0);
    CHECK_EQ(look_at_s(10).choice_cnt, 3);
    CHECK_EQ(look_at_s(11).choice_cnt, 0);
    policy_guard_reload(guard); /* new rules do not open the purse again */
    CHECK_EQ(look_at_s(12).choice_cnt, 0);
    CHECK_EQ(look_at_s(71).choice_cnt, 3);
    guard_stop();
}

TEST(a_limit_of_nothing_ends_nothing)
{
    guard_start("end finding=deaf limit=0/min");
    records_make(3);
    for (unsigned s = 0; s < 300; s += 10)
        CHECK_EQ(look_at_s(s).choice_cnt, 0);
    guard_stop();
}

TEST(its_own_connections_are_not_touched)
{
    guard_start("end finding=deaf");
    records_make(2);
    holders[1].pid = 77;
    look_at_s(0);
    CHECK_EQ(look_at_s(10).choice_cnt, 1);
    guard_stop();
}

TEST_MAIN()
