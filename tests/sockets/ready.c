/* SPDX-License-Identifier: BSD-2-Clause */
/* Readiness: poll, epoll (level, edge, one-shot), and the events for embedders. */
#include <errno.h>

#include "cells/harness.h"

/* An established connection in an epoll instance. */
struct watch {
    struct world w;
    int epoll;
};

static int watch_ctl(struct watch *e, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = 42};

    return lastack_epoll_ctl(e->w.process, e->epoll, operation, e->w.fd, &event);
}

static void watch_open(struct watch *e, uint32_t events)
{
    world_open(&e->w);
    world_established(&e->w, true);
    e->epoll = lastack_epoll_create(e->w.process, EPOLL_CLOEXEC);
    REQUIRE(e->epoll >= 0);
    REQUIRE_EQ(watch_ctl(e, EPOLL_CTL_ADD, events), 0);
}

/* The events reported now; 0 for none. */
static uint32_t watch_take(struct watch *e)
{
    struct epoll_event events[4];
    int cnt = lastack_epoll_wait(e->w.process, e->epoll, events, 4);

    CHECK_GE(cnt, 0);
    CHECK_LE(cnt, 1);
    if (cnt < 1)
        return 0;
    CHECK_EQ(events[0].data.u64, 42);
    CHECK_NE(events[0].events, 0);
    return events[0].events;
}

TEST(poll_looks_at_each_descriptor)
{
    struct world w;
    struct pollfd fds[4];

    world_open(&w);
    world_established(&w, true);
    fds[0] = (struct pollfd){.fd = w.fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = 99, .events = POLLIN};
    fds[2] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 77};
    fds[3] = (struct pollfd){.fd = w.fd, .events = POLLOUT};
    CHECK_EQ(lastack_poll(w.process, fds, 4), 2);
    CHECK_EQ(fds[0].revents, 0);
    CHECK_EQ(fds[1].revents, POLLNVAL);
    CHECK_EQ(fds[2].revents, 0);
    CHECK_EQ(fds[3].revents, POLLOUT);
    peer_data(&w, 5);
    CHECK_EQ(lastack_poll(w.process, fds, 1), 1);
    CHECK_EQ(fds[0].revents, POLLIN);
    CHECK_EQ(world_recv_at(&w, WORLD_IRS + 1, 10), 5);
    CHECK_EQ(lastack_poll(w.process, fds, 1), 0);
    CHECK_EQ(fds[0].revents, 0);
    /* hang-up and error are reported without being asked for */
    peer_rst(&w);
    fds[0].events = 0;
    CHECK_EQ(lastack_poll(w.process, fds, 1), 1);
    CHECK_EQ(fds[0].revents, POLLHUP | POLLERR);
    world_close(&w);
}

TEST(a_full_send_buffer_is_not_writable_until_it_drains)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    while (world_send(&w, 65536) > 0) {
    }
    CHECK_EQ(world_send(&w, 1), -EAGAIN);
    CHECK_EQ(world_poll(&w, w.fd), 0);
    for (unsigned i = 0; i < 300 && !(world_poll(&w, w.fd) & POLLOUT); i++) {
        world_forget(&w);
        w.now_ns += MS;
        peer_ack(&w);
    }
    CHECK_EQ(world_poll(&w, w.fd), POLLOUT);
    CHECK_GT(world_send(&w, 1), 0);
    world_close(&w);
}

TEST(level_triggered_reports_as_long_as_it_is_so)
{
    struct watch e;

    watch_open(&e, EPOLLIN);
    CHECK_EQ(watch_take(&e), 0);
    peer_data(&e.w, 10);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(world_recv_at(&e.w, WORLD_IRS + 1, 4), 4);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(world_recv_at(&e.w, WORLD_IRS + 5, 10), 6);
    CHECK_EQ(watch_take(&e), 0);
    peer_fin(&e.w);
    CHECK_EQ(watch_take(&e), EPOLLIN); /* RDHUP was not asked for */
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT), 0);
    CHECK_EQ(watch_take(&e), EPOLLIN | EPOLLRDHUP | EPOLLOUT);
    CHECK_EQ(watch_take(&e), EPOLLIN | EPOLLRDHUP | EPOLLOUT);
    world_close(&e.w);
}

