/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts of a socket as it was seen last, and the groups of leaks that are alike. */
#include "check/leak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/watch.h"
#include "doctor/words.h"
#include "kernel/kernel.h"

/* The peer's FIN may have come shortly before the exit: then "unread" is nobody's fault. */
#define UNREAD_GRACE_US 1000000u
/* Ages that the kernel tells may be too high by that much. Who closed before the FIN came must not
 * seem to have done so after it. */
#define JIFFY_US 10000u

void leak_free(struct check_leak *leak)
{
    facts_list_free(&leak->list);
    text_free(&leak->key);
    text_free(&leak->sentence);
    text_free(&leak->evidence);
    text_free(&leak->remedy);
    free(leak);
}

const struct facts *leak_facts(const struct check_leak *leak)
{
    return &leak->list.all[0];
}

const struct fact_site *leak_born_at(const struct check_leak *leak)
{
    return facts_site(&leak->list, leak_facts(leak)->born_at);
}

const struct fact_site *leak_closed_at(const struct check_leak *leak)
{
    return facts_site(&leak->list, leak_facts(leak)->sibling_close_at);
}

void leak_place_resolve(struct watch *watch, struct place *place, const struct process *helper)
{
    if (!place || !place->snapshot)
        return;
    const struct process *there = tree_process(&watch->tree, place->pid);
    const struct process *with = helper && helper->image == place->image ? helper : NULL;
    if (!with && there && there->image == place->image)
        with = there;
    for (struct process *p = NULL;
         !with && place->image->member_cnt && (p = hash_next(&watch->tree.processes, p));)
        if (p->image == place->image)
            with = p;
    if (with)
        place_resolve(&watch->places, place, process_voice(with));
}

/* ---- facts ---- */

static uint64_t age_us(uint64_t now_ns, uint64_t then_ns)
{
    return then_ns && then_ns <= now_ns ? (now_ns - then_ns) / 1000 : FACT_UNKNOWN;
}

static fact_site_id site_of(struct watch *w, struct facts_list *list, struct place *place)
{
    leak_place_resolve(w, place, NULL);
    if (!place || !place->resolved)
        return 0;
    struct fact_site site = place->site;
    site.stack = site.stack ? strdup(site.stack) : NULL;
    return facts_site_add(list, &site);
}

static void put_state(struct facts *f, const struct look *look)
{
    bool ended = look->state == LASTACK_CLOSE_WAIT || look->state == LASTACK_LAST_ACK ||
                 look->state == LASTACK_CLOSING;
    bool shut = look->state == LASTACK_FIN_WAIT_1 || look->state == LASTACK_FIN_WAIT_2 ||
                look->state == LASTACK_CLOSING || look->state == LASTACK_LAST_ACK;
    uint64_t least = look->ack_in_us > JIFFY_US ? look->ack_in_us - JIFFY_US : 1;
    f->state = look->state;
    f->shut_wr = shut ? FACT_YES : look->state == LASTACK_CLOSED ? FACT_MAYBE : FACT_NO;
    f->fin_in_us = ended ? least : look->state == LASTACK_CLOSED ? FACT_UNKNOWN : FACT_NEVER;
    f->fin_out_us = shut ? FACT_UNKNOWN : FACT_NEVER;
    f->at_least = FACT_YES;
    f->state_us = least;
    f->data_in_us = look->data_in_us;
    f->data_out_us = look->data_out_us;
    f->bytes_in = look->bytes_in;
    f->bytes_out = look->bytes_out;
    f->send_queue = look->send_queue;
    f->receive_queue = look->unread;
    f->retransmits = look->retransmits;
    if (!ended || look->unread == FACT_UNKNOWN)
        return;
    /* The kernel counts a FIN that was not read as one byte. */
    f->fin_consumed = look->unread ? FACT_NO : FACT_YES;
    f->receive_queue = look->unread ? look->unread - 1 : 0;
    f->eof_read_us = look->unread ? FACT_NEVER : FACT_UNKNOWN;
}

