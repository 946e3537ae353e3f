/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about an end that was read, and not acted upon: half-close on purpose, end seen, end
 * consumed, dead descriptors, relays, exits. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

#define RELAY_PATIENCE_US UINT64_C(300000000) /* a proxy may wait so long for its other side */

/* ---- half-close on purpose ---- */

bool rule_half_close(struct rules_case *c)
{
    const struct facts *f = c->f;
    if (!is_close_wait(f) || !rules_half_close_works(f, c->options))
        return false;
    struct finding *finding = finding_add(c, FINDING_HALF_CLOSE, SEVERITY_HEALTHY, true);
    say_fin(&finding->sentence, f);
    bool sends = has_answered(f) || number_over(f->send_queue, 0);
    text_add(&finding->sentence, sends ? ", and this side still sends: a half-close on purpose"
                                       : ", and bytes still move: somebody works on it");
    if (fact_known(f->data_out_us)) {
        text_add(&finding->evidence, "the program last gave data to send ");
        words_ago(&finding->evidence, f->data_out_us);
        text_add(&finding->evidence, "\n");
    }
    if (f->moved == FACT_YES)
        line_printf(&finding->evidence, "bytes moved between two looks at it");
    if (fact_known(f->send_queue))
        line_printf(&finding->evidence, "%llu bytes are on their way to the peer",
                    (unsigned long long)f->send_queue);
    evidence_holders(finding, f);
    return true;
}

/* ---- what the deaf have in common ---- */

static void say_paused(struct finding *finding, const struct facts *f)
{
    if (!has_answered(f))
        return;
    text_add(&finding->evidence, "it last sent data ");
    words_ago(&finding->evidence, f->data_out_us);
    text_add(&finding->evidence,
             ", after the FIN: a half-close on purpose that rests is possible\n");
}

/* Nothing says that a receive returned 0, and nothing says that none did. */
static bool may_have_read_end(const struct facts *f)
{
    return f->eof_read_us == FACT_UNKNOWN && f->fin_consumed != FACT_NO &&
           (f->receive_queue == 0 || f->receive_queue == FACT_UNKNOWN);
}

