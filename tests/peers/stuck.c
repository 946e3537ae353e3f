/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack whose process is stopped: it accepts nobody, and whoever asks must not hang with it. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "doctor/control.h"
#include "test.h"

#define PATIENCE_S 60 /* an end for a call that has none; the asking end gives up after a few */
#define CLIENT_MAX 64

struct stuck {
    char dir[64], path[100];
    int listener, clients[CLIENT_MAX], client_cnt;
};

static int client(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    REQUIRE(fd >= 0);
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return fd;
    CHECK_EQ(errno, EAGAIN);
    close(fd);
    return -1;
}

/* A control socket named "stuck" whose queue is full of clients that gave up before us. */
static void stuck_begin(struct stuck *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(s->dir, sizeof(s->dir), "/tmp/lastack-stuck-test-%d", (int)getpid());
    snprintf(s->path, sizeof(s->path), "%s/stuck.sock", s->dir);
    REQUIRE_EQ(mkdir(s->dir, 0700), 0);
    REQUIRE_EQ(setenv("LASTACK_DIR", s->dir, 1), 0);
    strcpy(address.sun_path, s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(s->listener >= 0);
    REQUIRE_EQ(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    REQUIRE_EQ(listen(s->listener, 4), 0);
    for (s->client_cnt = 0; s->client_cnt < CLIENT_MAX; s->client_cnt++)
        if ((s->clients[s->client_cnt] = client(&address)) < 0)
            break;
    REQUIRE(s->client_cnt > 0 && s->client_cnt < CLIENT_MAX);
    alarm(PATIENCE_S);
}

static void stuck_end(struct stuck *s)
{
    alarm(0);
    while (s->client_cnt > 0)
        close(s->clients[--s->client_cnt]);
    close(s->listener);
    unlink(s->path);
    rmdir(s->dir);
}

TEST(a_stack_that_accepts_nobody_is_found)
{
    struct stuck s;
    char names[4][CONTROL_NAME_LEN], why[CONTROL_WHY_LEN];

    stuck_begin(&s);
    CHECK_EQ(control_find(names, 4, why), 1);
    CHECK_STR(names[0], "stuck");
    stuck_end(&s);
}

TEST(asking_a_stack_that_accepts_nobody_has_an_end)
{
    struct stuck s;
    struct control_info info;
    char why[CONTROL_WHY_LEN] = "";
    int result;

    stuck_begin(&s);
    result = control_ask_info("stuck", &info, why);
    CHECK_LT(result, 0);
    CHECK_NE(result, -ENOENT); /* it is there, and it is not dead */
    CHECK_NE(result, -ECONNREFUSED);
    CHECK(why[0] != '\0');
    stuck_end(&s);
}

TEST_MAIN()
