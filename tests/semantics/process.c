/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers of the semantics program: processes, turns, and starting this program again.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int turn_make(void)
{
    int turn = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);

    if (turn < 0)
        broken("eventfd");
    return turn;
}

void turn_give(int turn)
{
    uint64_t one = 1;

    if (write(turn, &one, sizeof(one)) != sizeof(one))
        broken("turn_give");
}

void turn_wait(int turn)
{
    uint64_t one;
    struct pollfd item = {.fd = turn, .events = POLLIN};

    if (poll(&item, 1, 3 * semantics_wait_ms) <= 0 || read(turn, &one, sizeof(one)) < 0)
        broken("turn_wait");
}

pid_t branch(void)
{
    pid_t child = fork();

    if (child < 0)
        broken("fork");
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

static int wait_status(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            broken("waitpid");
    return status;
}

void done(const char *step, pid_t child)
{
    int status = wait_status(child);

    if (WIFSIGNALED(status))
        say(step, "SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        say(step, "exit %d", WEXITSTATUS(status));
}

void ended(pid_t child)
{
    wait_status(child);
}

void await_asleep(pid_t child)
{
    char path[64], text[512];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
    /* Asleep twice in a row, a moment apart: not merely on the way into the call. */
    for (int waited_ms = 0, asleep = 0; waited_ms < semantics_wait_ms && asleep < 20; waited_ms++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        const char *name_end;

        if (fd >= 0)
            close(fd);
        if (len <= 0)
            broken("await_asleep");
        text[len] = '\0';
        name_end = strrchr(text, ')');
        asleep = name_end && name_end[2] == 'S' ? asleep + 1 : 0;
        poll(NULL, 0, 1);
    }
}

/* ---- this program again ---- */

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Writes, then ends without a close. */
static int helper_write(int fd)
{
    say("helper writes", "%zd", send(fd, "from exec", 9, MSG_NOSIGNAL));
    return 0;
}

/* Says whether `fd` came along; lives until its turn so that its peer is seen meanwhile. */
static int helper_look(int fd, int ready_turn, int go_turn)
{
    say("helper has it", "%s", is_open(fd) ? "open" : "closed");
    turn_give(ready_turn);
    turn_wait(go_turn);
    return 0;
}

static int helper_accept(int listening)
{
    int fd = accept_from(listening);

    say("helper writes", "%zd", send(fd, "accepted after exec", 19, MSG_NOSIGNAL));
    return 0;
}

static int helper_names(int fd, int ready_turn, int go_turn)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof(name);

    say("helper getpeername", "%s",
        getpeername(fd, (struct sockaddr *)&name, &len) < 0 ? error_name(errno) : "ok");
    say("helper shutdown", "%s", shutdown(fd, SHUT_WR) < 0 ? error_name(errno) : "ok");
    turn_give(ready_turn);
    turn_wait(go_turn);
    sees("helper sees", fd);
    return 0;
}

int semantics_helper(char **argv)
{
    const char *role = argv[0];
    int a = atoi(argv[3]), b = atoi(argv[4]), c = atoi(argv[5]);

    trace_begin(argv[1], argv[2]);
    if (strcmp(role, "write") == 0)
        return helper_write(a);
    if (strcmp(role, "look") == 0)
        return helper_look(a, b, c);
    if (strcmp(role, "accept") == 0)
        return helper_accept(a);
    if (strcmp(role, "names") == 0)
        return helper_names(a, b, c);
    return 96;
}
