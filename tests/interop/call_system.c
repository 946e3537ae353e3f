/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scenarios' calls on the system's sockets.
 */
#include "call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *congestion;

int call_begin(const struct call_options *options)
{
    struct rlimit limit;

    congestion = options->congestion;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return 0;
}

int call_end(void)
{
    return 0;
}

static int number(int value)
{
    return value < 0 ? -errno : value;
}

static struct sockaddr_in at(const char *address, int port)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, address, &out.sin_addr);
    return out;
}

/* A socket whose calls end with EAGAIN (said as ETIME) after the limit. */
static int new_socket(void)
{
    struct timeval limit = {.tv_sec = CALL_LIMIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
                                  (socklen_t)strlen(congestion)) < 0)) {
        int error = errno;

        close(fd);
        return -error;
    }
    return fd;
}

int call_listen(const char *address, int port, int backlog)
{
    struct sockaddr_in name = at(address, port);
    int fd = new_socket();

    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, backlog) < 0)
        return -errno;
    return fd;
}

static int timed(int value)
{
    return value == -EAGAIN || value == -EINPROGRESS ? -ETIME : value;
}

int call_accept(int listener)
{
    struct timeval limit = {.tv_sec = CALL_LIMIT_MS / 1000};
    int fd = timed(number(accept(listener, NULL, NULL)));

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    }
    return fd;
}

int call_connect(const char *address, int port)
{
    struct sockaddr_in name = at(address, port);
    int fd = new_socket(), error;

    if (fd < 0)
        return fd;
    error = timed(number(connect(fd, (struct sockaddr *)&name, sizeof(name))));
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

ssize_t call_send(int fd, const void *data, size_t len)
{
    return timed(number((int)send(fd, data, len, MSG_NOSIGNAL)));
}

ssize_t call_recv(int fd, void *data, size_t len)
{
    return timed(number((int)recv(fd, data, len, 0)));
}

int call_wait(int fd, int events, int limit_ms)
{
    struct pollfd item = {.fd = fd, .events = (short)events};

    return poll(&item, 1, limit_ms) <= 0 ? 0 : item.revents;
}

int call_unread(int fd)
{
    int value = 0;

    return ioctl(fd, FIONREAD, &value) < 0 ? -errno : value;
}

int call_shutdown(int fd, int how)
{
    return number(shutdown(fd, how));
}

int call_close(int fd)
{
    return number(close(fd));
}

int call_close_resets(int fd)
{
    struct linger value = {.l_onoff = 1, .l_linger = 0};

    return number(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
}

void call_die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}
