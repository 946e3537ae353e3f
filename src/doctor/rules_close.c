/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about a peer that is done while this side is not: working, shared, deaf, unread, forgotten.
 */
#include <stdio.h>
#include <string.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define HOLDERS_SHOWN 3 /* in a sentence */

static bool is_close_wait(const struct facts *f)
{
    return f->state == LASTACK_CLOSE_WAIT && f->unaccepted != FACT_YES;
}

/* "process 1 holds descriptor 4 and ...; process 2 holds ..." */
static void say_holders(struct text *out, const struct facts *f, bool still)
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

static void say_fin(struct text *out, const struct facts *f)
{
    text_add(out, "the peer's FIN came ");
    words_ago(out, f->fin_in_us);
}

/* ---- working ---- */

bool rule_working(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (!is_close_wait(f) || !rules_half_close_works(f, c->options))
        return false;
    struct finding *finding = finding_add(c, FINDING_HALF_CLOSE, SEVERITY_HEALTHY, true);
    say_fin(&finding->sentence, f);
    text_add(&finding->sentence, ", and this side still sends: a half-close on purpose");
    if (fact_known(f->data_out_us)) {
        text_add(&finding->evidence, "the program last gave data to send ");
        words_ago(&finding->evidence, f->data_out_us);
        text_add(&finding->evidence, "\n");
    }
    if (fact_known(f->send_queue))
        line_printf(&finding->evidence, "%llu bytes are on their way to the peer",
                    (unsigned long long)f->send_queue);
    evidence_holders(finding, f);
    return true;
}

/* ---- shared ---- */

/* A holder whose descriptor is not the one that was meant to be used: the process that opened or
 * accepted the socket while another one closed it, or a second descriptor of the one that closed.
 */
static bool holder_is_left_over(const struct fact_holder *h, const struct fact_call *close)
{
    if (h->kind != FACT_HOLDER_DESCRIPTOR || h->origin == FACT_ORIGIN_EXEC)
        return true;
    if (h->pid == close->pid && close->pid != FACT_NO_PID)
        return true;
    return h->origin == FACT_ORIGIN_ACCEPT || h->origin == FACT_ORIGIN_SOCKET;
}

/* Every descriptor that stays is one of those, and none of their processes is at work. */
static bool holders_all_left_over(const struct facts *f, const struct fact_call *close)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (!holder_is_left_over(&f->holders[i], close) ||
            f->holders[i].doing == FACT_DOING_RUNNING)
            return false;
    return f->holder_cnt > 0;
}

/* The close that was meant to end the connection and could not; NULL if there is none. `certain`
 * says how sure that is.
 *
 * A close that leaves references is how a forking server should work: the parent closes its copy
 * and the child goes on. What tells the leak from that is who is left: somebody whose turn it is
 * not, or somebody who can do nothing with it; and that the close came after the peer's FIN. A
 * process that merely exits may have had the descriptor by accident, and closed nothing on purpose.
 */
static const struct fact_call *shared_close(const struct rules_case *c, bool *certain)
{
    const struct facts *f = c->f;
    const struct fact_call *last = f->close_cnt ? &f->closes[f->close_cnt - 1] : NULL;
    if (!last || last->left == 0 || f->references == 0 ||
        !age_over(last->age_us, c->options->grace_us))
        return NULL;
    if (f->shut_wr == FACT_YES || f->unaccepted == FACT_YES)
        return NULL;
    if (age_later(f->data_out_us, last->age_us))
        return NULL; /* another holder still sends */
    bool all_forgotten = holders_all_forgotten(f);
    bool after_fin = age_after(last->age_us, f->fin_in_us);
    bool left_over = after_fin && holders_all_left_over(f, last);
    bool was_read = age_after(last->age_us, f->eof_read_us); /* the one who closed was done */
    bool deliberate = last->kind == FACT_CALL_CLOSE || last->kind == FACT_CALL_DUP_OVER;
    *certain = after_fin && (all_forgotten || was_read || (left_over && deliberate));
    return *certain || left_over || all_forgotten ? last : NULL;
}

static void shared_remedy(struct finding *finding, const struct facts *f,
                          const struct fact_call *close)
{
    struct text *out = &finding->remedy;
    const struct fact_holder *h = f->holder_cnt ? &f->holders[0] : NULL;
    if (h && h->kind == FACT_HOLDER_MESSAGE) {
        line_printf(out,
                    "receive that message and close the descriptor, or close the AF_UNIX socket "
                    "in which it waits");
    } else if (h && h->pid == close->pid && h->pid != FACT_NO_PID) {
        line_printf(out,
                    "close descriptor %d too: the process had more than one for this socket "
                    "(dup, dup2, fcntl)",
                    h->fd);
    } else if (h && h->origin == FACT_ORIGIN_EXEC) {
        line_printf(out,
                    "make the descriptor close-on-exec (SOCK_CLOEXEC in socket() and accept4()), "
                    "so that programs that are started do not keep it");
    } else if (h && h->origin == FACT_ORIGIN_FORK) {
        line_printf(out, "close it in the child that does not use it, right after fork()");
    } else {
        line_printf(out, "close it in the parent after fork()");
    }
    line_printf(out,
                "or call shutdown(fd, SHUT_RDWR) before close(fd) in the %s that ends the "
                "conversation: that sends the FIN whatever the count",
                h && h->origin == FACT_ORIGIN_FORK ? "process" : "child");
}

