/* SPDX-License-Identifier: BSD-2-Clause */
/* What the supervisor knows beyond its stack: holders, what they do, bytes that wait in pairs. */
#include "run/facts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doctor/facts.h"
#include "doctor/sources/stack.h"
#include "run/holders.h"
#include "run/pair.h"
#include "run/task.h"

/* Pairs by socket, so that a thousand facts do not make a million looks. */
struct pair_index {
    struct pair **all;
    unsigned cnt;
};

static int by_socket(const void *left, const void *right)
{
    const struct pair *a = *(struct pair *const *)left, *b = *(struct pair *const *)right;

    return a->socket_id < b->socket_id ? -1 : a->socket_id > b->socket_id;
}

static bool index_make(struct pair_index *index, struct supervisor *s)
{
    *index = (struct pair_index){.all = calloc(s->pair_cnt + 1, sizeof(struct pair *))};
    if (!index->all)
        return false;
    list_for_each(node, &s->pairs)
        index->all[index->cnt++] = (struct pair *)((char *)node - offsetof(struct pair, all));
    qsort(index->all, index->cnt, sizeof *index->all, by_socket);
    return true;
}

static struct pair *index_find(const struct pair_index *index, uint64_t socket_id)
{
    struct pair key = {.socket_id = socket_id}, *at = &key, **found;

    if (socket_id == 0)
        return NULL;
    found = bsearch(&at, index->all, index->cnt, sizeof *index->all, by_socket);
    return found ? *found : NULL;
}

/* ---- what a process is doing ---- */

static const struct {
    long nr;
    enum fact_doing doing;
    const char *text;
} doings[] = {
    {__NR_accept, FACT_DOING_ACCEPT, "accept"},
    {__NR_accept4, FACT_DOING_ACCEPT, "accept"},
    {__NR_connect, FACT_DOING_CONNECT, "connect"},
    {__NR_read, FACT_DOING_RECV, "read"},
    {__NR_readv, FACT_DOING_RECV, "readv"},
    {__NR_recvfrom, FACT_DOING_RECV, "recv"},
    {__NR_recvmsg, FACT_DOING_RECV, "recvmsg"},
    {__NR_write, FACT_DOING_SEND, "write"},
    {__NR_writev, FACT_DOING_SEND, "writev"},
    {__NR_sendto, FACT_DOING_SEND, "send"},
    {__NR_sendmsg, FACT_DOING_SEND, "sendmsg"},
    {__NR_sendfile, FACT_DOING_SEND, "sendfile"},
    {__NR_ppoll, FACT_DOING_POLL, "ppoll"},
    {__NR_pselect6, FACT_DOING_POLL, "pselect"},
    {__NR_epoll_pwait, FACT_DOING_POLL, "epoll_wait"},
#ifdef __NR_poll
    {__NR_poll, FACT_DOING_POLL, "poll"},
    {__NR_select, FACT_DOING_POLL, "select"},
    {__NR_epoll_wait, FACT_DOING_POLL, "epoll_wait"},
    {__NR_pause, FACT_DOING_SLEEP, "pause"},
#endif
    {__NR_wait4, FACT_DOING_WAIT_CHILD, "wait4"},
    {__NR_waitid, FACT_DOING_WAIT_CHILD, "waitid"},
    {__NR_nanosleep, FACT_DOING_SLEEP, "nanosleep"},
    {__NR_clock_nanosleep, FACT_DOING_SLEEP, "clock_nanosleep"},
    {__NR_rt_sigsuspend, FACT_DOING_SLEEP, "sigsuspend"},
    {__NR_futex, FACT_DOING_LOCK, "futex"},
};

/* A call that we hold: no need to ask the kernel. */
static const struct held *held_by(struct supervisor *s, pid_t pid)
{
    list_for_each(node, &s->held) {
        const struct held *held = (struct held *)((char *)node - offsetof(struct held, all));

        if (held->call.pid == pid)
            return held;
    }
    return NULL;
}

/* The id that the facts have for a pair's connection or listener. */
static uint64_t id_of_socket(const struct facts_list *list, uint64_t socket_id)
{
    for (uint32_t i = 0; i < list->cnt; i++)
        if (socket_id && list->all[i].socket_id == socket_id)
            return list->all[i].id;
    return FACT_UNKNOWN;
}

