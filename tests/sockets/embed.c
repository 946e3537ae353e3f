/* SPDX-License-Identifier: BSD-2-Clause */
/* What an embedder relies on: which configurations are taken, and an event for every change that
 * a socket's owner waits for. */
#include <errno.h>

#include "cells/harness.h"

static void refused(const struct lastack_config *config, const char *why)
{
    errno = 0;
    if (lastack_create(config, 0) != NULL)
        FAIL("a configuration with %s is taken", why);
    CHECK_EQ(errno, EINVAL);
}

#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        world_config(&config);                                                                     \
        config.field = value;                                                                      \
        refused(&config, #field " = " #value);                                                     \
    } while (0)
#define TAKEN(field, value)                                                                        \
    do {                                                                                           \
        lastack *stack;                                                                            \
                                                                                                   \
        world_config(&config);                                                                     \
        config.field = value;                                                                      \
        stack = lastack_create(&config, 0);                                                        \
        CHECK(stack != NULL);                                                                      \
        if (stack)                                                                                 \
            lastack_destroy(stack);                                                                \
    } while (0)

TEST(a_configuration_that_cannot_work_is_refused)
{
    struct lastack_config config;

    REFUSED(send_buffer, 0);
    REFUSED(receive_buffer, 0);
    REFUSED(send_buffer, config.buffer_limit + 1);
    REFUSED(receive_buffer, config.buffer_limit + 1);
    REFUSED(port_low, 0);
    REFUSED(port_high, config.port_low - 1);
    REFUSED(rto_initial_ms, 0);
    REFUSED(rto_min_ms, config.rto_max_ms + 1);
    REFUSED(delayed_ack_ms, 501); /* [MUST-40] */
    REFUSED(record_len, 1000);
    TAKEN(send_buffer, config.buffer_limit);
    TAKEN(receive_buffer, config.buffer_limit);
    TAKEN(port_high, config.port_low);
    TAKEN(delayed_ack_ms, 500);
    TAKEN(delayed_ack_ms, 0);
    TAKEN(record_len, 0);
    TAKEN(initial_window, 0);
}

TEST(without_a_recorder_everything_else_works)
{
    struct world w;
    struct lastack_config config;
    struct lastack_record record;
    uint64_t cursor = 0;

    world_config(&config);
    config.record_len = 0;
    world_open_with(&w, &config);
    world_established(&w, true);
    peer_fin(&w);
    world_close_fd(&w);
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    CHECK(!lastack_record_next(w.stack, &cursor, &record));
    world_close(&w);
}

TEST(interfaces_and_routes_are_checked)
{
    struct world w;
    struct lastack_interface interface = {
        .name = "x", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};
    struct lastack_address network;

    world_open(&w);
    lastack_address_parse(&interface.address, "10.1.1.1");
    interface.mtu = 575;
    CHECK_EQ(lastack_interface_add(w.stack, &interface), -EINVAL);
    interface.mtu = 65536;
    CHECK_EQ(lastack_interface_add(w.stack, &interface), -EINVAL);
    interface.mtu = 576;
    interface.prefix_len = 33;
    CHECK_EQ(lastack_interface_add(w.stack, &interface), -EINVAL);
    interface.prefix_len = 24;
    interface.link = 99;
    CHECK_EQ(lastack_interface_add(w.stack, &interface), -EINVAL);
    interface.link = LASTACK_LINK_IP;
    CHECK_EQ(lastack_interface_add(w.stack, &interface), 2);
    lastack_address_parse(&network, "192.168.0.0");
    CHECK_EQ(lastack_route_add(w.stack, &network, 33, 1), -EINVAL);
    CHECK_EQ(lastack_route_add(w.stack, &network, 16, 77), -EINVAL);
    CHECK_EQ(lastack_route_add(w.stack, &network, 16, 1), 0);
    world_close(&w);
}

/* The interface by which the SYN to `destination` leaves; 0 for none. */
static unsigned leaves_by(struct world *w, const char *destination)
{
    struct sockaddr_in a = world_address(destination, 80);
    struct lastack_frame frames[4];
    int fd = world_socket(w);
    unsigned by = 0;

    if (lastack_connect(w->process, fd, (struct sockaddr *)&a, sizeof(a)) == -EINPROGRESS &&
        lastack_tx(w->stack, frames, 4, w->now_ns) == 1)
        by = frames[0].interface;
    CHECK_EQ(lastack_close(w->process, fd), 0);
    return by;
}

