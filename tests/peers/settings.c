/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings at their edges, interfaces that differ: refused by name, or they work. */
#include <errno.h>

#include "cells/harness.h"
#include "wire/ip4.h"

/* ---- configurations ---------------------------------------------------------------- */

/* The configuration makes a stack, or it is refused as one that cannot work. */
static bool is_taken(const struct lastack_config *config)
{
    lastack *stack;

    errno = 0;
    stack = lastack_create(config, 0);
    if (stack == NULL)
        CHECK_EQ(errno, EINVAL);
    lastack_destroy(stack);
    return stack != NULL;
}

#define EDGE(field, most)                                                                          \
    do {                                                                                           \
        struct lastack_config edge;                                                                \
                                                                                                   \
        world_config(&edge);                                                                       \
        edge.field = (most);                                                                       \
        CHECK(is_taken(&edge));                                                                    \
        edge.field = (most) + 1;                                                                   \
        CHECK(!is_taken(&edge));                                                                   \
        edge.field = UINT32_MAX;                                                                   \
        CHECK(!is_taken(&edge));                                                                   \
        edge.field = 1u << 31;                                                                     \
        CHECK(!is_taken(&edge));                                                                   \
    } while (0)

TEST(settings_that_cannot_work_are_refused)
{
    struct lastack_config config;

    EDGE(initial_window, 1000u);
    EDGE(keepalive_idle_ms, 32767000u); /* as TCP_KEEPIDLE */
    EDGE(keepalive_interval_ms, 32767000u);
    EDGE(orphan_fin_wait_ms, (1u << 30) - 1);
    EDGE(orphan_retry_max, 127u);
    world_config(&config);
    config.keepalive_idle_ms = 0;
    CHECK(!is_taken(&config));
    world_config(&config);
    config.keepalive_interval_ms = 0;
    CHECK(!is_taken(&config));
}

/* Whatever is taken works: data leaves. */
static void data_leaves(uint32_t initial_window)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.initial_window = initial_window;
    if (!is_taken(&config))
        return;
    world_open_with(&w, &config);
    world_established(&w, true);
    CHECK_EQ(world_send(&w, 20000), 20000);
    if (world_sent_bytes(&w) == 0)
        FAIL("initial_window %u: nothing is sent", initial_window);
    world_close(&w);
}

TEST(an_initial_window_that_is_taken_sends)
{
    for (unsigned shift = 0; shift < 32; shift++) {
        data_leaves(1u << shift);
        data_leaves((1u << shift) - 1);
    }
    data_leaves(1000);
    data_leaves(UINT32_MAX / 1460 + 1);
}

static void probes_in_a_second(uint32_t idle_ms)
{
    struct world w;
    struct lastack_config config;
    unsigned cnt = 0;

    world_config(&config);
    config.keepalive_idle_ms = idle_ms;
    if (!is_taken(&config))
        return;
    world_open_with(&w, &config);
    world_established(&w, true);
    REQUIRE_EQ(world_set(&w, w.fd, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
    for (unsigned i = 0; i < 1000; i++) {
        world_forget(&w);
        world_advance(&w, MS);
        cnt += w.sent_cnt;
        if (w.sent_cnt)
            peer_ack(&w);
    }
    if (cnt > 2)
        FAIL("keepalive_idle_ms %u: %u probes in a second", idle_ms, cnt);
    world_close(&w);
}

TEST(a_keepalive_that_is_taken_does_not_spin)
{
    probes_in_a_second(0);
    probes_in_a_second(1);
    probes_in_a_second(999);
    probes_in_a_second(1001);
    probes_in_a_second(32767000);
    probes_in_a_second(UINT32_MAX - 998);
    probes_in_a_second(UINT32_MAX);
}

static void orphan_waits(uint32_t fin_wait_ms)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.orphan_fin_wait_ms = fin_wait_ms;
    if (!is_taken(&config))
        return;
    world_open_with(&w, &config);
    world_established(&w, true);
    world_close_fd(&w);
    peer_ack(&w);
    world_advance(&w, 10 * SECOND);
    if (world_state(&w) != LASTACK_FIN_WAIT_2)
        FAIL("orphan_fin_wait_ms %u: over after 10 s", fin_wait_ms);
    world_close(&w);
}

TEST(an_orphan_waits_as_long_as_it_is_told)
{
    orphan_waits(11000);
    orphan_waits((1u << 30) - 1);
    orphan_waits(1u << 30);
    orphan_waits(1u << 31);
    orphan_waits(UINT32_MAX);
}

/* ---- no room for TIME_WAIT ----------------------------------------------------------- */

/* RFC 9293 3.10.7.4 step 8: the FIN is acknowledged, with or without an entry that stays. */
TEST(the_last_fin_is_acknowledged_without_room_for_time_wait)
{
    for (uint32_t room = 0; room < 2; room++) {
        struct world w;
        struct lastack_config config;

        world_config(&config);
        config.time_wait_max = room;
        world_open_with(&w, &config);
        world_established(&w, true);
        world_close_fd(&w);
        peer_ack(&w);
        REQUIRE_EQ(world_state(&w), LASTACK_FIN_WAIT_2);
        world_forget(&w);
        peer_fin(&w);
        REQUIRE_EQ(w.sent_cnt, 1);
        CHECK_EQ(world_last(&w)->flags, TCP_ACK);
        CHECK_EQ(world_last(&w)->seq, w.snd_nxt);
        CHECK_EQ(world_last(&w)->ack, w.last_in.seq + 1);
        CHECK_EQ(world_state(&w), room ? LASTACK_TIME_WAIT : LASTACK_CLOSED);
        CHECK_EQ(world_dropped(&w, DROP_NO_MEMORY), !room);
        world_close(&w);
    }
}

/* And in CLOSING it was acknowledged before: nothing more is said. */
TEST(closing_ends_without_room_for_time_wait)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.time_wait_max = 0;
    world_open_with(&w, &config);
    world_established(&w, true);
    world_close_fd(&w);
    peer_send(&w, TCP_ACK | TCP_FIN, w.rcv_nxt, w.snd_una, 0);
    REQUIRE_EQ(world_state(&w), LASTACK_CLOSING);
    CHECK_EQ(world_last(&w)->ack, w.last_in.seq + 1);
    world_forget(&w);
    peer_ack(&w);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_EQ(world_state(&w), LASTACK_CLOSED);
    world_close(&w);
}