static uint64_t id_of_descriptor(struct supervisor *s, const struct facts_list *list, pid_t pid,
                                 int fd)
{
    int a = task_descriptor(s, pid, fd);
    const struct pair *pair = a >= 0 ? pair_find(s, a) : NULL;

    if (a >= 0)
        close(a);
    return pair ? id_of_socket(list, pair->socket_id) : FACT_UNKNOWN;
}

static void doing_call(struct supervisor *s, const struct facts_list *list,
                       struct fact_holder *holder, long nr, uint64_t arg)
{
    holder->doing = FACT_DOING_OTHER;
    snprintf(holder->doing_text, sizeof holder->doing_text, "system call %ld", nr);
    for (size_t i = 0; i < sizeof doings / sizeof *doings; i++) {
        if (doings[i].nr != nr)
            continue;
        holder->doing = doings[i].doing;
        snprintf(holder->doing_text, sizeof holder->doing_text, "%s", doings[i].text);
    }
    if (holder->doing == FACT_DOING_ACCEPT || holder->doing == FACT_DOING_RECV ||
        holder->doing == FACT_DOING_SEND || holder->doing == FACT_DOING_CONNECT)
        holder->doing_id = id_of_descriptor(s, list, (pid_t)holder->pid, (int)arg);
}

static void doing_fill(struct supervisor *s, const struct facts_list *list,
                       struct fact_holder *holder)
{
    pid_t pid = (pid_t)holder->pid;
    const struct held *held = held_by(s, pid);
    char state = task_state(pid, &holder->threads);
    uint64_t arg;
    long nr;

    if (state == 'T' || state == 't')
        holder->doing = FACT_DOING_STOPPED;
    else if (state == 'Z' || state == 'X')
        holder->doing = FACT_DOING_ZOMBIE;
    else if (held)
        doing_call(s, list, holder, held->call.nr, held->call.args[0]);
    else if (state == 'R')
        holder->doing = FACT_DOING_RUNNING;
    else if (task_syscall(pid, &nr, &arg))
        doing_call(s, list, holder, nr, arg);
}

/* ---- holders ---- */

/* How it came to it, where that can be known for certain. */
static void origin_fill(struct supervisor *s, const struct pair *pair, struct fact_holder *holder)
{
    uint64_t start_ns;

    if ((pid_t)holder->pid == pair->born_pid) {
        holder->origin = holder->fd != pair->born_fd ? FACT_ORIGIN_DUP
                         : pair->accepted           ? FACT_ORIGIN_ACCEPT
                                                    : FACT_ORIGIN_SOCKET;
        if (holder->fd == pair->born_fd)
            holder->since_us = (s->now_ns - pair->born_ns) / 1000;
        return;
    }
    /* Younger than the socket, same number, from that family: it was forked with it. The clock of
     * process starts ticks in hundredths of a second. */
    start_ns = task_start_ns((pid_t)holder->pid);
    if (holder->fd == pair->born_fd && start_ns + 20000000u > pair->born_ns &&
        task_is_descendant((pid_t)holder->pid, pair->born_pid)) {
        holder->origin = FACT_ORIGIN_FORK;
        holder->since_us = s->now_ns > start_ns ? (s->now_ns - start_ns) / 1000 : 0;
    }
}

/* Who cannot have one descriptor more cannot accept. */
static void room_fill(struct fact_holder *holder)
{
    char path[40];
    struct rlimit limit;

    snprintf(path, sizeof path, "/proc/%u/fd", holder->pid);
    DIR *dir = opendir(path);
    if (!dir || prlimit((pid_t)holder->pid, RLIMIT_NOFILE, NULL, &limit) != 0) {
        if (dir)
            closedir(dir);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir));)
        holder->fd_cnt += e->d_name[0] != '.';
    closedir(dir);
    holder->fd_limit = limit.rlim_cur < UINT32_MAX ? (uint32_t)limit.rlim_cur : UINT32_MAX;
}

