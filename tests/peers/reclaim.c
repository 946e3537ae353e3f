/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stack takes back when a limit is met: never from under somebody who still reads it,
 * never for nothing, and whoever waits for it hears of it. */
#include <errno.h>

#include "cells/harness.h"

#define SAY(c, len) (memset(bytes, c, len), bytes)

static uint8_t bytes[200000];

/* ---- programs that talk to each other over the loopback ------------------------- */

static int loop_connect(struct world *w)
{
    struct sockaddr_in a = world_address(WORLD_LOCAL, w->local_port);
    int fd = lastack_socket(w->process, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    REQUIRE(fd >= 0);
    REQUIRE_EQ(lastack_connect(w->process, fd, (struct sockaddr *)&a, sizeof(a)), -EINPROGRESS);
    return fd;
}

static int accept_any(struct world *w)
{
    return lastack_accept(w->process, w->listener, NULL, NULL, SOCK_NONBLOCK);
}

/* The peer's connection number `number`, accepted and blocking. */
static int peer_connection(struct world *w, unsigned number)
{
    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    world_handshake(w);
    world_accept(w);
    world_forget(w);
    return w->fd;
}

/* CLOSED: there is no such connection. */
static enum lastack_state state_of(struct world *w, unsigned number)
{
    enum lastack_state state;

    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    state = world_state(w);
    return state == LASTACK_LISTEN ? LASTACK_CLOSED : state;
}

/* The same by a peer that does not look what else goes out. */
static void peer_tries(struct world *w, unsigned number)
{
    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    peer_send(w, TCP_SYN, w->irs, 0, 0);
    peer_ack(w);
}

/* ---- bytes that are lent -------------------------------------------------------- */

/* All payload of the frames is `byte`; returns its length. */
static size_t frames_say(const struct lastack_frame *frames, size_t cnt, uint8_t byte)
{
    uint8_t packet[65536];
    size_t total = 0;

    for (size_t i = 0; i < cnt; i++) {
        size_t len = 0, from;

        for (uint32_t k = 0; k < frames[i].iov_cnt; k++) {
            memcpy(packet + len, frames[i].iov[k].iov_base, frames[i].iov[k].iov_len);
            len += frames[i].iov[k].iov_len;
        }
        from = 20 + (size_t)(packet[32] >> 4) * 4;
        for (size_t at = from; at < len; at++)
            if (packet[at] != byte) {
                FAIL("frame %zu has %02x at %zu, expected %02x", i, packet[at], at, byte);
                return total;
            }
        total += len - from;
    }
    return total;
}

static void limited(struct world *w, uint32_t connection_max)
{
    struct lastack_config config;

    world_config(&config);
    config.connection_max = connection_max;
    config.initial_window = 1;
    config.send_buffer = config.receive_buffer = 200000;
    config.retry_max = 8;
    world_open_with(w, &config);
    world_listen(w, 16);
}

/* The table is full, the frames of an orphan are out, and in the same call a handshake over the
 * loopback needs a place and other data the memory. */
TEST(frames_stay_whole_while_an_orphan_is_reclaimed)
{
    struct world w;
    struct lastack_frame frames[8];
    size_t cnt;
    int pair, other;

    limited(&w, 4);
    pair = loop_connect(&w);
    world_collect(&w);
    REQUIRE(accept_any(&w) >= 0);
    peer_connection(&w, 1);
    CHECK_EQ(lastack_send(w.process, w.fd, SAY('d', 3000), 3000, 0), 3000);
    CHECK_EQ(lastack_close(w.process, w.fd), 0); /* an orphan with 3000 bytes to send */
    other = loop_connect(&w);
    CHECK_EQ(lastack_send(w.process, pair, SAY('p', 130000), 130000, 0), 130000);
    cnt = lastack_tx(w.stack, frames, 8, w.now_ns);
    REQUIRE(cnt > 0);
    CHECK_GT(frames_say(frames, cnt, 'd'), 0);
    /* and the handshake has the orphan's place in the end */
    world_collect(&w);
    CHECK_GE(accept_any(&w), 0);
    CHECK_EQ(world_dropped(&w, DROP_ORPHAN_LIMIT), 1);
    CHECK_EQ(state_of(&w, 1), LASTACK_CLOSED);
    CHECK_EQ(lastack_send(w.process, other, "x", 1, 0), 1);
    world_close(&w);
}

/* The handshake's last ACK carries data of an orphan, and there is no place but the orphan's. */
TEST(bytes_on_the_loopback_stay_whole_while_their_sender_is_reclaimed)
{
    struct world w;
    struct lastack_config config;
    struct lastack_frame frame;
    int client, server;

    world_config(&config);
    config.connection_max = 1;
    config.tap_loopback = true; /* one packet per call */
    world_open_with(&w, &config);
    world_listen(&w, 16);
    client = loop_connect(&w);
    for (unsigned i = 0; i < 2; i++) /* SYN, SYN-ACK */
        REQUIRE_EQ(lastack_tx(w.stack, &frame, 1, w.now_ns), 1);
    REQUIRE_EQ(lastack_send(w.process, client, SAY('d', 461), 461, 0), 461);
    REQUIRE_EQ(lastack_close(w.process, client), 0);
    while (lastack_tx(w.stack, &frame, 1, w.now_ns) == 1)
        CHECK_EQ(frame.interface, LASTACK_LOOPBACK);
    server = accept_any(&w);
    if (server >= 0) { /* then with the bytes that were sent, if any */
        ssize_t got = lastack_recv(w.process, server, bytes, sizeof(bytes), MSG_DONTWAIT);

        CHECK(got == 461 || got < 0);
        for (ssize_t i = 0; i < got; i++)
            CHECK_EQ(bytes[i], 'd');
    } else {
        CHECK_EQ(server, -EAGAIN);
        CHECK_GE(world_dropped(&w, DROP_CONNECTION_LIMIT), 1);
    }
    world_close(&w);
}

/* A capture looks at the data of a connection to itself that is reset while it is delivered. */
TEST(a_capture_shows_what_was_sent_by_a_connection_to_itself)
{
    struct world w;
    struct lastack_config config;
    struct lastack_frame frame;
    struct sockaddr_in self = world_address(WORLD_LOCAL, WORLD_LOCAL_PORT);
    size_t shown = 0;

    world_config(&config);
    config.tap_loopback = true;
    world_open_with(&w, &config);
    w.fd = lastack_socket(w.process, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REQUIRE_EQ(world_bind(&w, w.fd, WORLD_LOCAL_PORT), 0);
    REQUIRE_EQ(lastack_connect(w.process, w.fd, (struct sockaddr *)&self, sizeof(self)),
               -EINPROGRESS);
    while (lastack_tx(w.stack, &frame, 1, w.now_ns) == 1)
        CHECK_EQ(frame.interface, LASTACK_LOOPBACK);
    REQUIRE_EQ(lastack_send(w.process, w.fd, SAY('d', 461), 461, 0), 461);
    REQUIRE_EQ(lastack_close(w.process, w.fd), 0);
    while (lastack_tx(w.stack, &frame, 1, w.now_ns) == 1)
        shown += frames_say(&frame, 1, 'd');
    CHECK_EQ(shown, 461);
    world_close(&w);
}

/* ---- places ---------------------------------------------------------------------- */

/* close waits in SO_LINGER: its connection is nobody's to take, and ending it frees no place. */
TEST(an_orphan_that_somebody_lingers_for_is_not_reclaimed)
{
    struct world w;

    limited(&w, 1);
    peer_connection(&w, 1);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 10), 0);
    REQUIRE_EQ(world_send(&w, 1), 1);
    REQUIRE_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    world_collect(&w);
    for (unsigned i = 2; i < 5; i++) {
        peer_tries(&w, i);
        CHECK_EQ(state_of(&w, 1), LASTACK_FIN_WAIT_1);
        CHECK_EQ(w.lingered, 0);
    }
    CHECK_EQ(accept_any(&w), -EAGAIN);
    CHECK_EQ(world_dropped(&w, DROP_ORPHAN_LIMIT), 0);
    CHECK_GE(world_dropped(&w, DROP_CONNECTION_LIMIT), 3);
    world_close(&w);
}

