/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only iterators know: references to the last one, creators, how a descriptor came to its
 * holder, in whose queue a connection waits, and who would be told. Beside them the way by /proc,
 * which must say the same of all that both can see.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "scene.h"

#ifdef WITH_RING
#include <liburing.h>
#endif

/* ---- references ---- */

/* Every reference is a holder, and there are so many. */
static void check_references(struct scene *s, uint64_t id, uint32_t cnt)
{
    const struct facts *f = facts_id(s, id);
    CHECK_EQ(f->holder_cnt, cnt);
    CHECK_EQ(f->references, s->bpf ? cnt : FACT_UNKNOWN);
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        CHECK_NE(f->holders[i].kind, FACT_HOLDER_OTHER);
}

SCENE(one_descriptor_is_one_reference)
{
    struct ends e = ends_make();
    look(s);
    check_references(s, cookie_of(e.server), 1);
    int second = dup(e.server);
    look(s);
    check_references(s, cookie_of(e.server), 2);
    close(second);
    close(e.server);
    close(e.client);
}

struct waiter {
    int fd;
    bool polls;
};

static void *wait_on(void *arg)
{
    struct waiter *w = arg;
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    char byte;
    if (w->polls)
        poll(&p, 1, -1);
    else
        recv(w->fd, &byte, 1, 0);
    return NULL;
}

/* A thread inside a call has a reference of its own, which ends with the call: while its descriptor
 * is open, that is no other holder. */
static void waiting_scene(struct scene *s, bool polls)
{
    struct ends e = ends_make();
    struct waiter w = {e.server, polls};
    enum fact_watch_kind kind = polls ? FACT_WATCH_POLL : FACT_WATCH_CALL;
    pthread_t thread;
    REQUIRE_EQ(pthread_create(&thread, NULL, wait_on, &w), 0);
    s->options.id = cookie_of(e.server);
    LOOK_UNTIL(s, watch_kind(facts_of(s, e.server), kind) != NULL);
    check_references(s, cookie_of(e.server), 1);
    REQUIRE_EQ(send(e.client, "x", 1, 0), 1);
    pthread_join(thread, NULL);
    close(e.server);
    close(e.client);
}

SCENE(a_receive_on_an_open_descriptor_is_no_holder)
{
    waiting_scene(s, false);
}

SCENE(a_poll_on_an_open_descriptor_is_no_holder)
{
    waiting_scene(s, true);
}

static void pass(int over, int fd)
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

