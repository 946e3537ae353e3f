/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack end: end a connection, and say what that does at both ends. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/rules.h"
#include "doctor/words.h"

#define WATCH_MS 3000 /* how long the connection is watched after it was told to end */
#define LOOK_MS  50

enum { KEY_HOW = 256, KEY_STACK, KEY_FORCE };

struct end_options {
    int how; /* -1: the politest */
    bool force, dry_run;
    const char *stack;
    char **targets;
    int target_cnt;
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct end_options *o = state->input;
    switch (key) {
    case KEY_HOW:
        o->how = control_how_parse(arg);
        if (o->how < 0)
            argp_error(state, "--how takes wr, rdwr or rst, not \"%s\"", arg);
        return 0;
    case 'f':
        o->force = true;
        return 0;
    case 'n':
        o->dry_run = true;
        return 0;
    case KEY_STACK:
        o->stack = arg;
        return 0;
    case ARGP_KEY_ARGS:
        o->targets = state->argv + state->next;
        o->target_cnt = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which connection? Give its ID, as lastack ss shows it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"how", KEY_HOW, "HOW", 0,
     "wr: send what is queued, then FIN; rdwr: the same, and read no more; rst: reset. Without it: "
     "the politest that ends it",
     0},
    {"force", 'f', NULL, 0, "Even if it is half-closed on purpose and data still moves", 0},
    {"dry-run", 'n', NULL, 0, "Say what would be done", 0},
    {"stack", KEY_STACK, "NAME", 0, "The stack it lives in, if several run (or say NAME/ID)", 0},
    {0},
};

static const char doc[] =
    "End connections now, whatever references processes hold. The descriptors of those processes "
    "stay open: the program still has to be mended (lastack why ID says how).\n"
    "\v"
    "The politest way is a FIN where one can still be sent (CLOSE-WAIT: wr; ESTAB: rdwr) and a "
    "reset "
    "where our FIN is out already (FIN-WAIT-1, FIN-WAIT-2, CLOSING, LAST-ACK) or nothing can leave "
    "(closed window).\n"
    "\n"
    "Examples:\n"
    "  lastack end 7                    end connection 7\n"
    "  lastack end web/7 web/9          two of stack web\n"
    "  lastack end -n 7                 what would be done\n"
    "  lastack end 7 --how rst          reset it\n"
    "\n"
    "Exit status: 0 all ended, or told to end, 1 not done (no such connection, refused), 2 wrong "
    "usage, 3 no stack is running.";

/* ---- words ---- */

static const char *call_words(int how)
{
    switch (how) {
    case SHUT_WR:
        return "send what is queued, then a FIN (shutdown(SHUT_WR) in the name of its owners)";
    case SHUT_RDWR:
        return "send what is queued, then a FIN, and read no more (shutdown(SHUT_RDWR) in the name "
               "of "
               "its owners)";
    default:
        return "reset it (RST); what is queued is lost";
    }
}

static const char *here_words(int how)
{
    switch (how) {
    case SHUT_WR:
        return "send() gives EPIPE from now on, recv() goes on as before";
    case SHUT_RDWR:
        return "send() gives EPIPE and recv() gives 0 from now on";
    default:
        return "the next call gives an error, then send() gives EPIPE and recv() gives 0";
    }
}

static const char *peer_words(int how)
{
    return how == LASTACK_END_RST ? "its next call gives ECONNRESET"
                                  : "it reads what was queued, then the end of the stream";
}

/* ---- what happened ---- */

/* The states that were seen after the call: "CLOSE-WAIT -> LAST-ACK -> closed". */
struct path {
    struct text text;
    enum lastack_state last;
    int how;
    bool over;
};

static void path_see(struct path *path, const struct facts *f)
{
    if (f && f->state == path->last)
        return;
    bool closed = !f || f->state == LASTACK_CLOSED;
    path->over = closed || f->state == LASTACK_TIME_WAIT;
    /* Too quick to be seen; but a FIN leads from CLOSE-WAIT to the end in no other way. */
    if (closed && path->last == LASTACK_CLOSE_WAIT && path->how != LASTACK_END_RST)
        text_add(&path->text, " -> LAST-ACK");
    text_printf(&path->text, " -> %s", closed ? "closed" : fact_state_name(f->state));
    path->last = f ? f->state : LASTACK_CLOSED;
}

static void path_watch(struct path *path, const char *stack, uint64_t id)
{
    char why[CONTROL_WHY_LEN];
    for (int ms = 0; ms < WATCH_MS && !path->over; ms += LOOK_MS) {
        struct facts_list list;
        struct timespec pause = {0, ms ? LOOK_MS * 1000000 : 1000000};
        nanosleep(&pause, NULL);
        facts_list_init(&list);
        int result = control_ask_facts(stack, &list, why);
        if (result == 0)
            path_see(path, facts_list_find(&list, id));
        facts_list_free(&list);
        if (result < 0) {
            path->over = true;
            text_add(&path->text, " -> (the stack is not running any more)");
        }
    }
}

