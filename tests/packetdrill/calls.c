/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls of packetdrill's interface, on the library's public calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core.h"

/* packetdrill closes what a script leaves open with the host's close, so every descriptor it sees
 * must be one of the host: an open /dev/null stands for it. */
static int fd_put(struct core *core, int fd)
{
    int host;

    if (fd < 0)
        return fd;
    host = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (host < 0 || host >= FDS_MAX) {
        lastack_close(core->process, fd);
        if (host >= 0)
            close(host);
        return -EMFILE;
    }
    core->fds[host] = fd + 1;
    return host;
}

static int fd_get(const struct core *core, int host)
{
    return host < 0 || host >= FDS_MAX ? -1 : core->fds[host] - 1;
}

static struct core *enter(void *userdata)
{
    struct core *core = userdata;

    pthread_mutex_lock(&core->mutex);
    return core;
}

/* Leave with -1 and errno, or the result. */
static long leave(struct core *core, long result)
{
    core_pump(core);
    pthread_mutex_unlock(&core->mutex);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* May a call on this descriptor wait? */
static bool blocking(struct core *core, int fd, int flags)
{
    int mode = lastack_fcntl(core->process, fd, F_GETFL, 0);

    return !(flags & MSG_DONTWAIT) && (mode < 0 || !(mode & O_NONBLOCK));
}

/* ---- life ----------------------------------------------------------------- */

static int do_socket(void *userdata, int domain, int type, int protocol)
{
    struct core *core = enter(userdata);

    return (int)leave(core, fd_put(core, lastack_socket(core->process, domain, type, protocol)));
}

static int do_bind(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
    struct core *core = enter(userdata);

    core_interface(core, address);
    return (int)leave(core, lastack_bind(core->process, fd_get(core, fd), address, len));
}

static int do_listen(void *userdata, int fd, int backlog)
{
    struct core *core = enter(userdata);

    return (int)leave(core, lastack_listen(core->process, fd_get(core, fd), backlog));
}

static long attempt_accept(struct core *core, struct call *call)
{
    return lastack_accept(core->process, call->fd, call->address, call->address_len, 0);
}

/* The child of a forking server inherits what is open now. */
static void fork_child(struct core *core)
{
    if (!core->flags.fork_at_accept || core->child)
        return;
    core->child = lastack_fork(core->process, 101);
    if (!core->child)
        core_fault(core, "fork failed");
    else if (core->flags.child_exit_ms)
        core->child_exit_ns = core->now_ns + core->flags.child_exit_ms * 1000000;
}

static int do_accept(void *userdata, int fd, struct sockaddr *address, socklen_t *len)
{
    struct core *core = enter(userdata);
    struct call call = {.attempt = attempt_accept,
                        .fd = fd_get(core, fd),
                        .address = address,
                        .address_len = len};
    long result = core_call(core, &call, blocking(core, call.fd, 0));

    if (result >= 0)
        fork_child(core);
    return (int)leave(core, fd_put(core, (int)result));
}

/* Linux's connect on a blocking socket: started once, then waited for. */
static long attempt_connect(struct core *core, struct call *call)
{
    int result = lastack_connect(core->process, call->fd, call->address, *call->address_len);

    if (result == -EINPROGRESS)
        call->done_len = 1; /* started by this call */
    if (result == -EINPROGRESS || result == -EALREADY)
        return -EAGAIN;
    return result == -EISCONN && call->done_len ? 0 : result;
}

static int do_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
    struct core *core = enter(userdata);
    struct call call = {.attempt = attempt_connect,
                        .fd = fd_get(core, fd),
                        .address = (struct sockaddr *)address,
                        .address_len = &len};

    core_interface(core, NULL);
    if (!blocking(core, call.fd, 0))
        return (int)leave(core, lastack_connect(core->process, call.fd, address, len));
    return (int)leave(core, core_call(core, &call, true));
}

static long attempt_close(struct core *core, struct call *call)
{
    (void)core;
    return call->lingered ? 0 : -EAGAIN;
}

static int do_close(void *userdata, int fd)
{
    struct core *core = enter(userdata);
    int inner = fd_get(core, fd);
    struct call call = {.attempt = attempt_close,
                        .socket_id = lastack_socket_id(core->process, inner)};
    long result = lastack_close(core->process, inner);

    if (result == -EINPROGRESS)
        result = core_call(core, &call, true);
    if (inner >= 0) {
        core->fds[fd] = 0;
        close(fd);
    }
    return (int)leave(core, result);
}

static int do_shutdown(void *userdata, int fd, int how)
{
    struct core *core = enter(userdata);

    return (int)leave(core, lastack_shutdown(core->process, fd_get(core, fd), how));
}

/* ---- data ----------------------------------------------------------------- */

static long attempt_recv(struct core *core, struct call *call)
{
    return lastack_recvv(core->process, call->fd, call->iov, call->iov_cnt, call->flags);
}

