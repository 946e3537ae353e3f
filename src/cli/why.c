/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack why: the findings about all connections, or the story of one. */
#include "cli/why.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/svg.h"

enum { KEY_JSON = 256, KEY_CHECK, KEY_FOLLOW, KEY_EVERY, KEY_SVG };

/* "2s", "500ms", "1m", "2"; 0: none of them, or too short or long to be meant. */
static uint64_t every_parse(const char *word)
{
    char *unit;
    double v = strtod(word, &unit);
    double us = strcmp(unit, "ms") == 0                  ? v * 1000
                : strcmp(unit, "m") == 0                 ? v * 60000000
                : strcmp(unit, "s") == 0 || unit[0] == 0 ? v * 1000000
                                                         : 0;
    return unit != word && us >= 50000 && us <= 86400e6 ? (uint64_t)us : 0;
}

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct why_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->filter;
        state->child_inputs[1] = &o->look;
        return 0;
    case 'a':
        o->all = true;
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    case KEY_EVERY:
        o->every_us = every_parse(arg);
        if (!o->every_us)
            argp_error(state, "--every takes a time from 50ms to 24h, as 2s, 500ms or 1m, not \"%s\"",
                       arg);
        return 0;
    case KEY_JSON:
        o->json = true;
        return 0;
    case KEY_SVG:
        o->svg = arg;
        return 0;
    case KEY_CHECK:
        return 0; /* the exit status always says it */
    case ARGP_KEY_ARG:
        if (o->target)
            argp_error(state, "one connection at a time; without an ID all are looked at");
        o->target = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->every_us && !o->follow)
            argp_error(state, "--every belongs to --follow");
        if (o->svg && !o->target)
            argp_error(state, "--svg draws one connection: give its ID");
        if (o->follow && o->target)
            argp_error(state, "--follow looks at all connections: it takes no ID");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"all", 'a', NULL, 0, "Notes too, what looks odd but is healthy, and more than a screen", 0},
    {"json", KEY_JSON, NULL, 0, "Findings (with ID: also facts and story) as JSON", 0},
    {"follow", 'f', NULL, 0, "A live view: keys sort, filter, show details; q quits", 0},
    {"every", KEY_EVERY, "TIME", 0, "With --follow: time between two looks, as 2s", 0},
    {"svg", KEY_SVG, "FILE", 0, "With ID: draw its life; \"-\" is standard output", 0},
    {"check", KEY_CHECK, NULL, 0, "Accepted: the exit status always says it", 0},
    {0},
};

static const char doc[] =
    "Say why connections do not end: what happened, who holds them, which call is missing, and "
    "what to change. Without ID: all connections of the kernel and of lastack's stacks for which "
    "something is to be said, worst first, those that are alike together. ID is a number as "
    "lastack ss shows it (also kernel/4097, web/7), or an end: ADDRESS:PORT, :PORT.\n"
    "\v"
    "A finding is \"certain\" if it follows from the facts, \"inferred\" if something that cannot "
    "be seen could explain it otherwise. Age alone never makes a finding.\n"
    "\n"
    "Examples:\n"
    "  lastack why                       what is wrong, if anything\n"
    "  lastack why 4097                  the story of one connection\n"
    "  lastack why :8080                 the same, by its port\n"
    "  lastack why --program nginx       only what nginx holds\n"
    "  lastack why --stack kernel        only the kernel's connections\n"
    "  lastack why --all                 also what ends by itself or is meant so\n"
    "  lastack why --follow              a view to leave open\n"
    "  lastack why 4097 --svg life.svg   its life as a picture\n"
    "  lastack why >/dev/null || alarm   in a script\n"
    "\n"
    "Exit status: 0 nothing needs attention, 1 something does, 2 wrong usage, or it could not be "
    "looked.";

/* ---- judging ---- */

