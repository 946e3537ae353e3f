/* SPDX-License-Identifier: BSD-2-Clause */
/* Does an AF_UNIX socket still exist? Asked of the kernel by inode (sock_diag). */
#include "run/diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1, 0, or -1. */
static int ask(int netlink, uint32_t inode)
{
    struct {
        struct nlmsghdr head;
        struct unix_diag_req body;
    } request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = AF_UNIX,
                 .udiag_states = UINT32_MAX,
                 .udiag_ino = inode,
                 .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    union {
        struct nlmsghdr head;
        char bytes[1024];
    } reply;
    const struct nlmsgerr *error = NLMSG_DATA(&reply.head);

    if (send(netlink, &request, sizeof request, 0) < 0 ||
        recv(netlink, &reply, sizeof reply, 0) < (ssize_t)sizeof reply.head)
        return -1;
    if (reply.head.nlmsg_type == SOCK_DIAG_BY_FAMILY)
        return 1;
    return reply.head.nlmsg_type == NLMSG_ERROR && error->error == -ENOENT ? 0 : -1;
}

/* "No such socket" and "no unix_diag here" are the same error, so ask first about one that exists. */
static void diag_open(int *diag)
{
    int pair[2];
    struct stat st;

    *diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (*diag < 0) {
        *diag = DIAG_NONE;
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    if (fstat(pair[0], &st) != 0 || ask(*diag, (uint32_t)st.st_ino) != 1) {
        close(*diag);
        *diag = DIAG_NONE;
    }
    close(pair[0]);
    close(pair[1]);
}

int diag_unix_exists(int *diag, uint32_t inode)
{
    if (*diag == DIAG_UNOPENED)
        diag_open(diag);
    return *diag < 0 ? -1 : ask(*diag, inode);
}