static void put_holders(struct facts_list *list, struct facts *f, const struct candidate *candidate)
{
    for (uint32_t i = 0; i < candidate->holding_cnt && i < HOLDING_MAX; i++) {
        const struct holding *from = &candidate->holdings[i];
        struct fact_holder *h = facts_holder_add(list, f);
        if (!h)
            return;
        h->kind = from->fd == FACT_NO_FD ? FACT_HOLDER_MESSAGE : FACT_HOLDER_DESCRIPTOR;
        h->pid = from->pid;
        h->fd = from->fd;
        h->origin = from->origin;
        memcpy(h->program, from->program, sizeof h->program);
        if (from->pid == f->creator_pid && from->fd != FACT_NO_FD)
            f->creator_holds = FACT_YES;
    }
    f->references = candidate->holding_cnt;
    f->holders_known = candidate->holding_cnt <= HOLDING_MAX ? FACT_YES : FACT_NO;
}

static void put_calls(struct watch *w, struct facts_list *list, struct facts *f,
                      const struct connection *c, uint64_t now)
{
    for (unsigned i = 0; i < c->call_cnt; i++) {
        const struct book_call *from = &c->calls[i];
        struct fact_call call = {.kind = from->kind,
                                 .age_us = age_us(now, from->ns),
                                 .pid = from->pid,
                                 .fd = from->fd,
                                 .left = f->references};
        memcpy(call.program, from->program, sizeof call.program);
        call.at = site_of(w, list, from->place);
        if (call.kind == FACT_CALL_SHUT_WR || call.kind == FACT_CALL_SHUT_RDWR) {
            f->fin_out_by = call;
            f->fin_out_us = call.age_us;
            f->shut_wr = FACT_YES;
        } else if (call.kind != FACT_CALL_SHUT_RD) {
            facts_close_add(f, &call);
        }
    }
    f->close_all = w->options->no_closes || c->call_cnt == BOOK_CALL_MAX ? FACT_NO : FACT_MAYBE;
}

static void put_facts(struct watch *w, struct facts_list *list, const struct connection *c,
                      const struct candidate *candidate)
{
    struct facts *f = facts_list_add(list);
    if (!f)
        return;
    f->source = FACT_SOURCE_KERNEL;
    snprintf(f->stack, sizeof f->stack, "%s", KERNEL_STACK);
    f->id = candidate->look.cookie ? candidate->look.cookie : c->cookie;
    f->socket_id = f->inode = candidate->inode;
    f->tuple = candidate->look.has_tuple ? candidate->look.tuple : c->tuple;
    f->passive = c->born_ns ? (c->passive ? FACT_YES : FACT_NO) : FACT_MAYBE;
    f->unaccepted = f->orphan = FACT_NO;
    f->born_us = age_us(candidate->seen_ns, c->born_ns);
    put_state(f, &candidate->look);
    if (c->born_ns) {
        f->creator_pid = c->born_pid;
        memcpy(f->creator_program, c->born_program, sizeof f->creator_program);
        f->creator_alive = tree_process(&w->tree, c->born_pid) ? FACT_YES : FACT_NO;
        f->creator_holds = FACT_NO;
    }
    put_holders(list, f, candidate);
    put_calls(w, list, f, c, candidate->seen_ns);
    f->born_at = site_of(w, list, c->birth);
}

/* ---- the verdict ---- */

static void add_holding(struct text *out, const struct holding *h)
{
    words_process(out, h->pid, h->program);
}

/* "process 4711 (server) exited with descriptor 7 open" */
static void say_holding(struct text *out, const struct candidate *candidate,
                        const struct ending *ending)
{
    const struct holding *h = &candidate->holdings[0];
    add_holding(out, h);
    if (ending->alive)
        text_printf(out, " still had descriptor %d open when the program and its grace were over",
                    h->fd);
    else if (ending->signal)
        text_printf(out, " was killed by signal %d (%s) with descriptor %d open", ending->signal,
                    strsignal(ending->signal), h->fd);
    else
        text_printf(out, " exited with descriptor %d open", h->fd);
}

