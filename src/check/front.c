/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two processes: the front is what the shell sees, it hands signals on and ends with the status;
 * the watcher traces. Programs that outlive the run need a tracer for as long as they live (calls
 * that the filter stops fail without one), so the watcher stays with them when the front is gone.
 *
 * A signal to the process group reaches the program by itself and must not be handed on. The front
 * cannot tell; but the watcher is of the same group and blocks what the front hands on: what went
 * to the group waits there, too.
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
    enum {
        NEWS_BEGIN,   /* `number`, the program, waits to begin: a byte is the answer */
        NEWS_WITNESS, /* `number`: did the signal that was asked for come here, too? */
        NEWS_DONE,    /* `number`: the status to exit with */
    } kind;
    int number;
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

static int front_fd; /* for on_witness() */

/* A front that is gone was killed; then nobody waits for news. */
static void news_send(int kind, int number)
{
    struct news news = {kind, number};
    send(front_fd, &news, sizeof news, MSG_NOSIGNAL);
}

static void on_witness(int signal, siginfo_t *info, void *context)
{
    const struct timespec now = {0, 0};
    int asked = info->si_value.sival_int, error = errno;
    sigset_t set;
    (void)signal;
    (void)context;
    if (info->si_pid != getppid())
        return;
    sigemptyset(&set);
    sigaddset(&set, asked);
    news_send(NEWS_WITNESS, sigtimedwait(&set, NULL, &now) == asked);
    errno = error;
}

