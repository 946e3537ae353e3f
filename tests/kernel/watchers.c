/* SPDX-License-Identifier: BSD-2-Clause */
/* Who would notice: epolls with their masks, polls, blocked calls; and what holders are doing. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel/container.h"
#include "scene.h"

static void epoll_put(int epoll, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    REQUIRE_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static struct ends ends_half(void)
{
    struct ends e = ends_make();
    shutdown(e.client, SHUT_WR);
    wait_readable(e.server);
    return e;
}

static void ends_close(struct ends e)
{
    close(e.client);
    close(e.server);
}

SCENE(an_epoll_tells_its_mask)
{
    struct ends e = ends_half();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_put(epoll, e.server, EPOLLIN | EPOLLET, 0x7f0012345678);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    const struct fact_watch *w = watch_kind(f, FACT_WATCH_EPOLL);
    CHECK_EQ(f->watch_cnt, 1);
    CHECK_EQ(f->watchers_known, FACT_YES);
    REQUIRE(w != NULL);
    CHECK_EQ(w->pid, getpid());
    CHECK_EQ(w->fd, epoll);
    CHECK_EQ(w->target_fd, e.server);
    CHECK(w->events & EPOLLIN);
    CHECK_EQ(w->edge, FACT_YES);
    CHECK_EQ(w->spent, FACT_NO);
    CHECK_EQ(w->waited, FACT_NO); /* we are here, not there */
    CHECK_EQ(w->data, 0x7f0012345678);
    CHECK_EQ(f->holders[0].watching, FACT_YES);
    close(epoll);
    ends_close(e);
}

SCENE(a_one_shot_that_fired_is_spent)
{
    struct ends e = ends_half();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    epoll_put(epoll, e.server, EPOLLIN | EPOLLONESHOT, 1);
    look(s);
    REQUIRE(watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL) != NULL);
    CHECK_EQ(watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL)->spent, FACT_NO);
    REQUIRE_EQ(epoll_wait(epoll, &event, 1, 10000), 1);
    look(s);
    REQUIRE(watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL) != NULL);
    CHECK_EQ(watch_kind(facts_of(s, e.server), FACT_WATCH_EPOLL)->spent, FACT_YES);
    CHECK_EQ(facts_of(s, e.server)->holders[0].watching, FACT_NO);
    close(epoll);
    ends_close(e);
}

SCENE(an_epoll_that_does_not_ask_for_reading)
{
    struct ends e = ends_half();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_put(epoll, e.server, EPOLLPRI, 1);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    REQUIRE(watch_kind(f, FACT_WATCH_EPOLL) != NULL);
    CHECK(!(f->watches[0].events & (EPOLLIN | EPOLLRDHUP)));
    CHECK_EQ(f->watches[0].spent, FACT_NO);
    CHECK_EQ(f->holders[0].watching, FACT_NO);
    close(epoll);
    ends_close(e);
}

SCENE(nobody_watches_it)
{
    struct ends e = ends_half();
    look(s);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->watch_cnt, 0);
    CHECK_EQ(f->watchers_known, FACT_YES);
    CHECK_EQ(f->holders[0].watching, FACT_NO);
    ends_close(e);
}

static void wait_on_epoll(struct child *self, void *arg)
{
    struct epoll_event event;
    int epoll = *(int *)arg;
    child_ready(self);
    for (;;)
        epoll_wait(epoll, &event, 1, -1);
}

SCENE(a_loop_that_waits_is_seen_waiting)
{
    struct ends e = ends_make();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_put(epoll, e.server, EPOLLIN, 1);
    struct child child = child_begin(wait_on_epoll, &epoll);
    uint64_t id = cookie_of(e.server);
    close(epoll);
    close(e.server);
    s->options.id = id;
    LOOK_UNTIL(s, watch_kind(facts_id(s, id), FACT_WATCH_EPOLL) &&
                      watch_kind(facts_id(s, id), FACT_WATCH_EPOLL)->waited == FACT_YES);
    const struct fact_holder *h = holder_of(facts_id(s, id), (uint32_t)child.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->doing, FACT_DOING_POLL);
    CHECK_STR(h->doing_text, "epoll_wait");
    CHECK_EQ(h->watching, FACT_YES);
    child_end(&child);
    close(e.client);
}

/* ---- what a holder is doing ---- */

static void play_accept(struct child *self, void *arg)
{
    child_ready(self);
    accept(*(int *)arg, NULL, NULL);
}

SCENE(a_holder_that_only_accepts)
{
    struct ends e = ends_half();
    int other = listen_on(AF_INET, 3);
    struct child child = child_begin(play_accept, &other);
    LOOK_UNTIL(s, holder_of(facts_of(s, e.server), (uint32_t)child.pid) &&
                      holder_of(facts_of(s, e.server), (uint32_t)child.pid)->doing ==
                          FACT_DOING_ACCEPT);
    const struct fact_holder *h = holder_of(facts_of(s, e.server), (uint32_t)child.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->doing_id, cookie_of(other));
    CHECK_EQ(h->threads, 1);
    CHECK_EQ(h->watching, FACT_NO);
    CHECK(fact_known(h->process_us));
    child_end(&child);
    ends_close(e);
    close(other);
}

static void play_read_pipe(struct child *self, void *arg)
{
    (void)arg;
    child_ready(self);
    child_wait(self);
}

