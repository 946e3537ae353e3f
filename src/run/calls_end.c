/* SPDX-License-Identifier: BSD-2-Clause */
/* shutdown, close, the birth of a process, and sendto with an address. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "run/calls.h"
#include "run/ending.h"
#include "run/held.h"
#include "run/notify.h"
#include "run/pair.h"
#include "run/pump.h"
#include "run/task.h"
#include "run/watch.h"

#define SENDTO_MAX (128u << 10) /* bytes of one call; more is a short write */

void call_shutdown(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);

    if (!pair) {
        call_continue(s, call);
        return;
    }
    if (call_repeated(s, call))
        return;
    call_answer_once(s, call, ending_shutdown(s, call, (int)call->args[1]));
}

/* The kernel closes; we only want to know who closed what. */
void call_close_watched(struct supervisor *s, struct call *call)
{
    int fd = (int)call->args[0];

    if (s->pair_cnt && call_pair(s, call, fd))
        ending_close_seen(s, call, fd);
    call_continue(s, call);
}

/* A process (or a thread, or a program after exec) begins: it has what its parent has. */
void call_process_begins(struct supervisor *s, struct call *call)
{
    if (s->pair_cnt && call->tid == call->pid)
        watch_fork(s, task_parent(call->pid), call->pid);
    call_continue(s, call);
}

/* TCP ignores the address. */
void call_sendto(struct supervisor *s, struct call *call)
{
    struct pair *pair = call_pair(s, call, (int)call->args[0]);
    size_t len = call->args[2] < SENDTO_MAX ? (size_t)call->args[2] : SENDTO_MAX;
    bool waits;
    void *data;
    ssize_t sent;

    if (!pair) {
        call_continue(s, call);
        return;
    }
    if (pair->kind != PAIR_CONNECTED && pair->kind != PAIR_CONNECTING) {
        call_answer(s, call, -EPIPE);
        return;
    }
    data = malloc(len ? len : 1);
    sent = !data ? -ENOMEM : call_read(call, call->args[1], data, len);
    if (sent == 0) {
        sent = send(call->a, data, len, ((int)call->args[3] & MSG_OOB) | MSG_DONTWAIT | MSG_NOSIGNAL);
        sent = sent < 0 ? -errno : sent;
    }
    free(data);
    waits = pair->kind == PAIR_CONNECTED && !call_nonblocking(call) &&
            !((int)call->args[3] & MSG_DONTWAIT);
    if (sent == -EAGAIN && waits)
        held_add(s, call, SO_SNDTIMEO); /* tried again at each look */
    else
        call_answer(s, call, sent);
}
