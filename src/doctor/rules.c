/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of the rules, and what they share. */
#include "doctor/rules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "doctor/big.h"
#include "doctor/rules_case.h"
#include "doctor/words.h"

const struct rules_options rules_defaults = {.grace_us = 1000000, .moving_us = 5000000};

const char *severity_name(enum severity severity)
{
    static const char *const names[SEVERITY_CNT] = {"healthy", "note", "attention", "problem"};
    return severity < SEVERITY_CNT ? names[severity] : "?";
}

/* ---- findings ---- */

void findings_init(struct findings *findings)
{
    memset(findings, 0, sizeof *findings);
}

static void finding_free(struct finding *finding)
{
    text_free(&finding->sentence);
    text_free(&finding->evidence);
    text_free(&finding->remedy);
}

void findings_free(struct findings *findings)
{
    /* One more than cnt: the spare of finding_add. */
    for (uint32_t i = 0; findings->all && i <= findings->cnt; i++)
        finding_free(&findings->all[i]);
    free(findings->all);
    findings_init(findings);
}

struct finding *finding_add(struct rules_case *c, const char *code, enum severity severity,
                            bool certain)
{
    static struct finding nowhere; /* only if there is no memory even for the first */
    struct findings *out = c->out;
    if (out->cnt + 2 > out->cap) {
        uint32_t cap = out->cap ? out->cap * 2 : 8;
        struct finding *all = realloc(out->all, cap * sizeof *all);
        if (!all) {
            out->failed = true;
            return out->all ? &out->all[out->cnt] : &nowhere;
        }
        memset(all + out->cap, 0, (cap - out->cap) * sizeof *all);
        out->all = all;
        out->cap = cap;
    }
    struct finding *finding = &out->all[out->cnt++];
    finding_free(finding);
    *finding = (struct finding){.code = code, .class = finding_class_of(code)};
    finding->severity = severity;
    finding->certain = certain;
    finding->about = c->f;
    finding->end_how = severity == SEVERITY_HEALTHY ? -1 : rules_end_how(c->f);
    finding->told = !c->options->no_words;
    /* A text that has failed takes nothing: so the same rules judge with and without words. */
    finding->sentence.failed = finding->evidence.failed = finding->remedy.failed = !finding->told;
    return finding;
}

struct finding *finding_last(const struct rules_case *c)
{
    return c->out->cnt > c->from ? &c->out->all[c->out->cnt - 1] : NULL;
}

/* ---- how to end it ---- */

int rules_end_how(const struct facts *f)
{
    if (f->id == 0)
        return -1;
    bool blocked = facts_are_blocked(f); /* then a FIN cannot leave either */
    /* The kernel shuts down through a copy of a descriptor: without one a reset is all there is. */
    if (f->source == FACT_SOURCE_KERNEL && f->holders_known == FACT_YES && descriptor_cnt(f) == 0)
        blocked = true;
    switch (f->state) {
    case LASTACK_CLOSE_WAIT:
        /* Queued data, then FIN; the peer's acknowledgment ends it. */
        return blocked ? LASTACK_END_RST : SHUT_WR;
    case LASTACK_ESTABLISHED:
        return blocked ? LASTACK_END_RST : SHUT_RDWR;
    case LASTACK_SYN_SENT:
    case LASTACK_SYN_RCVD:
    case LASTACK_FIN_WAIT_1:
    case LASTACK_FIN_WAIT_2:
    case LASTACK_CLOSING:
    case LASTACK_LAST_ACK:
        return LASTACK_END_RST; /* our FIN is out already: nothing politer is left */
    default:
        return -1;
    }
}

bool rules_half_close_works(const struct facts *f, const struct rules_options *options)
{
    /* From either side bytes can move in one direction only: the one that is still open. */
    bool moved = f->moved == FACT_YES;
    if (f->state == LASTACK_FIN_WAIT_2)
        return f->orphan != FACT_YES &&
               (moved || (fact_known(f->data_in_us) && f->data_in_us <= options->moving_us &&
                          age_later(f->data_in_us, f->fin_out_us)));
    if (f->state != LASTACK_CLOSE_WAIT || number_over(f->retransmits, 1))
        return false; /* what is sent again and again looks young and does not arrive */
    bool flows = number_over(f->send_queue, 0) && f->send_window != 0 && f->retransmits == 0;
    return moved || flows || (has_answered(f) && f->data_out_us <= options->moving_us);
}

bool rules_half_closed(const struct facts *f)
{
    return is_close_wait(f) || (f->state == LASTACK_FIN_WAIT_2 && f->orphan != FACT_YES);
}

/* It has sent something after the peer's FIN, or may have: where the age of the FIN is a lower bound,
 * everything that was sent lately may be an answer. */
static bool may_have_answered(const struct facts *f)
{
    bool possible = f->answered == FACT_MAYBE && f->at_least == FACT_YES && f->bytes_out != 0;
    return (has_answered(f) || possible) && age_later(f->data_out_us, ANSWER_US) &&
           !number_over(f->retransmits, 1) && !facts_are_blocked(f);
}

/* Who has closed its half waits for the rest of what the peer has to say. */
static bool may_be_answered(const struct facts *f)
{
    return age_later(fact_known(f->fin_out_us) ? f->fin_out_us : f->state_us, ANSWER_US) ||
           age_later(f->data_in_us, ANSWER_US);
}