static void remedy_close(struct finding *finding, const struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct fact_site *place = facts_site(c->list, f->eof_read_at);
    if (place) {
        text_add(&finding->remedy, "act on the 0 that recv() returned at ");
        words_site(&finding->remedy, place);
        text_add(&finding->remedy, "\n");
    }
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

/* ---- open at exit ---- */

static const struct fact_call *call_of_exit(const struct facts *f)
{
    const struct fact_call *last = f->close_cnt ? &f->closes[f->close_cnt - 1] : NULL;
    if (f->fin_out_by.kind == FACT_CALL_EXIT)
        return &f->fin_out_by;
    return last && last->kind == FACT_CALL_EXIT && last->left == 0 && f->fin_out_us >= FACT_NEVER
               ? last
               : NULL;
}

/* Only when the programs are over (`grace_us` is 0): a client that leaves without close() is no
 * news while others live. */
bool rule_open_at_exit(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct fact_call *exit = call_of_exit(f);
    const struct fact_holder *dead = NULL;
    for (uint32_t i = 0; i < f->holder_cnt && !dead; i++)
        dead = f->holders[i].doing == FACT_DOING_ZOMBIE ? &f->holders[i] : NULL;
    if (c->options->grace_us > 0 || f->state == LASTACK_LISTEN || f->unaccepted == FACT_YES ||
        (!exit && !dead))
        return false;
    struct finding *finding = finding_add(c, FINDING_OPEN_AT_EXIT, SEVERITY_PROBLEM, true);
    struct text *out = &finding->sentence;
    words_process(out, dead ? dead->pid : exit->pid, dead ? dead->program : exit->program);
    text_add(out, " exited with descriptor ");
    int fd = dead ? dead->fd : exit->fd;
    if (fd >= 0)
        text_printf(out, "%d ", fd);
    text_add(out, "of it still open: only the exit closed it");
    if (fact_known(f->eof_read_us))
        text_add(out, ", though it had read the end of the stream");
    else if (fact_known(f->fin_in_us))
        text_add(out, ", though the peer had closed its half");
    evidence_places(finding, c);
    evidence_closes(finding, f, FACT_NEVER - 1);
    line_printf(&finding->remedy,
                "close it where its work is done, on every path: in a program that runs on, it "
                "would have stayed");
    return true;
}

/* ---- dead descriptor ---- */

/* There was a connection, and it ended. */
static bool has_lived(const struct facts *f)
{
    return fact_known(f->fin_in_us) || f->last_error > 0 || fact_known(f->born_us) ||
           number_over(f->bytes_in, 0) || number_over(f->bytes_out, 0) ||
           (f->shut_rd == FACT_YES && f->shut_wr == FACT_YES);
}

/* The kernel keeps no stamp of the end: then it was not before the last byte. */
static bool is_dead_for_a_while(const struct facts *f, uint64_t age_us, uint64_t grace_us)
{
    if (fact_known(age_us))
        return age_us >= grace_us;
    bool moved_now = age_later(f->data_in_us, grace_us) || age_later(f->data_out_us, grace_us);
    return f->source == FACT_SOURCE_KERNEL && !moved_now;
}

#define READS_ON_US UINT64_C(60000000)

/* What a connection brought before its end can still be read, and to close now would lose it. */
static bool is_read_on(const struct facts *f)
{
    return f->source == FACT_SOURCE_KERNEL && number_over(f->receive_queue, 0) &&
           age_later(f->data_in_us, READS_ON_US);
}

bool rule_dead(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool unread = f->source == FACT_SOURCE_KERNEL && number_over(f->receive_queue, 0);
    uint64_t age_us = fact_known(f->state_us) ? f->state_us : f->fin_in_us;
    if (f->state != LASTACK_CLOSED || f->unaccepted == FACT_YES || f->references == 0 ||
        f->holder_cnt == 0 || !has_lived(f) ||
        !is_dead_for_a_while(f, age_us, c->options->grace_us) || is_read_on(f))
        return false;
    if (rule_pool_dead(c))
        return true;
    struct finding *finding = finding_add(c, FINDING_DEAD_DESCRIPTOR, SEVERITY_ATTENTION, !unread);
    text_add(&finding->sentence,
             fact_known(age_us) ? "the connection ended " : "the connection is over");
    if (fact_known(age_us))
        say_ago(&finding->sentence, f, age_us);
    if (f->last_error > 0)
        text_printf(&finding->sentence, " (%s)", strerror(f->last_error));
    text_add(&finding->sentence, ", but ");
    say_holders(&finding->sentence, f, true);
    if (unread)
        text_printf(&finding->sentence, "; %llu bytes that it brought were not read",
                    (unsigned long long)f->receive_queue);
    evidence_places(finding, c);
    evidence_holders(finding, f);
    line_printf(&finding->remedy,
                f->holder_cnt == 1
                    ? "the missing call is close(%d): make it on every error that a call "
                      "on it returns (ECONNRESET, ETIMEDOUT, EPIPE), and after shutdown()"
                    : "the missing call is close(), of descriptor %d and the others: make "
                      "it on every error that a call on it returns, and after shutdown()",
                f->holders[0].fd);
    return true;
}

/* ---- relay ---- */

/* The leg whose end came in stands still because the other leg has passed it on and waits. */
bool rule_relay(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct facts *other = facts_list_find_in(c->list, f->stack, f->relay_id);
    bool in = is_close_wait(f) && other && other->state == LASTACK_FIN_WAIT_2;
    if (!in || (!may_have_read_end(f) && !fact_known(f->eof_read_us)) ||
        rules_half_close_works(f, c->options) || rules_half_close_works(other, c->options) ||
        !age_over(facts_age(f), c->options->grace_us))
        return false;
    bool long_ago =
        age_over(facts_age(f), RELAY_PATIENCE_US) && age_over(facts_age(other), RELAY_PATIENCE_US);
    struct finding *finding =
        finding_add(c, FINDING_RELAY_PAIR, long_ago ? SEVERITY_ATTENTION : SEVERITY_NOTE, false);
    struct text *out = &finding->sentence;
    say_fin(out, f);
    text_printf(out, "; its proxy passed it on over connection %llu to ",
                (unsigned long long)other->id);
    words_end(out, &other->tuple.remote, other->tuple.remote_port);
    text_add(out, ", and waits for that side; TCP has no timer for that");
    evidence_holders(finding, f);
    evidence_peer(finding, &(struct rules_case){.list = c->list, .f = other});
    line_printf(&finding->remedy, "bound the wait for the second half (a timer of some seconds "
                                  "after the first FIN), then close both");
    return true;
}

/* ---- end read ---- */

/* The poller asks for nothing, and its loop waits: what a runtime leaves that has taken the close
 * and carries it out in its next round (Java NIO: the key is cancelled, the selector sleeps). */
static const struct fact_watch *find_cancelled(const struct facts *f)
{
    const uint32_t nothing =
        EPOLLERR | EPOLLHUP | (uint32_t)EPOLLONESHOT | (uint32_t)EPOLLET | EPOLLWAKEUP;
    for (uint32_t i = 0; i < f->watch_cnt; i++) {
        const struct fact_watch *w = &f->watches[i];
        if (w->kind == FACT_WATCH_EPOLL && (w->events & ~nothing) == 0 && w->waited == FACT_YES &&
            w->spent != FACT_YES)
            return w;
    }
    return NULL;
}

/* Others who ask for nothing have just forgotten it. */
static bool is_java(const struct facts *f)
{
    return f->holder_cnt > 0 && strcmp(f->holders[0].program, "java") == 0;
}

static bool say_deferred(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct fact_watch *w = f->watch_cnt == 1 ? find_cancelled(f) : NULL;
    if (!w || !is_java(f))
        return false;
    struct finding *finding = finding_add(c, FINDING_CLOSE_DEFERRED, SEVERITY_ATTENTION, false);
    struct text *out = &finding->sentence;
    say_fin(out, f);
    text_add(out, " and is read; ");
    words_process(out, w->pid, f->holder_cnt ? f->holders[0].program : "");
    text_add(out, " has taken it out of its poller, but the descriptor stays open while the loop "
                  "sleeps in epoll_wait(): a close that its runtime puts off");
    evidence_holders(finding, f);
    evidence_places(finding, c);
    line_printf(&finding->remedy, "wake the loop after the close (Java: selector.wakeup() or "
                                  "selectNow() after channel.close())");
    return true;
}

static void say_end_read(struct rules_case *c, bool known)
{
    const struct facts *f = c->f;
    bool answering = may_be_answering(c);
    bool sure = known && !has_answered(f) && !answering;
    bool problem = (sure && !any_holder_runs(f)) || holders_all_forgotten(c);
    bool untold = !known && f->fin_consumed == FACT_MAYBE && nobody_watches(f);
    struct finding *finding = finding_add(c, known ? FINDING_END_SEEN : FINDING_END_CONSUMED,
                                          problem ? SEVERITY_PROBLEM : SEVERITY_ATTENTION, sure);
    struct text *out = &finding->sentence;
    say_fin(out, f);
    if (known) {
        text_add(out, "; the end of the stream was read ");
        words_ago(out, f->eof_read_us);
        if (facts_site(c->list, f->eof_read_at)) {
            text_add(out, " at ");
            words_site(out, facts_site(c->list, f->eof_read_at));
        }
    } else if (f->fin_consumed == FACT_YES) {
        text_add(out, "; everything up to it is read");
    } else if (f->receive_queue == 0) {
        text_add(out, "; all data is read");
    }
    text_add(out, "; yet no holder has closed: ");
    say_holders(out, f, false);
    evidence_places(finding, c);
    if (!known && f->source == FACT_SOURCE_KERNEL)
        line_printf(&finding->evidence, "whether a receive has returned 0, or took exactly the "
                                        "last bytes, cannot be seen afterwards: with "
                                        "`lastack watch` running it is certain");
    else if (!known)
        line_printf(&finding->evidence,
                    "whether a receive has returned 0 cannot be seen from here%s",
                    untold ? "; if none has, no poller, epoll or blocked call will tell of the end"
                           : "");
    if (answering)
        line_printf(&finding->evidence, "bytes came before the end and none has left since: an answer "
                                        "may be under way");
    say_paused(finding, f);
    evidence_holders(finding, f);
    remedy_close(finding, c);
    if (untold)
        line_printf(&finding->remedy, "if it may be unread: keep the descriptor in poll or epoll "
                                      "(POLLIN | POLLRDHUP), so that the program is told");
}

bool rule_end_read(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool known = fact_known(f->eof_read_us);
    bool hidden = may_have_read_end(f);
    if (!is_close_wait(f) || (!known && !hidden) || end_likely_unread(c) ||
        !age_over(known ? f->eof_read_us : fin_age(f), c->options->grace_us))
        return false;
    if (!say_deferred(c))
        say_end_read(c, known);
    return true;
}
