/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interop scenarios. "X-client" is done by the client, "X-server" by the server; the other
 * end does what answers it. The bytes that an end sends follow from how many it has sent, so
 * the receiver checks them one by one, beside the sums that both ends print.
 */
#include "scenario.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "call.h"

#define CHUNK 65536
#define MANY 1000
#define SMALL_CNT 3000
#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* ---- bytes ---- */

static unsigned char byte_at(int64_t position, bool from_client)
{
    uint32_t mixed = ((uint32_t)position + (from_client ? 0x9e3779b9u : 0)) * 2654435761u;

    return (unsigned char)(mixed >> 24);
}

static uint64_t fnv(uint64_t hash, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ data[i]) * FNV_PRIME;
    return hash;
}

static void trouble(struct scene *scene, const char *what, long error)
{
    if (!scene->trouble)
        scene->trouble = what;
    fprintf(stderr, "%s: %s: %ld %s after %lld sent, %lld received\n",
            scene->client ? "client" : "server", what, error,
            error < 0 ? strerrorname_np((int)-error) : "", (long long)scene->sent,
            (long long)scene->received);
}

/* Send the next bytes of this end's stream, at most `max`. */
static ssize_t send_some(struct scene *scene, int fd, size_t max)
{
    static unsigned char data[CHUNK];
    size_t len = max < CHUNK ? max : CHUNK;
    ssize_t sent;

    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(scene->sent + (int64_t)i, scene->client);
    sent = call_send(fd, data, len);
    if (sent > 0) {
        scene->sent_hash = fnv(scene->sent_hash, data, (size_t)sent);
        scene->sent += sent;
    }
    return sent;
}

static bool send_all(struct scene *scene, int fd, long len)
{
    while (len > 0) {
        ssize_t sent = send_some(scene, fd, (size_t)len);

        if (sent <= 0) {
            trouble(scene, "send", sent);
            return false;
        }
        len -= sent;
    }
    return true;
}

static ssize_t recv_some(struct scene *scene, int fd, size_t max)
{
    static unsigned char data[CHUNK];
    ssize_t got = call_recv(fd, data, max < CHUNK ? max : CHUNK);

    if (got <= 0)
        return got;
    for (ssize_t i = 0; i < got; i++)
        if (data[i] != byte_at(scene->received + i, !scene->client)) {
            trouble(scene, "wrong byte", scene->received + i);
            break;
        }
    scene->received_hash = fnv(scene->received_hash, data, (size_t)got);
    scene->received += got;
    return got;
}

static bool recv_all(struct scene *scene, int fd, long len)
{
    while (len > 0) {
        ssize_t got = recv_some(scene, fd, (size_t)len);

        if (got <= 0) {
            trouble(scene, "receive", got);
            return false;
        }
        len -= got;
    }
    return true;
}

/* Receive until the stream ends, and note how. */
static void recv_to_end(struct scene *scene, int fd)
{
    ssize_t got;

    while ((got = recv_some(scene, fd, CHUNK)) > 0)
        ;
    scene->end = got == 0 ? "eof" : strerrorname_np((int)-got);
}

static void finish(struct scene *scene, int fd)
{
    int error = call_shutdown(fd, SHUT_WR);

    if (error < 0)
        trouble(scene, "shutdown", error);
}

/* ---- scenarios ---- */

static void give(struct scene *scene, int fd)
{
    if (send_all(scene, fd, scene->bytes))
        finish(scene, fd);
    recv_to_end(scene, fd);
}

static void take(struct scene *scene, int fd)
{
    recv_to_end(scene, fd);
    finish(scene, fd);
}

/* Both directions at once; each end sends and receives as it can. */
static void bulk_both(struct scene *scene, int fd)
{
    long left = scene->bytes;
    ssize_t got = 1;

    while (left > 0 || got > 0) {
        int events = (got > 0 ? POLLIN : 0) | (left > 0 ? POLLOUT : 0);
        int there = call_wait(fd, events, CALL_LIMIT_MS);

        if (!there) {
            trouble(scene, "nothing moves", left);
            return;
        }
        if ((there & (POLLIN | POLLHUP | POLLERR)) && got > 0)
            got = recv_some(scene, fd, CHUNK);
        if (got < 0)
            break;
        if ((there & POLLOUT) && left > 0) {
            /* A little at a time: a send that waits would stop the receiving. */
            ssize_t sent = send_some(scene, fd, left < 1024 ? (size_t)left : 1024);

            if (sent < 0) {
                trouble(scene, "send", sent);
                return;
            }
            left -= sent;
            if (left == 0)
                finish(scene, fd);
        }
    }
    scene->end = got == 0 ? "eof" : strerrorname_np((int)-got);
}

static long small_len(int i)
{
    return 1 + (long)((unsigned)i * 2654435761u >> 16) % 300;
}

static void small_client(struct scene *scene, int fd)
{
    for (int i = 0; i < SMALL_CNT; i++)
        if (!send_all(scene, fd, small_len(i)) || !recv_all(scene, fd, small_len(i + 1)))
            return;
    finish(scene, fd);
    recv_to_end(scene, fd);
}

