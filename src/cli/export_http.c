/* SPDX-License-Identifier: BSD-2-Clause */
/* A server for one page, in one thread: GET /metrics and nothing else that costs anything. Every
 * connection has a deadline, every request a size; who is one too many displaces who waits longest. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/export.h"

#define CLIENT_MAX   32
#define REQUEST_MAX  4096
#define PAUSE_MS     100 /* without a descriptor for anybody */
#define DEADLINE_US  5000000u
#define DRAIN_US     1000000u

enum phase { READING, WRITING, DRAINING };

struct client {
    int fd;
    enum phase phase;
    uint64_t deadline_us;
    char request[REQUEST_MAX + 1];
    size_t request_len, written;
    struct text out;
};

struct house {
    const struct export_server *server;
    int listener;
    struct client clients[CLIENT_MAX];
    unsigned cnt;
};

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- listening ---- */

/* "[::1]:9464" to "::1" and "9464". A port alone is not for all the world; ":9464" says that. */
static bool split(const char *where, char host[128], const char **port)
{
    char own[32];
    const char *colon = strrchr(where, ':');
    if (!colon && where[0] && strlen(where) <= 5) {
        snprintf(own, sizeof own, "127.0.0.1:%s", where);
        bool good = split(own, host, port);
        *port = where;
        return good;
    }
    size_t len = colon ? (size_t)(colon - where) : 0;
    *port = colon ? colon + 1 : where;
    if (len >= 2 && where[0] == '[' && where[len - 1] == ']') {
        where++;
        len -= 2;
    }
    if (len >= 128 || !**port || strspn(*port, "0123456789") != strlen(*port) ||
        strtoul(*port, NULL, 10) > 65535)
        return false;
    memcpy(host, where, len);
    host[len] = 0;
    return true;
}

static int listen_on(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 64) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int export_listen(const char *command, const char *where)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *at = NULL;
    char host[128];
    const char *port;
    if (!split(where, host, &port) || getaddrinfo(host[0] ? host : NULL, port, &hints, &at) != 0) {
        complain_shown(command, "--listen takes an address like 127.0.0.1:9464 or [::1]:9464, not \"",
                       where, "\"");
        return -1;
    }
    int fd = listen_on(at);
    freeaddrinfo(at);
    if (fd >= 0)
        return fd;
    complain(command, "cannot listen on %s: %s", where, strerror(-fd));
    return -1;
}

/* ---- answers ---- */

static void answer(struct client *c, const char *status, const char *type, const char *body,
                   size_t len, bool with_body)
{
    text_printf(&c->out,
                "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                "X-Content-Type-Options: nosniff\r\n\r\n",
                status, type, len);
    if (with_body)
        text_add_len(&c->out, body, len);
    c->phase = WRITING;
    c->deadline_us = clock_us() + DEADLINE_US;
}

static void answer_text(struct client *c, const char *status, bool with_body)
{
    char body[128];
    int len = snprintf(body, sizeof body, "%s\n", status);
    answer(c, status, "text/plain; charset=utf-8", body, (size_t)len, with_body);
}

static void answer_page(const struct export_server *server, struct client *c, const char *path,
                        bool with_body)
{
    static const char front[] =
        "<!DOCTYPE html><title>lastack</title><h1>lastack export</h1>"
        "<p><a href=\"/metrics\">/metrics</a>: connections that will not end, as numbers\n";
    struct text page;
    if (strcmp(path, "/") == 0) {
        answer(c, "200 OK", "text/html; charset=utf-8", front, sizeof front - 1, with_body);
        return;
    }
    if (strcmp(path, "/metrics") != 0) {
        answer_text(c, "404 Not Found", with_body);
        return;
    }
    text_init(&page);
    server->fill(server->arg, &page);
    if (page.failed)
        answer_text(c, "500 Internal Server Error", with_body);
    else
        answer(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", text_string(&page), page.len,
               with_body);
    text_free(&page);
}

/* A request is whole: its first line decides. */
static void take_request(const struct export_server *server, struct client *c)
{
    char *line_end = strpbrk(c->request, "\r\n");
    if (line_end)
        *line_end = 0;
    char *save, *method = strtok_r(c->request, " ", &save), *path = strtok_r(NULL, " ", &save);
    const char *version = strtok_r(NULL, " ", &save);
    if (!method || !path || path[0] != '/' || !version || strncmp(version, "HTTP/1.", 7) != 0 ||
        strtok_r(NULL, " ", &save)) {
        answer_text(c, "400 Bad Request", true);
        return;
    }
    path[strcspn(path, "?")] = 0;
    bool head = strcmp(method, "HEAD") == 0;
    if (!head && strcmp(method, "GET") != 0)
        answer_text(c, "405 Method Not Allowed", true);
    else
        answer_page(server, c, path, !head);
}

/* ---- one client; false: it is over ---- */

