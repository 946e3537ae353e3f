/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions that rules ask of the facts, and lines of evidence that they share. */
#include <string.h>
#include <sys/epoll.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define HOLDERS_SHOWN 3 /* in a sentence */
#define HOLDERS_LINES 8 /* of evidence */

/* ---- questions ---- */

bool has_answered(const struct facts *f)
{
    if (f->answered != FACT_MAYBE)
        return f->answered == FACT_YES;
    return age_later(f->data_out_us, f->fin_in_us);
}

bool watch_reads(const struct fact_watch *w)
{
    if (w->kind != FACT_WATCH_EPOLL && w->kind != FACT_WATCH_POLL)
        return true;
    return w->spent != FACT_YES && (w->events & (EPOLLIN | EPOLLRDNORM | EPOLLRDHUP));
}

/* Output that is taken slowly says nothing about its own input. */
static bool is_in_output(const struct facts *f, const struct fact_holder *h)
{
    static const char *const calls[] = {"write", "writev", "pwritev2", "splice", "sendfile"};
    if (h->doing == FACT_DOING_SEND)
        return h->doing_id != f->id;
    for (size_t i = 0; h->doing == FACT_DOING_OTHER && i < sizeof calls / sizeof *calls; i++)
        if (strcmp(h->doing_text, calls[i]) == 0)
            return true;
    return false;
}

static bool sleeps_for_a_while(const struct fact_holder *h)
{
    return h->doing == FACT_DOING_SLEEP && (strstr(h->doing_text, "nanosleep") != NULL ||
                                            strcmp(h->doing_text, "sigtimedwait") == 0);
}

bool holder_may_serve(const struct facts *f, const struct fact_holder *h)
{
    bool stranger =
        f->creator_pid != FACT_NO_PID && f->creator_holds == FACT_NO && h->pid != f->creator_pid;
    bool same = strcmp(f->creator_program, h->program) == 0;
    if (h->kind != FACT_HOLDER_DESCRIPTOR ||
        !(h->origin == FACT_ORIGIN_FORK || (h->origin == FACT_ORIGIN_UNKNOWN && stranger && same)))
        return false;
    return h->doing == FACT_DOING_RECV || h->doing == FACT_DOING_CONNECT ||
           h->doing == FACT_DOING_WAIT_CHILD || is_in_output(f, h) || sleeps_for_a_while(h);
}

bool any_may_serve(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (holder_may_serve(f, &f->holders[i]))
            return true;
    return false;
}

bool any_in_output(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (is_in_output(f, &f->holders[i]))
            return true;
    return false;
}

bool any_comes_back(const struct facts *f, uint64_t age_us)
{
    if (any_in_output(f))
        return true;
    for (uint32_t i = 0; i < f->holder_cnt && !age_over(age_us, COMES_BACK_US); i++) {
        const struct fact_holder *h = &f->holders[i];
        if (sleeps_for_a_while(h) || holder_may_serve(f, h) ||
            (h->doing == FACT_DOING_WAIT_CHILD && h->kind == FACT_HOLDER_DESCRIPTOR))
            return true;
    }
    return false;
}

/* A client that waits for nothing is not asked for anything. */
static bool has_last_word(const struct facts *f)
{
    return fact_known(f->data_out_us) &&
           (f->data_in_us == FACT_NEVER || age_later(f->data_out_us, f->data_in_us));
}

bool holder_asks(const struct rules_case *c, const struct fact_holder *h)
{
    if (h->doing == FACT_DOING_WAIT_CHILD)
        return true;
    if ((h->doing != FACT_DOING_RECV && h->doing != FACT_DOING_CONNECT) ||
        !fact_known(h->doing_id) || h->doing_id == c->f->id)
        return false;
    const struct facts *other = facts_list_find_in(c->list, c->f->stack, h->doing_id);
    return !other || other->passive != FACT_YES || has_last_word(other);
}

/* A poll of few, whatever they are: a driver of a database waits so, where a loop has its epoll. */
static bool polls_others(const struct facts *f, const struct fact_holder *h)
{
    return h->doing == FACT_DOING_POLL && f->watch_cnt == 0 && h->doing_text[0] &&
           strncmp(h->doing_text, "epoll", 5) != 0;
}

bool holder_may_come(const struct rules_case *c, const struct fact_holder *h)
{
    if (h->doing == FACT_DOING_STOPPED || h->pid == FACT_NO_PID)
        return false;
    bool works = h->doing == FACT_DOING_RUNNING || h->doing == FACT_DOING_OTHER ||
                 is_in_output(c->f, h) || sleeps_for_a_while(h) || polls_others(c->f, h);
    return h->threads > 1 || works || holder_asks(c, h);
}

bool any_may_come(const struct rules_case *c, uint64_t age_us)
{
    for (uint32_t i = 0; i < c->f->holder_cnt && age_later(age_us, ANSWER_US); i++)
        if (holder_may_come(c, &c->f->holders[i]))
            return true;
    return false;
}