/* What the rule found, told of something that is over. False: the rule's own words will do. */
static bool say_over(struct check_leak *leak, const struct candidate *candidate,
                     const struct ending *ending)
{
    struct text *out = &leak->sentence;
    const struct facts *f = leak_facts(leak);
    say_holding(out, candidate, ending);
    if (leak->code == FINDING_END_SEEN || leak->code == FINDING_END_CONSUMED) {
        text_add(
            out,
            "; the peer had ended the connection, everything was read up to that end, and nobody "
            "called close()");
    } else if (leak->code == FINDING_UNREAD_END || leak->code == FINDING_UNREAD_DATA) {
        text_add(out, "; the peer had ended the connection ");
        words_duration(out, f->fin_in_us);
        text_add(out, " or more before, and nobody had read that");
    } else if (leak->code == FINDING_DEAD_DESCRIPTOR) {
        text_add(out, ", although its connection was over");
    } else if (leak->code == FINDING_FIN_WAIT_HELD) {
        text_add(out, "; shutdown() had ended this side, and nobody called close()");
    } else if (leak->code == FINDING_DUP_HOLDS) {
        text_add(
            out,
            ": the process had closed the connection under another number, and this one stayed");
    } else {
        text_clear(out);
        return false;
    }
    return true;
}

/* Only the exit ended it: an heir by exec did not even know of it. */
static void put_open_at_exit(struct check_leak *leak, const struct candidate *candidate,
                             const struct ending *ending)
{
    const struct facts *f = leak_facts(leak);
    bool heir = candidate->holdings[0].origin == FACT_ORIGIN_EXEC && f->creator_holds == FACT_NO;
    bool dup = candidate->holdings[0].origin == FACT_ORIGIN_DUP;
    leak->code = heir ? FINDING_HEIR_HOLDS : dup ? FINDING_DUP_HOLDS : FINDING_OPEN_AT_EXIT;
    leak->severity = heir ? SEVERITY_PROBLEM : SEVERITY_ATTENTION;
    leak->certain = true;
    if (heir) {
        words_process(&leak->sentence, f->creator_pid, f->creator_program);
        text_add(&leak->sentence, f->passive == FACT_YES ? " accepted it and" : " opened it and");
        text_add(&leak->sentence, " no longer holds it; ");
        add_holding(&leak->sentence, &candidate->holdings[0]);
        text_printf(&leak->sentence, " kept descriptor %d across exec", candidate->holdings[0].fd);
        text_add(&leak->remedy,
                 "make it close-on-exec (SOCK_CLOEXEC in socket() and accept4()), so that "
                 "programs that are started do not keep it\n");
    } else if (dup) {
        say_over(leak, candidate, ending);
        text_printf(&leak->remedy,
                    "close descriptor %d too: the process had more than one for this connection "
                    "(dup, dup2, fcntl)\n",
                    candidate->holdings[0].fd);
    } else {
        say_holding(&leak->sentence, candidate, ending);
        if (!ending->alive)
            text_add(&leak->sentence, ": only that closed the connection");
    }
}

/* All descriptors were closed but the one that travelled. */
static void put_held_by_message(struct check_leak *leak, const struct candidate *candidate)
{
    leak->code = FINDING_HELD_BY_MESSAGE;
    leak->severity = SEVERITY_PROBLEM;
    leak->certain = false; /* an io_uring of that process might have held it, too */
    text_add(&leak->sentence,
             "no descriptor was left but one in a message (SCM_RIGHTS) that nobody had received: "
             "it ended when ");
    add_holding(&leak->sentence, &candidate->holdings[0]);
    text_add(&leak->sentence, " did, with the AF_UNIX socket in which the message waited");
    text_add(&leak->remedy,
             "read an AF_UNIX socket to its end before it is closed, and close the descriptors "
             "that come out of it; who sends one to a receiver that may not take it should call "
             "shutdown(fd, SHUT_RDWR) before close(fd)\n");
}