SCENE(a_pipe_is_no_connection)
{
    struct ends e = ends_half();
    struct child child = child_begin(play_read_pipe, NULL);
    LOOK_UNTIL(s, holder_of(facts_of(s, e.server), (uint32_t)child.pid) &&
                      strcmp(holder_of(facts_of(s, e.server), (uint32_t)child.pid)->doing_text,
                             "read") == 0);
    CHECK_EQ(holder_of(facts_of(s, e.server), (uint32_t)child.pid)->doing, FACT_DOING_OTHER);
    child_end(&child);
    ends_close(e);
}

static void do_nothing(struct child *self, void *arg)
{
    (void)self, (void)arg;
}

SCENE(a_stopped_holder)
{
    struct ends e = ends_half();
    struct child child = child_begin(do_nothing, NULL);
    int status;
    kill(child.pid, SIGSTOP);
    REQUIRE_EQ(waitpid(child.pid, &status, WUNTRACED), child.pid);
    look(s);
    const struct fact_holder *h = holder_of(facts_of(s, e.server), (uint32_t)child.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->doing, FACT_DOING_STOPPED);
    child_end(&child);
    ends_close(e);
}

static void spin(struct child *self, void *arg)
{
    volatile unsigned *never = arg;
    child_ready(self);
    while (*never == 0)
        ;
}

SCENE(a_holder_that_is_busy)
{
    struct ends e = ends_half();
    unsigned zero = 0;
    struct child busy = child_begin(spin, &zero), idle = child_begin(do_nothing, NULL);
    LOOK_UNTIL(s, holder_of(facts_of(s, e.server), (uint32_t)busy.pid) &&
                      holder_of(facts_of(s, e.server), (uint32_t)busy.pid)->cpu_percent > 0);
    const struct fact_holder *h = holder_of(facts_of(s, e.server), (uint32_t)busy.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->doing, FACT_DOING_RUNNING);
    CHECK_NE(h->cpu_percent, FACT_NO_CPU);
    h = holder_of(facts_of(s, e.server), (uint32_t)idle.pid);
    REQUIRE(h != NULL);
    CHECK_EQ(h->cpu_percent, 0);
    CHECK_EQ(h->doing, FACT_DOING_SLEEP);
    child_end(&busy);
    child_end(&idle);
    ends_close(e);
}

SCENE(descriptors_and_their_limit)
{
    struct ends e = ends_half();
    long limit = sysconf(_SC_OPEN_MAX);
    look(s);
    uint32_t before = facts_of(s, e.server)->holders[0].fd_cnt;
    int more = dup(e.client);
    look(s);
    CHECK_EQ(facts_of(s, e.server)->holders[0].fd_cnt, before + 1);
    CHECK_EQ(facts_of(s, e.server)->holders[0].fd_limit, limit);
    close(more);
    ends_close(e);
}

static void take_a_name(struct child *self, void *arg)
{
    (void)self;
    prctl(PR_SET_NAME, arg);
}

SCENE(any_byte_may_stand_in_a_name)
{
    char name[16] = "a) R\n\x1b[31m\xff(";
    struct ends e = ends_half();
    struct child child = child_begin(take_a_name, name);
    look(s);
    const struct fact_holder *h = holder_of(facts_of(s, e.server), (uint32_t)child.pid);
    REQUIRE(h != NULL);
    CHECK_STR(h->program, name);
    CHECK_EQ(h->doing, FACT_DOING_SLEEP);
    struct kernel_process process;
    CHECK(kernel_process_look(&process, (uint32_t)child.pid));
    CHECK_STR(process.program, name);
    CHECK(process.start_ticks > 0);
    CHECK_EQ(kernel_descriptor_cookie((uint32_t)child.pid, e.server), cookie_of(e.server));
    CHECK_EQ(kernel_descriptor_cookie((uint32_t)child.pid, 9999), 0);
    child_end(&child);
    CHECK(!kernel_process_look(&process, (uint32_t)child.pid));
    ends_close(e);
}

/* ---- names of containers ---- */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(control_groups_name_containers)
{
    static const char *const cases[][2] = {
        {"0::/system.slice/docker-" ID ".scope\n", "docker:0123456789ab"},
        {"12:cpu:/docker/" ID "\n0::/\n", "docker:0123456789ab"},
        {"0::/machine.slice/libpod-" ID ".scope/container\n", "podman:0123456789ab"},
        {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod"
         "12345678_9abc_def0_1234_56789abcdef0.slice/cri-containerd-" ID ".scope\n",
         "pod:12345678-9abc-def0-1234-56789abcdef0/0123456789ab"},
        {"1:name=systemd:/kubepods/burstable/pod12345678-9abc-def0-1234-56789abcdef0/" ID "\n",
         "pod:12345678-9abc-def0-1234-56789abcdef0/0123456789ab"},
        {"0::/lxc.payload.web/system.slice/nginx.service\n", "lxc:web"},
        {"0::/system.slice/nginx.service\n", "systemd:nginx.service"},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n",
         "systemd:x.service"},
        {"0::/user.slice/user-1000.slice/session-2.scope\n", ""},
        {"0::/\n", ""},
        {"", ""},
        {"garbage", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        CHECK_EQ(container_name(cases[i][0], name, sizeof name), cases[i][1][0] != '\0');
        CHECK_STR(name, cases[i][1]);
    }
}

TEST_MAIN()
