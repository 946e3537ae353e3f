/* SPDX-License-Identifier: BSD-2-Clause */
/* A process that shares all of its maker's memory, is nobody's child to wait for by accident (no signal at
 * its end), and would escape a tracer of its maker's (CLONE_UNTRACED). */
#include "tracer.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static struct {
    const pid_t *threads;
    int cnt;
    volatile bool begin, done;
} plan;

static int tracer_main(void *arg)
{
    (void)arg;
    while (!plan.begin)
        sched_yield();
    for (int i = 0; i < plan.cnt; i++) {
        int status = 0;
        if (ptrace(PTRACE_ATTACH, plan.threads[i], NULL, NULL) != 0)
            return 1;
        while (waitpid(plan.threads[i], &status, __WALL) > 0 && WSTOPSIG(status) != SIGSTOP)
            ptrace(PTRACE_CONT, plan.threads[i], NULL, (long)WSTOPSIG(status));
    }
    for (int i = 0; i < plan.cnt; i++)
        if (ptrace(PTRACE_DETACH, plan.threads[i], NULL, NULL) != 0)
            return 2;
    plan.done = true;
    return 0;
}

bool stop_and_go(const pid_t *threads, int cnt)
{
    static char stack[65536] __attribute__((aligned(16)));
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, status = -1;
    plan.threads = threads;
    plan.cnt = cnt;
    pid_t tracer = clone(tracer_main, stack + sizeof stack, flags, NULL);
    if (tracer < 0)
        return false;
    prctl(PR_SET_PTRACER, tracer, 0, 0, 0); /* where Yama asks for it */
    plan.begin = true;
    return waitpid(tracer, &status, __WALL) == tracer && status == 0 && plan.done;
}

char thread_state(pid_t tid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d %*s %c", &state) != 1)
        state = 0;
    if (file)
        fclose(file);
    return state;
}
