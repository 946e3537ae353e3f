/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What it costs to ask why: `lastack why` beside `ss -tanp` and `lsof -nP -iTCP`, which print less,
 * among 100,000 sockets, in a network namespace of its own. CPU seconds, user and system, medians, all
 * taken in turn in the same run. Needs root.
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/kernel.h"

#define REPEATS_MAX 31
#define LIVES       10000 /* connections of one measurement */

static struct {
    int repeats, slow_repeats; /* slow: of ss and lsof, which take seconds */
    int makers;
    bool json;
    const char *lastack, *shell;
} option = {5, 3, 1000, false, "lastack", NULL};
static int rows;

/* ---- taking figures ---- */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

double command_cpu(const char *const argv[], int *status)
{
    struct rusage usage;
    int pid = fork(), state;
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &state, 0, &usage) != pid || !WIFEXITED(state) ||
        WEXITSTATUS(state) == 127)
        return -1;
    *status = WEXITSTATUS(state);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static double cpu_now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double poll_cpu(unsigned states, unsigned *found)
{
    struct kernel_options options = {.no_holders = true, .here_only = true, .states = states};
    struct kernel_view view;
    struct facts_list list;
    char why[256];
    facts_list_init(&list);
    kernel_view_init(&view);
    double start = cpu_now(CLOCK_PROCESS_CPUTIME_ID);
    int error = facts_from_kernel(&list, &options, &view, why, sizeof why);
    double spent = cpu_now(CLOCK_PROCESS_CPUTIME_ID) - start;
    *found = 0;
    for (uint32_t i = 0; i < list.cnt; i++)
        *found += states >> list.all[i].state & 1;
    kernel_view_free(&view);
    facts_list_free(&list);
    return error ? -1 : spent;
}

double life_cpu(int cnt)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    char byte = 'x';
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 16) == 0 &&
              getsockname(listener, (struct sockaddr *)&a, &len) == 0;
    double start = cpu_now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < cnt && ok; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0), server;
        ok = connect(client, (struct sockaddr *)&a, sizeof a) == 0 &&
             (server = accept(listener, NULL, NULL)) >= 0 && write(client, &byte, 1) == 1 &&
             read(server, &byte, 1) == 1 && write(server, &byte, 1) == 1 &&
             read(client, &byte, 1) == 1;
        close(client);
        ok = ok && read(server, &byte, 1) == 0 && close(server) == 0;
    }
    close(listener);
    return ok ? (cpu_now(CLOCK_PROCESS_CPUTIME_ID) - start) / cnt : -1;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int cnt)
{
    qsort(values, (size_t)cnt, sizeof *values, compare);
    return cnt ? values[cnt / 2] : -1;
}

/* ---- rows ---- */

static void row(const char *figure, const char *unit, double value, double bar, double beside)
{
    if (option.json) {
        printf("%s{\"figure\": \"%s\", \"unit\": \"%s\", \"value\": %.4f, \"bar\": ", rows ? ",\n " : "[",
               figure, unit, value);
        if (bar > 0)
            printf("%.4f, \"met\": %s}", bar, value <= bar ? "true" : "false");
        else
            printf("null}");
    } else {
        printf("%-58s %9.3f %-6s", figure, value, unit);
        if (beside > 0 && value > 0)
            printf(" %6.1f x", value / beside);
        if (bar > 0)
            printf(" bar <= %.2f: %s", bar, value >= 0 && value <= bar ? "met" : "MISSED");
        putchar('\n');
    }
    rows++;
    fflush(stdout);
}

/* lastack, ss and lsof in turn. */
static void compare_commands(const char *crowd, double bar)
{
    /* ss and lsof see this network namespace only, too */
    const char *const why[] = {option.lastack, "why", "--stack", "kernel", "--here", NULL};
    const char *const ss[] = {"ss", "-tanp", NULL};
    const char *const lsof[] = {"lsof", "-nP", "-iTCP", NULL};
    double of[4][REPEATS_MAX];
    int cnt[4] = {0}, status = 0;
    char figure[96];
    for (int n = 0; n < option.repeats; n++) {
        of[0][cnt[0]++] = command_cpu(why, &status);
        if (status != 0 && status != 1)
            fprintf(stderr, "bench-doctor: %s why says status %d\n", option.lastack, status);
        setenv("LASTACK_NO_BPF", "1", 1);
        of[1][cnt[1]++] = command_cpu(why, &status);
        unsetenv("LASTACK_NO_BPF");
        if (n < option.slow_repeats) {
            of[2][cnt[2]++] = command_cpu(ss, &status);
            of[3][cnt[3]++] = command_cpu(lsof, &status);
        }
    }
    double ours = median(of[0], cnt[0]);
    snprintf(figure, sizeof figure, "%s: lastack why, with verdicts", crowd);
    row(figure, "CPU s", ours, bar, ours);
    row("  the same without BPF (LASTACK_NO_BPF=1)", "CPU s", median(of[1], cnt[1]), 0, ours);
    row("  ss -tanp", "CPU s", median(of[2], cnt[2]), 0, ours);
    row("  lsof -nP -iTCP", "CPU s", median(of[3], cnt[3]), 0, ours);
}

