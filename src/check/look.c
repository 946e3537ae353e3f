/* SPDX-License-Identifier: BSD-2-Clause */
/* pidfd_getfd, a handful of getsockopt, one question to the sock_diag of its namespace. */
#include "check/look.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif
#define MILLISECOND_US 1000u

/* ---- namespaces ---- */

static uint64_t net_of(int fd)
{
    uint64_t cookie;
    socklen_t len = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static int diag_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

static bool enter_net_of(int fd)
{
    int net = ioctl(fd, SIOCGSKNS);
    bool good = net >= 0 && setns(net, CLONE_NEWNET) == 0;
    if (net >= 0)
        close(net);
    return good;
}

/* A process of its own goes there, as there is no way back; it shares our descriptors. Without
 * privileges it may go where the program made a user namespace of its own. */
static int diag_open_beside(int fd, int pidfd)
{
    int tell[2], netlink = -1;
    if (pipe2(tell, O_CLOEXEC) != 0)
        return -1;
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        bool there = enter_net_of(fd) || (setns(pidfd, CLONE_NEWUSER) == 0 && enter_net_of(fd));
        netlink = there ? diag_open() : -1;
        _exit(write(tell[1], &netlink, sizeof netlink) != (ssize_t)sizeof netlink);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    close(tell[1]);
    if (read(tell[0], &netlink, sizeof netlink) != (ssize_t)sizeof netlink)
        netlink = -1;
    close(tell[0]);
    return netlink;
}

/* `fd`, a socket of namespace `net`, and `pidfd`, its process, help to go there; -1: neither. */
static int netlink_for(struct looker *looker, uint64_t net, int fd, int pidfd)
{
    if (looker->cnt == 0) {
        int home = diag_open();
        looker->all[looker->cnt++] = (struct looker_net){home < 0 ? 0 : net_of(home), home};
    }
    for (unsigned i = 0; i < looker->cnt; i++)
        if (looker->all[i].cookie == net)
            return looker->all[i].netlink;
    if (fd < 0 || looker->cnt == LOOKER_NET_MAX)
        return -1;
    struct looker_net *met = &looker->all[looker->cnt++];
    *met = (struct looker_net){net, diag_open_beside(fd, pidfd)};
    return met->netlink;
}

void looker_close(struct looker *looker)
{
    for (unsigned i = 0; i < looker->cnt; i++)
        if (looker->all[i].netlink >= 0)
            close(looker->all[i].netlink);
    looker->cnt = 0;
}

/* ---- the question to sock_diag ---- */

struct answer {
    struct inet_diag_msg msg;
    struct tcp_info info; /* if it was asked for */
};

static bool is_ip4(const struct lastack_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->bytes, mapped, sizeof mapped) == 0;
}

static void put_address(uint32_t to[4], const struct lastack_address *a, bool ip4)
{
    memcpy(to, ip4 ? a->bytes + 12 : a->bytes, ip4 ? 4 : 16);
}

static int diag_send(int netlink, const struct look *look, bool info, uint32_t sequence)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } request = {
        .head = {sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence, 0},
        .ask = {.sdiag_protocol = IPPROTO_TCP,
                .idiag_ext = info ? 1 << (INET_DIAG_INFO - 1) : 0,
                .idiag_states = ~0u},
    };
    bool ip4 = is_ip4(&look->tuple.local) && is_ip4(&look->tuple.remote);
    request.ask.sdiag_family = ip4 ? AF_INET : AF_INET6;
    request.ask.id.idiag_sport = htons(look->tuple.local_port);
    request.ask.id.idiag_dport = htons(look->tuple.remote_port);
    put_address(request.ask.id.idiag_src, &look->tuple.local, ip4);
    put_address(request.ask.id.idiag_dst, &look->tuple.remote, ip4);
    request.ask.id.idiag_cookie[0] = (uint32_t)look->cookie;
    request.ask.id.idiag_cookie[1] = (uint32_t)(look->cookie >> 32);
    return send(netlink, &request, sizeof request, 0) < 0 ? -EIO : 0;
}

static void take_answer(struct answer *out, struct nlmsghdr *head)
{
    struct inet_diag_msg *msg = NLMSG_DATA(head);
    int left = (int)(head->nlmsg_len - NLMSG_LENGTH(sizeof *msg));
    memset(out, 0, sizeof *out);
    memcpy(&out->msg, msg, sizeof out->msg);
    for (struct rtattr *a = (struct rtattr *)(msg + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == INET_DIAG_INFO) {
            size_t len = RTA_PAYLOAD(a);
            memcpy(&out->info, RTA_DATA(a), len < sizeof out->info ? len : sizeof out->info);
        }
}

/* 0 and `out` filled; -ENOENT: there is no such connection; another -errno. */
static int diag_ask(int netlink, const struct look *look, bool info, struct answer *out)
{
    static uint32_t sequence;
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } reply;
    if (netlink < 0 || diag_send(netlink, look, info, ++sequence) < 0)
        return -EIO;
    for (;;) {
        ssize_t len = recv(netlink, &reply, sizeof reply, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < (ssize_t)sizeof reply.head)
            return -EIO;
        if (reply.head.nlmsg_seq != sequence)
            continue;
        if (reply.head.nlmsg_type == NLMSG_ERROR)
            return ((struct nlmsgerr *)NLMSG_DATA(&reply.head))->error;
        if (reply.head.nlmsg_len < NLMSG_LENGTH(sizeof out->msg))
            return -EIO;
        take_answer(out, &reply.head);
        return 0;
    }
}

