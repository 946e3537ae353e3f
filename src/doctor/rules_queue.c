/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about a listener's queue: full, no descriptors, never accepted, waits too long. */
#include <string.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define WAIT_GRACES 3 /* a busy server may take so many times the grace until it accepts */

static void evidence_listener(struct finding *finding, const struct facts *listener)
{
    if (!listener)
        return;
    text_printf(&finding->evidence, "listener %llu on ", (unsigned long long)listener->id);
    words_end(&finding->evidence, &listener->tuple.local, listener->tuple.local_port);
    if (fact_known(listener->receive_queue) && fact_known(listener->send_queue))
        text_printf(&finding->evidence, ": %llu wait, backlog %llu",
                    (unsigned long long)listener->receive_queue,
                    (unsigned long long)listener->send_queue);
    text_add(&finding->evidence, "\n");
    evidence_holders(finding, listener);
}

/* Where the threads that should accept sit instead. */
static void evidence_owners(struct finding *finding, const struct rules_case *c,
                            const struct facts *listener)
{
    for (uint32_t i = 0; listener && i < listener->holder_cnt && i < 3; i++)
        evidence_thread(finding, c, listener->holders[i].pid, listener->holders[i].doing_at);
}

static bool all_holders_stopped(const struct facts *listener)
{
    for (uint32_t i = 0; listener && i < listener->holder_cnt; i++)
        if (listener->holders[i].doing != FACT_DOING_STOPPED)
            return false;
    return listener && listener->holder_cnt > 0;
}

static void accept_remedy(struct finding *finding, const struct facts *listener)
{
    if (all_holders_stopped(listener) && listener->holders[0].pid != FACT_NO_PID)
        line_printf(&finding->remedy, "let its process go on: kill -CONT %u",
                    listener->holders[0].pid);
    line_printf(&finding->remedy,
                "the missing call is accept(): see what the holder of the listener is "
                "doing; give it more workers, or a thread that only accepts");
    line_printf(&finding->remedy,
                "if accept() fails with EMFILE, look for the descriptors that are "
                "never closed");
}

/* Every process that could accept is at its limit of descriptors. */
static bool is_out_of_descriptors(const struct facts *listener)
{
    if (!listener || listener->holder_cnt == 0)
        return false;
    for (uint32_t i = 0; i < listener->holder_cnt; i++) {
        const struct fact_holder *h = &listener->holders[i];
        if (h->kind != FACT_HOLDER_DESCRIPTOR || h->fd_limit == 0 || h->fd_cnt < h->fd_limit)
            return false;
    }
    return true;
}

/* ---- one that waits ---- */

static void say_end_in_queue(struct rules_case *c, const struct facts *listener, bool reset)
{
    const struct facts *f = c->f;
    bool soon = may_be_accepted(c);
    struct finding *finding = finding_add(
        c, FINDING_NEVER_ACCEPTED, soon ? SEVERITY_ATTENTION : SEVERITY_PROBLEM, !soon);
    struct text *out = &finding->sentence;
    text_add(out, reset ? "the peer reset it" : "the peer came, and closed its half ");
    if (!reset)
        say_ago(out, f, fin_age(f));
    text_add(out,
             " while it waited in the listener's queue: no process has accepted it");
    text_add(out, soon ? " yet" : ", so nobody can close it");
    evidence_turn(finding, soon);
    if (number_over(f->receive_queue, 0)) {
        words_bytes(&finding->evidence, f->receive_queue);
        text_add(&finding->evidence, " wait in it\n");
    }
    evidence_listener(finding, listener);
    evidence_owners(finding, c, listener);
    accept_remedy(finding, listener);
}

static void say_waits(struct rules_case *c, const struct facts *listener)
{
    const struct facts *f = c->f;
    bool stopped = all_holders_stopped(listener);
    struct finding *finding =
        finding_add(c, FINDING_ACCEPT_WAITS, stopped ? SEVERITY_PROBLEM : SEVERITY_ATTENTION,
                    !may_be_accepted(c));
    text_add(&finding->sentence, "it waits to be accepted for ");
    text_add(&finding->sentence, f->at_least == FACT_YES ? "at least " : "");
    words_duration(&finding->sentence, fact_known(f->born_us) ? f->born_us : f->state_us);
    text_add(&finding->sentence, ": no process holds it yet");
    evidence_turn(finding, !finding->certain);
    evidence_listener(finding, listener);
    evidence_owners(finding, c, listener);
    accept_remedy(finding, listener);
}

