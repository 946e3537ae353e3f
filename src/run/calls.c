/* SPDX-License-Identifier: BSD-2-Clause */
/* Which handler takes which call, and rule 3: an answer that nobody heard is given again. */
#include "run/calls.h"

#include <sys/syscall.h>

#include "run/notify.h"

void call_handle(struct supervisor *s, struct call *call)
{
    supervisor_act_as(s, call->pid);
    switch (call->nr) {
    case __NR_socket:
        return call_socket(s, call);
    case __NR_bind:
        return call_bind(s, call);
    case __NR_listen:
        return call_listen(s, call);
    case __NR_accept:
    case __NR_accept4:
        return call_accept(s, call);
    case __NR_connect:
        return call_connect(s, call);
    case __NR_shutdown:
        return call_shutdown(s, call);
    case __NR_close:
        return call_close_watched(s, call);
    case __NR_set_robust_list:
        return call_process_begins(s, call);
    case __NR_getsockname:
        return call_getsockname(s, call);
    case __NR_getpeername:
        return call_getpeername(s, call);
    case __NR_getsockopt:
        return call_getsockopt(s, call);
    case __NR_setsockopt:
        return call_setsockopt(s, call);
    case __NR_ioctl:
        return call_ioctl(s, call);
    case __NR_sendto:
        return call_sendto(s, call);
    default:
        call_continue(s, call);
    }
}

bool call_repeated(struct supervisor *s, struct call *call)
{
    struct pair *pair = call->pair;

    if (pair->lost_tid != (uint32_t)call->tid || pair->lost_nr != call->nr)
        return false;
    if (call_answer(s, call, pair->lost_value))
        pair->lost_tid = 0;
    return true;
}

void call_answer_once(struct supervisor *s, struct call *call, int64_t value)
{
    struct pair *pair = call->pair;

    pair->lost_tid = 0;
    if (call_answer(s, call, value))
        return;
    pair->lost_tid = (uint32_t)call->tid;
    pair->lost_nr = call->nr;
    pair->lost_value = value;
}
