/* SPDX-License-Identifier: BSD-2-Clause */
/* The figures of docs/BENCHMARKS.md. Each of ours stands beside the ideal loop or the kernel, taken
 * in turn in the same run, medians of N; only ratios of one run count. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static bool json;
static bool quick;
static bool first_row = true;
static int repeats = 5;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int cnt)
{
    qsort(values, (size_t)cnt, sizeof *values, compare);
    return values[cnt / 2];
}

/* What the project asks of a ratio here; 0 0: nothing. */
struct bar {
    double at_least, at_most;
};

static void row(const char *figure, const char *unit, double ours, double beside, const char *what,
                struct bar bar)
{
    double ratio = beside > 0 ? ours / beside : 0;
    bool asked = bar.at_least > 0 || bar.at_most > 0;
    bool met = ratio >= bar.at_least && (bar.at_most == 0 || ratio <= bar.at_most);
    double limit = bar.at_least > 0 ? bar.at_least : bar.at_most;
    if (json) {
        printf("%s  {\"figure\": \"%s\", \"unit\": \"%s\", \"lastack\": %.3f, \"beside\": %.3f, "
               "\"what\": \"%s\", \"ratio\": %.4f, \"bar\": %.2f, \"met\": %s}",
               first_row ? "" : ",\n", figure, unit, ours, beside, what, ratio, limit,
               !asked ? "null"
               : met  ? "true"
                      : "false");
    } else {
        printf("%-40s %12.1f %-7s %12.1f %-26s %8.3f", figure, ours, unit, beside, what, ratio);
        if (asked)
            printf("  bar %s %.2f: %s", bar.at_least > 0 ? ">=" : "<=", limit,
                   met ? "met" : "MISSED");
        putchar('\n');
    }
    first_row = false;
    fflush(stdout);
}

static void progress(const char *what)
{
    fprintf(stderr, "bench: %s ...\n", what);
}

static void bulk_rows(void)
{
    static const struct {
        const char *figure;
        uint32_t mtu;
        bool checksums;
        struct bar bar;
    } rows[] = {
        {"bulk, MSS 1460, checksums on", 1500, true, {0.35, 0}},
        {"bulk, MSS 1460, checksums off", 1500, false, {0, 0}},
        {"bulk, MSS 65495, checksums on", 65535, true, {0, 0}},
        {"bulk, MSS 65495, checksums off", 65535, false, {0, 0}},
    };
    uint64_t bytes = quick ? 64u << 20 : 1ull << 30;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ours[32], loop[32];
        progress(rows[i].figure);
        for (int n = 0; n < repeats; n++) {
            ours[n] = bulk(rows[i].mtu, rows[i].checksums, bytes);
            loop[n] = ideal(rows[i].mtu - 40, rows[i].checksums, bytes);
        }
        row(rows[i].figure, "Gbit/s", median(ours, repeats), median(loop, repeats),
            "ideal copy-and-sum loop", rows[i].bar);
    }
}

static void kernel_rows(void)
{
    double ours[32], theirs[32];
    uint64_t bytes = quick ? 64u << 20 : 1ull << 30;
    progress("bulk beside the kernel's loopback (cubic)");
    for (int n = 0; n < repeats; n++) {
        ours[n] = bulk(65535, false, bytes);
        theirs[n] = kernel_bulk(bytes, "cubic");
    }
    row("bulk, MSS 65495, checksums off", "Gbit/s", median(ours, repeats), median(theirs, repeats),
        "kernel loopback, cubic", (struct bar){0});
}

static void connection_rows(void)
{
    double ours[32], theirs[32];
    uint32_t cnt = quick ? 20000 : 200000;
    progress("connections with 100 k TIME_WAIT present");
    for (int n = 0; n < repeats; n++) {
        ours[n] = connections(cnt, 100000);
        theirs[n] = kernel_connections(quick ? 1000 : 10000);
    }
    row("connect, 1 byte, FIN both ways", "/CPU s", median(ours, repeats), median(theirs, repeats),
        "kernel loopback", (struct bar){0});
}

