/* SPDX-License-Identifier: BSD-2-Clause */
/* socket, bind, getsockname, getpeername. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/calls.h"
#include "run/notify.h"
#include "run/pair.h"

/* The filter lets only IPv4 streams come here. */
void call_socket(struct supervisor *s, struct call *call)
{
    int flags = (int)call->args[1];
    int fd = lastack_socket(s->process, (int)call->args[0], flags & ~SOCK_CLOEXEC,
                            (int)call->args[2]);
    struct pair *pair;
    int given;

    if (fd < 0) {
        call_answer(s, call, fd);
        return;
    }
    pair = pair_create(s, fd);
    if (!pair) {
        given = -errno;
        lastack_close(s->process, fd);
        call_answer(s, call, given);
        return;
    }
    if (flags & SOCK_NONBLOCK)
        fcntl(pair->a, F_SETFL, O_NONBLOCK);
    given = call_answer_descriptor(s, call, pair->a, flags & SOCK_CLOEXEC);
    if (given >= 0) {
        pair_given(s, pair, call->pid, given);
        return;
    }
    lastack_close(s->process, fd);
    pair_bury(s, pair);
    if (given != -ENOENT)
        call_answer(s, call, given);
}

void call_bind(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    struct sockaddr_storage address;
    int result;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    if (call_repeated(s, call))
        return;
    result = call_read_address(call, call->args[1], call->args[2], &address);
    if (result == 0)
        result = lastack_bind(s->process, pair->fd, (struct sockaddr *)&address,
                              (socklen_t)call->args[2]);
    call_answer_once(s, call, result);
}

static void call_name(struct supervisor *s, struct call *call,
                      int (*get)(lastack_process *, int, struct sockaddr *, socklen_t *))
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int result;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    result = get(s->process, pair->fd, (struct sockaddr *)&address, &len);
    if (result == 0)
        result = call_write_value(call, call->args[1], call->args[2], &address, len, true);
    call_answer(s, call, result);
}

void call_getsockname(struct supervisor *s, struct call *call)
{
    call_name(s, call, lastack_getsockname);
}

void call_getpeername(struct supervisor *s, struct call *call)
{
    call_name(s, call, lastack_getpeername);
}
