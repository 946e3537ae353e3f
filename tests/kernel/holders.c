/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds a connection: descriptors wherever they are, and holders that have none. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scene.h"

#ifdef WITH_RING
#include <liburing.h>
#endif

/* ---- descriptors ---- */

static void do_nothing(struct child *self, void *arg)
{
    (void)self, (void)arg;
}

SCENE(a_fork_makes_two_holders)
{
    struct ends e = ends_make();
    struct child child = child_begin(do_nothing, NULL);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    const struct fact_holder *mine = holder_of(f, (uint32_t)getpid());
    const struct fact_holder *heir = holder_of(f, (uint32_t)child.pid);
    CHECK_EQ(f->holder_cnt, 2);
    REQUIRE(mine && heir);
    CHECK_EQ(mine->kind, FACT_HOLDER_DESCRIPTOR);
    CHECK_EQ(mine->fd, e.server);
    CHECK_EQ(heir->fd, e.server);
    CHECK_EQ(heir->tid, 0);
    CHECK(heir->program[0] != '\0');
    CHECK_EQ(f->holders_known, FACT_YES);
    CHECK_EQ(f->references, s->bpf ? 2 : FACT_UNKNOWN);
    close(e.server);
    look(s);
    f = facts_of(s, e.client);
    CHECK_EQ(f->holder_cnt, 2);
    f = facts_id(s, f->peer_id);
    CHECK_EQ(f->holder_cnt, 1);
    CHECK(holder_of(f, (uint32_t)child.pid) != NULL);
    child_end(&child);
    close(e.client);
}

SCENE(a_second_descriptor_of_one_process)
{
    struct ends e = ends_make();
    int second = dup(e.server);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->holder_cnt, 2);
    CHECK_EQ(f->holders[0].pid, f->holders[1].pid);
    CHECK_EQ(f->holders[0].fd + f->holders[1].fd, e.server + second);
    close(second);
    close(e.server);
    close(e.client);
}

SCENE(what_stays_across_exec_is_told)
{
    struct ends e = ends_make();
    int stays = dup(e.server);
    s->options.id = cookie_of(e.server);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    REQUIRE_EQ(f->holder_cnt, 2);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_EQ(f->holders[i].close_on_exec, f->holders[i].fd == stays ? FACT_NO : FACT_YES);
    close(stays);
    close(e.server);
    close(e.client);
}

/* A thread that does not share its process's descriptors, in a process whose first thread may die. */
struct apart {
    int fd;
    bool leader_dies;
    struct child *self;
};

static void *hold_apart(void *arg)
{
    struct apart *apart = arg;
    if (unshare(CLONE_FILES) != 0)
        _exit(1);
    child_ready(apart->self);
    for (;;)
        pause();
    return NULL;
}

static void live_apart(struct child *self, void *arg)
{
    struct apart *apart = arg;
    pthread_t thread;
    apart->self = self;
    if (pthread_create(&thread, NULL, hold_apart, apart) != 0)
        _exit(1);
    child_wait(self);
    close(apart->fd); /* of this table only */
    if (apart->leader_dies)
        syscall(SYS_exit, 0);
    for (;;)
        pause();
}

static void thread_scene(struct scene *s, bool leader_dies)
{
    struct ends e = ends_make();
    struct apart apart = {e.server, leader_dies, NULL};
    uint64_t id = cookie_of(e.server);
    struct child child = child_begin(live_apart, &apart);
    child_go(&child);
    close(e.server);
    LOOK_UNTIL(s, facts_id(s, id)->holder_cnt == 1 && facts_id(s, id)->holders[0].tid != 0);
    const struct fact_holder *h = &facts_id(s, id)->holders[0];
    CHECK_EQ(h->kind, FACT_HOLDER_DESCRIPTOR);
    CHECK_EQ(h->pid, child.pid);
    CHECK_NE(h->tid, child.pid);
    CHECK_EQ(h->fd, e.server);
    child_end(&child);
    close(e.client);
}

SCENE(a_thread_with_a_table_of_its_own)
{
    thread_scene(s, false);
}

SCENE(a_process_whose_first_thread_is_dead)
{
    thread_scene(s, true);
}

/* ---- messages ---- */

static void descriptor_send(int over, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {(char[]){"x"}, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    REQUIRE_EQ(sendmsg(over, &message, 0), 1);
}

static void message_scene(struct scene *s, int type, const char *before)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    int pair[2];
    char where[40], byte;
    REQUIRE_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
    if (before)
        REQUIRE_EQ(send(pair[0], before, strlen(before), 0), (ssize_t)strlen(before));
    descriptor_send(pair[0], e.server);
    close(e.server);
    look(s);
    const struct facts *f = facts_id(s, id);
    const struct fact_holder *h = holder_kind(f, FACT_HOLDER_MESSAGE);
    CHECK_EQ(f->holder_cnt, 1);
    REQUIRE(h != NULL);
    snprintf(where, sizeof where, "pid %d fd %d", getpid(), pair[1]);
    CHECK_STR(h->where, where);
    CHECK_EQ(h->pid, getpid());
    CHECK_EQ(h->fd, FACT_NO_FD);
    /* Looking has left it where it was. */
    REQUIRE_EQ(recv(pair[1], &byte, 1, 0), 1);
    CHECK_EQ(byte, before ? before[0] : 'x');
    close(pair[0]);
    close(pair[1]);
    close(e.client);
}

SCENE(a_descriptor_in_a_stream_message)
{
    message_scene(s, SOCK_STREAM, NULL);
}

SCENE(a_descriptor_behind_other_bytes)
{
    message_scene(s, SOCK_STREAM, "bytes before it");
}

SCENE(a_descriptor_in_a_datagram)
{
    message_scene(s, SOCK_DGRAM, NULL);
}