/* A cause that holds whatever the exit did. */
static bool is_cause(const struct finding *finding, const struct facts *f)
{
    if (finding->severity < SEVERITY_ATTENTION || strcmp(finding->code, FINDING_OPEN_AT_EXIT) == 0)
        return false;
    if (strcmp(finding->code, FINDING_END_CONSUMED) == 0 && f->fin_consumed != FACT_YES)
        return false; /* nobody could tell how much was read */
    if (strcmp(finding->class, CLASS_UNREAD) == 0)
        return f->state == LASTACK_CLOSE_WAIT && f->fin_in_us >= UNREAD_GRACE_US;
    return strcmp(finding->class, CLASS_DEAF) == 0 || strcmp(finding->class, CLASS_SHARED) == 0 ||
           strcmp(finding->class, CLASS_WAITING_PEER) == 0;
}

static void take_finding(struct check_leak *leak, const struct finding *finding,
                         const struct candidate *candidate, const struct ending *ending)
{
    leak->code = finding->code;
    leak->severity = finding->severity;
    leak->certain = finding->certain;
    if (!say_over(leak, candidate, ending)) {
        text_add(&leak->sentence, text_string(&finding->sentence));
        say_holding(&leak->evidence, candidate, ending);
        text_add(&leak->evidence, "\n");
    }
    text_add(&leak->evidence, text_string(&finding->evidence));
    text_add(&leak->remedy, text_string(&finding->remedy));
}

static void judge_one(struct check_leak *leak, const struct candidate *candidate,
                      const struct ending *ending)
{
    /* Programs are over, or had their grace: no time is owed to them any more. */
    static const struct rules_options options = {.grace_us = 1, .moving_us = 1};
    struct findings findings;
    if (candidate->holdings[0].fd == FACT_NO_FD) {
        put_held_by_message(leak, candidate);
        return;
    }
    findings_init(&findings);
    diagnose_one(&findings, &leak->list, leak_facts(leak), &options);
    bool dup = candidate->holdings[0].origin == FACT_ORIGIN_DUP; /* which explains all else */
    if (!dup && findings.cnt && is_cause(&findings.all[0], leak_facts(leak)))
        take_finding(leak, &findings.all[0], candidate, ending);
    else
        put_open_at_exit(leak, candidate, ending);
    findings_free(&findings);
}

/* ---- alike ---- */

struct key_node {
    struct table_node node;
    struct check_leak *leak;
};

static uint64_t hash_bytes(const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ b[i]) * 0x100000001b3ull;
    return hash;
}

static void make_key(struct check_leak *leak)
{
    const struct facts *f = leak_facts(leak);
    const struct fact_site *born = leak_born_at(leak);
    text_printf(&leak->key, "%s %d\n", leak->code, leak->alive);
    if (born)
        text_printf(&leak->key, "%s\n%s\n%s\n%u\n", born->function, born->file, born->module,
                    born->line);
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        text_printf(&leak->key, "%s %d\n", f->holders[i].program, f->holders[i].origin);
    /* The service: our port if we were called, else theirs; if that is not known, ports may be
     * anything. */
    if (f->passive != FACT_MAYBE)
        text_printf(&leak->key, "%u",
                    f->passive == FACT_YES ? f->tuple.local_port : f->tuple.remote_port);
}