static const char *shared_code(const struct facts *f, const struct fact_call *close)
{
    const struct fact_holder *h = f->holder_cnt ? &f->holders[0] : NULL;
    if (!h)
        return FINDING_LAST_CLOSE_MISSING;
    if (h->kind == FACT_HOLDER_MESSAGE)
        return FINDING_HELD_BY_MESSAGE;
    if (h->pid == close->pid && h->pid != FACT_NO_PID)
        return FINDING_DUP_HOLDS;
    bool heir = h->origin == FACT_ORIGIN_FORK || h->origin == FACT_ORIGIN_EXEC ||
                h->origin == FACT_ORIGIN_MESSAGE;
    return heir ? FINDING_HEIR_HOLDS : FINDING_LAST_CLOSE_MISSING;
}

bool rule_shared(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool certain = false, after_fin;
    const struct fact_call *close = NULL;
    if (is_close_wait(f) || f->state == LASTACK_ESTABLISHED)
        close = shared_close(c, &certain);
    if (!close)
        return false;
    after_fin = age_after(close->age_us, f->fin_in_us);
    struct finding *finding = finding_add(c, shared_code(f, close), SEVERITY_PROBLEM, certain);
    struct text *out = &finding->sentence;
    if (after_fin) {
        say_fin(out, f);
        text_add(out, "; then ");
    } else {
        words_ago(out, close->age_us);
        text_add(out, " ");
    }
    words_close(out, close);
    text_add(out, ", so no FIN left; ");
    if (!after_fin && fact_known(f->fin_in_us)) {
        say_fin(out, f);
        text_add(out, "; ");
    }
    say_holders(out, f, true);
    evidence_closes(finding, f, after_fin ? f->fin_in_us : FACT_NEVER - 1);
    evidence_holders(finding, f);
    shared_remedy(finding, f, close);
    return true;
}

/* ---- deaf ---- */

static void say_paused(struct finding *finding, const struct facts *f)
{
    if (!age_later(f->data_out_us, f->fin_in_us))
        return;
    text_add(&finding->evidence, "it last sent data ");
    words_ago(&finding->evidence, f->data_out_us);
    text_add(&finding->evidence,
             ", after the FIN: a half-close on purpose that rests is possible\n");
}

static void deaf_remedy(struct finding *finding, const struct facts *f)
{
    if (f->holder_cnt == 1 && f->holders[0].fd >= 0)
        line_printf(&finding->remedy,
                    "the missing call is close(%d): make it when recv() returns 0, "
                    "on every path (errors and timeouts too)",
                    f->holders[0].fd);
    else
        line_printf(&finding->remedy,
                    "the missing call is close(), in every process that holds it; or "
                    "shutdown(fd, SHUT_RDWR) in one, which acts for all");
}

/* The connection is over, its descriptor is not. */
static bool rule_dead_descriptor(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool lived = fact_known(f->fin_in_us) || f->last_error > 0 || fact_known(f->born_us);
    if (f->state != LASTACK_CLOSED || !lived || f->references == 0 || f->holder_cnt == 0 ||
        !age_over(f->state_us, c->options->grace_us))
        return false;
    struct finding *finding = finding_add(c, FINDING_DEAD_DESCRIPTOR, SEVERITY_ATTENTION, true);
    text_add(&finding->sentence, "the connection ended ");
    words_ago(&finding->sentence, f->state_us);
    if (f->last_error > 0)
        text_printf(&finding->sentence, " (%s)", strerror(f->last_error));
    text_add(&finding->sentence, ", but ");
    say_holders(&finding->sentence, f, true);
    evidence_holders(finding, f);
    deaf_remedy(finding, f);
    return true;
}

bool rule_deaf(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (rule_dead_descriptor(c))
        return true;
    bool known = fact_known(f->eof_read_us);
    bool hidden = f->eof_read_us == FACT_UNKNOWN &&
                  (f->receive_queue == 0 || f->receive_queue == FACT_UNKNOWN);
    if (!is_close_wait(f) || (!known && !hidden) ||
        !age_over(known ? f->eof_read_us : f->fin_in_us, c->options->grace_us))
        return false;
    bool paused = age_later(f->data_out_us, f->fin_in_us);
    bool sure = known && !paused;
    struct finding *finding =
        finding_add(c, known ? FINDING_END_SEEN : FINDING_END_CONSUMED,
                    sure || holders_all_forgotten(f) ? SEVERITY_PROBLEM : SEVERITY_ATTENTION, sure);
    struct text *out = &finding->sentence;
    say_fin(out, f);
    if (known) {
        text_add(out, "; the end of the stream was read ");
        words_ago(out, f->eof_read_us);
    } else if (f->receive_queue == 0) {
        text_add(out, "; all data is read");
    }
    text_add(out, "; yet no holder has closed: ");
    say_holders(out, f, false);
    if (hidden)
        line_printf(&finding->evidence,
                    "whether a receive has returned 0 cannot be seen from here");
    say_paused(finding, f);
    evidence_holders(finding, f);
    deaf_remedy(finding, f);
    return true;
}

