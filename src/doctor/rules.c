/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of the rules, and what they share. */
#include "doctor/rules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
    finding->code = code;
    finding->class = finding_class_of(code);
    finding->severity = severity;
    finding->certain = certain;
    finding->about = c->f;
    finding->end_how = severity == SEVERITY_HEALTHY ? -1 : rules_end_how(c->f);
    return finding;
}

void line_printf(struct text *lines, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(lines, format, args);
    va_end(args);
    text_add(lines, "\n");
}

void evidence_holders(struct finding *finding, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        const char *origin = words_origin(h->origin);
        words_holder(&finding->evidence, f, h, false);
        if (origin)
            text_printf(&finding->evidence, "; it %s", origin);
        if (fact_known(h->since_us)) {
            text_add(&finding->evidence, origin ? " " : "; since ");
            words_duration(&finding->evidence, h->since_us);
            text_add(&finding->evidence, origin ? " ago" : "");
        }
        text_add(&finding->evidence, "\n");
    }
    if (fact_known(f->references) && f->references > f->holder_cnt)
        line_printf(&finding->evidence, "%llu of its %llu references could not be named",
                    (unsigned long long)(f->references - f->holder_cnt),
                    (unsigned long long)f->references);
}

void evidence_closes(struct finding *finding, const struct facts *f, uint64_t since_us)
{
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        if (!age_after(f->closes[i].age_us, since_us))
            continue;
        words_ago(&finding->evidence, f->closes[i].age_us);
        text_add(&finding->evidence, ": ");
        words_close(&finding->evidence, &f->closes[i]);
        text_add(&finding->evidence, "\n");
    }
}

/* ---- questions ---- */

bool holder_is_forgotten(const struct facts *f, const struct fact_holder *h)
{
    if (h->kind == FACT_HOLDER_MESSAGE || h->doing == FACT_DOING_STOPPED)
        return true;
    if (h->watching == FACT_YES || h->threads > 1)
        return false;
    switch (h->doing) {
    case FACT_DOING_ACCEPT:
    case FACT_DOING_WAIT_CHILD:
    case FACT_DOING_ZOMBIE:
        return true;
    case FACT_DOING_RECV:
    case FACT_DOING_CONNECT:
        return fact_known(h->doing_id) && h->doing_id != f->id;
    default:
        return false;
    }
}

bool holders_all_forgotten(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (!holder_is_forgotten(f, &f->holders[i]))
            return false;
    return f->holder_cnt > 0;
}

int rules_end_how(const struct facts *f)
{
    if (f->id == 0)
        return -1;
    bool blocked = facts_are_blocked(f); /* then a FIN cannot leave either */
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
    if (f->state == LASTACK_FIN_WAIT_2)
        return f->orphan != FACT_YES && fact_known(f->data_in_us) &&
               f->data_in_us <= options->moving_us && age_later(f->data_in_us, f->fin_out_us);
    if (f->state != LASTACK_CLOSE_WAIT)
        return false;
    bool sent_since = age_later(f->data_out_us, f->fin_in_us);
    bool flows = fact_known(f->send_queue) && f->send_queue > 0 && f->send_window != 0 &&
                 f->retransmits == 0;
    return flows || (sent_since && f->data_out_us <= options->moving_us);
}

/* ---- judging ---- */

void diagnose_one(struct findings *out, const struct facts_list *list, const struct facts *facts,
                  const struct rules_options *options)
{
    static bool (*const rules[])(struct rules_case *) = {
        rule_listener, rule_unaccepted, rule_blocked, rule_orphan, rule_waiting_peer,
        rule_shared,   rule_working,    rule_deaf,    rule_unread,
    };
    struct rules_case c = {list, facts, options ? options : &rules_defaults, out};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i](&c))
            break;
    rule_forgotten(&c);
}

/* Position of the first finding of each record decides, so that a cause keeps its company. */
struct place {
    struct finding *first;
    uint32_t cnt;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->first->severity != y->first->severity)
        return (int)y->first->severity - (int)x->first->severity;
    uint64_t p = x->first->about->state_us, q = y->first->about->state_us;
    p = fact_known(p) ? p : 0;
    q = fact_known(q) ? q : 0;
    if (p != q)
        return p > q ? -1 : 1;
    return x->first < y->first ? -1 : 1;
}

static bool sort_findings(struct findings *out, uint32_t from)
{
    uint32_t cnt = out->cnt - from, place_cnt = 0, at = 0;
    if (cnt < 2)
        return true;
    struct place *places = malloc(cnt * sizeof *places);
    struct finding *sorted = malloc(cnt * sizeof *sorted);
    if (places && sorted) {
        for (uint32_t i = from; i < out->cnt; i++) {
            struct finding *finding = &out->all[i];
            if (i == from || finding->about != finding[-1].about)
                places[place_cnt++] = (struct place){finding, 0};
            places[place_cnt - 1].cnt++;
        }
        qsort(places, place_cnt, sizeof *places, compare_places);
        for (uint32_t i = 0; i < place_cnt; at += places[i++].cnt)
            memcpy(&sorted[at], places[i].first, places[i].cnt * sizeof *sorted);
        memcpy(&out->all[from], sorted, cnt * sizeof *sorted);
    }
    bool good = places && sorted;
    free(places);
    free(sorted);
    return good;
}

void diagnose(struct findings *out, const struct facts_list *list,
              const struct rules_options *options)
{
    uint32_t from = out->cnt;
    for (uint32_t i = 0; i < list->cnt && !out->failed; i++)
        diagnose_one(out, list, &list->all[i], options);
    if (!sort_findings(out, from))
        out->failed = true;
}
