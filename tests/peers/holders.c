/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds a connection: mistakes of others about references, queues and full tables. */
#include <errno.h>

#include "cells/harness.h"

/* Parent and child hold w->fd. */
static lastack_process *forked(struct world *w)
{
    lastack_process *child;

    world_open(w);
    world_established(w, true);
    child = lastack_fork(w->process, 101);
    REQUIRE(child != NULL);
    return child;
}

/* Both directions work for the holder `process`, and nothing else has left. */
static void still_works(struct world *w, lastack_process *process, int fd)
{
    uint8_t data[100];

    CHECK_EQ(w->sent_cnt, 0);
    CHECK_EQ(world_state(w), LASTACK_ESTABLISHED);
    peer_data(w, 30);
    CHECK_EQ(lastack_recv(process, fd, data, sizeof(data), 0), 30);
    world_forget(w);
    CHECK_EQ(lastack_send(process, fd, "reply", 5, 0), 5);
    world_collect(w);
    CHECK_EQ(world_sent_bytes(w), 5);
    CHECK_EQ(world_last(w)->flags & TCP_FIN, 0);
    peer_ack(w);
    world_forget(w);
}

TEST(xia_25_parents_close_tears_down_the_childs_connection)
{
    struct world w;
    lastack_process *child = forked(&w);

    CHECK_EQ(lastack_close(w.process, w.fd), 0);
    world_collect(&w);
    still_works(&w, child, w.fd);
    CHECK_EQ(lastack_close(child, w.fd), 0);
    world_collect(&w);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    world_close(&w);
}

TEST(fstack_887_childs_exit_tears_down_the_parents_connection)
{
    struct world w;
    lastack_process *child = forked(&w);

    lastack_exit(child);
    world_collect(&w);
    still_works(&w, w.process, w.fd);
    world_close_fd(&w);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    world_close(&w);
}

TEST(nanvix_2609_close_of_a_duplicate_tears_down_the_connection)
{
    struct world w;
    int copy;

    world_open(&w);
    world_established(&w, true);
    copy = lastack_dup(w.process, w.fd);
    REQUIRE(copy >= 0);
    CHECK_EQ(lastack_close(w.process, w.fd), 0);
    world_collect(&w);
    still_works(&w, w.process, copy);
    w.fd = copy;
    world_close_fd(&w);
    CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
    world_close(&w);
}

/* A forking server whose children inherit every earlier connection. */
#define GUACAMOLE_CNT 8

static void guacamole_serve(struct world *w, lastack_process **children, int *fds)
{
    world_listen(w, 16);
    for (unsigned i = 0; i < GUACAMOLE_CNT; i++) {
        w->peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        w->snd_una = w->snd_nxt = 0;
        world_handshake(w);
        world_accept(w);
        fds[i] = w->fd;
        children[i] = lastack_fork(w->process, 200 + i);
        REQUIRE(children[i] != NULL);
    }
    for (unsigned i = 0; i < GUACAMOLE_CNT; i++)
        CHECK_EQ(lastack_close(w->process, fds[i]), 0);
    world_forget(w);
    world_collect(w);
}

TEST(guacamole_698_forked_children_keep_every_earlier_connection)
{
    struct world w;
    lastack_process *children[GUACAMOLE_CNT];
    int fds[GUACAMOLE_CNT];
    struct lastack_info info;
    struct lastack_holder holder;
    uint64_t cursor = 0, id;
    uint32_t pids = 0;

    world_open(&w);
    guacamole_serve(&w, children, fds);
    w.peer_port = WORLD_PEER_PORT;
    REQUIRE(world_info(&w, &info));
    id = info.id;
    /* The child that served it closes it: all the others still hold it, and no FIN leaves. */
    CHECK_EQ(lastack_close(children[0], fds[0]), 0);
    world_collect(&w);
    CHECK_EQ(w.sent_cnt, 0);
    REQUIRE_EQ(lastack_info_get(w.stack, id, &info), 0);
    CHECK_EQ(info.references, GUACAMOLE_CNT - 1);
    CHECK_EQ(info.close_left, GUACAMOLE_CNT - 1);
    CHECK_EQ(info.close_pid, 200);
    CHECK_EQ(info.close_fd, fds[0]);
    while (lastack_holder_next(w.stack, info.socket_id, &cursor, &holder)) {
        CHECK_EQ(holder.fd, fds[0]);
        CHECK_EQ(holder.origin, LASTACK_ORIGIN_FORK);
        CHECK_LT(holder.pid - 201, GUACAMOLE_CNT - 1);
        pids |= 1u << (holder.pid - 200);
    }
    CHECK_EQ(pids, (1u << GUACAMOLE_CNT) - 2);
    /* The end comes with the death of the last of them. */
    for (unsigned i = 1; i < GUACAMOLE_CNT; i++) {
        CHECK_EQ(w.sent_cnt, 0);
        lastack_exit(children[i]);
        world_collect(&w);
    }
    CHECK_EQ(world_sent_with(&w, TCP_FIN), 1 + GUACAMOLE_CNT - 1);
    world_close(&w);
}

