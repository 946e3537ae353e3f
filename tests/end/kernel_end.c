/* SPDX-License-Identifier: BSD-2-Clause */
/* Each way to end, in each state, on live sockets of the kernel: what the owner and the peer really
 * see afterwards, and that nothing but the one connection is ever touched. */
#include "kernel/end.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "end/world.h"
#include "lastack.h"
#include "test.h"

static char why[512];

static int end_it(const struct facts *f, int how)
{
    memset(why, 'x', sizeof why);
    return kernel_end(f, how, why, sizeof why);
}

#define CHECK_SAYS(words)                                                                          \
    ((void)(strstr(why, words) || test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", words, why)))
/* A call on a socket that must fail like this, or succeed (0). */
#define CHECK_SEND(fd, error)                                                                      \
    CHECK_EQ(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0, error)
#define CHECK_RECV_FAILS(fd, error) CHECK_EQ(recv(fd, &(char){0}, 1, 0) < 0 ? errno : 0, error)
#define CHECK_RECV_END(fd)          CHECK_EQ(recv(fd, &(char){0}, 1, 0), 0)

static uint32_t epoll_of(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    event.events = 0;
    epoll_wait(epoll, &event, 1, 5000);
    close(epoll);
    return event.events;
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t len = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

/* ---- a thread that sits in recv() ---- */

struct reader {
    pthread_t thread;
    int fd, result, error;
};

static void *reader_run(void *arg)
{
    struct reader *reader = arg;
    char byte;
    reader->result = (int)recv(reader->fd, &byte, 1, 0);
    reader->error = reader->result < 0 ? errno : 0;
    return NULL;
}

static void reader_start(struct reader *reader, int fd)
{
    *reader = (struct reader){.fd = fd, .result = -2};
    REQUIRE_EQ(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

/* ---- CLOSE_WAIT ---- */

/* The peer has sent "data" and its FIN. */
static struct facts *open_close_wait(struct pair *pair, struct facts_list *list)
{
    world_enter();
    facts_list_init(list);
    *pair = pair_open(WORLD_IP4);
    REQUIRE_EQ(send(pair->peer, "data", 4, 0), 4);
    REQUIRE_EQ(shutdown(pair->peer, SHUT_WR), 0);
    struct facts *f = facts_of(list, pair->owner);
    REQUIRE(state_comes(f, LASTACK_CLOSE_WAIT));
    f->state = LASTACK_CLOSE_WAIT;
    return f;
}

TEST(close_wait_wr)
{
    struct pair pair;
    struct facts_list list;
    char bytes[8];
    const struct facts *f = open_close_wait(&pair, &list);
    CHECK_EQ(end_it(f, SHUT_WR), 0);
    CHECK_STR(why, "");
    CHECK_RECV_END(pair.peer); /* a FIN, no reset */
    CHECK(state_comes(f, LASTACK_TIME_WAIT));
    CHECK_EQ(recv(pair.owner, bytes, sizeof bytes, 0), 4); /* what was queued can still be read */
    CHECK_RECV_END(pair.owner);
    CHECK_SEND(pair.owner, EPIPE);
    CHECK_EQ(end_it(f, SHUT_WR), -ENOENT);
    CHECK_EQ(end_it(f, LASTACK_END_RST), -ENOENT);
    CHECK_SAYS("gone");
    CHECK_EQ(close(pair.owner), 0); /* its number stays its own until it closes it */
    pair.owner = -1;
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(close_wait_rdwr)
{
    struct pair pair;
    struct facts_list list;
    const struct facts *f = open_close_wait(&pair, &list);
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    CHECK_RECV_END(pair.peer);
    CHECK(state_comes(f, LASTACK_TIME_WAIT));
    CHECK_SEND(pair.owner, EPIPE);
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(close_wait_rst)
{
    struct pair pair;
    struct facts_list list;
    const struct facts *f = open_close_wait(&pair, &list);
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_STR(why, "");
    CHECK_EQ(epoll_of(pair.peer) & EPOLLERR, EPOLLERR);
    CHECK_RECV_FAILS(pair.peer, ECONNRESET);
    CHECK_SEND(pair.owner, ECONNABORTED);
    CHECK_SEND(pair.owner, EPIPE);
    CHECK_EQ(end_it(f, LASTACK_END_RST), -ENOENT);
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- ESTABLISHED ---- */

static struct facts *open_established(struct pair *pair, struct facts_list *list)
{
    world_enter();
    facts_list_init(list);
    *pair = pair_open(WORLD_IP4);
    return facts_of(list, pair->owner);
}

TEST(established_wr)
{
    struct pair pair;
    struct facts_list list;
    char bytes[8];
    const struct facts *f = open_established(&pair, &list);
    CHECK_EQ(f->state, LASTACK_ESTABLISHED);
    CHECK_EQ(end_it(f, SHUT_WR), 0);
    CHECK_RECV_END(pair.peer);
    CHECK(state_comes(f, LASTACK_FIN_WAIT_2));
    CHECK_SEND(pair.owner, EPIPE);
    CHECK_SEND(pair.peer, 0); /* the other direction goes on */
    CHECK_EQ(recv(pair.owner, bytes, sizeof bytes, 0), 1);
    close(pair.peer);
    pair.peer = -1;
    CHECK(state_comes(f, LASTACK_TIME_WAIT)); /* and a peer that closes ends it */
    CHECK_RECV_END(pair.owner);
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(established_rdwr_wakes_a_reader)
{
    struct pair pair;
    struct facts_list list;
    struct reader reader;
    const struct facts *f = open_established(&pair, &list);
    reader_start(&reader, pair.owner);
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.result, 0);
    CHECK_EQ(epoll_of(pair.owner), EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP);
    CHECK_EQ(error_of(pair.owner), 0);
    CHECK_SEND(pair.owner, EPIPE);
    CHECK_RECV_END(pair.peer);
    CHECK(state_comes(f, LASTACK_FIN_WAIT_2)); /* until the peer closes */
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(established_rst_wakes_a_reader)
{
    struct pair pair;
    struct facts_list list;
    struct reader reader;
    const struct facts *f = open_established(&pair, &list);
    reader_start(&reader, pair.owner);
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    pthread_join(reader.thread, NULL);
    CHECK_EQ(reader.result, -1);
    CHECK_EQ(reader.error, ECONNABORTED);
    CHECK_EQ(epoll_of(pair.owner) & (EPOLLIN | EPOLLHUP | EPOLLRDHUP),
             EPOLLIN | EPOLLHUP | EPOLLRDHUP);
    CHECK_RECV_FAILS(pair.peer, ECONNRESET);
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- our FIN is out ---- */

TEST(fin_wait_2_rst)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    REQUIRE_EQ(shutdown(pair.owner, SHUT_WR), 0);
    REQUIRE(state_comes(f, LASTACK_FIN_WAIT_2));
    f->state = LASTACK_FIN_WAIT_2;
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_STR(why, "");
    CHECK_EQ(epoll_of(pair.peer) & EPOLLERR, EPOLLERR);
    CHECK_SEND(pair.peer, EPIPE); /* a reset in CLOSE_WAIT */
    CHECK(state_comes(f, LASTACK_TIME_WAIT));
    pair_close(&pair);
    facts_list_free(&list);
}

/* Until all that was sent is acknowledged and the rest waits behind the closed window: then the peer
 * has nothing to say of its own accord, such as a delayed acknowledgment. */
static bool grows_quiet(int fd)
{
    const struct timespec pause = {0, 5000000};
    for (int tries = 0; tries < 4000; tries++) {
        struct tcp_info info = {.tcpi_unacked = 1};
        socklen_t len = sizeof info;
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
        if (info.tcpi_unacked == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

TEST(last_ack_sends_no_rst)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_close_wait(&pair, &list);
    struct facts *across = facts_of(&list, pair.peer);
    f = &list.all[0];
    pair_stuff(&pair);
    REQUIRE_EQ(shutdown(pair.owner, SHUT_WR), 0);
    REQUIRE(state_comes(f, LASTACK_LAST_ACK));
    REQUIRE(grows_quiet(pair.owner));
    f->state = LASTACK_LAST_ACK;
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_SAYS("no RST leaves from LAST-ACK");
    CHECK(state_comes(f, LASTACK_TIME_WAIT));
    struct kernel_now now = {.state = LASTACK_CLOSED};
    CHECK_EQ(kernel_end_look(across, &now), 0);
    CHECK_EQ(now.state, LASTACK_FIN_WAIT_2); /* it has not heard of it */
    CHECK_EQ(error_of(pair.peer), 0);
    CHECK_EQ(end_it(across, LASTACK_END_RST), 0); /* end the other end too */
    CHECK(state_comes(across, LASTACK_TIME_WAIT));
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(fin_wait_1_behind_a_closed_window)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    pair_stuff(&pair);
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    REQUIRE(state_comes(f, LASTACK_FIN_WAIT_1));
    struct kernel_now now = {.send_queue = 0};
    CHECK_EQ(kernel_end_look(f, &now), 0);
    CHECK_GT(now.send_queue, 1); /* data before the FIN: it cannot leave */
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_EQ(error_of(pair.peer), ECONNRESET);
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- nobody has a descriptor ---- */

TEST(accept_queue)
{
    world_enter();
    struct facts_list list;
    facts_list_init(&list);
    struct pair pair = pair_queue();
    struct facts *f = facts_across(&list, pair.peer);
    f->unaccepted = FACT_YES;
    CHECK_EQ(f->inode, 0);
    CHECK_EQ(end_it(f, SHUT_WR), -EOPNOTSUPP);
    CHECK_SAYS("nobody has accepted it");
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_RECV_FAILS(pair.peer, ECONNRESET);
    pair.owner = accept(pair.listener, NULL, NULL); /* its place in the queue stays */
    CHECK(pair.owner >= 0);
    CHECK_SEND(pair.owner, ECONNABORTED);
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(descriptor_in_flight)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    int ends[2];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec byte = {(char[]){'x'}, 1};
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &pair.owner, sizeof(int));
    REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    REQUIRE_EQ(sendmsg(ends[0], &message, 0), 1);
    close(pair.owner);
    pair.owner = -1;
    f->holders[0].kind = FACT_HOLDER_MESSAGE;
    CHECK_EQ(end_it(f, SHUT_RDWR), -EOPNOTSUPP);
    CHECK_SAYS("a message holds it");
    CHECK_EQ(kernel_end_look(f, &(struct kernel_now){0}), 0);
    CHECK_EQ(end_it(f, LASTACK_END_RST), 0);
    CHECK_RECV_FAILS(pair.peer, ECONNRESET);
    close(ends[0]);
    close(ends[1]);
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- nothing to end ---- */

TEST(refused_by_state)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    static const struct {
        enum lastack_state state;
        const char *words;
    } cases[] = {{LASTACK_LISTEN, "listener"},
                 {LASTACK_TIME_WAIT, "goes by itself"},
                 {LASTACK_CLOSED, "only its program"}};
    for (unsigned i = 0; i < 3; i++) {
        f->state = cases[i].state;
        for (int how = SHUT_WR; how <= LASTACK_END_RST; how++) {
            CHECK_EQ(end_it(f, how), -EINVAL);
            CHECK_SAYS(cases[i].words);
        }
    }
    f->state = LASTACK_ESTABLISHED;
    CHECK_EQ(end_it(f, SHUT_RD), -EINVAL);
    CHECK_EQ(end_it(f, 99), -EINVAL);
    CHECK(state_comes(f, LASTACK_ESTABLISHED));
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- numbers that lead elsewhere by now ---- */

TEST(a_number_that_was_reused_is_not_touched)
{
    struct pair pair, other = {-1, -1, -1};
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    other = pair_open(WORLD_IP4);
    int elsewhere = fcntl(pair.owner, F_DUPFD_CLOEXEC, 200);
    /* Between look and act the number becomes another connection; the first lives on elsewhere. */
    REQUIRE_EQ(dup2(other.owner, pair.owner), pair.owner);
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    CHECK_SEND(elsewhere, EPIPE);
    CHECK_RECV_END(pair.peer);
    CHECK_SEND(other.owner, 0);
    CHECK_SEND(other.peer, 0);
    /* Now no descriptor leads to it any more. */
    close(elsewhere);
    for (int how = SHUT_WR; how <= SHUT_RDWR; how++)
        CHECK(end_it(f, how) < 0);
    CHECK_SEND(other.owner, 0);
    pair_close(&pair);
    pair_close(&other);
    facts_list_free(&list);
}

TEST(addresses_that_were_reused_are_not_touched)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    f->id += 1u << 20; /* an older connection between the same ports */
    CHECK_EQ(end_it(f, LASTACK_END_RST), -ENOENT);
    CHECK_EQ(end_it(f, SHUT_RDWR), -ENOENT);
    CHECK_SEND(pair.owner, 0);
    CHECK_SEND(pair.peer, 0);
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(a_holder_that_died_is_passed_over)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    struct fact_holder *last = facts_holder_add(&list, f);
    REQUIRE(last != NULL);
    *last = f->holders[0];
    f->holders[0].pid = (uint32_t)child;
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    CHECK_RECV_END(pair.peer);
    pair_close(&pair);
    facts_list_free(&list);
}

TEST(a_descriptor_of_another_process)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    int pipes[2];
    REQUIRE_EQ(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) == 0 && recv(pair.owner, &byte, 1, 0) == 0 ? 0 : 1);
    }
    close(pair.owner);
    close(pipes[0]);
    f->holders[0].pid = (uint32_t)child;
    CHECK_EQ(end_it(f, SHUT_RDWR), 0);
    CHECK_RECV_END(pair.peer);
    close(pipes[1]);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0); /* it reads the end of the stream */
    pair.owner = -1;
    pair_close(&pair);
    facts_list_free(&list);
}

/* ---- rights, namespaces, families ---- */

TEST(without_rights_it_says_so)
{
    struct pair pair;
    struct facts_list list;
    struct facts *f = open_established(&pair, &list);
    if (geteuid() != 0)
        test_skip("no second user here");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int bad = setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0;
        bad |= end_it(f, SHUT_RDWR) != -EPERM || !strstr(why, "CAP_SYS_PTRACE");
        bad |= (end_it(f, LASTACK_END_RST) != -EPERM || !strstr(why, "CAP_NET_ADMIN")) << 1;
        _exit(bad);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_SEND(pair.owner, 0);
    pair_close(&pair);
    facts_list_free(&list);
}

/* A process in a namespace of its own; its facts come through a pipe. */
struct far {
    struct facts facts;
    struct fact_holder holder;
};

static void far_process(int out, int in)
{
    struct facts_list list;
    struct far far;
    char byte;
    facts_list_init(&list);
    if (unshare(CLONE_NEWNET) < 0 || system("ip link set lo up") != 0)
        _exit(9);
    struct pair pair = pair_open(WORLD_IP4);
    const struct facts *f = facts_of(&list, pair.owner);
    far = (struct far){*f, f->holders[0]};
    if (write(out, &far, sizeof far) != sizeof far)
        _exit(8);
    /* First the FIN of a shutdown, then, when told, the reset. */
    int bad = recv(pair.peer, &byte, 1, 0) != 0;
    bad |= write(out, "x", 1) != 1 || read(in, &byte, 1) != 0;
    bad |= (send(pair.peer, "x", 1, MSG_NOSIGNAL) != -1) << 1;
    _exit(bad);
}

TEST(another_network_namespace)
{
    world_enter();
    int to[2], from[2], status = -1;
    struct far far;
    char byte;
    REQUIRE_EQ(pipe(to) | pipe(from), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(to[1]);
        close(from[0]);
        far_process(from[1], to[0]);
    }
    close(to[0]);
    close(from[1]);
    struct facts_list list;
    facts_list_init(&list);
    int ours = socket(AF_INET, SOCK_STREAM, 0);
    struct pair near = pair_open(WORLD_IP4);
    const uint64_t here = facts_of(&list, near.owner)->netns;
    REQUIRE_EQ(read(from[0], &far, sizeof far), sizeof far);
    far.facts.holders = &far.holder;
    CHECK_NE(far.facts.netns, here);
    CHECK_EQ(end_it(&far.facts, SHUT_RDWR), 0);
    CHECK(state_comes(&far.facts, LASTACK_FIN_WAIT_2));
    REQUIRE_EQ(read(from[0], &byte, 1), 1);
    CHECK_EQ(end_it(&far.facts, LASTACK_END_RST), 0);
    CHECK_EQ(kernel_end_look(&far.facts, &(struct kernel_now){0}), -ENOENT);
    CHECK_EQ(facts_of(&list, near.peer)->netns, here); /* we have stayed where we were */
    close(to[1]);
    waitpid(child, &status, 0);
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK_EQ(end_it(&far.facts, LASTACK_END_RST), -ENOENT); /* the namespace is gone with it */
    CHECK_SAYS("namespace");
    close(from[0]);
    close(ours);
    pair_close(&near);
    facts_list_free(&list);
}

static void end_in_family(enum world_family family, bool bound)
{
    world_enter();
    struct facts_list list;
    facts_list_init(&list);
    for (int how = SHUT_WR; how <= LASTACK_END_RST; how++) {
        struct pair pair = pair_open(family);
        if (bound)
            REQUIRE_EQ(setsockopt(pair.owner, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
        const struct facts *f = facts_of(&list, pair.owner);
        CHECK_EQ(end_it(f, how), 0);
        if (how == LASTACK_END_RST)
            CHECK_RECV_FAILS(pair.peer, ECONNRESET);
        else
            CHECK_RECV_END(pair.peer);
        pair_close(&pair);
    }
    facts_list_free(&list);
}

TEST(ip6)
{
    end_in_family(WORLD_IP6, false);
}

TEST(ip4_on_an_ip6_socket)
{
    end_in_family(WORLD_MAPPED, false);
}

TEST(bound_to_an_interface)
{
    end_in_family(WORLD_IP4, true);
    end_in_family(WORLD_IP6, true);
    end_in_family(WORLD_MAPPED, true);
}

TEST_MAIN()