static void small_server(struct scene *scene, int fd)
{
    for (int i = 0; i < SMALL_CNT; i++)
        if (!recv_all(scene, fd, small_len(i)) || !send_all(scene, fd, small_len(i + 1)))
            return;
    take(scene, fd);
}

/* Ends its half first, then takes for long. */
static void half_first(struct scene *scene, int fd)
{
    if (send_all(scene, fd, 1000))
        finish(scene, fd);
    recv_to_end(scene, fd);
}

/* Gives only after the other's end has been read. */
static void half_second(struct scene *scene, int fd)
{
    recv_to_end(scene, fd);
    if (send_all(scene, fd, scene->bytes))
        finish(scene, fd);
}

static void close_unread(struct scene *scene, int fd)
{
    (void)scene;
    if (!call_wait(fd, POLLIN, CALL_LIMIT_MS))
        trouble(scene, "nothing came", 0);
    call_close(fd);
    scene->end = "closed";
}

static void reset_seen(struct scene *scene, int fd)
{
    send_all(scene, fd, 5000);
    recv_to_end(scene, fd);
}

static void linger_zero(struct scene *scene, int fd)
{
    send_all(scene, fd, 10);
    recv_all(scene, fd, 10);
    call_close_resets(fd);
    call_close(fd);
    scene->end = "closed";
}

static void linger_seen(struct scene *scene, int fd)
{
    recv_all(scene, fd, 10);
    send_all(scene, fd, 10);
    recv_to_end(scene, fd);
}

/* Reads nothing until nothing more comes: the window is shut. Then reads on. The last bytes of a
 * window may wait for the sender's timer, backed off (RFC 9293 3.8.6.2.1). */
static void zero_window(struct scene *scene, int fd)
{
    int unread = 0, quiet_ms = 0;

    while (quiet_ms < 4000) {
        int now = call_unread(fd);

        if (now < 0) {
            trouble(scene, "FIONREAD", now);
            break;
        }
        quiet_ms = now == unread && now > 0 ? quiet_ms + 50 : 0;
        unread = now;
        /* Waits for an urgent byte that never comes, and lets the stack go on meanwhile. */
        call_wait(fd, POLLPRI, 50);
    }
    recv_to_end(scene, fd);
    finish(scene, fd);
}

static void killed(struct scene *scene, int fd)
{
    send_all(scene, fd, 10);
    recv_all(scene, fd, 10);
    scene->end = "killed";
}

static void killed_unread(struct scene *scene, int fd)
{
    if (!call_wait(fd, POLLIN, CALL_LIMIT_MS))
        trouble(scene, "nothing came", 0);
    scene->end = "killed";
}

static void both_close(struct scene *scene, int fd)
{
    send_all(scene, fd, 1000);
    recv_all(scene, fd, 1000);
    finish(scene, fd);
    recv_to_end(scene, fd);
}

/* ---- scenarios of more or fewer connections than one ---- */

static int listening(struct scene *scene, int port, int backlog)
{
    int fd = call_listen(scene->address, port, backlog);

    if (fd < 0)
        trouble(scene, "listen", fd);
    return fd;
}

static void announce(void)
{
    puts("listening");
    fflush(stdout);
}

static void many_client(struct scene *scene)
{
    static int fds[MANY];

    for (int i = 0; i < MANY; i++) {
        fds[i] = call_connect(scene->address, scene->port);
        if (fds[i] < 0) {
            trouble(scene, "connect", fds[i]);
            return;
        }
    }
    for (int i = 0; i < MANY; i++)
        if (!send_all(scene, fds[i], 100))
            return;
    for (int i = 0; i < MANY; i++)
        if (!recv_all(scene, fds[i], 50))
            return;
    for (int i = 0; i < MANY; i++) {
        finish(scene, fds[i]);
        recv_to_end(scene, fds[i]);
        call_close(fds[i]);
    }
}

static void many_server(struct scene *scene)
{
    static int fds[MANY];
    int listener = listening(scene, scene->port, 1024);

    announce();
    for (int i = 0; i < MANY; i++) {
        fds[i] = call_accept(listener);
        if (fds[i] < 0) {
            trouble(scene, "accept", fds[i]);
            return;
        }
    }
    for (int i = 0; i < MANY; i++)
        if (!recv_all(scene, fds[i], 100) || !send_all(scene, fds[i], 50))
            return;
    for (int i = 0; i < MANY; i++) {
        recv_to_end(scene, fds[i]);
        call_close(fds[i]);
    }
    call_close(listener);
}

/* One after the other, each with its own end: the table does not fill. */
static void turns_client(struct scene *scene)
{
    for (int i = 0; i < MANY; i++) {
        int fd = call_connect(scene->address, scene->port);

        if (fd < 0) {
            trouble(scene, "connect", fd);
            return;
        }
        if (!send_all(scene, fd, 10) || !recv_all(scene, fd, 10))
            return;
        call_close(fd);
    }
    scene->end = "closed";
}