TEST(edge_triggered_reports_each_arrival_once)
{
    struct watch e;

    watch_open(&e, EPOLLIN | EPOLLRDHUP | EPOLLET);
    CHECK_EQ(watch_take(&e), 0);
    peer_data(&e.w, 10);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(watch_take(&e), 0);
    CHECK_EQ(world_recv_at(&e.w, WORLD_IRS + 1, 4), 4);
    CHECK_EQ(watch_take(&e), 0); /* what is left is no news */
    peer_data(&e.w, 10);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(watch_take(&e), 0);
    peer_fin(&e.w);
    CHECK_EQ(watch_take(&e), EPOLLIN | EPOLLRDHUP);
    CHECK_EQ(watch_take(&e), 0);
    /* MOD looks again */
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_MOD, EPOLLIN | EPOLLET), 0);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(watch_take(&e), 0);
    world_close(&e.w);
}

TEST(edge_triggered_says_when_there_is_room_again)
{
    struct watch e;
    uint32_t events = 0;

    watch_open(&e, EPOLLOUT | EPOLLET);
    CHECK_EQ(watch_take(&e), EPOLLOUT);
    CHECK_EQ(watch_take(&e), 0);
    while (world_send(&e.w, 65536) > 0) {
    }
    CHECK_EQ(watch_take(&e), 0);
    for (unsigned i = 0; i < 300 && !events; i++) {
        world_forget(&e.w);
        e.w.now_ns += MS;
        peer_ack(&e.w);
        events = watch_take(&e);
    }
    CHECK_EQ(events, EPOLLOUT);
    world_close(&e.w);
}

TEST(one_shot_reports_once_until_it_is_armed_again)
{
    struct watch e;

    watch_open(&e, EPOLLIN | EPOLLONESHOT);
    peer_data(&e.w, 10);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    peer_data(&e.w, 10);
    CHECK_EQ(watch_take(&e), 0);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT), 0);
    CHECK_EQ(watch_take(&e), EPOLLIN);
    CHECK_EQ(watch_take(&e), 0);
    /* not even errors */
    peer_rst(&e.w);
    CHECK_EQ(watch_take(&e), 0);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_MOD, EPOLLIN), 0);
    CHECK_EQ(watch_take(&e), EPOLLIN | EPOLLERR | EPOLLHUP);
    world_close(&e.w);
}

TEST(epoll_errors)
{
    struct watch e;
    struct epoll_event events[1], event = {.events = EPOLLIN};

    watch_open(&e, EPOLLIN);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_ADD, EPOLLIN), -EEXIST);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_DEL, 0), 0);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_DEL, 0), -ENOENT);
    CHECK_EQ(watch_ctl(&e, EPOLL_CTL_MOD, EPOLLIN), -ENOENT);
    CHECK_EQ(watch_ctl(&e, 77, EPOLLIN), -EINVAL);
    CHECK_EQ(lastack_epoll_ctl(e.w.process, e.epoll, EPOLL_CTL_ADD, 99, &event), -EBADF);
    CHECK_EQ(lastack_epoll_ctl(e.w.process, 99, EPOLL_CTL_ADD, e.w.fd, &event), -EBADF);
    CHECK_EQ(lastack_epoll_ctl(e.w.process, e.w.fd, EPOLL_CTL_ADD, e.epoll, &event), -EINVAL);
    CHECK_EQ(lastack_epoll_ctl(e.w.process, e.epoll, EPOLL_CTL_ADD, e.epoll, &event), -EINVAL);
    CHECK_EQ(lastack_epoll_wait(e.w.process, e.epoll, events, 0), -EINVAL);
    CHECK_EQ(lastack_epoll_wait(e.w.process, e.w.fd, events, 1), -EINVAL);
    CHECK_EQ(lastack_epoll_wait(e.w.process, 99, events, 1), -EBADF);
    CHECK_EQ(lastack_epoll_create(e.w.process, 1), -EINVAL);
    world_close(&e.w);
}

