/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/PID/task/TID/syscall: "NUMBER ARGUMENT*6 SP PC", "-1 SP PC", "running". */
#include "kernel/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/process.h"

/* What kind of argument says which descriptor. */
enum call_shape { SHAPE_NONE, SHAPE_READ, SHAPE_WRITE, SHAPE_POLL, SHAPE_SELECT, SHAPE_EPOLL };

static const struct call {
    long nr;
    enum fact_doing doing;
    enum call_shape shape;
    const char *text;
} calls[] = {
    {SYS_accept, FACT_DOING_ACCEPT, SHAPE_READ, "accept"},
    {SYS_accept4, FACT_DOING_ACCEPT, SHAPE_READ, "accept"},
    {SYS_connect, FACT_DOING_CONNECT, SHAPE_WRITE, "connect"},
    {SYS_read, FACT_DOING_RECV, SHAPE_READ, "read"},
    {SYS_readv, FACT_DOING_RECV, SHAPE_READ, "readv"},
    {SYS_preadv2, FACT_DOING_RECV, SHAPE_READ, "preadv2"},
    {SYS_recvfrom, FACT_DOING_RECV, SHAPE_READ, "recv"},
    {SYS_recvmsg, FACT_DOING_RECV, SHAPE_READ, "recvmsg"},
    {SYS_recvmmsg, FACT_DOING_RECV, SHAPE_READ, "recvmmsg"},
    {SYS_splice, FACT_DOING_RECV, SHAPE_READ, "splice"},
    {SYS_write, FACT_DOING_SEND, SHAPE_WRITE, "write"},
    {SYS_writev, FACT_DOING_SEND, SHAPE_WRITE, "writev"},
    {SYS_pwritev2, FACT_DOING_SEND, SHAPE_WRITE, "pwritev2"},
    {SYS_sendto, FACT_DOING_SEND, SHAPE_WRITE, "send"},
    {SYS_sendmsg, FACT_DOING_SEND, SHAPE_WRITE, "sendmsg"},
    {SYS_sendmmsg, FACT_DOING_SEND, SHAPE_WRITE, "sendmmsg"},
    {SYS_sendfile, FACT_DOING_SEND, SHAPE_WRITE, "sendfile"},
    {SYS_ppoll, FACT_DOING_POLL, SHAPE_POLL, "ppoll"},
    {SYS_pselect6, FACT_DOING_POLL, SHAPE_SELECT, "pselect"},
    {SYS_epoll_pwait, FACT_DOING_POLL, SHAPE_EPOLL, "epoll_wait"},
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, FACT_DOING_POLL, SHAPE_EPOLL, "epoll_wait"},
#endif
#ifdef SYS_poll
    {SYS_poll, FACT_DOING_POLL, SHAPE_POLL, "poll"},
    {SYS_select, FACT_DOING_POLL, SHAPE_SELECT, "select"},
    {SYS_epoll_wait, FACT_DOING_POLL, SHAPE_EPOLL, "epoll_wait"},
    {SYS_pause, FACT_DOING_SLEEP, SHAPE_NONE, "pause"},
#endif
    {SYS_wait4, FACT_DOING_WAIT_CHILD, SHAPE_NONE, "wait4"},
    {SYS_waitid, FACT_DOING_WAIT_CHILD, SHAPE_NONE, "waitid"},
    {SYS_nanosleep, FACT_DOING_SLEEP, SHAPE_NONE, "nanosleep"},
    {SYS_clock_nanosleep, FACT_DOING_SLEEP, SHAPE_NONE, "clock_nanosleep"},
    {SYS_rt_sigsuspend, FACT_DOING_SLEEP, SHAPE_NONE, "sigsuspend"},
    {SYS_rt_sigtimedwait, FACT_DOING_SLEEP, SHAPE_NONE, "sigtimedwait"},
    {SYS_futex, FACT_DOING_LOCK, SHAPE_NONE, "futex"},
    {SYS_io_uring_enter, FACT_DOING_OTHER, SHAPE_NONE, "io_uring_enter"},
    {SYS_fsync, FACT_DOING_OTHER, SHAPE_NONE, "fsync"},
    {SYS_flock, FACT_DOING_OTHER, SHAPE_NONE, "flock"},
    {SYS_openat, FACT_DOING_OTHER, SHAPE_NONE, "openat"},
};

static const struct call *call_find(long nr)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].nr == nr)
            return &calls[i];
    return NULL;
}

/* ---- threads ---- */

/* Addresses below 4 GB are those of a 32-bit program, whose numbers of calls are others. */
static bool thread_read(struct call_thread *thread, const char *text)
{
    unsigned long long a[8];
    long nr;
    if (strncmp(text, "running", 7) == 0) {
        thread->running = true;
        return true;
    }
    int cnt = sscanf(text, "%ld %llx %llx %llx %llx %llx %llx %llx %llx", &nr, &a[0], &a[1], &a[2],
                     &a[3], &a[4], &a[5], &a[6], &a[7]);
    if (cnt != 9)
        return cnt >= 1;
    thread->blocked = sizeof(long) == 4 || a[6] > UINT32_MAX || a[7] > UINT32_MAX;
    thread->nr = nr;
    for (int i = 0; i < 6; i++)
        thread->args[i] = a[i];
    return true;
}

/* We ourselves are not asleep, whatever the kernel says while we ask it. */
static ssize_t thread_look(int dir, struct call_thread *thread, uint32_t tid)
{
    char path[48], text[256];
    snprintf(path, sizeof path, "task/%u/syscall", tid);
    ssize_t len = process_read(dir, path, text, sizeof text);
    *thread = (struct call_thread){.tid = tid};
    if (len > 0 && !thread_read(thread, text))
        len = -EPROTO;
    if (tid == (uint32_t)gettid())
        *thread = (struct call_thread){.tid = tid, .running = true};
    return len;
}

