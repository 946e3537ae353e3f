/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes in and out: partial sends, scatter lists, peeking, the zero-copy calls, the counters. */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "cells/harness.h"

static int ask(struct world *w, unsigned long request)
{
    int value = -1;
    int result = lastack_ioctl(w->process, w->fd, request, &value);

    return result < 0 ? result : value;
}

TEST(send_takes_what_fits)
{
    struct world w;
    uint32_t queued = 0;
    ssize_t sent;

    world_open(&w);
    world_established(&w, true);
    while ((sent = world_send(&w, 50000)) > 0)
        queued += (uint32_t)sent;
    CHECK_EQ(sent, -EAGAIN);
    CHECK_GE(queued, 65536);
    CHECK_EQ(ask(&w, SIOCOUTQ), queued);
    CHECK_EQ(world_sent_bytes(&w), 10 * 1460); /* RFC 6928 */
    CHECK_EQ(ask(&w, SIOCOUTQNSD), queued - 10 * 1460);
    w.now_ns += MS;
    peer_ack(&w);
    CHECK_EQ(ask(&w, SIOCOUTQ), queued - 10 * 1460);
    world_close(&w);
}

TEST(scatter_lists_keep_the_order)
{
    struct world w;
    uint8_t a[3] = {0}, b[1] = {0}, c[10] = {0};
    struct iovec out[4] = {{(void *)(uintptr_t) "ab", 2}, {NULL, 0}, {(void *)(uintptr_t) "c", 1},
                           {(void *)(uintptr_t) "def", 3}};
    struct iovec in[3] = {{a, 3}, {b, 1}, {c, 10}};

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_sendv(w.process, w.fd, out, 4, 0), 6);
    world_collect(&w);
    CHECK_MEM(world_last(&w)->data, "abcdef", 6);
    peer_data(&w, 9);
    CHECK_EQ(lastack_recvv(w.process, w.fd, in, 3, 0), 9);
    for (uint32_t i = 0; i < 9; i++)
        CHECK_EQ(i < 3 ? a[i] : i < 4 ? b[0] : c[i - 4], peer_byte(WORLD_IRS + 1 + i));
    CHECK_EQ(lastack_sendv(w.process, w.fd, out, 0, 0), 0);
    world_close(&w);
}

TEST(peek_leaves_and_trunc_throws_away)
{
    struct world w;
    uint8_t data[100];

    world_open(&w);
    world_established(&w, true);
    peer_data(&w, 50);
    CHECK_EQ(ask(&w, FIONREAD), 50);
    CHECK_EQ(lastack_recv(w.process, w.fd, data, 20, MSG_PEEK), 20);
    CHECK_EQ(data[19], peer_byte(WORLD_IRS + 20));
    CHECK_EQ(ask(&w, FIONREAD), 50);
    CHECK_EQ(lastack_recv(w.process, w.fd, NULL, 30, MSG_TRUNC), 30);
    CHECK_EQ(ask(&w, FIONREAD), 20);
    CHECK_EQ(world_recv_at(&w, WORLD_IRS + 31, 100), 20);
    CHECK_EQ(lastack_recv(w.process, w.fd, data, 20, MSG_PEEK), -EAGAIN);
    peer_fin(&w);
    CHECK_EQ(lastack_recv(w.process, w.fd, data, 20, MSG_PEEK), 0);
    CHECK_EQ(ask(&w, FIONREAD), 0);
    world_close(&w);
}

