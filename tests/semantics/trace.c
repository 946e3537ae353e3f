/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers of the semantics program: the trace, connections, steps.
 */
#include "trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int semantics_wait_ms = 10000;

static const char *current_group = "", *current_case = "";

/* ---- the trace ---- */

void trace_begin(const char *group, const char *name)
{
    current_group = group;
    current_case = name;
}

void say(const char *step, const char *format, ...)
{
    char line[512];
    va_list args;
    int len = snprintf(line, sizeof(line), "%s %s %s: ", current_group, current_case, step);

    va_start(args, format);
    len += vsnprintf(line + len, sizeof(line) - 2 - (size_t)len, format, args);
    va_end(args);
    if (len > (int)sizeof(line) - 3)
        len = (int)sizeof(line) - 3;
    line[len++] = '\n';
    line[len] = '\0';
    /* One write per line: several processes of a case write to the same pipe. */
    if (dprintf(STDOUT_FILENO, "%s", line) != len)
        _exit(98);
}

const char *error_name(int error)
{
    const char *name = strerrorname_np(error);

    return name ? name : "E?";
}

void result(const char *step, long value)
{
    if (value < 0)
        say(step, "%s", error_name(errno));
    else
        say(step, "%ld", value);
}

int opened(const char *step, int fd)
{
    say(step, "%s", fd < 0 ? error_name(errno) : "ok");
    return fd;
}

void yes_no(const char *step, bool value)
{
    say(step, "%s", value ? "yes" : "no");
}

void broken(const char *what)
{
    say("set-up", "%s failed: %s", what, error_name(errno));
    _exit(97);
}

/* In trace.c because it hands on whose trace this is. */
void become(const char *role, int a, int b, int c)
{
    char arg_a[16], arg_b[16], arg_c[16];

    snprintf(arg_a, sizeof(arg_a), "%d", a);
    snprintf(arg_b, sizeof(arg_b), "%d", b);
    snprintf(arg_c, sizeof(arg_c), "%d", c);
    execl("/proc/self/exe", "semantics", "--helper", role, current_group, current_case, arg_a,
          arg_b, arg_c, (char *)NULL);
    broken("exec");
}

/* ---- connections ---- */

int tcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        broken("socket");
    return fd;
}

struct sockaddr_in at_port(const char *address, int port)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, address, &out.sin_addr);
    return out;
}

struct sockaddr_in any_local(void)
{
    return at_port("127.0.0.1", 0);
}

struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in name = {0};
    socklen_t len = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        broken("getsockname");
    return name;
}

int port_of(int fd)
{
    return ntohs(name_of(fd).sin_port);
}

int connect_to(int fd, const struct sockaddr_in *address)
{
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

static int listener_make(int backlog, bool reusable)
{
    struct sockaddr_in address = any_local();
    int fd = tcp();

    if (reusable)
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        broken("bind");
    if (listen(fd, backlog) < 0)
        broken("listen");
    return fd;
}

int listener(int backlog)
{
    return listener_make(backlog, false);
}

int listener_reusable(void)
{
    return listener_make(16, true);
}

int client_of(int listening)
{
    struct sockaddr_in address = name_of(listening);
    int fd = tcp();

    if (connect_to(fd, &address) < 0)
        broken("connect");
    return fd;
}

int accept_from(int listening)
{
    int fd;

    if (!await(listening, POLLIN))
        broken("waiting to accept");
    fd = accept(listening, NULL, NULL);
    if (fd < 0)
        broken("accept");
    return fd;
}

void pair(int *client, int *server)
{
    int listening = listener(16);

    *client = client_of(listening);
    *server = accept_from(listening);
    close(listening);
}

int closed_port(void)
{
    int fd = listener(1);
    int port = port_of(fd);

    close(fd);
    return port;
}

void set_flag(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
        broken("setsockopt");
}

void nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        broken("fcntl");
}

void linger(int fd, int on, int seconds)
{
    struct linger value = {.l_onoff = on, .l_linger = seconds};

    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)) < 0)
        broken("SO_LINGER");
}

