/* SPDX-License-Identifier: BSD-2-Clause */
/* Reaching one connection of the kernel by its cookie. */
#include "kernel/end_reach.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/address.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

/* ---- a copy of a descriptor ---- */

/* The copy, if it is this socket. */
static int copy_if_same(int pidfd, int number, uint64_t cookie)
{
    uint64_t found = 0;
    socklen_t len = sizeof found;
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (fd < 0)
        return errno == EBADF ? -ENOENT : -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &found, &len) == 0 && found == cookie)
        return fd;
    close(fd);
    return -ENOENT;
}

/* Some other number of the same process that is a link to the inode. */
static int copy_of_other(int pidfd, const struct facts *f, const struct fact_holder *h)
{
    char path[64], want[48], link[64];
    int fd = -ENOENT;
    snprintf(path, sizeof path, "/proc/%u/task/%u/fd", h->pid, h->tid ? h->tid : h->pid);
    snprintf(want, sizeof want, "socket:[%llu]", (unsigned long long)f->inode);
    DIR *dir = f->inode && fact_known(f->inode) ? opendir(path) : NULL;
    for (struct dirent *e; dir && fd < 0 && (e = readdir(dir));) {
        ssize_t len = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        if (len <= 0)
            continue;
        link[len] = 0;
        if (strcmp(link, want) == 0)
            fd = copy_if_same(pidfd, atoi(e->d_name), f->id);
    }
    if (dir)
        closedir(dir);
    return fd;
}

int reach_descriptor(const struct facts *f, const struct fact_holder *h)
{
    if (h->kind != FACT_HOLDER_DESCRIPTOR || h->pid == FACT_NO_PID)
        return -ENOENT;
    bool thread = h->tid && h->tid != h->pid;
    int pidfd = (int)syscall(SYS_pidfd_open, thread ? h->tid : h->pid, thread ? PIDFD_THREAD : 0);
    if (pidfd < 0)
        return errno == ESRCH ? -ENOENT : -errno;
    int fd = h->fd >= 0 ? copy_if_same(pidfd, h->fd, f->id) : -ENOENT;
    if (fd == -ENOENT)
        fd = copy_of_other(pidfd, f, h);
    close(pidfd);
    return fd;
}

/* ---- its network namespace ---- */

/* The file at `path`, if it is this namespace. */
static int open_if_namespace(const char *path, uint64_t netns)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && st.st_ino == netns)
        return fd;
    close(fd);
    return -ENOENT;
}

/* Any process in it, or any name that `ip netns` gave it. */
static int search_namespace(const char *folder, const char *tail, uint64_t netns)
{
    char path[320];
    int fd = -ENOENT;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && fd < 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || (*tail && (e->d_name[0] < '0' || e->d_name[0] > '9')))
            continue;
        snprintf(path, sizeof path, "%s/%s%s", folder, e->d_name, tail);
        fd = open_if_namespace(path, netns);
    }
    if (dir)
        closedir(dir);
    return fd < 0 ? -ENOENT : fd;
}

static int open_namespace(const struct facts *f)
{
    char path[64];
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        snprintf(path, sizeof path, "/proc/%u/ns/net", f->holders[i].pid);
        int fd = open_if_namespace(path, f->netns);
        if (fd >= 0)
            return fd;
    }
    int fd = search_namespace("/run/netns", "", f->netns);
    return fd >= 0 ? fd : search_namespace("/proc", "/ns/net", f->netns);
}

