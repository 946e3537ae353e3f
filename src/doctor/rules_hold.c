/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about a close that did not end it, because something else holds on: another process, a
 * second descriptor, or a reference that no list of descriptors shows. */
#include <stdio.h>
#include <string.h>

#include "doctor/rules_case.h"
#include "doctor/words.h"

/* ---- a close is known, and what it left ---- */

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

/* Who accepted or opened it is left, and another process closed: its worker, which was done; or a child
 * that had it by accident, and then who is left may serve it. */
static bool any_maker_left(const struct facts *f, const struct fact_call *close)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        if (h->kind == FACT_HOLDER_DESCRIPTOR && h->pid != close->pid &&
            (h->origin == FACT_ORIGIN_ACCEPT || h->origin == FACT_ORIGIN_SOCKET))
            return true;
    }
    return false;
}

static bool any_asks(const struct rules_case *c)
{
    for (uint32_t i = 0; i < c->f->holder_cnt; i++)
        if (holder_asks(c, &c->f->holders[i]))
            return true;
    return false;
}

/* The end was read before it was closed, by who closed it as far as that is known. A parent that hands
 * over may close after its child's read. */
static bool reader_closed(const struct rules_case *c, const struct fact_call *close)
{
    const struct facts *f = c->f;
    if (!age_after(close->age_us, f->eof_read_us) || any_may_serve(f))
        return false;
    return f->eof_read_pid != FACT_NO_PID && close->pid != FACT_NO_PID
               ? f->eof_read_pid == close->pid
               : !any_asks(c);
}

/* A close on exec ends nothing, nor does the exit of another program that had it by accident. */
static bool is_attempt(const struct facts *f, const struct fact_call *call)
{
    if (call->kind == FACT_CALL_EXEC)
        return false;
    for (uint32_t i = 0; i < f->holder_cnt && call->kind == FACT_CALL_EXIT; i++)
        if (call->program[0] && f->holders[i].program[0] &&
            strcmp(call->program, f->holders[i].program) != 0)
            return false;
    return true;
}

static const struct fact_call *last_attempt(const struct facts *f)
{
    for (uint32_t i = f->close_cnt; i > 0; i--)
        if (is_attempt(f, &f->closes[i - 1]))
            return &f->closes[i - 1];
    return NULL;
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
    const struct fact_call *last = last_attempt(f);
    if (!last || !number_over(last->left, 0) || f->references == 0 ||
        !age_over(last->age_us, c->options->grace_us))
        return NULL;
    if (f->shut_wr == FACT_YES || f->unaccepted == FACT_YES || may_be_received(c))
        return NULL;
    if (age_later(f->data_out_us, last->age_us) || f->moved == FACT_YES)
        return NULL; /* another holder still sends */
    bool all_forgotten = holders_all_forgotten(c);
    bool after_fin = age_after(last->age_us, f->fin_in_us);
    bool accident = any_maker_left(f, last);
    bool left_over = after_fin && holders_all_left_over(f, last) &&
                     (!accident || (age_over(last->age_us, ANSWER_US) && !any_asks(c)));
    bool deliberate =
        !accident && (last->kind == FACT_CALL_CLOSE || last->kind == FACT_CALL_DUP_OVER);
    *certain = after_fin &&
               (all_forgotten || reader_closed(c, last) || (left_over && deliberate));
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
    static const char *const hidden[FACT_HOLDER_KIND_CNT] = {
        [FACT_HOLDER_DESCRIPTOR] = NULL,
        [FACT_HOLDER_MESSAGE] = FINDING_HELD_BY_MESSAGE,
        [FACT_HOLDER_CALL] = FINDING_CLOSED_BUT_BUSY,
        [FACT_HOLDER_RING] = FINDING_HELD_BY_RING,
        [FACT_HOLDER_MAPPING] = FINDING_HELD_BY_MAPPING,
        [FACT_HOLDER_OTHER] = FINDING_HELD_HIDDEN,
    };
    const struct fact_holder *h = f->holder_cnt ? &f->holders[0] : NULL;
    if (!h)
        return FINDING_LAST_CLOSE_MISSING;
    if (hidden[h->kind])
        return hidden[h->kind];
    if (h->pid == close->pid && h->pid != FACT_NO_PID)
        return FINDING_DUP_HOLDS;
    bool heir = h->origin == FACT_ORIGIN_FORK || h->origin == FACT_ORIGIN_EXEC ||
                h->origin == FACT_ORIGIN_MESSAGE;
    return heir ? FINDING_HEIR_HOLDS : FINDING_LAST_CLOSE_MISSING;
}

