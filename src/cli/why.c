/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack why: the findings about all connections, or the story of one. */
#include <argp.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "cli/why_json.h"
#include "doctor/group.h"
#include "doctor/rules.h"
#include "doctor/story.h"
#include "doctor/words.h"

enum { KEY_JSON = 256, KEY_CHECK };

struct why_options {
    struct look look;
    struct filter filter;
    bool all, json, check;
    const char *target;
};

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
    case KEY_JSON:
        o->json = true;
        return 0;
    case KEY_CHECK:
        o->check = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->target)
            argp_error(state, "one connection at a time; without an ID all are looked at");
        o->target = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"all", 'a', NULL, 0, "Notes too, and what looks odd but is healthy", 0},
    {"check", KEY_CHECK, NULL, 0, "Accepted: the exit status always says it", 0},
    {"json", KEY_JSON, NULL, 0, "Findings (with ID: also facts and story) as JSON", 0},
    {0},
};

static const char doc[] =
    "Say why connections do not end: what happened, who holds them, which call is missing, and "
    "what "
    "to change. Without ID: all connections for which something is to be said, worst first, those "
    "that are alike together.\n"
    "\v"
    "A finding is \"certain\" if it follows from the facts, \"inferred\" if something that cannot "
    "be "
    "seen could explain it otherwise. Age alone never makes a finding.\n"
    "\n"
    "Examples:\n"
    "  lastack why                      what is wrong, if anything\n"
    "  lastack why 7                    the story of connection 7\n"
    "  lastack why web/7                the same, if several stacks run\n"
    "  lastack why --all                also what ends by itself or is meant so\n"
    "  lastack why || alarm             in a script: 1 if something needs attention\n"
    "\n"
    "Exit status: 0 nothing needs attention, 1 something does, 2 wrong usage, or it could not be "
    "looked.";

/* ---- pieces ---- */

/* "7  10.0.0.2:8080 <-> 10.0.0.1:40007  CLOSE-WAIT for 12 s" */
static void put_head(const struct screen *screen, const struct catch *catch, const struct facts *f)
{
    struct text id, rest;
    text_init(&id);
    text_init(&rest);
    catch_add_id(catch, &id, f);
    words_end(&rest, &f->tuple.local, f->tuple.local_port);
    if (f->state != LASTACK_LISTEN) {
        text_add(&rest, " <-> ");
        words_end(&rest, &f->tuple.remote, f->tuple.remote_port);
    }
    text_printf(&rest, "  %s", fact_state_name(f->state));
    if (fact_known(f->state_us)) {
        text_add(&rest, " for ");
        words_duration(&rest, f->state_us);
    }
    screen_put(screen, STYLE_BOLD, text_string(&id));
    fprintf(screen->file, "  %s\n", text_string(&rest));
    text_free(&id);
    text_free(&rest);
}

/* "PROBLEM shared (certain)" */
static void put_code(const struct screen *screen, const struct finding *finding)
{
    char word[16];
    snprintf(word, sizeof word, "%s", severity_name(finding->severity));
    for (char *c = word; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    screen_put(screen, severity_style(finding->severity), word);
    fputc(' ', screen->file);
    screen_put(screen, STYLE_BOLD, finding->code);
    fprintf(screen->file, " (%s)", finding->certain ? "certain" : "inferred");
}

static void put_sentence(const struct screen *screen, const char *first,
                         const struct finding *finding)
{
    struct text t;
    text_init(&t);
    text_add(&t, text_string(&finding->sentence));
    if (t.len && islower((unsigned char)t.at[0]))
        t.at[0] = (char)toupper((unsigned char)t.at[0]);
    text_add(&t, ".");
    screen_paragraph(screen, first, text_string(&t));
    text_free(&t);
}

static void put_end_now(const struct screen *screen, const struct catch *catch,
                        const struct finding *finding)
{
    struct text id;
    if (finding->end_how < 0)
        return;
    text_init(&id);
    catch_add_id(catch, &id, finding->about);
    fprintf(screen->file, "  To end it now: lastack end %s\n", text_string(&id));
    text_free(&id);
}

/* The findings of one record, its cause first. */
static void put_findings(const struct screen *screen, const struct finding *first, uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++) {
        fputs("  ", screen->file);
        put_code(screen, &first[i]);
        fputs(":\n", screen->file);
        put_sentence(screen, "    ", &first[i]);
    }
    bool any = false;
    for (uint32_t i = 0; i < cnt; i++)
        any = any || first[i].remedy.len;
    if (any)
        fputs("  What to change:\n", screen->file);
    for (uint32_t i = 0; i < cnt; i++)
        screen_lines(screen, "    - ", text_string(&first[i].remedy));
}

