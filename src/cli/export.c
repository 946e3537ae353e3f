/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack export: connections and findings as metrics, once, into a file, or over HTTP. */
#include "cli/export.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "doctor/policy.h"

enum { KEY_LISTEN = 256, KEY_TEXTFILE, KEY_EVERY, KEY_LOG };

struct export_options {
    const char *listen, *textfile, *log;
    uint64_t every_us; /* 0: not said */
    struct look look;
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct export_options *o = state->input;
    switch (key) {
    case KEY_LISTEN:
        o->listen = arg;
        return 0;
    case KEY_TEXTFILE:
        o->textfile = arg;
        return 0;
    case KEY_LOG:
        o->log = arg;
        return 0;
    case KEY_EVERY:
        if (!policy_duration_parse(&o->every_us, arg) || o->every_us < 1000000)
            argp_error(state, "--every takes a time like 5s, 1s at least, not \"%s\"", arg);
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->look;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not understood", arg);
        return 0;
    case ARGP_KEY_END:
        if (o->listen && o->textfile)
            argp_error(state, "either --listen or --textfile");
        if (o->every_us && !o->listen && !o->textfile)
            argp_error(state, "--every belongs to --listen and --textfile");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"listen", KEY_LISTEN, "ADDRESS", 0,
     "Serve http://ADDRESS/metrics (127.0.0.1:9464 or 9464; [::1]:9464; :9464 for other machines too)",
     1},
    {"textfile", KEY_TEXTFILE, "FILE", 0,
     "Write FILE, whole or not at all, for the textfile collector of node_exporter", 1},
    {"every", KEY_EVERY, "TIME", 0,
     "--listen: look at most so often, whoever asks (5s). --textfile: stay, and write it so often", 1},
    {"log", KEY_LOG, "FILE", 0, "The log of lastack end, if it is not at its usual place", 1},
    {0},
};

static const char doc[] =
    "Connections, findings and their ages as metrics in the text format of Prometheus. Without an "
    "option: once, on standard output.\n"
    "\v"
    "Label sets are bounded: states, codes and severities are known, of programs the 20 most frequent "
    "keep their names, and no address of a peer is ever a label. docs/METRICS.md lists all metrics; "
    "share/grafana and share/prometheus have a dashboard and alerts.\n"
    "\n"
    "Examples:\n"
    "  lastack export                   what there is\n"
    "  lastack export --listen 127.0.0.1:9464\n"
    "  lastack export --listen :9464    the same, for other machines too\n"
    "  lastack export --textfile /var/lib/node_exporter/lastack.prom --every 30s\n"
    "\n"
    "Exit status: 0 done, 1 not done, 2 wrong usage, or it could not be looked.";

/* ---- looking ---- */

struct source {
    const struct export_options *o;
    const char *command;
    struct export_log log;
    struct export_cost cost;
    struct text page; /* of the last look */
    uint64_t looked_us;
    bool good;
};

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void look(struct source *s)
{
    struct catch catch;
    struct findings findings;
    uint64_t start_us = clock_us();
    findings_init(&findings);
    s->good = catch_look(&catch, s->command, &s->o->look) == EXIT_DONE;
    if (s->good)
        diagnose(&findings, &catch.list, &rules_defaults);
    s->good = s->good && !findings.failed;
    export_log_read(&s->log);
    s->cost.looks++;
    s->cost.failures += !s->good;
    s->cost.last_us = clock_us() - start_us;
    s->cost.cpu_us = cpu_us();
    s->looked_us = clock_us();
    text_clear(&s->page);
    export_metrics(&s->page, s->good ? &catch : NULL, &findings, &s->log, &s->cost);
    findings_free(&findings);
    catch_free(&catch);
}

static void source_init(struct source *s, const struct export_options *o, const char *command)
{
    *s = (struct source){.o = o, .command = command};
    text_init(&s->page);
    if (o->log)
        snprintf(s->log.path, sizeof s->log.path, "%s", o->log);
    else
        end_log_path(s->log.path, sizeof s->log.path);
}

/* ---- three ways out ---- */

