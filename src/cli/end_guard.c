/* SPDX-License-Identifier: BSD-2-Clause */
/* The unattended guard: looks again and again, and ends what its policy names. It survives what fails
 * around it, does nothing that it cannot log, and says once an hour what it did. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/end.h"
#include "cli/render.h"
#include "doctor/policy.h"
#include "doctor/words.h"

#define POLICY_FILE_MAX (256u * 1024u)
#define SUMMARY_US      3600000000ull

struct counts {
    uint32_t looks, failed_looks, first, held, kept, outcomes[END_OUTCOME_CNT], refused;
};

struct guard {
    const struct end_options *o;
    const char *command;
    struct policy policy;
    struct policy_guard *memory;
    struct end_log log;
    struct counts hour;
    uint64_t summary_us; /* when the next one is due */
    bool log_complained;
};

static volatile sig_atomic_t reload_asked;

static void ask_reload(int signal_number)
{
    (void)signal_number;
    reload_asked = 1;
}

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- the policy's file ---- */

static int read_policy(const char *path, struct text *text, char *why, size_t why_len)
{
    char bytes[8192];
    struct stat st;
    ssize_t len = -1;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0;
    if (good && (st.st_mode & S_IWOTH)) {
        snprintf(why, why_len, "everybody may write to it: chmod o-w, or anybody decides what is ended");
        close(fd);
        return -EPERM;
    }
    while (good && text->len <= POLICY_FILE_MAX && (len = read(fd, bytes, sizeof bytes)) > 0)
        text_add_len(text, bytes, (size_t)len);
    int error = !good || len < 0 ? errno : text->len > POLICY_FILE_MAX ? EFBIG : 0;
    if (fd >= 0)
        close(fd);
    if (error)
        snprintf(why, why_len, "%s", strerror(error));
    return error ? -error : text->failed ? -ENOMEM : 0;
}

/* False after a complaint; the policy that was there stays. */
static bool load(struct guard *g)
{
    struct policy policy;
    struct text text, shown;
    char why[CONTROL_WHY_LEN] = "no memory";
    text_init(&text);
    text_init(&shown);
    text_add_shown(&shown, g->o->policy);
    int result = read_policy(g->o->policy, &text, why, sizeof why);
    if (result < 0)
        complain(g->command, "%s: %s", text_string(&shown), why);
    else if ((result = policy_parse(&policy, text_string(&shown), text_string(&text), text.len, why,
                                    sizeof why)) < 0)
        complain(g->command, "%s", why);
    if (result == 0) {
        policy_free(&g->policy);
        g->policy = policy;
        policy_guard_reload(g->memory);
    }
    text_free(&text);
    text_free(&shown);
    return result == 0;
}

/* ---- words ---- */