TEST(peekv_shows_and_consume_drops)
{
    struct world w;
    struct iovec iov[16];
    size_t cnt = 16, seen = 0;
    uint32_t first = WORLD_IRS + 1;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_peekv(w.process, w.fd, iov, &cnt), -EAGAIN);
    for (unsigned i = 0; i < 5; i++)
        peer_data(&w, 700);
    cnt = 16;
    CHECK_EQ(lastack_peekv(w.process, w.fd, iov, &cnt), 3500);
    CHECK_GE(cnt, 1);
    for (size_t i = 0; i < cnt; i++)
        for (size_t j = 0; j < iov[i].iov_len; j++, seen++)
            if (((uint8_t *)iov[i].iov_base)[j] != peer_byte(first + (uint32_t)seen)) {
                FAIL("byte %zu is not the peer's", seen);
                test_leave();
            }
    CHECK_EQ(seen, 3500);
    CHECK_EQ(lastack_consume(w.process, w.fd, 1234), 0);
    CHECK_EQ(lastack_consume(w.process, w.fd, 3500 - 1234 + 1), -EINVAL);
    CHECK_EQ(world_recv_at(&w, first + 1234, 10000), 3500 - 1234);
    peer_fin(&w);
    cnt = 16;
    CHECK_EQ(lastack_peekv(w.process, w.fd, iov, &cnt), 0);
    world_close(&w);
}

TEST(reserve_gives_room_and_commit_sends)
{
    struct world w;
    struct iovec iov[8];
    size_t cnt = 8;
    ssize_t room;

    world_open(&w);
    world_established(&w, true);
    room = lastack_reserve(w.process, w.fd, iov, &cnt);
    REQUIRE(room >= 10);
    REQUIRE(cnt >= 1 && iov[0].iov_len >= 10);
    memcpy(iov[0].iov_base, "0123456789", 10);
    CHECK_EQ(lastack_commit(w.process, w.fd, 10), 0);
    world_collect(&w);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_MEM(world_last(&w)->data, "0123456789", 10);
    CHECK_EQ(world_last(&w)->len, 10);
    cnt = 8;
    room = lastack_reserve(w.process, w.fd, iov, &cnt);
    CHECK_EQ(lastack_commit(w.process, w.fd, (size_t)room + 1), -EINVAL);
    CHECK_EQ(lastack_commit(w.process, w.fd, 0), 0);
    cnt = 8;
    CHECK_EQ(lastack_reserve(w.process, 99, iov, &cnt), -EBADF);
    CHECK_EQ(lastack_commit(w.process, 99, 1), -EBADF);
    CHECK_EQ(lastack_reserve(w.process, world_socket(&w), iov, &cnt), -EPIPE);
    world_shutdown(&w, SHUT_WR);
    cnt = 8;
    CHECK_EQ(lastack_reserve(w.process, w.fd, iov, &cnt), -EPIPE);
    world_close(&w);
}

TEST(a_closed_window_opens_when_the_program_reads)
{
    struct world w;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    first = w.rcv_nxt;
    while (w.rcv_wnd > 0) {
        uint32_t len = w.rcv_wnd < 1000 ? w.rcv_wnd : 1000;

        world_forget(&w);
        peer_data(&w, len);
        REQUIRE_EQ(w.sent_cnt, 1);
    }
    CHECK_EQ(ask(&w, FIONREAD), 32768);
    /* [MUST-66] a probe is acknowledged, not taken */
    world_forget(&w);
    peer_data(&w, 1);
    REQUIRE_EQ(w.sent_cnt, 1);
    CHECK_EQ(world_last(&w)->wnd, 0);
    CHECK_EQ(world_last(&w)->ack, first + 32768);
    /* no silly window: a few bytes are no news (RFC 9293 3.8.6.2.2 [MUST-39]) */
    world_forget(&w);
    CHECK_EQ(world_recv_at(&w, first, 100), 100);
    CHECK_EQ(w.sent_cnt, 0);
    CHECK_EQ(world_recv_at(&w, first + 100, 32668), 32668);
    CHECK_GE(w.sent_cnt, 1);
    CHECK_EQ(w.rcv_wnd, 32768);
    world_close(&w);
}