static const char *wait_words(enum lastack_state state)
{
    switch (state) {
    case LASTACK_LAST_ACK:
    case LASTACK_FIN_WAIT_1:
    case LASTACK_CLOSING:
        return "our FIN waits for the peer's acknowledgment";
    case LASTACK_FIN_WAIT_2:
        return "our FIN is acknowledged; the peer has still to close its half (--how rst would not "
               "wait)";
    default:
        return NULL;
    }
}

static void put_result(const struct screen *screen, const struct facts *f, int how,
                       const struct path *path)
{
    struct text line;
    fprintf(screen->file, "  %s%s\n", fact_state_name(f->state), text_string(&path->text));
    if (!path->over && wait_words(path->last))
        screen_paragraph(screen, "  Still: ", wait_words(path->last));
    screen_paragraph(screen, "  This side: ", here_words(how));
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        text_init(&line);
        words_process(&line, f->holders[i].pid, f->holders[i].program);
        text_add(&line, " keeps ");
        words_holding(&line, &f->holders[i]);
        text_add(&line, " open until it closes it");
        screen_paragraph(screen, "             ", text_string(&line));
        text_free(&line);
    }
    screen_paragraph(screen, "  The peer: ", peer_words(how));
}

/* ---- one connection ---- */

static bool is_healthy_half_close(const struct catch *catch, const struct facts *f)
{
    struct findings findings;
    findings_init(&findings);
    diagnose_one(&findings, &catch->list, f, &rules_defaults);
    bool works = findings.cnt > 0 && findings.all[0].severity == SEVERITY_HEALTHY;
    findings_free(&findings);
    return works;
}

/* A sentence if it must not be ended like this; NULL if it may. */
static const char *refusal(const struct end_options *o, const struct catch *catch,
                           const struct facts *f)
{
    if (f->state == LASTACK_LISTEN)
        return "is a listener, not a connection; it ends when its program closes it";
    if (f->state == LASTACK_TIME_WAIT)
        return "is in TIME-WAIT: it has ended, and goes by itself";
    if (f->state == LASTACK_CLOSED)
        return "has no connection any more; only its program can close the descriptor";
    if (!o->force && is_healthy_half_close(catch, f))
        return "is half-closed on purpose and data still moves: nothing was done. With --force it "
               "is "
               "ended all the same";
    return NULL;
}

static int end_one(const struct end_options *o, const struct catch *catch, const char *command,
                   const char *target)
{
    struct path path = {.over = false};
    struct screen screen;
    struct text id;
    char why[CONTROL_WHY_LEN];
    const struct facts *f = catch_find(catch, command, target);
    if (!f)
        return EXIT_NOT_DONE;
    const char *no = refusal(o, catch, f);
    int how = o->how >= 0 ? o->how : rules_end_how(f);
    if (no) {
        complain(command, "%s %s", target, no);
        return EXIT_NOT_DONE;
    }
    screen_init(&screen, stdout);
    text_init(&id);
    catch_add_id(catch, &id, f);
    text_printf(&id, "%s: ", o->dry_run ? " would be ended" : "");
    screen_paragraph(&screen, text_string(&id), call_words(how));
    text_free(&id);
    if (o->dry_run)
        return EXIT_DONE;
    fflush(stdout);
    int result = control_ask_end(f->stack, f->id, how, why);
    if (result < 0) {
        complain(command, "%s%s", why,
                 result == -ENOTCONN && how != LASTACK_END_RST ? "; --how rst resets it" : "");
        return EXIT_NOT_DONE;
    }
    text_init(&path.text);
    path.last = f->state;
    path.how = how;
    path_watch(&path, f->stack, f->id);
    put_result(&screen, f, how, &path);
    text_free(&path.text);
    return EXIT_DONE;
}

int end_main(int argc, char **argv)
{
    static const struct argp argp = {options, take_option, "ID...", doc, NULL, NULL, NULL};
    struct end_options o = {.how = -1};
    struct catch catch;
    cli_parse(&argp, argc, argv, &o);
    int status = catch_fill(&catch, argv[0], o.stack, NULL);
    for (int i = 0; i < o.target_cnt && status != EXIT_NO_STACK; i++)
        if (end_one(&o, &catch, argv[0], o.targets[i]) != EXIT_DONE)
            status = EXIT_NOT_DONE;
    catch_free(&catch);
    return status;
}
