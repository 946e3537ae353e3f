/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loop over stops of traced threads. Most stops are answered at once; what matters are the end
 * of accept() and connect() (births), the beginning of close() and shutdown(), exec, and the stop
 * of a process's last thread at its exit, when its descriptors can still be seen.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/leak.h"
#include "check/watch.h"

#define TICK_US 50000 /* how often the clock is looked at once the program has ended */

int watch_attach(uint32_t child)
{
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
                   PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
    return ptrace(PTRACE_SEIZE, (pid_t)child, NULL, options) == 0 ? 0 : -errno;
}

/* A thread that vanished meanwhile will be reaped: nothing is to be done about it here. */
static void go_on(const struct task *task, int request, int signal)
{
    ptrace(request, (pid_t)task->tid, NULL, (long)signal);
}

/* ---- calls ---- */

static bool info_read(const struct task *task, struct __ptrace_syscall_info *info)
{
    memset(info, 0, sizeof *info);
    return ptrace(PTRACE_GET_SYSCALL_INFO, (pid_t)task->tid, sizeof *info, info) > 0;
}

static bool is_internet(const struct task *task, uint64_t address)
{
    sa_family_t family = 0;
    struct iovec to = {&family, sizeof family}, from = {(void *)(uintptr_t)address, sizeof family};
    return process_vm_readv((pid_t)task->tid, &to, 1, &from, 1, 0) == (ssize_t)sizeof family &&
           (family == AF_INET || family == AF_INET6);
}

static enum fact_call_kind shutdown_kind(uint64_t how)
{
    return how == SHUT_RD   ? FACT_CALL_SHUT_RD
           : how == SHUT_WR ? FACT_CALL_SHUT_WR
                            : FACT_CALL_SHUT_RDWR;
}

/* True if a connect() that was under way has come to nothing: no connection was ever there. */
static bool came_to_nothing(const struct task *task, struct connection *c, int fd)
{
    struct look look;
    int pidfd = look_pidfd(task->process->pid, task->tid);
    int result = pidfd < 0 ? pidfd : look_at(NULL, pidfd, fd, &look);
    if (pidfd >= 0)
        close(pidfd);
    c->met = c->met || result < 0 || look.met;
    if (result == 0 && look.has_tuple && !c->has_tuple) {
        c->tuple = look.tuple;
        c->has_tuple = true;
    }
    return !c->met;
}

/* close() or shutdown(): before it happens. */
static void note_call(struct watch *w, struct task *task, enum fact_call_kind kind, int fd)
{
    uint64_t inode = task->process->touched ? look_inode(task->tid, fd) : 0;
    struct connection *c = inode ? book_find(&w->book, inode) : NULL;
    if (!c || c->outside)
        return;
    if (!c->met && came_to_nothing(task, c, fd)) {
        book_strike(&w->book, c);
        return;
    }
    struct book_call call = {
        .kind = kind, .pid = task->process->pid, .tid = task->tid, .fd = fd, .ns = check_now_ns()};
    call.cut_off = kind == FACT_CALL_CLOSE; /* until the thread is heard of again */
    task->closing = call.cut_off ? inode : 0;
    memcpy(call.program, task->process->program, sizeof call.program);
    call.place = place_take(&w->places, task->process->image, task->process->pid, task->tid);
    book_call(c, &call);
}

static struct book_call *find_close(struct connection *c, uint32_t pid, int fd)
{
    for (unsigned i = c ? c->call_cnt : 0; i-- > 0;)
        if (c->calls[i].kind == FACT_CALL_CLOSE && c->calls[i].pid == pid &&
            c->calls[i].fd == fd)
            return &c->calls[i];
    return NULL;
}

/* A thread that is heard of again has its close() behind it. */
static void note_closed(const struct watch *w, struct task *task)
{
    struct connection *c = task->closing ? book_find(&w->book, task->closing) : NULL;
    for (unsigned i = 0; c && i < c->call_cnt; i++)
        if (c->calls[i].tid == task->tid)
            c->calls[i].cut_off = false;
    task->closing = 0;
}

/* At the exit of a thread: if that came between its call of close() and the close itself, say so. The
 * call may not have been heard of: a thread that is killed does not stop there any more. */
