/* SPDX-License-Identifier: BSD-2-Clause */
/* The accept queue: order, backlog, what an accepted socket inherits, who may accept. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include "cells/harness.h"

static void peer_connects(struct world *w, unsigned number)
{
    w->peer_port = (uint16_t)(WORLD_PEER_PORT + number);
    w->snd_una = w->snd_nxt = 0;
    world_handshake(w);
}

TEST(accept_gives_connections_in_the_order_of_their_handshakes)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    CHECK_EQ(lastack_accept(w.process, w.listener, NULL, NULL, 0), -EAGAIN);
    CHECK_EQ(world_poll(&w, w.listener), 0);
    for (unsigned i = 0; i < 5; i++)
        peer_connects(&w, i);
    CHECK_EQ(world_poll(&w, w.listener), POLLIN);
    for (unsigned i = 0; i < 5; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        world_accept(&w); /* checks the peer's port */
    }
    CHECK_EQ(world_poll(&w, w.listener), 0);
    CHECK_EQ(lastack_accept(w.process, w.listener, NULL, NULL, 0), -EAGAIN);
    world_close(&w);
}

TEST(data_may_come_before_the_accept)
{
    struct world w;

    world_open(&w);
    world_listen(&w, 8);
    world_handshake(&w);
    peer_data(&w, 100);
    peer_data(&w, 100);
    CHECK_EQ(w.rcv_nxt, w.irs + 201);
    world_accept(&w);
    CHECK_EQ(world_poll(&w, w.fd), POLLIN | POLLOUT);
    CHECK_EQ(world_recv_at(&w, w.irs + 1, 1000), 200);
    world_close(&w);
}

TEST(accept_takes_flags_and_inherits_options_but_not_nonblock)
{
    struct world w;
    int fd;

    world_open(&w);
    world_listen(&w, 8);
    CHECK_EQ(lastack_fcntl(w.process, w.listener, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(world_set(&w, w.listener, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
    CHECK_EQ(world_set(&w, w.listener, IPPROTO_TCP, TCP_NODELAY, 1), 0);
    CHECK_EQ(world_linger(&w, w.listener, 1, 7), 0);
    peer_connects(&w, 0);
    peer_connects(&w, 1);
    fd = lastack_accept(w.process, w.listener, NULL, NULL, 0);
    REQUIRE(fd >= 0);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFL, 0) & O_NONBLOCK, 0);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFD, 0), 0);
    CHECK_EQ(world_get(&w, fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(world_get(&w, fd, IPPROTO_TCP, TCP_NODELAY), 1);
    fd = lastack_accept(w.process, w.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFD, 0), FD_CLOEXEC);
    CHECK_EQ(lastack_accept(w.process, w.listener, NULL, NULL, 1), -EINVAL);
    world_close(&w);
}

TEST(accept_errors)
{
    struct world w;
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(lastack_accept(w.process, fd, NULL, NULL, 0), -EINVAL);
    CHECK_EQ(lastack_accept(w.process, 99, NULL, NULL, 0), -EBADF);
    CHECK_EQ(lastack_close(w.process, fd), 0);
    world_established(&w, true);
    CHECK_EQ(lastack_accept(w.process, w.fd, NULL, NULL, 0), -EINVAL);
    fd = lastack_epoll_create(w.process, 0);
    REQUIRE(fd >= 0);
    CHECK_EQ(lastack_accept(w.process, fd, NULL, NULL, 0), -ENOTSOCK);
    world_close(&w);
}

TEST(accept_takes_the_lowest_descriptor_also_0)
{
    struct world w;
    int zero;

    world_open(&w);
    zero = world_socket(&w);
    CHECK_EQ(zero, 0);
    world_listen(&w, 8);
    CHECK_EQ(lastack_close(w.process, zero), 0);
    world_handshake(&w);
    CHECK_EQ(lastack_accept(w.process, w.listener, NULL, NULL, 0), 0);
    world_close(&w);
}

/* A full table of descriptors loses no connection. */
TEST(accept_without_room_for_a_descriptor_keeps_the_connection)
{
    struct world w;
    struct lastack_config config;
    int other;

    world_config(&config);
    config.descriptor_max = 2;
    world_open_with(&w, &config);
    world_listen(&w, 8);
    other = world_socket(&w);
    world_handshake(&w);
    CHECK_EQ(lastack_accept(w.process, w.listener, NULL, NULL, 0), -EMFILE);
    CHECK_EQ(world_poll(&w, w.listener), POLLIN);
    CHECK_EQ(lastack_close(w.process, other), 0);
    world_accept(&w);
    world_close(&w);
}

TEST(the_backlog_bounds_the_queue_and_the_peer_gets_in_later)
{
    struct world w;
    struct lastack_usage usage;
    unsigned full;

    world_open(&w);
    world_listen(&w, 2);
    for (unsigned i = 0; i < 10; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        w.snd_una = w.snd_nxt = 0;
        world_forget(&w);
        peer_send(&w, TCP_SYN, w.irs, 0, 0);
        if (w.sent_cnt)
            peer_ack(&w);
    }
    lastack_usage(w.stack, &usage);
    full = usage.unaccepted;
    CHECK_GE(full, 2);
    CHECK_LE(full, 3); /* Linux: one more than the backlog */
    CHECK_GT(world_dropped(&w, DROP_LISTEN_BACKLOG), 0);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 0); /* it is told nothing, and tries again */
    while (lastack_accept(w.process, w.listener, NULL, NULL, 0) >= 0)
        full--;
    CHECK_EQ(full, 0);
    /* the SYN again, as a peer repeats it */
    w.snd_una = w.snd_nxt = 0;
    world_forget(&w);
    peer_send(&w, TCP_SYN, w.irs, 0, 0);
    REQUIRE_EQ(w.sent_cnt, 1);
    w.snd_nxt = world_last(&w)->seq + 1;
    peer_ack(&w);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    world_close(&w);
}