/* Linux: the entry belongs to the open file; it goes with the last descriptor of it. */
TEST(an_entry_goes_with_the_last_reference)
{
    struct watch e;
    int copy;

    watch_open(&e, EPOLLIN);
    copy = lastack_dup(e.w.process, e.w.fd);
    peer_data(&e.w, 10);
    CHECK_EQ(lastack_close(e.w.process, e.w.fd), 0);
    CHECK_EQ(watch_take(&e), EPOLLIN); /* the copy keeps it */
    CHECK_EQ(lastack_close(e.w.process, copy), 0);
    CHECK_EQ(watch_take(&e), 0);
    world_close(&e.w);
}

TEST(a_forked_child_shares_the_epoll_instance)
{
    struct watch e;
    lastack_process *child;
    struct epoll_event events[2];

    watch_open(&e, EPOLLIN);
    child = lastack_fork(e.w.process, 101);
    peer_data(&e.w, 10);
    CHECK_EQ(lastack_epoll_wait(child, e.epoll, events, 2), 1);
    CHECK_EQ(lastack_close(e.w.process, e.epoll), 0);
    CHECK_EQ(lastack_epoll_wait(child, e.epoll, events, 2), 1);
    lastack_exit(child);
    world_close(&e.w);
}

TEST(epoll_is_fair_when_there_is_less_room_than_ready_sockets)
{
    struct world w;
    struct epoll_event event = {.events = EPOLLIN}, got[2];
    unsigned seen = 0;
    int epoll;

    world_open(&w);
    world_listen(&w, 16);
    epoll = lastack_epoll_create(w.process, 0);
    for (unsigned i = 0; i < 6; i++) {
        w.peer_port = (uint16_t)(WORLD_PEER_PORT + i);
        w.snd_una = w.snd_nxt = 0;
        world_handshake(&w);
        world_accept(&w);
        peer_data(&w, 1);
        event.data.u32 = i;
        CHECK_EQ(lastack_epoll_ctl(w.process, epoll, EPOLL_CTL_ADD, w.fd, &event), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(lastack_epoll_wait(w.process, epoll, got, 2), 2);
        seen |= 1u << got[0].data.u32 | 1u << got[1].data.u32;
    }
    CHECK_EQ(seen, 0x3f);
    world_close(&w);
}

/* ---- events for embedders -------------------------------------------------- */

static unsigned events_take(struct world *w, uint64_t socket_id, uint32_t *last, void **user)
{
    struct lastack_event event;
    unsigned cnt = 0;

    while (lastack_event(w->stack, &event))
        if (event.socket_id == socket_id) {
            *last = event.events;
            *user = event.user;
            cnt++;
        }
    return cnt;
}

TEST(at_most_one_event_is_pending_per_socket)
{
    struct world w;
    uint64_t id;
    uint32_t events = 0;
    void *user = NULL;
    struct lastack_frame frames[8];
    struct lastack_event event;

    world_open(&w);
    world_established(&w, true);
    id = lastack_socket_id(w.process, w.fd);
    CHECK_EQ(lastack_user_set(w.process, w.fd, &w), 0);
    CHECK_EQ(lastack_user_set(w.process, 99, &w), -EBADF);
    while (lastack_event(w.stack, &event)) {
    }
    peer_put(&w, TCP_ACK, w.rcv_nxt, w.snd_nxt, 100);
    peer_put(&w, TCP_ACK, w.rcv_nxt + 100, w.snd_nxt, 100);
    peer_put(&w, TCP_ACK | TCP_FIN, w.rcv_nxt + 200, w.snd_nxt, 0);
    while (lastack_tx(w.stack, frames, 8, w.now_ns) == 8) {
    }
    CHECK_EQ(events_take(&w, id, &events, &user), 1);
    CHECK_EQ(events & (POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
    CHECK(user == &w);
    CHECK_EQ(events_take(&w, id, &events, &user), 0);
    world_close(&w);
}

TEST_MAIN()
