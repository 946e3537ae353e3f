/* SPDX-License-Identifier: BSD-2-Clause */
/* pidfd_getfd, a handful of getsockopt, one question to sock_diag. */
#include "check/look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define MILLISECOND_US 1000u

/* ---- the question to sock_diag ---- */

void looker_open(struct looker *looker)
{
    looker->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

void looker_close(struct looker *looker)
{
    if (looker->netlink >= 0)
        close(looker->netlink);
    looker->netlink = -1;
}

static bool is_ip4(const struct lastack_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->bytes, mapped, sizeof mapped) == 0;
}

static void put_address(uint32_t to[4], const struct lastack_address *a, bool ip4)
{
    memcpy(to, ip4 ? a->bytes + 12 : a->bytes, ip4 ? 4 : 16);
}

/* 0 and `out` filled; -ENOENT: there is no such connection; another -errno. */
static int diag_ask(struct looker *looker, const struct look *look, struct inet_diag_msg *out)
{
    static uint32_t sequence;
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } request = {
        .head = {sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, ++sequence, 0},
        .ask = {.sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u},
    };
    bool ip4 = is_ip4(&look->tuple.local) && is_ip4(&look->tuple.remote);
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } reply;
    request.ask.sdiag_family = ip4 ? AF_INET : AF_INET6;
    request.ask.id.idiag_sport = htons(look->tuple.local_port);
    request.ask.id.idiag_dport = htons(look->tuple.remote_port);
    put_address(request.ask.id.idiag_src, &look->tuple.local, ip4);
    put_address(request.ask.id.idiag_dst, &look->tuple.remote, ip4);
    request.ask.id.idiag_cookie[0] = (uint32_t)look->cookie;
    request.ask.id.idiag_cookie[1] = (uint32_t)(look->cookie >> 32);
    if (looker->netlink < 0 || send(looker->netlink, &request, sizeof request, 0) < 0)
        return -EIO;
    for (;;) {
        ssize_t len = recv(looker->netlink, &reply, sizeof reply, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < (ssize_t)sizeof reply.head)
            return -EIO;
        if (reply.head.nlmsg_seq != sequence)
            continue;
        if (reply.head.nlmsg_type == NLMSG_ERROR)
            return ((struct nlmsgerr *)NLMSG_DATA(&reply.head))->error;
        if (reply.head.nlmsg_len < NLMSG_LENGTH(sizeof *out))
            return -EIO;
        memcpy(out, NLMSG_DATA(&reply.head), sizeof *out);
        return 0;
    }
}

enum held look_held(struct looker *looker, const struct look *look)
{
    struct inet_diag_msg found;
    if (!look->has_tuple || look->state == LASTACK_CLOSED || look->unread == FACT_UNKNOWN)
        return HELD_UNKNOWN;
    int result = diag_ask(looker, look, &found);
    if (result == -ENOENT || result == -ESTALE)
        return HELD_NOT;
    if (result < 0)
        return HELD_UNKNOWN;
    return found.idiag_inode ? HELD_YES : HELD_NOT;
}

/* ---- the descriptor ---- */

int look_pidfd(uint32_t pid, uint32_t tid)
{
    int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
    if (fd < 0)
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

static bool take_address(struct lastack_address *address, uint16_t *port,
                         const struct sockaddr_storage *from)
{
    static const struct lastack_address mapped = {{[10] = 0xff, [11] = 0xff}};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        *address = mapped;
        memcpy(address->bytes + 12, &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        memcpy(address->bytes, &in6->sin6_addr, 16);
        *port = ntohs(in6->sin6_port);
    }
    return from->ss_family == AF_INET || from->ss_family == AF_INET6;
}

static void take_tuple(struct look *look, int fd)
{
    struct sockaddr_storage local = {0}, remote = {0};
    socklen_t local_len = sizeof local, remote_len = sizeof remote;
    if (getsockname(fd, (struct sockaddr *)&local, &local_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&remote, &remote_len) != 0)
        return;
    look->has_tuple = take_address(&look->tuple.local, &look->tuple.local_port, &local) &&
                      take_address(&look->tuple.remote, &look->tuple.remote_port, &remote);
}

static enum lastack_state state_of(uint8_t kernel)
{
    static const enum lastack_state states[] = {
        [1] = LASTACK_ESTABLISHED, [2] = LASTACK_SYN_SENT,   [3] = LASTACK_SYN_RCVD,
        [4] = LASTACK_FIN_WAIT_1,  [5] = LASTACK_FIN_WAIT_2, [6] = LASTACK_TIME_WAIT,
        [7] = LASTACK_CLOSED,      [8] = LASTACK_CLOSE_WAIT, [9] = LASTACK_LAST_ACK,
        [10] = LASTACK_LISTEN,     [11] = LASTACK_CLOSING,   [12] = LASTACK_SYN_RCVD,
    };
    return kernel && kernel < sizeof states / sizeof states[0] ? states[kernel] : LASTACK_CLOSED;
}

static bool is_tcp(int fd)
{
    int family = 0, protocol = 0;
    socklen_t len = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0 ||
        (family != AF_INET && family != AF_INET6))
        return false;
    len = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

static void take_info(struct look *look, int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return;
    look->state = state_of(info.tcpi_state);
    look->data_in_us =
        info.tcpi_bytes_received ? (uint64_t)info.tcpi_last_data_recv * MILLISECOND_US : FACT_NEVER;
    look->data_out_us =
        info.tcpi_bytes_sent ? (uint64_t)info.tcpi_last_data_sent * MILLISECOND_US : FACT_NEVER;
    look->ack_in_us = (uint64_t)info.tcpi_last_ack_recv * MILLISECOND_US;
    look->bytes_in = info.tcpi_bytes_received;
    look->bytes_out = info.tcpi_bytes_sent;
    look->retransmits = info.tcpi_retransmits;
    look->connecting = look->state == LASTACK_SYN_SENT || look->state == LASTACK_SYN_RCVD;
    /* The answer to a SYN acknowledges one byte; so a refused connect() stays without. */
    look->met = look->state == LASTACK_CLOSED ? info.tcpi_bytes_acked || info.tcpi_bytes_received
                                              : !look->connecting && look->state != LASTACK_LISTEN;
}

int look_at(struct looker *looker, int pidfd, int fd, struct look *look)
{
    struct inet_diag_msg found;
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    socklen_t len = sizeof look->cookie;
    memset(look, 0, sizeof *look);
    look->unread = look->send_queue = FACT_UNKNOWN;
    if (copy < 0)
        return -errno;
    look->tcp = is_tcp(copy);
    if (look->tcp) {
        getsockopt(copy, SOL_SOCKET, SO_COOKIE, &look->cookie, &len);
        take_info(look, copy);
        take_tuple(look, copy);
    }
    close(copy);
    if (looker && look->has_tuple && diag_ask(looker, look, &found) == 0) {
        look->unread = found.idiag_rqueue;
        look->send_queue = found.idiag_wqueue;
    }
    return 0;
}

uint64_t look_inode(uint32_t tid, int fd)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%u/fd/%d", tid, fd);
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return 0;
    target[len] = 0;
    return strncmp(target, "socket:[", 8) == 0 ? strtoull(target + 8, NULL, 10) : 0;
}
