/* SPDX-License-Identifier: BSD-2-Clause */
/* The command: runs seeds, says in one line how to repeat a failure, reports in TAP. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define FAILURES_SHOWN 10

static const char usage[] =
    "Usage: sim [OPTIONS]\n"
    "Runs seeded worlds of hosts, programs and bad networks on lastack, and judges them.\n"
    "\n"
    "  --seed N            one world; exits 0 if no oracle objects\n"
    "  --seeds FROM..TO    many, with a TAP report and what they covered\n"
    "  --list FILE         the seeds in FILE (one per line, # starts a comment)\n"
    "  --repeat FROM..TO   each seed twice: both runs must be the same to the last bit\n"
    "  --mutants           each deliberate fault must be found by an oracle (TAP)\n"
    "  --fault NAME        with one deliberate fault (see --mutants for the names)\n"
    "  --no-coverage       do not demand that every legal edge is met\n"
    "  --trace             tell the story of each world\n"
    "  --help\n"
    "\n"
    "Examples:\n"
    "  sim --seeds 1..20000\n"
    "  sim --seed 12345 --trace | less\n"
    "  sim --seed 12345 --fault RECV_FLIP\n";

static uint64_t running_seed;
static const char *program_name = "sim";
static struct coverage coverage;

static void on_crash(int number)
{
    char text[160];
    int len = snprintf(text, sizeof text,
                       "\nnot ok - seed %llu crashed with signal %d\n# replay: %s --seed %llu\n",
                       (unsigned long long)running_seed, number, program_name,
                       (unsigned long long)running_seed);
    if (write(STDOUT_FILENO, text, (size_t)len) < 0)
        _exit(99);
    signal(number, SIG_DFL);
    raise(number);
}

static bool run_one(uint64_t seed, const struct world_options *options,
                    struct world_result *result)
{
    running_seed = seed;
    fflush(stdout);
    world_run(seed, options, &coverage, result);
    return !result->failed;
}

static void tell_failure(uint64_t seed, const struct world_options *options,
                         const struct world_result *result)
{
    printf("# seed %llu: %s\n", (unsigned long long)seed, result->failure);
    printf("# replay: %s --seed %llu%s%s --trace\n", program_name, (unsigned long long)seed,
           options->fault ? " --fault " : "", options->fault ? fault_name(options->fault) : "");
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- coverage ------------------------------------------------------------------------ */

static uint32_t tell_edges(void)
{
    uint32_t missing = 0;
    printf("# edges:");
    for (int from = 0; from < LASTACK_STATE_CNT; from++)
        for (int to = 0; to < LASTACK_STATE_CNT; to++)
            if (coverage.edge[from][to])
                printf(" %s>%s:%llu", lastack_state_name((enum lastack_state)from),
                       lastack_state_name((enum lastack_state)to),
                       (unsigned long long)coverage.edge[from][to]);
    printf("\n");
    for (int from = 0; from < LASTACK_STATE_CNT; from++)
        for (int to = 0; to < LASTACK_STATE_CNT; to++)
            if (!coverage.edge[from][to] &&
                edge_wanted((enum lastack_state)from, (enum lastack_state)to)) {
                missing++;
                printf("# never: %s -> %s\n", lastack_state_name((enum lastack_state)from),
                       lastack_state_name((enum lastack_state)to));
            }
    return missing;
}

