/* SPDX-License-Identifier: BSD-2-Clause */
/* Why nobody was told of what waits unread: what the pollers of the socket ask for, and what their
 * threads do. These findings keep a cause company; they are its reason. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define CPU_BUSY 80 /* percent of one core */

static const struct fact_holder *holder_of(const struct facts *f, uint32_t pid)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].pid == pid && pid != FACT_NO_PID)
            return &f->holders[i];
    return NULL;
}

static void say_program(struct text *out, const struct facts *f, uint32_t pid)
{
    const struct fact_holder *h = holder_of(f, pid);
    words_process(out, pid, h ? h->program : "");
}

/* "the epoll (descriptor 5) of process 7 (web)" */
static void say_epoll(struct text *out, const struct facts *f, const struct fact_watch *w)
{
    text_add(out, "the epoll ");
    if (w->fd >= 0)
        text_printf(out, "(descriptor %d) ", w->fd);
    text_add(out, "of ");
    say_program(out, f, w->pid);
}

static void evidence_watch(struct finding *finding, const struct rules_case *c,
                           const struct fact_watch *w)
{
    if (w->object[0]) {
        text_add(&finding->evidence, "its epoll data points at ");
        text_add_shown(&finding->evidence, w->object);
        text_add(&finding->evidence, "\n");
    }
    evidence_thread(finding, c, w->pid, w->doing_at);
    evidence_holders(finding, c->f);
}

/* ---- one watcher ---- */

/* Not `certain`: it may have fired for the end itself, or be armed again by who works on what it told. */
static void say_spent(struct rules_case *c, const struct fact_watch *w, enum severity severity,
                      bool certain)
{
    struct finding *finding = finding_add(c, FINDING_ONE_SHOT_SPENT, severity, certain);
    say_epoll(&finding->sentence, c->f, w);
    text_add(&finding->sentence, " has it with EPOLLONESHOT, which fired and was not armed again");
    text_add(&finding->sentence, certain ? ": it will never tell of the end" : "");
    evidence_watch(finding, c, w);
    line_printf(&finding->remedy, "epoll_ctl(EPOLL_CTL_MOD) on every path after the event was "
                                  "handled, errors too; or close");
}

static void say_no_interest(struct rules_case *c, const struct fact_watch *w,
                            enum severity severity, bool certain)
{
    struct finding *finding = finding_add(c, FINDING_NO_READ_INTEREST, severity, certain);
    say_epoll(&finding->sentence, c->f, w);
    text_add(&finding->sentence, " does not ask for reading (neither EPOLLIN nor EPOLLRDHUP): it "
                                 "will not tell of the end");
    line_printf(&finding->evidence, "it asks for events 0x%x", w->events);
    evidence_watch(finding, c, w);
    line_printf(&finding->remedy, "add EPOLLRDHUP while reading is paused (back-pressure), and "
                                  "resume reading when the output has drained");
}

static void say_edge_missed(struct rules_case *c, const struct fact_watch *w,
                            enum severity severity)
{
    struct finding *finding = finding_add(c, FINDING_EDGE_MISSED, severity, false);
    say_epoll(&finding->sentence, c->f, w);
    text_add(&finding->sentence, " is edge-triggered and told of it once; its loop waits in "
                                 "epoll_wait() and the rest was not read");
    evidence_watch(finding, c, w);
    line_printf(&finding->remedy, "with EPOLLET read until recv() says EAGAIN or 0, each time");
}