/* ---- "3000 CLOSE_WAIT with no owner" ------------------------------------ */

static void connect_and_leave(struct world *w, unsigned number)
{
    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    world_handshake(w);
    peer_fin(w);
}

TEST(three_thousand_close_wait_without_owner_were_in_the_accept_queue)
{
    struct world w;
    struct lastack_info info;
    struct lastack_usage usage;

    world_open(&w);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 5; i++)
        connect_and_leave(&w, i);
    for (unsigned i = 0; i < 5; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        REQUIRE(world_info(&w, &info));
        CHECK_EQ(info.state, LASTACK_CLOSE_WAIT);
        CHECK(info.unaccepted);
        CHECK(info.passive);
        CHECK(!info.orphan);
        CHECK_EQ(info.references, 0);
        CHECK_EQ(info.socket_id, 0);
        CHECK(info.fin_in_ns != 0);
    }
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.unaccepted, 5);
    CHECK_EQ(usage.orphans, 0);
    /* the listener says how many wait, and how many may */
    w.peer_port = 1;
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.state, LASTACK_LISTEN);
    CHECK_EQ(info.receive_queue, 5);
    CHECK_EQ(info.send_queue, 8);
    world_close(&w);
}

TEST(three_thousand_close_wait_are_accepted_in_order_and_read_to_the_end)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 5; i++)
        connect_and_leave(&w, i);
    for (unsigned i = 0; i < 5; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        world_accept(&w);
        CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT | POLLRDHUP);
        CHECK_EQ(world_recv_at(&w, 0, 10), 0);
        world_forget(&w);
        world_close_fd(&w);
        CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
        CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
    }
    world_close(&w);
}

TEST(three_thousand_close_wait_are_bounded_by_the_backlog)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_listen(&w, 4);
    for (unsigned i = 0; i < 50; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        w.snd_una = w.snd_nxt = 0;
        world_forget(&w);
        peer_send(&w, TCP_SYN, w.irs, 0, 0);
        if (w.sent_cnt == 0)
            continue;
        peer_ack(&w);
        peer_fin(&w);
    }
    lastack_usage(w.stack, &usage);
    CHECK_GE(usage.unaccepted, 4);
    CHECK_LE(usage.unaccepted, 5); /* Linux: one more than the backlog */
    CHECK_GT(world_dropped(&w, DROP_LISTEN_BACKLOG), 0);
    world_close(&w);
}

TEST(three_thousand_close_wait_end_with_the_listener)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_listen(&w, 8);
    for (unsigned i = 0; i < 5; i++)
        connect_and_leave(&w, i);
    world_forget(&w);
    CHECK_EQ(lastack_close(w.process, w.listener), 0);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 5);
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.connections, 0);
    CHECK_EQ(usage.unaccepted, 0);
    CHECK_EQ(usage.listeners, 0);
    world_close(&w);
}

/* ---- full tables -------------------------------------------------------- */

#define SLOTS 12

/* A program that accepts everything, reads to the end and never closes. */
static void fill_with_close_wait(struct world *w, unsigned cnt, int *fds)
{
    for (unsigned i = 0; i < cnt; i++) {
        connect_and_leave(w, i);
        world_accept(w);
        fds[i] = w->fd;
        CHECK_EQ(world_recv_at(w, 0, 10), 0);
    }
}

