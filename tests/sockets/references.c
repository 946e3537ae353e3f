/* SPDX-License-Identifier: BSD-2-Clause */
/* SEMANTICS.md section 1: how a reference to a socket is made, and how it is dropped. */
#include <errno.h>
#include <fcntl.h>

#include "cells/harness.h"

/* One established connection; its socket and connection. */
struct held {
    struct world w;
    uint64_t socket_id, id;
    lastack_process *other; /* a process without relation to w.process */
};

static void held_open(struct held *h)
{
    struct lastack_info info;

    world_open(&h->w);
    world_established(&h->w, true);
    REQUIRE(world_info(&h->w, &info));
    h->id = info.id;
    h->socket_id = lastack_socket_id(h->w.process, h->w.fd);
    CHECK_EQ(info.socket_id, h->socket_id);
    CHECK_NE(h->socket_id, 0);
    h->other = lastack_process_create(h->w.stack, 300, "other");
    REQUIRE(h->other != NULL);
}

static uint32_t references(const struct held *h)
{
    struct lastack_info info;

    REQUIRE_EQ(lastack_info_get(h->w.stack, h->id, &info), 0);
    return info.references;
}

/* The holder (pid, fd). */
static struct lastack_holder holder(const struct held *h, uint32_t pid, int fd)
{
    struct lastack_holder holder;
    uint64_t cursor = 0;

    while (lastack_holder_next(h->w.stack, h->socket_id, &cursor, &holder))
        if (holder.pid == pid && holder.fd == fd)
            return holder;
    FAIL("pid %u does not hold it as descriptor %d", pid, fd);
    test_leave();
}

/* All references but the ones counted are gone, nothing has left, the connection lives. */
static void silent(struct held *h, uint32_t left)
{
    world_collect(&h->w);
    CHECK_EQ(h->w.sent_cnt, 0);
    CHECK_EQ(world_state(&h->w), LASTACK_ESTABLISHED);
    CHECK_EQ(references(h), left);
    CHECK_EQ(world_holder_cnt(&h->w, h->socket_id), left);
}

/* The last reference went: a FIN, for this reason, by this process (0: whichever). */
static void finished(struct held *h, enum lastack_cause cause, uint32_t pid)
{
    struct lastack_record record;
    struct lastack_info info;

    world_collect(&h->w);
    CHECK_EQ(h->w.sent_cnt, 1);
    CHECK_EQ(world_last(&h->w)->flags, TCP_FIN | TCP_ACK);
    CHECK_EQ(world_state(&h->w), LASTACK_FIN_WAIT_1);
    REQUIRE(world_info(&h->w, &info));
    CHECK(info.orphan);
    CHECK_EQ(info.references, 0);
    CHECK_EQ(info.close_left, 0);
    CHECK_EQ(world_holder_cnt(&h->w, h->socket_id), 0);
    if (world_record(&h->w, LASTACK_RECORD_EDGE, cause, &record)) {
        CHECK_EQ(record.from, LASTACK_ESTABLISHED);
        CHECK_EQ(record.to, LASTACK_FIN_WAIT_1);
        CHECK(pid == 0 || record.pid == pid);
    } else {
        FAIL("no edge with cause \"%s\"", lastack_cause_name(cause));
    }
    world_close(&h->w);
}

static int is_open(lastack_process *process, int fd)
{
    return lastack_fcntl(process, fd, F_GETFD, 0) >= 0;
}

/* ---- made ---------------------------------------------------------------- */

TEST(socket_makes_a_reference)
{
    struct world w;
    struct lastack_holder h;
    uint64_t cursor = 0;
    int fd;

    world_open(&w);
    fd = world_socket(&w);
    CHECK_EQ(fd, 0); /* the lowest that is free */
    REQUIRE(lastack_holder_next(w.stack, lastack_socket_id(w.process, fd), &cursor, &h));
    CHECK_EQ(h.origin, LASTACK_ORIGIN_SOCKET);
    CHECK_EQ(h.pid, 100);
    CHECK_STR(h.name, "prog");
    CHECK_EQ(h.fd, fd);
    CHECK_EQ(h.since_ns, w.now_ns);
    CHECK(!h.close_on_exec);
    CHECK(!lastack_holder_next(w.stack, lastack_socket_id(w.process, fd), &cursor, &h));
    world_close(&w);
}