TEST(calls_on_the_wrong_thing)
{
    struct world w;
    uint8_t data[4];
    struct iovec iov[1];
    size_t cnt = 1;
    int value;

    world_open(&w);
    w.fd = lastack_epoll_create(w.process, 0);
    REQUIRE(w.fd >= 0);
    CHECK_EQ(lastack_send(w.process, w.fd, "x", 1, 0), -ENOTSOCK);
    CHECK_EQ(lastack_recv(w.process, w.fd, data, 4, 0), -ENOTSOCK);
    CHECK_EQ(lastack_shutdown(w.process, w.fd, SHUT_WR), -ENOTSOCK);
    CHECK_EQ(lastack_listen(w.process, w.fd, 1), -ENOTSOCK);
    CHECK_EQ(lastack_peekv(w.process, w.fd, iov, &cnt), -ENOTSOCK);
    CHECK_EQ(lastack_send(w.process, 99, "x", 1, 0), -EBADF);
    CHECK_EQ(lastack_recv(w.process, 99, data, 4, 0), -EBADF);
    CHECK_EQ(lastack_recv(w.process, -1, data, 4, 0), -EBADF);
    CHECK_EQ(lastack_listen(w.process, 99, 1), -EBADF);
    CHECK_EQ(lastack_close(w.process, 99), -EBADF);
    CHECK_EQ(lastack_close(w.process, -1), -EBADF);
    CHECK_EQ(lastack_ioctl(w.process, 99, FIONREAD, &value), -EBADF);
    CHECK_EQ(lastack_close(w.process, w.fd), 0);
    w.fd = world_socket(&w);
    CHECK_EQ(lastack_ioctl(w.process, w.fd, 0x12345678, &value), -ENOTTY);
    world_close(&w);
}

/* ---- two processes on one stack's loopback --------------------------------- */

static void pump(struct world *w)
{
    struct lastack_frame frames[8];
    uint64_t end = w->now_ns + 500 * MS;

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t due;

        CHECK_EQ(lastack_tx(w->stack, frames, 8, w->now_ns), 0); /* nothing comes out */
        due = lastack_deadline(w->stack);
        if (due > end) {
            w->now_ns = end;
            return;
        }
        if (due > w->now_ns)
            w->now_ns = due;
        lastack_tick(w->stack, w->now_ns);
    }
    FAIL("the loopback never rests");
}

TEST(a_conversation_over_the_loopback)
{
    struct world w;
    struct sockaddr_in a = world_address("127.0.0.1", 80);
    lastack_process *client;
    int listener, server, fd;
    uint64_t sent = 0, got = 0;
    bool ended = false;
    static uint8_t data[100000];

    world_open(&w);
    client = lastack_process_create(w.stack, 200, "client");
    listener = world_socket(&w);
    CHECK_EQ(lastack_bind(w.process, listener, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_EQ(lastack_listen(w.process, listener, 8), 0);
    fd = lastack_socket(client, AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(lastack_connect(client, fd, (struct sockaddr *)&a, sizeof(a)), -EINPROGRESS);
    pump(&w);
    CHECK_EQ(lastack_connect(client, fd, (struct sockaddr *)&a, sizeof(a)), 0);
    server = lastack_accept(w.process, listener, NULL, NULL, 0);
    REQUIRE(server >= 0);
    while (got < 1000000) {
        ssize_t n = lastack_send(client, fd, data, sizeof(data), 0);

        sent += n > 0 ? (uint64_t)n : 0;
        pump(&w);
        while ((n = lastack_recv(w.process, server, data, sizeof(data), 0)) > 0)
            got += (uint64_t)n;
        CHECK_EQ(n, -EAGAIN);
        if (n != -EAGAIN)
            break;
    }
    lastack_exit(client);
    pump(&w);
    for (unsigned i = 0; i < 100 && !ended; i++) {
        ssize_t n = lastack_recv(w.process, server, data, sizeof(data), 0);

        got += n > 0 ? (uint64_t)n : 0;
        ended = n == 0;
        pump(&w);
    }
    CHECK(ended);
    CHECK_EQ(got, sent);
    CHECK_EQ(lastack_close(w.process, server), 0);
    pump(&w);
    CHECK_EQ(lastack_close(w.process, listener), 0);
    world_close(&w);
}

TEST_MAIN()
