/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack end: say how connections would be ended, and with --yes end them. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/cli.h"
#include "cli/end.h"
#include "cli/render.h"
#include "doctor/policy.h"

enum {
    KEY_HOW = 256,
    KEY_MAX,
    KEY_OLDER,
    KEY_LIMIT,
    KEY_WAIT,
    KEY_JSON,
    KEY_LOG,
    KEY_NO_LOG,
    KEY_POLICY,
    KEY_WATCH,
    KEY_EVERY,
};

static void take_time(uint64_t *us, const char *name, const char *arg, struct argp_state *state)
{
    if (!policy_duration_parse(us, arg))
        argp_error(state, "%s takes a time like 90s, 10m, 2h or 1d, not \"%s\"", name, arg);
}

static void take_how(struct end_options *o, int key, const char *arg, struct argp_state *state)
{
    int how = control_how_parse(arg);
    bool is_auto = key == KEY_HOW && strcmp(arg, "auto") == 0;
    if (how < 0 && !is_auto)
        argp_error(state, "%s takes %swr, rdwr or rst, not \"%s\"",
                   key == KEY_HOW ? "--how" : "--max", key == KEY_HOW ? "auto, " : "", arg);
    *(key == KEY_HOW ? &o->how : &o->max) = how;
}

static void take_limit(struct end_options *o, const char *arg, struct argp_state *state)
{
    char *end;
    unsigned long v = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end || v == 0 || v > 1000000)
        argp_error(state, "--limit takes a number from 1 to 1000000, not \"%s\"", arg);
    o->limit = (uint32_t)v;
}

static bool has_filter(const struct end_options *o)
{
    return o->filter.states || o->filter.port || o->filter.pid || o->filter.program ||
           o->filter.finding || o->older_us || o->limit;
}

static void check(const struct end_options *o, struct argp_state *state)
{
    if (o->policy ? o->target_cnt || has_filter(o) || o->how >= 0 || o->force || o->json
                  : o->watch)
        argp_error(state, o->policy ? "--policy stands alone: its rules say what is to be ended"
                                    : "--watch needs --policy FILE");
    if (o->policy && o->yes && !o->watch)
        argp_error(state, "a policy acts with --watch only: it takes two looks");
    if (o->policy)
        return;
    if (!o->target_cnt && !has_filter(o))
        argp_error(state, "which connection? Give its ID, as lastack ss and lastack why show it, or "
                          "filters (--finding end-seen --older 10m)");
    if (o->target_cnt && has_filter(o))
        argp_error(state, "either IDs or filters");
    if (o->yes && !o->dry_run && o->look.file)
        argp_error(state, "recorded facts can be planned with, not acted on: without --yes");
}