/* ---- unread ---- */

static bool any_holder_runs(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].doing == FACT_DOING_RUNNING)
            return true;
    return false;
}

static bool nobody_watches(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].watching != FACT_NO)
            return false;
    return f->holder_cnt > 0;
}

/* The peer has more to say and cannot: our window is shut, and there is a sign that it stays so. */
static bool is_stuck_reader(const struct rules_case *c)
{
    const struct facts *f = c->f;
    if (f->state != LASTACK_ESTABLISHED && f->state != LASTACK_FIN_WAIT_2)
        return false;
    if (f->orphan == FACT_YES || f->unaccepted == FACT_YES || f->receive_window != 0 ||
        !fact_known(f->receive_queue) || f->receive_queue == 0 ||
        !age_over(f->data_in_us, c->options->grace_us))
        return false;
    const struct facts *peer = facts_list_find_in(c->list, f->stack, f->peer_id);
    return holders_all_forgotten(f) || nobody_watches(f) ||
           (peer && peer->state == LASTACK_FIN_WAIT_1);
}

static void unread_sentence(struct text *out, const struct facts *f)
{
    if (f->state != LASTACK_CLOSE_WAIT) {
        words_bytes(out, f->receive_queue);
        text_add(out,
                 " wait unread and have shut the window: the peer can send nothing more, not even "
                 "its FIN");
    } else if (fact_known(f->receive_queue) && f->receive_queue > 0) {
        say_fin(out, f);
        text_add(out, " and waits behind ");
        words_bytes(out, f->receive_queue);
        text_add(out, " that no holder has read");
    } else {
        say_fin(out, f);
        text_add(out, " and no holder has read it");
    }
    text_add(out, "; ");
    say_holders(out, f, false);
}

bool rule_unread(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool bytes = fact_known(f->receive_queue) && f->receive_queue > 0;
    bool waits = is_close_wait(f) && (f->eof_read_us == FACT_NEVER || bytes) &&
                 age_over(f->fin_in_us, c->options->grace_us);
    bool stuck = is_stuck_reader(c);
    if (!waits && !stuck)
        return false;
    bool busy = any_holder_runs(f) || age_later(f->data_out_us, f->fin_in_us);
    struct finding *finding = finding_add(
        c,
        stuck   ? FINDING_WINDOW_SHUT
        : bytes ? FINDING_UNREAD_DATA
                : FINDING_UNREAD_END,
        busy || (stuck && !holders_all_forgotten(f)) ? SEVERITY_ATTENTION : SEVERITY_PROBLEM, true);
    unread_sentence(&finding->sentence, f);
    if (nobody_watches(f))
        line_printf(&finding->evidence, "no poll, epoll or blocked call of a holder would tell it");
    say_paused(finding, f);
    evidence_holders(finding, f);
    line_printf(&finding->remedy,
                "read until recv() returns 0, then close; or close at once, which "
                "resets the connection if data is unread");
    line_printf(&finding->remedy,
                "keep the descriptor in poll or epoll with POLLRDHUP (EPOLLRDHUP) "
                "while its data is not wanted");
    return true;
}

/* ---- forgotten ---- */

/* True if the newest finding is about this record: forgotten only adds to a cause. */
static bool has_cause(const struct rules_case *c)
{
    static const char *const causes[] = {CLASS_SHARED, CLASS_UNREAD, CLASS_DEAF};
    const struct finding *last = c->out->cnt ? &c->out->all[c->out->cnt - 1] : NULL;
    if (!last || last->about != c->f || c->f->state == LASTACK_CLOSED)
        return false;
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
        if (last->class == causes[i])
            return true;
    return false;
}

void rule_forgotten(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (!has_cause(c) || !holders_all_forgotten(f))
        return;
    bool stopped = true;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        stopped = stopped && (f->holders[i].doing == FACT_DOING_STOPPED ||
                              f->holders[i].kind == FACT_HOLDER_MESSAGE);
    bool shared = c->out->all[c->out->cnt - 1].class == CLASS_SHARED;
    struct finding *finding = finding_add(c, FINDING_HOLDER_STUCK, SEVERITY_PROBLEM, stopped);
    say_holders(&finding->sentence, f, false);
    text_add(&finding->sentence, stopped ? ": it cannot act on the connection"
                                         : ": nothing that it waits for concerns this connection");
    evidence_holders(finding, f);
    const struct fact_holder *h = &f->holders[0];
    if (h->doing == FACT_DOING_STOPPED && h->pid != FACT_NO_PID)
        line_printf(&finding->remedy, "let it go on (kill -CONT %u), or end it", h->pid);
    else if (h->kind == FACT_HOLDER_MESSAGE)
        line_printf(&finding->remedy, "receive the message, then close the descriptor");
    else if (!shared) /* whose remedy says it already */
        line_printf(&finding->remedy,
                    "close the descriptor where the connection is handed on (after "
                    "fork(), after sendmsg()), before waiting for the next one");
}
