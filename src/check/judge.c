/* SPDX-License-Identifier: BSD-2-Clause */
/* Candidates: what is open at an exit, and what of it nobody holds afterwards. */
#include "check/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/leak.h"
#include "check/watch.h"

/* ---- looking ---- */

#define QUEUE_MAX 64

struct looking {
    struct watch *watch;
    const struct process *process;
    uint32_t tid;
    struct candidate_list *list;
    int pidfd, error;
    uint64_t queues[QUEUE_MAX]; /* AF_UNIX sockets in which descriptors wait to be received */
    unsigned queue_cnt;
};

static struct candidate *candidate_add(struct candidate_list *list)
{
    if (list->cnt == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 8;
        struct candidate *all = realloc(list->all, cap * sizeof *all);
        if (!all)
            return NULL;
        list->all = all;
        list->cap = cap;
    }
    return &list->all[list->cnt++];
}

void candidates_free(struct candidate_list *list)
{
    looker_close(&list->looker);
    free(list->all);
}

/* Was `process` forked from `pid`, at however many removes? */
static fact_bool descends(const struct tree *tree, const struct process *process, uint32_t pid,
                          uint32_t program)
{
    for (; process && process->pid != program; process = tree_process(tree, process->parent))
        if (process->parent == pid)
            return FACT_YES;
    return process ? FACT_NO : FACT_MAYBE; /* some ancestor is gone */
}

/* How a process came to its descriptor, as far as its history tells. */
static enum fact_origin origin_of(const struct watch *w, const struct process *p,
                                  const struct connection *c, int fd)
{
    if (!c->born_ns)
        return FACT_ORIGIN_UNKNOWN;
    if (p->exec_ns > c->born_ns)
        return FACT_ORIGIN_EXEC;
    for (unsigned i = 0; i < c->call_cnt; i++)
        if (c->calls[i].kind == FACT_CALL_CLOSE && c->calls[i].pid == p->pid &&
            c->calls[i].fd != fd)
            return FACT_ORIGIN_DUP; /* it had two, and closed the other */
    if (p->pid == c->born_pid)
        return c->passive ? FACT_ORIGIN_ACCEPT : FACT_ORIGIN_SOCKET;
    if (p->birth_ns >= c->born_ns)
        return FACT_ORIGIN_FORK;
    /* Older than the connection; but a fork beside a connect() under way inherits it, too. */
    fact_bool heir = descends(&w->tree, p, c->born_pid, w->program);
    return heir == FACT_YES  ? FACT_ORIGIN_FORK
           : heir == FACT_NO ? FACT_ORIGIN_MESSAGE
                             : FACT_ORIGIN_UNKNOWN;
}

/* The exit cut off the very call that closes it. An earlier close() of this number is no excuse: the
 * connection may have been moved back there. */
static bool was_being_closed(const struct process *p, const struct connection *c, int fd)
{
    for (unsigned i = 0; c && i < c->call_cnt; i++)
        if (c->calls[i].cut_off && c->calls[i].pid == p->pid && c->calls[i].fd == fd)
            return true;
    return false;
}

static void candidate_put(const struct looking *l, struct connection *c, const struct look *look,
                          int fd)
{
    struct candidate *candidate = candidate_add(l->list);
    if (!candidate) {
        l->watch->judge.report.failed = true;
        return;
    }
    *candidate = (struct candidate){.inode = c->node.key,
                                    .look = *look,
                                    .seen_ns = check_now_ns(),
                                    .born_ns = c->born_ns,
                                    .holding_cnt = 1};
    struct holding *h = &candidate->holdings[0];
    h->pid = l->process->pid;
    h->fd = fd;
    h->origin = fd == FACT_NO_FD ? FACT_ORIGIN_UNKNOWN : origin_of(l->watch, l->process, c, fd);
    h->execed = c->born_ns && l->process->exec_ns > c->born_ns;
    memcpy(h->program, l->process->program, sizeof h->program);
}

static void look_one(void *arg, int fd, uint64_t inode)
{
    struct looking *l = arg;
    struct watch *w = l->watch;
    struct connection *c = book_find(&w->book, inode);
    struct look look;
    if (c && (c->outside || c->told || was_being_closed(l->process, c, fd)))
        return;
    int result = look_at(&l->list->looker, l->pidfd, fd, &look);
    if (result < 0 && result != -EBADF)
        l->error = result;
    if (result == 0 && !look.tcp && w->book.born_cnt && l->queue_cnt < QUEUE_MAX &&
        look_has_messages(l->tid, fd))
        l->queues[l->queue_cnt++] = inode;
    if (result < 0 || !look.tcp || !(look.met || (c && c->met)))
        return;
    c = book_entry(&w->book, &w->tree, inode);
    if (!c) {
        w->judge.report.failed = true;
        return;
    }
    c->met = true;
    c->net = look.net;
    if (look.has_tuple && !c->has_tuple) {
        c->tuple = look.tuple;
        c->has_tuple = true;
    }
    candidate_put(l, c, &look, fd);
}

