/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about what nobody has read: unread data, an unread end, a window that this has shut. */
#include <stdio.h>
#include <string.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define POOL_MAX      100 /* connections of a pool to one service; more are hardly kept on purpose */
#define POOL_LAST_LEN 48  /* bytes with which TLS says good-bye (close_notify) */

static bool peer_wants_to_end(const struct rules_case *c)
{
    const struct facts *peer = facts_list_peer(c->list, c->f);
    return peer && (peer->state == LASTACK_FIN_WAIT_1 || peer->state == LASTACK_LAST_ACK ||
                    peer->state == LASTACK_CLOSING);
}

bool window_is_shut(const struct facts *f)
{
    return (f->state == LASTACK_ESTABLISHED || f->state == LASTACK_FIN_WAIT_2) &&
           f->receive_window == 0 && number_over(f->receive_queue, 0);
}

/* A slow reader opens its window now and then, and then data comes. */
bool is_stuck_reader(const struct rules_case *c)
{
    const struct facts *f = c->f;
    uint64_t least_us = c->options->grace_us > REST_US ? c->options->grace_us : REST_US;
    if (!window_is_shut(f) || f->orphan == FACT_YES || f->unaccepted == FACT_YES ||
        f->moved == FACT_YES || !age_over(f->data_in_us, least_us))
        return false;
    return holders_all_forgotten(c) || nobody_watches(f) || peer_wants_to_end(c);
}

static void unread_sentence(struct text *out, const struct rules_case *c)
{
    const struct facts *f = c->f;
    if (f->state != LASTACK_CLOSE_WAIT) {
        words_bytes(out, f->receive_queue);
        text_add(out,
                 " wait unread and have shut the window: the peer can send nothing more, not even "
                 "its FIN");
        return;
    }
    say_fin(out, f);
    if (number_over(f->receive_queue, 0)) {
        text_add(out, " and waits behind ");
        words_bytes(out, f->receive_queue);
        text_add(out, " that no holder has read");
    } else {
        text_add(out, end_likely_unread(c) ? " and most likely no holder has read it"
                                           : " and no holder has read it");
    }
    text_add(out, ": ");
    say_holders(out, f, false);
}

/* Bytes went both ways: of the dead there may be nothing left but the stamps. */
static bool was_used(const struct facts *f)
{
    bool in = f->bytes_in == FACT_UNKNOWN ? fact_known(f->data_in_us)
                                          : number_over(f->bytes_in, f->receive_queue);
    bool out = f->bytes_out == FACT_UNKNOWN ? fact_known(f->data_out_us)
                                            : number_over(f->bytes_out, 0);
    return in && out;
}

/* A connection that this side opened, used, and put aside. */
static bool is_put_aside(const struct rules_case *c)
{
    const struct facts *f = c->f;
    return f->passive == FACT_NO && nobody_watches(f) && fact_known(f->receive_queue) &&
           f->receive_queue <= POOL_LAST_LEN && was_used(f) && !holders_all_forgotten(c);
}

/* Whoever takes it up again will look. */
static bool is_pooled(const struct rules_case *c)
{
    bool few = !fact_known(c->f->alike_cnt) || c->f->alike_cnt <= POOL_MAX;
    return few && is_put_aside(c);
}

/* Its epoll would have told of the end and was not armed again, and the only thread of its process
 * waits there: nobody is at work on it. */
static bool is_left_spent(const struct facts *f)
{
    if (f->watch_cnt == 0 || f->watchers_known != FACT_YES || f->holder_cnt == 0)
        return false;
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        if (f->watches[i].spent != FACT_YES || f->watches[i].waited != FACT_YES)
            return false;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].threads != 1 || f->holders[i].doing != FACT_DOING_POLL)
            return false;
    return true;
}

bool end_likely_unread(const struct rules_case *c)
{
    const struct facts *f = c->f;
    return is_close_wait(f) && f->eof_read_us == FACT_UNKNOWN && f->fin_consumed == FACT_MAYBE &&
           f->receive_queue == 0 && !has_answered(f) && (is_put_aside(c) || is_left_spent(f));
}

static void evidence_likely(struct finding *finding, const struct rules_case *c)
{
    if (end_likely_unread(c))
        line_printf(&finding->evidence, "whether a receive has returned 0 cannot be seen from "
                                        "here: most likely none has");
}

