/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look into the queue of an AF_UNIX socket, through a copy of its descriptor. MSG_PEEK leaves the
 * message and gives us copies of what it carries, which we close at once; a socket with SO_PEEK_OFF is
 * left alone, because peeking would move its mark.
 */
#include "kernel/message.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/dead.h"

#define PEEK_LEN 16384
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

static uint32_t copies_take(const struct cmsghdr *c, uint64_t *inodes, uint32_t cnt)
{
    size_t fd_cnt = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < fd_cnt; i++) {
        struct stat look;
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (cnt < MESSAGE_INODE_MAX) {
            bool socket = fstat(fd, &look) == 0 && S_ISSOCK(look.st_mode);
            inodes[cnt++] = socket ? look.st_ino : 0;
        }
        close(fd);
    }
    return cnt;
}

static uint32_t queue_peek(int fd, uint64_t *inodes)
{
    char data[PEEK_LEN]; /* of no interest */
    union {
        char bytes[CMSG_SPACE(MESSAGE_INODE_MAX * sizeof(int)) + 256];
        struct cmsghdr align;
    } control;
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    uint32_t cnt = 0;
    if (recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == SOL_SOCKET &&
            (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD))
            cnt = copies_take(c, inodes, cnt);
    return cnt;
}

uint32_t message_peek(uint32_t pid, int fd, uint64_t inode, uint64_t inodes[MESSAGE_INODE_MAX])
{
    struct stat look;
    int domain = 0, mark = -1;
    socklen_t len = sizeof domain;
    uint32_t cnt = 0;
    int copy = descriptor_copy(pid, fd);
    if (copy < 0)
        return 0;
    bool same = fstat(copy, &look) == 0 && look.st_ino == inode &&
                getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
    len = sizeof mark;
    if (same && getsockopt(copy, SOL_SOCKET, SO_PEEK_OFF, &mark, &len) == 0 && mark < 0)
        cnt = queue_peek(copy, inodes);
    close(copy);
    return cnt;
}
