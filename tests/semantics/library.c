/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket calls of the semantics program, on the library with virtual time. No call of the
 * library waits; what waiting is on Linux (O_NONBLOCK, MSG_DONTWAIT, the two time limits) is
 * written down here.
 */
#define LIBRARY_CALLS_THEMSELVES
#include "library.h"

#include "lastack.h"
#include "trace.h"

#define NS_PER_MS 1000000ull

static lastack *stack;
static lastack_process *process;
static uint64_t now_ns = 1000 * NS_PER_MS;

int library_lacks(const char *what, ...)
{
    say("end", "needs %s", what);
    _exit(0);
}

/* ---- the stack and its time ---- */

static lastack_process *current(void)
{
    struct lastack_config config;

    if (process)
        return process;
    lastack_config_init(&config);
    config.seed[0] = 42;
    stack = lastack_create(&config, now_ns);
    process = stack ? lastack_process_create(stack, 1, "semantics") : NULL;
    if (!process)
        broken("lastack_create");
    return process;
}

/* All that can happen at this moment happens; nothing leaves the loopback. */
static void settle(void)
{
    struct lastack_frame frame;
    struct lastack_event event;

    lastack_tick(stack, now_ns);
    if (lastack_tx(stack, &frame, 1, now_ns) != 0)
        broken("a packet left the loopback");
    while (lastack_event(stack, &event))
        ;
}

/* Move to the next thing that happens by itself, at most to `until_ns`. */
static bool advance(uint64_t until_ns)
{
    uint64_t next_ns = lastack_deadline(stack);

    if (now_ns >= until_ns)
        return false;
    now_ns = next_ns < until_ns ? (next_ns > now_ns ? next_ns : now_ns + 1) : until_ns;
    settle();
    return true;
}

/* A result as Linux gives it to a program. */
static long told(long value)
{
    settle();
    if (value < 0) {
        errno = (int)-value;
        return -1;
    }
    return value;
}

static bool is_system(int fd)
{
    return fd >= LIBRARY_SYSTEM_FD;
}

/* Until when a call on `fd` may wait: not at all, or for ever. */
static uint64_t patience_ns(int fd, int flags)
{
    if ((flags & MSG_DONTWAIT) || (lastack_fcntl(current(), fd, F_GETFL, 0) & O_NONBLOCK))
        return 0;
    return LASTACK_NEVER;
}

/* True when the call should be tried again. */
static bool wait_more(uint64_t until_ns)
{
    settle();
    if (until_ns == LASTACK_NEVER && lastack_deadline(stack) == LASTACK_NEVER)
        library_lacks("somebody else to wake it");
    return advance(until_ns);
}

/* ---- calls ---- */

int library_socket(int domain, int type, int protocol)
{
    if (domain == AF_UNIX || (type & 0xf) == SOCK_DGRAM)
        library_lacks("other sockets");
    return (int)told(lastack_socket(current(), domain, type, protocol));
}

#define NOT_SYSTEM(fd)                                                                             \
    do {                                                                                           \
        if (is_system(fd))                                                                         \
            return (int)told(-ENOTSOCK);                                                           \
    } while (0)

int library_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    NOT_SYSTEM(fd);
    return (int)told(lastack_bind(current(), fd, address, len));
}

int library_listen(int fd, int backlog)
{
    NOT_SYSTEM(fd);
    return (int)told(lastack_listen(current(), fd, backlog));
}

int library_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    uint64_t until_ns;

    NOT_SYSTEM(fd);
    until_ns = patience_ns(fd, 0);
    for (;;) {
        int result_fd = lastack_accept(current(), fd, address, len, flags);

        if (result_fd != -EAGAIN || !wait_more(until_ns))
            return (int)told(result_fd);
    }
}

int library_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    uint64_t until_ns;
    int error;

    NOT_SYSTEM(fd);
    until_ns = patience_ns(fd, 0);
    error = lastack_connect(current(), fd, address, len);
    if (error != -EINPROGRESS || until_ns == 0)
        return (int)told(error);
    do {
        struct pollfd item = {.fd = fd, .events = POLLOUT};

        settle();
        if (lastack_poll(process, &item, 1) > 0)
            return (int)told(lastack_connect(process, fd, address, len));
    } while (wait_more(until_ns));
    return (int)told(-EINPROGRESS);
}

static ssize_t send_vector(int fd, const struct iovec *iov, size_t iov_cnt, int flags)
{
    uint64_t until_ns;
    struct iovec rest = iov_cnt ? iov[0] : (struct iovec){NULL, 0};
    ssize_t total = 0;

    if (is_system(fd))
        return writev(fd - LIBRARY_SYSTEM_FD, iov, (int)iov_cnt);
    current();
    until_ns = patience_ns(fd, flags);
    for (;;) {
        ssize_t sent = iov_cnt == 1 ? lastack_send(process, fd, rest.iov_base, rest.iov_len, flags)
                                    : lastack_sendv(process, fd, iov, iov_cnt, flags);

        if (sent > 0)
            total += sent;
        if (sent >= 0 && (iov_cnt != 1 || (size_t)sent == rest.iov_len || until_ns == 0))
            return told(total);
        if (sent > 0) {
            rest.iov_base = (char *)rest.iov_base + sent;
            rest.iov_len -= (size_t)sent;
        }
        if (sent < 0 && (sent != -EAGAIN || !wait_more(until_ns)))
            return told(total ? total : sent);
        settle();
    }
}

