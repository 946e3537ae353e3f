/* SPDX-License-Identifier: BSD-2-Clause */
/* What the seccomp filter decides, by a small interpreter of classic BPF. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "run/filter.h"
#include "test.h"

#define NOTIFY SECCOMP_RET_USER_NOTIF
#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))
#define I386 AUDIT_ARCH_I386
#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

static uint32_t interpret(const struct sock_filter *program, unsigned cnt,
                          const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (unsigned pc = 0; pc < cnt; pc++) {
        const struct sock_filter *f = &program[pc];

        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (f->k > sizeof *data - 4)
                return UINT32_MAX;
            memcpy(&a, (const char *)data + f->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            return UINT32_MAX;
        }
    }
    return UINT32_MAX; /* ran off its end */
}

static uint32_t decide(bool close_trace, uint32_t arch, int nr, uint64_t a0, uint64_t a1,
                       uint64_t a2, uint64_t a4)
{
    struct sock_filter program[FILTER_MAX];
    struct seccomp_data data = {.nr = nr, .arch = arch, .args = {a0, a1, a2, 0, a4, 0}};

    return interpret(program, filter_build(program, close_trace), &data);
}

static uint32_t native(int nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
    return decide(false, NATIVE, nr, a0, a1, a2, 0);
}

TEST(fits)
{
    struct sock_filter program[FILTER_MAX];

    CHECK(filter_build(program, true) < FILTER_MAX);
    CHECK(filter_build(program, false) < FILTER_MAX);
}

TEST(streams_of_ip4_are_ours)
{
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_STREAM, 0), NOTIFY);
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 6), NOTIFY);
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_STREAM, 262), REFUSE(EPROTONOSUPPORT));
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_STREAM, 132), ALLOW);
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_DGRAM, 0), ALLOW);
    CHECK_EQ(native(__NR_socket, AF_INET, SOCK_RAW, 6), ALLOW);
    CHECK_EQ(native(__NR_socket, AF_UNIX, SOCK_STREAM, 0), ALLOW);
}

TEST(streams_of_ip6_are_refused)
{
    CHECK_EQ(native(__NR_socket, AF_INET6, SOCK_STREAM, 0), REFUSE(EAFNOSUPPORT));
    CHECK_EQ(native(__NR_socket, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 6), REFUSE(EAFNOSUPPORT));
    CHECK_EQ(native(__NR_socket, AF_INET6, SOCK_DGRAM, 0), ALLOW);
}

TEST(control_calls_are_brought)
{
    static const int brought[] = {__NR_bind, __NR_listen, __NR_connect, __NR_accept, __NR_accept4,
                                  __NR_shutdown, __NR_getsockname, __NR_getpeername};

    for (size_t i = 0; i < sizeof brought / sizeof *brought; i++)
        CHECK_EQ(native(brought[i], 3, 0, 0), NOTIFY);
}

TEST(data_is_the_kernel_s)
{
    static const int left[] = {__NR_read, __NR_write, __NR_readv, __NR_writev, __NR_recvfrom,
                               __NR_recvmsg, __NR_sendmsg, __NR_sendfile, __NR_dup, __NR_dup3,
                               __NR_clone, __NR_execve, __NR_fcntl, __NR_epoll_ctl, __NR_ppoll,
                               __NR_exit_group};

    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        CHECK_EQ(native(left[i], 3, 1, 1), ALLOW);
}

TEST(timeouts_stay_with_the_pair)
{
    CHECK_EQ(native(__NR_setsockopt, 3, SOL_SOCKET, SO_RCVTIMEO), ALLOW);
    CHECK_EQ(native(__NR_getsockopt, 3, SOL_SOCKET, SO_SNDTIMEO), ALLOW);
    CHECK_EQ(native(__NR_setsockopt, 3, SOL_SOCKET, SO_REUSEADDR), NOTIFY);
    CHECK_EQ(native(__NR_setsockopt, 3, 6, SO_RCVTIMEO), NOTIFY);
    CHECK_EQ(native(__NR_getsockopt, 3, SOL_SOCKET, SO_ERROR), NOTIFY);
}

TEST(only_queue_ioctls)
{
    CHECK_EQ(native(__NR_ioctl, 3, 0x5411, 0), NOTIFY);
    CHECK_EQ(native(__NR_ioctl, 3, 0x894b, 0), NOTIFY);
    CHECK_EQ(native(__NR_ioctl, 3, 0x541b, 0), ALLOW);
}

TEST(sendto_with_an_address)
{
    CHECK_EQ(decide(false, NATIVE, __NR_sendto, 3, 1, 1, 0), ALLOW);
    CHECK_EQ(decide(false, NATIVE, __NR_sendto, 3, 1, 1, 0x1000), NOTIFY);
    CHECK_EQ(decide(false, NATIVE, __NR_sendto, 3, 1, 1, 1ull << 32), NOTIFY);
}

TEST(closes_only_when_asked_for)
{
    CHECK_EQ(decide(true, NATIVE, __NR_close, 3, 0, 0, 0), NOTIFY);
    CHECK_EQ(decide(false, NATIVE, __NR_close, 3, 0, 0, 0), ALLOW);
    CHECK_EQ(decide(false, NATIVE, __NR_set_robust_list, 0, 24, 0, 0), NOTIFY);
    CHECK_EQ(decide(true, NATIVE, __NR_set_robust_list, 0, 24, 0, 0), ALLOW);
}

TEST(what_could_pass_us_by_is_refused)
{
    CHECK_EQ(native(__NR_io_uring_setup, 8, 0, 0), REFUSE(ENOSYS));
    CHECK_EQ(decide(false, 0x12345678, __NR_read, 0, 0, 0, 0), REFUSE(ENOSYS));
#if defined(__x86_64__)
    CHECK_EQ(native(0x40000000 | __NR_socket, AF_INET, SOCK_STREAM, 0), REFUSE(ENOSYS));
    CHECK_EQ(decide(false, I386, 102, 1, 0, 0, 0), REFUSE(ENOSYS)); /* socketcall */
    CHECK_EQ(decide(false, I386, 359, AF_INET, SOCK_STREAM, 0, 0), REFUSE(ENOSYS));
    CHECK_EQ(decide(false, I386, 3, 0, 0, 0, 0), ALLOW); /* read */
#endif
}

TEST_MAIN()
