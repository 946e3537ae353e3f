/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack ss: what is there. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/words.h"

#define STATE_BIT(state) (1u << (state))
#define STATES_ALL       ((1u << LASTACK_STATE_CNT) - 1)
/* As ss without options: no listeners, nothing half-open, nothing that only waits out its time. */
#define STATES_CONNECTED                                                                           \
    (STATES_ALL & ~(STATE_BIT(LASTACK_CLOSED) | STATE_BIT(LASTACK_LISTEN) |                        \
                    STATE_BIT(LASTACK_SYN_RCVD) | STATE_BIT(LASTACK_TIME_WAIT)))

enum { KEY_STATE = 256, KEY_PORT, KEY_STACK, KEY_JSON, KEY_FACTS };

struct ss_options {
    unsigned states; /* bits; 0: not said */
    bool all, listening, holders, json, no_head;
    int port; /* -1: any */
    const char *stack, *file;
};

/* A state as ss prints it, or a name of several. 0: neither. */
static unsigned states_parse(const char *word)
{
    static const struct {
        const char *word;
        unsigned states;
    } more[] = {
        {"all", STATES_ALL},
        {"connected", STATES_CONNECTED},
        {"established", STATE_BIT(LASTACK_ESTABLISHED)},
        {"listening", STATE_BIT(LASTACK_LISTEN)},
        {"syn-rcvd", STATE_BIT(LASTACK_SYN_RCVD)},
        {"closed", STATE_BIT(LASTACK_CLOSED)},
        {"close", STATE_BIT(LASTACK_CLOSED)},
    };
    for (unsigned s = 0; s < LASTACK_STATE_CNT; s++)
        if (strcasecmp(word, fact_state_name((enum lastack_state)s)) == 0)
            return STATE_BIT(s);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        if (strcasecmp(word, more[i].word) == 0)
            return more[i].states;
    return 0;
}

static void take_states(struct ss_options *o, char *words, struct argp_state *state)
{
    for (char *save, *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        unsigned states = states_parse(word);
        if (!states)
            argp_error(state,
                       "there is no state \"%s\"; those of ss are known: estab, close-wait, "
                       "fin-wait-2, last-ack, time-wait, listen, ...",
                       word);
        o->states |= states;
    }
}

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct ss_options *o = state->input;
    char *end;
    switch (key) {
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
    case KEY_STATE:
        take_states(o, arg, state);
        return 0;
    case KEY_PORT:
        o->port = (int)strtol(arg, &end, 10);
        if (*end || end == arg || o->port < 0 || o->port > 65535)
            argp_error(state, "--port takes a number from 0 to 65535, not \"%s\"", arg);
        return 0;
    case KEY_STACK:
        o->stack = arg;
        return 0;
    case KEY_JSON:
        o->json = true;
        return 0;
    case KEY_FACTS:
        o->file = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not understood: filters are --state and --port", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"all", 'a', NULL, 0, "Connections in any state, listeners too", 0},
    {"listening", 'l', NULL, 0, "Listeners only", 0},
    {"processes", 'p', NULL, 0, "Who holds each: program, process, descriptor", 0},
    {"state", KEY_STATE, "STATE", 0, "Only this state, named as ss does (several: a,b)", 0},
    {"port", KEY_PORT, "PORT", 0, "Only where either end has this port", 0},
    {"stack", KEY_STACK, "NAME", 0, "Only this stack; without it all that run", 0},
    {"json", KEY_JSON, NULL, 0, "All facts, as a JSON array", 0},
    {"no-header", 'H', NULL, 0, "No line of headings", 0},
    {"tcp", 't', NULL, 0, "Accepted: there is only TCP", 0},
    {"numeric", 'n', NULL, 0, "Accepted: names are never looked up", 0},
    {"facts", KEY_FACTS, "FILE", 0, "Show recorded facts (from --json) instead of a running stack",
     0},
    {0},
};

static const char doc[] =
    "List the connections of running stacks.\n"
    "\v"
    "Recv-Q is what no program has read, Send-Q what the peer has not acknowledged; for a "
    "listener, "
    "what waits for accept and its backlog. Age is the time in this state. ID is for "
    "\"lastack why\" and \"lastack end\".\n"
    "\n"
    "Examples:\n"
    "  lastack ss -p                    connections and who holds them\n"
    "  lastack ss --state close-wait    those whose peer is done and we are not\n"
    "  lastack ss -a --port 8080        everything about port 8080\n"
    "  lastack ss -l                    listeners and their queues\n"
    "  lastack ss -a --json > facts     all facts, for \"lastack why --facts facts\"\n"
    "\n"
    "Exit status: 0 done, 1 not done, 2 wrong usage, 3 no stack is running.";

static bool is_wanted(const struct ss_options *o, const struct facts *f)
{
    unsigned states = o->states      ? o->states
                      : o->listening ? STATE_BIT(LASTACK_LISTEN)
                      : o->all       ? STATES_ALL
                                     : STATES_CONNECTED;
    bool port = o->port < 0 || f->tuple.local_port == o->port || f->tuple.remote_port == o->port;
    return port && (states & STATE_BIT(f->state));
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

/* The wanted ones in order of stack, service and age; the caller frees. */
static struct facts **select_wanted(const struct ss_options *o, struct facts_list *list,
                                    uint32_t *cnt)
{
    struct facts **wanted = malloc((list->cnt + 1) * sizeof *wanted);
    *cnt = 0;
    for (uint32_t i = 0; wanted && i < list->cnt; i++)
        if (is_wanted(o, &list->all[i]))
            wanted[(*cnt)++] = &list->all[i];
    if (wanted)
        qsort(wanted, *cnt, sizeof *wanted, compare_facts);
    return wanted;
}

static void print_json(struct facts **wanted, uint32_t cnt)
{
    struct text out;
    text_init(&out);
    text_add(&out, "[");
    for (uint32_t i = 0; i < cnt; i++) {
        text_add(&out, i ? ",\n" : "");
        facts_encode_one(&out, wanted[i]);
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
        if (o->holders)
            add_holders(&cells[7], f);
    }
    bool good = !table.failed;
    table_print(&table, &screen, !o->no_head);
    table_free(&table);
    return good;
}

int ss_main(int argc, char **argv)
{
    static const struct argp argp = {options, take_option, NULL, doc, NULL, NULL, NULL};
    struct ss_options o = {.port = -1};
    struct catch catch;
    uint32_t cnt = 0;
    cli_parse(&argp, argc, argv, &o);
    int status = catch_fill(&catch, argv[0], o.stack, o.file);
    if (status == EXIT_DONE) {
        struct facts **wanted = select_wanted(&o, &catch.list, &cnt);
        bool good = wanted != NULL;
        if (good && o.json)
            print_json(wanted, cnt);
        else if (good)
            good = print_table(&o, &catch, wanted, cnt);
        if (!good)
            complain(argv[0], "no memory for the table");
        status = good ? EXIT_DONE : EXIT_NOT_DONE;
        free(wanted);
    }
    catch_free(&catch);
    return status;
}
