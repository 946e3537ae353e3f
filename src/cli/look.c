/* SPDX-License-Identifier: BSD-2-Clause */
/* The options that commands share: where to look, and what to let through. */
#include <argp.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "doctor/rules.h"

#define STATE_BIT(state) (1u << (state))

enum { KEY_STACK = 512, KEY_FACTS, KEY_HERE, KEY_NO_BPF };
enum { KEY_STATE = 528, KEY_PORT, KEY_PID, KEY_PROGRAM, KEY_FINDING };

/* ---- where ---- */

static error_t take_look(int key, char *arg, struct argp_state *state)
{
    struct look *look = state->input;
    switch (key) {
    case KEY_STACK:
        look->stack = arg;
        return 0;
    case KEY_FACTS:
        look->file = arg;
        return 0;
    case KEY_HERE:
        look->kernel.here_only = true;
        return 0;
    case KEY_NO_BPF:
        look->kernel.no_bpf = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option look_options[] = {
    {"stack", KEY_STACK, "NAME", 0,
     "Only this stack; \"kernel\": only the kernel. Without it the kernel and all stacks", 0},
    {"here", KEY_HERE, NULL, 0, "Of the kernel, only this network namespace", 0},
    {"no-bpf", KEY_NO_BPF, NULL, 0, "Look at the kernel without BPF", 0},
    {"facts", KEY_FACTS, "FILE", 0,
     "Recorded facts (from lastack ss --all --json) instead; \"-\" is standard input", 0},
    {0},
};
const struct argp look_argp = {look_options, take_look, NULL, NULL, NULL, NULL, NULL};

/* ---- which ---- */

/* A state as ss prints it, or a name of several. 0: neither. */
static unsigned states_parse(const char *word)
{
    static const struct {
        const char *word;
        unsigned states;
    } more[] = {
        {"all", FILTER_STATES_ALL},
        {"connected", FILTER_STATES_CONNECTED},
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

static void take_states(struct filter *filter, char *words, struct argp_state *state)
{
    for (char *save, *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        unsigned states = states_parse(word);
        if (!states)
            argp_error(state,
                       "there is no state \"%s\"; those of ss are known: estab, close-wait, "
                       "fin-wait-2, last-ack, time-wait, listen, ...",
                       word);
        filter->states |= states;
    }
}

static void take_finding(struct filter *filter, const char *words, struct argp_state *state)
{
    for (const char *at = words; *at;) {
        size_t len = strcspn(at, ",");
        bool known = false;
        const struct finding_kind *kind;
        for (unsigned i = 0; !known && (kind = finding_kind_at(i)); i++)
            known = (strlen(kind->code) == len && memcmp(kind->code, at, len) == 0) ||
                    (strlen(kind->class) == len && memcmp(kind->class, at, len) == 0);
        if (!known)
            argp_error(state, "there is no finding \"%.*s\"; lastack explain lists them", (int)len,
                       at);
        at += len + (at[len] == ',');
    }
    filter->finding = words;
}

/* A number within 1 and `max`, or a complaint: 0 is never meant, and must not mean all. */
static unsigned long take_number(const char *option, const char *arg, unsigned long max,
                                 struct argp_state *state)
{
    char *end;
    unsigned long v = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end || v == 0 || v > max)
        argp_error(state, "%s takes a number from 1 to %lu, not \"%s\"", option, max, arg);
    return v;
}

static error_t take_filter(int key, char *arg, struct argp_state *state)
{
    struct filter *filter = state->input;
    switch (key) {
    case KEY_STATE:
        take_states(filter, arg, state);
        return 0;
    case KEY_PORT:
        filter->port = (int)take_number("--port", arg, 65535, state);
        return 0;
    case KEY_PID:
        filter->pid = (uint32_t)take_number("--pid", arg, 4194304, state);
        return 0;
    case KEY_PROGRAM:
        filter->program = arg;
        return 0;
    case KEY_FINDING:
        take_finding(filter, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option filter_options[] = {
    {"state", KEY_STATE, "STATE", 0, "Only this state, named as ss does (several: a,b)", 0},
    {"port", KEY_PORT, "PORT", 0, "Only where either end has this port", 0},
    {"pid", KEY_PID, "PID", 0, "Only what this process holds", 0},
    {"program", KEY_PROGRAM, "NAME", 0, "Only what programs of this name hold (also 'py*')", 0},
    {"finding", KEY_FINDING, "CODE", 0, "Only with this finding, or one of this class (a,b)", 0},
    {0},
};
const struct argp filter_argp = {filter_options, take_filter, NULL, NULL, NULL, NULL, NULL};

static bool is_held(const struct filter *filter, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        if ((!filter->pid || h->pid == filter->pid) &&
            (!filter->program || fnmatch(filter->program, h->program, 0) == 0))
            return true;
    }
    return false;
}

bool filter_wants(const struct filter *filter, const struct facts *f)
{
    return (!filter->states || filter->states & STATE_BIT(f->state)) &&
           (!filter->port || f->tuple.local_port == filter->port ||
            f->tuple.remote_port == filter->port) &&
           ((!filter->pid && !filter->program) || is_held(filter, f));
}

bool filter_wants_finding(const struct filter *filter, const struct finding *finding)
{
    return !filter->finding || text_is_among(filter->finding, finding->code) ||
           text_is_among(filter->finding, finding->class);
}

void filter_narrow(const struct filter *filter, struct look *look)
{
    look->kernel.port = (uint16_t)filter->port;
}
