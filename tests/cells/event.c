/* SPDX-License-Identifier: BSD-2-Clause */
/* How each event of the matrix is brought about. */
#include "event.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "cell.h"

/* ---- user calls --------------------------------------------------------- */

static int call_OPEN(struct cell *c)
{
    return world_connect(&c->w, c->fd);
}

static int call_OPEN_AGAIN(struct cell *c)
{
    world_connect(&c->w, c->fd);
    return world_connect(&c->w, c->fd);
}

static int call_LISTEN(struct cell *c)
{
    return lastack_listen(c->w.process, c->fd, 5);
}

static int call_SEND(struct cell *c)
{
    return (int)lastack_send(c->w.process, c->fd, "hello", 5, MSG_NOSIGNAL);
}

static int call_RECEIVE(struct cell *c)
{
    uint8_t data[100];
    ssize_t got = lastack_recv(c->w.process, c->fd, data, sizeof(data), 0);

    for (ssize_t i = 0; i < got; i++)
        if (data[i] != peer_byte(c->w.irs + 1 + (uint32_t)i))
            c->extra = "the bytes received are not the peer's";
    return (int)got;
}

static int call_RECEIVE_DATA(struct cell *c)
{
    return call_RECEIVE(c);
}

static int call_SHUTDOWN_WR(struct cell *c)
{
    return lastack_shutdown(c->w.process, c->fd, SHUT_WR);
}

static int call_SHUTDOWN_RD(struct cell *c)
{
    return lastack_shutdown(c->w.process, c->fd, SHUT_RD);
}

static int call_SHUTDOWN_RD_UNREAD(struct cell *c)
{
    return lastack_shutdown(c->w.process, c->fd, SHUT_RD);
}

static int call_SHUTDOWN_RDWR(struct cell *c)
{
    return lastack_shutdown(c->w.process, c->fd, SHUT_RDWR);
}

static int call_SHUTDOWN_SHARED(struct cell *c)
{
    return lastack_shutdown(c->w.process, c->fd, SHUT_WR);
}

static int close_fd(struct cell *c)
{
    int fd = c->fd;

    c->fd = c->w.fd = c->w.listener = -1;
    return lastack_close(c->w.process, fd);
}

static int call_CLOSE_LAST(struct cell *c)
{
    return close_fd(c);
}

static int call_CLOSE_SHARED(struct cell *c)
{
    int result = close_fd(c);

    if (world_holder_cnt(&c->w, c->socket_id) != 1)
        c->extra = "the child is not the one holder that stays";
    return result;
}

static int call_CLOSE_UNREAD(struct cell *c)
{
    return close_fd(c);
}

static int call_CLOSE_LINGER_0(struct cell *c)
{
    return close_fd(c);
}

static int call_END_WR(struct cell *c)
{
    return lastack_end(c->w.stack, world_id(&c->w), SHUT_WR);
}

static int call_END_RDWR(struct cell *c)
{
    return lastack_end(c->w.stack, world_id(&c->w), SHUT_RDWR);
}

static int call_ABORT(struct cell *c)
{
    return lastack_end(c->w.stack, world_id(&c->w), LASTACK_END_RST);
}

static int call_STATUS(struct cell *c)
{
    struct lastack_info info, same;

    memset(&info, 0, sizeof(info));
    if (!world_info(&c->w, &info)) {
        if (c->column != COLUMN_CLOSED)
            c->extra = "no entry";
        return 0;
    }
    if (info.state != column_state(c->column))
        c->extra = "another state";
    else if (info.orphan != (c->column >= COLUMN_FIN_WAIT_1_ORPHAN) &&
             info.state != LASTACK_TIME_WAIT)
        c->extra = "orphan is wrong";
    else if (c->column >= COLUMN_ESTABLISHED && info.state != LASTACK_TIME_WAIT &&
             info.passive != c->passive)
        c->extra = "passive is wrong";
    else if (info.id && lastack_info_get(c->w.stack, info.id, &same) != 0)
        c->extra = "lastack_info_get does not know it";
    else if (info.id && (same.state != info.state || same.socket_id != info.socket_id))
        c->extra = "lastack_info_get says something else";
    return 0;
}

#define CALL(name, columns, setup)                                                                 \
    static void apply_##name(struct cell *c)                                                       \
    {                                                                                              \
        c->has_result = true;                                                                      \
        c->result = call_##name(c);                                                                \
        world_collect(&c->w);                                                                      \
    }
#define SEGMENT(name, flags, seq, len, ack, prepare)
#define SEGMENT_SPECIAL(name)
#define TIMEOUT(name, setup, configure, prepare)
#include "event.def"
#undef CALL
#undef SEGMENT
#undef SEGMENT_SPECIAL
#undef TIMEOUT

/* ---- segments ----------------------------------------------------------- */

