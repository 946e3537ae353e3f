/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack ss: what is there. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/rules.h"
#include "doctor/words.h"

#define STATE_BIT(state) (1u << (state))

enum { KEY_JSON = 256 };

struct ss_options {
    struct look look;
    struct filter filter;
    bool all, listening, holders, json, no_head;
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct ss_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->filter;
        state->child_inputs[1] = &o->look;
        return 0;
    case 'a':
        o->all = true;
        return 0;
    case 'l':
        o->listening = true;
        return 0;
    case 'p':
        o->holders = true;
        return 0;
    case 'H':
        o->no_head = true;
        return 0;
    case 't':
    case 'n':
        return 0; /* TCP and numbers is what there is */
    case KEY_JSON:
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not understood: filters are --state, --port, --pid, --program and --finding", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"all", 'a', NULL, 0, "Connections in any state, listeners too", 0},
    {"listening", 'l', NULL, 0, "Listeners only", 0},
    {"processes", 'p', NULL, 0, "Who holds each: program, process, descriptor", 0},
    {"json", KEY_JSON, NULL, 0, "All facts, as a JSON array", 0},
    {"no-header", 'H', NULL, 0, "No line of headings", 0},
    {"tcp", 't', NULL, 0, "Accepted: there is only TCP", 0},
    {"numeric", 'n', NULL, 0, "Accepted: names are never looked up", 0},
    {0},
};

static const char doc[] =
    "List the TCP connections of the kernel, in all network namespaces, and of lastack's stacks.\n"
    "\v"
    "Recv-Q is what no program has read, Send-Q what the peer has not acknowledged; for a "
    "listener, what waits for accept and its backlog. Age is the time in this state; with + it is "
    "at least that. ID is for \"lastack why\" and \"lastack end\".\n"
    "\n"
    "Examples:\n"
    "  lastack ss -p                    connections and who holds them\n"
    "  lastack ss --state close-wait    those whose peer is done and we are not\n"
    "  lastack ss -a --port 8080        everything about port 8080\n"
    "  lastack ss -p --finding shared   those that somebody closed and others hold\n"
    "  lastack ss -l --stack kernel     the kernel's listeners and their queues\n"
    "  lastack ss -a --json > facts     all facts, for \"lastack why --facts facts\"\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, or it could not be looked.";

static unsigned states_wanted(const struct ss_options *o)
{
    return o->filter.states ? o->filter.states
           : o->listening   ? STATE_BIT(LASTACK_LISTEN)
           : o->all         ? FILTER_STATES_ALL
                            : FILTER_STATES_CONNECTED;
}

static void add_number(struct text *out, uint64_t v)
{
    if (fact_known(v))
        text_printf(out, "%llu", (unsigned long long)v);
    else
        text_add(out, "?");
}

/* "server pid=12 fd=4, ..." */
static void add_holders(struct text *out, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        text_add(out, i ? ", " : "");
        text_add_shown(out, h->program[0] ? h->program : "?");
        if (h->pid != FACT_NO_PID)
            text_printf(out, " pid=%u", h->pid);
        if (h->kind == FACT_HOLDER_DESCRIPTOR)
            text_printf(out, " fd=%d", h->fd);
        else
            text_printf(out, " (%s)", fact_holder_kind_name(h->kind));
    }
    if (f->holder_cnt)
        return;
    text_add(out, f->unaccepted == FACT_YES ? "(not accepted)"
                  : f->orphan == FACT_YES   ? "(orphan)"
                  : f->socket_id == 0       ? "-"
                  : f->references == 0      ? "(orphan)"
                                            : "?");
}

static int compare_places(const void *a, const void *b)
{
    const struct facts *x = *(struct facts *const *)a, *y = *(struct facts *const *)b;
    return x < y ? -1 : x > y;
}