bool rule_closed_and_held(struct rules_case *c)
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

/* ---- nothing but hidden references ---- */

struct hidden {
    const char *code;
    enum severity severity;
    bool certain;
    const struct fact_holder *by;
};

static bool has_request(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].kind == FACT_HOLDER_RING && f->holders[i].tid)
            return true;
    return f->watch_cnt > 0;
}

/* What a ring owns is served like what a descriptor holds: its owner may wait for other work in it. */
static bool ring_may_answer(const struct rules_case *c, const struct fact_holder *h)
{
    bool waits = h->doing == FACT_DOING_POLL || holder_may_come(c, h);
    return may_be_answering(c) && waits && h->doing != FACT_DOING_STOPPED;
}

/* A ring may own a socket for good (direct descriptors): only what it has to do with an end that
 * the peer has sent is news; with a request in flight it will be told. A request on a socket that
 * is not registered stands for a descriptor that was closed. */
static bool judge_hidden(const struct rules_case *c, struct hidden *hidden)
{
    const struct facts *f = c->f;
    const struct fact_holder *h = hidden->by;
    bool ended = f->state == LASTACK_CLOSE_WAIT;
    hidden->certain = h->kind != FACT_HOLDER_OTHER;
    hidden->severity = ended ? SEVERITY_PROBLEM : SEVERITY_ATTENTION;
    switch (h->kind) {
    case FACT_HOLDER_CALL:
        hidden->code = FINDING_CLOSED_BUT_BUSY;
        hidden->severity = SEVERITY_PROBLEM;
        return true;
    case FACT_HOLDER_MESSAGE:
        hidden->code = FINDING_HELD_BY_MESSAGE;
        hidden->certain = !may_be_received(c);
        if (!hidden->certain)
            hidden->severity = SEVERITY_NOTE;
        return true;
    case FACT_HOLDER_RING:
        hidden->code = h->tid ? FINDING_CLOSED_BUT_BUSY : FINDING_HELD_BY_RING;
        hidden->certain = h->tid || !ring_may_answer(c, h);
        if (!h->tid && (has_request(f) || !hidden->certain))
            hidden->severity = SEVERITY_ATTENTION;
        return h->tid || ended;
    case FACT_HOLDER_MAPPING:
        hidden->code = FINDING_HELD_BY_MAPPING;
        return true;
    default:
        /* A user inside the kernel (a network disk) may hold it by right. */
        hidden->code = FINDING_HELD_HIDDEN;
        hidden->severity = ended ? SEVERITY_ATTENTION : SEVERITY_NOTE;
        return true;
    }
}

/* A registration explains a request on the same socket: the ring owns it. */
static const struct fact_holder *choose_hidden(const struct facts *f)
{
    const struct fact_holder *best = &f->holders[0];
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        if (h->kind == FACT_HOLDER_RING && h->tid == 0)
            return h;
        if (best->kind == FACT_HOLDER_OTHER && h->kind != FACT_HOLDER_OTHER)
            best = h;
    }
    return best;
}

static void remedy_hidden(struct text *out, const struct fact_holder *h)
{
    switch (h->kind) {
    case FACT_HOLDER_CALL:
        line_printf(out, "call shutdown(fd, SHUT_RDWR) before close(fd): it sends the FIN at once "
                         "and wakes the thread that waits; close() alone does neither");
        break;
    case FACT_HOLDER_MESSAGE:
        line_printf(out, "receive that message and close the descriptor, or close the AF_UNIX "
                         "socket in which it waits");
        break;
    case FACT_HOLDER_RING:
        line_printf(out, h->tid ? "cancel the request before close() (IORING_OP_ASYNC_CANCEL), or "
                                  "call shutdown(fd, SHUT_RDWR) first"
                                : "end it in the ring: IORING_OP_SHUTDOWN, then IORING_OP_CLOSE of "
                                  "the registered file (io_uring_register_files_update with -1)");
        break;
    case FACT_HOLDER_MAPPING:
        line_printf(out, "munmap() it as well: a mapping keeps the socket like a descriptor");
        break;
    default:
        line_printf(out, "look for a user inside the kernel (network disks, tunnels), or run "
                         "lastack why as root with BPF, which can name more");
    }
}

/* Every reference has a name, and none is a descriptor. In ESTABLISHED a descriptor may change
 * hands while one looks: there it takes a second look, or a close that is known. */