static void note_cut_off(struct watch *w, struct task *task)
{
    const struct process *process = task->process;
    note_closed(w, task);
    int fd = process->touched ? look_closing(task->tid) : -1;
    uint64_t inode = fd >= 0 ? look_inode(task->tid, fd) : 0;
    struct connection *c = inode ? book_find(&w->book, inode) : NULL;
    struct book_call *heard = find_close(c, process->pid, fd);
    if (heard)
        heard->cut_off = true;
    if (!c || c->outside || heard)
        return;
    struct book_call call = {.kind = FACT_CALL_CLOSE,
                             .pid = process->pid,
                             .tid = task->tid,
                             .fd = fd,
                             .cut_off = true,
                             .ns = check_now_ns()};
    memcpy(call.program, process->program, sizeof call.program);
    book_call(c, &call);
}

/* The source lines that may be asked for when this image is gone. */
static void before_image_goes(struct watch *w, const struct process *process)
{
    struct image *image = process->image;
    bool wanted = image->child_cnt > 0;
    if (image->member_cnt > 1)
        return;
    for (struct place *p = hash_next(&image->places, NULL); p && !wanted;
         p = hash_next(&image->places, p))
        wanted = p->leaked || p->born_cnt > p->ended_cnt;
    if (wanted)
        image_resolve(&w->places, image, process_voice(process));
}

/* A call that the filter stops: before it happens. */
static void at_call(struct watch *w, struct task *task, unsigned call)
{
    struct __ptrace_syscall_info info;
    if (call == CALL_CLOSE && !task->process->touched) {
        go_on(task, PTRACE_CONT, 0);
        return;
    }
    note_closed(w, task);
    if (!info_read(task, &info)) {
        go_on(task, PTRACE_CONT, 0);
        return;
    }
    int fd = (int)info.seccomp.args[0];
    task->makes_tracer = false;
    bool follow =
        call == CALL_ACCEPT || (call == CALL_CONNECT && is_internet(task, info.seccomp.args[1]));
    if (call == CALL_CLOSE)
        note_call(w, task, FACT_CALL_CLOSE, fd);
    else if (call == CALL_SHUTDOWN)
        note_call(w, task, shutdown_kind(info.seccomp.args[1]), fd);
    else if (call == CALL_EXEC)
        before_image_goes(w, task->process);
    else if (call == CALL_CLONE)
        lend_clone(task);
    else if (call == CALL_PTRACE && lend_begin(w, task))
        return;
    else if (call == CALL_PTRACE)
        w->traces = w->traces || !task->process->loan.is_tracer;
    task->call = follow ? (enum check_call)call : CALL_NONE;
    task->fd = fd;
    go_on(task, follow ? PTRACE_SYSCALL : PTRACE_CONT, 0);
}

static void birth(struct watch *w, struct task *task, int fd, bool passive)
{
    uint64_t inode = look_inode(task->tid, fd);
    int pidfd = inode ? look_pidfd(task->process->pid, task->tid) : -1;
    struct look look;
    int result = pidfd < 0 ? -ESRCH : look_at(NULL, pidfd, fd, &look);
    if (pidfd >= 0)
        close(pidfd);
    if (result < 0)
        task->process->touched = true; /* by something that we may not see */
    /* Refused before connect() came back, for instance. */
    if (result < 0 || !look.tcp || !(look.met || look.connecting || passive))
        return;
    struct place *place =
        place_take(&w->places, task->process->image, task->process->pid, task->tid);
    struct connection *c = book_birth(&w->book, &w->tree, inode, task->process, &look, place);
    task->process->touched = true;
    if (c && passive)
        c->passive = c->met = true;
}

/* accept() or connect(): it has happened. */
static void at_call_end(struct watch *w, struct task *task)
{
    struct __ptrace_syscall_info info;
    bool good = info_read(task, &info) && info.op == PTRACE_SYSCALL_INFO_EXIT;
    int64_t result = good ? info.exit.rval : -1;
    if (task->call == CALL_ACCEPT && result >= 0)
        birth(w, task, (int)result, true);
    else if (task->call == CALL_CONNECT && good && (result == 0 || result == -EINPROGRESS))
        birth(w, task, task->fd, false);
    task->call = CALL_NONE;
    go_on(task, PTRACE_CONT, 0);
}

/* ---- processes come and go ---- */

