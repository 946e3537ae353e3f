/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: names, requests, replies, and both ends of it over a real socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "doctor/control.h"
#include "test.h"

static char dir[64];

/* A directory of our own for sockets. */
static void dir_make(void)
{
    snprintf(dir, sizeof dir, "/tmp/lastack-control-test-%d", (int)getpid());
    mkdir(dir, 0700);
    setenv("LASTACK_DIR", dir, 1);
}

TEST(names)
{
    CHECK(control_name_valid("web"));
    CHECK(control_name_valid("web-1.test_2"));
    CHECK(control_name_valid("4a"));
    CHECK(!control_name_valid(""));
    CHECK(!control_name_valid("7")); /* would be an id */
    CHECK(!control_name_valid("../x"));
    CHECK(!control_name_valid(".x"));
    CHECK(!control_name_valid("a/b"));
    CHECK(!control_name_valid("a b"));
    CHECK(control_name_valid("abcdefghijklmnopqrstuvwxyz01234"));
    CHECK(!control_name_valid("abcdefghijklmnopqrstuvwxyz012345"));
}

TEST(directories)
{
    char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN];
    setenv("LASTACK_DIR", "/somewhere", 1);
    CHECK_EQ(control_dirs(dirs), 1);
    CHECK_STR(dirs[0], "/somewhere");
    unsetenv("LASTACK_DIR");
    setenv("XDG_RUNTIME_DIR", "/run/user/9", 1);
    int cnt = control_dirs(dirs), at = 0;
    if (geteuid() == 0)
        CHECK_STR(dirs[at++], "/run/lastack");
    CHECK_STR(dirs[at++], "/run/user/9/lastack");
    CHECK_EQ(strncmp(dirs[at++], "/tmp/lastack-", 13), 0);
    CHECK_EQ(cnt, at);
}

TEST(requests)
{
    static const char *const bad[] = {
        "",
        "x",
        "{}",
        "[]",
        "{\"do\":\"fly\"}",
        "{\"do\":\"end\"}",
        "{\"do\":\"end\",\"id\":1}",
        "{\"do\":\"end\",\"how\":\"wr\"}",
        "{\"do\":\"end\",\"id\":-1,\"how\":\"wr\"}",
        "{\"do\":\"end\",\"id\":1,\"how\":\"soon\"}",
        "{\"do\":7}",
    };
    struct control_request r, back;
    struct text line;
    char why[CONTROL_WHY_LEN];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = 0;
        CHECK_EQ(control_request_parse(&r, bad[i], why, sizeof why), -EINVAL);
        CHECK(why[0] != 0);
    }
    text_init(&line);
    r = (struct control_request){.kind = CONTROL_END, .id = 77, .how = LASTACK_END_RST};
    control_request_format(&line, &r);
    CHECK_STR(text_string(&line), "{\"do\":\"end\",\"id\":77,\"how\":\"rst\"}\n");
    CHECK_EQ(control_request_parse(&back, text_string(&line), why, sizeof why), 0);
    CHECK_EQ(back.kind, CONTROL_END);
    CHECK_EQ(back.id, 77);
    CHECK_EQ(back.how, LASTACK_END_RST);
    text_free(&line);
}

/* ---- both ends ---- */

static void serve_one(struct control_session *s)
{
    struct control_request r;
    char why[CONTROL_WHY_LEN];
    if (control_request_parse(&r, text_string(&s->in), why, sizeof why) < 0) {
        control_reply_error(&s->out, EINVAL, why);
    } else if (r.kind == CONTROL_INFO) {
        struct control_info info = {.name = "t", .pid = 5, .uptime_us = 9};
        snprintf(info.program, sizeof info.program, "a \"b\"\n");
        info.usage.connections = 3;
        info.usage.memory_bytes = 1ull << 40;
        control_reply_info(&s->out, &info);
    } else if (r.kind == CONTROL_FACTS) {
        struct facts_list list;
        facts_list_init(&list);
        for (uint64_t i = 0; i < 3000; i++) {
            struct facts *f = facts_list_add(&list);
            f->id = i + 1;
            f->state = LASTACK_CLOSE_WAIT;
        }
        control_reply_facts(&s->out, &list);
        facts_list_free(&list);
    } else {
        control_reply_end(&s->out, r.id, r.id == 1 ? 0 : -ENOENT);
    }
}