/* Does a queue end with this process, so that nobody can receive any more what waits in it? */
static bool has_last_queue(const struct looking *l, const struct inode_set *others)
{
    for (unsigned i = 0; i < l->queue_cnt; i++)
        if (!inode_set_has(others, l->queues[i]))
            return true;
    return false;
}

/* No descriptor is left, and yet something refers to it: a message that nobody has received. */
static void look_in_messages(const struct looking *l)
{
    struct watch *w = l->watch;
    struct inode_set open; /* in the others */
    inode_set_of(&open, &w->tree);
    bool last = !open.failed && has_last_queue(l, &open);
    for (struct connection *c = hash_next(&w->book.all, NULL); c && last;
         c = hash_next(&w->book.all, c)) {
        struct look look = {.tuple = c->tuple, .cookie = c->cookie, .net = c->net};
        look.has_tuple = c->has_tuple;
        if (c->outside || c->told || c->gone || !c->has_tuple || inode_set_has(&open, c->node.key))
            continue;
        enum held held = look_without(&l->list->looker, &look);
        c->gone = held == HELD_NOT;
        if (held == HELD_YES && look.met)
            candidate_put(l, c, &look, FACT_NO_FD);
    }
    free(open.all);
}

bool judge_look(struct watch *watch, const struct task *task, struct candidate_list *list)
{
    struct looking l = {.watch = watch,
                        .process = task->process,
                        .tid = task->tid,
                        .list = list,
                        .pidfd = look_pidfd(task->process->pid, task->tid)};
    int result = each_socket(task->tid, look_one, &l);
    if (task->leaving && l.queue_cnt)
        look_in_messages(&l);
    if (l.pidfd >= 0)
        close(l.pidfd);
    return result == 0 && l.error == 0;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    if (x->holdings[0].pid != y->holdings[0].pid)
        return x->holdings[0].pid < y->holdings[0].pid ? -1 : 1;
    return x->holdings[0].fd - y->holdings[0].fd;
}

static int compare_births(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->born_ns != y->born_ns)
        return x->born_ns < y->born_ns ? -1 : 1;
    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

void candidates_merge(struct candidate_list *list)
{
    uint32_t kept = 0;
    if (list->cnt)
        qsort(list->all, list->cnt, sizeof *list->all, compare_candidates);
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct candidate *to = kept ? &list->all[kept - 1] : NULL, *from = &list->all[i];
        if (!to || to->inode != from->inode) {
            list->all[kept++] = *from;
            continue;
        }
        if (to->holdings[0].fd == FACT_NO_FD) {
            *to = *from; /* a descriptor says more than a message */
            continue;
        }
        if (to->holding_cnt < HOLDING_MAX) {
            struct holding *h = &to->holdings[to->holding_cnt];
            *h = from->holdings[0];
            if (h->pid == h[-1].pid)
                h->origin = FACT_ORIGIN_DUP;
        }
        to->holding_cnt++;
    }
    list->cnt = kept;
    if (kept)
        qsort(list->all, kept, sizeof *list->all, compare_births);
}

/* ---- lines ---- */

void judge_resolve(struct watch *watch, const struct task *task, const struct candidate_list *list,
                   uint32_t from)
{
    for (uint32_t i = from; i < list->cnt; i++) {
        const struct connection *c = book_find(&watch->book, list->all[i].inode);
        for (unsigned k = 0; c && k < c->call_cnt; k++)
            leak_place_resolve(watch, c->calls[k].place, task->process);
        if (c)
            leak_place_resolve(watch, c->birth, task->process);
    }
}

/* ---- judging ---- */

/* In use a moment ago: a process that was killed had no chance to end it. */
#define KILLED_GRACE_US 1000000u

static bool excused_by_kill(const struct watch *w, const struct candidate *c,
                            const struct ending *e)
{
    bool lingered = c->look.state == LASTACK_CLOSE_WAIT && c->look.ack_in_us >= KILLED_GRACE_US;
    return e->signal && !w->options->killed && !lingered;
}

/* Standard input and output that a program was started with, as inetd does it: its exit is how such
 * a connection ends. */