static uint64_t message_of(const struct task *task)
{
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, (pid_t)task->tid, NULL, &message);
    return message;
}

/* Sockets that were there before the program, and that it did not make. */
static void mark_outside(void *arg, int fd, uint64_t inode)
{
    struct watch *w = arg;
    struct connection *c = book_entry(&w->book, &w->tree, inode);
    (void)fd;
    if (c)
        c->outside = true;
}

static void at_exec(struct watch *w, uint32_t pid, struct task *task)
{
    struct task *now = tree_exec(&w->tree, pid, (uint32_t)message_of(task));
    w->started = w->started || pid == w->program;
    if (now)
        go_on(now, PTRACE_CONT, 0);
}

/* SIGKILL reaches a thread that is stopped at its exit, too: then there is nothing left to look at.
 */
static bool is_stopped(const struct task *task)
{
    unsigned long message;
    return ptrace(PTRACE_GETEVENTMSG, (pid_t)task->tid, NULL, &message) == 0;
}

/* The last thread of a process: what has it open? */
static void look_at_exit(struct watch *w, struct task *task)
{
    struct process *process = task->process;
    process->last_tid = task->tid;
    task->candidates = calloc(1, sizeof *task->candidates);
    if (!task->candidates || !judge_look(w, task, task->candidates)) {
        w->unseen_cnt++;
        w->judge.report.blind =
            w->judge.report.blind || (process->touched && (is_stopped(task) || w->options->killed));
    }
    if (task->candidates) {
        candidates_merge(task->candidates);
        judge_resolve(w, task, task->candidates, 0);
    }
    before_image_goes(w, process);
}

static void at_exit(struct watch *w, struct task *task)
{
    if (!task->leaving) {
        task->leaving = true;
        task->exit_signal = (int)(message_of(task) & 0x7f);
        task->process->live_cnt--;
        lend_look(w, task->process);
        note_cut_off(w, task);
        if (task->call == CALL_CONNECT && !w->over)
            birth(w, task, task->fd, false); /* the exit cut it off, but it may have been made */
    }
    bool last = task->process->live_cnt == 0 && !task->process->loan.is_tracer;
    if (last && !w->over && !task->candidates && w->started)
        look_at_exit(w, task);
    go_on(task, PTRACE_CONT, 0);
}

/* It was reaped: its descriptors are closed now. */
static void at_death(struct watch *w, uint32_t tid, int status)
{
    struct task *task = hash_find(&w->tree.tasks, tid);
    if (tid == w->program) {
        w->ended = true;
        w->status = status;
        w->ended_ns = check_now_ns();
    }
    if (!task)
        return;
    struct process *process = task->process;
    struct candidate_list *list = task->candidates;
    struct ending ending = {.pid = process->pid, .signal = task->exit_signal};
    if (!task->leaving && process->live_cnt == 1 && !w->over && w->started) {
        /* Only SIGKILL keeps a thread from its stop, even if it had called exit before. */
        w->unseen_cnt++;
        w->judge.report.blind = w->judge.report.blind || (process->touched && w->options->killed);
    }
    task->candidates = NULL;
    if (process->task_cnt == 1)
        lend_end(w, process);
    tree_task_gone(&w->tree, task);
    if (list && !w->over)
        judge_ended(w, list, &ending);
    if (list)
        candidates_free(list);
    free(list);
}

/* ---- stops ---- */

static void at_event(struct watch *w, struct task *task, uint32_t pid, int event, int signal)
{
    switch (event) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        lend_made(task, tree_task(&w->tree, (uint32_t)message_of(task), task));
        go_on(task, PTRACE_CONT, 0);
        break;
    case PTRACE_EVENT_EXEC:
        at_exec(w, pid, task);
        break;
    case PTRACE_EVENT_EXIT:
        at_exit(w, task);
        break;
    case PTRACE_EVENT_SECCOMP:
        at_call(w, task, (unsigned)message_of(task));
        break;
    case PTRACE_EVENT_STOP: {
        bool group =
            signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
        if (group && lend_task(w, task))
            break;
        go_on(task, group ? PTRACE_LISTEN : PTRACE_CONT, 0);
        break;
    }
    default:
        go_on(task, PTRACE_CONT, 0);
    }
}

