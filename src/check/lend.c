/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGSTOP to the borrowed process, one detach for each thread that stands; at the end one seize
 * each, and SIGCONT, which also takes back what the other tracer had sent. */
#include "check/lend.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "check/watch.h"

void lend_clone(struct task *maker)
{
    struct user_regs_struct regs;
    struct iovec all = {&regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, (pid_t)maker->tid, (void *)NT_PRSTATUS, &all) != 0)
        return;
#if defined(__x86_64__)
    regs.rdi &= ~(unsigned long long)CLONE_UNTRACED;
#else
    regs.regs[0] &= ~(unsigned long long)CLONE_UNTRACED;
#endif
    ptrace(PTRACE_SETREGSET, (pid_t)maker->tid, (void *)NT_PRSTATUS, &all);
    maker->makes_tracer = true;
}

void lend_made(struct task *maker, struct task *child)
{
    if (maker->makes_tracer && child && child->process != maker->process)
        child->process->loan.may_trace = true;
    maker->makes_tracer = false;
}

void lend_look(struct watch *w, struct process *process)
{
    struct loan *loan = &process->loan;
    struct task *tracer = loan->tracer ? hash_find(&w->tree.tasks, loan->tracer) : NULL;
    if (!tracer || loan->given)
        return;
    for (struct task *t = hash_next(&w->tree.tasks, NULL); t; t = hash_next(&w->tree.tasks, t))
        if (t->process == process && !t->lent && !t->leaving)
            return;
    loan->given = true;
    ptrace(PTRACE_CONT, (pid_t)tracer->tid, NULL, NULL);
}

bool lend_begin(struct watch *w, struct task *tracer)
{
    struct process *process = tree_process(&w->tree, tracer->process->parent);
    if (!tracer->process->loan.may_trace || !process || process->loan.tracer ||
        kill((pid_t)process->pid, SIGSTOP) != 0)
        return false;
    tracer->process->loan.is_tracer = true;
    w->tree.process_cnt--; /* nobody's idea of a process of the program */
    process->loan = (struct loan){.tracer = tracer->tid};
    return true;
}

bool lend_task(struct watch *w, struct task *task)
{
    const struct loan *loan = &task->process->loan;
    if (!loan->tracer || loan->given || task->lent ||
        ptrace(PTRACE_DETACH, (pid_t)task->tid, NULL, NULL) != 0)
        return false;
    task->lent = true;
    lend_look(w, task->process);
    return true;
}

void lend_end(struct watch *w, const struct process *tracer)
{
    struct process *process = tree_process(&w->tree, tracer->parent);
    if (!tracer->loan.is_tracer || !process || !process->loan.tracer)
        return;
    for (struct task *t = hash_next(&w->tree.tasks, NULL); t; t = hash_next(&w->tree.tasks, t))
        if (t->process == process && t->lent)
            t->lent = watch_attach(t->tid) < 0; /* it was killed: its end will be told */
    process->loan = (struct loan){.swallow = true};
    kill((pid_t)process->pid, SIGCONT);
}

bool lend_swallows(struct task *task, int signal)
{
    struct loan *loan = &task->process->loan;
    bool ours = signal == SIGCONT && loan->swallow;
    loan->swallow = loan->swallow && !ours;
    return ours;
}