/* A server for `session_cnt` sessions, in a child. */
static pid_t serve(const char *name, int session_cnt)
{
    char path[CONTROL_PATH_LEN], why[CONTROL_WHY_LEN];
    int fd = control_listen(name, path, why);
    if (fd < 0)
        FAIL("control_listen: %s", why);
    pid_t pid = fork();
    if (pid != 0) {
        close(fd);
        return pid;
    }
    while (session_cnt-- > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct control_session s;
        poll(&p, 1, 20000);
        control_session_init(&s, accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
        for (int done = 0; done >= 0 && s.fd >= 0;) {
            p = (struct pollfd){.fd = s.fd, .events = s.out.len ? POLLOUT : POLLIN};
            if (poll(&p, 1, 20000) <= 0)
                break;
            if (s.out.len) {
                done = control_session_write(&s);
            } else if ((done = control_session_read(&s)) == 1) {
                serve_one(&s);
                done = control_session_write(&s);
            }
        }
        control_session_free(&s);
    }
    control_close(fd, path);
    _exit(0);
}

TEST(ask_and_answer)
{
    char why[CONTROL_WHY_LEN], names[4][CONTROL_NAME_LEN];
    struct control_info info;
    struct facts_list list;
    dir_make();
    pid_t pid = serve("t", 5);
    CHECK_EQ(control_find(names, 4, why), 1);
    CHECK_STR(names[0], "t");
    CHECK_EQ(control_ask_info("t", &info, why), 0);
    CHECK_STR(info.program, "a \"b\"\n");
    CHECK_EQ(info.pid, 5);
    CHECK_EQ(info.usage.connections, 3);
    CHECK_EQ(info.usage.memory_bytes, 1ull << 40);
    facts_list_init(&list);
    CHECK_EQ(control_ask_facts("t", &list, why), 0);
    CHECK_EQ(list.cnt, 3000);
    CHECK(list.cnt == 3000 && list.all[2999].id == 3000);
    facts_list_free(&list);
    CHECK_EQ(control_ask_end("t", 1, SHUT_WR, why), 0);
    CHECK_EQ(control_ask_end("t", 2, SHUT_WR, why), -ENOENT);
    CHECK_STR(why, "there is no connection 2 (any more)");
    waitpid(pid, NULL, 0);
    CHECK_EQ(control_find(names, 4, why), 0);
    CHECK_EQ(control_ask_info("t", &info, why), -ENOENT);
    CHECK_STR(why, "there is no running stack named t");
    CHECK_EQ(control_ask_info("../t", &info, why), -ENOENT);
    rmdir(dir);
}

TEST(a_name_is_taken_once)
{
    char path[CONTROL_PATH_LEN], again[CONTROL_PATH_LEN], why[CONTROL_WHY_LEN];
    struct stat st;
    dir_make();
    int fd = control_listen("once", path, why);
    REQUIRE(fd >= 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_EQ(control_listen("once", again, why), -EEXIST);
    CHECK(strstr(why, "running already") != NULL);
    close(fd); /* as if it had died: the file stays */
    CHECK(access(path, F_OK) == 0);
    fd = control_listen("once", again, why);
    CHECK(fd >= 0);
    control_close(fd, again);
    CHECK(access(path, F_OK) != 0);
    CHECK_EQ(control_listen("7", path, why), -EINVAL);
    rmdir(dir);
}

TEST(a_directory_of_others_is_refused)
{
    char path[CONTROL_PATH_LEN], why[CONTROL_WHY_LEN], names[1][CONTROL_NAME_LEN];
    dir_make();
    chmod(dir, 0777);
    CHECK_EQ(control_listen("x", path, why), -EPERM);
    CHECK(strstr(why, "does not") || strstr(why, "is not a directory"));
    CHECK_EQ(control_find(names, 1, why), 0);
    CHECK(why[0] != 0);
    rmdir(dir);
    CHECK_EQ(symlink("/tmp", dir), 0);
    CHECK_EQ(control_listen("x", path, why), -EPERM);
    unlink(dir);
}

TEST(a_session_takes_lines)
{
    int pair[2];
    struct control_session s;
    char long_line[6000];
    REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    control_session_init(&s, pair[0]);
    CHECK_EQ(control_session_read(&s), 0);
    CHECK_EQ(write(pair[1], "abc", 3), 3);
    CHECK_EQ(control_session_read(&s), 0);
    CHECK_EQ(write(pair[1], "def\nsecond\n", 11), 11);
    CHECK_EQ(control_session_read(&s), 1);
    CHECK_STR(text_string(&s.in), "abcdef");
    control_reply_done(&s.out);
    CHECK_EQ(control_session_write(&s), 1);
    CHECK_EQ(control_session_read(&s), 1);
    CHECK_STR(text_string(&s.in), "second");
    CHECK_EQ(control_session_write(&s), 1);
    memset(long_line, 'x', sizeof long_line);
    CHECK_EQ(write(pair[1], long_line, sizeof long_line), (long)sizeof long_line);
    CHECK_EQ(control_session_read(&s), -EMSGSIZE);
    control_session_free(&s);
    close(pair[1]);
}

TEST_MAIN()