TEST(accept_makes_a_reference)
{
    struct held h;

    held_open(&h);
    CHECK_EQ(references(&h), 1);
    CHECK_EQ(holder(&h, 100, h.w.fd).origin, LASTACK_ORIGIN_ACCEPT);
    world_close(&h.w);
}

TEST(dup_takes_the_lowest_descriptor)
{
    struct held h;
    int copy;

    held_open(&h); /* the listener's 0 is free again */
    CHECK_EQ(h.w.fd, 1);
    copy = lastack_dup(h.w.process, h.w.fd);
    CHECK_EQ(copy, 0);
    CHECK_EQ(references(&h), 2);
    CHECK_EQ(holder(&h, 100, copy).origin, LASTACK_ORIGIN_DUP);
    CHECK_EQ(lastack_socket_id(h.w.process, copy), h.socket_id);
    CHECK_EQ(lastack_dup(h.w.process, 99), -EBADF);
    world_close(&h.w);
}

TEST(dup3_takes_the_descriptor_asked_for)
{
    struct held h;

    held_open(&h);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 17, 0), 17);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 18, O_CLOEXEC), 18);
    CHECK_EQ(references(&h), 3);
    CHECK(!holder(&h, 100, 17).close_on_exec);
    CHECK(holder(&h, 100, 18).close_on_exec);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, h.w.fd, 0), -EINVAL);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 19, O_APPEND), -EINVAL);
    CHECK_EQ(lastack_dup3(h.w.process, 99, 19, 0), -EBADF);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, -1, 0), -EBADF);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, (int)h.w.config.descriptor_max, 0), -EBADF);
    CHECK_EQ(references(&h), 3);
    world_close(&h.w);
}

TEST(fcntl_dupfd_takes_the_lowest_from_there_on)
{
    struct held h;

    held_open(&h);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD, 10), 10);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD, 10), 11);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD_CLOEXEC, 0), 0);
    CHECK_EQ(lastack_fcntl(h.w.process, 10, F_GETFD, 0), 0);
    CHECK_EQ(lastack_fcntl(h.w.process, 0, F_GETFD, 0), FD_CLOEXEC);
    CHECK_EQ(references(&h), 4);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD, -1), -EINVAL);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD, (int)h.w.config.descriptor_max),
             -EINVAL);
    CHECK_EQ(lastack_fcntl(h.w.process, 99, F_DUPFD, 0), -EBADF);
    world_close(&h.w);
}

TEST(fork_copies_every_descriptor)
{
    struct held h;
    lastack_process *child, *grandchild;

    held_open(&h);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 7, O_CLOEXEC), 7);
    h.w.now_ns += SECOND;
    lastack_tick(h.w.stack, h.w.now_ns);
    child = lastack_fork(h.w.process, 101);
    REQUIRE(child != NULL);
    CHECK_EQ(references(&h), 4);
    CHECK_EQ(holder(&h, 101, h.w.fd).origin, LASTACK_ORIGIN_FORK);
    CHECK_EQ(holder(&h, 101, h.w.fd).since_ns, h.w.now_ns);
    CHECK(holder(&h, 101, 7).close_on_exec); /* fork keeps it, exec acts on it */
    grandchild = lastack_fork(child, 102);
    REQUIRE(grandchild != NULL);
    CHECK_EQ(references(&h), 6);
    CHECK_STR(holder(&h, 102, 7).name, "prog");
    world_close(&h.w);
}