/* But one behind it is. */
TEST(the_oldest_orphan_that_nobody_lingers_for_is_reclaimed)
{
    struct world w;

    limited(&w, 2);
    peer_connection(&w, 1);
    REQUIRE_EQ(world_linger(&w, w.fd, 1, 10), 0);
    REQUIRE_EQ(world_send(&w, 1), 1);
    REQUIRE_EQ(lastack_close(w.process, w.fd), -EINPROGRESS);
    world_collect(&w);
    peer_connection(&w, 2);
    world_close_fd(&w);
    peer_tries(&w, 3);
    CHECK_GE(accept_any(&w), 0);
    CHECK_EQ(state_of(&w, 1), LASTACK_FIN_WAIT_1);
    CHECK_EQ(state_of(&w, 2), LASTACK_CLOSED);
    CHECK_EQ(state_of(&w, 3), LASTACK_ESTABLISHED);
    CHECK_EQ(w.lingered, 0);
    world_close(&w);
}

/* ---- memory ---------------------------------------------------------------------- */

static bool event_for(struct world *w, int fd, uint32_t want)
{
    struct lastack_event event;
    uint64_t id = lastack_socket_id(w->process, fd);
    bool found = false;

    while (lastack_event(w->stack, &event))
        found |= event.socket_id == id && (event.events & want) == want;
    return found;
}

