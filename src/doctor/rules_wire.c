/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about what is on the wire: blocked, orphan, waiting for the peer. */
#include <stdio.h>
#include <string.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define RETRY_SUSPECT   2 /* retransmissions of one segment: more than one loss explains */
#define PROBE_SUSPECT   3 /* zero-window probes while the program still owns the connection */
#define SHUT_SUSPECT_US UINT64_C(10000000) /* nothing sent for so long, if probes are answered */

/* Nobody has a reference. A supervisor may still be passing on what a program wrote before its last
 * close: then the stack does not know of the close yet. */
static bool nobody_holds(const struct facts *f)
{
    return f->orphan == FACT_YES || (f->references == 0 && f->unaccepted != FACT_YES);
}

/* Our FIN is asked for and not acknowledged. A supervisor passes a shutdown on behind what was
 * written before: then the state does not tell of it yet. */
static bool is_closing(const struct facts *f)
{
    bool open = f->state == LASTACK_ESTABLISHED || f->state == LASTACK_CLOSE_WAIT;
    return f->state == LASTACK_FIN_WAIT_1 || f->state == LASTACK_CLOSING ||
           f->state == LASTACK_LAST_ACK || (open && (nobody_holds(f) || f->shut_wr == FACT_YES));
}

static void say_timer(struct text *out, const struct facts *f)
{
    text_add(out, words_timer(f->timer));
    if (fact_known(f->timer_us)) {
        text_add(out, " is due in ");
        words_duration(out, f->timer_us);
    }
}

/* ---- blocked ---- */

enum obstacle { OBSTACLE_NONE, OBSTACLE_WINDOW, OBSTACLE_SILENCE };

/* Nothing has come through the shut window for long, as this side or the peer can tell. */
static bool is_shut_for_long(const struct facts_list *list, const struct facts *f)
{
    if (fact_known(f->data_out_us) && f->data_out_us < SHUT_SUSPECT_US)
        return false; /* it took something in between */
    if (number_over(f->probes, PROBE_SUSPECT - 1))
        return true;
    if (!fact_known(f->data_out_us))
        return false;
    const struct facts *peer = list ? facts_list_peer(list, f) : NULL;
    return f->moved == FACT_NO || (peer && age_over(peer->data_in_us, SHUT_SUSPECT_US));
}

/* `list`: where the other end may be; NULL: not looked at. */
static enum obstacle find_obstacle(const struct facts_list *list, const struct facts *f)
{
    bool queued = (fact_known(f->send_queue) && f->send_queue > 0) || is_closing(f);
    uint64_t probes = fact_known(f->probes) ? f->probes : 0;
    uint64_t retries = fact_known(f->retransmits) ? f->retransmits : 0;
    bool window = f->send_window == 0 &&
                  (probes > 0 || f->timer == LASTACK_TIMER_PROBE || number_over(f->send_unsent, 0));
    if (!queued || f->state == LASTACK_LISTEN || f->state == LASTACK_TIME_WAIT)
        return OBSTACLE_NONE;
    /* While the program owns the connection, a shut window is its peer's right for a while; but a
     * peer that has closed its half and does not read either will hardly begin to. */
    if (f->state == LASTACK_ESTABLISHED && f->moved == FACT_YES)
        return OBSTACLE_NONE;
    if (window && (is_closing(f) || f->state == LASTACK_CLOSE_WAIT || is_shut_for_long(list, f)))
        return OBSTACLE_WINDOW;
    return retries >= RETRY_SUSPECT ? OBSTACLE_SILENCE : OBSTACLE_NONE;
}

bool facts_are_blocked(const struct facts *f)
{
    return find_obstacle(NULL, f) != OBSTACLE_NONE;
}

static void blocked_sentence(struct text *out, const struct facts *f, enum obstacle obstacle)
{
    bool fin = is_closing(f);
    bool data = fact_known(f->send_queue) && f->send_queue > 0;
    if (fin && data) {
        text_add(out, "our FIN waits behind ");
        words_bytes(out, f->send_queue);
    } else if (fin) {
        text_add(out, "our FIN");
    } else {
        words_bytes(out, f->send_queue);
    }
    if (obstacle == OBSTACLE_WINDOW)
        text_printf(out, "%s cannot leave: the peer's window is shut, its program does not read",
                    fin && data ? " that" : "");
    else
        text_printf(out,
                    " and %s not acknowledged after %llu retransmissions: the peer or the path "
                    "is gone",
                    fin && !data ? "is" : "are", (unsigned long long)f->retransmits);
}

static const char *blocked_code(const struct facts *f, enum obstacle obstacle)
{
    if (obstacle == OBSTACLE_SILENCE)
        return FINDING_FIN_UNANSWERED;
    return is_closing(f) ? FINDING_FIN_BLOCKED : FINDING_ZERO_WINDOW;
}

/* Of a closing state the kernel keeps no stamp: then since it last sent something, or as long as so
 * many retransmissions take. */
static bool is_blocked_for_a_while(const struct facts *f, const struct rules_options *options)
{
    if (fact_known(f->state_us))
        return f->state_us >= options->grace_us;
    return age_over(f->data_out_us, options->grace_us) ||
           number_over(f->retransmits, RETRY_SUSPECT);
}

static void say_orphan(struct text *out, const struct facts *f);