static int passed(int over)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    int fd = -1;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    if (recvmsg(over, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

SCENE_BY_BPF(messages_beside_a_descriptor_are_counted)
{
    struct ends e = ends_make();
    int pair[2];
    REQUIRE_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    pass(pair[0], e.server);
    pass(pair[0], e.server);
    look(s);
    check_references(s, cookie_of(e.server), 3);
    CHECK(holder_kind(facts_of(s, e.server), FACT_HOLDER_DESCRIPTOR) != NULL);
    CHECK(holder_kind(facts_of(s, e.server), FACT_HOLDER_MESSAGE) != NULL);
    close(pair[0]);
    close(pair[1]);
    look(s);
    check_references(s, cookie_of(e.server), 1);
    close(e.server);
    close(e.client);
}

SCENE_BY_BPF(a_mapping_beside_a_descriptor_is_counted)
{
    struct ends e = ends_make();
    void *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, e.server, 0);
    if (at == MAP_FAILED)
        test_skip("no mapping of TCP sockets here");
    look(s);
    check_references(s, cookie_of(e.server), 2);
    CHECK(holder_kind(facts_of(s, e.server), FACT_HOLDER_MAPPING) != NULL);
    munmap(at, 4096);
    close(e.server);
    close(e.client);
}

#ifdef WITH_RING
SCENE_BY_BPF(a_ring_beside_a_descriptor_is_counted)
{
    struct ends e = ends_make();
    struct io_uring ring;
    if (io_uring_queue_init(8, &ring, 0) != 0)
        test_skip("no io_uring here");
    REQUIRE_EQ(io_uring_register_files(&ring, &e.server, 1), 0);
    look(s);
    check_references(s, cookie_of(e.server), 2);
    CHECK(holder_kind(facts_of(s, e.server), FACT_HOLDER_RING) != NULL);
    io_uring_queue_exit(&ring);
    close(e.server);
    close(e.client);
}
#endif

/* ---- ten thousand that rest ---- */

#define CROWD_PAIRS 2500 /* of one child */

static void crowd(struct child *self, void *arg)
{
    struct rlimit limit;
    int listener = listen_on(AF_INET, 16);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    *(volatile int *)arg = 0;
    for (int i = 0; i < CROWD_PAIRS; i++) {
        int client = connect_to(listener);
        if (client < 0 || accept(listener, NULL, NULL) < 0)
            break;
        ++*(volatile int *)arg;
    }
    close(listener);
    child_ready(self);
}

SCENE_BY_BPF(nothing_hides_among_ten_thousand_that_rest)
{
    int *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct child children[2];
    uint32_t cnt = 0, odd = 0;
    REQUIRE(made != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        children[i] = child_begin(crowd, &made[i]);
        CHECK_EQ(made[i], CROWD_PAIRS);
    }
    look(s);
    for (uint32_t i = 0; i < s->list.cnt; i++) {
        const struct facts *f = &s->list.all[i];
        if (f->state != LASTACK_ESTABLISHED)
            continue;
        cnt++;
        odd += f->references != 1 || f->holder_cnt != 1 ||
               f->holders[0].kind != FACT_HOLDER_DESCRIPTOR ||
               f->creator_pid != f->holders[0].pid || f->watch_cnt != 0 ||
               f->watchers_known != FACT_YES;
    }
    CHECK_EQ(cnt, 4 * CROWD_PAIRS);
    CHECK_EQ(odd, 0);
    for (int i = 0; i < 2; i++)
        child_end(&children[i]);
    munmap(made, 4096);
}

/* ---- creators and heirs ---- */

static void rest(struct child *self, void *arg)
{
    (void)self, (void)arg;
}

SCENE_BY_BPF(who_made_it_is_known_though_it_closed)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    usleep(20000); /* so that the heir is younger than the connection by any clock */
    struct child child = child_begin(rest, NULL);
    look(s);
    CHECK_EQ(facts_id(s, id)->creator_pid, getpid());
    CHECK_EQ(facts_id(s, id)->creator_holds, FACT_YES);
    CHECK_EQ(facts_id(s, id)->creator_alive, FACT_YES);
    close(e.server);
    look(s);
    const struct facts *f = facts_id(s, id);
    CHECK_EQ(f->creator_pid, getpid());
    CHECK_EQ(f->creator_holds, FACT_NO);
    CHECK_EQ(f->references, 1);
    REQUIRE_EQ(f->holder_cnt, 1);
    CHECK_EQ(f->holders[0].pid, child.pid);
    CHECK_EQ(f->holders[0].origin, FACT_ORIGIN_FORK);
    child_end(&child);
    close(e.client);
}

static void sleep_as_another(struct child *self, void *arg)
{
    (void)self;
    fcntl(*(int *)arg, F_SETFD, 0);
    execlp("sleep", "sleep", "1000", NULL);
    _exit(127);
}

SCENE_BY_BPF(what_an_exec_kept_is_told)
{
    struct ends e = ends_make();
    uint64_t id = cookie_of(e.server);
    usleep(20000);
    pid_t pid = fork();
    if (pid == 0)
        sleep_as_another(NULL, &e.server);
    close(e.server);
    LOOK_UNTIL(s, holder_of(facts_id(s, id), (uint32_t)pid) &&
                      strcmp(holder_of(facts_id(s, id), (uint32_t)pid)->program, "sleep") == 0);
    const struct facts *f = facts_id(s, id);
    CHECK_EQ(f->creator_pid, getpid());
    CHECK_EQ(f->holder_cnt, 1);
    CHECK_EQ(f->holders[0].origin, FACT_ORIGIN_EXEC);
    CHECK_EQ(f->holders[0].close_on_exec, FACT_NO);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(e.client);
}

struct maker {
    int over;
    bool other_group;
};

/* Makes a connection and passes the one end on. */
static void make_and_pass(struct child *self, void *arg)
{
    const struct maker *maker = arg;
    struct ends e = ends_make();
    pass(maker->over, e.server);
    close(e.server);
    if (maker->other_group && setresgid(1, 1, 1) != 0)
        _exit(1);
    child_ready(self);
}

static void passed_scene(struct scene *s, bool other_group)
{
    int pair[2];
    REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct maker maker = {pair[0], other_group};
    struct child child = child_begin(make_and_pass, &maker);
    int got = passed(pair[1]);
    REQUIRE(got >= 0);
    look(s);
    const struct facts *f = facts_of(s, got);
    CHECK_EQ(f->holder_cnt, 1);
    CHECK_EQ(f->holders[0].pid, getpid());
    CHECK_EQ(f->creator_pid, other_group ? FACT_NO_PID : (uint32_t)child.pid);
    CHECK_EQ(f->creator_holds, other_group ? FACT_MAYBE : FACT_NO);
    /* A parent inherits nothing from its child. */
    CHECK_EQ(f->holders[0].origin, other_group ? FACT_ORIGIN_UNKNOWN : FACT_ORIGIN_MESSAGE);
    child_end(&child);
    close(got);
    close(pair[0]);
    close(pair[1]);
}

