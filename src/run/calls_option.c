/* SPDX-License-Identifier: BSD-2-Clause */
/* getsockopt, setsockopt, ioctl. What A itself must know is set there, too. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "run/calls.h"
#include "run/notify.h"
#include "run/pair.h"

#define VALUE_MAX 1024 /* bytes of any option's value */

/* Answered while the kernel's own error on A is pending, once. A reset after the peer's FIN leaves
 * no error on A. */
int option_error_take(struct pair *pair, int a)
{
    int native = 0, error = pair->so_error;
    socklen_t len = sizeof native;

    getsockopt(a, SOL_SOCKET, SO_ERROR, &native, &len);
    pair->so_error = 0;
    return native || error == EPIPE ? error : 0;
}

/* Options that the stack cannot know. True: `value` is filled. */
static bool own_option(struct call *call, int name, void *value, socklen_t *len)
{
    struct pair *pair = call->pair;
    struct {
        int32_t pid, uid, gid;
    } nobody = {0, -1, -1}; /* as on TCP; A itself would name the supervisor */

    switch (name) {
    case SO_ERROR:
        if (pair->kind != PAIR_DEAD)
            return false;
        *(int *)value = option_error_take(pair, call->a);
        *len = *len < sizeof(int) ? *len : sizeof(int);
        return true;
    case SO_COOKIE:
        *(uint64_t *)value = pair->cookie;
        *len = *len < sizeof(uint64_t) ? *len : sizeof(uint64_t);
        return true;
    case SO_PEERCRED:
        *len = *len < sizeof nobody ? *len : sizeof nobody;
        __builtin_memcpy(value, &nobody, *len);
        return true;
    case SO_RCVLOWAT:
        return getsockopt(call->a, SOL_SOCKET, name, value, len) == 0;
    default:
        return false;
    }
}

void call_getsockopt(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    int level = (int)call->args[1], name = (int)call->args[2], room, result;
    uint64_t value[VALUE_MAX / sizeof(uint64_t)] = {0};
    socklen_t len;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    result = call_read(call, call->args[4], &room, sizeof room);
    if (result == 0 && room < 0)
        result = -EINVAL;
    len = result == 0 && room < VALUE_MAX ? (socklen_t)room : VALUE_MAX;
    if (result == 0 && (level != SOL_SOCKET || !own_option(call, name, value, &len)))
        result = lastack_getsockopt(s->process, pair->fd, level, name, value, &len);
    if (result == 0)
        result = call_write_value(call, call->args[3], call->args[4], value, len, false);
    call_answer(s, call, result);
}

void call_setsockopt(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    int level = (int)call->args[1], name = (int)call->args[2], result;
    uint64_t value[VALUE_MAX / sizeof(uint64_t)] = {0};
    int len = (int)call->args[4];

    if (!pair) {
        call_continue(s, call);
        return;
    }
    result = len < 0 || len > VALUE_MAX ? -EINVAL
                                        : call_read(call, call->args[3], value, (size_t)len);
    if (result == 0 && level == SOL_SOCKET && name == SO_RCVLOWAT)
        result = setsockopt(call->a, level, name, value, (socklen_t)len) == 0 ? 0 : -errno;
    else if (result == 0)
        result = lastack_setsockopt(s->process, pair->fd, level, name, value, (socklen_t)len);
    call_answer(s, call, result);
}

/* SIOCOUTQ and SIOCOUTQNSD: what waits in the stack, and what has not even reached it. */
void call_ioctl(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    int queued = 0, value = 0, result;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    result = lastack_ioctl(s->process, pair->fd, (unsigned long)call->args[1], &value);
    if (result == 0 && pair->kind == PAIR_CONNECTED && pair->b >= 0 &&
        ioctl(pair->b, FIONREAD, &queued) == 0)
        value += queued - (pair->token ? 1 : 0);
    if (result == 0)
        result = call_write(call, call->args[2], &value, sizeof value);
    call_answer(s, call, result);
}