static bool has_hidden_only(const struct rules_case *c)
{
    const struct facts *f = c->f;
    bool closed =
        f->close_cnt && age_over(f->closes[f->close_cnt - 1].age_us, c->options->grace_us);
    bool counted = fact_known(f->references) && f->references == f->holder_cnt;
    if (f->holder_cnt == 0 || descriptor_cnt(f) > 0)
        return false;
    return f->holders_known == FACT_YES || (counted && (closed || is_close_wait(f)));
}

bool rule_hidden(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool open = f->state == LASTACK_ESTABLISHED || is_close_wait(f);
    if (!open || f->unaccepted == FACT_YES || f->orphan == FACT_YES || !has_hidden_only(c) ||
        !age_over(facts_age(f), c->options->grace_us))
        return false;
    struct hidden hidden = {.by = choose_hidden(f)};
    if (!judge_hidden(c, &hidden))
        return false;
    struct finding *finding =
        finding_add(c, hidden.code, hidden.severity, hidden.certain);
    struct text *out = &finding->sentence;
    bool on_its_way = hidden.by->kind == FACT_HOLDER_MESSAGE && !hidden.certain;
    text_add(out, on_its_way ? "it was handed over, and waits to be received: "
                             : "no process has a descriptor of it any more, and yet no FIN left: ");
    words_holder(out, f, hidden.by, true);
    if (is_close_wait(f)) {
        text_add(out, "; ");
        say_fin(out, f);
    }
    evidence_turn(finding, !hidden.certain && hidden.by->kind != FACT_HOLDER_OTHER);
    evidence_thread(finding, c, hidden.by->pid, hidden.by->doing_at);
    evidence_holders(finding, f);
    evidence_places(finding, c);
    evidence_peer(finding, c);
    remedy_hidden(&finding->remedy, hidden.by);
    return true;
}

/* ---- who made it has closed it ---- */

/* Another program than the one that made it: it came along over exec. */
static bool came_by_exec(const struct facts *f, const struct fact_holder *h)
{
    return h->origin == FACT_ORIGIN_EXEC ||
           (f->creator_program[0] && h->program[0] && strcmp(f->creator_program, h->program) != 0);
}

/* How sure it is that none of those who are left is there to serve it. A worker that was forked for
 * this connection looks the same until one sees what it does. */
static fact_bool heirs_only_hold(const struct rules_case *c)
{
    const struct facts *f = c->f;
    fact_bool answer = FACT_YES;
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        fact_bool works = holder_is_at_work(c, h);
        if (h->kind != FACT_HOLDER_DESCRIPTOR || works == FACT_YES)
            return FACT_NO;
        /* 0, 1, 2: a program that is started for a connection (inetd) finds it there. */
        bool started_for_it = came_by_exec(f, h) && h->fd >= 0 && h->fd <= 2;
        bool idle =
            !started_for_it && !holder_may_serve(f, h) &&
            (holder_is_forgotten(c, h) || came_by_exec(f, h) || h->doing == FACT_DOING_SLEEP);
        bool end_read = f->fin_consumed == FACT_YES || fact_known(f->eof_read_us);
        if (!idle && (!end_read || f->state == LASTACK_ESTABLISHED))
            return FACT_NO; /* who has to read may be busy with its answer */
        if (works == FACT_MAYBE || !idle)
            answer = FACT_MAYBE;
    }
    return answer;
}

static void remedy_heir(struct text *out, const struct facts *f, const struct fact_holder *h)
{
    if (came_by_exec(f, h))
        line_printf(out, "make the descriptor close-on-exec (SOCK_CLOEXEC in socket() and "
                         "accept4()), so that programs that are started do not keep it");
    else if (h->origin == FACT_ORIGIN_MESSAGE)
        line_printf(out, "close descriptor %d in process %u, which received it in a message", h->fd,
                    h->pid);
    else
        line_printf(out,
                    "close descriptor %d in process %u if it has no use for it: right after "
                    "fork() in the child",
                    h->fd, h->pid);
    line_printf(out,
                "or call shutdown(fd, SHUT_RDWR) before close(fd) in process %u: that "
                "sends the FIN whatever the count",
                f->creator_pid);
}