/* ---- interfaces that differ ---------------------------------------------------------- */

#define WIDE_LOCAL "10.9.7.1"

/* A segment of the peer's to the address of the second interface, which it came by. */
static void wide_in(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t mss)
{
    uint8_t packet[200];
    struct wire_segment s = {.flags = flags, .seq = seq, .ack = ack, .wnd = WORLD_PEER_WND,
                             .mss = mss, .wscale = TCP_WSCALE_NONE};
    struct lastack_frame frame = {.interface = 2, .iov_cnt = 1};
    size_t len = peer_build(w, &s, packet);
    struct ip4 ip;

    REQUIRE_EQ(ip4_parse(&ip, packet, IP4_HEADER_LEN, 1500), DROP_NONE);
    REQUIRE_EQ(lastack_address_parse(&ip.destination, WIDE_LOCAL), 0);
    ip4_emit(packet, &ip);
    frame.len = (uint32_t)len; /* the interface trusts the device: no checksum */
    frame.iov[0] = (struct iovec){packet, len};
    lastack_rx(w->stack, &frame, 1, w->now_ns);
}

/* Came by an interface of MTU 9000, the way back leaves by one of 1500 [MUST-16]. */
static void asymmetric(uint32_t half_open_max)
{
    struct world w;
    struct lastack_config config;
    struct lastack_interface wide = {.name = "wide", .link = LASTACK_LINK_IP, .mtu = 9000,
                                     .prefix_len = 24, .rx_checksum_trusted = true};
    struct sockaddr_in any = world_address("0.0.0.0", WORLD_LOCAL_PORT);

    world_config(&config);
    config.half_open_max = half_open_max;
    world_open_with(&w, &config);
    REQUIRE_EQ(lastack_address_parse(&wide.address, WIDE_LOCAL), 0);
    REQUIRE_EQ(lastack_interface_add(w.stack, &wide), 2);
    w.listener = world_socket(&w);
    REQUIRE_EQ(lastack_bind(w.process, w.listener, (struct sockaddr *)&any, sizeof(any)), 0);
    REQUIRE_EQ(lastack_listen(w.process, w.listener, 8), 0);
    wide_in(&w, TCP_SYN, w.irs, 0, 8960);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    wide_in(&w, TCP_ACK, w.irs + 1, world_last(&w)->seq + 1, 0);
    w.fd = lastack_accept(w.process, w.listener, NULL, NULL, 0);
    REQUIRE(w.fd >= 0);
    world_forget(&w);
    CHECK_EQ(world_send(&w, 20000), 20000); /* the harness looks that no frame has above 1500 */
    CHECK_GE(w.sent_cnt, 1);
    for (unsigned i = 0; i < w.sent_cnt; i++)
        CHECK_LE(w.sent[i].len, 1460);
    world_close(&w);
}

TEST(segments_fit_the_interface_they_leave_by)
{
    asymmetric(128);
    asymmetric(0); /* by cookie */
}

TEST_MAIN()