static int open_diag(void)
{
    const struct timeval timeout = {.tv_sec = 5};
    int net = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (net < 0)
        return -errno;
    setsockopt(net, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return net;
}

struct visit {
    int namespace, result;
};

/* setns() moves one thread, so a thread of its own goes there and has no way back to find. */
static void *visit_namespace(void *arg)
{
    struct visit *visit = arg;
    visit->result = setns(visit->namespace, CLONE_NEWNET) < 0 ? -errno : open_diag();
    return NULL;
}

int reach_namespace(const struct facts *f)
{
    struct stat here;
    struct visit visit = {.result = -ENOENT};
    pthread_t thread;
    if (f->netns == 0 || !fact_known(f->netns) || stat("/proc/thread-self/ns/net", &here) < 0 ||
        here.st_ino == f->netns)
        return open_diag();
    visit.namespace = open_namespace(f);
    if (visit.namespace < 0)
        return visit.namespace;
    int error = pthread_create(&thread, NULL, visit_namespace, &visit);
    if (!error)
        pthread_join(thread, NULL);
    close(visit.namespace);
    return error ? -error : visit.result;
}

/* ---- sock_diag ---- */

struct request {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static enum lastack_state state_of_kernel(uint8_t state)
{
    static const enum lastack_state states[] = {
        [1] = LASTACK_ESTABLISHED, [2] = LASTACK_SYN_SENT,   [3] = LASTACK_SYN_RCVD,
        [4] = LASTACK_FIN_WAIT_1,  [5] = LASTACK_FIN_WAIT_2, [6] = LASTACK_TIME_WAIT,
        [7] = LASTACK_CLOSED,      [8] = LASTACK_CLOSE_WAIT, [9] = LASTACK_LAST_ACK,
        [10] = LASTACK_LISTEN,     [11] = LASTACK_CLOSING,   [12] = LASTACK_SYN_RCVD,
    };
    return state < sizeof states / sizeof states[0] ? states[state] : LASTACK_CLOSED;
}

static uint64_t cookie_of(const struct inet_diag_sockid *id)
{
    return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

static void request_init(struct request *r, uint16_t type, uint16_t flags, const struct facts *f)
{
    const bool v4 = address_is_ip4(&f->tuple.remote);
    const size_t skip = v4 ? 12 : 0;
    memset(r, 0, sizeof *r);
    r->head = (struct nlmsghdr){.nlmsg_len = sizeof *r,
                                .nlmsg_type = type,
                                .nlmsg_flags = NLM_F_REQUEST | flags,
                                .nlmsg_seq = 1};
    r->body.sdiag_family = v4 ? AF_INET : AF_INET6;
    r->body.sdiag_protocol = IPPROTO_TCP;
    r->body.idiag_states = ~0u;
    r->body.id.idiag_sport = htons(f->tuple.local_port);
    r->body.id.idiag_dport = htons(f->tuple.remote_port);
    memcpy(r->body.id.idiag_src, f->tuple.local.bytes + skip, 16 - skip);
    memcpy(r->body.id.idiag_dst, f->tuple.remote.bytes + skip, 16 - skip);
    r->body.id.idiag_cookie[0] = r->body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

static int send_request(int net, const struct request *r)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t len = sendto(net, r, r->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
    return len < 0 ? -errno : 0;
}

static void entry_fill(struct reach_entry *entry, const struct inet_diag_msg *m)
{
    entry->id = m->id;
    entry->family = m->idiag_family;
    entry->state = state_of_kernel(m->idiag_state);
    entry->send_queue = m->idiag_wqueue;
    entry->inode = m->idiag_inode;
}

/* Is this message about our connection? By its cookie; or it is the small entry that stays where the
 * connection went on to TIME_WAIT (or FIN_WAIT_2 of an orphan), which has a cookie of its own. */
static bool is_ours(const struct facts *f, const struct inet_diag_msg *m)
{
    enum lastack_state state = state_of_kernel(m->idiag_state);
    bool remains = (state == LASTACK_TIME_WAIT || state == LASTACK_FIN_WAIT_2) && !m->idiag_inode;
    bool same_ports = m->id.idiag_sport == htons(f->tuple.local_port) &&
                      m->id.idiag_dport == htons(f->tuple.remote_port);
    return cookie_of(&m->id) == f->id || (same_ports && (remains || f->id == 0));
}

/* 1: nothing more will come that matters, with what was found in *found. */
static int take_answer(const struct nlmsghdr *h, const struct facts *f, struct reach_entry *entry,
                       bool *found)
{
    if (h->nlmsg_type == NLMSG_DONE)
        return 1;
    if (h->nlmsg_type == NLMSG_ERROR) {
        int error = ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
        *found = error == 0;
        return error ? error : 1;
    }
    if (!*found && is_ours(f, NLMSG_DATA(h))) {
        *found = true;
        entry_fill(entry, NLMSG_DATA(h));
    }
    return h->nlmsg_flags & NLM_F_MULTI ? 0 : 1;
}

/* 0: found, or done; -ENOENT: not there. */
static int read_answers(int net, const struct facts *f, struct reach_entry *entry)
{
    _Alignas(struct nlmsghdr) char bytes[32768];
    bool found = false;
    int over = 0;
    while (over == 0) {
        ssize_t got = recv(net, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : -EIO;
        unsigned len = (unsigned)got;
        for (struct nlmsghdr *h = (struct nlmsghdr *)bytes; over == 0 && NLMSG_OK(h, len);
             h = NLMSG_NEXT(h, len))
            over = take_answer(h, f, entry, &found);
    }
    return over < 0 ? over : found ? 0 : -ENOENT;
}

int reach_look(int net, const struct facts *f, struct reach_entry *entry, bool *by_address)
{
    struct request r;
    request_init(&r, SOCK_DIAG_BY_FAMILY, 0, f);
    int result = send_request(net, &r);
    if (result == 0)
        result = read_answers(net, f, entry);
    if (result != -ENOENT || *by_address) {
        *by_address = *by_address || result == 0;
        return result;
    }
    /* A socket that is bound to an interface is not found by its addresses alone. */
    static const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < sizeof families && result == -ENOENT; i++) {
        request_init(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, f);
        r.body.sdiag_family = families[i];
        result = send_request(net, &r);
        if (result == 0)
            result = read_answers(net, f, entry);
    }
    return result;
}

int reach_destroy(int net, const struct reach_entry *entry)
{
    struct facts nobody;
    struct request r;
    struct reach_entry unused;
    facts_init(&nobody);
    request_init(&r, SOCK_DESTROY, NLM_F_ACK, &nobody);
    r.body.sdiag_family = entry->family;
    r.body.id = entry->id;
    int result = send_request(net, &r);
    return result ? result : read_answers(net, &nobody, &unused);
}
