/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks that stand still for weeks, leap over weeks, wrap, or count from 1970. */
#include <errno.h>
#include <netinet/tcp.h>

#include "cells/harness.h"

#define DAY (86400 * SECOND)
#define TICK_WRAP ((1ull << 32) * MS) /* 49.7 days; half of it is as far as ticks compare */

static const unsigned days[] = {1, 24, 26, 30, 45, 48, 60, 400};
#define DAYS_CNT (sizeof(days) / sizeof(days[0]))

/* The stack's next deadline is no later than `ns` from now. */
static void due_within(const struct world *w, uint64_t ns, unsigned day_cnt)
{
    uint64_t due = lastack_deadline(w->stack);

    if (due == LASTACK_NEVER || due > w->now_ns + ns)
        FAIL("%u days: the deadline is %.3f s from now, expected %.3f", day_cnt,
             due == LASTACK_NEVER ? -1.0 : (double)(due - w->now_ns) / 1e9, (double)ns / 1e9);
}

/* What was sent is sent again after one RTO: neither at once nor in some weeks. */
static void repeats_after_rto(struct world *w, unsigned day_cnt)
{
    CHECK_EQ(w->sent_cnt, 1);
    due_within(w, WORLD_RTO, day_cnt);
    if (!world_wait_sent(w, 2, 10 * SECOND)) {
        FAIL("%u days: nothing is sent again", day_cnt);
        return;
    }
    CHECK_GE(w->sent[1].time_ns - w->sent[0].time_ns, WORLD_RTO - MS);
    CHECK_LE(w->sent[1].time_ns - w->sent[0].time_ns, WORLD_RTO + MS);
}

/* No timer runs, so nobody ticks; the first thing in weeks is a SYN. */
TEST(idle_for_weeks_then_a_syn)
{
    for (unsigned i = 0; i < DAYS_CNT; i++) {
        struct world w;

        world_open(&w);
        world_listen(&w, 8);
        world_collect(&w);
        REQUIRE_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
        w.now_ns += days[i] * DAY;
        peer_send(&w, TCP_SYN, w.irs, 0, 0);
        repeats_after_rto(&w, days[i]);
        world_close(&w);
    }
}

TEST(idle_for_weeks_then_a_connect)
{
    for (unsigned i = 0; i < DAYS_CNT; i++) {
        struct world w;

        world_open(&w);
        w.now_ns += days[i] * DAY;
        world_collect(&w); /* what time it is */
        w.fd = world_socket(&w);
        REQUIRE_EQ(world_bind(&w, w.fd, w.local_port), 0);
        REQUIRE_EQ(world_connect(&w, w.fd), -EINPROGRESS);
        world_collect(&w);
        repeats_after_rto(&w, days[i]);
        world_close(&w);
    }
}

static void open_patient(struct world *w)
{
    struct lastack_config config;

    world_config(&config);
    config.retry_max = 100; /* a leap may count as a few */
    world_open_with(w, &config);
}

/* A suspended machine: data is out, the next time that the stack hears is weeks later. */
static void leap_with_data(unsigned day_cnt, bool tick_first)
{
    struct world w;

    open_patient(&w);
    world_established(&w, true);
    REQUIRE_EQ(world_send(&w, 5), 5);
    REQUIRE_EQ(w.sent_cnt, 1);
    world_forget(&w);
    w.now_ns += day_cnt * DAY;
    if (tick_first)
        lastack_tick(w.stack, w.now_ns);
    world_collect(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    due_within(&w, WORLD_RTO, day_cnt);
    if (!world_wait_sent(&w, 1, 2 * SECOND))
        FAIL("%u days: what the peer has not acknowledged is not sent again", day_cnt);
    world_forget(&w);
    if (!world_wait_sent(&w, 1, 2 * SECOND))
        FAIL("%u days: nor later", day_cnt);
    peer_ack(&w);
    CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
    world_close(&w);
}

TEST(a_leap_over_weeks_with_data_out)
{
    for (unsigned i = 0; i < DAYS_CNT; i++) {
        leap_with_data(days[i], true);
        leap_with_data(days[i], false);
    }
}

/* The first that is heard after the leap is the peer. */
TEST(a_leap_over_weeks_ends_with_a_segment)
{
    for (unsigned i = 0; i < DAYS_CNT; i++) {
        struct world w;

        open_patient(&w);
        world_established(&w, true);
        REQUIRE_EQ(world_send(&w, 5), 5);
        world_forget(&w);
        w.now_ns += days[i] * DAY;
        peer_send(&w, TCP_ACK, w.rcv_nxt, w.snd_una, 0); /* nothing new */
        due_within(&w, WORLD_RTO, days[i]);
        if (!world_wait_sent(&w, 1, 2 * SECOND))
            FAIL("%u days: what the peer has not acknowledged is not sent again", days[i]);
        world_close(&w);
    }
}

TEST(a_leap_over_weeks_ends_time_wait)
{
    for (unsigned i = 0; i < DAYS_CNT; i++) {
        struct world w;

        world_open(&w);
        world_established(&w, true);
        world_close_fd(&w);
        peer_ack(&w);
        peer_fin(&w);
        REQUIRE_EQ(world_state(&w), LASTACK_TIME_WAIT);
        w.now_ns += days[i] * DAY;
        lastack_tick(w.stack, w.now_ns);
        if (world_state(&w) != LASTACK_CLOSED)
            FAIL("%u days and TIME_WAIT is not over", days[i]);
        CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
        world_close(&w);
    }
}

/* close waits in SO_LINGER over the leap: it hears that its time is over, and later timers run. */
static void leap_while_lingering(unsigned day_cnt, unsigned first, bool user_timeout)
{
    struct world w;

    open_patient(&w);
    world_listen(&w, 8);
    world_handshake(&w);
    world_accept(&w);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 60), 0);
    if (user_timeout) /* the connection itself ends in the same leap */
        REQUIRE_EQ(world_set(&w, w.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000), 0);
    REQUIRE_EQ(world_send(&w, 5), 5);
    REQUIRE_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    world_collect(&w);
    w.now_ns += day_cnt * DAY;
    if (first == 0)
        lastack_tick(w.stack, w.now_ns);
    if (first == 1)
        peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_una, 0);
    world_collect(&w);
    for (unsigned i = 0; i < 10 && lastack_deadline(w.stack) <= w.now_ns; i++) {
        lastack_tick(w.stack, w.now_ns);
        world_collect(&w);
    }
    if (w.lingered != 1)
        FAIL("%u days: close does not hear that its time is over", day_cnt);
    peer_send(&w, TCP_RST, w.rcv_nxt, 0, 0);
    world_advance(&w, 100 * SECOND);
    CHECK_EQ(lastack_deadline(w.stack), LASTACK_NEVER);
    w.now_ns += 26 * DAY;
    world_forget(&w);
    w.peer_port++;
    peer_send(&w, TCP_SYN, w.irs, 0, 0);
    repeats_after_rto(&w, day_cnt);
    world_close(&w);
}