bool rule_blocked(struct rules_case *c)
{
    const struct facts *f = c->f;
    enum obstacle obstacle = find_obstacle(c->list, f);
    bool moved = f->moved == FACT_YES || age_later(f->data_out_us, SHUT_SUSPECT_US);
    if (obstacle == OBSTACLE_WINDOW && !nobody_holds(f) && moved)
        return false; /* a slow reader is no shut window */
    if (obstacle == OBSTACLE_NONE || rules_half_close_works(f, c->options) ||
        !is_blocked_for_a_while(f, c->options))
        return false;
    bool orphan = nobody_holds(f), window = obstacle == OBSTACLE_WINDOW;
    /* Silence ends by the retry limit, an orphan by its own limits; a held one behind a shut window
     * may stay for ever. */
    enum severity severity = orphan || !window ? SEVERITY_NOTE : SEVERITY_ATTENTION;
    if (window && !orphan && is_closing(f))
        severity = SEVERITY_PROBLEM;
    struct finding *finding = finding_add(c, blocked_code(f, obstacle), severity, window);
    finding->end_how = LASTACK_END_RST; /* a FIN cannot leave either */
    blocked_sentence(&finding->sentence, f, obstacle);
    if (fact_known(f->probes) && f->probes > 0)
        line_printf(&finding->evidence, "%llu probes without an opening",
                    (unsigned long long)f->probes);
    if (f->timer != LASTACK_TIMER_NONE) {
        say_timer(&finding->evidence, f);
        text_add(&finding->evidence, "\n");
    }
    evidence_peer(finding, c);
    evidence_holders(finding, f);
    if (window)
        line_printf(&finding->remedy, "the peer's program must read; TCP_USER_TIMEOUT on this side "
                                      "bounds the wait");
    else
        line_printf(&finding->remedy, "nothing to change here: the retry limit ends it; "
                                      "TCP_USER_TIMEOUT ends it sooner");
    if (orphan) {
        finding = finding_add(c, FINDING_ORPHAN_CLOSING, SEVERITY_NOTE, true);
        say_orphan(&finding->sentence, f);
    }
    return true;
}

/* ---- orphan ---- */

static void say_orphan(struct text *out, const struct facts *f)
{
    text_add(out, "no process holds it any more; the stack is finishing the protocol");
    if (f->timer != LASTACK_TIMER_NONE) {
        text_add(out, ", and ");
        say_timer(out, f);
    }
}

bool rule_orphan(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool waits_peer = f->state == LASTACK_FIN_WAIT_2;
    /* Of what waits with nothing but a timer the kernel keeps no other stamp. */
    bool timed = waits_peer && f->state_us == FACT_UNKNOWN && fact_known(f->timer_us);
    if (!nobody_holds(f) || (!waits_peer && !is_closing(f)) ||
        (!timed && !age_over(f->state_us, c->options->grace_us)))
        return false;
    struct finding *finding = finding_add(
        c, waits_peer ? FINDING_FIN_WAIT_ORPHAN : FINDING_ORPHAN_CLOSING, SEVERITY_NOTE, true);
    if (waits_peer)
        text_add(&finding->sentence, "our FIN is acknowledged, the peer has not closed its half; ");
    say_orphan(&finding->sentence, f);
    evidence_closes(finding, f, FACT_NEVER - 1);
    evidence_peer(finding, c);
    return true;
}

/* ---- waiting peer ---- */

static void waiting_for_peer(struct rules_case *c, enum severity severity)
{
    const struct facts *f = c->f;
    struct finding *finding = finding_add(c, FINDING_FIN_WAIT_HELD, severity, true);
    struct text *out = &finding->sentence;
    text_add(out, "our FIN left ");
    say_ago(out, f, fact_known(f->fin_out_us) ? f->fin_out_us : f->state_us);
    if (f->fin_out_by.kind != FACT_CALL_NONE) {
        text_add(out, " (");
        if (f->fin_out_by.kind != FACT_CALL_OPERATOR && f->fin_out_by.pid != FACT_NO_PID) {
            words_process(out, f->fin_out_by.pid, f->fin_out_by.program);
            text_add(out, ", ");
        }
        text_printf(out, "%s)", words_call(&f->fin_out_by));
    }
    text_add(out, " and is acknowledged; the peer has not closed its half, and no timer ends the "
                  "wait while a process holds it");
    evidence_peer(finding, c);
    evidence_holders(finding, f);
    evidence_places(finding, c);
    line_printf(&finding->remedy, "if nothing more is expected from the peer: close() instead of "
                                  "shutdown(SHUT_WR) alone; then the FIN_WAIT_2 timeout ends it");
    line_printf(&finding->remedy,
                "if an answer is expected: bound the wait (SO_RCVTIMEO, poll with a "
                "timeout), then close");
}

/* A holder that sits in a call that the peer's FIN would end. */
static bool somebody_listens(const struct facts *f)
{
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        if (watch_reads(&f->watches[i]))
            return true;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].watching == FACT_YES ||
            (f->holders[i].doing == FACT_DOING_RECV && f->holders[i].doing_id == f->id))
            return true;
    return false;
}

bool rule_waiting_peer(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool held = f->orphan == FACT_NO || (f->orphan == FACT_MAYBE && f->holder_cnt > 0);
    if (f->state != LASTACK_FIN_WAIT_2 || !held || window_is_shut(f))
        return false;
    if (rules_half_close_works(f, c->options)) {
        struct finding *finding = finding_add(c, FINDING_HALF_CLOSE, SEVERITY_HEALTHY, true);
        text_add(&finding->sentence, "this side has closed its half and the peer still sends: a "
                                     "half-close on purpose");
        evidence_holders(finding, f);
        return true;
    }
    if (!age_over(f->state_us, c->options->grace_us))
        return false;
    bool elsewhere = facts_list_peer(c->list, f) != NULL;
    waiting_for_peer(c, somebody_listens(f) || elsewhere ? SEVERITY_NOTE : SEVERITY_ATTENTION);
    return true;
}
