/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two processes: the front is what the shell sees, it hands signals on and ends with the status;
 * the watcher traces. Programs that outlive the run need a tracer for as long as they live (calls
 * that the filter stops fail without one), so the watcher stays with them when the front is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check.h"
#include "check/filter.h"
#include "check/watch.h"

/* From the watcher to the front. */
struct news {
    uint32_t program; /* waits to begin: signals go there. A byte is the answer */
    bool done;
    int status; /* to exit with */
};

/* From the program-to-be to the watcher. */
struct trouble {
    enum { TROUBLE_FILTER, TROUBLE_EXEC } what;
    int error;
};

static const char complaint[] = "lastack check: ";

int check_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- the program-to-be ---- */

static void become(const struct check_options *o, int go, int tell, const sigset_t *mask)
{
    char byte;
    struct trouble trouble = {TROUBLE_FILTER, 0};
    if (read(go, &byte, 1) != 1)
        _exit(CHECK_FAILED);
    trouble.error = -check_filter_install(!o->no_closes);
    if (trouble.error == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(o->program[0], o->program);
        trouble = (struct trouble){TROUBLE_EXEC, errno};
    }
    if (write(tell, &trouble, sizeof trouble) != (ssize_t)sizeof trouble)
        _exit(CHECK_FAILED);
    _exit(trouble.what == TROUBLE_EXEC && trouble.error == ENOENT ? CHECK_NOT_FOUND
                                                                  : CHECK_NOT_EXECUTED);
}

/* ---- the watcher ---- */

static int complain_trouble(const struct check_options *o, const struct trouble *trouble)
{
    struct text name;
    text_init(&name);
    text_add_shown(&name, o->program[0]);
    if (trouble->what == TROUBLE_FILTER)
        fprintf(stderr,
                "%scannot watch the program: seccomp(2) is not allowed here (%s); in a container, "
                "allow seccomp in its profile\n",
                complaint, strerror(trouble->error));
    else if (trouble->error == ENOENT)
        fprintf(stderr, "%sthere is no program \"%s\"%s\n", complaint, text_string(&name),
                strchr(o->program[0], '/') ? "" : " in PATH");
    else
        fprintf(stderr, "%scannot run \"%s\": %s\n", complaint, text_string(&name),
                strerror(trouble->error));
    text_free(&name);
    if (trouble->what == TROUBLE_FILTER)
        return CHECK_FAILED;
    return trouble->error == ENOENT ? CHECK_NOT_FOUND : CHECK_NOT_EXECUTED;
}

static int complain_attach(int error)
{
    fprintf(stderr, "%scannot watch the program: ptrace(2) is not allowed here (%s)%s\n", complaint,
            strerror(error),
            error == EPERM
                ? "; either it runs under a tracer already (a debugger, strace, another lastack "
                  "check), or the container forbids it (add the capability SYS_PTRACE, or run it "
                  "with a seccomp profile that allows ptrace), or the system does (sysctl "
                  "kernel.yama.ptrace_scope is 2 or 3)"
                : "");
    return CHECK_FAILED;
}

static void news_send(int front, const struct news *news)
{
    /* A front that is gone was killed; then nobody waits for news. */
    if (write(front, news, sizeof *news) < 0)
        return;
}

/* The front knows the program, which lives as yet. */
static bool is_met(int front, const struct news *news)
{
    struct news begin = *news;
    char byte;
    begin.done = false;
    news_send(front, &begin);
    return read(front, &byte, 1) == 1;
}