struct numbers {
    uint32_t irs, rcv, edge, una, nxt, norm;
};

static struct numbers numbers_of(const struct cell *c)
{
    const struct world *w = &c->w;
    struct numbers n = {.irs = w->irs, .rcv = w->rcv_nxt, .edge = w->rcv_nxt + w->rcv_wnd,
                        .una = w->snd_una, .nxt = w->snd_nxt, .norm = w->snd_una};

    if (c->column == COLUMN_SYN_SENT || column_state(c->column) == LASTACK_SYN_RCVD)
        n.norm = n.nxt;
    return n;
}

/* Whether the peer's SYN is still to come. */
static bool before_syn(const struct cell *c)
{
    return c->column <= COLUMN_SYN_SENT;
}

static void segment_RST_EXACT(struct cell *c)
{
    if (c->column == COLUMN_SYN_SENT)
        peer_send(&c->w, TCP_RST | TCP_ACK, 0, c->w.snd_nxt, 0);
    else
        peer_send(&c->w, TCP_RST, c->w.rcv_nxt, 0, 0);
}

/* In SYN_SENT: without the ACK that would prove it. */
static void segment_RST_INEXACT(struct cell *c)
{
    peer_send(&c->w, TCP_RST, c->w.rcv_nxt + 1, 0, 0);
}

static void segment_RST_OUTSIDE(struct cell *c)
{
    if (c->column == COLUMN_SYN_SENT)
        peer_send(&c->w, TCP_RST | TCP_ACK, 0, c->w.snd_nxt + 5, 0);
    else
        peer_send(&c->w, TCP_RST, c->w.rcv_nxt + c->w.rcv_wnd + 10, 0, 0);
}

static void segment_RST_BEFORE(struct cell *c)
{
    if (c->column == COLUMN_SYN_SENT)
        peer_send(&c->w, TCP_RST | TCP_ACK, 0, c->w.snd_una, 0);
    else
        peer_send(&c->w, TCP_RST, c->w.rcv_nxt - 1, 0, 0);
}

static void segment_SYN_IN_WINDOW(struct cell *c)
{
    peer_send(&c->w, TCP_SYN, before_syn(c) ? c->w.irs : c->w.rcv_nxt + 100, 0, 0);
}

static void segment_SYN_FIN(struct cell *c)
{
    peer_send(&c->w, TCP_SYN | TCP_FIN, before_syn(c) ? c->w.irs : c->w.rcv_nxt + 100, 0, 0);
}

static void segment_WINDOW_ZERO(struct cell *c)
{
    struct lastack_info info;

    c->w.peer_wnd = 0;
    peer_send(&c->w, TCP_ACK, c->w.rcv_nxt, numbers_of(c).norm, 0);
    if (c->column >= COLUMN_ESTABLISHED && column_state(c->column) != LASTACK_TIME_WAIT &&
        world_info(&c->w, &info) && info.send_window != 0)
        c->extra = "the send window is not zero";
}

/* Urgent data stays in the stream (RFC 6093 3.2). */
static void segment_URGENT(struct cell *c)
{
    struct wire_segment s = {.flags = TCP_ACK | TCP_PSH | TCP_URG, .seq = c->w.rcv_nxt,
                             .ack = numbers_of(c).norm, .wnd = c->w.peer_wnd, .up = 3, .len = 5,
                             .wscale = TCP_WSCALE_NONE};

    for (unsigned i = 0; i < 5; i++)
        s.data[i] = peer_byte(s.seq + i);
    peer_put_segment(&c->w, &s);
    world_collect(&c->w);
}

static void segment_BAD_CHECKSUM(struct cell *c)
{
    c->w.bad_checksum = true;
    peer_send(&c->w, TCP_ACK | TCP_PSH, c->w.rcv_nxt, numbers_of(c).norm, 5);
}

static void segment_send(struct cell *c, uint8_t flags, uint32_t seq, uint32_t len, uint32_t ack)
{
    peer_send(&c->w, flags, seq, ack, len);
}

#define CALL(name, columns, setup)
#define SEGMENT(name, flags, seq, len, ack, prepare)                                               \
    static void apply_##name(struct cell *c)                                                       \
    {                                                                                              \
        struct numbers n = numbers_of(c);                                                          \
        uint32_t irs = n.irs, rcv = n.rcv, edge = n.edge, una = n.una, nxt = n.nxt, norm = n.norm; \
                                                                                                   \
        (void)irs, (void)rcv, (void)edge, (void)una, (void)nxt, (void)norm;                        \
        segment_send(c, flags, seq, len, ack);                                                     \
    }
#define SEGMENT_SPECIAL(name)                                                                      \
    static void apply_##name(struct cell *c)                                                       \
    {                                                                                              \
        segment_##name(c);                                                                         \
    }