static bool read_some(const struct export_server *server, struct client *c)
{
    ssize_t len = recv(c->fd, c->request + c->request_len, REQUEST_MAX - c->request_len, 0);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    if (len == 0)
        return false;
    /* A NUL would hide what comes after it. */
    bool nul = memchr(c->request + c->request_len, 0, (size_t)len) != NULL;
    c->request_len += (size_t)len;
    c->request[c->request_len] = 0;
    if (nul)
        answer_text(c, "400 Bad Request", true);
    else if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n"))
        take_request(server, c);
    else if (c->request_len == REQUEST_MAX)
        answer_text(c, "431 Request Header Fields Too Large", true);
    return !c->out.failed;
}

static bool write_some(struct client *c)
{
    ssize_t len = send(c->fd, c->out.at + c->written, c->out.len - c->written, MSG_NOSIGNAL);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    c->written += (size_t)len;
    if (c->written == c->out.len) {
        /* A close with something unread would be a reset, and the answer lost. */
        shutdown(c->fd, SHUT_WR);
        c->phase = DRAINING;
        c->deadline_us = clock_us() + DRAIN_US;
    }
    return true;
}

static bool drain_some(const struct client *c)
{
    char bytes[4096];
    ssize_t len = recv(c->fd, bytes, sizeof bytes, 0);
    return len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool serve_client(const struct export_server *server, struct client *c)
{
    switch (c->phase) {
    case READING:
        return read_some(server, c);
    case WRITING:
        return write_some(c);
    default:
        return drain_some(c);
    }
}

/* ---- all of them ---- */

static void drop(struct house *h, unsigned at)
{
    close(h->clients[at].fd);
    text_free(&h->clients[at].out);
    if (at != --h->cnt)
        h->clients[at] = h->clients[h->cnt];
}

static void drop_oldest(struct house *h)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < h->cnt; i++)
        if (h->clients[i].deadline_us < h->clients[oldest].deadline_us)
            oldest = i;
    drop(h, oldest);
}

/* False: nobody (more) can be let in now. */
static bool accept_one(struct house *h)
{
    int fd = accept4(h->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool full = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (full && h->cnt)
        drop_oldest(h); /* its descriptor serves the next one */
    else if (full)
        poll(NULL, 0, PAUSE_MS); /* the listener stays readable: do not spin */
    if (fd < 0)
        return false;
    if (h->cnt == CLIENT_MAX)
        drop_oldest(h);
    struct client *c = &h->clients[h->cnt++];
    *c = (struct client){.fd = fd, .phase = READING, .deadline_us = clock_us() + DEADLINE_US};
    text_init(&c->out);
    return true;
}

/* All that wait, as many as there is room for, and one: a look may follow, which takes its time. */
static void accept_all(struct house *h)
{
    while (accept_one(h) && h->cnt < CLIENT_MAX)
        ;
}

/* What a look took is nobody's delay. */
static void put_off(struct house *h, uint64_t us)
{
    for (unsigned i = 0; i < h->cnt; i++)
        h->clients[i].deadline_us += us;
}

/* Who is over its deadline is dropped; the time until the next one, -1: none. */
static int drop_late(struct house *h)
{
    uint64_t now_us = clock_us(), next_us = UINT64_MAX;
    for (unsigned i = h->cnt; i-- > 0;)
        if (h->clients[i].deadline_us <= now_us)
            drop(h, i);
        else if (h->clients[i].deadline_us < next_us)
            next_us = h->clients[i].deadline_us;
    return next_us == UINT64_MAX ? -1 : (int)((next_us - now_us) / 1000u) + 1;
}

static void serve_once(struct house *h, const sigset_t *unblocked)
{
    struct pollfd polls[CLIENT_MAX + 1] = {{.fd = h->listener, .events = POLLIN}};
    int wait_ms = drop_late(h);
    struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000l};
    unsigned cnt = h->cnt;
    for (unsigned i = 0; i < cnt; i++)
        polls[i + 1] = (struct pollfd){
            .fd = h->clients[i].fd,
            .events = h->clients[i].phase == WRITING ? POLLOUT : POLLIN};
    if (ppoll(polls, cnt + 1, wait_ms < 0 ? NULL : &wait, unblocked) <= 0)
        return;
    uint64_t begin_us = clock_us();
    for (unsigned i = cnt; i-- > 0;) /* from behind: dropping one moves the last into its place */
        if (polls[i + 1].revents && !serve_client(h->server, &h->clients[i]))
            drop(h, i);
    put_off(h, clock_us() - begin_us);
    if (polls[0].revents)
        accept_all(h);
}

void export_serve(const struct export_server *server, int listener)
{
    static struct house house;
    sigset_t stops, before;
    house = (struct house){.server = server, .listener = listener};
    /* Signals arrive within ppoll only: none is lost between the question and the wait. */
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGHUP);
    sigprocmask(SIG_BLOCK, &stops, &before);
    while (!end_stopped)
        serve_once(&house, &before);
    while (house.cnt)
        drop(&house, house.cnt - 1);
    sigprocmask(SIG_SETMASK, &before, NULL);
}
