/* SPDX-License-Identifier: BSD-2-Clause */
/* Other network namespaces, lack of rights, and a world that changes while it is looked at. */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scene.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* ---- two namespaces ---- */

static void live_elsewhere(struct child *self, void *arg)
{
    uint64_t *told = arg; /* shared memory would be more than a pipe needs */
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    struct stat space;
    if (unshare(CLONE_NEWNET) != 0 || stat("/proc/self/ns/net", &space) != 0)
        _exit(1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        _exit(1);
    close(fd);
    struct ends e = ends_make();
    shutdown(e.client, SHUT_WR);
    uint64_t answer[2] = {cookie_of(e.server), space.st_ino};
    if (write((int)*told, answer, sizeof answer) != sizeof answer)
        _exit(1);
    child_ready(self);
    for (;;)
        pause();
}

SCENE(every_namespace_is_visited)
{
    uint64_t answer[2], pipe_end;
    char stack[32];
    int pipes[2];
    struct ends here = ends_make();
    REQUIRE_EQ(pipe2(pipes, O_CLOEXEC), 0);
    pipe_end = (uint64_t)pipes[1];
    struct child child = child_begin(live_elsewhere, &pipe_end);
    REQUIRE_EQ(read(pipes[0], answer, sizeof answer), sizeof answer);
    s->options.here_only = false;
    LOOK_UNTIL(s, facts_id(s, answer[0])->state == LASTACK_CLOSE_WAIT);
    const struct facts *f = facts_id(s, answer[0]);
    snprintf(stack, sizeof stack, "kernel@%llu", (unsigned long long)answer[1]);
    CHECK_STR(f->stack, stack);
    CHECK_EQ(f->netns, answer[1]);
    CHECK_NE(f->netns, facts_of(s, here.server)->netns);
    CHECK_STR(facts_of(s, here.server)->stack, "kernel");
    CHECK(s->view.namespaces >= 2);
    CHECK(holder_of(f, (uint32_t)child.pid) != NULL);
    CHECK(f->peer_id != 0);
    s->options.here_only = true;
    look(s);
    CHECK(!facts_list_find(&s->list, answer[0]));
    CHECK(facts_of(s, here.server) != NULL);
    child_end(&child);
    close(pipes[0]);
    close(pipes[1]);
    close(here.client);
    close(here.server);
}

/* ---- without rights ---- */

/* Its own sockets it may see whole; of others it says that there is more. */
static int look_as_nobody(int strangers)
{
    struct scene s = {.options = {.no_bpf = false}};
    facts_list_init(&s.list);
    kernel_view_init(&s.view);
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 2;
    struct ends own = ends_make();
    uint64_t foreign = cookie_of(strangers);
    close(strangers);
    shutdown(own.client, SHUT_WR);
    look(&s);
    const struct facts *f = facts_of(&s, own.server), *other = facts_id(&s, foreign);
    if (s.view.bpf)
        return 3;
    CHECK(holder_of(f, (uint32_t)getpid()) != NULL);
    CHECK_NE(f->holders_known, FACT_YES);
    CHECK_NE(f->watchers_known, FACT_YES);
    CHECK_EQ(other->holder_cnt, 0);
    CHECK_EQ(other->holders_known, FACT_NO);
    CHECK(strstr(text_string(&s.view.unseen), "root") != NULL);
    facts_list_free(&s.list);
    kernel_view_free(&s.view);
    return test_state.failure_cnt ? 1 : 0;
}

SCENE_BY_PROC(without_rights_it_says_what_it_cannot_see)
{
    struct ends e = ends_make();
    int status;
    (void)s;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(look_as_nobody(e.server));
    REQUIRE_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    close(e.client);
    close(e.server);
}

/* Somebody else, in a namespace of his own. */
static void live_as_another(struct child *self, void *arg)
{
    (void)arg;
    if (unshare(CLONE_NEWNET) != 0 || setgroups(0, NULL) != 0 || setgid(65534) != 0 ||
        setuid(65534) != 0)
        _exit(1);
    child_ready(self);
    for (;;)
        pause();
}

static int look_without(int capability, bool no_bpf, const char *words)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    struct scene s = {.options = {.no_bpf = no_bpf}};
    facts_list_init(&s.list);
    kernel_view_init(&s.view);
    if (syscall(SYS_capget, &head, sets) != 0)
        return 2;
    sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
    sets[CAP_TO_INDEX(capability)].permitted &= ~CAP_TO_MASK(capability);
    if (syscall(SYS_capset, &head, sets) != 0)
        return 2;
    look(&s);
    CHECK(strstr(text_string(&s.view.unseen), words) != NULL);
    facts_list_free(&s.list);
    kernel_view_free(&s.view);
    return test_state.failure_cnt ? 1 : 0;
}

