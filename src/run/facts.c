/* SPDX-License-Identifier: BSD-2-Clause */
/* What the supervisor knows beyond its stack: holders, what they do, who watches, bytes that wait in
 * pairs. To the kernel A is a socket like any other, so most of it is asked as for the kernel's own. */
#include "run/facts.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/facts.h"
#include "doctor/sources/stack.h"
#include "kernel/details.h"
#include "kernel/epoll.h"
#include "kernel/process.h"
#include "run/holders.h"
#include "run/pair.h"
#include "run/task.h"

#define STAT_CNT 256

/* A socket of a program: its pair, and its record in the list. */
struct place {
    struct pair *pair;
    uint32_t at; /* UINT32_MAX: it has none */
};

struct look {
    struct supervisor *s;
    struct facts_list *list;
    struct holder_set set;
    struct place *by_socket, *by_inode;
    unsigned cnt;
    bool watchers_all; /* every epoll could be read */
    pid_t stat_pids[STAT_CNT];
    struct task_stat stats[STAT_CNT];
    uint32_t pid; /* whose epolls are being read */
};

/* ---- where what is ---- */

static int by_socket(const void *left, const void *right)
{
    const struct pair *a = ((const struct place *)left)->pair;
    const struct pair *b = ((const struct place *)right)->pair;

    return a->socket_id < b->socket_id ? -1 : a->socket_id > b->socket_id;
}

