/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter is written by hand because what it must tell apart are arguments (family, type,
 * option) and because the flag it needs, WAIT_KILLABLE_RECV, is younger than libseccomp 2.5.4.
 * System calls whose number alone decides cost nothing: the kernel caches that they are allowed.
 */
#include "run/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define PROTOCOL_TCP 6
#define PROTOCOL_MPTCP 262
#define X32_BIT 0x40000000u
#define I386_SOCKETCALL 102
#define I386_SOCKET 359
#define I386_IO_URING_SETUP 425
#define OPTION_RCVTIMEO_NEW 66
#define OPTION_SNDTIMEO_NEW 67
#define IOCTL_SIOCOUTQ 0x5411
#define IOCTL_SIOCOUTQNSD 0x894B

#define ARG_LOW(n) ((unsigned)(offsetof(struct seccomp_data, args) + 8 * (n)))
#define ARG_HIGH(n) (ARG_LOW(n) + 4)

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "lastack run knows x86-64 and arm64"
#endif

struct assembler {
    struct sock_filter *program;
    unsigned cnt;
};

static void emit(struct assembler *a, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    a->program[a->cnt++] = (struct sock_filter){code, jt, jf, k};
}

static void load(struct assembler *a, unsigned offset)
{
    emit(a, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static void answer(struct assembler *a, uint32_t action)
{
    emit(a, BPF_RET | BPF_K, 0, 0, action);
}

static uint32_t refuse(int error)
{
    return SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA);
}

/* if (accumulator == k) return action */
static void answer_if(struct assembler *a, uint32_t k, uint32_t action)
{
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, k);
    answer(a, action);
}

/* Opens "if (accumulator == k) {"; the block must end in an answer. */
static unsigned block(struct assembler *a, uint32_t k)
{
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, k);
    return a->cnt;
}

static void block_end(struct assembler *a, unsigned start)
{
    a->program[start - 1].jf = (uint8_t)(a->cnt - start);
}

/* Stream sockets of TCP: ours for IPv4; IPv6 is refused, so that programs fall back. MPTCP would
 * pass us by in the kernel. */
static void filter_socket(struct assembler *a)
{
    unsigned call = block(a, __NR_socket), family;

    load(a, ARG_LOW(1));
    emit(a, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf);
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SOCK_STREAM);
    answer(a, SECCOMP_RET_ALLOW);
    load(a, ARG_LOW(0));
    family = block(a, AF_INET);
    load(a, ARG_LOW(2));
    answer_if(a, 0, SECCOMP_RET_USER_NOTIF);
    answer_if(a, PROTOCOL_TCP, SECCOMP_RET_USER_NOTIF);
    answer_if(a, PROTOCOL_MPTCP, refuse(EPROTONOSUPPORT));
    answer(a, SECCOMP_RET_ALLOW);
    block_end(a, family);
    family = block(a, AF_INET6);
    load(a, ARG_LOW(2));
    answer_if(a, 0, refuse(EAFNOSUPPORT));
    answer_if(a, PROTOCOL_TCP, refuse(EAFNOSUPPORT));
    answer_if(a, PROTOCOL_MPTCP, refuse(EAFNOSUPPORT));
    answer(a, SECCOMP_RET_ALLOW);
    block_end(a, family);
    answer(a, SECCOMP_RET_ALLOW);
    block_end(a, call);
}

/* The timeouts of blocking calls are kept by A itself. */
static void filter_option(struct assembler *a, uint32_t nr)
{
    unsigned call = block(a, nr), level;

    load(a, ARG_LOW(1));
    level = block(a, SOL_SOCKET);
    load(a, ARG_LOW(2));
    answer_if(a, SO_RCVTIMEO, SECCOMP_RET_ALLOW);
    answer_if(a, SO_SNDTIMEO, SECCOMP_RET_ALLOW);
    answer_if(a, OPTION_RCVTIMEO_NEW, SECCOMP_RET_ALLOW);
    answer_if(a, OPTION_SNDTIMEO_NEW, SECCOMP_RET_ALLOW);
    answer(a, SECCOMP_RET_USER_NOTIF);
    block_end(a, level);
    answer(a, SECCOMP_RET_USER_NOTIF);
    block_end(a, call);
}