/* The group that `leak` belongs to: an older one, or itself. */
static struct check_leak *find_group(struct judge *judge, struct check_leak *leak)
{
    uint64_t hash = hash_bytes(text_string(&leak->key), leak->key.len);
    for (struct key_node *n = hash_find(&judge->keys, hash); n; n = (struct key_node *)n->node.next)
        if (n->node.key == hash && strcmp(text_string(&n->leak->key), text_string(&leak->key)) == 0)
            return n->leak;
    struct check_report *report = &judge->report;
    if (report->leak_cnt == judge->leak_cap) {
        uint32_t cap = judge->leak_cap ? judge->leak_cap * 2 : 16;
        struct check_leak **leaks = realloc(report->leaks, cap * sizeof *leaks);
        if (!leaks)
            return NULL;
        report->leaks = leaks;
        judge->leak_cap = cap;
    }
    struct key_node *n = malloc(sizeof *n);
    if (!n)
        return NULL;
    *n = (struct key_node){{NULL, hash}, leak};
    if (!hash_add(&judge->keys, &n->node)) {
        free(n);
        return NULL;
    }
    report->leaks[report->leak_cnt++] = leak;
    return leak;
}

/* ---- both ends ---- */

struct pair_node {
    struct table_node node; /* by the connection: the same for both ends */
    struct lastack_tuple tuple;
    struct check_leak *group;
    enum severity severity;
};

static uint64_t hash_end(const struct lastack_address *address, uint16_t port)
{
    return hash_bytes(address, sizeof *address) * 31 + port;
}

static uint64_t hash_pair(const struct lastack_tuple *t)
{
    return hash_end(&t->local, t->local_port) ^ hash_end(&t->remote, t->remote_port);
}

static bool is_mirror(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    return a->local_port == b->remote_port && a->remote_port == b->local_port &&
           memcmp(&a->local, &b->remote, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->local, sizeof a->remote) == 0;
}

static struct pair_node *find_other_end(const struct judge *judge, const struct lastack_tuple *t)
{
    uint64_t hash = hash_pair(t);
    for (struct pair_node *n = hash_find(&judge->pairs, hash); n;
         n = (struct pair_node *)n->node.next)
        if (n->node.key == hash && is_mirror(&n->tuple, t))
            return n;
    return NULL;
}

static void count(struct check_leak *group, const struct connection *c,
                  const struct lastack_tuple *tuple)
{
    group->cnt++;
    group->ended_cnt += c->ended;
    if (c->birth)
        c->birth->leaked = true;
    if (group->example_cnt < LEAK_EXAMPLE_MAX)
        group->examples[group->example_cnt++] = *tuple;
}

static void remember(struct judge *judge, struct check_leak *group,
                     const struct lastack_tuple *tuple, enum severity severity)
{
    struct pair_node *n = malloc(sizeof *n);
    if (!n)
        return;
    *n = (struct pair_node){{NULL, hash_pair(tuple)}, *tuple, group, severity};
    if (!hash_add(&judge->pairs, &n->node))
        free(n);
}

/* Both ends were left open: the one that was the worse is blamed, else the first. True: this one
 * is. */
static bool is_to_blame(struct judge *judge, const struct lastack_tuple *tuple,
                        enum severity severity)
{
    struct pair_node *other = find_other_end(judge, tuple);
    if (!other || !other->group)
        return true;
    if (other->severity >= severity) {
        other->group->other_end_cnt++;
        return false;
    }
    other->group->cnt--;
    other->group = NULL;
    return true;
}

/* ---- one more ---- */

static bool is_ignored(struct watch *w, const struct check_leak *leak)
{
    if (w->options->ignore_open && strcmp(leak->code, FINDING_OPEN_AT_EXIT) == 0) {
        w->judge.report.ignored_cnt++;
        return true;
    }
    if (suppressions_match(w->options->suppressions, leak)) {
        w->judge.report.suppressed_cnt++;
        return true;
    }
    return false;
}

void leak_tell(struct watch *w, struct connection *c, const struct candidate *candidate,
               const struct ending *ending)
{
    struct check_leak *leak = calloc(1, sizeof *leak), *group = NULL;
    c->told = true;
    if (!leak) {
        w->judge.report.failed = true;
        return;
    }
    facts_list_init(&leak->list);
    leak->alive = ending->alive;
    leak->birth = c->birth;
    put_facts(w, &leak->list, c, candidate);
    if (leak->list.cnt) {
        judge_one(leak, candidate, ending);
        if (is_ignored(w, leak)) {
            leak_free(leak);
            return;
        }
        struct lastack_tuple tuple = leak_facts(leak)->tuple;
        enum severity severity = leak->severity;
        make_key(leak);
        group = find_group(&w->judge, leak);
        if (group && is_to_blame(&w->judge, &tuple, severity)) {
            count(group, c, &tuple);
            remember(&w->judge, group, &tuple, severity);
        }
    }
    if (!group)
        w->judge.report.failed = true;
    if (group != leak)
        leak_free(leak);
}