SCENE_BY_BPF(what_a_child_passed_up_came_in_a_message)
{
    passed_scene(s, false);
}

SCENE_BY_BPF(a_maker_with_other_credentials_is_unknown)
{
    passed_scene(s, true);
}

/* ---- queues ---- */

SCENE_BY_BPF(each_waits_in_the_queue_of_its_listener)
{
    int listeners[2], yes = 1, clients[16];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    for (int i = 0; i < 2; i++) {
        listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(listeners[i], SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
        REQUIRE_EQ(bind(listeners[i], (struct sockaddr *)&a, sizeof a), 0);
        REQUIRE_EQ(listen(listeners[i], 32), 0);
        REQUIRE_EQ(getsockname(listeners[i], (struct sockaddr *)&a, &len), 0);
    }
    for (int i = 0; i < 16; i++)
        clients[i] = connect_to(listeners[0]);
    look(s);
    unsigned waiting = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t listener = cookie_of(listeners[i]), queued = facts_of(s, listeners[i])->receive_queue;
        for (uint64_t n = 0; n < queued; n++, waiting++) {
            int server = accept(listeners[i], NULL, NULL);
            CHECK_EQ(facts_of(s, server)->unaccepted, FACT_YES);
            CHECK_EQ(facts_of(s, server)->listener_id, listener);
            close(server);
        }
    }
    CHECK_EQ(waiting, 16);
    for (int i = 0; i < 16; i++)
        close(clients[i]);
    close(listeners[0]);
    close(listeners[1]);
}

/* ---- who would be told ---- */

static void *sit_in_epoll(void *arg)
{
    struct epoll_event event;
    epoll_wait(*(int *)arg, &event, 1, -1);
    return NULL;
}

SCENE_BY_BPF(an_epoll_is_told_with_all_its_bits)
{
    struct ends e = ends_make(), other = ends_make();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLONESHOT, .data.u64 = 0xfeed};
    pthread_t thread;
    REQUIRE_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, e.server, &event), 0);
    look(s);
    const struct fact_watch *w = watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL);
    REQUIRE(w != NULL);
    CHECK_EQ(w->pid, getpid());
    CHECK_EQ(w->fd, epoll);
    CHECK_EQ(w->target_fd, e.server);
    CHECK_EQ(w->data, 0xfeed);
    CHECK_EQ(w->edge, FACT_YES);
    CHECK_EQ(w->spent, FACT_NO);
    CHECK_EQ(w->waited, FACT_NO);
    CHECK(w->events & EPOLLIN);
    REQUIRE_EQ(send(e.client, "x", 1, 0), 1);
    REQUIRE_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
    look(s);
    CHECK_EQ(watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL)->spent, FACT_YES);
    event.events = EPOLLIN;
    REQUIRE_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, other.server, &event), 0);
    REQUIRE_EQ(pthread_create(&thread, NULL, sit_in_epoll, &epoll), 0);
    LOOK_UNTIL(s, watch_kind(facts_of(s, other.server), FACT_WATCH_EPOLL)->waited == FACT_YES);
    REQUIRE_EQ(send(other.client, "x", 1, 0), 1);
    pthread_join(thread, NULL);
    look(s);
    check_references(s, cookie_of(e.server), 1); /* an epoll holds nothing */
    CHECK_EQ(facts_of(s, e.client)->watch_cnt, 0);
    CHECK_EQ(facts_of(s, e.client)->watchers_known, FACT_YES);
    close(epoll);
    close(e.server);
    close(e.client);
    close(other.server);
    close(other.client);
}

/* ---- both ways ---- */