TEST(a_message_in_flight_is_a_reference)
{
    struct held h;
    lastack_message *message;
    int fd;

    held_open(&h);
    message = lastack_message_put(h.w.process, h.w.fd);
    REQUIRE(message != NULL);
    CHECK_EQ(references(&h), 2);
    CHECK_EQ(holder(&h, 100, -1).origin, LASTACK_ORIGIN_MESSAGE);
    CHECK_EQ(lastack_close(h.w.process, h.w.fd), 0);
    silent(&h, 1);
    fd = lastack_message_get(h.other, message, SOCK_CLOEXEC);
    CHECK_EQ(fd, 0);
    silent(&h, 1);
    CHECK_EQ(holder(&h, 300, fd).origin, LASTACK_ORIGIN_MESSAGE);
    CHECK(holder(&h, 300, fd).close_on_exec);
    CHECK_EQ(lastack_socket_id(h.other, fd), h.socket_id);
    CHECK_EQ(lastack_send(h.other, fd, "x", 1, 0), 1);
    errno = 0;
    CHECK(lastack_message_put(h.w.process, 99) == NULL);
    CHECK_EQ(errno, EBADF);
    world_close(&h.w);
}

TEST(a_message_that_finds_no_room_is_kept)
{
    struct held h;
    lastack_message *message;

    held_open(&h);
    for (uint32_t i = 0; i < h.w.config.descriptor_max; i++)
        REQUIRE(lastack_socket(h.other, AF_INET, SOCK_STREAM, 0) >= 0);
    CHECK_EQ(lastack_socket(h.other, AF_INET, SOCK_STREAM, 0), -EMFILE);
    message = lastack_message_put(h.w.process, h.w.fd);
    REQUIRE(message != NULL);
    CHECK_EQ(lastack_message_get(h.other, message, 0), -EMFILE);
    CHECK_EQ(references(&h), 2);
    CHECK_EQ(lastack_close(h.other, 5), 0);
    CHECK_EQ(lastack_message_get(h.other, message, 0), 5);
    CHECK_EQ(references(&h), 2);
    world_close(&h.w);
}

/* ---- dropped ------------------------------------------------------------- */

TEST(close_drops)
{
    struct held h;

    held_open(&h);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 5, 0), 5);
    CHECK_EQ(lastack_close(h.w.process, 5), 0);
    silent(&h, 1);
    CHECK_EQ(lastack_close(h.w.process, 5), -EBADF);
    silent(&h, 1);
    CHECK_EQ(lastack_close(h.w.process, h.w.fd), 0);
    finished(&h, LASTACK_CAUSE_CLOSE, 100);
}

TEST(dup_over_it_drops)
{
    struct held h;
    int other;

    held_open(&h);
    other = world_socket(&h.w);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 9, 0), 9);
    CHECK_EQ(lastack_dup3(h.w.process, other, 9, 0), 9);
    silent(&h, 1);
    CHECK_EQ(lastack_socket_id(h.w.process, 9), lastack_socket_id(h.w.process, other));
    CHECK_EQ(lastack_dup3(h.w.process, other, h.w.fd, 0), h.w.fd);
    finished(&h, LASTACK_CAUSE_DUP_OVER, 100);
}

TEST(exec_drops_what_is_close_on_exec)
{
    struct held h;

    held_open(&h);
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_DUPFD_CLOEXEC, 5), 5);
    lastack_exec(h.w.process, "next");
    silent(&h, 1);
    CHECK(!is_open(h.w.process, 5));
    CHECK_STR(holder(&h, 100, h.w.fd).name, "next");
    CHECK_EQ(lastack_fcntl(h.w.process, h.w.fd, F_SETFD, FD_CLOEXEC), 0);
    lastack_exec(h.w.process, "again");
    finished(&h, LASTACK_CAUSE_EXEC, 100);
}

TEST(the_death_of_the_process_drops_everything)
{
    struct held h;
    lastack_process *child;

    held_open(&h);
    CHECK_EQ(lastack_dup3(h.w.process, h.w.fd, 5, 0), 5);
    child = lastack_fork(h.w.process, 101);
    REQUIRE(child != NULL);
    lastack_exit(h.w.process);
    silent(&h, 2);
    lastack_exit(child);
    finished(&h, LASTACK_CAUSE_EXIT, 101);
}

TEST(a_message_never_received_drops)
{
    struct held h;
    lastack_message *message;

    held_open(&h);
    message = lastack_message_put(h.w.process, h.w.fd);
    REQUIRE(message != NULL);
    lastack_exit(h.w.process); /* in flight counts, even when the sender is dead */
    silent(&h, 1);
    lastack_message_drop(message);
    finished(&h, LASTACK_CAUSE_MESSAGE_DROP, 0);
}