static bool excused_as_standard(const struct candidate *c, const struct ending *e)
{
    if (e->alive || c->holding_cnt > HOLDING_MAX)
        return false;
    for (uint32_t i = 0; i < c->holding_cnt; i++)
        if (c->holdings[i].fd > STDERR_FILENO || !c->holdings[i].execed)
            return false;
    return true;
}

static void note_exit(struct connection *c, const struct candidate *candidate)
{
    const struct holding *h = &candidate->holdings[0];
    struct book_call call = {
        .kind = FACT_CALL_EXIT, .pid = h->pid, .fd = h->fd, .ns = check_now_ns()};
    memcpy(call.program, h->program, sizeof call.program);
    book_call(c, &call);
}

void judge_ended(struct watch *w, struct candidate_list *list, const struct ending *ending)
{
    struct inode_set open = {0};
    bool scanned = false;
    for (uint32_t i = 0; i < list->cnt; i++) {
        const struct candidate *candidate = &list->all[i];
        struct connection *c = book_find(&w->book, candidate->inode);
        enum held held = ending->alive ? HELD_NOT : look_held(&list->looker, &candidate->look);
        if (!c || c->told)
            continue;
        if (held == HELD_UNKNOWN) {
            if (!scanned)
                inode_set_of(&open, &w->tree);
            scanned = true;
            held = inode_set_has(&open, candidate->inode) ? HELD_YES : HELD_NOT;
        }
        if (held == HELD_YES && candidate->holdings[0].fd != FACT_NO_FD)
            note_exit(c, candidate);
        else if (held == HELD_YES)
            continue; /* the message is another's, too */
        else if (excused_as_standard(candidate, ending))
            c->told = true;
        else if (excused_by_kill(w, candidate, ending))
            w->judge.report.killed_cnt++;
        else
            leak_tell(w, c, candidate, ending);
    }
    free(open.all);
}

/* ---- the end ---- */

static int compare_leaks(const void *a, const void *b)
{
    const struct check_leak *x = *(struct check_leak *const *)a,
                            *y = *(struct check_leak *const *)b;
    if (x->severity != y->severity)
        return (int)y->severity - (int)x->severity;
    if (x->cnt != y->cnt)
        return x->cnt > y->cnt ? -1 : 1;
    return strcmp(text_string(&x->key), text_string(&y->key));
}

static void drop_empty(struct check_report *report)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < report->leak_cnt; i++) {
        struct check_leak *leak = report->leaks[i];
        report->leaked_cnt += leak->cnt;
        if (leak->cnt)
            report->leaks[kept++] = leak;
        else
            leak_free(leak);
    }
    report->leak_cnt = kept;
}

static void add_count(struct text *notes, uint64_t cnt, const char *one, const char *many)
{
    text_printf(notes, "%llu %s", (unsigned long long)cnt, cnt == 1 ? one : many);
}

static void add_notes(struct check_report *report, const struct watch *w)
{
    struct text *notes = &report->notes;
    if (report->killed_cnt) {
        add_count(notes, report->killed_cnt, "connection was", "connections were");
        text_add(notes,
                 " in use when a signal killed the process, which does not count; --killed counts "
                 "it\n");
    }
    if (report->ignored_cnt) {
        add_count(notes, report->ignored_cnt, "connection was", "connections were");
        text_add(notes, " open when the process exited (open-at-exit), ignored as asked\n");
    }
    if (w->unseen_cnt) {
        add_count(notes, w->unseen_cnt, "process", "processes");
        text_add(notes,
                 " could not be looked at at the end (killed at once, or run with rights that "
                 "forbid it)");
        text_add(notes, report->blind ? ": connections held there are not judged\n" : "\n");
    }
    if (w->traces)
        text_add(notes, "a program called ptrace() itself (a debugger, strace): that fails "
                        "while lastack check watches it\n");
    if (w->places.lost)
        text_add(notes, "there were too many places to remember: some source lines are missing\n");
    suppressions_add_unused(w->options->suppressions, notes);
}

void judge_finish(struct judge *judge, struct watch *w)
{
    struct check_report *report = &judge->report;
    drop_empty(report);
    for (uint32_t i = 0; i < report->leak_cnt; i++)
        leak_finish(w, report->leaks[i]);
    if (report->leak_cnt)
        qsort(report->leaks, report->leak_cnt, sizeof *report->leaks, compare_leaks);
    report->connection_cnt = w->book.born_cnt;
    report->process_cnt = w->tree.process_cnt;
    report->status = w->status;
    report->failed = report->failed || w->book.failed || w->tree.failed;
    add_notes(report, w);
}