static void tell_counts(void)
{
    printf("# causes:");
    for (int i = 0; i < LASTACK_CAUSE_CNT; i++)
        if (coverage.cause[i])
            printf(" %s:%llu", lastack_cause_name((enum lastack_cause)i),
                   (unsigned long long)coverage.cause[i]);
    printf("\n# causes never seen:");
    for (int i = 1; i < LASTACK_CAUSE_CNT; i++)
        if (!coverage.cause[i])
            printf(" %s,", lastack_cause_name((enum lastack_cause)i));
    printf("\n# drops:");
    for (unsigned i = 0; i < REASON_MAX && lastack_drop_name(i); i++)
        if (coverage.drop[i])
            printf(" %s:%llu", lastack_drop_name(i), (unsigned long long)coverage.drop[i]);
    printf("\n# drops never seen:");
    for (unsigned i = 1; i < REASON_MAX && lastack_drop_name(i); i++)
        if (!coverage.drop[i])
            printf(" %s", lastack_drop_name(i));
    printf("\n# held for hours:");
    for (int i = 0; i < LASTACK_STATE_CNT; i++)
        if (coverage.held[i])
            printf(" %s:%llu", lastack_state_name((enum lastack_state)i),
                   (unsigned long long)coverage.held[i]);
    printf("\n# errors:");
    for (int i = 0; i < 256; i++)
        if (coverage.error[i])
            printf(" %s:%llu", strerrorname_np(i), (unsigned long long)coverage.error[i]);
    printf("\n# %llu worlds, %llu steps, %llu calls, %llu packets, %llu bytes, %llu events, "
           "%llu ends of stream (%llu whole streams), %llu lingered, %llu by cookie "
           "(%llu came back)\n",
           (unsigned long long)coverage.worlds, (unsigned long long)coverage.steps,
           (unsigned long long)coverage.calls, (unsigned long long)coverage.packets,
           (unsigned long long)coverage.bytes, (unsigned long long)coverage.event_cnt,
           (unsigned long long)coverage.eof, (unsigned long long)coverage.whole_streams,
           (unsigned long long)coverage.lingered, (unsigned long long)coverage.cookies,
           (unsigned long long)coverage.reborn);
}

/* ---- modes ------------------------------------------------------------------------------ */

