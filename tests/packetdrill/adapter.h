/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What packetdrill expects of a stack that it loads with --so_filename, and what our own
 * runner asks of the adapter beyond that.
 *
 * The order of the members is packetdrill's binary interface. Every call takes `userdata`
 * first, returns as the system call of its name does, and sets errno.
 */
#ifndef TESTS_PACKETDRILL_ADAPTER_H
#define TESTS_PACKETDRILL_ADAPTER_H

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
    void *userdata;
    void (*free)(void *userdata);
    int (*socket)(void *userdata, int domain, int type, int protocol);
    int (*bind)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
    int (*listen)(void *userdata, int fd, int backlog);
    int (*accept)(void *userdata, int fd, struct sockaddr *address, socklen_t *len);
    int (*connect)(void *userdata, int fd, const struct sockaddr *address, socklen_t len);
    ssize_t (*read)(void *userdata, int fd, void *data, size_t len);
    ssize_t (*readv)(void *userdata, int fd, const struct iovec *iov, int iov_cnt);
    ssize_t (*recv)(void *userdata, int fd, void *data, size_t len, int flags);
    ssize_t (*recvfrom)(void *userdata, int fd, void *data, size_t len, int flags,
                        struct sockaddr *address, socklen_t *address_len);
    ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *message, int flags);
    ssize_t (*write)(void *userdata, int fd, const void *data, size_t len);
    ssize_t (*writev)(void *userdata, int fd, const struct iovec *iov, int iov_cnt);
    ssize_t (*send)(void *userdata, int fd, const void *data, size_t len, int flags);
    ssize_t (*sendto)(void *userdata, int fd, const void *data, size_t len, int flags,
                      const struct sockaddr *address, socklen_t address_len);
    ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *message, int flags);
    int (*fcntl)(void *userdata, int fd, int command, ...);
    int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
    int (*close)(void *userdata, int fd);
    int (*shutdown)(void *userdata, int fd, int how);
    int (*getsockopt)(void *userdata, int fd, int level, int name, void *value, socklen_t *len);
    int (*setsockopt)(void *userdata, int fd, int level, int name, const void *value,
                      socklen_t len);
    int (*poll)(void *userdata, struct pollfd *fds, nfds_t fd_cnt, int timeout_ms);
    /* An IP packet to the stack; 0 or -1. */
    int (*netdev_send)(void *userdata, const void *packet, size_t len);
    /* The next IP packet that the stack sent; *len is the space, then the length, 0 if
     * nothing came. *time_us: when it was sent. 0 or -1. */
    int (*netdev_receive)(void *userdata, void *packet, size_t *len, long long *time_us);
    int (*usleep)(void *userdata, useconds_t us);
    int (*gettimeofday)(void *userdata, struct timeval *now, struct timezone *zone);
    int (*epoll_create)(void *userdata, int size);
    int (*epoll_ctl)(void *userdata, int epoll_fd, int operation, int fd,
                     struct epoll_event *event);
    int (*epoll_wait)(void *userdata, int epoll_fd, struct epoll_event *events, int event_max,
                      int timeout_ms);
    int (*pipe)(void *userdata, int fds[2]);
    int (*splice)(void *userdata, int fd_in, loff_t *offset_in, int fd_out, loff_t *offset_out,
                  size_t len, unsigned flags);
};

/* The only name that packetdrill looks up. `flags`: comma-separated key=value (flags.c) or NULL. */
__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface);

/* ---- for our own runner --------------------------------------------------- */

/* Calls that wait inside the adapter now. */
unsigned adapter_waiting(void *userdata);
/* Packets that were sent and not received yet. */
unsigned adapter_pending(void *userdata);
/* The first promise that the stack broke whatever the script says; NULL if none. With this
 * asked for once, the adapter leaves it to the caller what to do about it; otherwise it prints
 * the fault and exits with status 1. */
const char *adapter_fault(void *userdata);
/* Close everything, let two hours pass without an answer from the peer, and see that nothing is
 * left in the stack. The fault of the whole run, or NULL. */
const char *adapter_finish(void *userdata);

#endif