unsigned why_count(const struct findings *findings, enum severity severity)
{
    unsigned cnt = 0;
    for (uint32_t i = 0; i < findings->cnt; i++)
        if (i == 0 || findings->all[i].about != findings->all[i - 1].about)
            cnt += findings->all[i].severity == severity;
    return cnt;
}

int why_status(const struct findings *findings)
{
    return why_count(findings, SEVERITY_PROBLEM) + why_count(findings, SEVERITY_ATTENTION)
               ? EXIT_NOT_DONE
               : EXIT_DONE;
}

/* Drop records that the filter does not let through: all findings of one, or none. */
static void findings_filter(struct findings *findings, const struct filter *filter)
{
    uint32_t kept = 0;
    for (uint32_t i = 0, n; i < findings->cnt; i += n) {
        const struct facts *about = findings->all[i].about;
        bool wanted = false;
        for (n = 0; i + n < findings->cnt && findings->all[i + n].about == about; n++)
            wanted = wanted || filter_wants_finding(filter, &findings->all[i + n]);
        wanted = wanted && filter_wants(filter, about);
        for (uint32_t k = i; wanted && k < i + n; k++, kept++) {
            struct finding moved = findings->all[kept];
            findings->all[kept] = findings->all[k];
            findings->all[k] = moved;
        }
    }
    for (uint32_t i = kept; i < findings->cnt; i++) {
        text_free(&findings->all[i].sentence);
        text_free(&findings->all[i].evidence);
        text_free(&findings->all[i].remedy);
    }
    findings->cnt = kept;
}

bool why_judge(struct findings *findings, const struct catch *catch, const struct why_options *o)
{
    struct rules_options options = rules_defaults;
    options.no_words = !o->json; /* groups tell their examples alone */
    findings_init(findings);
    diagnose(findings, &catch->list, &options);
    findings_filter(findings, &o->filter);
    return !findings->failed;
}

/* ---- the command ---- */

static int finish(const char *command, bool good, const struct findings *findings)
{
    if (!good || fflush(stdout) != 0) {
        complain(command, good ? "what was found could not be written"
                               : "no memory for the findings");
        return EXIT_USAGE;
    }
    return why_status(findings);
}

static int tell_all(const struct why_options *o, const struct catch *catch, const char *command)
{
    struct findings findings;
    bool good = why_judge(&findings, catch, o);
    if (good && o->json)
        good = why_json_all(stdout, catch, &findings);
    else if (good)
        good = why_tell_all(o, catch, &findings);
    int status = finish(command, good, &findings);
    findings_free(&findings);
    return status;
}

static int tell_one(const struct why_options *o, const struct catch *catch, const char *command)
{
    const struct facts *one = catch_find(catch, command, o->target);
    struct findings findings;
    if (!one)
        return EXIT_USAGE;
    findings_init(&findings);
    diagnose_one(&findings, &catch->list, one, &rules_defaults);
    bool good = !findings.failed;
    if (good && o->svg) {
        int status = svg_write(command, o->svg, catch, one, &findings);
        findings_free(&findings);
        return status;
    }
    if (good && o->json)
        good = why_json_one(stdout, catch, one, &findings);
    else if (good)
        good = why_tell_one(catch, one, &findings);
    int status = finish(command, good, &findings);
    findings_free(&findings);
    return status;
}

int why_main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&filter_argp, 0, "Which:", 1},
                                                 {&look_argp, 0, "Where to look:", 2},
                                                 {0}};
    static const struct argp argp = {options, take_option, "[ID]", doc, children, NULL, NULL};
    struct why_options o = {0};
    struct catch catch;
    cli_parse(&argp, argc, argv, &o);
    filter_narrow(&o.filter, &o.look);
    if (o.follow)
        return follow(&o, argv[0]);
    if (o.target)
        target_narrow(o.target, &o.look);
    int status = catch_look(&catch, argv[0], &o.look);
    if (status == EXIT_DONE)
        status = o.target ? tell_one(&o, &catch, argv[0]) : tell_all(&o, &catch, argv[0]);
    catch_free(&catch);
    return status;
}