static int mode_seed(uint64_t seed, const struct world_options *options)
{
    struct world_result result;
    bool ok = run_one(seed, options, &result);
    if (!ok)
        tell_failure(seed, options, &result);
    printf("seed %llu: %s, %llu steps, %.3f s of virtual time, hash %016llx\n",
           (unsigned long long)seed, ok ? "ok" : "FAILED", (unsigned long long)result.steps,
           (double)result.end_ns / 1e9, (unsigned long long)result.hash);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int mode_seeds(uint64_t from, uint64_t to, const struct world_options *options,
                      bool want_coverage)
{
    double begin = seconds_now(), told = begin;
    uint32_t failed = 0;
    printf("1..%d\n", want_coverage ? 2 : 1);
    for (uint64_t seed = from; seed <= to && failed < FAILURES_SHOWN; seed++) {
        struct world_result result;
        if (!run_one(seed, options, &result)) {
            failed++;
            tell_failure(seed, options, &result);
        }
        if (seconds_now() - told > 10) {
            told = seconds_now();
            printf("# %llu of %llu seeds, %.0f s\n", (unsigned long long)(seed - from + 1),
                   (unsigned long long)(to - from + 1), told - begin);
        }
    }
    printf("%s 1 - seeds %llu..%llu (%u failed)\n", failed ? "not ok" : "ok",
           (unsigned long long)from, (unsigned long long)to, failed);
    uint32_t missing = tell_edges();
    tell_counts();
    printf("# %.1f s, %.2f ms per seed\n", seconds_now() - begin,
           (seconds_now() - begin) * 1000 / (double)(to - from + 1));
    if (want_coverage)
        printf("%s 2 - every legal edge was met (%u missing)\n", missing ? "not ok" : "ok",
               missing);
    return failed || (want_coverage && missing) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int mode_list(const char *path, const struct world_options *options)
{
    FILE *file = fopen(path, "r");
    char line[512];
    uint32_t cnt = 0, failed = 0;
    if (!file) {
        fprintf(stderr, "sim: cannot open %s: %s\n", path, strerror(errno));
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        char *end, *comment = strchr(line, '#');
        uint64_t seed = strtoull(line, &end, 10);
        struct world_result result;
        if (end == line)
            continue;
        if (comment)
            comment[strcspn(comment, "\n")] = '\0';
        bool ok = run_one(seed, options, &result);
        if (!ok)
            tell_failure(seed, options, &result);
        failed += !ok;
        printf("%s %u - seed %llu %s\n", ok ? "ok" : "not ok", ++cnt, (unsigned long long)seed,
               comment ? comment + 1 : "");
    }
    fclose(file);
    printf("1..%u\n", cnt);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int mode_repeat(uint64_t from, uint64_t to, const struct world_options *options)
{
    uint32_t different = 0;
    printf("1..1\n");
    for (uint64_t seed = from; seed <= to; seed++) {
        struct world_result first, second;
        run_one(seed, options, &first);
        run_one(seed, options, &second);
        if (first.hash == second.hash && first.steps == second.steps)
            continue;
        different++;
        printf("# seed %llu: %016llx after %llu steps, then %016llx after %llu\n",
               (unsigned long long)seed, (unsigned long long)first.hash,
               (unsigned long long)first.steps, (unsigned long long)second.hash,
               (unsigned long long)second.steps);
    }
    printf("%s 1 - seeds %llu..%llu run twice are the same worlds (%u differ)\n",
           different ? "not ok" : "ok", (unsigned long long)from, (unsigned long long)to,
           different);
    return different ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Each fault on up to so many worlds; found at the first that fails after it struck. */
#define MUTANT_WORLDS 400

static int mode_mutants(void)
{
    int missed = 0;
    printf("1..%d\n", FAULT_CNT - 1);
    for (int fault = FAULT_NONE + 1; fault < FAULT_CNT; fault++) {
        struct world_options options = {.fault = (enum fault)fault, .step_limit = 100000};
        struct world_result result = {0};
        uint64_t seed = 1, struck = 0;
        for (; seed <= MUTANT_WORLDS; seed++) {
            if (run_one(seed, &options, &result) || !result.fault_cnt) {
                struck += result.fault_cnt > 0;
                continue;
            }
            break;
        }
        bool found = seed <= MUTANT_WORLDS;
        missed += !found;
        if (found)
            printf("# seed %llu, after %llu worlds that survived it: %s\n",
                   (unsigned long long)seed, (unsigned long long)struck, result.failure);
        else
            printf("# it struck in %llu worlds and nobody saw it\n", (unsigned long long)struck);
        printf("%s %d - %s: %s\n", found ? "ok" : "not ok", fault, fault_name((enum fault)fault),
               fault_text((enum fault)fault));
    }
    return missed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- arguments --------------------------------------------------------------------------- */

struct arguments {
    char mode; /* 's'eed, 'm'any, 'l'ist, 'r'epeat, 'f'aults */
    uint64_t from, to;
    const char *path;
    bool want_coverage;
    struct world_options options;
};

static bool parse_range(const char *text, uint64_t *from, uint64_t *to)
{
    char *end;
    *from = strtoull(text, &end, 0);
    *to = *from;
    if (end == text)
        return false;
    if (strncmp(end, "..", 2) == 0) {
        text = end + 2;
        *to = strtoull(text, &end, 0);
        if (end == text)
            return false;
    }
    return *end == '\0' && *to >= *from;
}

static bool parse_fault(const char *text, enum fault *fault)
{
    for (int i = 0; i < FAULT_CNT; i++)
        if (strcmp(text, fault_name((enum fault)i)) == 0) {
            *fault = (enum fault)i;
            return true;
        }
    return false;
}

static bool parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"seeds", required_argument, NULL, 'm'},
        {"list", required_argument, NULL, 'l'},   {"repeat", required_argument, NULL, 'r'},
        {"fault", required_argument, NULL, 'F'},  {"mutants", no_argument, NULL, 'f'},
        {"no-coverage", no_argument, NULL, 'c'},  {"trace", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 's' || c == 'm' || c == 'r') {
            a->mode = (char)c;
            if (!parse_range(optarg, &a->from, &a->to))
                return false;
        } else if (c == 'l') {
            a->mode = 'l';
            a->path = optarg;
        } else if (c == 'F') {
            if (!parse_fault(optarg, &a->options.fault))
                return false;
        } else if (c == 'f' || c == 'h') {
            a->mode = (char)c;
        } else if (c == 'c') {
            a->want_coverage = false;
        } else if (c == 't') {
            a->options.trace = true;
        } else {
            return false;
        }
    }
    return a->mode && optind == argc;
}

int main(int argc, char **argv)
{
    struct arguments a = {.want_coverage = true};
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    program_name = argv[0];
    if (!parse_arguments(argc, argv, &a)) {
        fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        signal(crashes[i], on_crash);
    switch (a.mode) {
    case 's':
        return mode_seed(a.from, &a.options);
    case 'm':
        return mode_seeds(a.from, a.to, &a.options, a.want_coverage);
    case 'l':
        return mode_list(a.path, &a.options);
    case 'r':
        return mode_repeat(a.from, a.to, &a.options);
    case 'f':
        return mode_mutants();
    default:
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
}