#define TIMEOUT(name, setup, configure, prepare)
#include "event.def"
#undef CALL
#undef SEGMENT
#undef SEGMENT_SPECIAL
#undef TIMEOUT

/* ---- timeouts ----------------------------------------------------------- */

static void short_msl(struct lastack_config *config)
{
    config->msl_ms = 1000;
}

static void short_fin_wait(struct lastack_config *config)
{
    config->orphan_fin_wait_ms = 1500;
}

static void delayed_ack(struct lastack_config *config)
{
    config->delayed_ack_ms = 40;
}

static bool sends(const struct cell *c)
{
    return c->column == COLUMN_ESTABLISHED || c->column == COLUMN_CLOSE_WAIT;
}

/* Five bytes in flight, where the state lets a program send. */
static void outstanding(struct cell *c)
{
    if (!sends(c))
        return;
    REQUIRE_EQ(world_send(&c->w, 5), 5);
    REQUIRE_EQ(world_last(&c->w)->len, 5);
}

/* The peer closes its window; then five bytes are queued, where the state lets a program send. */
static void zero_window(struct cell *c)
{
    enum lastack_state state = column_state(c->column);

    if (c->column < COLUMN_ESTABLISHED || state == LASTACK_TIME_WAIT)
        return;
    c->w.peer_wnd = 0;
    peer_send(&c->w, TCP_ACK, c->w.rcv_nxt, c->w.snd_una, 0);
    world_forget(&c->w);
    if (sends(c)) {
        REQUIRE_EQ(world_send(&c->w, 5), 5);
        REQUIRE_EQ(c->w.sent_cnt, 0);
    }
}

/* The way into the state has taken one round trip since the segment that the timer is for. */
static void timeout_RETRANSMISSION(struct cell *c)
{
    world_advance(&c->w, WORLD_RTO + 5 * MS);
}

static void timeout_RETRANSMISSION_LIMIT(struct cell *c)
{
    world_advance(&c->w, 20 * SECOND);
}

static void timeout_USER_TIMEOUT(struct cell *c)
{
    world_advance(&c->w, 2900 * MS);
}

static void timeout_TIME_WAIT(struct cell *c)
{
    world_advance(&c->w, 1900 * MS);
    if (column_state(c->column) == LASTACK_TIME_WAIT && world_state(&c->w) != LASTACK_TIME_WAIT)
        c->extra = "TIME_WAIT was over too early";
    world_advance(&c->w, 200 * MS);
}

static void timeout_PROBE(struct cell *c)
{
    world_advance(&c->w, WORLD_RTO + 5 * MS);
}

/* With the data that is to be acknowledged, in the states that take data for a program. */
static void timeout_DELAYED_ACK(struct cell *c)
{
    if (c->column == COLUMN_ESTABLISHED || c->column == COLUMN_FIN_WAIT_1 ||
        c->column == COLUMN_FIN_WAIT_2)
        peer_send(&c->w, TCP_ACK | TCP_PSH, c->w.rcv_nxt, c->w.snd_una, 5);
    world_advance(&c->w, 40 * MS);
}

static void timeout_KEEPALIVE_LIMIT(struct cell *c)
{
    world_advance(&c->w, 20 * SECOND);
}

static void timeout_FIN_WAIT_2_ORPHAN(struct cell *c)
{
    world_advance(&c->w, 1600 * MS);
}

static void timeout_LINGER(struct cell *c)
{
    if (c->fd >= 0) {
        c->has_result = true;
        c->result = close_fd(c);
    }
    world_advance(&c->w, 1100 * MS);
    c->lingered = c->w.lingered;
}

#define CALL(name, columns, setup)
#define SEGMENT(name, flags, seq, len, ack, prepare)
#define SEGMENT_SPECIAL(name)
#define TIMEOUT(name, setup, configure, prepare)                                                   \
    static void apply_##name(struct cell *c)                                                       \
    {                                                                                              \
        timeout_##name(c);                                                                         \
    }
#include "event.def"
#undef CALL
#undef SEGMENT
#undef SEGMENT_SPECIAL
#undef TIMEOUT

const struct event events[] = {
#define CALL(name, columns, setup) {#name, columns, setup, NULL, NULL, apply_##name},
#define SEGMENT(name, flags, seq, len, ack, prepare) {#name, ALL, 0, NULL, prepare, apply_##name},
#define SEGMENT_SPECIAL(name) {#name, ALL, 0, NULL, NULL, apply_##name},
#define TIMEOUT(name, setup, configure, prepare)                                                   \
    {#name, ALL, setup, configure, prepare, apply_##name},
#include "event.def"
#undef CALL
#undef SEGMENT
#undef SEGMENT_SPECIAL
#undef TIMEOUT
};
const unsigned event_cnt = EVENT_CNT;