static void say_pooled(struct rules_case *c)
{
    const struct facts *f = c->f;
    struct finding *finding = finding_add(c, FINDING_POOL_IDLE, SEVERITY_NOTE, false);
    struct text *out = &finding->sentence;
    if (f->state == LASTACK_CLOSED)
        text_add(out, "the peer has reset it, or could not be reached any more,");
    else
        say_fin(out, f);
    text_add(out, " while it lay idle in ");
    words_process(out, f->holders[0].pid, f->holders[0].program);
    text_add(out,
             ": a connection of a pool, most likely, which is looked at when it is used again");
    if (number_over(f->receive_queue, 0)) {
        words_bytes(&finding->evidence, f->receive_queue);
        text_add(&finding->evidence, " wait before the end, as much as TLS says when it leaves\n");
    }
    if (number_over(f->alike_cnt, 1))
        line_printf(&finding->evidence,
                    "%llu like it to the same service; while that number stays, "
                    "it is a pool, and if it grows, a leak",
                    (unsigned long long)f->alike_cnt);
    evidence_likely(finding, c);
    evidence_holders(finding, f);
    evidence_places(finding, c);
    line_printf(&finding->remedy, "let the pool drop idle connections before the peer does (idle "
                                  "timeout below the peer's), or look before it uses one again");
}

/* Reset, or timed out, after its last answer; the error waits for the next call on it, and no call has
 * taken it. */
bool rule_pool_dead(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (f->error == 0 || f->shut_wr == FACT_YES || age_later(f->data_out_us, f->data_in_us) ||
        !is_pooled(c))
        return false;
    say_pooled(c);
    return true;
}

/* Those who would read are at it, or have been since. */
static bool is_busy(const struct facts *f)
{
    return any_holder_runs(f) || has_answered(f) || f->moved == FACT_YES;
}

/* A poll may have a timeout, with which a program reads at a rate (curl --limit-rate), and so may the wait
 * for a lock or a condition; another thread may be in either. */
static bool any_may_wake(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        if (h->doing == FACT_DOING_POLL || h->doing == FACT_DOING_LOCK ||
            (h->threads > 1 && h->doing != FACT_DOING_STOPPED))
            return true;
    }
    return false;
}

/* The other leg of a proxy, whose peer takes no more: what comes in here waits for that. */
static const struct facts *held_up_leg(const struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct facts *other = facts_list_find_in(c->list, f->stack, f->relay_id);
    bool up = window_is_shut(f) && other && other->send_window == 0 && number_over(other->send_queue, 0);
    return up && !holders_all_forgotten(c) ? other : NULL;
}

static void evidence_held_up(struct finding *finding, const struct facts *other)
{
    if (!other)
        return;
    text_printf(&finding->evidence, "its process has connection %llu to ", (unsigned long long)other->id);
    words_end(&finding->evidence, &other->tuple.remote, other->tuple.remote_port);
    line_printf(&finding->evidence, ", which takes no more: a proxy would read on when that side does");
}

static void say_unread(struct rules_case *c, const char *code, bool stuck)
{
    const struct facts *f = c->f;
    uint64_t age_us = stuck ? f->data_in_us : fin_age(f);
    bool turn = any_may_come(c, age_us) && !holders_all_forgotten(c);
    bool busy = is_busy(f) || turn || (stuck && !holders_all_forgotten(c));
    const struct facts *leg = held_up_leg(c);
    bool back = leg || (f->watch_cnt == 0 && any_comes_back(f, age_us));
    bool certain = !back && !turn && !(stuck && any_may_wake(f)) && !end_likely_unread(c);
    struct finding *finding = finding_add(c, code,
                                          back   ? SEVERITY_NOTE
                                          : busy ? SEVERITY_ATTENTION
                                                 : SEVERITY_PROBLEM,
                                          certain);
    unread_sentence(&finding->sentence, c);
    evidence_likely(finding, c);
    evidence_held_up(finding, leg);
    if (back && !leg)
        line_printf(&finding->evidence,
                    "the call that it sits in ends by itself: a slow reader may "
                    "read on then");
    evidence_turn(finding, turn && !back);
    if (nobody_watches(f))
        line_printf(&finding->evidence, "no poll, epoll or blocked call of a holder would tell it");
    if (has_answered(f)) {
        text_add(&finding->evidence, "it last sent data ");
        words_ago(&finding->evidence, f->data_out_us);
        text_add(&finding->evidence,
                 ", after the FIN: a half-close on purpose that rests is possible\n");
    }
    evidence_places(finding, c);
    evidence_holders(finding, f);
    if (stuck)
        evidence_peer(finding, c);
    line_printf(&finding->remedy,
                "read until recv() returns 0, then close; or close at once, which "
                "resets the connection if data is unread");
}

bool rule_unread(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool bytes = number_over(f->receive_queue, 0);
    bool end_waits = f->eof_read_us == FACT_NEVER || f->fin_consumed == FACT_NO ||
                     end_likely_unread(c);
    bool waits =
        is_close_wait(f) && (end_waits || bytes) && age_over(fin_age(f), c->options->grace_us);
    bool stuck = is_stuck_reader(c);
    if (!waits && !stuck)
        return false;
    if (!stuck && is_close_wait(f) && !has_answered(f) && is_pooled(c))
        say_pooled(c);
    else
        say_unread(c,
                   stuck   ? FINDING_WINDOW_SHUT
                   : bytes ? FINDING_UNREAD_DATA
                           : FINDING_UNREAD_END,
                   stuck);
    return true;
}
