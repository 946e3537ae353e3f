/* SPDX-License-Identifier: BSD-2-Clause */
/* An interpreter for socket calls: a byte says which, the next say with what. Results are free,
 * but a success must be possible and an error must be one of Linux's. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "world.h"

#define IO_MAX 20000u

static uint8_t buffer[IO_MAX];

static lastack_process *proc_choose(struct fuzz *f, uint8_t choice)
{
    int i = choice % PROC_CNT;
    if (!f->proc[i])
        f->proc[i] = lastack_process_create(f->stack, f->next_pid++, "again");
    return f->proc[i];
}

static int fd_choose(struct fuzz *f)
{
    return (int)(take_u8(&f->in) % 18) - 1; /* now and then one that cannot be */
}

static struct sockaddr_in address_choose(struct fuzz *f)
{
    static const uint32_t addresses[] = {HERE, 0x7f000001, THERE, 0, THERE + 1, 0xe0000001,
                                         0xffffffff, 0x08080808};
    static const uint16_t ports[] = {PORT_LISTEN, PORT_LISTEN + 1, PORT_PEER, 0, 4000, 65535};
    uint8_t choice = take_u8(&f->in);
    return (struct sockaddr_in){
        .sin_family = choice == 255 ? AF_UNIX : AF_INET,
        .sin_addr.s_addr = htonl(addresses[choice % 8]),
        .sin_port = htons(ports[choice / 8 % 6]),
    };
}

static void check_result(long result)
{
    REQUIRE(result >= 0 || (result > -4096 && result != -ENOSYS));
}

static size_t len_choose(struct fuzz *f)
{
    size_t len = take_u8(&f->in);
    return len < 128 ? len : len * 150 < IO_MAX ? len * 150 : IO_MAX;
}

static void call_names(struct fuzz *f, lastack_process *p, int fd)
{
    struct sockaddr_in address = address_choose(f);
    socklen_t len = take_u8(&f->in) % 4 ? sizeof address : take_u8(&f->in) % 40;
    if (len > sizeof address)
        len = sizeof address;
    struct sockaddr *a = (struct sockaddr *)&address;
    switch (take_u8(&f->in) % 5) {
    case 0:
        check_result(lastack_bind(p, fd, a, len));
        break;
    case 1:
        check_result(lastack_connect(p, fd, a, len));
        break;
    case 2:
        check_result(lastack_getsockname(p, fd, a, &len));
        break;
    case 3:
        check_result(lastack_getpeername(p, fd, a, &len));
        break;
    default:
        check_result(lastack_accept(p, fd, a, &len, take_u8(&f->in) & 1 ? SOCK_CLOEXEC : 0));
        break;
    }
}

static void call_send(struct fuzz *f, lastack_process *p, int fd)
{
    size_t len = len_choose(f), cnt = 3;
    uint8_t how = take_u8(&f->in);
    struct iovec iov[3] = {{buffer, len / 3}, {NULL, 0}, {buffer + len / 3, len - len / 3}};
    memset(buffer, 'y', len);
    if (how % 4 == 0) {
        ssize_t room = lastack_reserve(p, fd, iov, &cnt);
        check_result(room);
        if (room > 0 && cnt && cnt <= 3)
            check_result(lastack_commit(p, fd, iov[0].iov_len < len ? iov[0].iov_len : len));
        else
            check_result(lastack_commit(p, fd, len));
        return;
    }
    int flags = MSG_NOSIGNAL | (how & 8 ? MSG_MORE : 0) | (how & 16 ? MSG_DONTWAIT : 0) |
                (how == 255 ? MSG_OOB : 0);
    ssize_t took = how & 4 ? lastack_sendv(p, fd, iov, 3, flags)
                           : lastack_send(p, fd, buffer, len, flags);
    check_result(took);
    REQUIRE(took <= (ssize_t)len);
}

static void call_recv(struct fuzz *f, lastack_process *p, int fd)
{
    size_t len = len_choose(f), cnt = 3;
    uint8_t how = take_u8(&f->in);
    struct iovec iov[3] = {{buffer, len / 3}, {NULL, 0}, {buffer + len / 3, len - len / 3}};
    if (how % 4 == 0) {
        ssize_t shown = lastack_peekv(p, fd, iov, &cnt);
        check_result(shown);
        volatile uint8_t sum = 0;
        for (size_t i = 0; shown > 0 && i < cnt; i++)
            for (size_t k = 0; k < iov[i].iov_len; k++)
                sum = (uint8_t)(sum + ((uint8_t *)iov[i].iov_base)[k]);
        check_result(lastack_consume(p, fd, len));
        return;
    }
    int flags = (how & 8 ? MSG_PEEK : 0) | (how & 16 ? MSG_DONTWAIT : 0) |
                (how & 32 ? MSG_TRUNC : 0);
    ssize_t got = how & 4 ? lastack_recvv(p, fd, iov, 3, flags)
                          : lastack_recv(p, fd, buffer, len, flags);
    check_result(got);
    REQUIRE(got <= (ssize_t)len);
}

