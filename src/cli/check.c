/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack check: a leak check for the connections of a program, or of a whole test suite. */
#include "check/check.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/suppress.h"
#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/words.h"

#define GRACE_NS       2000000000u
#define GRACE_MAX_S    86400
#define STACK_SHOWN    6 /* frames of a birth */
#define EXIT_CODE_LEAK 1

enum {
    KEY_EXIT_CODE = 256,
    KEY_JSON,
    KEY_JUNIT,
    KEY_SUPPRESS,
    KEY_GRACE,
    KEY_IGNORE_OPEN,
    KEY_KILLED,
    KEY_KILL,
    KEY_FAST,
};

struct check_command {
    struct check_options check;
    int exit_code;
    bool json, quiet;
    const char *output, *junit;
    FILE *output_file, *junit_file;
};

/* ---- options ---- */

static uint64_t parse_number(struct argp_state *state, const char *option, const char *arg,
                             double max, double unit)
{
    char *end;
    double number = strtod(arg, &end);
    if (end == arg || *end || !(number >= 0 && number <= max))
        argp_error(state, "%s takes a number from 0 to %.0f, not \"%s\"", option, max, arg);
    return (uint64_t)(number * unit);
}

static void read_suppressions(struct argp_state *state, struct check_command *c, const char *path)
{
    char why[512];
    struct text shown;
    if (suppressions_read(&c->check.suppressions, path, why, sizeof why))
        return;
    text_init(&shown);
    text_add_shown(&shown, why);
    argp_failure(state, CHECK_FAILED, 0, "%s", text_string(&shown));
    text_free(&shown);
}

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct check_command *c = state->input;
    switch (key) {
    case KEY_EXIT_CODE:
        c->exit_code = (int)parse_number(state, "--exit-code", arg, 255, 1);
        return 0;
    case KEY_GRACE:
        c->check.grace_ns = parse_number(state, "--grace", arg, GRACE_MAX_S, 1e9);
        return 0;
    case 'o':
        c->output = arg;
        return 0;
    case KEY_JSON:
        c->json = true;
        return 0;
    case KEY_JUNIT:
        c->junit = arg;
        return 0;
    case 'q':
        c->quiet = true;
        return 0;
    case KEY_SUPPRESS:
        read_suppressions(state, c, arg);
        return 0;
    case KEY_IGNORE_OPEN:
        c->check.ignore_open = true;
        return 0;
    case KEY_KILLED:
        c->check.killed = true;
        return 0;
    case KEY_KILL:
        c->check.kill_rest = true;
        return 0;
    case KEY_FAST:
        c->check.no_closes = true;
        return 0;
    case ARGP_KEY_ARGS:
        c->check.program = state->argv + state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which program? lastack check -- PROGRAM [ARGUMENT...]");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0,
     "Write the report there (- is standard output); without it: standard error", 0},
    {"json", KEY_JSON, NULL, 0, "The report as JSON", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "Also write a JUnit file: a failed test for every kind of leak",
     0},
    {"quiet", 'q', NULL, 0, "Say nothing if nothing leaked", 0},
    {"exit-code", KEY_EXIT_CODE, "N", 0,
     "Exit status if something leaked and the program succeeded (1)", 1},
    {"suppress", KEY_SUPPRESS, "FILE", 0,
     "Known leaks that do not count: lines of function:PATTERN, file:PATTERN, program:PATTERN, "
     "port:NUMBER, "
     "code:CODE; all words of a line must match",
     2},
    {"ignore-open-at-exit", KEY_IGNORE_OPEN, NULL, 0,
     "What was in use until its process exited does not count (code open-at-exit)", 2},
    {"killed", KEY_KILLED, NULL, 0,
     "What was in use when its process was killed by a signal counts, too", 2},
    {"grace", KEY_GRACE, "SECONDS", 0, "How long the children may outlive the program (2)", 3},
    {"kill", KEY_KILL, NULL, 0, "Kill those that outlive it by more; without it they go on", 3},
    {"fast", KEY_FAST, NULL, 0, "Do not stop at close(): no lines where connections are closed", 3},
    {0},
};

static const char doc[] =
    "Run PROGRAM with all its children on the kernel's TCP, and report every connection that they "
    "failed to "
    "end: where it was born (accept, connect), who held it last, and where others that were born "
    "there are "
    "closed. No privilege is needed.\n"
    "\v"
    "A connection counts as ended once its last descriptor was closed by a call; if only the exit "
    "of a "
    "process closed it, it leaked. Listeners, UDP and what was there before the program are not "
    "looked at.\n"
    "\n"
    "Examples:\n"
    "  lastack check -- ./server --self-test\n"
    "  lastack check --junit leaks.xml -- pytest tests/\n"
    "  lastack check --ignore-open-at-exit --suppress known.txt -- make check\n"
    "\n"
    "Exit status: that of the program if it is not 0 (128 + N if signal N killed it); else 0 if "
    "nothing "
    "leaked, 1 (--exit-code) if something did; 2 wrong usage or it could not be checked; 126, 127 "
    "the program "
    "could not be run, was not found.";