bool may_be_accepted(const struct rules_case *c)
{
    const struct facts *f = c->f;
    uint64_t born_us = fact_known(f->born_us) ? f->born_us : f->state_us;
    struct rules_case at = *c;
    if (f->unaccepted != FACT_YES || f->state == LASTACK_CLOSED)
        return false;
    at.f = facts_list_find_in(c->list, f->stack, f->listener_id);
    return at.f && any_may_come(&at, fact_known(fin_age(f)) ? fin_age(f) : born_us);
}

/* Since the request, or the end behind it. */
static uint64_t request_age(const struct facts *f)
{
    if (is_close_wait(f))
        return fin_age(f);
    return fact_known(f->data_in_us) ? f->data_in_us : f->state_us;
}

static bool is_on_its_way(const struct rules_case *c, const struct fact_holder *h)
{
    return h->kind == FACT_HOLDER_MESSAGE && age_later(request_age(c->f), ANSWER_US) &&
           holder_may_come(c, h);
}

bool may_be_received(const struct rules_case *c)
{
    for (uint32_t i = 0; i < c->f->holder_cnt; i++)
        if (is_on_its_way(c, &c->f->holders[i]))
            return true;
    return false;
}

/* A proxy that waits for its other leg, and whoever asks somebody while an answer may be due. */
static bool asks_for_it(const struct rules_case *c, const struct fact_holder *h)
{
    const struct facts *f = c->f;
    bool shut = window_is_shut(f) && h->doing != FACT_DOING_WAIT_CHILD;
    if ((!is_close_wait(f) && !shut) || !holder_asks(c, h))
        return false;
    return (f->relay_id && h->doing_id == f->relay_id) ||
           (f->bytes_in != 0 && age_later(request_age(f), ANSWER_US));
}

bool holder_is_forgotten(const struct rules_case *c, const struct fact_holder *h)
{
    const struct facts *f = c->f;
    if (h->kind == FACT_HOLDER_MESSAGE)
        return !is_on_its_way(c, h);
    if (h->doing == FACT_DOING_STOPPED)
        return true;
    if (h->kind != FACT_HOLDER_DESCRIPTOR || h->watching == FACT_YES || h->threads > 1 ||
        holder_may_serve(f, h) || asks_for_it(c, h))
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

bool holders_all_forgotten(const struct rules_case *c)
{
    for (uint32_t i = 0; i < c->f->holder_cnt; i++)
        if (!holder_is_forgotten(c, &c->f->holders[i]))
            return false;
    return c->f->holder_cnt > 0;
}

#define LINGER_MAX_US UINT64_C(600000000) /* no sibling excuses more */

/* The last word was ours: hardly anything is due. Else as long as an answer may take; longer, if others
 * from the same place took longer and were closed. */
static uint64_t patience(const struct facts *f)
{
    uint64_t us = age_later(f->data_out_us, f->data_in_us) ? REST_US : ANSWER_US;
    uint64_t sibling_us = fact_known(f->sibling_linger_us) ? f->sibling_linger_us : 0;
    sibling_us = sibling_us > LINGER_MAX_US / 2 ? LINGER_MAX_US : sibling_us * 2;
    return sibling_us > us ? sibling_us : us;
}

bool may_be_answering(const struct rules_case *c)
{
    const struct facts *f = c->f;
    uint64_t age_us = fact_known(f->eof_read_us) ? f->eof_read_us : fin_age(f);
    return is_close_wait(f) && f->bytes_in != 0 && !has_answered(f) &&
           !age_over(age_us, patience(f)) && !holders_all_forgotten(c);
}

fact_bool holder_is_at_work(const struct rules_case *c, const struct fact_holder *h)
{
    const struct facts *f = c->f;
    if (h->doing == FACT_DOING_RUNNING || h->watching == FACT_YES)
        return FACT_YES;
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        if (f->watches[i].pid == h->pid && h->pid != FACT_NO_PID)
            return FACT_YES;
    if (h->doing == FACT_DOING_STOPPED || h->doing == FACT_DOING_ZOMBIE || h->watching == FACT_NO ||
        f->watchers_known == FACT_YES)
        return FACT_NO;
    if (h->doing == FACT_DOING_RECV || h->doing == FACT_DOING_SEND)
        return !fact_known(h->doing_id) ? FACT_MAYBE : h->doing_id == f->id ? FACT_YES : FACT_NO;
    return holder_is_forgotten(c, h) ? FACT_NO : FACT_MAYBE;
}

bool any_holder_runs(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].doing == FACT_DOING_RUNNING)
            return true;
    return false;
}

bool nobody_watches(const struct facts *f)
{
    if (f->watch_cnt > 0 || f->holder_cnt == 0)
        return false;
    if (f->watchers_known == FACT_YES)
        return true;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].watching != FACT_NO)
            return false;
    return true;
}

uint32_t descriptor_cnt(const struct facts *f)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        cnt += f->holders[i].kind == FACT_HOLDER_DESCRIPTOR;
    return cnt;
}

