/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the oracles bite? Every call and verb that matters goes through here, and one deliberate
 * fault at a time can be switched on (`sim --fault NAME`). Without one, all of it is
 * transparent.
 */
#include "sim.h"

static const struct {
    const char *name, *text;
} faults[FAULT_CNT] = {
    [FAULT_NONE] = {"NONE", "nothing is broken"},
#define FAULT(n, t) [FAULT_##n] = {#n, t},
#include "fault.def"
#undef FAULT
};

const char *fault_name(enum fault fault)
{
    return fault < FAULT_CNT ? faults[fault].name : NULL;
}

const char *fault_text(enum fault fault)
{
    return faults[fault].text;
}

/* Now? One of `odds` occasions; counts. */
static bool strikes(struct world *w, enum fault fault, uint32_t odds)
{
    if (w->fault != fault || rng_below(&w->fault_rng, odds) != 0)
        return false;
    w->fault_cnt++;
    STORY(w, "      (fault: %s)", fault_text(fault));
    return true;
}

static ssize_t bend_data(struct world *w, uint8_t *data, ssize_t got, size_t len)
{
    if (got >= 2 && strikes(w, FAULT_RECV_LOSE_BYTE, 4)) {
        memmove(data, data + 1, (size_t)got - 1);
        return got - 1;
    }
    if ((size_t)got < len && strikes(w, FAULT_RECV_REPEAT_BYTE, 4)) {
        memmove(data + 1, data, (size_t)got);
        return got + 1;
    }
    if (strikes(w, FAULT_RECV_FLIP, 4))
        data[got / 2] ^= 0x10;
    if (got >= 2 && data[0] != data[1] && strikes(w, FAULT_RECV_SWAP, 4)) {
        uint8_t first = data[0];
        data[0] = data[1];
        data[1] = first;
    }
    return got;
}

ssize_t fault_recv(struct world *w, lastack_process *p, int fd, void *data, size_t len, int flags)
{
    ssize_t got = lastack_recv(p, fd, data, len, flags);
    if (w->fault == FAULT_NONE)
        return got;
    if (got > 0)
        return strikes(w, FAULT_EOF_EARLY, 8) ? 0 : bend_data(w, data, got, len);
    if (got == 0 && strikes(w, FAULT_EOF_REPLACED, 2))
        return -EAGAIN;
    if (got == -EAGAIN && strikes(w, FAULT_ERROR_INVENTED, 8))
        return -ECONNRESET;
    if (got == -EAGAIN && strikes(w, FAULT_TIMEOUT_INVENTED, 8))
        return -ETIMEDOUT;
    if (got == 0 && w->fault == FAULT_ERROR_REPEATED) {
        struct sock *s = sock_by_id(w, &w->host[0], lastack_socket_id(p, fd));
        if (s && s->error_cnt && s->error != EPIPE && strikes(w, FAULT_ERROR_REPEATED, 1))
            return -s->error;
    }
    return got;
}

ssize_t fault_send(struct world *w, lastack_process *p, int fd, const void *data, size_t len,
                   int flags)
{
    ssize_t took = lastack_send(p, fd, data, len, flags);
    if (took > 0 && (size_t)took < len && strikes(w, FAULT_SEND_OVERCLAIM, 4))
        return took + 1;
    return took;
}