static void say_loop_busy(struct rules_case *c, const struct fact_watch *w, bool certain)
{
    const struct facts *f = c->f;
    const struct fact_holder *h = holder_of(f, w->pid);
    struct finding *finding = finding_add(c, FINDING_LOOP_BUSY, SEVERITY_ATTENTION, certain);
    struct text *out = &finding->sentence;
    say_epoll(out, f, w);
    text_add(out, " has something to tell, and its loop ");
    text_add(out, certain ? "does not come back to epoll_wait()" : "is not in epoll_wait() now");
    struct fact_holder thread = {.doing = w->doing, .doing_id = FACT_UNKNOWN};
    snprintf(thread.doing_text, sizeof thread.doing_text, "%s", w->doing_text);
    if (w->doing != FACT_DOING_UNKNOWN) {
        text_add(out, ": the thread ");
        words_doing(out, f, &thread);
    }
    if (facts_site(c->list, w->doing_at)) {
        text_add(out, " at ");
        words_site(out, facts_site(c->list, w->doing_at));
    }
    if (h && h->cpu_percent != FACT_NO_CPU)
        line_printf(&finding->evidence, "process %u uses %u %% of a core%s", h->pid, h->cpu_percent,
                    h->cpu_percent >= CPU_BUSY ? ": it is busy, or spins" : "");
    evidence_watch(finding, c, w);
    line_printf(&finding->remedy, "keep long work and blocking calls out of the loop (a worker "
                                  "thread, or a timeout on the call it waits in)");
}

/* The loop is told of the end in every round, and nobody acts on it. */
static void say_spins(struct rules_case *c)
{
    const struct facts *f = c->f;
    for (uint32_t i = 0; i < f->watch_cnt; i++) {
        const struct fact_watch *w = &f->watches[i];
        const struct fact_holder *h = holder_of(f, w->pid);
        if (w->kind != FACT_WATCH_EPOLL || !watch_reads(w) || w->edge != FACT_NO || !h ||
            h->cpu_percent == FACT_NO_CPU || h->cpu_percent < CPU_BUSY)
            continue;
        line_printf(&finding_last(c)->evidence,
                    "process %u uses %u %% of a core: its epoll tells of the end in every round, "
                    "and it spins",
                    h->pid, h->cpu_percent);
        return;
    }
}

/* ---- all of them ---- */

/* The one that explains most: one that would have told comes before one that could not. */
static const struct fact_watch *best_watch(const struct facts *f)
{
    const struct fact_watch *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < f->watch_cnt; i++) {
        const struct fact_watch *w = &f->watches[i];
        int rank = 1;
        if (w->kind != FACT_WATCH_EPOLL)
            return NULL; /* a thread sits in a call on it: it will be woken */
        if (watch_reads(w))
            rank = w->edge == FACT_YES ? 3 : 4;
        else if (w->spent == FACT_YES)
            rank = 2;
        if (rank > best_rank) {
            best = w;
            best_rank = rank;
        }
    }
    return best;
}

static void say_nobody(struct rules_case *c, enum severity severity, bool certain)
{
    struct finding *finding = finding_add(c, FINDING_NOBODY_WATCHES, severity, certain);
    text_add(&finding->sentence, "no poller has it and no call waits on it");
    text_add(&finding->sentence, certain ? ": nobody will ever notice" : "");
    evidence_holders(finding, c->f);
    line_printf(&finding->remedy, "add it to the poller (EPOLLIN | EPOLLRDHUP), or close it where "
                                  "it was put aside");
}

void add_watchers(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct finding *cause = &c->out->all[c->from];
    enum severity severity = cause->severity;
    bool certain = cause->certain;
    if (cause->class == CLASS_DEAF && is_close_wait(f)) {
        say_spins(c);
        return;
    }
    if (cause->code != FINDING_UNREAD_DATA && cause->code != FINDING_UNREAD_END &&
        cause->code != FINDING_WINDOW_SHUT)
        return;
    if (severity < SEVERITY_ATTENTION)
        return; /* who comes back needs no telling */
    const struct fact_watch *w = best_watch(f);
    if (f->watch_cnt == 0 && f->watchers_known == FACT_YES && f->holder_cnt > 0) {
        say_nobody(c, severity, certain);
    } else if (w && w->spent == FACT_YES) {
        say_spent(c, w, severity, certain);
    } else if (w && !watch_reads(w)) {
        say_no_interest(c, w, severity, certain);
    } else if (w && w->edge == FACT_YES && w->waited == FACT_YES) {
        say_edge_missed(c, w, severity);
    } else if (w && w->waited == FACT_NO) {
        say_loop_busy(c, w, certain);
    } else {
        line_printf(&c->out->all[c->from].remedy,
                    "keep the descriptor in poll or epoll with POLLRDHUP (EPOLLRDHUP) "
                    "while its data is not wanted");
    }
}