/* One connection has all the memory, another wants some; the first one's is acknowledged. */
static void starve_and_feed(uint64_t buffer_max)
{
    struct world w;
    struct lastack_config config;
    int rich, poor;
    ssize_t sent;

    world_config(&config);
    config.buffer_max = buffer_max;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    poor = peer_connection(&w, 1);
    rich = peer_connection(&w, 2);
    while ((sent = lastack_send(w.process, rich, SAY('r', 4096), 4096, MSG_DONTWAIT)) > 0)
        world_collect(&w);
    CHECK_EQ(sent, -EAGAIN);
    CHECK_EQ(lastack_send(w.process, poor, "p", 1, MSG_DONTWAIT), -EAGAIN);
    CHECK(!(world_poll(&w, poor) & POLLOUT)); /* who is told to wait is not told to write */
    world_collect_frames(&w);
    event_for(&w, poor, 0); /* forget what was before */
    for (unsigned i = 0; i < 3; i++) { /* the last piece waits for the others (Nagle) */
        peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 0);
        world_collect_frames(&w);
    }
    CHECK(event_for(&w, poor, POLLOUT));
    CHECK(world_poll(&w, poor) & POLLOUT);
    CHECK_EQ(lastack_send(w.process, poor, "p", 1, MSG_DONTWAIT), 1);
    world_close(&w);
}

TEST(a_sender_that_starved_hears_when_memory_is_back)
{
    starve_and_feed(8 * 4096);
    starve_and_feed(12 * 4096);
}

TEST(a_sender_that_starved_hears_even_when_there_is_hardly_any)
{
    starve_and_feed(4096);
    starve_and_feed(2 * 4096);
    starve_and_feed(3 * 4096);
}

/* It is the buffer that is full, and the program makes it larger. */
TEST(a_larger_send_buffer_wakes_who_waits_for_room)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    while (lastack_send(w.process, w.fd, SAY('d', 4096), 4096, MSG_DONTWAIT) > 0)
        world_collect(&w);
    CHECK(!(world_poll(&w, w.fd) & POLLOUT));
    event_for(&w, w.fd, 0);
    REQUIRE_EQ(world_set(&w, w.fd, SOL_SOCKET, SO_SNDBUF, 200000), 0);
    CHECK(event_for(&w, w.fd, POLLOUT));
    CHECK(world_poll(&w, w.fd) & POLLOUT);
    CHECK_GT(lastack_send(w.process, w.fd, "d", 1, MSG_DONTWAIT), 0);
    world_close(&w);
}

