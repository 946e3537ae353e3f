/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls that move bytes. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "socket/process.h"
#include "tcp/call.h"

/* ---- send ---------------------------------------------------------------------- */

/* May data be queued? 0, or the error that a send returns. */
static int send_check(struct socket *s)
{
    struct connection *c = socket_connection(s);
    if (c == NULL) {
        int error = socket_error_take(s);
        return -(error ? error : EPIPE);
    }
    enum lastack_state state = connection_state(c);
    if (state == LASTACK_SYN_SENT || state == LASTACK_SYN_RCVD)
        return -EAGAIN;
    if (c->error != 0)
        return -socket_error_take(s);
    return state_is(state, STATE_SENDS) ? 0 : -EPIPE;
}

static size_t iov_total(const struct iovec *iov, size_t iov_cnt)
{
    size_t len = 0;
    for (size_t i = 0; i < iov_cnt; i++)
        len += iov[i].iov_len;
    return len;
}

ssize_t lastack_sendv(lastack_process *p, int fd, const struct iovec *iov, size_t iov_cnt,
                      int flags)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = send_check(s)) != 0)
        return error;
    if ((flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE)) != 0)
        return -EOPNOTSUPP;
    size_t len = MIN(iov_total(iov, iov_cnt), (size_t)SSIZE_MAX);
    if (len == 0)
        return 0;
    struct connection *c = s->connection;
    c->flags = flags & MSG_MORE ? c->flags | CONNECTION_MORE : c->flags & ~CONNECTION_MORE;
    size_t done = tcp_call_send(tcp_of(p->stack), c, &(struct source){iov, iov_cnt, 0}, len);
    return done > 0 ? (ssize_t)done : -EAGAIN;
}

ssize_t lastack_send(lastack_process *p, int fd, const void *data, size_t len, int flags)
{
    if (data == NULL && len > 0)
        return -EFAULT;
    struct iovec iov = {(void *)(uintptr_t)data, len};
    return lastack_sendv(p, fd, &iov, 1, flags);
}

ssize_t lastack_reserve(lastack_process *p, int fd, struct iovec *iov, size_t *iov_cnt)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = send_check(s)) != 0)
        return error;
    struct connection *c = s->connection;
    size_t covered = 0;
    *iov_cnt = stream_room(&c->send, &tcp_of(p->stack)->pages, c->send.len, tcp_call_room(c), iov,
                           *iov_cnt, &covered);
    if (covered == 0) {
        tcp_call_wait_room(tcp_of(p->stack), c);
        return -EAGAIN;
    }
    return (ssize_t)covered;
}

int lastack_commit(lastack_process *p, int fd, size_t len)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = send_check(s)) != 0)
        return error;
    if (!stream_has_room(&s->connection->send, s->connection->send.len, len) ||
        len > tcp_call_room(s->connection))
        return -EINVAL;
    tcp_call_sent(tcp_of(p->stack), s->connection, len);
    return 0;
}

/* ---- receive --------------------------------------------------------------------- */

/* Nothing is queued: the end of stream, an error, or not yet. */
static int receive_empty(struct tcp *tcp, struct socket *s, bool peek)
{
    struct connection *c = s->connection;
    if (c->error != 0)
        return -socket_error_take(s);
    if (connection_has(c, CONNECTION_FIN_IN) && !peek)
        tcp_call_eof_read(tcp, c);
    if (connection_has(c, CONNECTION_FIN_IN | CONNECTION_SHUT_RD) ||
        connection_state(c) == LASTACK_CLOSED)
        return 0;
    return -EAGAIN;
}

/* What came with a SYN is for the time after the handshake (RFC 9293 3.10.7.3). */
static int receive_check(struct socket *s)
{
    const struct connection *c = socket_connection(s);
    if (c != NULL) {
        bool opening = connection_state(c) == LASTACK_SYN_RCVD;
        return opening && !connection_has(c, CONNECTION_SHUT_RD) ? -EAGAIN : 0;
    }
    int error = socket_error_take(s);
    return -(error ? error : ENOTCONN);
}

static size_t copy_out(const struct connection *c, const struct iovec *iov, size_t iov_cnt)
{
    size_t done = 0;
    for (size_t i = 0; i < iov_cnt && done < c->receive.len; i++) {
        size_t cnt = MIN(iov[i].iov_len, c->receive.len - done);
        stream_read(&c->receive, done, iov[i].iov_base, cnt);
        done += cnt;
    }
    return done;
}

ssize_t lastack_recvv(lastack_process *p, int fd, const struct iovec *iov, size_t iov_cnt,
                      int flags)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = receive_check(s)) != 0)
        return error;
    if ((flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_NOSIGNAL)) != 0)
        return -EOPNOTSUPP;
    struct connection *c = s->connection;
    size_t len = iov_total(iov, iov_cnt);
    if (len == 0)
        return 0;
    if (c->receive.len == 0)
        return receive_empty(tcp_of(p->stack), s, flags & MSG_PEEK);
    size_t done = flags & MSG_TRUNC ? MIN(len, c->receive.len) : copy_out(c, iov, iov_cnt);
    if (!(flags & MSG_PEEK))
        tcp_call_taken(tcp_of(p->stack), c, done);
    return (ssize_t)done;
}

ssize_t lastack_recv(lastack_process *p, int fd, void *data, size_t len, int flags)
{
    if (data == NULL && len > 0 && !(flags & MSG_TRUNC))
        return -EFAULT;
    struct iovec iov = {data, len};
    return lastack_recvv(p, fd, &iov, 1, flags);
}

ssize_t lastack_peekv(lastack_process *p, int fd, struct iovec *iov, size_t *iov_cnt)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL || (error = receive_check(s)) != 0)
        return error;
    struct connection *c = s->connection;
    size_t covered = 0, max = *iov_cnt;
    *iov_cnt = 0;
    if (c->receive.len == 0)
        return receive_empty(tcp_of(p->stack), s, false);
    *iov_cnt = stream_spans(&c->receive, 0, c->receive.len, iov, max, &covered);
    return (ssize_t)covered;
}

int lastack_consume(lastack_process *p, int fd, size_t len)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (s->body != BODY_CONNECTION || len > s->connection->receive.len)
        return -EINVAL;
    if (len > 0)
        tcp_call_taken(tcp_of(p->stack), s->connection, len);
    return 0;
}

/* ---- how much ---------------------------------------------------------------------- */

static int queue_len(const struct socket *s, unsigned long request, int *value)
{
    const struct connection *c = socket_connection(s);
    if (s->body == BODY_LISTENER)
        return -EINVAL;
    if (c == NULL)
        *value = 0;
    else if (request == FIONREAD)
        *value = (int)c->receive.len;
    else if (request == SIOCOUTQ)
        *value = (int)c->send.len;
    else
        *value = (int)(c->send.len - MIN(c->send.len, c->snd_max - c->snd_una));
    return 0;
}

int lastack_ioctl(lastack_process *p, int fd, unsigned long request, int *argument)
{
    int error;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (argument == NULL)
        return -EFAULT;
    switch (request) {
    case FIONREAD:
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        return queue_len(s, request, argument);
    case FIONBIO:
        s->file.nonblock = *argument != 0;
        return 0;
    default:
        return -ENOTTY;
    }
}