/* Full is what still refuses a single byte after a while in which no room appeared: what the
 * far end's stack takes leaves the near buffer a moment later. */
int fill(int fd)
{
    static char data[65536];
    int total = 0, quiet = 0;

    while (quiet < 2) {
        struct pollfd item = {.fd = fd, .events = POLLOUT};
        ssize_t len = send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (len <= 0)
            len = send(fd, data, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len > 0) {
            total += (int)len;
            quiet = 0;
        } else {
            quiet = poll(&item, 1, 150) > 0 ? 0 : quiet + 1;
        }
    }
    return total;
}

int tcp_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return -errno;
    return info.tcpi_state;
}

/* ---- steps ---- */

const char *flags_text(int value)
{
    static const struct {
        int flag;
        const char *name;
    } names[] = {
        {POLLIN, "IN"},   {POLLPRI, "PRI"}, {POLLOUT, "OUT"},   {POLLRDHUP, "RDHUP"},
        {POLLHUP, "HUP"}, {POLLERR, "ERR"}, {POLLNVAL, "NVAL"},
    };
    static char text[80];

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (value & names[i].flag) {
            strcat(text, text[0] ? "|" : "");
            strcat(text, names[i].name);
        }
    return text[0] ? text : "none";
}

int flags_now(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

    if (poll(&item, 1, 0) < 0)
        broken("poll");
    return item.revents;
}

bool await(int fd, int want)
{
    for (int waited_ms = 0; waited_ms < semantics_wait_ms; waited_ms++) {
        struct pollfd item = {.fd = fd, .events = (short)want};

        if ((flags_now(fd) & want) == want)
            return true;
        /* Sleeps until the first of them is there; then only the rest is waited for. */
        item.events = (short)(want & ~flags_now(fd));
        if (poll(&item, 1, 1) > 0 && (flags_now(fd) & want) != want)
            poll(NULL, 0, 1);
    }
    return false;
}

void ready(const char *step, int fd, int want)
{
    await(fd, want);
    flags(step, fd);
}

void flags(const char *step, int fd)
{
    say(step, "%s", flags_text(flags_now(fd)));
}

void sends(const char *step, int fd, const char *text)
{
    result(step, send(fd, text, strlen(text), MSG_NOSIGNAL));
}

static void said(const char *step, const char *data, ssize_t len)
{
    if (len < 0)
        say(step, "%s", error_name(errno));
    else if (len == 0)
        say(step, "eof");
    else
        say(step, "\"%.*s\"", (int)len, data);
}

void sees(const char *step, int fd)
{
    char data[256];

    if (await(fd, POLLIN))
        said(step, data, recv(fd, data, sizeof(data), MSG_DONTWAIT));
    else
        say(step, "nothing came");
}

void sees_len(const char *step, int fd, size_t len)
{
    char data[256];
    size_t have = 0;

    while (have < len && len <= sizeof(data)) {
        ssize_t got = await(fd, POLLIN) ? recv(fd, data + have, len - have, MSG_DONTWAIT) : 0;

        if (got <= 0) {
            say(step, "%zu of %zu", have, len);
            return;
        }
        have += (size_t)got;
    }
    said(step, data, (ssize_t)have);
}

void sees_now(const char *step, int fd)
{
    char data[256];

    said(step, data, recv(fd, data, sizeof(data), MSG_DONTWAIT));
}

void drains(const char *step, int fd)
{
    static char data[65536];
    long total = 0;

    for (;;) {
        ssize_t len = await(fd, POLLIN) ? recv(fd, data, sizeof(data), MSG_DONTWAIT) : -2;

        if (len > 0) {
            total += len;
            continue;
        }
        say(step, "%ld bytes, then %s", total,
            len == 0 ? "eof" : len == -2 ? "nothing came" : error_name(errno));
        return;
    }
}

void so_error(const char *step, int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) < 0)
        say(step, "refused with %s", error_name(errno));
    else
        say(step, "%s", value ? error_name(value) : "0");
}

void number_option(const char *step, int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    if (getsockopt(fd, level, name, &value, &len) < 0)
        say(step, "%s", error_name(errno));
    else
        say(step, "%d", value);
}