bool rule_heir(struct rules_case *c)
{
    const struct facts *f = c->f;
    bool ended = is_close_wait(f);
    if ((!ended && f->state != LASTACK_ESTABLISHED) || f->creator_pid == FACT_NO_PID ||
        f->creator_alive != FACT_YES || f->creator_holds != FACT_NO || f->holder_cnt == 0 ||
        f->unaccepted == FACT_YES || f->shut_wr == FACT_YES || has_answered(f) ||
        !age_over(facts_age(f), c->options->grace_us))
        return false;
    fact_bool only_hold = heirs_only_hold(c);
    if (only_hold == FACT_MAYBE && !age_over(facts_age(f), REST_US))
        return false;
    if (only_hold == FACT_NO || (!ended && (only_hold != FACT_YES || f->moved == FACT_YES)))
        return false;
    bool sure = ended && only_hold == FACT_YES;
    struct finding *finding =
        finding_add(c, FINDING_HEIR_HOLDS, sure ? SEVERITY_PROBLEM : SEVERITY_ATTENTION, sure);
    struct text *out = &finding->sentence;
    words_process(out, f->creator_pid, f->creator_program);
    text_add(out, " made it and has closed its descriptor; ");
    say_holders(out, f, true);
    text_add(out, ", so that close() sent no FIN");
    if (ended) {
        text_add(out, "; ");
        say_fin(out, f);
    }
    evidence_closes(finding, f, FACT_NEVER - 1);
    evidence_holders(finding, f);
    evidence_places(finding, c);
    evidence_peer(finding, c);
    remedy_heir(&finding->remedy, f, &f->holders[0]);
    return true;
}

/* After the end a worker may still have an answer to find: for a while nothing is said of it. */
bool rule_worker(struct rules_case *c)
{
    const struct facts *f = c->f;
    uint64_t age_us = fact_known(f->eof_read_us) ? f->eof_read_us : fin_age(f);
    return is_close_wait(f) && any_may_serve(f) && age_later(age_us, REST_US);
}

/* ---- company ---- */

static void say_creator_waits(struct finding *finding, const struct rules_case *c)
{
    const struct facts *f = c->f;
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        bool made_it = h->pid == f->creator_pid || h->origin == FACT_ORIGIN_ACCEPT;
        if (h->pid == FACT_NO_PID || !made_it || !holder_is_forgotten(c, h))
            continue;
        words_process(&finding->evidence, h->pid, h->program);
        line_printf(&finding->evidence, " made it, does not serve it, and keeps its copy");
        line_printf(&finding->remedy, "close descriptor %d in process %u right after fork()", h->fd,
                    h->pid);
        return;
    }
}

static void add_dup(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct fact_holder *h = &f->holders[0];
    struct finding *finding = finding_add(c, FINDING_DUP_HOLDS, SEVERITY_NOTE, true);
    words_process(&finding->sentence, h->pid, h->program);
    text_printf(&finding->sentence, " has %u descriptors of it: all of them must be closed",
                descriptor_cnt(f));
    evidence_holders(finding, f);
    for (uint32_t i = 1; i < f->holder_cnt && i < 4; i++)
        if (f->holders[i].fd >= 0 && h->fd >= 0)
            line_printf(&finding->remedy, "close descriptor %d as well as %d", f->holders[i].fd,
                        h->fd);
}

void add_many_holders(struct rules_case *c)
{
    const struct facts *f = c->f;
    const struct finding *cause = &c->out->all[c->from];
    if (!is_close_wait(f) || descriptor_cnt(f) < 2 ||
        (cause->class != CLASS_UNREAD && cause->class != CLASS_DEAF))
        return;
    if (process_cnt(f) < 2) {
        add_dup(c);
        return;
    }
    bool unread = cause->class == CLASS_UNREAD; /* the deaf have been told what to close */
    struct finding *finding = finding_add(c, FINDING_MANY_HOLDERS, SEVERITY_NOTE, true);
    text_printf(&finding->sentence,
                "%u processes hold it: the FIN leaves only when the last of them has closed",
                process_cnt(f));
    say_creator_waits(finding, c);
    if (unread)
        line_printf(&finding->remedy, "close it in every process that holds it; or call "
                                      "shutdown(fd, SHUT_RDWR) in one, which acts for all");
    evidence_holders(finding, f);
}

void add_stuck_holder(struct rules_case *c)
{
    const struct facts *f = c->f;
    const char *class = c->out->all[c->from].class;
    bool shared = class == CLASS_SHARED, stopped = true;
    if ((!shared && class != CLASS_UNREAD && class != CLASS_DEAF) || f->state == LASTACK_CLOSED ||
        c->out->all[c->from].severity < SEVERITY_ATTENTION ||
        c->out->all[c->from].code == FINDING_OPEN_AT_EXIT || !holders_all_forgotten(c))
        return;
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        stopped = stopped && (f->holders[i].doing == FACT_DOING_STOPPED ||
                              f->holders[i].kind == FACT_HOLDER_MESSAGE);
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