static ssize_t receive(void *userdata, int fd, const struct iovec *iov, size_t iov_cnt, int flags)
{
    struct core *core = enter(userdata);
    struct call call = {.attempt = attempt_recv,
                        .fd = fd_get(core, fd),
                        .iov = iov,
                        .iov_cnt = iov_cnt,
                        .flags = flags};

    return leave(core, core_call(core, &call, blocking(core, call.fd, flags)));
}

/* As Linux: a blocking write waits until all of it is taken; an error after a part was taken is
 * left for the next call. */
static long attempt_send(struct core *core, struct call *call)
{
    struct pollfd ended = {.fd = call->fd};
    struct iovec left[16];
    size_t cnt = 0, skip = call->done_len;
    ssize_t result;

    if (skip && lastack_poll(core->process, &ended, 1) > 0)
        return (long)call->done_len;

    for (size_t i = 0; i < call->iov_cnt && cnt < 16; i++) {
        size_t len = call->iov[i].iov_len;
        size_t drop = skip < len ? skip : len;

        skip -= drop;
        left[cnt].iov_base = call->iov[i].iov_base ? (char *)call->iov[i].iov_base + drop : NULL;
        left[cnt++].iov_len = len - drop;
    }
    result = lastack_sendv(core->process, call->fd, left, cnt, call->flags);
    if (result < 0 && result != -EAGAIN)
        return call->done_len ? (long)call->done_len : result;
    if (result > 0)
        call->done_len += (size_t)result;
    return call->done_len == call->len ? (long)call->len : -EAGAIN;
}

static ssize_t transmit(void *userdata, int fd, const struct iovec *iov, size_t iov_cnt, int flags)
{
    struct core *core = enter(userdata);
    struct call call = {.attempt = attempt_send,
                        .fd = fd_get(core, fd),
                        .iov = iov,
                        .iov_cnt = iov_cnt,
                        .flags = flags};

    for (size_t i = 0; i < iov_cnt; i++)
        call.len += iov[i].iov_len;
    return leave(core, core_call(core, &call, blocking(core, call.fd, flags)));
}

static ssize_t do_recv(void *userdata, int fd, void *data, size_t len, int flags)
{
    struct iovec iov = {data, len};

    return receive(userdata, fd, &iov, 1, flags);
}

static ssize_t do_read(void *userdata, int fd, void *data, size_t len)
{
    return do_recv(userdata, fd, data, len, 0);
}

static ssize_t do_readv(void *userdata, int fd, const struct iovec *iov, int iov_cnt)
{
    return receive(userdata, fd, iov, (size_t)iov_cnt, 0);
}

static ssize_t do_recvfrom(void *userdata, int fd, void *data, size_t len, int flags,
                           struct sockaddr *address, socklen_t *address_len)
{
    (void)address; /* TCP says nothing here */
    if (address_len)
        *address_len = 0;
    return do_recv(userdata, fd, data, len, flags);
}

static ssize_t do_recvmsg(void *userdata, int fd, struct msghdr *message, int flags)
{
    message->msg_flags = 0;
    message->msg_controllen = 0;
    message->msg_namelen = 0;
    return receive(userdata, fd, message->msg_iov, message->msg_iovlen, flags);
}

static ssize_t do_send(void *userdata, int fd, const void *data, size_t len, int flags)
{
    struct iovec iov = {(void *)data, len};

    return transmit(userdata, fd, &iov, 1, flags);
}

static ssize_t do_write(void *userdata, int fd, const void *data, size_t len)
{
    return do_send(userdata, fd, data, len, 0);
}

static ssize_t do_writev(void *userdata, int fd, const struct iovec *iov, int iov_cnt)
{
    return transmit(userdata, fd, iov, (size_t)iov_cnt, 0);
}

static ssize_t do_sendto(void *userdata, int fd, const void *data, size_t len, int flags,
                         const struct sockaddr *address, socklen_t address_len)
{
    (void)address; /* ignored on a stream socket without Fast Open */
    (void)address_len;
    return do_send(userdata, fd, data, len, flags);
}

static ssize_t do_sendmsg(void *userdata, int fd, const struct msghdr *message, int flags)
{
    return transmit(userdata, fd, message->msg_iov, message->msg_iovlen, flags);
}

/* ---- options and readiness ------------------------------------------------ */

static int do_fcntl(void *userdata, int fd, int command, ...)
{
    struct core *core = enter(userdata);
    int argument, result;
    va_list args;

    va_start(args, command);
    argument = va_arg(args, int); /* an int, or rubbish that nobody reads */
    va_end(args);
    result = lastack_fcntl(core->process, fd_get(core, fd), command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        result = fd_put(core, result);
    return (int)leave(core, result);
}

static int do_ioctl(void *userdata, int fd, unsigned long request, ...)
{
    struct core *core = enter(userdata);
    int *argument;
    va_list args;

    va_start(args, request);
    argument = va_arg(args, int *);
    va_end(args);
    return (int)leave(core, lastack_ioctl(core->process, fd_get(core, fd), request, argument));
}

static int do_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len)
{
    struct core *core = enter(userdata);

    return (int)leave(core,
                      lastack_getsockopt(core->process, fd_get(core, fd), level, name, value, len));
}

