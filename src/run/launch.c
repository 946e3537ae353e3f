/* SPDX-License-Identifier: BSD-2-Clause */
/* Start the program under the filter, and find out early what this system does not allow. */
#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/filter.h"
#include "run/notify.h"
#include "run/supervisor.h"
#include "run/task.h"

enum stage { STAGE_READY, STAGE_FILTER, STAGE_EXEC };

/* What the child tells: a filter (with its descriptor), or what failed. */
struct report {
    enum stage stage;
    int error;
    bool killable;
};

static bool report_send(int link, const struct report *report, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)report, sizeof *report};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *head;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    return sendmsg(link, &message, MSG_NOSIGNAL) == (ssize_t)sizeof *report;
}

/* False: the other end is closed. */
static bool report_receive(int link, struct report *report, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {report, sizeof *report};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head;
    ssize_t len;

    do
        len = recvmsg(link, &message, MSG_CMSG_CLOEXEC);
    while (len < 0 && errno == EINTR);
    if (len != (ssize_t)sizeof *report)
        return false;
    head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(head), sizeof *fd);
    return true;
}

/* Between the filter and the exec nothing may be called that is intercepted: nobody answers yet. */
static void child_run(struct supervisor *s, int link, const sigset_t *mask)
{
    struct report report = {.stage = STAGE_READY};
    int fd = filter_install(s->options.close_trace, &report.killable);
    char go;

    if (fd < 0) {
        report = (struct report){.stage = STAGE_FILTER, .error = -fd};
        report_send(link, &report, -1);
        _exit(RUN_FAILED);
    }
    if (!report_send(link, &report, fd) || recv(link, &go, 1, 0) != 1)
        _exit(RUN_FAILED);
    signal(SIGPIPE, s->pipe_action);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(s->options.program[0], s->options.program);
    report = (struct report){.stage = STAGE_EXEC, .error = errno};
    report_send(link, &report, -1);
    _exit(errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTED);
}

static int complain_filter(int error)
{
    const char *advice = "";

    if (error == EBUSY)
        advice = ": it runs under another supervisor of system calls already (lastack run cannot "
                 "run inside lastack run, nor in a container whose runtime uses notification)";
    else if (error == ENOSYS || error == EINVAL)
        advice = ": this kernel is too old (5.14 is needed) or built without seccomp";
    else if (error == EPERM || error == EACCES)
        advice = ": this container forbids seccomp(2)";
    fprintf(stderr, "lastack run: system calls cannot be intercepted here (seccomp notification: "
            "%s)%s\n", strerror(error), advice);
    return RUN_FAILED;
}

static int complain_exec(const struct supervisor *s, int error)
{
    if (error == ENOENT) {
        fprintf(stderr, "lastack run: there is no program \"%s\"%s\n", s->options.program[0],
                strchr(s->options.program[0], '/') ? "" : " in PATH");
        return RUN_NOT_FOUND;
    }
    fprintf(stderr, "lastack run: cannot run \"%s\": %s\n", s->options.program[0],
            strerror(error));
    return RUN_NOT_EXECUTED;
}

/* Everything rests on looking into the program; containers may forbid it. */
static int launch_try(struct supervisor *s, pid_t child)
{
    int fd = task_descriptor(s, child, STDERR_FILENO);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (fd == -EBADF)
        return 0; /* it has no standard error: looking was allowed */
    bool limit = fd == -EMFILE || fd == -ENFILE;
    fprintf(stderr,
            "lastack run: system calls cannot be intercepted here (pidfd_getfd, which goes with "
            "seccomp notification: %s); %s\n",
            strerror(-fd),
            limit ? "allow more open files (ulimit -n 1024)"
                  : "in a container, add the capability SYS_PTRACE");
    return RUN_FAILED;
}

int launch_program(struct supervisor *s, const sigset_t *mask)
{
    struct report report = {.stage = STAGE_EXEC};
    int link[2], notify = -1, status;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0 ||
        (s->program = fork()) < 0) {
        fprintf(stderr, "lastack run: cannot start a process: %s\n", strerror(errno));
        return RUN_FAILED;
    }
    if (s->program == 0) {
        close(link[0]); /* or it would wait for ever for an end that it holds itself */
        child_run(s, link[1], mask);
    }
    close(link[1]);
    if (!report_receive(link[0], &report, &notify) || report.stage != STAGE_READY)
        return complain_filter(report.stage == STAGE_FILTER ? report.error : EIO);
    s->notify = notify;
    s->killable = report.killable;
    status = launch_try(s, s->program);
    if (status != 0)
        return status; /* closing the link ends the child */
    if (send(link[0], "", 1, MSG_NOSIGNAL) == 1 && report_receive(link[0], &report, &notify))
        return complain_exec(s, report.error);
    close(link[0]);
    return 0;
}