/* Standard input, output and error of the watcher are nobody's business once the front is gone. */
static void let_go_of_files(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

static int verdict(const struct watch *w, int leak_status, bool told)
{
    const struct check_report *report = &w->judge.report;
    int status = check_status(w->status);
    if (status != 0)
        return status;
    if (report->leaked_cnt)
        return leak_status;
    return told && !report->failed && !report->blind ? 0 : CHECK_FAILED;
}

static void kill_rest(const struct watch *w)
{
    for (struct process *p = hash_next(&w->tree.processes, NULL); p;
         p = hash_next(&w->tree.processes, p))
        kill((pid_t)p->pid, SIGKILL);
}

static int watch_program(struct watch *w, int tell_fd, int leak_status, check_tell *tell, void *arg)
{
    struct trouble trouble;
    watch_run(w);
    if (!w->started && read(tell_fd, &trouble, sizeof trouble) == (ssize_t)sizeof trouble)
        return complain_trouble(w->options, &trouble);
    if (!w->started) {
        fprintf(stderr, "%sthe program ended before it began\n", complaint);
        return CHECK_FAILED;
    }
    bool told = tell(&w->judge.report, arg);
    return verdict(w, leak_status, told);
}

static void watcher_main(const struct check_options *o, int leak_status, check_tell *tell,
                         void *arg, int front, const sigset_t *mask)
{
    struct watch w = {.options = o, .judge.options = o};
    struct news news = {0};
    int go[2], trouble[2], error;
    pid_t child = -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and what is traced goes with us (EXITKILL) */
    looker_open(&w.looker);
    if (pipe2(go, O_CLOEXEC) == 0 && pipe2(trouble, O_CLOEXEC) == 0)
        child = fork();
    if (child < 0) {
        fprintf(stderr, "%scannot start a process: %s\n", complaint, strerror(errno));
        _exit(CHECK_FAILED);
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        become(o, go[0], trouble[1], mask);
    }
    close(trouble[1]);
    news = (struct news){.program = (uint32_t)child, .status = CHECK_FAILED, .done = true};
    w.program = (uint32_t)child;
    if ((error = watch_attach(w.program)) < 0) {
        complain_attach(-error);
        kill(child, SIGKILL);
    } else if (is_met(front, &news) && write(go[1], "", 1) == 1) {
        news.status = watch_program(&w, trouble[0], leak_status, tell, arg);
    }
    fflush(NULL);
    if (o->kill_rest)
        kill_rest(&w);
    prctl(PR_SET_PDEATHSIG, 0);
    let_go_of_files();
    news_send(front, &news);
    close(front);
    watch_rest(&w);
    _exit(0);
}

/* ---- the front ---- */

/* The watcher as the front sees it. */
struct watched {
    pid_t watcher;
    int news, signals;
    int program; /* pidfd, as its number may be a stranger's after its end; -1: not known yet */
};

static bool wants_an_end(uint32_t signal)
{
    return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM;
}

/* What is sent to us is meant for the program. A terminal's own signals have reached it already.
 * Once it is over they are meant for us, who wait for what it left. */
static void hand_on(const struct watched *w)
{
    struct signalfd_siginfo info;
    if (read(w->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    int number = info.ssi_code == SI_KERNEL ? 0 : (int)info.ssi_signo; /* 0: is it there? */
    if (syscall(SYS_pidfd_send_signal, w->program, number, NULL, 0) != 0 && errno == ESRCH &&
        wants_an_end(info.ssi_signo))
        kill(w->watcher, WATCH_ENOUGH);
}

/* The program begins when we have told that signals can reach it. */
static void meet_program(struct watched *w, uint32_t program)
{
    w->program = (int)syscall(SYS_pidfd_open, program, 0);
    if (w->program < 0)
        fprintf(stderr, "%ssignals cannot be handed on to the program (pidfd_open: %s)\n", complaint,
                strerror(errno));
    if (write(w->news, "", 1) != 1)
        fprintf(stderr, "%sthe watching process does not listen: %s\n", complaint, strerror(errno));
}

static int front_wait(struct watched *w)
{
    struct news news = {.status = CHECK_FAILED};
    struct pollfd fds[2] = {{w->news, POLLIN, 0}, {w->signals, POLLIN, 0}};
    for (;;) {
        /* Signals wait until it is known where they go. */
        fds[0].revents = fds[1].revents = 0;
        if (poll(fds, w->program >= 0 ? 2 : 1, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents & POLLIN)
            hand_on(w);
        if (!(fds[0].revents & (POLLIN | POLLHUP)))
            continue;
        if (read(w->news, &news, sizeof news) != (ssize_t)sizeof news) {
            fprintf(stderr, "%sthe watching process died, and the program with it\n", complaint);
            return CHECK_FAILED;
        }
        if (news.done)
            return news.status;
        meet_program(w, news.program);
    }
    return CHECK_FAILED;
}

int check_run(const struct check_options *options, int leak_status, check_tell *tell, void *arg)
{
    static const int handed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                    SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};
    sigset_t caught, before;
    int news[2];
    sigemptyset(&caught);
    for (size_t i = 0; i < sizeof handed_on / sizeof handed_on[0]; i++)
        sigaddset(&caught, handed_on[i]);
    sigprocmask(SIG_BLOCK, &caught, &before);
    struct watched w = {.signals = signalfd(-1, &caught, SFD_CLOEXEC), .program = -1};
    if (w.signals < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news) != 0) {
        fprintf(stderr, "%scannot start: %s\n", complaint, strerror(errno));
        return CHECK_FAILED;
    }
    fflush(NULL);
    w.watcher = fork();
    w.news = news[0];
    if (w.watcher == 0) {
        close(news[0]);
        close(w.signals);
        sigaddset(&caught, SIGTSTP);
        sigaddset(&caught, SIGTTOU);
        sigaddset(&caught, SIGPIPE);
        sigprocmask(SIG_BLOCK, &caught, NULL);
        watcher_main(options, leak_status, tell, arg, news[1], &before);
    }
    close(news[1]);
    if (w.watcher < 0) {
        fprintf(stderr, "%scannot start a process: %s\n", complaint, strerror(errno));
        return CHECK_FAILED;
    }
    return front_wait(&w);
}