TEST(the_longest_prefix_wins)
{
    struct world w;
    struct lastack_interface interface = {
        .name = "second", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};
    struct lastack_address network;

    world_open(&w);
    CHECK_EQ(leaves_by(&w, "192.168.1.1"), 0);
    lastack_address_parse(&interface.address, "10.1.1.1");
    CHECK_EQ(lastack_interface_add(w.stack, &interface), 2);
    lastack_address_parse(&network, "0.0.0.0");
    CHECK_EQ(lastack_route_add(w.stack, &network, 0, 2), 0);
    lastack_address_parse(&network, "192.168.0.0");
    CHECK_EQ(lastack_route_add(w.stack, &network, 16, 1), 0);
    lastack_address_parse(&network, "192.168.7.0");
    CHECK_EQ(lastack_route_add(w.stack, &network, 24, 2), 0);
    CHECK_EQ(leaves_by(&w, "8.8.8.8"), 2);
    CHECK_EQ(leaves_by(&w, "192.168.1.1"), 1);
    CHECK_EQ(leaves_by(&w, "192.168.7.1"), 2);
    CHECK_EQ(leaves_by(&w, WORLD_PEER), 1);
    CHECK_EQ(leaves_by(&w, "10.1.1.9"), 2);
    world_close(&w);
}

/* ---- events ------------------------------------------------------------------ */

/* The readiness in the pending event of the descriptor's socket; 0 if there is none. Takes what
 * the stack owes, but leaves the events to the caller. */
static uint32_t event_of(struct world *w, int fd)
{
    uint64_t id = lastack_socket_id(w->process, fd);
    struct lastack_event event;
    uint32_t events = 0;

    world_collect_frames(w);
    while (lastack_event(w->stack, &event))
        if (event.socket_id == id)
            events |= event.events;
    return events;
}

TEST(an_acceptor_is_woken)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    world_syn_rcvd(&w);
    CHECK_EQ(event_of(&w, w.listener) & POLLIN, 0);
    peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 0);
    CHECK_EQ(event_of(&w, w.listener) & POLLIN, POLLIN);
    world_close(&w);
}

TEST(a_connector_is_woken)
{
    for (unsigned refused = 0; refused < 2; refused++) {
        struct world w;
        uint32_t events;

        world_open(&w);
        world_syn_sent(&w);
        CHECK_EQ(event_of(&w, w.fd), 0);
        if (refused)
            peer_put(&w, TCP_RST | TCP_ACK, 0, w.snd_nxt, 0);
        else
            peer_put(&w, TCP_SYN | TCP_ACK, w.irs, w.snd_nxt, 0);
        events = event_of(&w, w.fd);
        CHECK_EQ(events & POLLOUT, POLLOUT);
        CHECK_EQ(events & POLLERR, refused ? POLLERR : 0);
        world_close(&w);
    }
}

TEST(a_reader_is_woken_by_data_by_the_end_and_by_a_reset)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    event_of(&w, w.fd);
    peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 10);
    CHECK_EQ(event_of(&w, w.fd) & POLLIN, POLLIN);
    peer_put(&w, TCP_ACK | TCP_FIN, w.rcv_nxt, w.snd_nxt, 0);
    CHECK_EQ(event_of(&w, w.fd) & POLLRDHUP, POLLRDHUP);
    peer_put(&w, TCP_RST, w.rcv_nxt, 0, 0);
    CHECK_EQ(event_of(&w, w.fd) & (POLLHUP | POLLERR), POLLHUP | POLLERR);
    world_close(&w);
}

TEST(a_writer_is_woken_when_there_is_room)
{
    struct world w;
    uint32_t events = 0;

    world_open(&w);
    world_established(&w, true);
    while (world_send(&w, 65536) > 0) {
    }
    event_of(&w, w.fd);
    for (unsigned i = 0; i < 100 && !(events & POLLOUT); i++) {
        w.now_ns += MS;
        peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 0);
        events |= event_of(&w, w.fd);
        world_forget(&w);
    }
    CHECK_EQ(events & POLLOUT, POLLOUT);
    world_close(&w);
}

TEST(holders_are_woken_by_time_by_the_operator_and_by_each_other)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(world_send(&w, 5), 5);
    event_of(&w, w.fd);
    for (unsigned i = 0; i < 10; i++) {
        w.now_ns += 2 * SECOND;
        lastack_tick(w.stack, w.now_ns);
        world_collect_frames(&w);
    }
    CHECK_EQ(event_of(&w, w.fd) & POLLERR, POLLERR); /* ETIMEDOUT */
    world_close(&w);

    world_open(&w);
    world_established(&w, true);
    event_of(&w, w.fd);
    CHECK_EQ(lastack_end(w.stack, world_id(&w), LASTACK_END_RST), 0);
    CHECK_EQ(event_of(&w, w.fd) & POLLHUP, POLLHUP);
    world_close(&w);

    world_open(&w);
    world_established(&w, true);
    event_of(&w, w.fd);
    CHECK_EQ(lastack_shutdown(lastack_fork(w.process, 101), w.fd, SHUT_RD), 0);
    CHECK_EQ(event_of(&w, w.fd) & POLLIN, POLLIN);
    world_close(&w);
}

TEST(frames_name_their_connection)
{
    struct world w;
    struct lastack_frame frames[4];

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_send(w.process, w.fd, "x", 1, 0), 1);
    CHECK_EQ(lastack_tx(w.stack, frames, 4, w.now_ns), 1);
    CHECK_EQ(frames[0].connection_id, world_id(&w));
    CHECK_EQ(lastack_tx(w.stack, frames, 4, w.now_ns), 0);
    world_close(&w);
}

TEST_MAIN()
