/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connect. While a non-blocking attempt runs, A must not be writable: bytes of ours fill a quarter
 * of its send buffer, where the kernel draws that line. Success takes them out again, which is the
 * one EPOLLOUT edge; failure closes B with them unread, which is POLLERR and POLLHUP.
 * Exactly one edge needs exactly one kernel buffer, and only sendfile makes one that large.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/calls.h"
#include "run/ending.h"
#include "run/held.h"
#include "run/notify.h"
#include "run/pair.h"
#include "run/pump.h"
#include "run/task.h"
#include "run/watch.h"

#define FILL_LEN (56u << 10) /* > A_SEND_BUFFER / 4, <= 16 pages */

static int filler(struct supervisor *s)
{
    if (s->filler < 0) {
        s->filler = memfd_create("lastack-filler", MFD_CLOEXEC);
        if (s->filler >= 0 && ftruncate(s->filler, FILL_LEN) != 0) {
            close(s->filler);
            s->filler = -1;
        }
    }
    return s->filler;
}

static void connect_fill(struct supervisor *s, struct pair *pair, int a)
{
    char scrap[4096];
    off_t from = 0;
    ssize_t len;

    if (pair->fill_len)
        return;
    while (recv(pair->b, scrap, sizeof scrap, MSG_DONTWAIT) > 0)
        ; /* written before connect: not possible on TCP, so nobody misses it */
    len = sendfile(a, filler(s), &from, FILL_LEN);
    pair->fill_len = len > 0 ? (uint32_t)len : 0;
}

static void connect_unfill(struct pair *pair)
{
    char scrap[FILL_LEN];
    ssize_t len = 1;

    for (; pair->fill_len && len > 0; pair->fill_len -= len > 0 ? (uint32_t)len : 0)
        len = recv(pair->b, scrap, pair->fill_len, MSG_DONTWAIT);
    pair->fill_len = 0;
}

static void connect_succeeded(struct supervisor *s, struct pair *pair)
{
    pair->kind = PAIR_CONNECTED;
    pair->connect_async = false;
    connect_unfill(pair);
    watch_start(s, pair);
    pump_down(s, pair); /* rule 2 */
    if (!pair->gone)
        pump_up(s, pair);
}

static void connect_failed(struct supervisor *s, struct pair *pair, int error)
{
    if (!pair->connect_async) {
        pair->kind = PAIR_FRESH; /* it was told; it may try again */
        return;
    }
    pair->so_error = error;
    pair->connect_async = false;
    pair->fill_len = 0;
    pair_cut(s, pair);
}

/* Whoever waits for it hears how it went. */
static void connect_answer(struct supervisor *s, struct pair *pair, int result)
{
    struct held *held;

    while ((held = held_first(pair))) {
        struct call call = held_take(s, held);

        call_answer_once(s, &call, result);
    }
}

void connect_ready(struct supervisor *s, struct pair *pair, uint32_t events)
{
    struct held *held = held_first(pair);
    socklen_t len = sizeof(int);
    int error = 0;

    if (!(events & (POLLOUT | POLLERR | POLLHUP)))
        return;
    if (held) {
        supervisor_act_as(s, held->call.pid);
        error = -lastack_connect(s->process, pair->fd, (struct sockaddr *)&held->address,
                                 sizeof held->address);
        if (error == EALREADY || error == EINPROGRESS)
            return;
        error = error == EISCONN ? 0 : error;
    } else {
        lastack_getsockopt(s->process, pair->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error == 0 && !(events & POLLOUT))
            return;
    }
    if (error) {
        connect_abort(s, pair, error);
        return;
    }
    connect_succeeded(s, pair);
    connect_answer(s, pair, 0);
}

void connect_abort(struct supervisor *s, struct pair *pair, int error)
{
    connect_failed(s, pair, error);
    connect_answer(s, pair, -error);
    if (pair->hung_up && !pair->gone)
        ending_last_close(s, pair);
}

void connect_detach(struct supervisor *s, struct call *call)
{
    struct pair *pair = call->pair;

    if (pair->kind != PAIR_CONNECTING || !list_empty(&pair->waiting))
        return;
    pair->connect_async = true;
    if (call_pair(s, call, (int)call->args[0]) == pair)
        connect_fill(s, pair, call->a);
}

/* A new attempt on a socket whose B had to be closed: it gets a new pair under the same number. */
static struct pair *connect_renew(struct supervisor *s, struct call *call)
{
    int at = (int)call->args[0], fd = lastack_socket(s->process, AF_INET, SOCK_STREAM, 0), copy;
    struct pair *pair = fd < 0 ? NULL : pair_create(s, fd);

    if (!pair)
        return NULL;
    fcntl(pair->a, F_SETFL, fcntl(call->a, F_GETFL) & O_NONBLOCK);
    copy = fcntl(pair->a, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || call_replace_descriptor(s, call, pair->a, at,
                                task_descriptor_close_on_exec(call->tid, at)) < 0) {
        if (copy >= 0)
            close(copy);
        lastack_close(s->process, fd);
        pair_bury(s, pair);
        return NULL;
    }
    pair_given(s, pair, call->pid, at);
    call_release(call);
    call->a = copy;
    call->pair = pair;
    s->dead_look_ns = 0;
    return pair;
}

/* The attempt runs: wait, or come back later. */
static void connect_waits(struct supervisor *s, struct call *call, int result,
                          const struct sockaddr_storage *address)
{
    struct pair *pair = call->pair;
    struct held *held;

    pair->kind = PAIR_CONNECTING;
    if (call_nonblocking(call)) {
        pair->connect_async = true;
        connect_fill(s, pair, call->a);
        call_answer(s, call, result);
        return;
    }
    pair_buffer_raise(call->a);
    held = held_add(s, call, SO_SNDTIMEO);
    if (!held)
        return;
    held->expired = result;
    memcpy(&held->address, address, sizeof held->address);
}

void call_connect(struct supervisor *s, struct call *call)
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
    if (result == 0 && pair->kind == PAIR_DEAD)
        result = -option_error_take(pair, call->a); /* the last attempt's, once */
    if (result == 0 && pair->kind == PAIR_DEAD && !(pair = connect_renew(s, call)))
        result = -ENOBUFS;
    if (result == 0)
        result = lastack_connect(s->process, pair->fd, (struct sockaddr *)&address,
                                 (socklen_t)call->args[2]);
    if (result == -EINPROGRESS || (result == -EALREADY && pair->kind == PAIR_CONNECTING)) {
        connect_waits(s, call, result, &address);
        return;
    }
    if (result == 0 && pair->kind == PAIR_FRESH && address.ss_family == AF_INET)
        connect_succeeded(s, pair);
    call_answer_once(s, call, result);
}