static void at_stop(struct watch *w, uint32_t tid, int status)
{
    struct task *task = tree_task(&w->tree, tid, NULL);
    int signal = WSTOPSIG(status);
    if (!task) {
        ptrace(PTRACE_CONT, (pid_t)tid, NULL, NULL);
        return;
    }
    if (w->over && (status >> 16) != PTRACE_EVENT_STOP && (status >> 16) != PTRACE_EVENT_EXEC)
        go_on(task, PTRACE_CONT, (status >> 16) || signal == (SIGTRAP | 0x80) ? 0 : signal);
    else if (status >> 16)
        at_event(w, task, tid, status >> 16, signal);
    else if (signal == (SIGTRAP | 0x80))
        at_call_end(w, task);
    else
        go_on(task, task->call ? PTRACE_SYSCALL : PTRACE_CONT,
              lend_swallows(task, signal) ? 0 : signal);
}

/* False: nobody is left, or it was only a tick of the clock. */
static bool step(struct watch *w, bool *left)
{
    int status;
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0) {
        *left = errno == EINTR;
        return false;
    }
    if (WIFSTOPPED(status))
        at_stop(w, (uint32_t)tid, status);
    else
        at_death(w, (uint32_t)tid, status);
    return true;
}

/* ---- the run ---- */

static volatile sig_atomic_t enough;

static void tick(int signal)
{
    if (signal == WATCH_ENOUGH)
        enough = 1;
}

/* Does anything still want to be waited for? */
static bool is_grace_over(const struct watch *w)
{
    return w->ended && (enough || check_now_ns() - w->ended_ns >= w->options->grace_ns);
}

/* From now on waitpid() comes back now and then. */
static void clock_start(void)
{
    struct sigaction action = {.sa_handler = tick}; /* no SA_RESTART */
    struct itimerval timer = {{0, TICK_US}, {0, TICK_US}};
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* What those hold that did not end. */
static void judge_living(struct watch *w)
{
    struct candidate_list all = {0};
    struct ending ending = {.alive = true};
    for (struct task *t = hash_next(&w->tree.tasks, NULL); t; t = hash_next(&w->tree.tasks, t)) {
        const struct task *first = hash_find(&w->tree.tasks, t->process->pid);
        uint32_t from = all.cnt;
        if (t->leaving || (t != first && first && !first->leaving))
            continue;
        if (!judge_look(w, t, &all)) {
            w->unseen_cnt++;
            w->judge.report.blind = w->judge.report.blind || t->process->touched;
        }
        judge_resolve(w, t, &all, from);
    }
    candidates_merge(&all);
    judge_ended(w, &all, &ending);
    candidates_free(&all);
}

static void add_living_note(struct watch *w)
{
    struct text *notes = &w->judge.report.notes;
    unsigned shown = 0;
    if (!w->tree.processes.cnt)
        return;
    text_printf(notes, "%u %s still ran when the program and its grace were over (",
                w->tree.processes.cnt, w->tree.processes.cnt == 1 ? "process" : "processes");
    for (struct process *p = hash_next(&w->tree.processes, NULL); p && shown < 5;
         p = hash_next(&w->tree.processes, p)) {
        text_printf(notes, "%s%u ", shown++ ? ", " : "", p->pid);
        text_add_shown(notes, p->program);
    }
    text_printf(notes, "%s); %s\n", w->tree.processes.cnt > shown ? ", ..." : "",
                w->options->kill_rest ? "they were killed" : "they go on; --kill ends them");
}

void watch_run(struct watch *w)
{
    struct sigaction action = {.sa_handler = tick};
    bool left = true, ticking = false;
    sigaction(WATCH_ENOUGH, &action, NULL);
    each_socket(w->program, mark_outside, w);
    while (left) {
        step(w, &left);
        if (w->ended && !w->tree.tasks.cnt)
            break;
        if (w->ended && !ticking)
            clock_start();
        ticking = w->ended;
        if (is_grace_over(w))
            break;
    }
    if (w->tree.tasks.cnt && w->started)
        judge_living(w);
    add_living_note(w);
    judge_finish(&w->judge, w);
    w->over = true;
}

void watch_rest(struct watch *w)
{
    bool left = true;
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    while (w->tree.tasks.cnt && left)
        step(w, &left);
}