/* What the sentence has not said. The closes and holders of a shared connection are in it. */
static void put_evidence(const struct screen *screen, const struct finding *finding)
{
    if (!finding->evidence.len || strcmp(finding->class, CLASS_SHARED) == 0)
        return;
    fputs("  Evidence:\n", screen->file);
    screen_lines(screen, "    - ", text_string(&finding->evidence));
}

/* ---- all ---- */

static void put_like_it(const struct screen *screen, const struct catch *catch,
                        const struct finding_group *g)
{
    struct text line;
    if (g->record_cnt < 2)
        return;
    text_init(&line);
    text_printf(&line, "%u more like it: ", g->record_cnt - 1);
    for (uint32_t i = 1; i < g->record_cnt && i < GROUP_ID_MAX; i++) {
        text_add(&line, i > 1 ? ", " : "");
        catch_add_id(catch, &line, g->members[i]);
    }
    text_add(&line, g->record_cnt > GROUP_ID_MAX ? ", ..." : "");
    screen_paragraph(screen, "  ", text_string(&line));
    text_free(&line);
}

/* Connections whose worst finding has this severity. */
static unsigned count_records(const struct findings *findings, enum severity severity)
{
    unsigned cnt = 0;
    for (uint32_t i = 0; i < findings->cnt; i++)
        if (i == 0 || findings->all[i].about != findings->all[i - 1].about)
            cnt += findings->all[i].severity == severity;
    return cnt;
}

static void put_summary(const struct screen *screen, const struct catch *catch,
                        const struct findings *findings, bool all)
{
    static const char *const words[SEVERITY_CNT][2] = {
        [SEVERITY_PROBLEM] = {"will not end unless something is changed",
                              "will not end unless something is changed"},
        [SEVERITY_ATTENTION] = {"needs a look: it may be stuck, or meant so",
                                "need a look: they may be stuck, or meant so"},
        [SEVERITY_NOTE] = {"ends by itself, or its cause is at the other end",
                           "end by themselves, or their cause is at the other end"},
        [SEVERITY_HEALTHY] = {"looks odd and is healthy", "look odd and are healthy"},
    };
    unsigned hidden = 0;
    for (int s = SEVERITY_PROBLEM; s >= 0; s--) {
        unsigned cnt = count_records(findings, (enum severity)s);
        if (cnt && (all || s >= SEVERITY_ATTENTION))
            fprintf(screen->file, "%u %s %s.\n", cnt, cnt == 1 ? "connection" : "connections",
                    words[s][cnt != 1]);
        else
            hidden += cnt;
    }
    if (count_records(findings, SEVERITY_PROBLEM) + count_records(findings, SEVERITY_ATTENTION) ==
        0)
        fprintf(screen->file, "Nothing is wrong (looked at: %u).\n", catch->list.cnt);
    if (hidden)
        fprintf(screen->file, "%u more that need nothing: lastack why --all shows them.\n", hidden);
}

static bool tell_all(const struct why_options *o, const struct catch *catch,
                     const struct findings *findings)
{
    struct finding_groups groups;
    struct screen screen;
    screen_init(&screen, stdout);
    if (!findings_group(&groups, findings, o->all ? SEVERITY_HEALTHY : SEVERITY_ATTENTION))
        return false;
    for (uint32_t i = 0; i < groups.cnt; i++) {
        const struct finding_group *g = &groups.all[i];
        put_head(&screen, catch, g->first->about);
        put_findings(&screen, g->first, g->finding_cnt);
        if (strcmp(g->first->class, CLASS_UNACCEPTED) == 0 ||
            strcmp(g->first->class, CLASS_BLOCKED) == 0)
            put_evidence(&screen, g->first);
        put_end_now(&screen, catch, g->first);
        put_like_it(&screen, catch, g);
        fputc('\n', stdout);
    }
    finding_groups_free(&groups);
    put_summary(&screen, catch, findings, o->all);
    catch_put_unseen(catch, &screen);
    return true;
}

/* ---- one ---- */