static void filter_ioctl(struct assembler *a)
{
    unsigned call = block(a, __NR_ioctl);

    load(a, ARG_LOW(1));
    answer_if(a, IOCTL_SIOCOUTQ, SECCOMP_RET_USER_NOTIF);
    answer_if(a, IOCTL_SIOCOUTQNSD, SECCOMP_RET_USER_NOTIF);
    answer(a, SECCOMP_RET_ALLOW);
    block_end(a, call);
}

/* An AF_UNIX stream refuses an address in sendto; TCP ignores it. */
static void filter_sendto(struct assembler *a)
{
    unsigned call = block(a, __NR_sendto), none;

    load(a, ARG_LOW(4));
    none = block(a, 0);
    load(a, ARG_HIGH(4));
    answer_if(a, 0, SECCOMP_RET_ALLOW);
    answer(a, SECCOMP_RET_USER_NOTIF);
    block_end(a, none);
    answer(a, SECCOMP_RET_USER_NOTIF);
    block_end(a, call);
}

/* Foreign tables of system calls could pass us by: their sockets do not exist. */
static void filter_arch(struct assembler *a)
{
    load(a, offsetof(struct seccomp_data, arch));
#if defined(__x86_64__)
    unsigned i386 = block(a, AUDIT_ARCH_I386);

    load(a, offsetof(struct seccomp_data, nr));
    answer_if(a, I386_SOCKETCALL, refuse(ENOSYS));
    answer_if(a, I386_SOCKET, refuse(ENOSYS));
    answer_if(a, I386_IO_URING_SETUP, refuse(ENOSYS));
    answer(a, SECCOMP_RET_ALLOW);
    block_end(a, i386);
#endif
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NATIVE_ARCH);
    answer(a, refuse(ENOSYS));
    load(a, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    emit(a, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
    answer(a, refuse(ENOSYS));
#endif
}

unsigned filter_build(struct sock_filter program[FILTER_MAX], bool close_trace)
{
    static const uint16_t brought[] = {
        __NR_bind, __NR_listen, __NR_connect, __NR_accept, __NR_accept4, __NR_shutdown,
        __NR_getsockname, __NR_getpeername,
    };
    struct assembler a = {program, 0};

    filter_arch(&a);
    for (unsigned i = 0; i < sizeof brought / sizeof *brought; i++)
        answer_if(&a, brought[i], SECCOMP_RET_USER_NOTIF);
    /* The first call of a forked child, as glibc has it, and one whose failure harms nobody. */
    answer_if(&a, close_trace ? __NR_close : __NR_set_robust_list, SECCOMP_RET_USER_NOTIF);
    answer_if(&a, __NR_io_uring_setup, refuse(ENOSYS)); /* its calls cannot be seen */
    filter_socket(&a);
    filter_option(&a, __NR_setsockopt);
    filter_option(&a, __NR_getsockopt);
    filter_ioctl(&a);
    filter_sendto(&a);
    answer(&a, SECCOMP_RET_ALLOW);
    return a.cnt;
}

int filter_install(bool close_trace, bool *killable)
{
    struct sock_filter program[FILTER_MAX];
    struct sock_fprog filter = {(unsigned short)filter_build(program, close_trace), program};
    long fd;

    *killable = true;
    /* Without CAP_SYS_ADMIN a filter needs no_new_privs: setuid bits are ignored then. */
    for (int attempt = 0; attempt < 2; attempt++) {
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                     &filter);
        if (fd < 0 && errno == EINVAL) {
            *killable = false;
            fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                         &filter);
        }
        if (fd >= 0 || errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}