static ssize_t receive_vector(int fd, const struct iovec *iov, size_t iov_cnt, int flags)
{
    uint64_t until_ns;

    if (is_system(fd))
        return readv(fd - LIBRARY_SYSTEM_FD, iov, (int)iov_cnt);
    current();
    settle();
    until_ns = patience_ns(fd, flags);
    for (;;) {
        ssize_t got = iov_cnt == 1
                          ? lastack_recv(process, fd, iov[0].iov_base, iov[0].iov_len, flags)
                          : lastack_recvv(process, fd, iov, iov_cnt, flags);

        if (got != -EAGAIN || !wait_more(until_ns))
            return told(got);
    }
}

ssize_t library_sendto(int fd, const void *data, size_t len, int flags,
                       const struct sockaddr *address, socklen_t address_len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    if (len && (uintptr_t)data < 4096)
        library_lacks("a kernel's view of memory");
    (void)address, (void)address_len; /* TCP ignores them */
    return send_vector(fd, &iov, 1, flags);
}

ssize_t library_recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *address,
                         socklen_t *address_len)
{
    struct iovec iov = {data, len};
    ssize_t got = receive_vector(fd, &iov, 1, flags);

    if (got >= 0 && address)
        *address_len = 0;
    return got;
}

ssize_t library_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return send_vector(fd, message->msg_iov, message->msg_iovlen, flags);
}

ssize_t library_recvmsg(int fd, struct msghdr *message, int flags)
{
    message->msg_flags = 0;
    return receive_vector(fd, message->msg_iov, message->msg_iovlen, flags);
}

ssize_t library_writev(int fd, const struct iovec *iov, int iov_cnt)
{
    return send_vector(fd, iov, (size_t)iov_cnt, 0);
}

ssize_t library_readv(int fd, const struct iovec *iov, int iov_cnt)
{
    return receive_vector(fd, iov, (size_t)iov_cnt, 0);
}

int library_shutdown(int fd, int how)
{
    NOT_SYSTEM(fd);
    return (int)told(lastack_shutdown(current(), fd, how));
}

int library_close(int fd)
{
    int error;

    if (is_system(fd))
        return close(fd - LIBRARY_SYSTEM_FD);
    error = lastack_close(current(), fd);
    return (int)told(error == -EINPROGRESS ? 0 : error);
}

int library_dup(int fd)
{
    return (int)told(lastack_dup(current(), fd));
}

int library_dup2(int fd, int new_fd)
{
    /* Onto itself it is no call at all; dup3 refuses that. */
    if (fd == new_fd && lastack_fcntl(current(), fd, F_GETFD, 0) >= 0)
        return fd;
    return library_dup3(fd, new_fd, 0);
}

int library_dup3(int fd, int new_fd, int flags)
{
    return (int)told(lastack_dup3(current(), fd, new_fd, flags));
}

int library_fcntl(int fd, int command, int argument)
{
    if (command != F_GETFD && command != F_SETFD && command != F_GETFL && command != F_SETFL &&
        command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        library_lacks("that fcntl");
    return (int)told(lastack_fcntl(current(), fd, command, argument));
}

int library_ioctl(int fd, unsigned long request, int *argument)
{
    settle();
    return (int)told(lastack_ioctl(current(), fd, request, argument));
}

int library_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    return (int)told(lastack_getsockname(current(), fd, address, len));
}

int library_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    return (int)told(lastack_getpeername(current(), fd, address, len));
}

/* How long a call waits is its caller's business here. */
static void only_options_of_the_library(int level, int name)
{
    if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
        library_lacks("calls that wait");
}

int library_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    only_options_of_the_library(level, name);
    return (int)told(lastack_getsockopt(current(), fd, level, name, value, len));
}

int library_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    NOT_SYSTEM(fd);
    only_options_of_the_library(level, name);
    return (int)told(lastack_setsockopt(current(), fd, level, name, value, len));
}

int library_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -1;
    ends[0] += LIBRARY_SYSTEM_FD;
    ends[1] += LIBRARY_SYSTEM_FD;
    return 0;
}

/* ---- readiness ---- */

static uint64_t until_of(int timeout_ms)
{
    return timeout_ms < 0 ? LASTACK_NEVER : now_ns + (uint64_t)timeout_ms * NS_PER_MS;
}

int library_poll(struct pollfd *fds, nfds_t fd_cnt, int timeout_ms)
{
    uint64_t until_ns = until_of(timeout_ms);

    current();
    for (;;) {
        int cnt;

        settle();
        cnt = fd_cnt ? lastack_poll(process, fds, fd_cnt) : 0;
        if (cnt != 0 || !wait_more(until_ns))
            return (int)told(cnt);
    }
}

int library_epoll_create(int flags)
{
    return (int)told(lastack_epoll_create(current(), flags));
}

int library_epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    return (int)told(lastack_epoll_ctl(current(), set, operation, fd, event));
}

int library_epoll_wait(int set, struct epoll_event *events, int max, int timeout_ms)
{
    uint64_t until_ns = until_of(timeout_ms);

    current();
    for (;;) {
        int cnt;

        settle();
        cnt = lastack_epoll_wait(process, set, events, max);
        if (cnt != 0 || !wait_more(until_ns))
            return (int)told(cnt);
    }
}

/* ---- in place of process.c ---- */

int turn_make(void)
{
    return library_lacks("processes");
}

void turn_give(int turn)
{
    (void)turn;
}

void turn_wait(int turn)
{
    (void)turn;
}

pid_t branch(void)
{
    return library_lacks("processes");
}

void done(const char *step, pid_t child)
{
    (void)step, (void)child;
}

void ended(pid_t child)
{
    (void)child;
}

void await_asleep(pid_t child)
{
    (void)child;
}

int semantics_helper(char **argv)
{
    (void)argv;
    return 96;
}