static void put_stamp(void)
{
    char stamp[40] = "";
    struct tm tm;
    time_t now = time(NULL);
    if (localtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s  ", stamp);
}

/* "would end kernel/7 10.0.0.2:80 <-> 10.0.0.1:4711 (end-seen, server, rule at line 3)" */
static void put_choice(const struct end_item *item, const char *verb)
{
    const struct facts *f = item->facts;
    struct text line;
    text_init(&line);
    text_add_shown(&line, f->stack);
    text_printf(&line, "/%llu  ", (unsigned long long)f->id);
    words_end(&line, &f->tuple.local, f->tuple.local_port);
    text_add(&line, " <-> ");
    words_end(&line, &f->tuple.remote, f->tuple.remote_port);
    text_printf(&line, "  (%s", item->code);
    if (f->holder_cnt) {
        text_add(&line, ", ");
        text_add_shown(&line, f->holders[0].program[0] ? f->holders[0].program : "?");
        text_printf(&line, " %u", f->holders[0].pid);
    }
    text_printf(&line, ", line %u): ", item->rule_line);
    put_stamp();
    printf("%s %s", verb, text_string(&line));
    text_free(&line);
}

static void put_done(void *arg, const struct end_item *item)
{
    struct guard *g = arg;
    static const char *const verbs[END_OUTCOME_CNT] = {"not ended", "ended", "ending", "told to end",
                                                       "not ended"};
    struct text why;
    text_init(&why);
    text_add(&why, text_string(&item->why));
    for (char *c = why.at; c && *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    g->hour.outcomes[item->outcome]++;
    put_choice(item, verbs[item->outcome]);
    printf("%s%s", fact_state_name(item->facts->state), text_string(&item->path));
    for (unsigned i = 0; i < item->step_cnt; i++)
        printf("%s%s", i ? ", " : "; ", control_how_name(item->ladder.steps[i]));
    printf("%s%s\n", why.len ? "; " : "", text_string(&why));
    fflush(stdout);
    text_free(&why);
}

static void put_plan(const struct end_item *item, bool dry)
{
    put_choice(item, item->refused ? "cannot end" : dry ? "would end" : "ends");
    if (item->refused)
        printf("it %s", item->refused);
    for (unsigned i = 0; i < item->ladder.cnt; i++)
        printf("%s%s", i ? ", then " : "", control_how_name(item->ladder.steps[i]));
    putchar('\n');
}

static void put_summary(struct guard *g)
{
    const struct counts *c = &g->hour;
    put_stamp();
    printf("since the last summary: %u looks (%u failed), %u ended, %u on the way, %u told to end, %u "
           "failed; %u seen once, %u held back by limits, %u kept, %u that --max or max= forbids\n",
           c->looks, c->failed_looks, c->outcomes[END_ENDED], c->outcomes[END_ENDING],
           c->outcomes[END_TOLD], c->outcomes[END_FAILED] + c->outcomes[END_PLANNED], c->first,
           c->held, c->kept, c->refused);
    fflush(stdout);
    g->hour = (struct counts){0};
    g->summary_us = clock_us() + SUMMARY_US;
}

/* ---- acting ---- */

/* Opened anew each time: a log that was rotated away is left. Once it has been said that it cannot
 * be written, it is not said again until it could be. */
static bool log_ready(struct guard *g, uint32_t cnt)
{
    if (g->o->no_log)
        return true;
    end_log_close(&g->log);
    bool good = end_log_open(&g->log, g->log_complained ? NULL : g->command, g->o->log);
    g->log.quiet = g->log_complained;
    good = good && end_log_begin(&g->log, g->command, cnt);
    g->log_complained = !good;
    return good;
}

static void take_choices(struct guard *g, struct end_items *items, const struct policy_look *look)
{
    items->all = calloc(look->choice_cnt + 1u, sizeof *items->all);
    for (uint32_t i = 0; items->all && i < look->choice_cnt; i++) {
        const struct policy_choice *choice = &look->choices[i];
        int max = choice->rule->max < g->o->max ? choice->rule->max : g->o->max;
        struct end_item *item = &items->all[items->cnt++];
        end_item_init(item, choice->facts, -1, max);
        item->code = choice->code;
        item->rule_line = choice->rule->line;
    }
}

static void act(struct guard *g, const struct policy_look *look)
{
    struct end_items items = {0};
    struct end_run run = {g->command, &g->log, g->o->wait_us, put_done, g};
    take_choices(g, &items, look);
    for (uint32_t i = 0; i < items.cnt; i++) {
        g->hour.refused += items.all[i].refused != NULL;
        if (g->o->dry_run || items.all[i].refused)
            put_plan(&items.all[i], true);
    }
    fflush(stdout);
    if (!g->o->dry_run && items.cnt && log_ready(g, items.cnt))
        end_act(&run, &items);
    g->log_complained = g->log_complained || g->log.failed;
    end_items_free(&items);
}

static void look_once(struct guard *g)
{
    struct catch catch;
    struct findings findings;
    struct policy_look look;
    g->hour.looks++;
    findings_init(&findings);
    if (catch_look(&catch, g->command, &g->o->look) != EXIT_DONE) {
        g->hour.failed_looks++;
        catch_free(&catch);
        return;
    }
    diagnose(&findings, &catch.list, &rules_defaults);
    policy_look(&look, g->memory, &g->policy, &findings, &rules_defaults, clock_us());
    g->hour.failed_looks += look.failed || findings.failed;
    g->hour.first += look.first_cnt;
    g->hour.held += look.held_cnt;
    g->hour.kept += look.kept_cnt;
    if (look.choice_cnt && !end_stopped)
        act(g, &look);
    policy_look_free(&look);
    findings_free(&findings);
    catch_free(&catch);
}

/* ---- its life ---- */

/* Until `until_us`, or a signal. No signal is lost between the question and the sleep. */
static void sleep_until(uint64_t until_us)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    while (!end_stopped && !reload_asked) {
        uint64_t now_us = clock_us();
        if (now_us >= until_us)
            break;
        uint64_t left_us = until_us - now_us;
        struct timespec left = {(time_t)(left_us / 1000000u), (long)(left_us % 1000000u) * 1000};
        ppoll(NULL, 0, &left, &before);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void put_start(const struct guard *g, const char *what)
{
    struct text every, shown;
    text_init(&every);
    text_init(&shown);
    words_duration(&every, g->o->every_us);
    text_add_shown(&shown, g->o->policy);
    put_stamp();
    printf("%s: %u rules of %s, a look every %s%s\n", what, g->policy.rule_cnt, text_string(&shown),
           text_string(&every), g->o->dry_run ? "; dry run: nothing is ended" : "");
    fflush(stdout);
    text_free(&every);
    text_free(&shown);
}

static int watch(struct guard *g)
{
    struct sigaction reload = {.sa_handler = ask_reload};
    if (!g->o->dry_run && !g->o->no_log && !end_log_open(&g->log, g->command, g->o->log))
        return EXIT_NOT_DONE;
    end_catch_signals();
    sigaction(SIGHUP, &reload, NULL);
    put_start(g, "guard");
    g->summary_us = clock_us() + SUMMARY_US;
    while (!end_stopped) {
        uint64_t next_us = clock_us() + g->o->every_us;
        look_once(g);
        if (clock_us() >= g->summary_us)
            put_summary(g);
        sleep_until(next_us);
        if (reload_asked) {
            reload_asked = 0;
            put_start(g, load(g) ? "read anew" : "not read, the old rules stay");
        }
    }
    put_summary(g);
    return EXIT_DONE;
}

/* What the rules would choose at this moment. */
static int show_now(struct guard *g)
{
    struct catch catch;
    struct findings findings;
    struct policy_look look;
    if (catch_look(&catch, g->command, &g->o->look) != EXIT_DONE) {
        catch_free(&catch);
        return EXIT_USAGE;
    }
    findings_init(&findings);
    diagnose(&findings, &catch.list, &rules_defaults);
    /* The same look twice, so that both looks have seen the same. */
    policy_look(&look, g->memory, &g->policy, &findings, &rules_defaults, clock_us());
    policy_look_free(&look);
    policy_look(&look, g->memory, &g->policy, &findings, &rules_defaults, clock_us());
    act(g, &look);
    printf("%u rules. Now %u would be ended, %u held back by limits, %u kept (looked at: %u). To let it "
           "run: --watch\n",
           g->policy.rule_cnt, look.choice_cnt, look.held_cnt, look.kept_cnt, catch.list.cnt);
    policy_look_free(&look);
    findings_free(&findings);
    catch_free(&catch);
    return EXIT_DONE;
}

int end_guard(const struct end_options *options, const char *command)
{
    struct end_options o = *options;
    struct guard g = {.o = &o, .command = command, .log = {.fd = -1}};
    o.dry_run = o.dry_run || !o.watch;
    g.memory = policy_guard_open((uint32_t)getpid());
    if (!g.memory) {
        complain(command, "no memory");
        return EXIT_USAGE;
    }
    int status = EXIT_USAGE;
    if (load(&g))
        status = o.watch ? watch(&g) : show_now(&g);
    end_log_close(&g.log);
    policy_guard_close(g.memory);
    policy_free(&g.policy);
    return status;
}