static void check_equal(const struct facts *a, const struct facts *b)
{
    CHECK_EQ(a->state, b->state);
    CHECK_EQ(a->inode, b->inode);
    CHECK_EQ(a->netns, b->netns);
    CHECK_STR(a->stack, b->stack);
    CHECK(memcmp(&a->tuple, &b->tuple, sizeof a->tuple) == 0);
    CHECK_EQ(a->receive_queue, b->receive_queue);
    CHECK_EQ(a->send_queue, b->send_queue);
    CHECK_EQ(a->send_unsent, b->send_unsent);
    CHECK_EQ(a->receive_window, b->receive_window);
    CHECK_EQ(a->send_window, b->send_window);
    CHECK_EQ(a->bytes_in, b->bytes_in);
    CHECK_EQ(a->bytes_out, b->bytes_out);
    CHECK_EQ(a->fin_consumed, b->fin_consumed);
    CHECK_EQ(a->shut_rd, b->shut_rd);
    CHECK_EQ(a->shut_wr, b->shut_wr);
    CHECK_EQ(a->orphan, b->orphan);
    CHECK_EQ(a->unaccepted, b->unaccepted);
    CHECK_EQ(a->listener_id, b->listener_id);
    CHECK_EQ(a->passive, b->passive);
    CHECK_EQ(a->peer_id, b->peer_id);
    CHECK_EQ(a->timer, b->timer);
    CHECK_EQ(a->fin_in_us == FACT_NEVER, b->fin_in_us == FACT_NEVER);
    CHECK_EQ(a->fin_out_us == FACT_NEVER, b->fin_out_us == FACT_NEVER);
    CHECK_EQ(a->data_in_us == FACT_NEVER, b->data_in_us == FACT_NEVER);
    CHECK_EQ(a->holder_cnt, b->holder_cnt);
    for (uint32_t i = 0; i < a->holder_cnt && i < b->holder_cnt; i++) {
        const struct fact_holder *h = holder_of(b, a->holders[i].pid);
        REQUIRE(h != NULL);
        CHECK_EQ(a->holders[i].fd, h->fd);
        CHECK_EQ(a->holders[i].kind, h->kind);
        CHECK_STR(a->holders[i].program, h->program);
        if (h->pid != (uint32_t)getpid()) /* who looks opens files for it */
            CHECK_EQ(a->holders[i].fd_cnt, h->fd_cnt);
        CHECK_EQ(a->holders[i].threads, h->threads);
    }
}

/* A connection of each kind, at rest. */
static uint32_t kinds_make(int listener, int fds[16])
{
    struct ends half = ends_of(listener), unread = ends_of(listener), rest_ends = ends_of(listener),
                lone = ends_of(listener);
    shutdown(half.client, SHUT_WR);
    wait_readable(half.server);
    REQUIRE_EQ(send(unread.client, "hello", 5, 0), 5);
    wait_readable(unread.server);
    close(lone.client); /* an orphan in FIN_WAIT2 */
    wait_readable(lone.server);
    int waits = connect_to(listener);
    int all[] = {half.client,   half.server,      unread.client,    unread.server,
                 lone.server,   rest_ends.client, rest_ends.server, waits};
    memcpy(fds, all, sizeof all);
    return sizeof all / sizeof all[0];
}

/* /proc does not tell in which namespace a dead one lived: others' may be among them. */
static uint32_t cnt_live(const struct scene *s)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < s->list.cnt; i++)
        cnt += s->list.all[i].state != LASTACK_CLOSED;
    return cnt;
}

SCENE_BY_BPF(both_ways_say_the_same)
{
    int listener = listen_on(AF_INET, 8), fds[16];
    uint32_t cnt = kinds_make(listener, fds);
    struct scene plain = {.options = {.no_bpf = true, .here_only = true}};
    facts_list_init(&plain.list);
    kernel_view_init(&plain.view);
    struct child child = child_begin(rest, NULL);
    usleep(100000); /* delayed acknowledgments are sent, nothing moves any more */
    time_t end = time(NULL) + 20;
    do { /* what earlier cases left behind comes to its end */
        look(&plain);
        look(s);
    } while (cnt_live(s) != cnt_live(&plain) && time(NULL) < end);
    CHECK(s->view.bpf);
    CHECK(!plain.view.bpf);
    CHECK_EQ(cnt_live(s), cnt_live(&plain));
    CHECK(s->list.cnt >= cnt + 3); /* the listener, the orphan, and who waits */
    for (uint32_t i = 0; i < s->list.cnt; i++) {
        const struct facts *f = &s->list.all[i];
        const struct facts *other = facts_list_find(&plain.list, f->id);
        if (!other)
            test_note("only iterators see %llu", (unsigned long long)f->id);
        CHECK(other != NULL);
        if (other)
            check_equal(f, other);
    }
    facts_list_free(&plain.list);
    kernel_view_free(&plain.view);
    child_end(&child);
    for (uint32_t i = 0; i < cnt; i++)
        close(fds[i]);
    close(listener);
}

/* ---- without BPF ---- */

SCENE_BY_BPF(without_bpf_it_says_so_and_works)
{
    struct ends e = ends_make();
    REQUIRE_EQ(setenv("LASTACK_NO_BPF", "1", 1), 0);
    look(s);
    unsetenv("LASTACK_NO_BPF");
    CHECK(!s->view.bpf);
    CHECK(strstr(text_string(&s->view.unseen), "LASTACK_NO_BPF") != NULL);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->holder_cnt, 1);
    CHECK_EQ(f->holders[0].pid, getpid());
    CHECK_EQ(f->references, FACT_UNKNOWN);
    CHECK_EQ(f->creator_pid, FACT_NO_PID);
    look(s);
    CHECK(s->view.bpf);
    CHECK(strstr(text_string(&s->view.unseen), "BPF") == NULL);
    close(e.server);
    close(e.client);
}

TEST_MAIN()
