/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection that is over (reset, or both FINs done) leaves the kernel's tables at once, whatever
 * descriptors still lead to it: no dump shows it. It is found from the other side, by the descriptor
 * whose socket nobody lists, and asked through a copy of that descriptor. Nothing is asked that
 * changes it: SO_ERROR would take the error away from the program, so it stays where it is.
 */
#include "kernel/dead.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/address.h"
#include "kernel/diag.h"
#include "kernel/kernel.h"
#include "kernel/process.h"

#define DEAD_MAX       100000u /* unknown sockets that are looked at */
#define DEAD_AGAIN_MAX 10000u  /* and dead ones a second time, ~5 us each */
#define DEAD_APART_NS  1050000000u

int descriptor_copy(uint32_t pid, int fd)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0), copy;
    if (process < 0)
        return -errno;
    copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    if (copy < 0)
        copy = -errno;
    close(process);
    return copy;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie;
    socklen_t len = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

uint64_t kernel_descriptor_cookie(uint32_t pid, int fd)
{
    int copy = descriptor_copy(pid, fd);
    uint64_t cookie = copy < 0 ? 0 : cookie_of(copy);
    if (copy >= 0)
        close(copy);
    return cookie;
}

/* The name of its protocol costs one call and no copy: most unknown sockets are AF_UNIX. */
static bool is_tcp(uint32_t pid, int fd)
{
    char path[48], name[16];
    snprintf(path, sizeof path, "/proc/%u/fd/%d", pid, fd);
    ssize_t len = getxattr(path, "system.sockprotoname", name, sizeof name - 1);
    if (len <= 0)
        return false;
    name[len] = '\0';
    return strcmp(name, "TCP") == 0 || strcmp(name, "TCPv6") == 0;
}

static void read_name(struct scan_socket *s, const struct sockaddr_storage *name, bool local)
{
    struct lastack_address *address = local ? &s->tuple.local : &s->tuple.remote;
    uint16_t *port = local ? &s->tuple.local_port : &s->tuple.remote_port;
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)name;
        *address = address_from_ip4(ntohl(in->sin_addr.s_addr));
        *port = ntohs(in->sin_port);
    } else if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)name;
        memcpy(address->bytes, &in6->sin6_addr, sizeof address->bytes);
        *port = ntohs(in6->sin6_port);
    }
    if (local)
        s->family = (uint8_t)name->ss_family;
}

/* Its own end is still known to it; the other end is not told any more. */
static void read_names(struct scan_socket *s, int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    s->tuple.local = s->tuple.remote = address_from_ip4(0);
    if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
        read_name(s, &name, true);
    len = sizeof name;
    if (getpeername(fd, (struct sockaddr *)&name, &len) == 0)
        read_name(s, &name, false);
}

static int error_of(int fd)
{
    struct pollfd look = {.fd = fd};
    return poll(&look, 1, 0) >= 0 && !(look.revents & POLLERR) ? 0 : -1;
}

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

static uint64_t namespace_of(int fd)
{
    uint64_t cookie;
    socklen_t len = sizeof cookie;
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* False: it lives in a namespace that is not looked at. */
static bool find_space(const struct scan *scan, struct scan_socket *s, int fd)
{
    uint64_t cookie = namespace_of(fd);
    for (uint32_t i = 0; cookie && i < scan->space_cnt; i++)
        if (namespace_of(scan->spaces[i].diag) == cookie) {
            s->space = i;
            return true;
        }
    return cookie == 0; /* an older kernel does not tell */
}

/* Data that the program can still read; an end that it has not read is none. */
static uint32_t unread_of(int fd)
{
    int unread = 0;
    return ioctl(fd, SIOCINQ, &unread) == 0 && unread > 0 ? (uint32_t)unread : 0;
}

/* Through a copy of the descriptor: a connection that has been one (a socket that was just made has
 * sent and received nothing) and is none. */
static bool dead_read(struct scan_socket *s, int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_state != LINUX_CLOSE ||
        (info.tcpi_segs_out == 0 && info.tcpi_segs_in == 0))
        return false;
    diag_read_tcp(&s->tcp, &info, len);
    s->linux_state = LINUX_CLOSE;
    s->seen_ns = scan_now_ns();
    s->cookie = cookie_of(fd);
    s->error = error_of(fd);
    s->receive_len = unread_of(fd);
    read_names(s, fd);
    return s->cookie != 0;
}