int fault_close(struct world *w, struct proc *p, int fd, bool last)
{
    enum sock_kind kind = p->fds[fd].s->kind;
    if (!last && kind == SOCK_CONNECTED && strikes(w, FAULT_CLOSE_EARLY, 2))
        lastack_shutdown(p->p, fd, SHUT_WR);
    if (last && kind == SOCK_CONNECTED && strikes(w, FAULT_CLOSE_IS_RESET, 2)) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        lastack_setsockopt(p->p, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (last && kind == SOCK_CONNECTED && strikes(w, FAULT_CLOSE_LEAK, 2))
        (void)lastack_message_put(p->p, fd);
    return lastack_close(p->p, fd);
}

lastack_process *fault_fork(struct world *w, lastack_process *p, uint32_t pid)
{
    lastack_process *child = lastack_fork(p, pid);
    for (int fd = 0; child && fd < FD_MAX && w->fault == FAULT_FORK_SHUTS; fd++) {
        struct lastack_info info;
        uint64_t cursor = 0, id = lastack_socket_id(child, fd);
        while (id && lastack_info_next(w->host[0].stack, &cursor, &info))
            if (info.socket_id == id && info.state == LASTACK_ESTABLISHED &&
                strikes(w, FAULT_FORK_SHUTS, 1))
                lastack_shutdown(child, fd, SHUT_WR);
    }
    return child;
}

void fault_exit(struct world *w, lastack_process *p)
{
    for (int fd = 0; fd < FD_MAX && w->fault == FAULT_EXIT_LEAK; fd++)
        if (lastack_socket_id(p, fd) && strikes(w, FAULT_EXIT_LEAK, 2))
            (void)lastack_message_put(p, fd);
    lastack_exit(p);
}

/* Change one header field of a frame that is about to leave; sums are put right again. */
static void frame_bend(struct world *w, struct lastack_frame *frame)
{
    static _Thread_local uint8_t bent[65536];
    struct packet_view v;
    size_t len = 0;
    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        memcpy(bent + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        len += frame->iov[i].iov_len;
    }
    if (packet_parse(&v, bent, len, w->plan.checksum_free) || !v.is_tcp || (v.flags & F_SYN))
        return;
    struct packet_view old = v;
    if (!(v.flags & (F_FIN | F_RST)) && strikes(w, FAULT_FRAME_FIN, 8))
        v.flags |= F_FIN;
    if ((v.flags & F_FIN) && strikes(w, FAULT_FRAME_FIN_LOST, 1))
        v.flags &= (uint8_t)~F_FIN;
    if (!(v.flags & F_RST) && strikes(w, FAULT_FRAME_RST, 8))
        v.flags |= F_RST;
    if ((v.flags & F_ACK) && strikes(w, FAULT_FRAME_ACK, 8))
        v.ack += 1;
    if (v.payload_len && strikes(w, FAULT_FRAME_SEQ, 4))
        v.seq += 1;
    if (v.window > 4 && strikes(w, FAULT_FRAME_WINDOW, 8))
        v.window /= 4;
    bool sum = strikes(w, FAULT_FRAME_CHECKSUM, 8);
    if (!sum && !memcmp(&old, &v, sizeof v))
        return;
    static _Thread_local uint8_t made[65536];
    size_t made_len = packet_make(made, &v);
    made[made_len - 1] ^= sum;
    made[36] ^= sum;
    frame->iov[0] = (struct iovec){made, made_len};
    frame->iov_cnt = 1;
    frame->len = (uint32_t)made_len;
}

size_t fault_tx(struct world *w, struct host *host, struct lastack_frame *frames, size_t max)
{
    host->told_ns = w->now;
    bool frame_fault = w->fault >= FAULT_FRAME_FIN && w->fault <= FAULT_FRAME_CHECKSUM;
    size_t cnt = lastack_tx(host->stack, frames, frame_fault ? 1 : max, w->now);
    if (frame_fault && cnt)
        frame_bend(w, &frames[0]);
    return cnt;
}

void fault_rx(struct world *w, struct host *host, struct lastack_frame *frames, size_t cnt)
{
    if (w->fault == FAULT_RX_LOST && w->phase != PHASE_CHAOS && strikes(w, FAULT_RX_LOST, 1))
        return;
    host->told_ns = w->now;
    lastack_rx(host->stack, frames, cnt, w->now);
}

void fault_tick(struct world *w, struct host *host)
{
    if (w->phase != PHASE_CHAOS && strikes(w, FAULT_TICK_LOST, 1))
        return;
    host->told_ns = w->now;
    lastack_tick(host->stack, w->now);
}

uint64_t fault_deadline(struct world *w, lastack *stack)
{
    uint64_t deadline = lastack_deadline(stack);
    if (strikes(w, FAULT_DEADLINE_PAST, 100))
        return w->now;
    if (deadline != LASTACK_NEVER && w->fault == FAULT_DEADLINE_NEVER) {
        w->fault_cnt++;
        return LASTACK_NEVER;
    }
    return deadline;
}

bool fault_event(struct world *w, lastack *stack, struct lastack_event *event)
{
    if (!lastack_event(stack, event))
        return false;
    if (strikes(w, FAULT_EVENT_WRONG, 4))
        event->events ^= POLLIN;
    if (strikes(w, FAULT_EVENT_LOST, 2)) {
        event->socket_id = 0;
        event->events = 0;
    }
    return true;
}

bool fault_record_next(struct world *w, lastack *stack, uint64_t *cursor,
                       struct lastack_record *record)
{
    for (;;) {
        if (!lastack_record_next(stack, cursor, record))
            return false;
        bool edge = record->kind == LASTACK_RECORD_EDGE && record->tuple.remote_port;
        if (edge && strikes(w, FAULT_EDGE_ILLEGAL, 8))
            record->to = LASTACK_LISTEN;
        if (edge && record->cause == LASTACK_CAUSE_FIN && strikes(w, FAULT_CAUSE_WRONG, 1))
            record->cause = LASTACK_CAUSE_RST, record->to = LASTACK_CLOSED;
        if (!edge || record->to == LASTACK_CLOSED || !strikes(w, FAULT_EDGE_LOST, 4))
            return true;
        record->kind = LASTACK_RECORD_CALL;
        return true;
    }
}

bool fault_info_next(struct world *w, lastack *stack, uint64_t *cursor, struct lastack_info *info)
{
    if (!lastack_info_next(stack, cursor, info))
        return false;
    bool connection = info->id && info->state >= LASTACK_ESTABLISHED;
    if (connection && strikes(w, FAULT_INFO_STATE, 4))
        info->state = LASTACK_CLOSING;
    if (connection && strikes(w, FAULT_INFO_QUEUE, 4))
        info->send_queue++;
    if (connection && info->references && strikes(w, FAULT_INFO_REFERENCES, 4))
        info->references++;
    return true;
}

void fault_usage(struct world *w, lastack *stack, struct lastack_usage *usage)
{
    lastack_usage(stack, usage);
    if (strikes(w, FAULT_USAGE_LEAK, 1))
        usage->connections++;
}
