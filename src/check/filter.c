/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers alone decide, so that the kernel caches which calls are none of ours. */
#include "check/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "lastack check knows x86-64 and arm64"
#endif

static const struct {
    uint16_t nr;
    enum check_call call;
} traced[] = {
    {__NR_accept, CALL_ACCEPT},     {__NR_accept4, CALL_ACCEPT}, {__NR_connect, CALL_CONNECT},
    {__NR_shutdown, CALL_SHUTDOWN}, {__NR_execve, CALL_EXEC},    {__NR_execveat, CALL_EXEC},
    {__NR_ptrace, CALL_PTRACE},     {__NR_close, CALL_CLOSE}, /* the last: may be left out */
};
#define TRACED_CNT (sizeof traced / sizeof traced[0])

/* Programs for another table of calls (32 bits) are let through: what they leave open is seen at
 * their exit all the same, only without its source line. */
static unsigned filter_build(struct sock_filter *p, bool closes)
{
    unsigned at = 0, cnt = TRACED_CNT - !closes;
    p[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    p[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    p[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    p[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < cnt; i++) {
        p[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, traced[i].nr, 0, 1);
        p[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | traced[i].call);
    }
    p[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3);
    p[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                           offsetof(struct seccomp_data, args[0]));
    p[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_UNTRACED, 0, 1);
    p[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | CALL_CLONE);
    p[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return at;
}

int check_filter_install(bool closes)
{
    struct sock_filter program[9 + 2 * TRACED_CNT];
    struct sock_fprog filter = {(unsigned short)filter_build(program, closes), program};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0)
        return 0;
    /* Without CAP_SYS_ADMIN a filter needs no_new_privs: setuid bits are ignored then. */
    if (errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0)
        return 0;
    return -errno;
}