static int by_inode(const void *left, const void *right)
{
    const struct pair *a = ((const struct place *)left)->pair;
    const struct pair *b = ((const struct place *)right)->pair;

    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

static struct place *place_find(struct look *look, const struct pair *key, bool inode)
{
    struct place place = {.pair = (struct pair *)key};

    return look->cnt ? bsearch(&place, inode ? look->by_inode : look->by_socket, look->cnt,
                               sizeof place, inode ? by_inode : by_socket)
                     : NULL;
}

static bool places_make(struct look *look)
{
    look->by_socket = calloc(look->s->pair_cnt + 1, sizeof *look->by_socket);
    look->by_inode = calloc(look->s->pair_cnt + 1, sizeof *look->by_inode);
    if (!look->by_socket || !look->by_inode)
        return false;
    list_for_each(node, &look->s->pairs)
        look->by_socket[look->cnt++] = (struct place){
            (struct pair *)((char *)node - offsetof(struct pair, all)), UINT32_MAX};
    qsort(look->by_socket, look->cnt, sizeof *look->by_socket, by_socket);
    for (uint32_t i = 0; i < look->list->cnt; i++) {
        const struct pair key = {.socket_id = look->list->all[i].socket_id};
        struct place *place = key.socket_id ? place_find(look, &key, false) : NULL;

        if (place)
            place->at = i;
    }
    memcpy(look->by_inode, look->by_socket, look->cnt * sizeof *look->by_inode);
    qsort(look->by_inode, look->cnt, sizeof *look->by_inode, by_inode);
    return true;
}

/* Many sockets have few processes. */
static const struct task_stat *stat_of(struct look *look, pid_t pid)
{
    unsigned at = (unsigned)pid % STAT_CNT;

    if (look->stat_pids[at] != pid) {
        task_look(pid, &look->stats[at]);
        look->stat_pids[at] = pid;
    }
    return &look->stats[at];
}

static bool is_descendant(struct look *look, pid_t pid, pid_t ancestor)
{
    for (unsigned depth = 0; pid > 1 && depth < 64; depth++) {
        if (pid == ancestor)
            return true;
        pid = stat_of(look, pid)->parent;
    }
    return false;
}

static void name_fill(struct look *look, pid_t pid, char *name, size_t size)
{
    const struct task_stat *stat = stat_of(look, pid);

    if (stat->state)
        snprintf(name, size, "%s", stat->name);
    else
        task_name(look->s, pid, name, size); /* as it was kept */
}

/* For details: which socket a call works on. */
static uint64_t id_of_descriptor(void *context, uint32_t pid, int fd)
{
    struct look *look = context;
    int a = task_descriptor(look->s, (pid_t)pid, fd);
    const struct pair *pair = a >= 0 ? pair_find(look->s, a) : NULL;
    const struct place *place = pair ? place_find(look, pair, false) : NULL;

    if (a >= 0)
        close(a);
    return place && place->at != UINT32_MAX ? look->list->all[place->at].id : 0;
}

/* ---- holders ---- */

/* The clock of process starts ticks in hundredths of a second. */
#define TICK_NS 20000000u

/* They run different programs: one of them has called execve(2) since it was forked. */
static bool is_other_program(pid_t pid, pid_t other)
{
    struct stat a, b;
    char path[32];

    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (stat(path, &a) != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/exe", other);
    return stat(path, &b) == 0 && (a.st_dev != b.st_dev || a.st_ino != b.st_ino);
}

/* How it came to it, where that can be known for certain. */
static void origin_fill(struct look *look, const struct pair *pair, struct fact_holder *holder)
{
    uint64_t now_ns = look->s->now_ns, start_ns;

    if ((pid_t)holder->pid == pair->born_pid) {
        holder->origin = holder->fd != pair->born_fd ? FACT_ORIGIN_DUP
                         : pair->accepted           ? FACT_ORIGIN_ACCEPT
                                                    : FACT_ORIGIN_SOCKET;
        if (holder->fd == pair->born_fd)
            holder->since_us = (now_ns - pair->born_ns) / 1000;
        return;
    }
    /* Younger than the socket, same number, from that family: it was forked with it. */
    start_ns = stat_of(look, (pid_t)holder->pid)->start_ns;
    if (holder->fd == pair->born_fd && start_ns + TICK_NS > pair->born_ns &&
        is_descendant(look, (pid_t)holder->pid, pair->born_pid)) {
        holder->origin = is_other_program((pid_t)holder->pid, pair->born_pid) ? FACT_ORIGIN_EXEC
                                                                              : FACT_ORIGIN_FORK;
        holder->since_us = now_ns > start_ns ? (now_ns - start_ns) / 1000 : 0;
    }
}

static void holders_put(struct look *look, struct facts *facts, const struct pair *pair)
{
    unsigned cnt;
    const struct holder *at = holders_of(&look->set, pair->inode, &cnt);

    facts_holders_clear(facts);
    for (unsigned i = 0; i < cnt; i++) {
        struct fact_holder *holder = facts_holder_add(look->list, facts);
        const struct holder_process *process = holders_process(&look->set, at[i].pid);

        if (!holder)
            return;
        holder->kind = FACT_HOLDER_DESCRIPTOR;
        holder->pid = (uint32_t)at[i].pid;
        holder->fd = at[i].fd;
        holder->fd_cnt = process ? process->fd_cnt : 0;
        name_fill(look, at[i].pid, holder->program, sizeof holder->program);
        origin_fill(look, pair, holder);
    }
    facts->references = cnt;
    facts->inode = pair->inode;
    if (cnt && look->set.complete)
        facts->holders_known = FACT_YES;
}

/* Who made it. A process is the same one if it is not younger than the socket. */
static void creator_fill(struct look *look, const struct pair *pair, struct facts *facts)
{
    const struct task_stat *stat = stat_of(look, pair->born_pid);

    facts->creator_pid = (uint32_t)pair->born_pid;
    name_fill(look, pair->born_pid, facts->creator_program, sizeof facts->creator_program);
    facts->creator_alive = stat->state && stat->state != 'Z' && stat->state != 'X' &&
                                   stat->start_ns && stat->start_ns <= pair->born_ns + TICK_NS
                               ? FACT_YES : FACT_NO;
    facts->creator_holds = FACT_NO;
    for (uint32_t i = 0; i < facts->holder_cnt; i++)
        if (facts->holders[i].pid == facts->creator_pid)
            facts->creator_holds = FACT_YES;
}

/* No process has it, but the kernel still does: a message that nobody has received. */
static void message_put(struct facts_list *list, struct facts *facts)
{
    struct fact_holder *holder = facts_holder_add(list, facts);

    if (!holder)
        return;
    holder->kind = FACT_HOLDER_MESSAGE;
    holder->origin = FACT_ORIGIN_MESSAGE;
    facts->references = 1;
}

/* Bytes that wait in A. False: not to be seen. */
static bool unread_count(struct supervisor *s, struct pair *pair, int *unread)
{
    int a;
    bool good;

    *unread = 0;
    if (ioctl(pair->b, SIOCOUTQ, unread) == 0 && *unread == 0)
        return true; /* that counts buffers, not bytes; nothing is nothing */
    a = pair_open_a(s, pair);
    good = a >= 0 && ioctl(a, FIONREAD, unread) == 0;
    if (a >= 0)
        close(a);
    return good;
}

/* Bytes in the pair belong to the queues that programs think of. */
static void queues_fill(struct supervisor *s, struct facts *facts, struct pair *pair)
{
    int queued = 0, unread = 0, inside = 0;
    bool known;

    if (pair->kind != PAIR_CONNECTED || pair->b < 0 ||
        lastack_ioctl(s->process, pair->fd, FIONREAD, &inside) != 0)
        return;
    known = unread_count(s, pair, &unread);
    if (known)
        facts->receive_queue = (uint64_t)inside + (uint64_t)unread;
    if (!pair->b_shut_wr || (known && unread > 0))
        facts->eof_read_us = FACT_NEVER; /* the end is not even there, or behind unread data */
    if (ioctl(pair->b, FIONREAD, &queued) == 0 && queued > (pair->token ? 1 : 0)) {
        facts->send_queue += (uint64_t)queued - (pair->token ? 1 : 0);
        facts->send_unsent += (uint64_t)queued - (pair->token ? 1 : 0);
    }
    if (pair->shut_wr_late) /* the stack hears of it when it has taken what was written before */
        facts->shut_wr = FACT_YES;
}

/* Connections that were taken from the stack for an accept(2) that failed wait as before. */
static void listener_fill(struct facts *facts, const struct pair *listener)
{
    for (const struct list *node = listener->requeued.next; node != &listener->requeued;
         node = node->next)
        facts->receive_queue++;
}

static void names_fill(struct look *look, struct facts *facts)
{
    for (uint32_t i = 0; i < facts->close_cnt; i++)
        if (facts->closes[i].pid && !facts->closes[i].program[0])
            name_fill(look, (pid_t)facts->closes[i].pid, facts->closes[i].program,
                      sizeof facts->closes[i].program);
    if (facts->fin_out_by.pid && !facts->fin_out_by.program[0])
        name_fill(look, (pid_t)facts->fin_out_by.pid, facts->fin_out_by.program,
                  sizeof facts->fin_out_by.program);
}

static void pair_fill(struct look *look, struct facts *facts, struct pair *pair)
{
    holders_put(look, facts, pair);
    creator_fill(look, pair, facts);
    queues_fill(look->s, facts, pair);
    if (pair->a >= 0) { /* accepted from the stack, but accept(2) was interrupted */
        facts->unaccepted = FACT_YES;
        return;
    }
    if (pair->kind == PAIR_LISTENER)
        listener_fill(facts, pair);
    if (pair->hung_up) /* the stack hears of it when it has taken what was written */
        facts->orphan = FACT_YES;
    else if (facts->references == 0 && pair_alive(look->s, pair))
        message_put(look->list, facts);
}

/* ---- who watches ---- */

static void target_take(struct epoll_walk *walk, uint64_t inode, const struct fact_watch *watch)
{
    struct look *look = walk->context;
    const struct pair key = {.inode = inode};
    const struct place *place = place_find(look, &key, true);
    struct facts *facts =
        place && place->at != UINT32_MAX ? &look->list->all[place->at] : NULL;
    struct fact_watch *added =
        facts && details_of_interest(facts) ? facts_watch_add(look->list, facts) : NULL;

    if (!added)
        return;
    *added = *watch;
    added->pid = look->pid;
}

static void epolls_read(struct look *look)
{
    struct epoll_walk walk = {.take = target_take, .context = look};
    const struct holder_set *set = &look->set;
    int dir = -1;

    if (set->epoll_cnt && look->s->control >= 0)
        walk.device = epoll_device(look->s->control);
    look->watchers_all = set->complete;
    for (unsigned i = 0; i < set->epoll_cnt; i++) {
        const struct holder *epoll = &set->epolls[i];

        if (i == 0 || epoll->pid != (pid_t)look->pid) {
            if (dir >= 0)
                close(dir);
            look->pid = (uint32_t)epoll->pid;
            dir = process_open(look->pid);
        }
        if (dir >= 0 && !epoll_targets(&walk, dir, epoll->fd, 0))
            look->watchers_all = false;
    }
    if (dir >= 0)
        close(dir);
}

static void watchers_fill(struct look *look)
{
    struct text unseen;
    const struct details_how how = {.all_holders = true, .no_cpu = true,
                                    .id_of = id_of_descriptor, .context = look,
                                    .unseen = &unseen};
    bool any = false;

    for (uint32_t i = 0; i < look->list->cnt && !any; i++)
        any = look->list->all[i].holder_cnt && details_of_interest(&look->list->all[i]);
    if (any)
        epolls_read(look);
    for (uint32_t i = 0; any && i < look->list->cnt; i++)
        if (details_of_interest(&look->list->all[i]))
            look->list->all[i].watchers_known = look->watchers_all ? FACT_YES : FACT_NO;
    text_init(&unseen);
    details_add(look->list, 0, &how);
    text_free(&unseen);
}

void supervisor_facts(struct supervisor *s, struct facts_list *list)
{
    const struct facts_stack_options options = {.name = s->options.name, .supervised = true};
    struct look *look = calloc(1, sizeof *look);

    facts_from_stack(list, s->stack, s->now_ns, &options);
    if (look)
        *look = (struct look){.s = s, .list = list};
    if (look && places_make(look)) {
        holders_scan(s, &look->set);
        for (unsigned i = 0; i < look->cnt; i++)
            if (look->by_socket[i].at != UINT32_MAX)
                pair_fill(look, &list->all[look->by_socket[i].at], look->by_socket[i].pair);
        for (uint32_t i = 0; i < list->cnt; i++)
            names_fill(look, &list->all[i]);
        watchers_fill(look);
        holders_free(&look->set);
        facts_list_relate(list);
    } else {
        list->failed = true;
    }
    if (look) {
        free(look->by_socket);
        free(look->by_inode);
    }
    free(look);
}