static enum held held_of(int result, const struct answer *found)
{
    if (result == -ENOENT || result == -ESTALE)
        return HELD_NOT;
    if (result < 0)
        return HELD_UNKNOWN;
    return found->msg.idiag_inode ? HELD_YES : HELD_NOT;
}

enum held look_held(struct looker *looker, const struct look *look)
{
    struct answer found;
    if (!look->has_tuple || look->state == LASTACK_CLOSED || !look->asked)
        return HELD_UNKNOWN;
    return held_of(diag_ask(netlink_for(looker, look->net, -1, -1), look, false, &found), &found);
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

static void take_info(struct look *look, const struct tcp_info *info)
{
    look->state = state_of(info->tcpi_state);
    look->data_in_us = info->tcpi_bytes_received
                           ? (uint64_t)info->tcpi_last_data_recv * MILLISECOND_US
                           : FACT_NEVER;
    look->data_out_us =
        info->tcpi_bytes_sent ? (uint64_t)info->tcpi_last_data_sent * MILLISECOND_US : FACT_NEVER;
    look->ack_in_us = (uint64_t)info->tcpi_last_ack_recv * MILLISECOND_US;
    look->bytes_in = info->tcpi_bytes_received;
    look->bytes_out = info->tcpi_bytes_sent;
    look->retransmits = info->tcpi_retransmits;
    look->connecting = look->state == LASTACK_SYN_SENT || look->state == LASTACK_SYN_RCVD;
    /* The answer to a SYN acknowledges one byte; so a refused connect() stays without. */
    look->met = look->state == LASTACK_CLOSED ? info->tcpi_bytes_acked || info->tcpi_bytes_received
                                              : !look->connecting && look->state != LASTACK_LISTEN;
}

static void take_queues(struct look *look, const struct answer *found)
{
    look->asked = true;
    look->unread = found->msg.idiag_rqueue;
    look->send_queue = found->msg.idiag_wqueue;
}

/* Without sock_diag: if nothing is left to read, whether the FIN was read cannot be told. */
static void take_unread(struct look *look, int fd)
{
    int len = 0;
    bool ended = look->state == LASTACK_CLOSE_WAIT || look->state == LASTACK_LAST_ACK ||
                 look->state == LASTACK_CLOSING;
    if (ioctl(fd, SIOCINQ, &len) == 0 && len > 0)
        look->unread = (uint64_t)len + ended;
}

static void look_at_copy(struct looker *looker, int pidfd, int fd, struct look *look)
{
    struct tcp_info info = {0};
    struct answer found;
    socklen_t len = sizeof look->cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &look->cookie, &len);
    look->net = net_of(fd);
    len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        take_info(look, &info);
    take_tuple(look, fd);
    if (!looker || !look->has_tuple)
        return;
    if (diag_ask(netlink_for(looker, look->net, fd, pidfd), look, false, &found) == 0)
        take_queues(look, &found);
    else
        take_unread(look, fd);
}

int look_at(struct looker *looker, int pidfd, int fd, struct look *look)
{
    int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    memset(look, 0, sizeof *look);
    look->unread = look->send_queue = FACT_UNKNOWN;
    if (copy < 0)
        return -errno;
    look->tcp = is_tcp(copy);
    if (look->tcp)
        look_at_copy(looker, pidfd, copy, look);
    close(copy);
    return 0;
}

enum held look_without(struct looker *looker, struct look *look)
{
    struct answer found;
    int netlink = netlink_for(looker, look->net, -1, -1);
    enum held held = held_of(diag_ask(netlink, look, true, &found), &found);
    if (held == HELD_YES) {
        look->tcp = true;
        take_info(look, &found.info);
        take_queues(look, &found);
    }
    return held;
}

bool look_has_messages(uint32_t tid, int fd)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", tid, fd);
    int info = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = info < 0 ? -1 : read(info, text, sizeof text - 1);
    if (info >= 0)
        close(info);
    text[len > 0 ? len : 0] = 0;
    const char *line = strstr(text, "scm_fds:");
    return line && strtoul(line + strlen("scm_fds:"), NULL, 10) > 0;
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

int look_closing(uint32_t tid)
{
    char path[48];
    long call;
    unsigned long fd;
    snprintf(path, sizeof path, "/proc/%u/syscall", tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    bool closing = fscanf(file, "%ld %lx", &call, &fd) == 2 && call == SYS_close;
    fclose(file);
    return closing ? (int)fd : -1;
}