static int do_setsockopt(void *userdata, int fd, int level, int name, const void *value,
                         socklen_t len)
{
    struct core *core = enter(userdata);

    return (int)leave(core,
                      lastack_setsockopt(core->process, fd_get(core, fd), level, name, value, len));
}

static uint64_t limit_of(const struct core *core, int timeout_ms)
{
    return timeout_ms < 0 ? LASTACK_NEVER : core->now_ns + (uint64_t)timeout_ms * 1000000;
}

static long attempt_poll(struct core *core, struct call *call)
{
    int result = lastack_poll(core->process, call->polls, call->len);

    return result || call->expired ? result : -EAGAIN;
}

static int do_poll(void *userdata, struct pollfd *fds, nfds_t fd_cnt, int timeout_ms)
{
    struct core *core = enter(userdata);
    struct pollfd *inner = calloc(fd_cnt + 1, sizeof(*inner));
    struct call call = {.attempt = attempt_poll,
                        .polls = inner,
                        .len = fd_cnt,
                        .limit_ns = limit_of(core, timeout_ms)};
    long result;

    if (!inner)
        abort();
    for (nfds_t i = 0; i < fd_cnt; i++) {
        inner[i] = fds[i];
        if (fds[i].fd >= 0 && (inner[i].fd = fd_get(core, fds[i].fd)) < 0)
            inner[i].fd = 1 << 20; /* not open: POLLNVAL */
    }
    result = core_call(core, &call, true);
    for (nfds_t i = 0; i < fd_cnt; i++)
        fds[i].revents = inner[i].revents;
    free(inner);
    return (int)leave(core, result);
}

static int do_epoll_create(void *userdata, int size)
{
    struct core *core = enter(userdata);

    return (int)leave(core, size > 0 ? fd_put(core, lastack_epoll_create(core->process, 0))
                                     : -EINVAL);
}

static int do_epoll_ctl(void *userdata, int epoll_fd, int operation, int fd,
                        struct epoll_event *event)
{
    struct core *core = enter(userdata);

    return (int)leave(core, lastack_epoll_ctl(core->process, fd_get(core, epoll_fd), operation,
                                              fd_get(core, fd), event));
}

static long attempt_epoll_wait(struct core *core, struct call *call)
{
    int result = lastack_epoll_wait(core->process, call->fd, call->events, (int)call->len);

    return result || call->expired ? result : -EAGAIN;
}

static int do_epoll_wait(void *userdata, int epoll_fd, struct epoll_event *events, int event_max,
                         int timeout_ms)
{
    struct core *core = enter(userdata);
    struct call call = {.attempt = attempt_epoll_wait,
                        .fd = fd_get(core, epoll_fd),
                        .events = events,
                        .len = (size_t)event_max,
                        .limit_ns = limit_of(core, timeout_ms)};

    return (int)leave(core, core_call(core, &call, true));
}

static int do_pipe(void *userdata, int fds[2])
{
    (void)userdata;
    (void)fds;
    errno = ENOSYS;
    return -1;
}

static int do_splice(void *userdata, int fd_in, loff_t *offset_in, int fd_out, loff_t *offset_out,
                     size_t len, unsigned flags)
{
    (void)userdata, (void)fd_in, (void)offset_in, (void)fd_out, (void)offset_out;
    (void)len, (void)flags;
    errno = ENOSYS;
    return -1;
}

void calls_init(struct packetdrill_interface *interface)
{
    interface->socket = do_socket;
    interface->bind = do_bind;
    interface->listen = do_listen;
    interface->accept = do_accept;
    interface->connect = do_connect;
    interface->read = do_read;
    interface->readv = do_readv;
    interface->recv = do_recv;
    interface->recvfrom = do_recvfrom;
    interface->recvmsg = do_recvmsg;
    interface->write = do_write;
    interface->writev = do_writev;
    interface->send = do_send;
    interface->sendto = do_sendto;
    interface->sendmsg = do_sendmsg;
    interface->fcntl = do_fcntl;
    interface->ioctl = do_ioctl;
    interface->close = do_close;
    interface->shutdown = do_shutdown;
    interface->getsockopt = do_getsockopt;
    interface->setsockopt = do_setsockopt;
    interface->poll = do_poll;
    interface->epoll_create = do_epoll_create;
    interface->epoll_ctl = do_epoll_ctl;
    interface->epoll_wait = do_epoll_wait;
    interface->pipe = do_pipe;
    interface->splice = do_splice;
}