SCENE(a_capability_that_lacks_is_named)
{
    static const struct {
        int capability;
        const char *words;
    } lacks[] = {{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
    struct child child = child_begin(live_as_another, NULL);
    int status;
    for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            _exit(look_without(lacks[i].capability, s->options.no_bpf, lacks[i].words));
        REQUIRE_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
    child_end(&child);
}

/* A look in a world of its own must end with an error that says `word`; without holders it need not. */
static int look_and_fail(const char *word)
{
    struct kernel_options options = {.no_bpf = true, .here_only = true};
    struct facts_list list;
    struct kernel_view view;
    char why[512] = "";
    facts_list_init(&list);
    kernel_view_init(&view);
    CHECK(facts_from_kernel(&list, &options, &view, why, sizeof why) < 0);
    CHECK(strstr(why, word) != NULL);
    options.no_details = options.no_holders = true;
    if (facts_from_kernel(&list, &options, &view, why, sizeof why) == 0)
        CHECK(strstr(text_string(&view.unseen), word) != NULL);
    facts_list_free(&list);
    kernel_view_free(&view);
    return test_state.failure_cnt ? 1 : 0;
}

static int look_without_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        return 2;
    return look_and_fail("/proc is not mounted");
}

static int look_with_few_files(void)
{
    struct rlimit none = {3, 3};
    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        return 2;
    return look_and_fail("ulimit -n");
}

/* The numbers of another process namespace would mislead. */
static int look_at_numbers_of_others(void)
{
    int status;
    if (unshare(CLONE_NEWPID) != 0)
        return 2;
    pid_t pid = fork();
    if (pid == 0)
        _exit(look_and_fail("another process namespace"));
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static void check_apart(int (*play)(void))
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(play());
    REQUIRE_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

SCENE_BY_PROC(without_a_proc_of_ours_it_is_told)
{
    (void)s;
    check_apart(look_without_proc);
    check_apart(look_with_few_files);
    check_apart(look_at_numbers_of_others);
}

/* ---- while everything changes ---- */

static void churn(struct child *self, void *arg)
{
    int listener = *(int *)arg;
    child_ready(self);
    for (;;) {
        struct ends e = ends_of(listener);
        pid_t heir = fork();
        if (heir == 0) { /* a forking server, handing it on */
            close(e.server);
            _exit(0);
        }
        close(e.client);
        close(e.server);
        waitpid(heir, NULL, 0);
    }
}

SCENE(a_steady_socket_in_a_storm)
{
    int listener = listen_on(AF_INET, 50);
    struct ends steady = ends_make();
    shutdown(steady.client, SHUT_WR);
    wait_readable(steady.server);
    struct child storm[2] = {child_begin(churn, &listener), child_begin(churn, &listener)};
    uint64_t id = cookie_of(steady.server);
    uint32_t own = (uint32_t)getpid();
    for (int i = 0; i < 10; i++) {
        look(s);
        const struct facts *f = facts_id(s, id);
        CHECK_EQ(f->state, LASTACK_CLOSE_WAIT);
        CHECK(holder_of(f, own) != NULL);
        CHECK(holder_of(f, (uint32_t)storm[0].pid) != NULL);
        CHECK_EQ(f->holders_known, FACT_YES);
        for (uint32_t k = 0; k < s->list.cnt; k++) { /* what comes and goes is not hidden */
            const struct facts *any = &s->list.all[k];
            if (holder_kind(any, FACT_HOLDER_OTHER) || holder_kind(any, FACT_HOLDER_CALL))
                FAIL("socket %llu in %s is said to be hidden", (unsigned long long)any->id,
                     fact_state_name(any->state));
        }
    }
    child_end(&storm[0]);
    child_end(&storm[1]);
    close(listener);
    close(steady.client);
    close(steady.server);
}

/* Its TCP connection has the file of the descriptor, which leads to a socket of MPTCP. */
static void check_mptcp(struct scene *s, uint64_t inode, uint32_t holder_cnt)
{
    int found = 0;
    for (uint32_t i = 0; i < s->list.cnt; i++) {
        const struct facts *f = &s->list.all[i];
        if (f->inode != inode)
            continue;
        found++;
        CHECK_EQ(f->orphan, FACT_NO);
        CHECK_EQ(f->unaccepted, FACT_NO);
        CHECK_EQ(f->holder_cnt, holder_cnt);
        CHECK(holder_of(f, (uint32_t)getpid()) != NULL);
        for (uint32_t k = 0; k < f->holder_cnt; k++)
            CHECK_EQ(f->holders[k].kind, FACT_HOLDER_DESCRIPTOR);
        CHECK_EQ(f->references, s->bpf ? holder_cnt : FACT_UNKNOWN);
    }
    CHECK_EQ(found, 1);
}

SCENE(a_connection_of_mptcp)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    if (listener < 0)
        test_skip("no MPTCP here");
    REQUIRE_EQ(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
    REQUIRE_EQ(listen(listener, 4), 0);
    to.sin_port = htons(port_of(listener));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    REQUIRE_EQ(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC), second = dup(server);
    look(s);
    check_mptcp(s, inode_of(client), 1);
    check_mptcp(s, inode_of(server), 2);
    check_mptcp(s, inode_of(listener), 1);
    close(second);
    look(s);
    check_mptcp(s, inode_of(server), 1);
    close(server);
    close(client);
    close(listener);
}

SCENE(many_sockets_of_one_process)
{
    int listener = listen_on(AF_INET, 200);
    struct ends all[150];
    for (int i = 0; i < 150; i++) {
        all[i] = ends_of(listener);
        if (i % 2)
            shutdown(all[i].client, SHUT_WR);
    }
    look(s);
    for (int i = 0; i < 150; i++) {
        const struct facts *f = facts_of(s, all[i].server);
        CHECK_EQ(f->holder_cnt, 1);
        CHECK_EQ(f->holders[0].fd, all[i].server);
        CHECK_EQ(f->peer_id, cookie_of(all[i].client));
        close(all[i].client);
        close(all[i].server);
    }
    close(listener);
}

TEST_MAIN()
