/* SPDX-License-Identifier: BSD-2-Clause */
/* Ending: which call, in whose name, and a sentence for every way in which it cannot be done. */
#include "kernel/end.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/end_reach.h"

/* Where the sentence goes. */
struct verdict {
    char *why;
    size_t len;
};

__attribute__((format(printf, 3, 4))) static int say(const struct verdict *v, int result,
                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->why, v->len, format, args);
    va_end(args);
    return result;
}

static int say_gone(const struct verdict *v)
{
    return say(v, -ENOENT, "it is gone: the connection ended meanwhile, and nothing was done");
}

/* ---- a shutdown through a descriptor of a holder ---- */

static int say_unreachable(const struct verdict *v, const struct facts *f, unsigned denied_cnt,
                           const struct fact_holder *denied)
{
    struct kernel_now now = {.inode = 0};
    if (kernel_end_look(f, &now) == -ENOENT)
        return say_gone(v);
    if (denied_cnt)
        return say(v, -EPERM,
                   "descriptor %d of process %u may not be used from here: that takes the rights of "
                   "a debugger (root, or CAP_SYS_PTRACE)",
                   denied->fd, denied->pid);
    if (f->unaccepted == FACT_YES)
        return say(v, -EOPNOTSUPP,
                   "nobody has accepted it, so there is no descriptor to shut down: only rst is "
                   "possible");
    if (f->orphan == FACT_YES)
        return say(v, -EOPNOTSUPP,
                   "every descriptor of it is closed, so there is none to shut down: only rst is "
                   "possible");
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].kind != FACT_HOLDER_DESCRIPTOR)
            return say(v, -EOPNOTSUPP,
                       "no process has a descriptor of it (a %s holds it), so there is none to shut "
                       "down: only rst is possible",
                       fact_holder_kind_name(f->holders[i].kind));
    return say(v, -EOPNOTSUPP,
               "no process that can be seen from here has a descriptor of it, so there is none to "
               "shut down: only rst is possible");
}

static int say_shutdown_failed(const struct verdict *v, const struct fact_holder *h, int error)
{
    if (error == ENOTCONN)
        return say(v, -ENOENT,
                   "it has no connection any more: only process %u can close its descriptor %d",
                   h->pid, h->fd);
    return say(v, -error, "shutdown through descriptor %d of process %u: %s", h->fd, h->pid,
               strerror(error));
}

static int end_by_shutdown(const struct verdict *v, const struct facts *f, int how)
{
    const struct fact_holder *denied = NULL;
    unsigned denied_cnt = 0;
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        const struct fact_holder *h = &f->holders[i];
        int fd = reach_descriptor(f, h);
        if (fd == -EPERM || fd == -EACCES) {
            denied = denied_cnt++ ? denied : h;
            continue;
        }
        if (fd < 0)
            continue;
        int error = shutdown(fd, how) < 0 ? errno : 0;
        close(fd);
        return error ? say_shutdown_failed(v, h, error) : say(v, 0, "%s", "");
    }
    return say_unreachable(v, f, denied_cnt, denied);
}

/* ---- destroying ---- */

/* No RST leaves from these: the kernel sends it only where the peer may still send or wait. */
static bool is_silent(enum lastack_state state)
{
    return state == LASTACK_LAST_ACK || state == LASTACK_CLOSING || state == LASTACK_SYN_SENT;
}

static int say_destroy_failed(const struct verdict *v, const struct facts *f, int error)
{
    switch (error) {
    case ENOENT:
        return say_gone(v);
    case EPERM:
    case EACCES:
        return say(v, -EPERM,
                   "a reset takes root (CAP_NET_ADMIN in the connection's network namespace)");
    case EOPNOTSUPP:
        return say(v, -ENOSYS,
                   "this kernel destroys no sockets (it is built without CONFIG_INET_DIAG_DESTROY): "
                   "%s",
                   f->holder_cnt ? "rdwr is what is possible" : "restart the program that has it");
    default:
        return say(v, -error, "the kernel did not reset it: %s", strerror(error));
    }
}

static int end_by_destroy(const struct verdict *v, const struct facts *f)
{
    struct reach_entry entry;
    bool by_address = false;
    int net = reach_namespace(f);
    if (net < 0)
        return say(v, net, "its network namespace (%llu) cannot be entered: %s",
                   (unsigned long long)f->netns,
                   net == -ENOENT ? "nobody is in it any more" : strerror(-net));
    int result = reach_look(net, f, &entry, &by_address);
    if (result == 0 && entry.state == LASTACK_TIME_WAIT)
        result = -ENOENT;
    if (result == 0)
        result = reach_destroy(net, &entry);
    close(net);
    if (result < 0)
        return say_destroy_failed(v, f, -result);
    if (is_silent(entry.state) && entry.state != LASTACK_SYN_SENT)
        return say(v, 0,
                   "no RST leaves from %s: the other end hears of it only when it sends something; end it "
                   "too",
                   fact_state_name(entry.state));
    return say(v, 0, "%s", "");
}

/* ---- both ---- */

int kernel_end(const struct facts *f, int how, char *why, size_t why_len)
{
    const struct verdict v = {why, why_len};
    if (f->state == LASTACK_LISTEN)
        return say(&v, -EINVAL, "it is a listener: it ends when its program closes it");
    if (f->state == LASTACK_TIME_WAIT)
        return say(&v, -EINVAL, "it is in TIME-WAIT: it has ended, and goes by itself");
    if (f->state == LASTACK_CLOSED || f->id == 0)
        return say(&v, -EINVAL,
                   "it has no connection any more: only its program can close the descriptor");
    switch (how) {
    case SHUT_WR:
    case SHUT_RDWR:
        return end_by_shutdown(&v, f, how);
    case LASTACK_END_RST:
        return end_by_destroy(&v, f);
    default:
        return say(&v, -EINVAL, "there is no way %d to end a connection", how);
    }
}

int kernel_end_look(const struct facts *f, struct kernel_now *now)
{
    struct reach_entry entry;
    int net = reach_namespace(f);
    if (net < 0)
        return net;
    int result = reach_look(net, f, &entry, &now->by_address);
    close(net);
    if (result == 0)
        *now = (struct kernel_now){entry.state, entry.send_queue, entry.inode, now->by_address};
    return result;
}