TEST(a_socket_outlives_its_connection)
{
    struct held h;
    lastack_process *child;

    held_open(&h);
    child = lastack_fork(h.w.process, 101);
    REQUIRE(child != NULL);
    peer_rst(&h.w);
    CHECK_EQ(world_state(&h.w), LASTACK_CLOSED);
    CHECK_EQ(world_holder_cnt(&h.w, h.socket_id), 2);
    CHECK_EQ(lastack_socket_id(child, h.w.fd), h.socket_id);
    /* the error is the socket's: who asks first gets it, once */
    CHECK_EQ(lastack_send(child, h.w.fd, "x", 1, MSG_NOSIGNAL), -ECONNRESET);
    CHECK_EQ(world_send(&h.w, 1), -EPIPE);
    CHECK_EQ(world_recv_at(&h.w, 0, 10), 0);
    CHECK_EQ(lastack_close(child, h.w.fd), 0);
    world_close_fd(&h.w);
    CHECK_EQ(world_holder_cnt(&h.w, h.socket_id), 0);
    CHECK_EQ(h.w.sent_cnt, 0);
    world_close(&h.w);
}

TEST(socket_ids_are_never_reused)
{
    struct world w;
    uint64_t last = 0;

    world_open(&w);
    for (unsigned i = 0; i < 1000; i++) {
        int fd = world_socket(&w);
        uint64_t id = lastack_socket_id(w.process, fd);

        CHECK_GT(id, last);
        last = id;
        CHECK_EQ(lastack_close(w.process, fd), 0);
    }
    CHECK_EQ(lastack_socket_id(w.process, 0), 0);
    world_close(&w);
}

/* Flags of the file are shared by all its descriptors, close-on-exec is each one's own. */
TEST(nonblock_is_shared_and_close_on_exec_is_not)
{
    struct world w;
    lastack_process *child;
    int fd, copy, on = 0;

    world_open(&w);
    fd = lastack_socket(w.process, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    copy = lastack_dup(w.process, fd);
    child = lastack_fork(w.process, 101);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFD, 0), FD_CLOEXEC);
    CHECK_EQ(lastack_fcntl(w.process, copy, F_GETFD, 0), 0);
    CHECK_EQ(lastack_fcntl(w.process, copy, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQ(lastack_fcntl(w.process, copy, F_GETFL, 0) & O_ACCMODE, O_RDWR);
    CHECK_EQ(lastack_ioctl(child, fd, 0x5421 /* FIONBIO */, &on), 0);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_GETFL, 0) & O_NONBLOCK, 0);
    CHECK_EQ(lastack_fcntl(w.process, fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(lastack_fcntl(child, copy, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQ(lastack_fcntl(w.process, fd, 9999, 0), -EINVAL);
    world_close(&w);
}

TEST(limits_have_names)
{
    struct lastack_config config;
    struct world w;
    lastack_process *last = NULL;
    unsigned cnt = 0;

    world_config(&config);
    config.process_max = 5;
    config.descriptor_max = 3;
    world_open_with(&w, &config);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(world_socket(&w), i);
    CHECK_EQ(lastack_socket(w.process, AF_INET, SOCK_STREAM, 0), -EMFILE);
    CHECK_EQ(lastack_dup(w.process, 0), -EMFILE);
    CHECK_EQ(lastack_epoll_create(w.process, 0), -EMFILE);
    for (;;) {
        lastack_process *next = lastack_fork(w.process, 200 + cnt);

        if (!next)
            break;
        last = next;
        if (++cnt > 10)
            break;
    }
    CHECK_EQ(cnt, 4);
    CHECK_EQ(errno, ENFILE);
    errno = 0;
    CHECK(lastack_process_create(w.stack, 1, "x") == NULL);
    CHECK_EQ(errno, ENFILE);
    lastack_exit(last);
    CHECK(lastack_process_create(w.stack, 1, "x") != NULL);
    world_close(&w);
}

TEST_MAIN()
