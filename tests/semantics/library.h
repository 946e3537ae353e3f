/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The semantics program on the library itself, in one process: included before everything
 * else in each source of cases (-include), it turns the socket calls into the library's.
 *
 * Time is virtual: a call that waits moves the clock to the stack's next deadline. Descriptors
 * of the system (pipes and the like) are numbered from LIBRARY_SYSTEM_FD on. A case that needs
 * what one process does not have (fork, exec, signals, descriptor passing) says so and ends.
 */
#ifndef SEMANTICS_LIBRARY_H
#define SEMANTICS_LIBRARY_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY_SYSTEM_FD 10000

int library_socket(int domain, int type, int protocol);
int library_bind(int fd, const struct sockaddr *address, socklen_t len);
int library_listen(int fd, int backlog);
int library_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int library_connect(int fd, const struct sockaddr *address, socklen_t len);
ssize_t library_sendto(int fd, const void *data, size_t len, int flags,
                       const struct sockaddr *address, socklen_t address_len);
ssize_t library_recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *address,
                         socklen_t *address_len);
ssize_t library_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t library_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t library_writev(int fd, const struct iovec *iov, int iov_cnt);
ssize_t library_readv(int fd, const struct iovec *iov, int iov_cnt);
int library_shutdown(int fd, int how);
int library_close(int fd);
int library_dup(int fd);
int library_dup2(int fd, int new_fd);
int library_dup3(int fd, int new_fd, int flags);
int library_fcntl(int fd, int command, int argument);
int library_ioctl(int fd, unsigned long request, int *argument);
int library_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int library_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int library_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int library_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int library_poll(struct pollfd *fds, nfds_t fd_cnt, int timeout_ms);
int library_epoll_create(int flags);
int library_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int library_epoll_wait(int set, struct epoll_event *events, int max, int timeout_ms);
int library_pipe(int ends[2]);
/* Ends the case. What else is given is only there to be used. */
int library_lacks(const char *what, ...);

#ifndef LIBRARY_CALLS_THEMSELVES
#define socket(...) library_socket(__VA_ARGS__)
#define bind(...) library_bind(__VA_ARGS__)
#define listen(...) library_listen(__VA_ARGS__)
#define accept(fd, address, len) library_accept4(fd, address, len, 0)
#define accept4(...) library_accept4(__VA_ARGS__)
#define connect(...) library_connect(__VA_ARGS__)
#define send(fd, data, len, flags) library_sendto(fd, data, len, flags, NULL, 0)
#define sendto(...) library_sendto(__VA_ARGS__)
#define write(fd, data, len) library_sendto(fd, data, len, 0, NULL, 0)
#define recv(fd, data, len, flags) library_recvfrom(fd, data, len, flags, NULL, NULL)
#define recvfrom(...) library_recvfrom(__VA_ARGS__)
#define read(...) LIBRARY_READ(__VA_ARGS__)
#define LIBRARY_READ(fd, ...) library_recvfrom(fd, LIBRARY_TWO(__VA_ARGS__), 0, NULL, NULL)
#define LIBRARY_TWO(...) __VA_ARGS__
#define sendmsg(...) library_sendmsg(__VA_ARGS__)
#define recvmsg(...) library_recvmsg(__VA_ARGS__)
#define writev(...) library_writev(__VA_ARGS__)
#define readv(...) library_readv(__VA_ARGS__)
#define shutdown(...) library_shutdown(__VA_ARGS__)
#define close(...) library_close(__VA_ARGS__)
#define dup(...) library_dup(__VA_ARGS__)
#define dup2(...) library_dup2(__VA_ARGS__)
#define dup3(...) library_dup3(__VA_ARGS__)
#define LIBRARY_FCNTL(fd, command, argument, ...) library_fcntl(fd, command, argument)
#define fcntl(...) LIBRARY_FCNTL(__VA_ARGS__, 0, 0)
#define ioctl(...) library_ioctl(__VA_ARGS__)
#define getsockname(...) library_getsockname(__VA_ARGS__)
#define getpeername(...) library_getpeername(__VA_ARGS__)
#define getsockopt(...) library_getsockopt(__VA_ARGS__)
#define setsockopt(...) library_setsockopt(__VA_ARGS__)
#define poll(...) library_poll(__VA_ARGS__)
#define epoll_create1(...) library_epoll_create(__VA_ARGS__)
#define epoll_ctl(...) library_epoll_ctl(__VA_ARGS__)
#define epoll_wait(...) library_epoll_wait(__VA_ARGS__)
#define pipe(...) library_pipe(__VA_ARGS__)
#define select(...) library_lacks("select", __VA_ARGS__)
#define sendfile(...) library_lacks("sendfile", __VA_ARGS__)
#define memfd_create(...) library_lacks("files", __VA_ARGS__)
#define splice(...) library_lacks("splice", __VA_ARGS__)
#define socketpair(...) library_lacks("pairs", __VA_ARGS__)
#define fork() library_lacks("fork")
#define posix_spawn(...) library_lacks("posix_spawn", __VA_ARGS__)
#define pthread_create(...) library_lacks("threads", __VA_ARGS__)
#define setitimer(...) library_lacks("signals", __VA_ARGS__)
#define signal(...) library_lacks("signals", __VA_ARGS__)
#define sigaction(...) library_lacks("signals", __VA_ARGS__)
#define fstat(...) library_lacks("fstat", __VA_ARGS__)
#endif

#endif
