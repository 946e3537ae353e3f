/* SPDX-License-Identifier: BSD-2-Clause */
/* `lastack run`: from the command line to the supervisor and back. */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "run/control.h"
#include "run/device.h"
#include "run/diag.h"
#include "run/launch.h"
#include "run/loop.h"
#include "run/pair.h"
#include "run/watch.h"

#define NAME_TRY_MAX 99

static void supervisor_init(struct supervisor *s, const struct run_options *options, pid_t front)
{
    *s = (struct supervisor){.options = *options, .front = front, .notify = -1, .control = -1,
                             .epoll = -1, .pair_epoll = -1, .signals = -1, .tun = {.fd = -1},
                             .filler = -1, .diag = DIAG_UNOPENED};
    s->self = getpid();
    s->start_ns = s->now_ns = clock_now();
    s->closing_look_ns = LASTACK_NEVER;
    list_init(&s->clients);
    list_init(&s->pairs);
    list_init(&s->ready);
    list_init(&s->dead);
    list_init(&s->leaving);
    list_init(&s->held);
    list_init(&s->closings);
    list_init(&s->graveyard);
    watch_init(s);
}

static int stack_make(struct supervisor *s)
{
    struct lastack_config config;

    lastack_config_init(&config);
    if (getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return -errno;
    if (config.descriptor_max < config.connection_max)
        config.descriptor_max = config.connection_max; /* one process stands for all */
    if (s->options.msl_ms)
        config.msl_ms = s->options.msl_ms;
    config.tap_loopback = s->options.capture != NULL;
    s->stack = lastack_create(&config, s->now_ns);
    if (!s->stack)
        return -errno;
    s->process = lastack_process_create(s->stack, (uint32_t)s->self, s->options.name);
    return s->process ? 0 : -errno;
}

static int signals_open(struct supervisor *s)
{
    static const int watched[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
                                  SIGALRM, SIGWINCH};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
        sigaddset(&set, watched[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    s->pipe_action = signal(SIGPIPE, SIG_IGN);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? -errno : 0;
}

/* A name that was given must be free; one that was derived gets a number if it is not. */
static int name_take(struct supervisor *s)
{
    char base[CONTROL_NAME_LEN];
    struct control_info info;
    char why[CONTROL_WHY_LEN];

    memcpy(base, s->options.name, sizeof base);
    for (int number = 2; !s->options.name_given && number <= NAME_TRY_MAX &&
                         control_ask_info(s->options.name, &info, why) == 0; number++)
        snprintf(s->options.name, sizeof s->options.name, "%.*s-%d", CONTROL_NAME_LEN - 4, base,
                 number);
    return control_start(s);
}

static int supervisor_open(struct supervisor *s)
{
    int result = signals_open(s);

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->pair_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (result == 0 && (s->epoll < 0 || s->pair_epoll < 0))
        result = -errno;
    if (result == 0)
        result = stack_make(s);
    if (result != 0) {
        fprintf(stderr, "lastack run: cannot make a stack: %s\n", strerror(-result));
        return result;
    }
    result = name_take(s);
    return result ? result : device_open(s);
}

static void supervisor_close(struct supervisor *s)
{
    control_stop(s);
    if (s->stack)
        lastack_destroy(s->stack);
    device_close(s);
}

/* One descriptor per connection: take as many as are allowed. */
static void descriptors_raise(struct supervisor *s)
{
    struct rlimit limit = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    s->descriptor_max = limit.rlim_cur;
}

/* Out of the user's session and process group; only messages still go to its terminal. */
static void session_leave(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
}

static int supervise(struct supervisor *s, const sigset_t *mask)
{
    int status = supervisor_open(s) == 0 ? launch_program(s, mask) : RUN_FAILED;
    int result;

    if (status == 0) {
        session_leave();
        descriptors_raise(s);
        result = loop_prepare(s);
        if (result == 0) {
            supervisor_say(s, "runs %s (supervisor %d, program %d)", s->options.program[0],
                           s->self, s->program);
            loop_run(s);
            status = s->status;
            supervisor_say(s, "%llu calls were intercepted, %llu scans of /proc",
                           (unsigned long long)s->call_cnt, (unsigned long long)s->scan_cnt);
        } else {
            fprintf(stderr, "lastack run: %s\n", strerror(-result));
            status = RUN_FAILED;
        }
    }
    supervisor_close(s);
    return status;
}

/* Descriptors 0 to 2 that are closed must not become something of ours. They are closed again at
 * the program's exec: it sees what it would see without us. */
static void standard_fill(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int run_main(int argc, char **argv)
{
    struct run_options options;
    struct supervisor *s;
    sigset_t mask, all;
    pid_t front = getpid(), pid;

    standard_fill();
    run_options_parse(&options, argc, argv);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask); /* none is lost between the fork and who takes them */
    pid = fork();
    if (pid > 0)
        return front_wait(pid);
    s = pid == 0 ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        fprintf(stderr, "lastack run: cannot start a process: %s\n", strerror(errno));
        if (pid < 0)
            return RUN_FAILED;
        _exit(RUN_FAILED);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* all of the program's processes stay below us */
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    supervisor_init(s, &options, front);
    _exit(supervise(s, &mask));
}