/* Memory for nobody: to be told to write and not to be able to is not a loop without end. */
TEST(a_sender_without_any_memory_does_not_spin)
{
    for (uint64_t buffer_max = 0; buffer_max < 4096; buffer_max += 1365) {
        struct world w;
        struct lastack_config config;
        struct lastack_event event;
        lastack *stack;
        unsigned cnt = 0;

        world_config(&config);
        config.buffer_max = buffer_max;
        stack = lastack_create(&config, 0);
        lastack_destroy(stack);
        if (stack == NULL) /* refused, which is fine, too */
            continue;
        world_open_with(&w, &config);
        world_established(&w, true);
        CHECK_EQ(lastack_send(w.process, w.fd, "x", 1, MSG_DONTWAIT), -EAGAIN);
        while (lastack_event(w.stack, &event) && cnt++ < 1000)
            CHECK_EQ(lastack_send(w.process, w.fd, "x", 1, MSG_DONTWAIT), -EAGAIN);
        CHECK_LT(cnt, 10);
        CHECK(!(world_poll(&w, w.fd) & POLLOUT));
        world_close(&w);
    }
}

#define HOARDERS 8
#define HOARD    15 /* bytes of each, every one on a page of its own */

/* Everything that was sent beyond the gap, and the gap, once more. */
static void hoarder_repeats(struct world *w, unsigned number)
{
    uint32_t first = w->irs + 1, total = HOARD * 4096 + 1, have;

    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = WORLD_ISS + 1;
    CHECK_EQ(world_state(w), LASTACK_ESTABLISHED); /* nobody was ended for it */
    peer_put(w, TCP_ACK, first, w->snd_nxt, 1);
    world_collect(w);
    CHECK_EQ(world_recv_at(w, first, 1), 1);
    for (have = 1; have < total;) {
        uint32_t len = total - have < 1024 ? total - have : 1024;
        uint32_t before = have;
        ssize_t got;

        peer_put(w, TCP_ACK, first + have, w->snd_nxt, len);
        world_collect_frames(w);
        world_forget(w);
        while ((got = world_recv_at(w, first + have, 4096)) > 0)
            have += (uint32_t)got;
        if (have == before) {
            FAIL("hoarder %u: byte %u is not taken", number, have);
            return;
        }
    }
    CHECK_EQ(have, total);
}

/* Bytes beyond a gap that never closes hold all memory: they are forgotten when it is needed, and
 * the peer repeats them (RFC 9293 3.10.7.4). */
TEST(what_lies_beyond_a_gap_does_not_keep_memory_from_others)
{
    struct world w;
    struct lastack_config config;
    int victim, hoarder[HOARDERS];

    world_config(&config);
    config.buffer_max = 1 << 18;
    config.receive_buffer = 65535;
    world_open_with(&w, &config);
    world_listen(&w, 16);
    victim = peer_connection(&w, 0);
    for (unsigned i = 0; i < HOARDERS; i++) {
        hoarder[i] = peer_connection(&w, 1 + i);
        for (uint32_t k = 1; k <= HOARD; k++) {
            world_forget(&w);
            peer_put(&w, TCP_ACK, w.irs + 1 + 4096 * k, w.snd_nxt, 1);
            world_collect(&w);
        }
    }
    w.fd = victim;
    w.peer_port = WORLD_PEER_PORT;
    world_forget(&w);
    world_drops_mark(&w);
    peer_data(&w, 1000);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 1000), 1000);
    CHECK_EQ(world_dropped(&w, DROP_RECEIVE_MEMORY), 0);
    CHECK_EQ(world_send(&w, 20000), 20000);
    for (unsigned i = 0; i < HOARDERS; i++) {
        w.fd = hoarder[i];
        world_forget(&w);
        hoarder_repeats(&w, 1 + i);
    }
    world_close(&w);
}

TEST_MAIN()
