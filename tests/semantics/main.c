/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * semantics [--own-net] [--wait-ms N] [--list] [GROUP[/CASE] ...]
 *
 * Run the groups (all by default) and print the trace. --own-net: in a new network name
 * space, for the native run, so that no other program's ports matter.
 */
#include "trace.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_LIMIT_MS 60000

static const struct semantics_group *const groups[] = {
    &group_refs,  &group_close,   &group_shutdown, &group_half, &group_errors, &group_busy,
    &group_ready, &group_epoll,   &group_names,    &group_accept,
    &group_backlog, &group_options, &group_io,     &group_beside,
#ifndef SEMANTICS_LIBRARY /* one process, no signals */
    &group_exec,  &group_pass,    &group_signals,
#endif
};
#define GROUP_CNT (sizeof(groups) / sizeof(groups[0]))

static int own_net(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd;

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return -errno;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return -errno;
    close(fd);
    return 0;
}

/* True if the case ended by itself within its limit. */
static bool wait_limited(pid_t child)
{
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd item = {.fd = pidfd, .events = POLLIN};
    bool over = pidfd >= 0 && poll(&item, 1, CASE_LIMIT_MS) > 0;

    if (pidfd >= 0)
        close(pidfd);
    return over;
}

static void case_run(const char *group, const struct semantics_case *item)
{
    int status = 0;
    pid_t child = fork();

    trace_begin(group, item->name);
    if (child == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        item->run();
        _exit(0);
    }
    if (child < 0)
        broken("fork");
    setpgid(child, child);
    if (!wait_limited(child))
        say("end", "no end within its limit");
    kill(-child, SIGKILL);
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        say("end", "died of SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        say("end", "exit %d", WEXITSTATUS(status));
}

/* GROUP or GROUP/CASE. */
static bool chosen(int argc, char **argv, const char *group, const char *name)
{
    size_t group_len = strlen(group);

    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], group, group_len) != 0)
            continue;
        if (argv[i][group_len] == '\0')
            return true;
        if (argv[i][group_len] == '/' && strcmp(argv[i] + group_len + 1, name) == 0)
            return true;
    }
    return argc == 0;
}

static int run_all(int argc, char **argv, bool list)
{
    unsigned case_cnt = 0;

    for (size_t i = 0; i < GROUP_CNT; i++)
        for (const struct semantics_case *item = groups[i]->cases; item->name; item++) {
            if (!chosen(argc, argv, groups[i]->name, item->name))
                continue;
            case_cnt++;
            if (list)
                printf("%s/%s\n", groups[i]->name, item->name);
            else
                case_run(groups[i]->name, item);
        }
    if (case_cnt == 0)
        fprintf(stderr, "semantics: no such group or case (--list names them)\n");
    return case_cnt ? 0 : 2;
}

int main(int argc, char **argv)
{
    bool list = false;
    int i = 1;

    if (argc == 8 && strcmp(argv[1], "--helper") == 0)
        return semantics_helper(argv + 2);
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else if (strcmp(argv[i], "--wait-ms") == 0 && i + 1 < argc) {
            semantics_wait_ms = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--own-net") == 0) {
            int error = own_net();

            if (error < 0)
                fprintf(stderr, "semantics: no network name space of its own (%s)\n",
                        error_name(-error));
        } else {
            fprintf(stderr, "semantics: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    return run_all(argc - i, argv + i, list);
}
