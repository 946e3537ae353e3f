/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections for tests of ending. */
#include "end/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "kernel/end.h"
#include "kernel/end_reach.h"
#include "test.h"

extern struct test_state test_state;

void world_enter(void)
{
    static bool entered;
    struct ifreq lo = {.ifr_name = "lo"};
    if (entered)
        return;
    if (unshare(CLONE_NEWNET) < 0)
        test_skip("no network namespace of one's own here");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE_EQ(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
    lo.ifr_flags |= IFF_UP;
    REQUIRE_EQ(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
    entered = true;
}

/* ---- pairs ---- */

static socklen_t make_address(struct sockaddr_storage *out, enum world_family family, bool client)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (family == WORLD_IP4 || (family == WORLD_MAPPED && client)) {
        four->sin_family = AF_INET;
        four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *four;
    }
    six->sin6_family = AF_INET6;
    six->sin6_addr = family == WORLD_MAPPED ? in6addr_any : in6addr_loopback;
    return sizeof *six;
}

static struct pair pair_connect(enum world_family family, bool accepted)
{
    struct sockaddr_storage address;
    struct pair pair = {-1, -1, -1};
    socklen_t len = make_address(&address, family, false);
    int on = 1;
    pair.listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE_EQ(setsockopt(pair.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    REQUIRE_EQ(bind(pair.listener, (struct sockaddr *)&address, len), 0);
    REQUIRE_EQ(listen(pair.listener, 8), 0);
    REQUIRE_EQ(getsockname(pair.listener, (struct sockaddr *)&address, &len), 0);
    uint16_t port = ((struct sockaddr_in *)&address)->sin_port; /* at the same place in both */
    len = make_address(&address, family, true);
    ((struct sockaddr_in *)&address)->sin_port = port;
    pair.peer = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE_EQ(connect(pair.peer, (struct sockaddr *)&address, len), 0);
    if (accepted) {
        pair.owner = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
        REQUIRE(pair.owner >= 0);
    }
    return pair;
}

struct pair pair_open(enum world_family family)
{
    return pair_connect(family, true);
}

struct pair pair_queue(void)
{
    return pair_connect(WORLD_IP4, false);
}

void pair_stuff(struct pair *pair)
{
    static char bytes[65536];
    while (send(pair->owner, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
}

void pair_close(struct pair *pair)
{
    int *fds[] = {&pair->peer, &pair->owner, &pair->listener};
    for (unsigned i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- facts ---- */

uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    REQUIRE_EQ(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
    return cookie;
}

uint64_t inode_of(int fd)
{
    struct stat st;
    REQUIRE_EQ(fstat(fd, &st), 0);
    return st.st_ino;
}

static void take_end(struct lastack_address *address, uint16_t *port,
                     int (*name)(int, struct sockaddr *, socklen_t *), int fd)
{
    struct sockaddr_storage s;
    socklen_t len = sizeof s;
    REQUIRE_EQ(name(fd, (struct sockaddr *)&s, &len), 0);
    *port = ntohs(((struct sockaddr_in *)&s)->sin_port);
    memset(address, 0, sizeof *address);
    if (s.ss_family == AF_INET6) {
        memcpy(address->bytes, &((struct sockaddr_in6 *)&s)->sin6_addr, 16);
        return;
    }
    memset(address->bytes + 10, 0xff, 2);
    memcpy(address->bytes + 12, &((struct sockaddr_in *)&s)->sin_addr, 4);
}

static struct facts *facts_here(struct facts_list *list)
{
    struct stat st;
    struct facts *f = facts_list_add(list);
    REQUIRE(f != NULL);
    REQUIRE_EQ(stat("/proc/thread-self/ns/net", &st), 0);
    f->source = FACT_SOURCE_KERNEL;
    f->netns = st.st_ino;
    f->state = LASTACK_ESTABLISHED;
    snprintf(f->stack, sizeof f->stack, "kernel");
    return f;
}

struct facts *facts_of(struct facts_list *list, int fd)
{
    struct facts *f = facts_here(list);
    struct kernel_now now = {.inode = 0};
    take_end(&f->tuple.local, &f->tuple.local_port, getsockname, fd);
    take_end(&f->tuple.remote, &f->tuple.remote_port, getpeername, fd);
    f->id = cookie_of(fd);
    f->inode = inode_of(fd);
    struct fact_holder *h = facts_holder_add(list, f);
    REQUIRE(h != NULL);
    h->kind = FACT_HOLDER_DESCRIPTOR;
    h->pid = (uint32_t)getpid();
    h->fd = fd;
    REQUIRE_EQ(kernel_end_look(f, &now), 0);
    f->state = now.state;
    return f;
}

struct facts *facts_across(struct facts_list *list, int peer)
{
    struct facts *f = facts_here(list);
    struct reach_entry entry;
    bool by_address = false;
    take_end(&f->tuple.remote, &f->tuple.remote_port, getsockname, peer);
    take_end(&f->tuple.local, &f->tuple.local_port, getpeername, peer);
    int net = reach_namespace(f);
    REQUIRE(net >= 0);
    REQUIRE_EQ(reach_look(net, f, &entry, &by_address), 0);
    close(net);
    f->id = (uint64_t)entry.id.idiag_cookie[1] << 32 | entry.id.idiag_cookie[0];
    f->inode = entry.inode;
    f->state = entry.state;
    return f;
}

bool state_comes(const struct facts *f, enum lastack_state state)
{
    const struct timespec pause = {0, 5000000};
    for (int tries = 0; tries < 4000; tries++) {
        struct kernel_now now = {.inode = 0};
        int result = kernel_end_look(f, &now);
        if (result == -ENOENT && state == LASTACK_TIME_WAIT)
            return true;
        if (result == 0 && now.state == state)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}
