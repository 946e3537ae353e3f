/* SPDX-License-Identifier: BSD-2-Clause */
/* The process in the user's session: it waits for the supervisor and hands signals on. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/launch.h"

static void front_signals(sigset_t *set)
{
    static const int handed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                    SIGWINCH};

    sigemptyset(set);
    sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++)
        sigaddset(set, handed_on[i]);
    sigprocmask(SIG_SETMASK, set, NULL); /* the rest, such as SIGTSTP, acts as ever */
}

/* True: it has ended, with this exit status. */
static bool front_ended(pid_t supervisor, int *status)
{
    int state;

    if (waitpid(supervisor, &state, WNOHANG) != supervisor)
        return false;
    *status = RUN_FAILED;
    if (WIFEXITED(state))
        *status = WEXITSTATUS(state);
    else
        fprintf(stderr,
                "lastack run: the supervisor died (signal %d); the program has lost its TCP: its "
                "sockets read the end of the stream and new ones fail\n",
                WTERMSIG(state));
    return true;
}

int front_wait(pid_t supervisor)
{
    sigset_t set;
    siginfo_t info;
    int status, null = open("/dev/null", O_RDWR | O_CLOEXEC);

    front_signals(&set);
    if (null >= 0) { /* readers of the program's output see its end, not ours */
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    while (!front_ended(supervisor, &status)) {
        union sigval from = {0};

        if (sigwaitinfo(&set, &info) <= 0 || info.si_signo == SIGCHLD)
            continue;
        /* From the terminal (no sender) the program has it already, as a member of the group. */
        from.sival_int = info.si_code == SI_USER || info.si_code == SI_QUEUE ? info.si_pid : 0;
        sigqueue(supervisor, info.si_signo, from);
    }
    return status;
}