SCENE(a_descriptor_in_a_second_datagram)
{
    message_scene(s, SOCK_DGRAM, "first");
}

/* ---- calls on a number that was closed ---- */

enum block { BLOCK_RECV, BLOCK_POLL, BLOCK_SELECT };

struct blocked {
    int fd;
    enum block how;
    struct child *self;
};

static void *block_on(void *arg)
{
    struct blocked *b = arg;
    struct pollfd wait[2] = {{.fd = b->self->from, .events = POLLPRI}, {.fd = b->fd, .events = POLLIN}};
    fd_set set;
    char byte;
    FD_ZERO(&set);
    FD_SET(b->fd, &set);
    if (b->how == BLOCK_RECV)
        recv(b->fd, &byte, 1, 0);
    else if (b->how == BLOCK_POLL)
        poll(wait, 2, -1);
    else
        select(b->fd + 1, &set, NULL, NULL, NULL);
    for (;;)
        pause();
    return NULL;
}

static void block_then_close(struct child *self, void *arg)
{
    struct blocked *b = arg;
    pthread_t thread;
    b->self = self;
    if (pthread_create(&thread, NULL, block_on, b) != 0)
        _exit(1);
    child_ready(self);
    child_wait(self);
    close(b->fd);
    for (;;)
        pause();
}

static void blocked_scene(struct scene *s, enum block how)
{
    struct ends e = ends_make();
    struct blocked b = {e.server, how, NULL};
    uint64_t id = cookie_of(e.server);
    enum fact_watch_kind kind = how == BLOCK_RECV ? FACT_WATCH_CALL : FACT_WATCH_POLL;
    struct child child = child_begin(block_then_close, &b);
    close(e.server);
    s->options.id = id;
    LOOK_UNTIL(s, watch_kind(facts_id(s, id), kind) != NULL); /* it sits in its call */
    const struct fact_holder *h = holder_of(facts_id(s, id), (uint32_t)child.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->kind, FACT_HOLDER_DESCRIPTOR);
    CHECK_EQ(h->watching, FACT_YES);
    CHECK_EQ(h->doing, how == BLOCK_RECV ? FACT_DOING_RECV : FACT_DOING_POLL);
    child_go(&child);
    LOOK_UNTIL(s, holder_kind(facts_id(s, id), FACT_HOLDER_CALL) != NULL);
    const struct facts *f = facts_id(s, id);
    h = holder_kind(f, FACT_HOLDER_CALL);
    REQUIRE(h != NULL);
    CHECK_EQ(f->holder_cnt, 1);
    CHECK_EQ(h->pid, child.pid);
    CHECK_NE(h->tid, 0);
    CHECK_NE(h->tid, child.pid);
    CHECK_EQ(h->doing, how == BLOCK_RECV ? FACT_DOING_RECV : FACT_DOING_POLL);
    CHECK_EQ(h->doing_id, how == BLOCK_RECV ? id : FACT_UNKNOWN);
    CHECK_EQ(f->state, LASTACK_ESTABLISHED); /* that is the trouble with it */
    child_end(&child);
    close(e.client);
}

SCENE(closed_while_a_thread_receives)
{
    blocked_scene(s, BLOCK_RECV);
}

SCENE(closed_while_a_thread_polls)
{
    blocked_scene(s, BLOCK_POLL);
}

SCENE(closed_while_a_thread_selects)
{
    blocked_scene(s, BLOCK_SELECT);
}

/* ---- mappings and rings ---- */

SCENE(a_mapping_holds)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, e.server, 0);
    if (at == MAP_FAILED) {
        close(e.client);
        close(e.server);
        test_skip("no mapping of TCP sockets here");
    }
    close(e.server);
    look(s);
    const struct facts *f = facts_id(s, id);
    CHECK_EQ(f->holder_cnt, 1);
    REQUIRE(holder_kind(f, FACT_HOLDER_MAPPING) != NULL);
    CHECK_EQ(f->holders[0].pid, getpid());
    CHECK_EQ(strtoull(f->holders[0].where, NULL, 16), (uintptr_t)at);
    munmap(at, 4096);
    close(e.client);
}

#ifdef WITH_RING
static bool ring_open(struct io_uring *ring)
{
    return io_uring_queue_init(8, ring, 0) == 0;
}

SCENE(a_ring_has_it_registered)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    struct io_uring ring;
    if (!ring_open(&ring))
        test_skip("no io_uring here");
    REQUIRE_EQ(io_uring_register_files(&ring, &e.server, 1), 0);
    close(e.server);
    look(s);
    const struct facts *f = facts_id(s, id);
    CHECK_EQ(f->holder_cnt, 1);
    REQUIRE(holder_kind(f, FACT_HOLDER_RING) != NULL);
    CHECK_EQ(f->holders[0].pid, getpid());
    io_uring_queue_exit(&ring);
    close(e.client);
}

SCENE(a_request_of_a_ring_holds)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    struct io_uring ring;
    if (!ring_open(&ring))
        test_skip("no io_uring here");
    io_uring_prep_poll_add(io_uring_get_sqe(&ring), e.server, POLLIN);
    REQUIRE_EQ(io_uring_submit(&ring), 1);
    look(s);
    CHECK_NE(holder_of(facts_id(s, id), (uint32_t)getpid())->watching, FACT_NO);
    close(e.server);
    LOOK_UNTIL(s, holder_kind(facts_id(s, id), FACT_HOLDER_RING) != NULL);
    CHECK_EQ(facts_id(s, id)->holder_cnt, 1);
    CHECK_EQ(facts_id(s, id)->holders[0].pid, getpid());
    io_uring_queue_exit(&ring);
    close(e.client);
}
#endif

TEST_MAIN()