static int print_once(struct source *s)
{
    look(s);
    if (s->page.failed || fwrite(text_string(&s->page), 1, s->page.len, stdout) != s->page.len ||
        fflush(stdout) != 0) {
        complain(s->command, "not everything could be written: %s", strerror(errno));
        return EXIT_NOT_DONE;
    }
    return s->good ? EXIT_DONE : EXIT_USAGE;
}

/* Where it may be put: a name that is free, or a regular file. A rename over a device, a pipe or a
 * link would destroy that. */
static int check_place(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    return S_ISREG(st.st_mode) ? 0 : -EEXIST;
}

/* Beside it under another name first: a reader sees all of it or none. */
static int write_file(const struct source *s, const char *path)
{
    char beside[4096];
    int error = -check_place(path);
    if (error)
        return -error;
    if ((size_t)snprintf(beside, sizeof beside, "%s.XXXXXX", path) >= sizeof beside)
        return -ENAMETOOLONG;
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t len = write(fd, text_string(&s->page), s->page.len);
    error = len < 0 ? errno : (size_t)len != s->page.len ? ENOSPC : 0;
    if (!error && fchmod(fd, 0644) < 0)
        error = errno;
    if (close(fd) < 0 && !error)
        error = errno;
    if (!error && rename(beside, path) < 0)
        error = errno;
    if (error)
        unlink(beside);
    return -error;
}

static int write_files(struct source *s)
{
    int status;
    end_catch_signals();
    do {
        look(s);
        int result = s->page.failed ? -ENOMEM : write_file(s, s->o->textfile);
        status = result < 0 ? EXIT_NOT_DONE : s->good ? EXIT_DONE : EXIT_USAGE;
        if (result < 0)
            complain(s->command, "%s: %s", s->o->textfile,
                     result == -EEXIST ? "it is there and is no regular file" : strerror(-result));
        struct timespec pause = {(time_t)(s->o->every_us / 1000000u),
                                 (long)(s->o->every_us % 1000000u) * 1000};
        if (s->o->every_us && !end_stopped)
            nanosleep(&pause, NULL);
    } while (s->o->every_us && !end_stopped);
    return s->o->every_us ? EXIT_DONE : status;
}

/* Whoever asks and however often: one look within `every_us`, and where looks take long, half the
 * time without one: who gave up waiting for a look finds its page when it asks again. */
static void fill(void *arg, struct text *page)
{
    struct source *s = arg;
    uint64_t every_us = s->o->every_us ? s->o->every_us : 5000000u;
    uint64_t fresh_us = every_us > 2 * s->cost.last_us ? every_us : 2 * s->cost.last_us;
    if (!s->cost.looks || clock_us() - s->looked_us >= fresh_us)
        look(s);
    text_add_len(page, text_string(&s->page), s->page.len);
    page->failed = page->failed || s->page.failed;
}

/* With the port that it got, if 0 was asked for. */
static void put_where(const char *command, int listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[128] = "?", port[16] = "?";
    if (getsockname(listener, (struct sockaddr *)&address, &len) == 0)
        getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    fprintf(stderr, strchr(host, ':') ? "%s: serving http://[%s]:%s/metrics\n"
                                      : "%s: serving http://%s:%s/metrics\n",
            command, host, port);
}

static int serve(struct source *s)
{
    const struct export_server server = {s->command, fill, s};
    int listener = export_listen(s->command, s->o->listen);
    if (listener < 0)
        return EXIT_USAGE;
    end_catch_signals();
    put_where(s->command, listener);
    export_serve(&server, listener);
    close(listener);
    return EXIT_DONE;
}

int export_main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&look_argp, 0, "Where to look:", 2}, {0}};
    static const struct argp argp = {options, take_option, NULL, doc, children, NULL, NULL};
    struct export_options o = {0};
    struct source source;
    cli_parse(&argp, argc, argv, &o);
    source_init(&source, &o, argv[0]);
    int status = o.listen     ? serve(&source)
                 : o.textfile ? write_files(&source)
                              : print_once(&source);
    text_free(&source.page);
    return status;
}