static void open_small(struct world *w)
{
    struct lastack_config config;

    world_config(&config);
    config.connection_max = SLOTS;
    world_open_with(w, &config);
    world_listen(w, 64);
}

/* A handshake with a new peer; false when the stack refuses it. */
static bool try_connect(struct world *w, unsigned number)
{
    struct lastack_info info;

    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    world_forget(w);
    peer_send(w, TCP_SYN, w->irs, 0, 0);
    if (w->sent_cnt && world_last(w)->flags == (TCP_SYN | TCP_ACK))
        peer_ack(w);
    return world_info(w, &info) && info.state == LASTACK_ESTABLISHED;
}

TEST(microsandbox_1180_table_full_of_close_wait_stops_everything)
{
    struct world w;
    int fds[SLOTS];
    unsigned taken = 0;

    open_small(&w);
    fill_with_close_wait(&w, SLOTS - 2, fds);
    /* a bystander, in the last slots */
    REQUIRE(try_connect(&w, 100));
    world_accept(&w);
    world_drops_mark(&w);
    for (unsigned i = 0; i < 5; i++)
        taken += try_connect(&w, 200 + i);
    CHECK_LE(taken, 1);
    CHECK_GT(world_dropped(&w, DROP_CONNECTION_LIMIT), 0); /* refused by name */
    /* nobody who is held was killed, and the bystander works */
    w.peer_port = WORLD_PEER_PORT;
    CHECK_EQ(world_state(&w), LASTACK_CLOSE_WAIT);
    w.peer_port = WORLD_PEER_PORT + 100;
    w.snd_una = w.snd_nxt = WORLD_ISS + 1;
    w.rcv_nxt = w.irs + 1;
    world_forget(&w);
    peer_data(&w, 10);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 100), 10);
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(world_sent_bytes(&w), 10);
    world_close(&w);
}

TEST(microsandbox_1180_a_slot_comes_back_with_the_close)
{
    struct world w;
    int fds[SLOTS];

    open_small(&w);
    fill_with_close_wait(&w, SLOTS, fds);
    CHECK(!try_connect(&w, 100));
    w.peer_port = WORLD_PEER_PORT;
    w.snd_nxt = w.snd_una = WORLD_ISS + 1;
    w.rcv_nxt = w.irs + 2;
    CHECK_EQ(lastack_close(w.process, fds[0]), 0);
    world_collect(&w);
    CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_LISTEN); /* only the listener is left on the port */
    CHECK(try_connect(&w, 101));
    world_close(&w);
}

/* SEMANTICS.md 4: TIME_WAIT first, then orphans; a holder is never killed to make room. */
TEST(smolvm_944_orphans_and_time_wait_make_room)
{
    struct world w;

    open_small(&w);
    for (unsigned i = 0; i < SLOTS; i++) {
        REQUIRE(try_connect(&w, i));
        world_accept(&w);
        world_close_fd(&w);
        peer_ack(&w); /* FIN_WAIT_2, nobody holds it */
    }
    CHECK(try_connect(&w, 100));
    world_accept(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    world_close(&w);
}

TEST(time_wait_table_is_bounded_and_the_oldest_goes_first)
{
    struct world w;
    struct lastack_config config;
    struct lastack_usage usage;

    world_config(&config);
    config.time_wait_max = 4;
    world_open_with(&w, &config);
    world_listen(&w, 64);
    world_drops_mark(&w);
    for (unsigned i = 0; i < 10; i++) {
        REQUIRE(try_connect(&w, i));
        world_accept(&w);
        world_close_fd(&w);
        peer_ack(&w);
        peer_fin(&w);
        CHECK_EQ(world_state(&w), LASTACK_TIME_WAIT);
        w.now_ns += 10 * MS;
    }
    lastack_usage(w.stack, &usage);
    CHECK_EQ(usage.time_wait, 4);
    CHECK_EQ(world_dropped(&w, DROP_TIME_WAIT_RECLAIMED), 6);
    for (unsigned i = 0; i < 10; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        CHECK_EQ(world_state(&w), i < 6 ? LASTACK_LISTEN : LASTACK_TIME_WAIT);
    }
    world_close(&w);
}

TEST_MAIN()