/* ---- the report for people ---- */

static void put_paragraph(const struct screen *screen, const char *first, const char *sentence)
{
    struct text t;
    text_init(&t);
    text_add(&t, sentence);
    if (t.len && islower((unsigned char)t.at[0]))
        t.at[0] = (char)toupper((unsigned char)t.at[0]);
    text_add(&t, ".");
    screen_paragraph(screen, first, text_string(&t));
    text_free(&t);
}

/* The callers of the place: what lies below it in the stack. What lies above is what it called. */
static void put_callers(const struct screen *screen, const struct fact_site *born)
{
    const char *at = born->stack ? born->stack : "";
    size_t name_len = strlen(born->function);
    bool begun = false,
         last = strcmp(born->function, "main") == 0 || strcmp(born->function, "<module>") == 0;
    struct text frame, line;
    text_init(&frame);
    text_init(&line);
    for (unsigned shown = 0; *at && shown < STACK_SHOWN && !last;) {
        size_t len = strcspn(at, "\n");
        text_clear(&frame);
        text_add_len(&frame, at, len);
        at += len + (at[len] == '\n');
        /* Below main(), and a thread's first function, lies nothing of the program. */
        last = strncmp(text_string(&frame), "start_thread ", 13) == 0;
        if (begun && !last && text_string(&frame)[0] != '?') {
            text_clear(&line);
            text_add_shown(&line, text_string(&frame));
            screen_paragraph(screen, "     from  ", text_string(&line));
            shown++;
            last = strncmp(text_string(&frame), "main ", 5) == 0 ||
                   strncmp(text_string(&frame), "<module> ", 9) == 0;
        }
        begun = begun || (name_len && strncmp(text_string(&frame), born->function, name_len) == 0);
    }
    text_free(&frame);
    text_free(&line);
}

static void put_born(const struct screen *screen, const struct fact_site *born)
{
    struct text line;
    text_init(&line);
    if (born)
        check_add_site(&line, born);
    screen_paragraph(screen, "   born    ", born ? text_string(&line) : "at an unknown place");
    text_free(&line);
    if (born)
        put_callers(screen, born);
}

static void put_siblings(const struct screen *screen, const struct check_leak *leak)
{
    const struct facts *f = leak_facts(leak);
    struct text line;
    if (!fact_known(f->sibling_cnt) || f->sibling_cnt == 0)
        return;
    text_init(&line);
    text_printf(&line, "%llu of %llu others that were born there were closed",
                (unsigned long long)f->sibling_closed_cnt, (unsigned long long)f->sibling_cnt);
    if (leak_closed_at(leak)) {
        text_add(&line, ", at ");
        check_add_site_called(&line, leak_closed_at(leak));
    }
    screen_paragraph(screen, "   others  ", text_string(&line));
    text_free(&line);
}

static void put_example(const struct screen *screen, const struct check_leak *leak)
{
    const struct facts *f = leak_facts(leak);
    struct text line;
    text_init(&line);
    words_end(&line, &f->tuple.local, f->tuple.local_port);
    text_add(&line, " <-> ");
    words_end(&line, &f->tuple.remote, f->tuple.remote_port);
    text_printf(&line, "  %s", fact_state_name(f->state));
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        text_add(&line, ", ");
        words_holding(&line, &f->holders[i]);
        text_add(&line, f->holders[i].kind == FACT_HOLDER_DESCRIPTOR ? " of " : ", with ");
        words_process(&line, f->holders[i].pid, f->holders[i].program);
        if (words_origin(f->holders[i].origin))
            text_printf(&line, ", which %s", words_origin(f->holders[i].origin));
    }
    screen_paragraph(screen, leak->cnt > 1 ? "   e.g.    " : "   which   ", text_string(&line));
    text_free(&line);
}

static void put_calls(const struct screen *screen, const struct check_leak *leak)
{
    const struct facts *f = leak_facts(leak);
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        const struct fact_site *at = facts_site(&leak->list, f->closes[i].at);
        struct fact_call call = f->closes[i];
        struct text line;
        text_init(&line);
        call.left = FACT_UNKNOWN;
        words_close(&line, &call);
        if (at) {
            text_add(&line, " at ");
            check_add_site(&line, at);
        }
        text_add(&line, ": others stayed");
        screen_paragraph(screen, "   before  ", text_string(&line));
        text_free(&line);
    }
}