uint32_t process_cnt(const struct facts *f)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < f->holder_cnt && i < 64; i++) {
        bool seen = f->holders[i].kind != FACT_HOLDER_DESCRIPTOR;
        for (uint32_t j = 0; j < i && !seen; j++)
            seen = f->holders[j].kind == FACT_HOLDER_DESCRIPTOR &&
                   f->holders[j].pid == f->holders[i].pid;
        cnt += !seen;
    }
    return cnt;
}

/* ---- words ---- */

void line_printf(struct text *lines, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(lines, format, args);
    va_end(args);
    text_add(lines, "\n");
}

void say_ago(struct text *out, const struct facts *f, uint64_t age_us)
{
    if (fact_known(age_us) && age_us >= 1000 && f->at_least == FACT_YES)
        text_add(out, "at least ");
    words_ago(out, age_us);
}

void say_fin(struct text *out, const struct facts *f)
{
    text_add(out, "the peer's FIN came ");
    say_ago(out, f, fin_age(f));
}

void say_holders(struct text *out, const struct facts *f, bool still)
{
    if (f->holder_cnt == 0)
        text_add(out, still ? "another reference to it stays" : "who holds it is not known");
    for (uint32_t i = 0; i < f->holder_cnt && i < HOLDERS_SHOWN; i++) {
        text_add(out, i ? "; " : "");
        words_holder(out, f, &f->holders[i], still);
    }
    if (f->holder_cnt > HOLDERS_SHOWN)
        text_printf(out, "; and %u more", f->holder_cnt - HOLDERS_SHOWN);
}

/* ---- evidence ---- */

static void evidence_holder(struct finding *finding, const struct facts *f,
                            const struct fact_holder *h)
{
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

void evidence_holders(struct finding *finding, const struct facts *f)
{
    uint32_t shown = f->holder_cnt <= HOLDERS_LINES ? f->holder_cnt : HOLDERS_LINES;
    for (uint32_t i = 0; i < shown; i++)
        evidence_holder(finding, f, &f->holders[i]);
    if (shown < f->holder_cnt)
        line_printf(&finding->evidence, "and %u more hold it", f->holder_cnt - shown);
    if (fact_known(f->references) && f->references > f->holder_cnt)
        line_printf(&finding->evidence, "%llu of its %llu references could not be named",
                    (unsigned long long)(f->references - f->holder_cnt),
                    (unsigned long long)f->references);
    if (f->container[0]) {
        text_add(&finding->evidence, "in container ");
        text_add_shown(&finding->evidence, f->container);
        text_add(&finding->evidence, "\n");
    }
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

void evidence_peer(struct finding *finding, const struct rules_case *c)
{
    const struct facts *peer = facts_list_peer(c->list, c->f);
    if (!peer)
        return;
    text_add(&finding->evidence, "the other end is ");
    if (strcmp(peer->stack, c->f->stack) != 0) {
        text_add_shown(&finding->evidence, peer->stack);
        text_add(&finding->evidence, "/");
    }
    text_printf(&finding->evidence, "%llu (%s)", (unsigned long long)peer->id,
                fact_state_name(peer->state));
    for (uint32_t i = 0; i < peer->holder_cnt && i < HOLDERS_SHOWN; i++) {
        text_add(&finding->evidence, i ? "; " : ": ");
        words_holder(&finding->evidence, peer, &peer->holders[i], false);
    }
    text_add(&finding->evidence, "\n");
}

void evidence_turn(struct finding *finding, bool soon)
{
    if (soon)
        line_printf(&finding->evidence, "who is to take it up may be at work for others, and come to it "
                                        "then: it has waited for less than a minute");
}

static void add_place(struct text *line, const struct rules_case *c, const char *before,
                      fact_site_id id)
{
    const struct fact_site *site = facts_site(c->list, id);
    if (!site)
        return;
    if (line->len)
        text_add(line, "; ");
    text_add(line, before);
    words_site(line, site);
}

void evidence_places(struct finding *finding, const struct rules_case *c)
{
    const struct facts *f = c->f;
    struct text line;
    if (finding->evidence.failed)
        return;
    text_init(&line);
    add_place(&line, c, "born at ", f->born_at);
    add_place(&line, c, "the end was read at ", f->eof_read_at);
    if (facts_site(c->list, f->sibling_close_at) && number_over(f->sibling_closed_cnt, 0)) {
        text_add(&line, line.len ? "; " : "");
        text_printf(&line, "%llu", (unsigned long long)f->sibling_closed_cnt);
        if (fact_known(f->sibling_cnt))
            text_printf(&line, " of %llu", (unsigned long long)f->sibling_cnt);
        text_add(&line, " siblings born there are closed at ");
        words_site(&line, facts_site(c->list, f->sibling_close_at));
        text_add(&line, ": this one never came there");
    }
    if (line.len)
        line_printf(&finding->evidence, "%s", text_string(&line));
    text_free(&line);
}

void evidence_thread(struct finding *finding, const struct rules_case *c, uint32_t pid,
                     fact_site_id at)
{
    const struct fact_site *site = facts_site(c->list, at);
    if (!site)
        return;
    text_printf(&finding->evidence, "process %u sits at ", pid);
    words_site(&finding->evidence, site);
    text_add(&finding->evidence, "\n");
}