static void holders_put(struct supervisor *s, struct facts_list *list, struct facts *facts,
                        const struct pair *pair, const struct holder_set *set)
{
    unsigned cnt;
    const struct holder *at = holders_of(set, pair->inode, &cnt);

    facts_holders_clear(facts);
    for (unsigned i = 0; i < cnt; i++) {
        struct fact_holder *holder = facts_holder_add(list, facts);

        if (!holder)
            return;
        holder->kind = FACT_HOLDER_DESCRIPTOR;
        holder->pid = (uint32_t)at[i].pid;
        holder->fd = at[i].fd;
        task_name(s, at[i].pid, holder->program, sizeof holder->program);
        holder->close_on_exec =
            task_descriptor_close_on_exec(at[i].pid, at[i].fd) ? FACT_YES : FACT_NO;
        origin_fill(s, pair, holder);
        doing_fill(s, list, holder);
        if (facts->state == LASTACK_LISTEN && facts->receive_queue > 0)
            room_fill(holder);
    }
    facts->references = cnt;
}

/* Who made it. A process is the same one if it is not younger than the socket. */
static void creator_fill(struct supervisor *s, const struct pair *pair, struct facts *facts)
{
    uint32_t threads;
    char state = task_state(pair->born_pid, &threads);
    uint64_t start_ns = task_start_ns(pair->born_pid);

    facts->creator_pid = (uint32_t)pair->born_pid;
    task_name(s, pair->born_pid, facts->creator_program, sizeof facts->creator_program);
    facts->creator_alive = state && state != 'Z' && state != 'X' && start_ns &&
                                   start_ns <= pair->born_ns + 20000000u
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

/* Bytes in the pair belong to the queues that programs think of. */
static void queues_fill(struct supervisor *s, struct facts *facts, struct pair *pair)
{
    int queued = 0, unread = 0, inside = 0, a;

    if (pair->kind != PAIR_CONNECTED || pair->b < 0 ||
        lastack_ioctl(s->process, pair->fd, FIONREAD, &inside) != 0)
        return;
    a = pair_open_a(s, pair);
    if (a >= 0 && ioctl(a, FIONREAD, &unread) == 0)
        facts->receive_queue = (uint64_t)inside + (uint64_t)unread;
    if (a >= 0)
        close(a);
    if (!pair->b_shut_wr || unread > 0)
        facts->eof_read_us = FACT_NEVER; /* the end is not even there, or behind unread data */
    if (ioctl(pair->b, FIONREAD, &queued) == 0 && queued > (pair->token ? 1 : 0)) {
        facts->send_queue += (uint64_t)queued - (pair->token ? 1 : 0);
        facts->send_unsent += (uint64_t)queued - (pair->token ? 1 : 0);
    }
}

static void names_fill(struct supervisor *s, struct facts *facts)
{
    for (uint32_t i = 0; i < facts->close_cnt; i++)
        if (facts->closes[i].pid && !facts->closes[i].program[0])
            task_name(s, (pid_t)facts->closes[i].pid, facts->closes[i].program,
                      sizeof facts->closes[i].program);
    if (facts->fin_out_by.pid && !facts->fin_out_by.program[0])
        task_name(s, (pid_t)facts->fin_out_by.pid, facts->fin_out_by.program,
                  sizeof facts->fin_out_by.program);
}

static void pair_fill(struct supervisor *s, struct facts_list *list, struct facts *facts,
                      struct pair *pair, const struct holder_set *set)
{
    holders_put(s, list, facts, pair, set);
    creator_fill(s, pair, facts);
    if (pair->a >= 0) { /* accepted from the stack, but accept(2) was interrupted */
        facts->unaccepted = FACT_YES;
        return;
    }
    if (pair->hung_up) /* the stack hears of it when it has taken what was written */
        facts->orphan = FACT_YES;
    else if (facts->references == 0 && pair_alive(s, pair))
        message_put(list, facts);
    queues_fill(s, facts, pair);
}

void supervisor_facts(struct supervisor *s, struct facts_list *list)
{
    const struct facts_stack_options options = {.name = s->options.name, .supervised = true};
    struct holder_set set;
    struct pair_index index;

    facts_from_stack(list, s->stack, s->now_ns, &options);
    if (!index_make(&index, s))
        return;
    holders_scan(s, &set);
    for (uint32_t i = 0; i < list->cnt; i++) {
        struct pair *pair = index_find(&index, list->all[i].socket_id);

        if (pair)
            pair_fill(s, list, &list->all[i], pair, &set);
        names_fill(s, &list->all[i]);
    }
    holders_free(&set);
    free(index.all);
    facts_list_relate(list);
}