TEST(a_leap_over_weeks_ends_a_lingering_close)
{
    for (unsigned i = 0; i < DAYS_CNT; i++)
        for (unsigned first = 0; first < 3; first++) /* a tick, a segment, lastack_tx */
            for (unsigned user_timeout = 0; user_timeout < 2; user_timeout++)
                leap_while_lingering(days[i], first, user_timeout);
}

/* ---- cookies ------------------------------------------------------------------ */

/* A handshake by cookie that begins at `at` on the clock and takes `round_trip`. */
static void cookie_handshake(uint64_t at, uint64_t round_trip)
{
    struct world w;
    struct lastack_config config;

    world_config(&config);
    config.half_open_max = 0;
    world_open_with(&w, &config);
    world_listen(&w, 8);
    REQUIRE(at >= w.now_ns);
    w.now_ns = at;
    peer_send(&w, TCP_SYN, w.irs, 0, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    REQUIRE_EQ(world_last(&w)->flags, TCP_SYN | TCP_ACK);
    w.now_ns += round_trip;
    peer_send(&w, TCP_ACK, w.irs + 1, world_last(&w)->seq + 1, 0);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 0);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    CHECK_EQ(world_dropped(&w, DROP_COOKIE_BAD), 0);
    world_close(&w);
}

TEST(a_cookie_over_the_wrap_of_the_tick)
{
    cookie_handshake(2000 * SECOND, 200 * MS);
    cookie_handshake(TICK_WRAP - 200 * MS - 1, 200 * MS);
    cookie_handshake(TICK_WRAP - 100 * MS, 200 * MS);
    cookie_handshake(TICK_WRAP - 60 * SECOND, 61 * SECOND);
    cookie_handshake(5 * TICK_WRAP - 100 * MS, 200 * MS);
}

/* ---- clocks that count from far away ------------------------------------------- */

/* As world_open, on a clock of your own. */
static void open_at(struct world *w, uint64_t now_ns)
{
    struct lastack_interface interface = {
        .name = "test0", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};

    world_open(w);
    lastack_destroy(w->stack);
    w->now_ns = now_ns;
    w->stack = lastack_create(&w->config, now_ns);
    REQUIRE(w->stack != NULL);
    REQUIRE_EQ(lastack_address_parse(&interface.address, WORLD_LOCAL), 0);
    REQUIRE_EQ(lastack_interface_add(w->stack, &interface), 1);
    w->process = lastack_process_create(w->stack, 100, "prog");
    REQUIRE(w->process != NULL);
}

static void ages_are_true(uint64_t born_ns)
{
    struct world w;
    struct lastack_info info;

    open_at(&w, born_ns);
    world_established(&w, true);
    REQUIRE(world_info(&w, &info));
    CHECK_LE(w.now_ns - info.born_ns, WORLD_RTT + MS);
    CHECK_LE(w.now_ns - info.state_since_ns, WORLD_RTT + MS);
    CHECK_EQ(info.fin_in_ns, 0);
    CHECK_EQ(info.close_ns, 0);
    world_advance(&w, 100 * DAY);
    peer_data(&w, 10);
    peer_fin(&w);
    world_advance(&w, 34 * SECOND);
    REQUIRE(world_info(&w, &info));
    CHECK_EQ(info.state, LASTACK_CLOSE_WAIT);
    CHECK_LE(w.now_ns - info.fin_in_ns - 34 * SECOND, MS);
    CHECK_LE(w.now_ns - info.data_in_ns - 34 * SECOND, MS);
    CHECK_LE(w.now_ns - info.state_since_ns - 34 * SECOND, MS);
    CHECK_LE(w.now_ns - info.born_ns - 100 * DAY - 34 * SECOND, WORLD_RTT + MS);
    world_close(&w);
}

TEST(ages_are_true_on_any_clock)
{
    ages_are_true(1); /* counted from the start */
    ages_are_true(1000 * SECOND);
    ages_are_true(TICK_WRAP - 20 * MS);
    ages_are_true((1ull << 40) * MS - 20 * MS); /* 34.8 years */
    ages_are_true(1795000000 * SECOND);         /* since 1970 */
    ages_are_true(1795000000 * SECOND + 123456789);
}

TEST_MAIN()