/* ---- at the end ---- */

#define END_MAX 16

/* All that were born at one line. */
struct siblings {
    uint64_t born_cnt, ended_cnt;
    struct {
        struct place *place;
        uint64_t cnt;
    } ends[END_MAX];
};

static void add_end(struct siblings *all, struct place *place, uint64_t cnt)
{
    unsigned i = 0;
    while (i < END_MAX && all->ends[i].place && !place_equal(all->ends[i].place, place))
        i++;
    if (i == END_MAX)
        return;
    all->ends[i].place = place;
    all->ends[i].cnt += cnt;
}

static void add_siblings(struct siblings *all, const struct place *birth)
{
    all->born_cnt += birth->born_cnt;
    all->ended_cnt += birth->ended_cnt;
    for (unsigned i = 0; i < PLACE_END_MAX && birth->ends[i].place; i++)
        add_end(all, birth->ends[i].place, birth->ends[i].cnt);
}

/* Where connections of the same birth are closed: the place that most of them have. */
static void put_siblings(struct watch *w, struct check_leak *leak)
{
    struct facts *f = &leak->list.all[0];
    struct siblings all = {0};
    unsigned best = 0;
    for (const struct image *image = leak->birth ? w->places.images : NULL; image;
         image = image->next)
        for (const struct place *p = hash_next(&image->places, NULL); p;
             p = hash_next(&image->places, p))
            if (p->born_cnt && place_equal(p, leak->birth))
                add_siblings(&all, p);
    if (all.born_cnt < leak->cnt || all.ended_cnt < leak->ended_cnt || !leak->birth)
        return;
    f->sibling_cnt = all.born_cnt - leak->cnt;
    f->sibling_closed_cnt = all.ended_cnt - leak->ended_cnt;
    for (unsigned i = 1; i < END_MAX; i++)
        if (all.ends[i].cnt > all.ends[best].cnt)
            best = i;
    const struct place *end = all.ends[best].place;
    if (f->sibling_closed_cnt && end && end->resolved && end->site.function[0])
        f->sibling_close_at = site_of(w, &leak->list, all.ends[best].place);
}

void leak_finish(struct watch *w, struct check_leak *leak)
{
    struct text remedy;
    put_siblings(w, leak);
    const struct facts *f = leak_facts(leak);
    const struct fact_site *closed = leak_closed_at(leak);
    text_init(&remedy);
    if (closed) {
        text_add(&remedy, "others that were born there are closed at ");
        check_add_site_called(&remedy, closed);
        text_add(&remedy,
                 ": find the path that goes past that (errors, timeouts, early returns)\n");
    } else if (!leak->remedy.len) {
        text_printf(&remedy,
                    "close(%d) is missing where the conversation is over, on every path "
                    "(errors, timeouts, early returns)\n",
                    f->holder_cnt ? f->holders[0].fd : -1);
    }
    /* What a rule says of missing closes in general is said better by then. */
    if (!closed || strcmp(finding_class_of(leak->code), CLASS_DEAF) != 0)
        text_add(&remedy, text_string(&leak->remedy));
    text_free(&leak->remedy);
    leak->remedy = remedy;
}

void judge_free(struct judge *judge)
{
    for (uint32_t i = 0; i < judge->report.leak_cnt; i++)
        leak_free(judge->report.leaks[i]);
    free(judge->report.leaks);
    text_free(&judge->report.notes);
    hash_free(&judge->keys, free);
    hash_free(&judge->pairs, free);
}