bool rule_unaccepted(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (f->unaccepted != FACT_YES)
        return false;
    const struct facts *listener = facts_list_find_in(c->list, f->stack, f->listener_id);
    bool reset = f->state == LASTACK_CLOSED;
    uint64_t waits_us = fact_known(f->born_us) ? f->born_us : f->state_us;
    if (reset || age_over(fin_age(f), c->options->grace_us))
        say_end_in_queue(c, listener, reset);
    else if (f->state == LASTACK_ESTABLISHED &&
             age_over(waits_us, WAIT_GRACES * c->options->grace_us))
        say_waits(c, listener);
    return true; /* no other rule applies without a holder */
}

/* ---- the listener ---- */

/* A full queue that moves is a burst: somebody must have waited in it. */
static bool is_overdue(const struct rules_case *c)
{
    for (uint32_t i = 0; i < c->list->cnt; i++) {
        const struct facts *f = &c->list->all[i];
        if (f->unaccepted == FACT_YES && f->listener_id == c->f->id &&
            strcmp(f->stack, c->f->stack) == 0 &&
            age_over(fact_known(f->born_us) ? f->born_us : f->state_us, c->options->grace_us))
            return true;
    }
    return false;
}

static void say_full(struct rules_case *c)
{
    const struct facts *f = c->f;
    struct finding *finding = finding_add(c, FINDING_QUEUE_FULL, SEVERITY_PROBLEM, true);
    text_add(&finding->sentence, "the accept queue of the listener on ");
    words_end(&finding->sentence, &f->tuple.local, f->tuple.local_port);
    text_printf(&finding->sentence,
                " is full (%llu wait, backlog %llu): new connections are refused",
                (unsigned long long)f->receive_queue, (unsigned long long)f->send_queue);
    if (number_over(f->overflows, 0))
        line_printf(&finding->evidence, "%llu connections were turned away so far",
                    (unsigned long long)f->overflows);
    evidence_holders(finding, f);
    evidence_owners(finding, c, f);
    accept_remedy(finding, f);
}

static void say_no_descriptors(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct fact_holder *h = &f->holders[0];
    struct finding *finding = finding_add(c, FINDING_NO_DESCRIPTORS, SEVERITY_PROBLEM, true);
    words_process(&finding->sentence, h->pid, h->program);
    text_printf(&finding->sentence,
                " has %u of %u descriptors in use: accept() fails with EMFILE, and %llu "
                "connection%s on ",
                h->fd_cnt, h->fd_limit, (unsigned long long)f->receive_queue,
                f->receive_queue == 1 ? " waits" : "s wait");
    words_end(&finding->sentence, &f->tuple.local, f->tuple.local_port);
    evidence_holders(finding, f);
    line_printf(&finding->remedy,
                "find the descriptors that are never closed: lastack why --pid %u", h->pid);
    line_printf(&finding->remedy, "until then a higher limit helps: prlimit --pid %u --nofile=%u",
                h->pid, h->fd_limit < UINT32_MAX / 2 ? h->fd_limit * 2 : h->fd_limit);
}

/* True: it is a listener, healthy or not. */
bool rule_listener(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (f->state != LASTACK_LISTEN)
        return false;
    if (!number_over(f->receive_queue, 0) || !fact_known(f->send_queue))
        return true;
    /* The kernel takes one more than the backlog. */
    uint64_t room = f->send_queue + (f->source == FACT_SOURCE_KERNEL);
    bool full = f->receive_queue >= room, stuck = is_out_of_descriptors(f);
    if ((!full && !stuck) || !is_overdue(c))
        return true;
    if (stuck)
        say_no_descriptors(c);
    if (full)
        say_full(c);
    return true;
}
