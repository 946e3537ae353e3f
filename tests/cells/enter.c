/* SPDX-License-Identifier: BSD-2-Clause */
/* Ways into the columns of the matrix: legal paths only, each step checked. */
#include "cell.h"

#include <errno.h>
#include <netinet/tcp.h>

static const struct {
    const char *name;
    enum lastack_state state;
} columns[COLUMN_CNT] = {
    [COLUMN_CLOSED] = {"CLOSED", LASTACK_CLOSED},
    [COLUMN_LISTEN] = {"LISTEN", LASTACK_LISTEN},
    [COLUMN_SYN_SENT] = {"SYN_SENT", LASTACK_SYN_SENT},
    [COLUMN_SYN_RCVD] = {"SYN_RCVD", LASTACK_SYN_RCVD},
    [COLUMN_SYN_RCVD_ACTIVE] = {"SYN_RCVD_active", LASTACK_SYN_RCVD},
    [COLUMN_ESTABLISHED] = {"ESTABLISHED", LASTACK_ESTABLISHED},
    [COLUMN_FIN_WAIT_1] = {"FIN_WAIT_1", LASTACK_FIN_WAIT_1},
    [COLUMN_FIN_WAIT_2] = {"FIN_WAIT_2", LASTACK_FIN_WAIT_2},
    [COLUMN_CLOSE_WAIT] = {"CLOSE_WAIT", LASTACK_CLOSE_WAIT},
    [COLUMN_CLOSING] = {"CLOSING", LASTACK_CLOSING},
    [COLUMN_LAST_ACK] = {"LAST_ACK", LASTACK_LAST_ACK},
    [COLUMN_TIME_WAIT] = {"TIME_WAIT", LASTACK_TIME_WAIT},
    [COLUMN_FIN_WAIT_1_ORPHAN] = {"FIN_WAIT_1_orphan", LASTACK_FIN_WAIT_1},
    [COLUMN_FIN_WAIT_2_ORPHAN] = {"FIN_WAIT_2_orphan", LASTACK_FIN_WAIT_2},
    [COLUMN_CLOSING_ORPHAN] = {"CLOSING_orphan", LASTACK_CLOSING},
    [COLUMN_LAST_ACK_ORPHAN] = {"LAST_ACK_orphan", LASTACK_LAST_ACK},
    [COLUMN_TIME_WAIT_ORPHAN] = {"TIME_WAIT_orphan", LASTACK_TIME_WAIT},
};

enum lastack_state column_state(enum column column)
{
    return columns[column].state;
}

const char *column_name(enum column column)
{
    return columns[column].name;
}