/* With `cause` for a finding. Who has closed it and cannot end it is done with it. */
static bool may_work(const struct rules_case *c, const struct finding *cause)
{
    const struct facts *f = c->f;
    if (may_be_accepted(c) || may_be_received(c) ||
        (cause->code == FINDING_WINDOW_SHUT && !cause->certain &&
         age_later(f->data_in_us, ANSWER_US)))
        return true;
    if (!rules_half_closed(f) || holders_all_forgotten(c) ||
        (cause->class == CLASS_SHARED && cause->certain))
        return false;
    if (f->state == LASTACK_FIN_WAIT_2)
        return may_be_answered(f);
    return may_be_answering(c) || may_have_answered(f);
}

/* ---- judging ---- */

static void find_cause(struct rules_case *c)
{
    static bool (*const rules[])(struct rules_case *) = {
        rule_open_at_exit, rule_listener, rule_unaccepted, rule_blocked,         rule_orphan,
        rule_waiting_peer, rule_dead,     rule_relay,      rule_closed_and_held, rule_half_close,
        rule_hidden,       rule_heir,     rule_worker,     rule_end_read,        rule_unread,
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i](c))
            return;
}

/* What keeps the cause company is often what has to change: its remedies come first. */
static void lead_remedies(struct rules_case *c)
{
    struct finding *cause = &c->out->all[c->from];
    struct text all;
    if (!cause->told)
        return;
    text_init(&all);
    for (uint32_t i = c->from + 1; i < c->out->cnt; i++)
        text_add(&all, text_string(&c->out->all[i].remedy));
    text_add(&all, text_string(&cause->remedy));
    text_free(&cause->remedy);
    cause->remedy = all;
}

void diagnose_one(struct findings *out, const struct facts_list *list, const struct facts *facts,
                  const struct rules_options *options)
{
    struct rules_case c = {list, facts, options ? options : &rules_defaults, out, out->cnt};
    out->list = list;
    out->grace_us = c.options->grace_us;
    out->moving_us = c.options->moving_us;
    find_cause(&c);
    if (out->cnt > c.from) {
        add_watchers(&c);
        add_many_holders(&c);
        add_stuck_holder(&c);
        lead_remedies(&c);
        bool working = may_work(&c, &out->all[c.from]);
        for (uint32_t i = c.from; i < out->cnt; i++)
            out->all[i].may_work = working;
    }
    for (uint32_t i = c.from; i < out->cnt; i++) {
        struct finding *finding = &out->all[i];
        if (!finding->told)
            finding->sentence = finding->evidence = finding->remedy = (struct text){0};
    }
}

void finding_tell(const struct findings *findings, struct finding *finding)
{
    struct rules_options options = {.grace_us = findings->grace_us,
                                    .moving_us = findings->moving_us};
    struct findings again;
    if (finding->told || !findings->list)
        return;
    findings_init(&again);
    diagnose_one(&again, findings->list, finding->about, &options);
    for (uint32_t i = 0; i < again.cnt; i++) {
        struct finding *same = &again.all[i];
        if (same->code != finding->code)
            continue;
        finding_free(finding);
        finding->sentence = same->sentence;
        finding->evidence = same->evidence;
        finding->remedy = same->remedy;
        finding->told = true;
        same->sentence = same->evidence = same->remedy = (struct text){0};
        break;
    }
    findings_free(&again);
}

/* Worst first, then oldest state first. */
static uint64_t place_key(const struct finding *first)
{
    const uint64_t ages = UINT64_MAX >> 2;
    uint64_t age_us = facts_age(first->about);
    return (uint64_t)(SEVERITY_CNT - 1 - first->severity) << 62 |
           (ages - (age_us < ages ? age_us : ages));
}

static uint32_t findings_of_record(const struct findings *out, uint32_t at)
{
    uint32_t cnt = 1;
    while (at + cnt < out->cnt && out->all[at + cnt].about == out->all[at].about)
        cnt++;
    return cnt;
}

/* The first finding of each record decides, so that a cause keeps its company. */
static bool sort_findings(struct findings *out, uint32_t from)
{
    uint32_t cnt = out->cnt - from, place_cnt = 0, to = 0;
    if (cnt < 2)
        return true;
    struct big_order *places = big_alloc(cnt * sizeof *places);
    struct finding *sorted = big_alloc(cnt * sizeof *sorted);
    bool good = places && sorted;
    for (uint32_t i = from; good && i < out->cnt; i += findings_of_record(out, i))
        places[place_cnt++] = (struct big_order){place_key(&out->all[i]), i};
    good = good && big_sort(places, place_cnt);
    for (uint32_t i = 0, n; good && i < place_cnt; i++, to += n) {
        n = findings_of_record(out, places[i].at);
        memcpy(&sorted[to], &out->all[places[i].at], n * sizeof *sorted);
    }
    if (good)
        memcpy(&out->all[from], sorted, cnt * sizeof *sorted);
    free(places);
    free(sorted);
    return good;
}

void diagnose(struct findings *out, const struct facts_list *list,
              const struct rules_options *options)
{
    uint32_t from = out->cnt;
    out->list = list;
    for (uint32_t i = 0; i < list->cnt && !out->failed; i++)
        diagnose_one(out, list, &list->all[i], options);
    if (!sort_findings(out, from))
        out->failed = true;
}