TEST(a_listener_shared_by_forked_workers_gives_each_connection_to_one)
{
    struct world w;
    lastack_process *workers[2];
    int got[2] = {0, 0};

    world_open(&w);
    world_listen(&w, 16);
    workers[0] = lastack_fork(w.process, 101);
    workers[1] = lastack_fork(w.process, 102);
    for (unsigned i = 0; i < 10; i++)
        peer_connects(&w, i);
    for (unsigned i = 0; i < 12; i++)
        got[i % 2] += lastack_accept(workers[i % 2], w.listener, NULL, NULL, 0) >= 0;
    CHECK_EQ(got[0], 5);
    CHECK_EQ(got[1], 5);
    /* the parent's copy still listens after the workers are gone */
    lastack_exit(workers[0]);
    lastack_exit(workers[1]);
    world_collect(&w);
    peer_connects(&w, 20);
    world_accept(&w);
    world_close(&w);
}

TEST(names_of_both_ends)
{
    struct world w;
    struct sockaddr_in a = {0};
    socklen_t len = sizeof(a);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(WORLD_LOCAL_PORT)};

    world_open(&w);
    w.listener = world_socket(&w);
    CHECK_EQ(lastack_bind(w.process, w.listener, (struct sockaddr *)&any, sizeof(any)), 0);
    CHECK_EQ(lastack_listen(w.process, w.listener, 8), 0);
    CHECK_EQ(lastack_getsockname(w.process, w.listener, (struct sockaddr *)&a, &len), 0);
    CHECK_EQ(a.sin_addr.s_addr, 0);
    CHECK_EQ(lastack_getpeername(w.process, w.listener, (struct sockaddr *)&a, &len), -ENOTCONN);
    world_handshake(&w);
    world_accept(&w);
    len = sizeof(a);
    CHECK_EQ(lastack_getsockname(w.process, w.fd, (struct sockaddr *)&a, &len), 0);
    CHECK_EQ(len, sizeof(a));
    CHECK_EQ(a.sin_family, AF_INET);
    CHECK_EQ(a.sin_addr.s_addr, world_address(WORLD_LOCAL, 0).sin_addr.s_addr);
    CHECK_EQ(ntohs(a.sin_port), WORLD_LOCAL_PORT);
    len = 8; /* cut short: the real length comes back, and nothing is written past it */
    memset(&a, 0xee, sizeof(a));
    CHECK_EQ(lastack_getpeername(w.process, w.fd, (struct sockaddr *)&a, &len), 0);
    CHECK_EQ(len, sizeof(a));
    CHECK_EQ(ntohs(a.sin_port), WORLD_PEER_PORT);
    CHECK_EQ(a.sin_addr.s_addr, world_address(WORLD_PEER, 0).sin_addr.s_addr);
    CHECK_EQ(a.sin_zero[0], 0xee);
    world_close(&w);
}

TEST_MAIN()