static void poll_rows(void)
{
    static const struct {
        const char *figure;
        unsigned states;
        double bar;
    } polls[] = {
        {"poll for CLOSE_WAIT, all young or none there", 1u << LASTACK_LAST_ACK, 20},
        {"poll for CLOSE_WAIT, a quarter of all is", 1u << LASTACK_CLOSE_WAIT, 0},
    };
    for (unsigned i = 0; i < sizeof polls / sizeof polls[0]; i++) {
        double of[REPEATS_MAX];
        unsigned found = 0;
        char figure[96];
        for (int n = 0; n < option.repeats; n++)
            of[n] = poll_cpu(polls[i].states, &found) * 1e3;
        snprintf(figure, sizeof figure, "  %s (%u found)", polls[i].figure, found);
        row(figure, "ms", median(of, option.repeats), polls[i].bar, 0);
    }
}

static void crowd_rows(int makers, int heirs, double bar, bool polls)
{
    struct crowd crowd;
    char what[64];
    snprintf(what, sizeof what, "%dk sockets, %d processes, %d holder%s each", makers / 10,
             makers * (1 + heirs), 1 + heirs, heirs ? "s" : "");
    fprintf(stderr, "bench-doctor: %s ...\n", what);
    if (!crowd_make(&crowd, makers, heirs, 100))
        return;
    if (option.shell) {
        if (system(option.shell) != 0)
            fprintf(stderr, "bench-doctor: the command failed\n");
    } else {
        compare_commands(what, bar);
        if (polls)
            poll_rows();
    }
    crowd_free(&crowd);
}

/* `lastack watch`, when it has said that it records; 0: it does not. */
static int recorder_start(void)
{
    int said[2], state;
    char byte;
    if (pipe(said) != 0)
        return 0;
    int pid = fork();
    if (pid == 0) {
        dup2(said[1], 2);
        close(said[0]);
        close(said[1]);
        execlp(option.lastack, option.lastack, "watch", (char *)NULL);
        _exit(127);
    }
    close(said[1]);
    bool records = pid > 0 && read(said[0], &byte, 1) == 1;
    close(said[0]);
    if (!records && pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, &state, 0);
    }
    return records ? pid : 0;
}

/* One connection, both ends in one thread, without and with the recorder, in turn. */
static void recorder_rows(void)
{
    double without[REPEATS_MAX], with[REPEATS_MAX], more[REPEATS_MAX];
    fprintf(stderr, "bench-doctor: recorder ...\n");
    for (int n = 0; n < option.repeats; n++) {
        without[n] = life_cpu(LIVES) * 1e6;
        int recorder = recorder_start();
        if (!recorder) {
            fprintf(stderr, "bench-doctor: no recorder here, or another one records\n");
            return;
        }
        with[n] = life_cpu(LIVES) * 1e6;
        more[n] = with[n] - without[n];
        kill(recorder, SIGTERM);
        waitpid(recorder, NULL, 0);
    }
    double base = median(without, option.repeats);
    row("a connection's life: connect, accept, a byte each way, close", "us", base, 0, base);
    row("  while lastack watch records", "us", median(with, option.repeats), 0, base);
    row("  recorder, of each connection", "us", median(more, option.repeats), 4, 0);
}

static void usage(FILE *to)
{
    fputs("bench-doctor [--quick] [--repeats N] [--lastack PROGRAM] [--json]\n"
          "CPU seconds of `lastack why` among 100,000 sockets, beside ss and lsof, and what\n"
          "the recorder costs. Needs root; works in a network namespace of its own.\n"
          "  --quick     a tenth of the sockets, once: does it work?\n"
          "  --repeats N medians of N (5; ss and lsof 3 at most)\n"
          "  --shell CMD no figures: run CMD among these sockets\n", to);
}

static void options_read(int argc, char **argv)
{
    static const struct option longs[] = {
        {"quick", no_argument, NULL, 'q'},   {"repeats", required_argument, NULL, 'r'},
        {"lastack", required_argument, NULL, 'l'}, {"json", no_argument, NULL, 'j'},
        {"shell", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (o == 'q') {
            option.makers = 100;
            option.repeats = option.slow_repeats = 1;
        } else if (o == 'r') {
            option.repeats = atoi(optarg);
        } else if (o == 'l') {
            option.lastack = optarg;
        } else if (o == 's') {
            option.shell = optarg;
        } else if (o == 'j') {
            option.json = true;
        } else {
            usage(o == 'h' ? stdout : stderr);
            exit(o == 'h' ? 0 : 2);
        }
    }
    if (option.repeats < 1 || option.repeats > REPEATS_MAX) {
        fprintf(stderr, "bench-doctor: --repeats wants 1 to %d\n", REPEATS_MAX);
        exit(2);
    }
    if (option.slow_repeats > option.repeats)
        option.slow_repeats = option.repeats;
}

int main(int argc, char **argv)
{
    options_read(argc, argv);
    if (!crowd_space_enter())
        return 2;
    if (!option.shell)
        recorder_rows();
    crowd_rows(option.makers, 0, option.makers == 1000 ? 0.4 : 0, true);
    crowd_rows(option.makers, 3, option.makers == 1000 ? 0.7 : 0, false);
    if (option.json)
        puts("]");
    return 0;
}