bool call_is_still(int dir, const struct call_thread *thread)
{
    struct call_thread now;
    return thread_look(dir, &now, thread->tid) > 0 && now.blocked && now.nr == thread->nr &&
           memcmp(now.args, thread->args, sizeof now.args) == 0;
}

uint32_t call_threads(int dir, struct call_thread **out, bool *cut)
{
    struct process_numbers numbers;
    uint32_t cnt = 0, cap = 0, tid;
    char *buffer = malloc(NUMBERS_LEN);
    *out = NULL;
    if (!buffer) {
        *cut = true;
        return 0;
    }
    int tasks = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    numbers_begin(&numbers, tasks < 0 ? -errno : tasks, buffer);
    while (numbers_next(&numbers, &tid)) {
        if (cnt == cap) {
            cap = cap ? 4 * cap : 4;
            void *all = cnt < CALL_THREAD_MAX ? realloc(*out, cap * sizeof **out) : NULL;
            if (!all) {
                *cut = true;
                break;
            }
            *out = all;
        }
        ssize_t len = thread_look(dir, &(*out)[cnt], tid);
        if (len > 0)
            cnt++;
        else if (len != -ENOENT && len != -ESRCH) /* those have ended */
            *cut = true;
    }
    numbers_end(&numbers);
    free(buffer);
    return cnt;
}

enum fact_doing call_doing(const struct call_thread *thread, char text[24])
{
    const struct call *call = thread->blocked ? call_find(thread->nr) : NULL;
    text[0] = '\0';
    if (thread->running)
        return FACT_DOING_RUNNING;
    if (call)
        snprintf(text, 24, "%s", call->text);
    else if (thread->blocked)
        snprintf(text, 24, "system call %ld", thread->nr);
    else
        return FACT_DOING_UNKNOWN;
    return call ? call->doing : FACT_DOING_OTHER;
}

bool call_is_epoll(const struct call_thread *thread)
{
    const struct call *call = thread->blocked ? call_find(thread->nr) : NULL;
    return call && call->shape == SHAPE_EPOLL;
}

bool call_is_gone(int dir, uint32_t tid, int32_t fd)
{
    char path[56], target[8];
    snprintf(path, sizeof path, "task/%u/fd/%d", tid, fd);
    return readlinkat(dir, path, target, sizeof target) < 0 && errno == ENOENT;
}

/* ---- what they wait for ---- */

/* `cut` is set unless the process has ended. */
static bool memory_read(uint32_t pid, uint64_t address, void *out, size_t len, bool *cut)
{
    struct iovec local = {out, len}, remote = {(void *)(uintptr_t)address, len};
    if (process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) == (ssize_t)len)
        return true;
    *cut = *cut || errno != ESRCH;
    return false;
}

static uint32_t poll_waits(uint32_t pid, const uint64_t *args, struct call_wait *out, bool *cut)
{
    struct pollfd fds[CALL_WAIT_MAX];
    uint64_t cnt = args[1];
    uint32_t out_cnt = 0;
    if (cnt > CALL_WAIT_MAX) {
        cnt = CALL_WAIT_MAX;
        *cut = true;
    }
    if (cnt && !memory_read(pid, args[0], fds, cnt * sizeof *fds, cut))
        return 0;
    for (uint64_t i = 0; i < cnt; i++)
        if (fds[i].fd >= 0)
            out[out_cnt++] = (struct call_wait){fds[i].fd, (uint16_t)fds[i].events};
    return out_cnt;
}

/* The kernel writes its answer over the question only when the call returns. */
static uint32_t select_waits(uint32_t pid, const uint64_t *args, struct call_wait *out, bool *cut)
{
    static const uint32_t events[3] = {POLLIN, POLLOUT, POLLPRI};
    unsigned long sets[3][CALL_WAIT_MAX / (8 * sizeof(long))];
    const unsigned bits = 8 * sizeof(long);
    uint64_t cnt = args[0];
    uint32_t out_cnt = 0;
    memset(sets, 0, sizeof sets);
    if (cnt > CALL_WAIT_MAX) {
        cnt = CALL_WAIT_MAX;
        *cut = true;
    }
    for (int i = 0; i < 3; i++)
        if (args[1 + i] && !memory_read(pid, args[1 + i], sets[i],
                                        (cnt + bits - 1) / bits * sizeof(long), cut))
            memset(sets[i], 0, sizeof sets[i]);
    for (uint32_t fd = 0; fd < cnt; fd++) {
        struct call_wait wait = {(int32_t)fd, 0};
        for (int i = 0; i < 3; i++)
            if (sets[i][fd / bits] & 1ul << fd % bits)
                wait.events |= events[i];
        if (wait.events)
            out[out_cnt++] = wait;
    }
    return out_cnt;
}

uint32_t call_waits(uint32_t pid, const struct call_thread *thread,
                    struct call_wait out[CALL_WAIT_MAX], bool *cut)
{
    const struct call *call = thread->blocked ? call_find(thread->nr) : NULL;
    switch (call ? call->shape : SHAPE_NONE) {
    case SHAPE_READ:
        out[0] = (struct call_wait){(int32_t)thread->args[0], POLLIN};
        return 1;
    case SHAPE_WRITE:
        out[0] = (struct call_wait){(int32_t)thread->args[0], POLLOUT};
        return 1;
    case SHAPE_POLL:
        return poll_waits(pid, thread->args, out, cut);
    case SHAPE_SELECT:
        return select_waits(pid, thread->args, out, cut);
    case SHAPE_NONE:
    case SHAPE_EPOLL:
        return 0;
    }
    return 0;
}