static void turns_server(struct scene *scene)
{
    int listener = listening(scene, scene->port, 128);

    announce();
    for (int i = 0; i < MANY; i++) {
        int fd = call_accept(listener);

        if (fd < 0) {
            trouble(scene, "accept", fd);
            return;
        }
        if (!recv_all(scene, fd, 10) || !send_all(scene, fd, 10))
            return;
        recv_to_end(scene, fd);
        call_close(fd);
    }
    call_close(listener);
}

/* The next port has a listener, which tells when the client is through. */
static void refused_client(struct scene *scene)
{
    int fd = call_connect(scene->address, scene->port);

    scene->end = fd < 0 ? strerrorname_np(-fd) : "connected";
    fd = call_connect(scene->address, scene->port + 1);
    if (fd < 0)
        trouble(scene, "connect", fd);
    else
        call_close(fd);
}

static void refused_server(struct scene *scene)
{
    int listener = listening(scene, scene->port + 1, 4), fd;

    announce();
    fd = call_accept(listener);
    if (fd < 0)
        trouble(scene, "accept", fd);
    else
        recv_to_end(scene, fd);
    call_close(fd);
    call_close(listener);
}

static void unaccepted_client(struct scene *scene)
{
    int fd = call_connect(scene->address, scene->port);

    /* The reset may be faster than the program that connect(2) wakes. */
    if (fd == -ECONNRESET) {
        scene->end = "ECONNRESET";
    } else if (fd < 0) {
        trouble(scene, "connect", fd);
    } else {
        recv_to_end(scene, fd);
        call_close(fd);
    }
}

static void unaccepted_server(struct scene *scene)
{
    int listener = listening(scene, scene->port, 4);

    announce();
    if (!call_wait(listener, POLLIN, CALL_LIMIT_MS))
        trouble(scene, "nobody came", 0);
    call_close(listener);
    scene->end = "closed";
}

const struct scenario scenarios[] = {
    {"bulk-up", give, take, NULL, NULL},
    {"bulk-down", take, give, NULL, NULL},
    {"bulk-both", bulk_both, bulk_both, NULL, NULL},
    {"small", small_client, small_server, NULL, NULL},
    {"half-client", half_first, half_second, NULL, NULL},
    {"half-server", half_second, half_first, NULL, NULL},
    {"both-close", both_close, both_close, NULL, NULL},
    {"reset-client", close_unread, reset_seen, NULL, NULL},
    {"reset-server", reset_seen, close_unread, NULL, NULL},
    {"linger-client", linger_zero, linger_seen, NULL, NULL},
    {"linger-server", linger_seen, linger_zero, NULL, NULL},
    {"zero-client", zero_window, give, NULL, NULL},
    {"zero-server", give, zero_window, NULL, NULL},
    {"killed-client", killed, linger_seen, NULL, NULL},
    {"killed-server", linger_seen, killed, NULL, NULL},
    {"killed-unread-client", killed_unread, reset_seen, NULL, NULL},
    {"killed-unread-server", reset_seen, killed_unread, NULL, NULL},
    {"many", NULL, NULL, many_client, many_server},
    {"turns", NULL, NULL, turns_client, turns_server},
    {"refused", NULL, NULL, refused_client, refused_server},
    {"unaccepted", NULL, NULL, unaccepted_client, unaccepted_server},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- playing ---- */

static int one_connection(struct scene *scene)
{
    int listener, fd;

    if (scene->client) {
        fd = call_connect(scene->address, scene->port);
    } else {
        listener = listening(scene, scene->port, 16);
        announce();
        fd = call_accept(listener);
        call_close(listener);
    }
    if (fd < 0)
        trouble(scene, scene->client ? "connect" : "accept", fd);
    return fd;
}

static void report(const struct scene *scene)
{
    printf("sent=%lld:%016llx received=%lld:%016llx end=%s trouble=%s\n", (long long)scene->sent,
           (unsigned long long)scene->sent_hash, (long long)scene->received,
           (unsigned long long)scene->received_hash, scene->end ? scene->end : "none",
           scene->trouble ? scene->trouble : "none");
    fflush(stdout);
}

int scene_play(struct scene *scene, const struct scenario *scenario)
{
    bool dies;
    int fd;

    scene->sent_hash = scene->received_hash = FNV_START;
    if (scenario->client) {
        fd = one_connection(scene);
        if (fd >= 0)
            (scene->client ? scenario->client : scenario->server)(scene, fd);
        dies = scene->end && strcmp(scene->end, "killed") == 0;
        if (fd >= 0 && !dies && !(scene->end && strcmp(scene->end, "closed") == 0))
            call_close(fd);
    } else {
        (scene->client ? scenario->client_alone : scenario->server_alone)(scene);
        dies = false;
    }
    report(scene);
    if (dies)
        call_die();
    if (call_end() < 0)
        return 4;
    return scene->trouble ? 1 : 0;
}
