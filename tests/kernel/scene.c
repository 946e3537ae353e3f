/* SPDX-License-Identifier: BSD-2-Clause */
#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/sockios.h>

struct played {
    scene_play *play;
    bool bpf;
};

/* A loopback that nobody else uses. Who may make one may look at all processes, too. */
static void world_enter(void)
{
    static bool entered;
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (entered)
        return;
    if (unshare(CLONE_NEWNET) != 0)
        test_skip("no network namespace of one's own here");
    entered = true;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        test_note("loopback: %s", strerror(errno));
    close(fd);
}

static void scene_run(const void *arg)
{
    const struct played *played = arg;
    world_enter();
    struct scene *s = calloc(1, sizeof *s);
    REQUIRE(s != NULL);
    s->bpf = played->bpf;
    s->options = (struct kernel_options){.no_bpf = !played->bpf, .here_only = true};
    facts_list_init(&s->list);
    kernel_view_init(&s->view);
    if (s->bpf) {
        look(s);
        if (!s->view.bpf)
            test_skip("no BPF iterators here");
    }
    played->play(s);
    facts_list_free(&s->list);
    kernel_view_free(&s->view);
    free(s);
}

void scene_register(const char *name, scene_play *play, enum scene_ways ways)
{
    static struct played all[128];
    static unsigned cnt;
    char full[96];
    for (int bpf = ways == SCENE_BPF_WAY; bpf < (ways == SCENE_PROC_WAY ? 1 : 2); bpf++) {
        if (cnt == 128)
            abort();
        all[cnt] = (struct played){play, bpf};
        snprintf(full, sizeof full, "%s by %s", name, bpf ? "bpf" : "proc");
        test_register(full, scene_run, &all[cnt++]);
    }
}

void look(struct scene *s)
{
    char why[256] = "";
    facts_list_free(&s->list);
    kernel_view_free(&s->view);
    kernel_view_init(&s->view);
    int error = facts_from_kernel(&s->list, &s->options, &s->view, why, sizeof why);
    if (error)
        test_note("facts_from_kernel: %s", why);
    REQUIRE_EQ(error, 0);
    REQUIRE(!s->list.failed);
    facts_list_relate(&s->list);
}

uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    REQUIRE_EQ(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
    return cookie;
}

uint64_t inode_of(int fd)
{
    struct stat look_at;
    REQUIRE_EQ(fstat(fd, &look_at), 0);
    return look_at.st_ino;
}

struct facts *facts_id(struct scene *s, uint64_t id)
{
    struct facts *f = facts_list_find(&s->list, id);
    if (!f)
        test_note("no record of socket %llu", (unsigned long long)id);
    REQUIRE(f != NULL);
    return f;
}

struct facts *facts_of(struct scene *s, int fd)
{
    return facts_id(s, cookie_of(fd));
}

const struct fact_holder *holder_of(const struct facts *f, uint32_t pid)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].pid == pid)
            return &f->holders[i];
    return NULL;
}

const struct fact_holder *holder_kind(const struct facts *f, enum fact_holder_kind kind)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].kind == kind)
            return &f->holders[i];
    return NULL;
}

const struct fact_watch *watch_kind(const struct facts *f, enum fact_watch_kind kind)
{
    for (uint32_t i = 0; i < f->watch_cnt; i++)
        if (f->watches[i].kind == kind)
            return &f->watches[i];
    return NULL;
}

/* ---- sockets ---- */

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

int listen_on(int family, int backlog)
{
    union name name = {.any.sa_family = (sa_family_t)family};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (family == AF_INET)
        name.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(fd >= 0); /* AF_INET6: bound to ::, both families */
    REQUIRE_EQ(bind(fd, &name.any, family == AF_INET ? sizeof name.in : sizeof name.in6), 0);
    REQUIRE_EQ(listen(fd, backlog), 0);
    return fd;
}

uint16_t port_of(int fd)
{
    union name name;
    socklen_t len = sizeof name;
    REQUIRE_EQ(getsockname(fd, &name.any, &len), 0);
    return ntohs(name.any.sa_family == AF_INET ? name.in.sin_port : name.in6.sin6_port);
}

int connect_to(int listener)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port_of(listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

struct ends ends_of(int listener)
{
    struct ends e = {.client = connect_to(listener)};
    e.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(e.server >= 0);
    return e;
}

struct ends ends_make(void)
{
    int listener = listen_on(AF_INET, 4);
    struct ends e = ends_of(listener);
    close(listener);
    return e;
}

void wait_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    REQUIRE_EQ(poll(&wait, 1, 20000), 1);
}

void fill(int fd)
{
    static const char block[65536];
    int queued = -1, before;
    for (;;) {
        while (send(fd, block, sizeof block, MSG_DONTWAIT) > 0)
            ;
        before = queued;
        REQUIRE_EQ(ioctl(fd, SIOCOUTQ, &queued), 0);
        if (queued == before)
            return;
        usleep(20000); /* until the peer's queue takes no more */
    }
}

/* ---- children ---- */

struct child child_begin(void (*play)(struct child *self, void *arg), void *arg)
{
    int to[2], from[2];
    char ready;
    REQUIRE(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    pid_t parent = getpid(), pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        struct child self = {getpid(), from[1], to[0]};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        if (getppid() != parent)
            _exit(1);
        play(&self, arg);
        child_ready(&self);
        for (;;)
            pause();
    }
    close(to[0]);
    close(from[1]);
    struct child child = {pid, to[1], from[0]};
    REQUIRE_EQ(read(child.from, &ready, 1), 1);
    return child;
}

void child_ready(struct child *self)
{
    if (write(self->to, "r", 1) != 1)
        _exit(1);
}

void child_wait(struct child *self)
{
    char go;
    if (read(self->from, &go, 1) != 1)
        _exit(1);
}

void child_go(struct child *child)
{
    REQUIRE_EQ(write(child->to, "g", 1), 1);
}

void child_end(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->to);
    close(child->from);
}