static void call_option(struct fuzz *f, lastack_process *p, int fd)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, 41};
    uint8_t value[16];
    uint8_t how = take_u8(&f->in);
    int level = levels[how % 4], name = take_u8(&f->in) % 64;
    socklen_t len = how & 4 ? take_u8(&f->in) % 17 : 4;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = i < 4 || how & 8 ? take_u8(&f->in) : 0;
    if (how & 16)
        check_result(lastack_getsockopt(p, fd, level, name, value, &len));
    else
        check_result(lastack_setsockopt(p, fd, level, name, value, len));
    REQUIRE(len <= sizeof value);
}

static void call_descriptor(struct fuzz *f, lastack_process *p, int fd)
{
    int argument = (int)take_u8(&f->in) - 2;
    switch (take_u8(&f->in) % 6) {
    case 0:
        check_result(lastack_dup(p, fd));
        break;
    case 1:
        check_result(lastack_dup3(p, fd, argument % 20, argument & 1 ? O_CLOEXEC : 0));
        break;
    case 2: {
        static const int commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD,
                                       F_GETFL, F_SETFL,         12345};
        check_result(lastack_fcntl(p, fd, commands[(unsigned)argument % 7], argument % 20));
        break;
    }
    case 3: {
        static const unsigned long requests[] = {FIONREAD, FIONBIO, TIOCOUTQ, 0x894b, 1};
        check_result(lastack_ioctl(p, fd, requests[(unsigned)argument % 5], &argument));
        break;
    }
    case 4:
        check_result(lastack_user_set(p, fd, f));
        break;
    default:
        check_result(lastack_close_note(p, fd, 77, argument, 1));
        break;
    }
}

static void call_message(struct fuzz *f, lastack_process *p, int fd)
{
    lastack_message **m = &f->message[take_u8(&f->in) % MESSAGE_CNT];
    if (!*m) {
        *m = lastack_message_put(p, fd);
        return;
    }
    if (take_u8(&f->in) & 1) {
        lastack_message_drop(*m);
        *m = NULL;
        return;
    }
    int got = lastack_message_get(p, *m, 0);
    check_result(got);
    if (got >= 0)
        *m = NULL;
}

static void call_ready(struct fuzz *f, lastack_process *p, int fd)
{
    struct pollfd items[3] = {{.fd = fd, .events = (short)take_u16(&f->in)},
                              {.fd = fd + 1, .events = POLLIN},
                              {.fd = -1, .events = POLLIN}};
    struct epoll_event event = {.events = take_u32(&f->in), .data.u64 = 7}, events[4];
    switch (take_u8(&f->in) % 4) {
    case 0:
        check_result(lastack_poll(p, items, 3));
        break;
    case 1:
        check_result(lastack_epoll_create(p, 0));
        break;
    case 2:
        check_result(lastack_epoll_ctl(p, fd, 1 + take_u8(&f->in) % 4, fd_choose(f), &event));
        break;
    default:
        check_result(lastack_epoll_wait(p, fd, events, 1 + take_u8(&f->in) % 4));
        break;
    }
}

static void call_process(struct fuzz *f, uint8_t who)
{
    lastack_process *p = proc_choose(f, who);
    uint8_t how = take_u8(&f->in);
    int other = (who + 1 + how / 4 % 2) % PROC_CNT;
    switch (how % 4) {
    case 0:
        lastack_exec(p, "exec");
        break;
    case 1:
        lastack_exit(p);
        f->proc[who % PROC_CNT] = NULL;
        break;
    case 2:
        if (f->proc[other])
            lastack_exit(f->proc[other]);
        f->proc[other] = lastack_fork(p, f->next_pid++);
        break;
    default:
        lastack_process_act_as(p, take_u8(&f->in));
        break;
    }
}

static void call_operator(struct fuzz *f)
{
    uint8_t how = take_u8(&f->in);
    struct lastack_info info;
    uint64_t cursor = 0, id = how;
    for (int i = how / 4 % 8; i >= 0 && lastack_info_next(f->stack, &cursor, &info); i--)
        id = info.id;
    check_result(lastack_end(f->stack, id, how % 5));
    if (lastack_info_get(f->stack, id, &info) == 0)
        REQUIRE(info.id == id && id != 0);
}

void fuzz_call(struct fuzz *f)
{
    uint8_t what = take_u8(&f->in), who = take_u8(&f->in);
    lastack_process *p = proc_choose(f, who);
    int fd = what % 16 ? fd_choose(f) : -1;
    if (!p)
        return; /* too many */
    switch (what % 16) {
    case 0:
        check_result(lastack_socket(p, AF_INET, SOCK_STREAM | (who & 4 ? SOCK_NONBLOCK : 0), 0));
        break;
    case 1:
        check_result(lastack_listen(p, fd, take_u8(&f->in)));
        break;
    case 2:
    case 3:
    case 4:
        call_names(f, p, fd);
        break;
    case 5:
        call_send(f, p, fd);
        break;
    case 6:
        call_recv(f, p, fd);
        break;
    case 7:
        check_result(lastack_shutdown(p, fd, take_u8(&f->in) % 4));
        break;
    case 8:
    case 9:
        check_result(lastack_close(p, fd));
        break;
    case 10:
        call_descriptor(f, p, fd);
        break;
    case 11:
        call_option(f, p, fd);
        break;
    case 12:
        call_message(f, p, fd);
        break;
    case 13:
        call_ready(f, p, fd);
        break;
    case 14:
        call_process(f, who);
        break;
    default:
        call_operator(f);
        break;
    }
}
