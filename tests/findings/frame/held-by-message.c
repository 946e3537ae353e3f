/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

static int send_fd(int worker, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec byte = {"", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    return (int)sendmsg(worker, &message, 0);
}

static inline int worker_alive(int worker)
{
    return worker >= 0;
}

static int take_fd(int from)
{
    char room[CMSG_SPACE(sizeof(int))], byte;
    struct iovec io = {&byte, 1};
    struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room,
                             .msg_controllen = sizeof room};
    check(recvmsg(from, &message, 0) == 1, "recvmsg");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

int main(void)
{
    int pair[2], listener = bind_here(4);
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    if (spawn() == 0) {
        close(pair[1]);
#ifdef REPAIRED
        int got = take_fd(pair[0]);
        wait_end(got);
        close(got);
#endif
        (void)take_fd;
        rest();
    }
    close(pair[0]);
    int worker = pair[1];
    client_was_here();
    int fd = accept(listener, NULL, NULL);
    /* PAGE */
    ready();
    rest();
}
