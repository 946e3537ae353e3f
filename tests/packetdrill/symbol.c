/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of constants that scripts use, all of them known to packetdrill itself too. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "script.h"

#define NAME(constant)                                                                             \
    {                                                                                              \
        #constant, constant                                                                        \
    }

static const struct {
    const char *name;
    int64_t value;
} constants[] = {
    NAME(AF_INET), NAME(AF_INET6), NAME(AF_UNSPEC), NAME(PF_INET), NAME(SOCK_STREAM),
    NAME(SOCK_DGRAM), NAME(IPPROTO_IP), NAME(IPPROTO_TCP), NAME(IPPROTO_UDP), NAME(SHUT_RD),
    NAME(SHUT_WR), NAME(SHUT_RDWR), NAME(SOL_SOCKET), NAME(SOL_IP), NAME(SOL_TCP),
    NAME(SO_ACCEPTCONN), NAME(SO_BROADCAST), NAME(SO_ERROR), NAME(SO_KEEPALIVE), NAME(SO_LINGER),
    NAME(SO_RCVBUF), NAME(SO_RCVLOWAT), NAME(SO_REUSEADDR), NAME(SO_REUSEPORT), NAME(SO_SNDBUF),
    NAME(SO_TYPE), NAME(SO_RCVTIMEO), NAME(SO_SNDTIMEO), NAME(SO_OOBINLINE), NAME(SO_PRIORITY),
    NAME(SO_MARK), NAME(IP_TOS), NAME(IP_TTL), NAME(IP_MTU), NAME(TCP_NODELAY), NAME(TCP_MAXSEG),
    NAME(TCP_CORK), NAME(TCP_KEEPIDLE), NAME(TCP_KEEPINTVL), NAME(TCP_KEEPCNT), NAME(TCP_SYNCNT),
    NAME(TCP_LINGER2), NAME(TCP_DEFER_ACCEPT), NAME(TCP_QUICKACK), NAME(TCP_USER_TIMEOUT),
    NAME(TCP_CONGESTION), NAME(TCP_FASTOPEN), NAME(TCP_NOTSENT_LOWAT), NAME(O_RDONLY),
    NAME(O_WRONLY), NAME(O_RDWR), NAME(O_NONBLOCK), NAME(F_GETFL), NAME(F_SETFL), NAME(F_GETFD),
    NAME(F_SETFD), NAME(FD_CLOEXEC), NAME(MSG_DONTWAIT), NAME(MSG_MORE), NAME(MSG_NOSIGNAL),
    NAME(MSG_OOB), NAME(MSG_PEEK), NAME(MSG_TRUNC), NAME(MSG_WAITALL), NAME(SIOCINQ),
    NAME(FIONREAD), NAME(POLLIN), NAME(POLLPRI), NAME(POLLOUT), NAME(POLLRDHUP), NAME(POLLERR),
    NAME(POLLHUP), NAME(POLLNVAL), NAME(POLLRDNORM), NAME(POLLWRNORM), NAME(EPOLLIN),
    NAME(EPOLLPRI), NAME(EPOLLOUT), NAME(EPOLLERR), NAME(EPOLLHUP), NAME(EPOLLRDHUP),
    NAME(EPOLLONESHOT), NAME(EPOLLET), NAME(EPOLLEXCLUSIVE), NAME(EPOLL_CTL_ADD),
    NAME(EPOLL_CTL_DEL), NAME(EPOLL_CTL_MOD), NAME(EACCES), NAME(EADDRINUSE),
    NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT), NAME(EAGAIN), NAME(EALREADY), NAME(EBADF),
    NAME(ECONNABORTED), NAME(ECONNREFUSED), NAME(ECONNRESET), NAME(EDESTADDRREQ), NAME(EFAULT),
    NAME(EHOSTDOWN), NAME(EHOSTUNREACH), NAME(EINPROGRESS), NAME(EINTR), NAME(EINVAL),
    NAME(EISCONN), NAME(EMFILE), NAME(EMSGSIZE), NAME(ENETDOWN), NAME(ENETUNREACH), NAME(ENFILE),
    NAME(ENOBUFS), NAME(ENOENT), NAME(ENOMEM), NAME(ENOPROTOOPT), NAME(ENOSYS), NAME(ENOTCONN),
    NAME(ENOTSOCK), NAME(ENOTTY), NAME(EOPNOTSUPP), NAME(EPERM), NAME(EPIPE), NAME(EEXIST),
    NAME(EPROTO), NAME(EPROTONOSUPPORT), NAME(ESOCKTNOSUPPORT), NAME(ETIMEDOUT), NAME(ESHUTDOWN),
};

bool symbol_value(const char *name, int64_t *value)
{
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
        if (!strcmp(constants[i].name, name)) {
            *value = constants[i].value;
            return true;
        }
    return false;
}

const char *symbol_errno(int error)
{
    const char *found = "?";

    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
        if (constants[i].name[0] == 'E' && strncmp(constants[i].name, "EPOLL", 5) &&
            constants[i].value == error)
            found = constants[i].name;
    return found;
}