/* Events that made the trouble often lie milliseconds apart. */
static void put_event(const struct screen *screen, const struct story_event *event)
{
    char first[40];
    struct text when;
    text_init(&when);
    if (event->age_us < 120 * 1000000ull)
        text_printf(&when, "%llu.%03llu s ago", (unsigned long long)event->age_us / 1000000,
                    (unsigned long long)event->age_us / 1000 % 1000);
    else
        words_ago(&when, event->age_us);
    snprintf(first, sizeof first, "  %16s  ", text_string(&when));
    screen_paragraph(screen, first, text_string(&event->text));
    text_free(&when);
}

static void put_story(const struct screen *screen, const struct facts *f)
{
    struct story story;
    story_tell(&story, f);
    if (story.event_cnt) {
        fputc('\n', screen->file);
        screen_put(screen, STYLE_BOLD, "What happened\n");
    }
    for (unsigned i = 0; i < story.event_cnt; i++)
        put_event(screen, &story.events[i]);
    fputc('\n', screen->file);
    screen_put(screen, STYLE_BOLD, "Now\n");
    screen_lines(screen, "  ", text_string(&story.now));
    story_free(&story);
}

static bool tell_one(const struct catch *catch, const struct facts *f,
                     const struct findings *findings)
{
    struct screen screen;
    screen_init(&screen, stdout);
    put_head(&screen, catch, f);
    put_story(&screen, f);
    fputc('\n', stdout);
    screen_put(&screen, STYLE_BOLD, "Why\n");
    if (findings->cnt == 0) {
        fputs("  Nothing is wrong with it.\n", stdout);
        catch_put_unseen(catch, &screen);
        return true;
    }
    put_findings(&screen, findings->all, findings->cnt);
    put_evidence(&screen, &findings->all[0]);
    put_end_now(&screen, catch, &findings->all[0]);
    catch_put_unseen(catch, &screen);
    return true;
}

/* ---- the command ---- */

/* Drop records that the filter does not let through: all findings of one, or none. */
static void findings_filter(struct findings *findings, const struct filter *filter)
{
    uint32_t kept = 0;
    for (uint32_t i = 0, n; i < findings->cnt; i += n) {
        const struct finding *first = &findings->all[i];
        bool wanted = false;
        for (n = 0; i + n < findings->cnt && first[n].about == first->about; n++)
            wanted = wanted || filter_wants_finding(filter, &first[n]);
        wanted = wanted && filter_wants(filter, first->about);
        for (uint32_t k = 0; k < n; k++) {
            struct finding moved = findings->all[kept];
            if (!wanted)
                continue;
            findings->all[kept++] = findings->all[i + k];
            findings->all[i + k] = moved;
        }
    }
    for (uint32_t i = kept; i < findings->cnt; i++) {
        text_free(&findings->all[i].sentence);
        text_free(&findings->all[i].evidence);
        text_free(&findings->all[i].remedy);
    }
    findings->cnt = kept;
}

static bool is_alarming(const struct findings *findings)
{
    for (uint32_t i = 0; i < findings->cnt; i++)
        if (findings->all[i].severity >= SEVERITY_ATTENTION)
            return true;
    return false;
}

static int tell(const struct why_options *o, const struct catch *catch, const char *command)
{
    const struct facts *one = o->target ? catch_find(catch, command, o->target) : NULL;
    struct findings findings;
    if (o->target && !one)
        return EXIT_USAGE;
    findings_init(&findings);
    if (one)
        diagnose_one(&findings, &catch->list, one, &rules_defaults);
    else
        diagnose(&findings, &catch->list, &rules_defaults);
    bool good = !findings.failed;
    findings_filter(&findings, &o->filter);
    if (good && o->json)
        good = why_print_json(stdout, &catch->list, one, &findings);
    else if (good)
        good = one ? tell_one(catch, one, &findings) : tell_all(o, catch, &findings);
    if (!good)
        complain(command, "no memory for the findings");
    int status = !good ? EXIT_USAGE : is_alarming(&findings) ? EXIT_NOT_DONE : EXIT_DONE;
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
    if (o.target)
        target_narrow(o.target, &o.look);
    int status = catch_look(&catch, argv[0], &o.look);
    if (status == EXIT_DONE)
        status = tell(&o, &catch, argv[0]);
    catch_free(&catch);
    return status;
}