static bool same_inode(int fd, uint64_t inode)
{
    struct stat look;
    return fstat(fd, &look) == 0 && look.st_ino == inode;
}

/* True: it is a dead connection, and has been added. */
static bool stranger_look(struct scan *scan, const struct scan_stranger *stranger)
{
    uint32_t pid = scan->processes[stranger->process].pid;
    struct scan_socket *s;
    bool dead = false;
    if (!is_tcp(pid, stranger->fd))
        return false;
    int fd = descriptor_copy(pid, stranger->fd);
    if (fd < 0)
        return false;
    s = same_inode(fd, stranger->inode) ? scan_socket_add(scan) : NULL;
    if (s) {
        dead = find_space(scan, s, fd) && dead_read(s, fd) &&
               scan_by_cookie(scan, s->cookie) == SCAN_NONE;
        s->inode = stranger->inode;
    }
    if (dead)
        scan_socket_enter(scan, scan->socket_cnt - 1);
    else if (s)
        scan->socket_cnt--;
    close(fd);
    return dead;
}

static void hold_add(struct scan *scan, uint32_t socket, const struct scan_stranger *stranger)
{
    struct scan_hold *hold = scan_hold_add(scan, socket, stranger->process,
                                           FACT_HOLDER_DESCRIPTOR, stranger->fd);
    if (hold)
        hold->tid = stranger->tid;
}

void dead_look(struct scan *scan)
{
    struct scan_index others = {0}; /* looked at, and not ours */
    for (uint32_t i = 0; i < scan->stranger_cnt; i++) {
        const struct scan_stranger *stranger = &scan->strangers[i];
        uint32_t socket = scan_by_inode(scan, stranger->inode);
        if (socket == SCAN_NONE && scan_index_get(&others, stranger->inode) != SCAN_NONE)
            continue;
        if (socket == SCAN_NONE && others.cnt >= DEAD_MAX) {
            scan->cut = true;
            break;
        }
        if (socket == SCAN_NONE && stranger_look(scan, stranger))
            socket = scan->socket_cnt - 1;
        if (socket != SCAN_NONE)
            hold_add(scan, socket, stranger);
        else if (!scan_index_put(&others, stranger->inode, 0))
            scan->failed = true;
    }
    scan_index_free(&others);
}

/* ---- a second later ---- */

static bool is_dead(const struct facts *f)
{
    return f->source == FACT_SOURCE_KERNEL && f->state == LASTACK_CLOSED;
}

/* One of its descriptors still leads to it, or belongs to a thread and cannot be copied. */
static bool is_still_held(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        if (h->kind != FACT_HOLDER_DESCRIPTOR || h->tid ||
            kernel_descriptor_cookie(h->pid, h->fd) == f->id)
            return true;
    }
    return false;
}

static void record_drop(struct facts_list *list, uint32_t at)
{
    struct facts *f = &list->all[at];
    facts_holders_clear(f);
    free(f->watches);
    free(f->closes);
    *f = list->all[--list->cnt];
}

void dead_again(struct facts_list *list, uint32_t first, uint64_t then_ns)
{
    uint32_t cnt = 0;
    for (uint32_t i = first; i < list->cnt; i++)
        cnt += is_dead(&list->all[i]);
    if (cnt == 0)
        return;
    scan_wait_until(then_ns + DEAD_APART_NS);
    cnt = 0;
    for (uint32_t i = first; i < list->cnt && cnt < DEAD_AGAIN_MAX;) {
        struct facts *f = &list->all[i];
        cnt += is_dead(f);
        if (is_dead(f) && !is_still_held(f)) {
            record_drop(list, i); /* the last one is here now */
            continue;
        }
        if (is_dead(f))
            f->state_us = (scan_now_ns() - then_ns) / 1000;
        i++;
    }
}