static error_t take_more(int key, char *arg, struct argp_state *state)
{
    struct end_options *o = state->input;
    switch (key) {
    case KEY_OLDER:
        take_time(&o->older_us, "--older", arg, state);
        return 0;
    case KEY_WAIT:
        take_time(&o->wait_us, "--wait", arg, state);
        return 0;
    case KEY_EVERY:
        take_time(&o->every_us, "--every", arg, state);
        if (o->every_us < 1000000)
            argp_error(state, "--every takes 1s at least");
        return 0;
    case KEY_LIMIT:
        take_limit(o, arg, state);
        return 0;
    case KEY_LOG:
        o->log = arg;
        return 0;
    case KEY_NO_LOG:
        o->no_log = true;
        return 0;
    case KEY_POLICY:
        o->policy = arg;
        return 0;
    case KEY_WATCH:
        o->watch = true;
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->filter;
        state->child_inputs[1] = &o->look;
        return 0;
    case ARGP_KEY_ARGS:
        o->targets = state->argv + state->next;
        o->target_cnt = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        check(o, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct end_options *o = state->input;
    switch (key) {
    case KEY_HOW:
    case KEY_MAX:
        take_how(o, key, arg, state);
        return 0;
    case 'y':
        o->yes = true;
        return 0;
    case 'f':
        o->force = true;
        return 0;
    case 'n':
        o->dry_run = true;
        return 0;
    case KEY_JSON:
        o->json = true;
        return 0;
    default:
        return take_more(key, arg, state);
    }
}

static const struct argp_option options[] = {
    {"yes", 'y', NULL, 0, "Do it. Without it: say what would be done", 1},
    {"how", KEY_HOW, "HOW", 0,
     "wr, rdwr or rst: this step alone. auto (the default): the politest step, then, only if that "
     "has not ended it, the next one",
     1},
    {"max", KEY_MAX, "HOW", 0, "The rudest step that may be taken: wr, rdwr or rst (the default)", 1},
    {"wait", KEY_WAIT, "TIME", 0, "How long a step may take before the next one (3s)", 1},
    {"force", 'f', NULL, 0, "Even if it is half-closed and works, or may", 1},
    {"dry-run", 'n', NULL, 0, "Only say what would be done, even with --yes", 1},
    {"json", KEY_JSON, NULL, 0, "The plan, or what was done, as JSON", 1},
    {"older", KEY_OLDER, "TIME", 0, "Only those that rest so long in their state, without new data (10m, 2h, 1d)", 2},
    {"limit", KEY_LIMIT, "N", 0, "At most so many, the oldest first", 2},
    {"log", KEY_LOG, "FILE", 0, "Where each deed is logged", 3},
    {"no-log", KEY_NO_LOG, NULL, 0, "No log", 3},
    {"policy", KEY_POLICY, "FILE", 0, "Rules that say what is to be ended; shows what they would do",
     4},
    {"watch", KEY_WATCH, NULL, 0, "With --policy: stay, look again and again, and act", 4},
    {"every", KEY_EVERY, "TIME", 0, "With --watch: time between looks (10s)", 4},
    {0},
};

static const char doc[] =
    "End connections of the kernel and of lastack's stacks, whatever references processes hold. "
    "Without --yes it says what it would do, and what each side would see. The descriptors of those "
    "processes stay open: the program still has to be mended (lastack why ID says how).\n"
    "\v"
    "The steps: wr sends what is queued and a FIN, and the owner reads on; rdwr the same, and the "
    "owner reads no more; rst resets. In the kernel the first two are a shutdown() through a copy of "
    "an owner's descriptor, the third destroys the socket.\n"
    "\n"
    "With filters and neither --finding nor --state only connections that need attention are meant.\n"
    "\n"
    "Examples:\n"
    "  lastack end 7                    what would be done with connection 7\n"
    "  lastack end 7 --yes              end it\n"
    "  lastack end 10.0.0.2:8080        by one of its ends, if there is only one\n"
    "  lastack end web/7 web/9 --yes    two of stack web\n"
    "  lastack end --finding end-seen --older 10m --limit 100 --yes\n"
    "  lastack end --program myserver --state close-wait\n"
    "  lastack end 7 --how rst --yes    reset it\n"
    "  lastack end --policy /etc/lastack/policy\n"
    "  lastack end --policy /etc/lastack/policy --watch\n"
    "\n"
    "Exit status: 0 planned, or all ended or told to end; 1 not done (no such connection, refused, "
    "failed); 2 wrong usage, or it could not be looked. The log: /var/log/lastack-end.log for root, "
    "else $XDG_STATE_HOME/lastack/end.log.";

/* ---- acting ---- */

struct show {
    const struct catch *catch;
    const struct end_options *o;
    bool brief;
};

static void put_done(void *arg, const struct end_item *item)
{
    const struct show *show = arg;
    if (!show->o->json)
        end_put_result(show->catch, item, show->brief);
}

static void put_refusals(const struct end_items *items, const struct catch *catch,
                         const char *command)
{
    for (uint32_t i = 0; i < items->cnt; i++) {
        struct text id;
        if (!items->all[i].refused)
            continue;
        text_init(&id);
        catch_add_id(catch, &id, items->all[i].facts);
        complain(command, "%s %s", text_string(&id), items->all[i].refused);
        text_free(&id);
    }
}

static int act(const struct end_options *o, const struct catch *catch, struct end_items *items,
               const char *command)
{
    struct end_log log = {.fd = -1};
    struct show show = {catch, o, items->cnt > 3};
    struct end_run run = {command, &log, o->wait_us, put_done, &show};
    bool any = false;
    for (uint32_t i = 0; i < items->cnt; i++)
        any = any || !items->all[i].refused;
    if (!o->json)
        put_refusals(items, catch, command);
    if (any && !o->no_log && !end_log_open(&log, command, o->log))
        return EXIT_NOT_DONE;
    end_catch_signals();
    if (any && end_log_begin(&log, command, items->cnt))
        end_act(&run, items);
    if (o->json)
        end_put_json(items, true);
    else if (items->cnt > 1 || !o->target_cnt)
        end_put_summary(items, log.path);
    end_log_close(&log);
    int status = log.failed || end_stopped ? EXIT_NOT_DONE : EXIT_DONE;
    for (uint32_t i = 0; i < items->cnt; i++)
        if (items->all[i].outcome == END_FAILED || items->all[i].outcome == END_PLANNED)
            status = EXIT_NOT_DONE;
    return status;
}

/* ---- planning ---- */

static int plan(const struct end_options *o, const struct catch *catch,
                const struct end_items *items, int argc, char **argv)
{
    if (o->json)
        end_put_json(items, false);
    else
        end_put_plan(o, catch, items, argc, argv);
    for (uint32_t i = 0; i < items->cnt; i++)
        if (items->all[i].refused)
            return EXIT_NOT_DONE;
    return EXIT_DONE;
}

static int select_and_do(const struct end_options *o, const struct catch *catch, int argc, char **argv)
{
    struct findings findings;
    struct end_items items;
    findings_init(&findings);
    diagnose(&findings, &catch->list, &rules_defaults);
    if (findings.failed) {
        complain(argv[0], "no memory for the findings");
        findings_free(&findings);
        return EXIT_USAGE;
    }
    int status = end_select(&items, o, argv[0], catch, &findings);
    if (status != EXIT_USAGE) {
        int done = o->yes && !o->dry_run && items.cnt ? act(o, catch, &items, argv[0])
                                                      : plan(o, catch, &items, argc, argv);
        status = status == EXIT_DONE ? done : status;
    }
    end_items_free(&items);
    findings_free(&findings);
    return status;
}

int end_main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&filter_argp, 0, "Which, instead of IDs:", 2},
                                                 {&look_argp, 0, "Where to look:", 5},
                                                 {0}};
    static const struct argp argp = {options, take_option, "[ID...]", doc, children, NULL, NULL};
    struct end_options o = {.how = -1, .max = LASTACK_END_RST, .wait_us = 3000000,
                            .every_us = 10000000};
    struct catch catch;
    cli_parse(&argp, argc, argv, &o);
    if (o.policy)
        return end_guard(&o, argv[0]);
    if (o.target_cnt == 1)
        target_narrow(o.targets[0], &o.look);
    else if (!o.target_cnt)
        filter_narrow(&o.filter, &o.look);
    int status = catch_look(&catch, argv[0], &o.look);
    if (status == EXIT_DONE)
        status = select_and_do(&o, &catch, argc, argv);
    catch_free(&catch);
    return status;
}
