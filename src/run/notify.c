/* SPDX-License-Identifier: BSD-2-Clause */
/* Intercepted calls: receive them, look into the caller, answer. */
#include "run/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/pair.h"
#include "run/task.h"
#include "run/watch.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#define SYNC_WAKE_UP 1ul

void notify_sync_wake(int notify)
{
    ioctl(notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
}

static bool notify_waiting(int notify)
{
    struct pollfd item = {.fd = notify, .events = POLLIN};

    return poll(&item, 1, 0) == 1 && (item.revents & POLLIN);
}

unsigned notify_receive(struct supervisor *s, struct call *calls, unsigned max)
{
    unsigned cnt = 0;

    while (cnt < max && notify_waiting(s->notify)) {
        struct seccomp_notif notif = {0};
        const struct task *task;

        if (ioctl(s->notify, SECCOMP_IOCTL_NOTIF_RECV, &notif) != 0)
            break; /* ENOENT: the caller was killed meanwhile */
        calls[cnt] = (struct call){
            .id = notif.id, .tid = (pid_t)notif.pid, .nr = notif.data.nr, .a = -1};
        memcpy(calls[cnt].args, notif.data.args, sizeof notif.data.args);
        task = task_get(s, calls[cnt].tid);
        calls[cnt].pid = task ? task->pid : 0;
        cnt++;
    }
    s->call_cnt += cnt;
    return cnt;
}

struct pair *call_pair(struct supervisor *s, struct call *call, int fd)
{
    int a = task_descriptor(s, call->tid, fd);
    struct pair *pair;

    if (a < 0)
        return NULL;
    pair = pair_find(s, a);
    if (!pair) {
        close(a);
        return NULL;
    }
    call->a = a;
    call->pair = pair;
    pair->pid = call->pid;
    pair->pid_fd = fd;
    watch_seen(pair, call->pid, fd);
    return pair;
}

void call_release(struct call *call)
{
    if (call->a >= 0)
        close(call->a);
    call->a = -1;
}

bool call_nonblocking(const struct call *call)
{
    return fcntl(call->a, F_GETFL) & O_NONBLOCK;
}

bool call_answer(struct supervisor *s, struct call *call, int64_t value)
{
    struct seccomp_notif_resp reply = {.id = call->id};

    if (value < 0)
        reply.error = (int)value;
    else
        reply.val = value;
    call_release(call);
    return ioctl(s->notify, SECCOMP_IOCTL_NOTIF_SEND, &reply) == 0;
}

bool call_continue(struct supervisor *s, struct call *call)
{
    struct seccomp_notif_resp reply = {.id = call->id,
                                       .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    call_release(call);
    return ioctl(s->notify, SECCOMP_IOCTL_NOTIF_SEND, &reply) == 0;
}

static int add_descriptor(struct supervisor *s, struct call *call,
                          struct seccomp_notif_addfd *request)
{
    int fd;

    request->id = call->id;
    do
        fd = ioctl(s->notify, SECCOMP_IOCTL_NOTIF_ADDFD, request);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int call_answer_descriptor(struct supervisor *s, struct call *call, int fd, bool close_on_exec)
{
    struct seccomp_notif_addfd request = {.flags = SECCOMP_ADDFD_FLAG_SEND,
                                          .srcfd = (uint32_t)fd,
                                          .newfd_flags = close_on_exec ? O_CLOEXEC : 0};

    call_release(call);
    return add_descriptor(s, call, &request);
}

int call_replace_descriptor(struct supervisor *s, struct call *call, int fd, int at,
                            bool close_on_exec)
{
    struct seccomp_notif_addfd request = {.flags = SECCOMP_ADDFD_FLAG_SETFD,
                                          .srcfd = (uint32_t)fd,
                                          .newfd = (uint32_t)at,
                                          .newfd_flags = close_on_exec ? O_CLOEXEC : 0};

    return add_descriptor(s, call, &request);
}

bool call_valid(struct supervisor *s, const struct call *call)
{
    uint64_t id = call->id;

    return ioctl(s->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 || errno != ENOENT;
}

int call_read(const struct call *call, uint64_t address, void *data, size_t len)
{
    struct iovec here = {data, len}, there = {(void *)(uintptr_t)address, len};

    if (len == 0)
        return 0;
    return process_vm_readv(call->tid, &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int call_write(const struct call *call, uint64_t address, const void *data, size_t len)
{
    struct iovec here = {(void *)(uintptr_t)data, len}, there = {(void *)(uintptr_t)address, len};

    if (len == 0)
        return 0;
    return process_vm_writev(call->tid, &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int call_read_address(const struct call *call, uint64_t address, uint64_t len,
                      struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if ((int)len < 0 || (uint32_t)len > sizeof *out)
        return -EINVAL;
    return call_read(call, address, out, (uint32_t)len);
}

int call_write_value(const struct call *call, uint64_t address, uint64_t len_address,
                     const void *value, uint32_t len, bool truncate)
{
    int32_t room;
    uint32_t copied, told;

    if (call_read(call, len_address, &room, sizeof room) != 0)
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    copied = (uint32_t)room < len ? (uint32_t)room : len;
    told = truncate ? len : copied;
    if (call_write(call, address, value, copied) != 0)
        return -EFAULT;
    return call_write(call, len_address, &told, sizeof told);
}