static void exchange_rows(void)
{
    static const uint32_t pairs[] = {10, 1000, 100000, 1000000};
    double at_ten = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        double ours[32];
        char figure[64];
        struct exchange result = {0};
        if (quick && pairs[i] > 100000)
            break;
        snprintf(figure, sizeof figure, "1-byte exchange, %u pairs", pairs[i]);
        progress(figure);
        int cnt = pairs[i] > 100000 ? 1 : repeats;
        for (int n = 0; n < cnt; n++) {
            result = exchange(pairs[i], quick ? 20000 : 200000);
            ours[n] = result.ns;
        }
        double ns = median(ours, cnt);
        if (i == 0)
            at_ten = ns;
        row(figure, "ns", ns, at_ten, "the same at 10 pairs",
            (struct bar){.at_most = pairs[i] == 100000 ? 3 : 0});
        if (pairs[i] >= 100000) {
            double misses = 8 * miss_ns((uint64_t)(result.bytes_per_endpoint * 2 * pairs[i]));
            row("  the same", "ns", ns, at_ten + misses, "at 10 pairs + 8 cache misses",
                (struct bar){0, 0});
            row("  memory per established endpoint", "bytes", result.bytes_per_endpoint, 500,
                "1 GB / 2 M endpoints", (struct bar){.at_most = pairs[i] == 1000000 ? 1 : 0});
        }
    }
    progress("exchange on the kernel's loopback");
    double few = kernel_exchange_ns(10, quick ? 5000 : 50000);
    row("kernel: 1-byte exchange, 5000 pairs", "ns", kernel_exchange_ns(5000, quick ? 5000 : 50000),
        few, "the kernel's at 10 pairs", (struct bar){0});
}

static void usage(void)
{
    puts("Usage: bench [--quick] [--json] [--repeats N] [FIGURES...]\n"
         "Measures lastack beside an ideal loop and the kernel's loopback, in one run.\n\n"
         "FIGURES: bulk kernel connections exchange memory (default: all)\n\n"
         "  --quick      small sizes, to see that it works; its figures mean little\n"
         "  --json       one JSON array instead of the table\n"
         "  --repeats N  of each figure, taken in turn; the median is printed (default 5)\n\n"
         "Examples:\n  build/bench/bench\n  build/bench/bench --repeats 11 bulk");
}

static void options(int argc, char **argv)
{
    static const struct option longs[] = {{"quick", 0, NULL, 'q'},
                                          {"json", 0, NULL, 'j'},
                                          {"repeats", 1, NULL, 'r'},
                                          {"help", 0, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'q')
            quick = true;
        else if (c == 'j')
            json = true;
        else if (c == 'r')
            repeats = atoi(optarg);
        else if (c == 'h')
            usage(), exit(0);
        else
            exit(2);
    }
    if (quick)
        repeats = 1;
    if (repeats < 1 || repeats > 31) {
        fprintf(stderr, "bench: --repeats takes 1 to 31\n");
        exit(2);
    }
}

static bool wanted(char **names, const char *name)
{
    for (char **at = names; *at != NULL; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return *names == NULL;
}

int main(int argc, char **argv)
{
    options(argc, argv);
    char **names = argv + optind;
    if (json)
        puts("[");
    else
        printf("%-40s %12s %-7s %12s %-26s %8s\n", "figure (payload, CPU of both ends)", "lastack",
               "unit", "beside", "what stands beside", "ratio");
    if (wanted(names, "bulk"))
        bulk_rows();
    if (wanted(names, "kernel"))
        kernel_rows();
    if (wanted(names, "connections"))
        connection_rows();
    if (wanted(names, "exchange"))
        exchange_rows();
    if (wanted(names, "memory"))
        row("memory per TIME_WAIT", "bytes", bytes_per_time_wait(quick ? 20000 : 200000), 64,
            "an entry without its table", (struct bar){0});
    if (json)
        puts("\n]");
    return 0;
}