static void put_leak(const struct screen *screen, const struct check_leak *leak, unsigned number)
{
    char head[24];
    snprintf(head, sizeof head, "%2u ", number);
    fputs(head, screen->file);
    screen_put(screen, severity_style(leak->severity), leak->code);
    fprintf(screen->file, "%s: %llu %s\n", leak->certain ? "" : " (inferred)",
            (unsigned long long)leak->cnt, leak->cnt == 1 ? "connection" : "connections");
    put_paragraph(screen, "   ", text_string(&leak->sentence));
    put_born(screen, leak_born_at(leak));
    put_siblings(screen, leak);
    put_example(screen, leak);
    put_calls(screen, leak);
    if (leak->other_end_cnt)
        fprintf(screen->file,
                leak->cnt > 1 ? "   and     the other end of %llu of them was left open, too\n"
                              : "   and     its other end was left open, too\n",
                (unsigned long long)leak->other_end_cnt);
    screen_lines(screen, "   change  ", text_string(&leak->remedy));
    fprintf(screen->file, "   more    lastack explain %s\n\n", leak->code);
}

static void put_summary(const struct screen *screen, const struct check_report *report)
{
    unsigned long long leaked = report->leaked_cnt, all = report->connection_cnt;
    unsigned long long processes = report->process_cnt;
    struct text line;
    text_init(&line);
    if (leaked)
        text_printf(&line, "%llu %s not ended", leaked,
                    leaked == 1 ? "connection was" : "connections were");
    else
        text_add(&line, "no connection leaked");
    text_printf(&line, " (%s%llu accepted or connected, in %llu %s)", leaked ? "of " : "", all,
                processes, processes == 1 ? "process" : "processes");
    if (report->suppressed_cnt)
        text_printf(&line, "; %llu suppressed", (unsigned long long)report->suppressed_cnt);
    fputs("lastack check: ", screen->file);
    screen_put(screen, leaked ? STYLE_RED : STYLE_GREEN, text_string(&line));
    fputc('\n', screen->file);
    text_free(&line);
}

static void put_report(FILE *file, const struct check_report *report, bool quiet)
{
    struct screen screen;
    bool blind = report->blind || report->failed;
    if (quiet && !report->leaked_cnt && !blind)
        return;
    screen_init(&screen, file);
    put_summary(&screen, report);
    if (report->leak_cnt)
        fputc('\n', file);
    for (uint32_t i = 0; i < report->leak_cnt; i++)
        put_leak(&screen, report->leaks[i], i + 1);
    screen_lines(&screen, "lastack check: note: ", text_string(&report->notes));
    if (blind)
        screen_paragraph(&screen, "lastack check: ",
                         report->failed ? "no memory for all of it: this report is not complete"
                                        : "this report is not complete: see the note above");
}

/* ---- the command ---- */

static bool put_text(FILE *file, const char *path, struct text *text)
{
    bool good = !text->failed && fputs(text_string(text), file) >= 0 && fflush(file) == 0;
    if (!good)
        complain_shown("lastack check", "cannot write ", path, "");
    text_free(text);
    return good;
}

static bool tell(const struct check_report *report, void *arg)
{
    struct check_command *c = arg;
    const char *output = c->output ? c->output : "the report";
    struct text text;
    bool good = true;
    if (c->junit) {
        text_init(&text);
        check_report_junit(&text, report, c->check.program);
        good = put_text(c->junit_file, c->junit, &text);
    }
    if (c->json) {
        text_init(&text);
        check_report_json(&text, report, c->check.program);
        return put_text(c->output_file, output, &text) && good;
    }
    put_report(c->output_file, report, c->quiet);
    if (fflush(c->output_file) != 0) {
        complain_shown("lastack check", "cannot write ", output, "");
        return false;
    }
    return good;
}

static FILE *open_for(const char *path, FILE *otherwise)
{
    if (!path)
        return otherwise;
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (!file)
        complain("lastack check", "cannot write %s: %s", path, strerror(errno));
    return file;
}

int check_main(int argc, char **argv)
{
    static const struct argp argp = {options, take_option, "-- PROGRAM [ARGUMENT...]", doc, NULL,
                                     NULL,    NULL};
    char why[256];
    struct check_command c = {.check.grace_ns = GRACE_NS, .exit_code = EXIT_CODE_LEAK};
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = cli_version;
    /* In order: what follows the program's name is the program's. */
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &c) != 0)
        return EXIT_USAGE;
    if (kernel_check_proc(why, sizeof why) != 0) {
        complain(argv[0], "nothing was run: %s", why);
        return EXIT_USAGE;
    }
    c.output_file = open_for(c.output, stderr);
    c.junit_file = open_for(c.junit, stdout);
    if (!c.output_file || !c.junit_file)
        return EXIT_USAGE;
    int status = check_run(&c.check, c.exit_code, tell, &c);
    suppressions_free(c.check.suppressions);
    return status;
}