static int compare_facts(const void *a, const void *b)
{
    const struct facts *x = *(struct facts *const *)a, *y = *(struct facts *const *)b;
    int c = strcmp(x->stack, y->stack);
    if (c)
        return c;
    if ((x->state == LASTACK_LISTEN) != (y->state == LASTACK_LISTEN))
        return x->state == LASTACK_LISTEN ? -1 : 1;
    if (x->tuple.local_port != y->tuple.local_port)
        return (int)x->tuple.local_port - (int)y->tuple.local_port;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Records with a finding that --finding lets through, in the order of their addresses; the caller
 * frees. NULL: out of memory. */
static const struct facts **select_found(const struct filter *filter, const struct facts_list *list,
                                         uint32_t *cnt)
{
    struct findings findings;
    findings_init(&findings);
    diagnose(&findings, list, &rules_defaults);
    const struct facts **found = malloc((findings.cnt + 1) * sizeof *found);
    *cnt = 0;
    for (uint32_t i = 0; found && i < findings.cnt; i++)
        if (filter_wants_finding(filter, &findings.all[i]))
            found[(*cnt)++] = findings.all[i].about;
    if (found)
        qsort(found, *cnt, sizeof *found, compare_places);
    findings_free(&findings);
    return found;
}

/* The wanted ones in order of stack, service and age; the caller frees. */
static struct facts **select_wanted(const struct ss_options *o, struct facts_list *list,
                                    uint32_t *cnt)
{
    struct facts **wanted = malloc((list->cnt + 1) * sizeof *wanted);
    struct filter filter = o->filter;
    const struct facts **found = NULL;
    uint32_t found_cnt = 0;
    filter.states = states_wanted(o);
    if (filter.finding)
        found = select_found(&filter, list, &found_cnt);
    *cnt = 0;
    for (uint32_t i = 0; wanted && i < list->cnt; i++) {
        const struct facts *f = &list->all[i];
        if (filter_wants(&filter, f) &&
            (!filter.finding ||
             (found && bsearch(&f, found, found_cnt, sizeof *found, compare_places))))
            wanted[(*cnt)++] = &list->all[i];
    }
    free(found);
    if (wanted)
        qsort(wanted, *cnt, sizeof *wanted, compare_facts);
    return wanted;
}

static void print_json(const struct facts_list *list, struct facts **wanted, uint32_t cnt)
{
    struct text out;
    text_init(&out);
    text_add(&out, "[");
    for (uint32_t i = 0; i < cnt; i++) {
        text_add(&out, i ? ",\n" : "");
        facts_encode_in(&out, list, wanted[i]);
    }
    text_add(&out, "]\n");
    fputs(text_string(&out), stdout);
    text_free(&out);
}

static bool print_table(const struct ss_options *o, const struct catch *catch,
                        struct facts **wanted, uint32_t cnt)
{
    static const char *const heads[] = {"State", "Recv-Q", "Send-Q", "Local",
                                        "Peer",  "ID",     "Age",    "Holders"};
    static const bool right[] = {false, true, true, false, false, true, true, false};
    struct table table;
    struct screen screen;
    screen_init(&screen, stdout);
    table_init(&table, o->holders ? 8 : 7, heads, right);
    for (uint32_t i = 0; i < cnt; i++) {
        const struct facts *f = wanted[i];
        struct text *cells = table_row(&table, state_style(f->state));
        if (!cells)
            break;
        text_add(&cells[0], fact_state_name(f->state));
        add_number(&cells[1], f->receive_queue);
        add_number(&cells[2], f->send_queue);
        words_end(&cells[3], &f->tuple.local, f->tuple.local_port);
        words_end(&cells[4], &f->tuple.remote, f->tuple.remote_port);
        catch_add_id(catch, &cells[5], f);
        text_add_age(&cells[6], f->state_us);
        if (f->at_least == FACT_YES && fact_known(f->state_us))
            text_add(&cells[6], "+");
        if (o->holders)
            add_holders(&cells[7], f);
    }
    bool good = !table.failed;
    table_print(&table, &screen, !o->no_head);
    table_free(&table);
    catch_put_unseen(catch, &screen);
    return good;
}

/* Look no further than what will be shown needs. */
static void narrow(struct ss_options *o)
{
    struct kernel_options *kernel = &o->look.kernel;
    bool all_facts = o->json || o->filter.finding;
    filter_narrow(&o->filter, &o->look);
    kernel->states = states_wanted(o);
    if (all_facts)
        kernel->states |= FILTER_STATES_ALL & ~STATE_BIT(LASTACK_TIME_WAIT);
    kernel->no_holders = !all_facts && !o->holders && !o->filter.pid && !o->filter.program;
    kernel->no_details = kernel->no_holders;
    o->look.no_history = kernel->no_holders;
}

int ss_main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&filter_argp, 0, "Which:", 1},
                                                 {&look_argp, 0, "Where to look:", 2},
                                                 {0}};
    static const struct argp argp = {options, take_option, NULL, doc, children, NULL, NULL};
    struct ss_options o = {0};
    struct catch catch;
    uint32_t cnt = 0;
    cli_parse(&argp, argc, argv, &o);
    narrow(&o);
    int status = catch_look(&catch, argv[0], &o.look);
    if (status == EXIT_DONE) {
        struct facts **wanted = select_wanted(&o, &catch.list, &cnt);
        bool good = wanted != NULL;
        if (good && o.json)
            print_json(&catch.list, wanted, cnt);
        else if (good)
            good = print_table(&o, &catch, wanted, cnt);
        if (!good)
            complain(argv[0], "no memory for the table");
        status = good ? EXIT_DONE : EXIT_USAGE;
        free(wanted);
    }
    catch_free(&catch);
    return status;
}
