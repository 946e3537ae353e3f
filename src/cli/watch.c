/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack watch: be the recorder, until Ctrl-C. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/words.h"
#include "kernel/recorder.h"

enum { KEY_PORT = 256, KEY_PID, KEY_SAMPLE, KEY_EVENTS, KEY_JSON, KEY_NO_CALLS, KEY_SOCKETS };

struct watch_options {
    struct recorder_options record;
    bool json, quiet;
};

static uint32_t take_number(const char *name, const char *arg, uint32_t min, uint32_t max,
                            struct argp_state *state)
{
    char *end;
    unsigned long v = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end || v < min || v > max)
        argp_error(state, "%s takes a number from %" PRIu32 " to %" PRIu32 ", not \"%s\"", name, min, max,
                   arg);
    return (uint32_t)v;
}

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct watch_options *o = state->input;
    switch (key) {
    case 'l':
        o->record.lines = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case KEY_EVENTS:
        o->record.events = true;
        return 0;
    case KEY_JSON:
        o->json = o->record.events = true;
        return 0;
    case KEY_NO_CALLS:
        o->record.no_calls = true;
        return 0;
    case KEY_PORT:
        o->record.port = (uint16_t)take_number("--port", arg, 1, 65535, state);
        return 0;
    case KEY_PID:
        o->record.pid = take_number("--pid", arg, 1, 1u << 22, state);
        return 0;
    case KEY_SAMPLE:
        if (strncmp(arg, "1/", 2) == 0)
            arg += 2;
        o->record.sample = take_number("--sample", arg, 1, 1000000, state);
        return 0;
    case KEY_SOCKETS:
        o->record.socket_max = take_number("--sockets", arg, 1, 1u << 24, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not understood: it records all connections; --port and --pid say of "
                          "which lines and events are wanted", arg);
        return 0;
    case ARGP_KEY_END:
        if (o->record.sample > 1 && !o->record.lines)
            argp_error(state, "--sample belongs to --lines");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"lines", 'l', NULL, 0, "Source lines of births, of reads of the end, of closes", 0},
    {"port", KEY_PORT, "PORT", 0, "Lines and events only of connections with this port", 0},
    {"pid", KEY_PID, "PID", 0,
     "Lines and calls only of this process; what packets cause is shown of all (see --port)", 0},
    {"sample", KEY_SAMPLE, "1/N", 0, "Lines of one connection in N", 0},
    {"events", KEY_EVENTS, NULL, 0, "Print one line for each event", 0},
    {"json", KEY_JSON, NULL, 0, "Print events as JSON, one object a line", 0},
    {"quiet", 'q', NULL, 0, "No word but errors, and events that were asked for", 0},
    {"sockets", KEY_SOCKETS, "N", 0, "Remember so many sockets at a time (131072)", 0},
    {"no-calls", KEY_NO_CALLS, NULL, 0,
     "Leave out tracepoints of calls: cheaper, but blind to closes that leave references", 0},
    {0},
};

static const char doc[] =
    "Record what no later look can see: when and where each TCP connection was born, when its peer's "
    "FIN came, when a receive returned 0 and where, who closed which descriptor and how many "
    "references stayed. While it runs, lastack why, ss and end know it, too. It changes nothing; what "
    "it remembers is gone when it ends."
    "\v"
    "It needs root (CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN) and a kernel with type information. Only "
    "connections that begin while it runs are known completely.\n"
    "\n"
    "Examples:\n"
    "  lastack watch                        record; elsewhere: lastack why\n"
    "  lastack watch --lines                with lines of source\n"
    "  lastack watch --lines --port 8080    with lines of one service only\n"
    "  lastack watch --lines --sample 1/100 with lines on a machine that is busy\n"
    "  lastack watch --events --port 8080   one line for each event\n"
    "  systemctl start lastack-watch        as a service\n"
    "\n"
    "Exit status: 0 ended by Ctrl-C or a signal to end, 2 wrong usage, or it cannot record here.";

/* ---- until Ctrl-C ---- */

static volatile sig_atomic_t over;