/* The front knows the program, which lives as yet. */
static bool is_met(pid_t program)
{
    struct sigaction action = {.sa_sigaction = on_witness, .sa_flags = SA_SIGINFO | SA_RESTART};
    char byte;
    sigaction(WATCH_WITNESS, &action, NULL);
    news_send(NEWS_BEGIN, program);
    return read(front_fd, &byte, 1) == 1;
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

/* A file that is damaged, or too large, is fatal once the kernel has let the old image go. */
static int complain_start(const struct watch *w)
{
    if (!WIFSIGNALED(w->status)) {
        fprintf(stderr, "%sthe program ended before it began\n", complaint);
        return CHECK_FAILED;
    }
    fprintf(stderr,
            "%sthe program was killed by signal %d (%s) before its first instruction: its file may "
            "be damaged, or a limit too low for it\n",
            complaint, WTERMSIG(w->status), strsignal(WTERMSIG(w->status)));
    return check_status(w->status);
}

static int watch_program(struct watch *w, int tell_fd, int leak_status, check_tell *tell, void *arg)
{
    struct trouble trouble;
    watch_run(w);
    if (!w->started && read(tell_fd, &trouble, sizeof trouble) == (ssize_t)sizeof trouble)
        return complain_trouble(w->options, &trouble);
    if (!w->started)
        return complain_start(w);
    bool told = tell(&w->judge.report, arg);
    return verdict(w, leak_status, told);
}

static void watcher_main(const struct check_options *o, int leak_status, check_tell *tell,
                         void *arg, const sigset_t *mask)
{
    struct watch w = {.options = o, .judge.options = o};
    int go[2], trouble[2], error, status = CHECK_FAILED;
    pid_t child = -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* and what is traced goes with us (EXITKILL) */
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
    w.program = (uint32_t)child;
    if ((error = watch_attach(w.program)) < 0) {
        complain_attach(-error);
        kill(child, SIGKILL);
    } else if (is_met(child) && write(go[1], "", 1) == 1) {
        status = watch_program(&w, trouble[0], leak_status, tell, arg);
    }
    fflush(NULL);
    if (o->kill_rest)
        kill_rest(&w);
    prctl(PR_SET_PDEATHSIG, 0);
    let_go_of_files();
    signal(WATCH_WITNESS, SIG_IGN);
    news_send(NEWS_DONE, status);
    close(front_fd);
    watch_rest(&w);
    _exit(0);
}

/* ---- the front ---- */

/* The watcher as the front sees it. */
struct watched {
    pid_t watcher;
    int news, signals;
    int program;  /* pidfd, as its number may be a stranger's after its end; -1: not known yet */
    bool witness; /* the watcher's last answer */
    bool done;
    int status; /* to exit with, once done */
};

static bool wants_an_end(uint32_t signal)
{
    return signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM;
}

/* The program begins when we have told that signals can reach it. */
static void meet_program(struct watched *w, pid_t program)
{
    w->program = (int)syscall(SYS_pidfd_open, program, 0);
    if (w->program < 0)
        fprintf(stderr, "%ssignals cannot be handed on to the program (pidfd_open: %s)\n",
                complaint, strerror(errno));
    if (write(w->news, "", 1) != 1)
        fprintf(stderr, "%sthe watching process does not listen: %s\n", complaint, strerror(errno));
}

static void news_take(struct watched *w)
{
    struct news news = {NEWS_DONE, CHECK_FAILED};
    ssize_t len = read(w->news, &news, sizeof news);
    if (len < 0 && errno == EINTR)
        return;
    if (len != (ssize_t)sizeof news)
        fprintf(stderr, "%sthe watching process died, and the program with it\n", complaint);
    if (news.kind == NEWS_BEGIN)
        meet_program(w, news.number);
    else if (news.kind == NEWS_WITNESS)
        w->witness = news.number;
    else
        w->status = news.number;
    w->done = news.kind == NEWS_DONE;
}

/* A no-op, but it waits for the kernel's lock under which a group is sent a signal: whoever has it,
 * all have it. */
static void await_group(void)
{
    setpgid(0, getpgrp());
}

static bool was_witnessed(struct watched *w, int signal)
{
    struct pollfd answer = {w->news, POLLIN, 0};
    w->witness = false;
    await_group();
    if (sigqueue(w->watcher, WATCH_WITNESS, (union sigval){.sival_int = signal}) == 0 &&
        (poll(&answer, 1, -1) > 0 || errno == EINTR))
        news_take(w);
    await_group();
    return w->witness;
}

/* True: the whole group was sent it. One that came meanwhile may have been witnessed with it, as
 * equal ones are merged (but not those of real time): it is merged here, too. */
static bool is_for_group(struct watched *w, int signal)
{
    const struct timespec now = {0, 0};
    bool is = was_witnessed(w, signal), more = is && signal < SIGRTMIN;
    sigset_t same;
    sigemptyset(&same);
    sigaddset(&same, signal);
    while (more && sigtimedwait(&same, NULL, &now) == signal)
        more = was_witnessed(w, signal);
    return is;
}

/* What is sent to us alone is meant for the program. Once it is over it is meant for us, who wait
 * for what it left. */
static void hand_on(struct watched *w)
{
    struct signalfd_siginfo info;
    siginfo_t queued = {0};
    if (read(w->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    int number =
        is_for_group(w, (int)info.ssi_signo) ? 0 : (int)info.ssi_signo; /* 0: is it there? */
    queued.si_signo = number;
    queued.si_code = SI_QUEUE;
    queued.si_pid = (pid_t)info.ssi_pid;
    queued.si_uid = info.ssi_uid;
    queued.si_value.sival_ptr = (void *)(uintptr_t)info.ssi_ptr;
    if (syscall(SYS_pidfd_send_signal, w->program, number,
                number && info.ssi_code == SI_QUEUE ? &queued : NULL, 0) != 0 &&
        errno == ESRCH && wants_an_end(info.ssi_signo))
        kill(w->watcher, WATCH_ENOUGH);
}

static int front_wait(struct watched *w)
{
    struct pollfd fds[2] = {{w->news, POLLIN, 0}, {w->signals, POLLIN, 0}};
    while (!w->done) {
        /* Signals wait until it is known where they go. */
        fds[0].revents = fds[1].revents = 0;
        if (poll(fds, w->program >= 0 ? 2 : 1, -1) < 0 && errno != EINTR)
            return CHECK_FAILED;
        if (fds[0].revents & (POLLIN | POLLHUP))
            news_take(w);
        else if (fds[1].revents & POLLIN)
            hand_on(w);
    }
    return w->status;
}

/* What ends or tells; not what stops, and not what a fault of our own would be. */
static void signals_to_catch(sigset_t *caught)
{
    static const int few[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                              SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGWINCH};
    sigemptyset(caught);
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++)
        sigaddset(caught, few[i]);
    for (int signal = SIGRTMIN; signal < WATCH_WITNESS; signal++)
        sigaddset(caught, signal);
}

int check_run(const struct check_options *options, int leak_status, check_tell *tell, void *arg)
{
    sigset_t caught, before;
    int news[2];
    signals_to_catch(&caught);
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
        front_fd = news[1];
        watcher_main(options, leak_status, tell, arg, &before);
    }
    close(news[1]);
    if (w.watcher < 0) {
        fprintf(stderr, "%scannot start a process: %s\n", complaint, strerror(errno));
        return CHECK_FAILED;
    }
    return front_wait(&w);
}