static void options_set(struct world *w, int fd, unsigned setup)
{
    if (setup & SETUP_LINGER_0)
        REQUIRE_EQ(world_linger(w, fd, 1, 0), 0);
    if (setup & SETUP_LINGER_1)
        REQUIRE_EQ(world_linger(w, fd, 1, 1), 0);
    if (setup & SETUP_USER_TIMEOUT)
        REQUIRE_EQ(world_set(w, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2500), 0);
    if (setup & SETUP_KEEPALIVE) {
        REQUIRE_EQ(world_set(w, fd, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
        REQUIRE_EQ(world_set(w, fd, IPPROTO_TCP, TCP_KEEPIDLE, 10), 0);
        REQUIRE_EQ(world_set(w, fd, IPPROTO_TCP, TCP_KEEPINTVL, 1), 0);
        REQUIRE_EQ(world_set(w, fd, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
    }
}

/* A descriptor bound to the port of the matrix, with the options. */
static int descriptor_make(struct cell *cell, unsigned setup)
{
    struct world *w = &cell->w;
    int fd = world_socket(w);

    REQUIRE_EQ(world_bind(w, fd, w->local_port), 0);
    options_set(w, fd, setup);
    return fd;
}

static void enter_unsynchronized(struct cell *cell, unsigned setup)
{
    struct world *w = &cell->w;

    cell->fd = descriptor_make(cell, setup);
    w->iss = WORLD_ISS;
    w->snd_una = w->snd_nxt = WORLD_ISS + 1;
    w->rcv_nxt = w->irs + 1;
    w->rcv_wnd = w->config.receive_buffer;
    if (cell->column == COLUMN_CLOSED)
        return;
    if (cell->column == COLUMN_SYN_SENT || cell->column == COLUMN_SYN_RCVD_ACTIVE) {
        w->fd = cell->fd;
        w->snd_una = w->snd_nxt = 0;
        if (cell->column == COLUMN_SYN_SENT)
            world_syn_sent(w);
        else
            world_syn_rcvd_active(w);
        w->rcv_nxt = w->irs + 1;
        return;
    }
    w->listener = cell->fd;
    REQUIRE_EQ(lastack_listen(w->process, w->listener, 8), 0);
    if (cell->column == COLUMN_SYN_RCVD)
        world_syn_rcvd(w);
}

static void enter_established(struct cell *cell, unsigned setup)
{
    struct world *w = &cell->w;

    world_established(w, cell->passive);
    options_set(w, w->fd, setup);
    if (setup & SETUP_UNREAD) {
        peer_data(w, 5);
        REQUIRE_EQ(w->sent_cnt, 1);
        REQUIRE_EQ(world_last(w)->ack, w->irs + 6);
    }
    cell->fd = w->fd;
}

/* Our FIN leaves: by shutdown when a holder stays, by close when none shall. */
static void fin_out(struct cell *cell)
{
    struct world *w = &cell->w;

    world_forget(w);
    if (cell->column >= COLUMN_FIN_WAIT_1_ORPHAN) {
        world_close_fd(w);
        cell->fd = -1;
    } else {
        world_shutdown(w, SHUT_WR);
    }
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_FIN | TCP_ACK);
    w->now_ns += WORLD_RTT;
}

/* The peer's FIN, which may or may not acknowledge ours. */
static void fin_in(struct cell *cell, uint32_t ack)
{
    struct world *w = &cell->w;
    uint32_t before = w->rcv_nxt;

    world_forget(w);
    peer_send(w, TCP_FIN | TCP_ACK, w->rcv_nxt, ack, 0);
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_ACK);
    REQUIRE_EQ(world_last(w)->ack, before + 1);
}

/* TIME_WAIT has two ways in: the passive connections go through FIN_WAIT_2, the active ones
 * through CLOSING. */
static void enter_after_fin(struct cell *cell)
{
    struct world *w = &cell->w;
    enum lastack_state state = column_state(cell->column);
    bool closing = state == LASTACK_CLOSING || (state == LASTACK_TIME_WAIT && !cell->passive);

    fin_out(cell);
    if (state == LASTACK_FIN_WAIT_1)
        return;
    if (closing)
        fin_in(cell, w->snd_una);
    if (state == LASTACK_CLOSING)
        return;
    peer_ack(w);
    if (state == LASTACK_TIME_WAIT && !closing)
        fin_in(cell, w->snd_nxt);
}

static void descriptor_share(struct cell *cell)
{
    lastack_process *child = lastack_fork(cell->w.process, 101);

    REQUIRE(child != NULL);
}

void cell_enter(struct cell *cell)
{
    const struct event *event = &events[cell->row->event];
    struct world *w = &cell->w;

    cell->fd = -1;
    if (cell->column < COLUMN_ESTABLISHED) {
        enter_unsynchronized(cell, event->setup);
    } else {
        unsigned setup = event->setup;

        if (cell->column >= COLUMN_FIN_WAIT_1_ORPHAN)
            setup &= SETUP_USER_TIMEOUT;
        enter_established(cell, setup);
        switch (column_state(cell->column)) {
        case LASTACK_ESTABLISHED:
            break;
        case LASTACK_CLOSE_WAIT:
            fin_in(cell, w->snd_nxt);
            break;
        case LASTACK_LAST_ACK:
            fin_in(cell, w->snd_nxt);
            fin_out(cell);
            break;
        default:
            enter_after_fin(cell);
        }
    }
    if (event->setup & SETUP_SHARED)
        descriptor_share(cell);
    REQUIRE_EQ(world_state(w), column_state(cell->column));
}