static void end_now(int signal_number)
{
    (void)signal_number;
    over = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = end_now};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* Tell a service manager that waits for it (sd_notify(3)). */
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !path[0] || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 && sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
        complain("lastack watch", "the service manager cannot be told that it is ready: %s",
                 strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* ---- events ---- */

struct printer {
    const struct watch_options *options;
    uint64_t wall_us; /* wall clock minus CLOCK_MONOTONIC */
    bool broken;      /* nobody reads our output any more */
};

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void add_json_end(struct text *out, const char *key, const struct lastack_address *address,
                         uint16_t port)
{
    struct text end;
    text_init(&end);
    words_end(&end, address, port);
    text_printf(out, ",\"%s\":", key);
    text_add_json(out, text_string(&end));
    text_free(&end);
}

static void add_json_place(struct text *out, const struct fact_site *place)
{
    text_add(out, ",\"at\":{\"function\":");
    text_add_json(out, place->function);
    text_add(out, ",\"file\":");
    text_add_json(out, place->file);
    text_printf(out, ",\"line\":%" PRIu32 ",\"module\":", place->line);
    text_add_json(out, place->module);
    text_add(out, ",\"stack\":");
    text_add_json(out, place->stack ? place->stack : "");
    text_add(out, "}");
}

static void add_json_event(struct text *out, const struct recorder_news *news, uint64_t time_us)
{
    const struct fact_call *call = &news->call;
    text_printf(out, "{\"event\":\"%s\",\"time_us\":%" PRIu64 ",\"id\":%" PRIu64, news->what, time_us,
                news->id);
    add_json_end(out, "local", &news->tuple.local, news->tuple.local_port);
    add_json_end(out, "remote", &news->tuple.remote, news->tuple.remote_port);
    if (call->pid) {
        text_printf(out, ",\"pid\":%" PRIu32 ",\"program\":", call->pid);
        text_add_json(out, call->program);
        if (call->fd >= 0)
            text_printf(out, ",\"fd\":%" PRId32, call->fd);
    }
    if (call->kind != FACT_CALL_NONE) {
        text_add(out, ",\"call\":");
        text_add_json(out, fact_call_name(call->kind));
        text_printf(out, ",\"left\":%" PRIu64, call->left);
    }
    if (news->place)
        add_json_place(out, news->place);
    text_add(out, "}\n");
}

static void add_words_event(struct text *out, const struct recorder_news *news, uint64_t time_us)
{
    const struct fact_call *call = &news->call;
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm local;
    char clock[16];
    localtime_r(&seconds, &local);
    strftime(clock, sizeof clock, "%H:%M:%S", &local);
    text_printf(out, "%s.%03u %-8s ", clock, (unsigned)(time_us / 1000 % 1000), news->what);
    words_end(out, &news->tuple.local, news->tuple.local_port);
    text_add(out, " > ");
    words_end(out, &news->tuple.remote, news->tuple.remote_port);
    if (call->pid) {
        text_add(out, " by ");
        words_process(out, call->pid, call->program);
    }
    if (call->kind != FACT_CALL_NONE)
        text_printf(out, ", %s", words_call(call));
    if (call->pid && call->fd >= 0)
        text_printf(out, " of descriptor %" PRId32, call->fd);
    if (call->left)
        text_printf(out, ", %" PRIu64 " %s left", call->left, call->left == 1 ? "reference" : "references");
    if (news->place) {
        text_add(out, ", in ");
        words_site(out, news->place);
    }
    text_printf(out, " [%" PRIu64 "]\n", news->id);
}

static void print_event(void *arg, const struct recorder_news *news)
{
    struct printer *printer = arg;
    struct text line;
    uint64_t time_us = news->time_ns / 1000 + printer->wall_us;
    text_init(&line);
    if (printer->options->json)
        add_json_event(&line, news, time_us);
    else
        add_words_event(&line, news, time_us);
    printer->broken |= fputs(text_string(&line), stdout) < 0;
    text_free(&line);
}

/* ---- how it goes ---- */

static void add_count(struct text *out, uint64_t cnt, const char *one, const char *many)
{
    text_printf(out, "%s%" PRIu64 " %s", out->len ? ", " : "", cnt, cnt == 1 ? one : many);
}

static void add_counts(struct text *out, const struct recorder_counts *c, bool lines)
{
    add_count(out, c->sockets, "socket remembered", "sockets remembered");
    add_count(out, c->born, "born", "born");
    add_count(out, c->fin_in, "FIN received", "FINs received");
    add_count(out, c->end_read, "end read", "ends read");
    add_count(out, c->close_left, "close that left references", "closes that left references");
    if (lines)
        add_count(out, c->sites, "place in programs", "places in programs");
    if (c->sockets_lost)
        add_count(out, c->sockets_lost, "event of a socket lost: more --sockets",
                  "events of sockets lost: more --sockets");
    if (c->stacks_lost)
        add_count(out, c->stacks_lost, "place not named", "places not named");
    if (c->events_lost)
        add_count(out, c->events_lost, "event not printed", "events not printed");
}

/* One line that is written over and over on a terminal; elsewhere only the last one, in full. */
static void put_status(const struct recorder *recorder, const struct watch_options *o, bool last)
{
    struct recorder_counts counts;
    struct screen screen;
    struct text line;
    screen_init(&screen, stderr);
    bool terminal = isatty(STDERR_FILENO) && !(o->record.events && isatty(STDOUT_FILENO));
    if (o->quiet || (!terminal && !last))
        return;
    recorder_count(recorder, &counts);
    text_init(&line);
    add_counts(&line, &counts, o->record.lines);
    if (terminal) {
        unsigned width = screen.width > 2 ? screen.width - 1 : 79;
        fprintf(stderr, "\r%.*s\033[K%s", (int)width, text_string(&line), last ? "\n" : "");
    } else {
        fprintf(stderr, "recorded: %s\n", text_string(&line));
    }
    text_free(&line);
}

static void put_welcome(const struct watch_options *o, const struct text *unseen)
{
    uint32_t max = o->record.socket_max ? o->record.socket_max : RECORDER_SOCKETS_USUAL;
    struct screen screen;
    if (o->quiet)
        return;
    screen_init(&screen, stderr);
    fprintf(stderr, "lastack watch: recording%s (at most %" PRIu32 " sockets, %" PRIu64 " MB); Ctrl-C ends it\n",
            o->record.lines ? " with source lines" : "", max,
            (uint64_t)max * RECORDER_SOCKET_BYTES / 1000000 + 1 + (o->record.lines ? 14 : 0));
    screen_lines(&screen, "lastack watch: ", text_string(unseen));
    fflush(stderr);
}

static void run(struct recorder *recorder, const struct watch_options *o)
{
    struct printer printer = {.options = o};
    uint64_t shown_us = 0;
    printer.wall_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
    while (!over && !printer.broken) {
        int result = recorder_poll(recorder, 1000, print_event, &printer);
        if (result < 0 && result != -EINTR)
            break;
        printer.broken |= fflush(stdout) != 0;
        uint64_t now_us = clock_us(CLOCK_MONOTONIC);
        if (now_us - shown_us >= 1000000) {
            put_status(recorder, o, false);
            shown_us = now_us;
        }
    }
    put_status(recorder, o, true);
}

int watch_main(int argc, char **argv)
{
    static const struct argp argp = {options, take_option, NULL, doc, NULL, NULL, NULL};
    struct watch_options o = {0};
    struct recorder *recorder;
    struct text unseen;
    char why[400] = "";
    cli_parse(&argp, argc, argv, &o);
    text_init(&unseen);
    catch_signals();
    int result = recorder_open(&recorder, &o.record, &unseen, why, sizeof why);
    if (result < 0) {
        complain(argv[0], "%s", *why ? why : strerror(-result));
        text_free(&unseen);
        return EXIT_USAGE;
    }
    put_welcome(&o, &unseen);
    text_free(&unseen);
    notify_ready();
    run(recorder, &o);
    recorder_close(recorder);
    return EXIT_DONE;
}
