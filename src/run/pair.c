/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of pairs: one for each TCP socket of the program. */
#include "run/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/diag.h"
#include "run/holders.h"
#include "run/task.h"
#include "run/watch.h"

/* Half of what the kernel makes of it. A small write costs 768 bytes, so a program that writes byte
 * by byte sees a full buffer after 270 of them at first, and 2700 once it is raised. The first size
 * is what connect_fill() must fill a quarter of. */
#define A_SEND_BUFFER_FIRST (104 << 10)
#define A_SEND_BUFFER (1 << 20)

static struct pair **bucket_of(struct supervisor *s, uint64_t cookie)
{
    return &s->buckets[cookie % PAIR_BUCKET_CNT];
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

void pair_buffer_raise(int a)
{
    int size = A_SEND_BUFFER;

    if (setsockopt(a, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(a, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* Both ends and what identifies A. */
static int pair_open(struct pair *pair)
{
    int ends[2], first = A_SEND_BUFFER_FIRST, error;
    struct stat st;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -errno;
    pair->a = ends[0];
    pair->b = ends[1];
    setsockopt(pair->a, SOL_SOCKET, SO_SNDBUF, &first, sizeof first);
    pair->cookie = cookie_of(pair->a);
    if (pair->cookie != 0 && fstat(pair->a, &st) == 0 &&
        fcntl(pair->b, F_SETFL, O_NONBLOCK) == 0) {
        pair->inode = st.st_ino;
        return 0;
    }
    error = errno;
    close(pair->a);
    close(pair->b);
    return -error;
}

static int pair_register(struct supervisor *s, struct pair *pair)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = pair};

    return epoll_ctl(s->pair_epoll, EPOLL_CTL_ADD, pair->b, &event) == 0 ? 0 : -errno;
}

struct pair *pair_create(struct supervisor *s, int fd)
{
    struct pair *pair = calloc(1, sizeof *pair), **bucket;
    int error;

    if (!pair)
        return NULL;
    error = pair_open(pair);
    if (error == 0 && (error = pair_register(s, pair)) != 0) {
        close(pair->a);
        close(pair->b);
    }
    if (error != 0) {
        free(pair);
        errno = -error;
        return NULL;
    }
    list_init(&pair->ready);
    list_init(&pair->waiting);
    list_init(&pair->requeued);
    list_init(&pair->queue);
    list_init(&pair->watch);
    list_push_back(&s->pairs, &pair->all);
    bucket = bucket_of(s, pair->cookie);
    pair->bucket = *bucket;
    *bucket = pair;
    pair->fd = fd;
    pair->pid_fd = pair->born_fd = -1;
    pair->socket_id = lastack_socket_id(s->process, fd);
    lastack_user_set(s->process, fd, pair);
    /* close(2) of the program does not wait here: nobody would answer its next call meanwhile */
    lastack_fcntl(s->process, fd, F_SETFL, O_NONBLOCK);
    s->pair_cnt++;
    return pair;
}

struct pair *pair_find_cookie(struct supervisor *s, uint64_t cookie)
{
    struct pair *pair = cookie ? *bucket_of(s, cookie) : NULL;

    while (pair && pair->cookie != cookie)
        pair = pair->bucket;
    return pair;
}

struct pair *pair_find(struct supervisor *s, int a)
{
    return s->pair_cnt ? pair_find_cookie(s, cookie_of(a)) : NULL;
}

struct pair *pair_find_socket(struct supervisor *s, uint64_t socket_id)
{
    list_for_each(node, &s->pairs) {
        struct pair *pair = (struct pair *)((char *)node - offsetof(struct pair, all));

        if (pair->socket_id == socket_id)
            return pair;
    }
    return NULL;
}

void pair_given(struct supervisor *s, struct pair *pair, pid_t pid, int fd)
{
    close(pair->a);
    pair->a = -1;
    pair->pid = pair->born_pid = pid;
    pair->pid_fd = pair->born_fd = fd;
    pair->born_ns = s->now_ns;
    watch_seen(pair, pid, fd);
    if (pair->kind == PAIR_CONNECTED)
        watch_start(s, pair);
}

static int open_from(struct supervisor *s, const struct pair *pair, pid_t pid, int fd)
{
    int a = pid > 0 && fd >= 0 ? task_descriptor(s, pid, fd) : -1;

    if (a >= 0 && cookie_of(a) != pair->cookie) {
        close(a);
        a = -1;
    }
    return a;
}

bool pair_held_by(struct supervisor *s, const struct pair *pair, pid_t pid, int fd)
{
    int a = open_from(s, pair, pid, fd);

    if (a >= 0)
        close(a);
    return a >= 0;
}

int pair_open_a(struct supervisor *s, struct pair *pair)
{
    struct holder_set set;
    int a;

    if (pair->a >= 0)
        return fcntl(pair->a, F_DUPFD_CLOEXEC, 0);
    a = open_from(s, pair, pair->pid, pair->pid_fd);
    if (a < 0)
        a = open_from(s, pair, pair->born_pid, pair->born_fd);
    if (a >= 0)
        return a;
    holders_scan(s, &set);
    for (unsigned i = 0; i < set.cnt && a < 0; i++) {
        if (set.all[i].inode != pair->inode)
            continue;
        a = open_from(s, pair, set.all[i].pid, set.all[i].fd);
        if (a >= 0) {
            pair->pid = set.all[i].pid;
            pair->pid_fd = set.all[i].fd;
        }
    }
    holders_free(&set);
    return a < 0 ? -1 : a;
}

bool pair_alive(struct supervisor *s, struct pair *pair)
{
    int exists = diag_unix_exists(&s->diag, (uint32_t)pair->inode);
    int a;

    if (exists >= 0)
        return exists > 0;
    a = pair_open_a(s, pair);
    if (a >= 0)
        close(a);
    return a >= 0;
}

void pair_watch(struct supervisor *s, struct pair *pair, bool writable)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (writable ? EPOLLOUT : 0), .data.ptr = pair};

    epoll_ctl(s->pair_epoll, EPOLL_CTL_MOD, pair->b, &event);
}

void pair_cut(struct supervisor *s, struct pair *pair)
{
    if (pair->b >= 0)
        close(pair->b);
    pair->b = -1;
    if (pair->kind == PAIR_DEAD)
        return;
    pair->kind = PAIR_DEAD;
    pair->up_blocked = pair->down_blocked = false;
    list_remove(&pair->ready);
    list_push_back(&s->dead, &pair->ready);
    s->dead_cnt++;
}

void pair_bury(struct supervisor *s, struct pair *pair)
{
    struct pair **at = bucket_of(s, pair->cookie);

    if (pair->kind == PAIR_DEAD)
        s->dead_cnt--;
    if (pair->b >= 0)
        close(pair->b);
    if (pair->a >= 0)
        close(pair->a);
    pair->a = pair->b = -1;
    pair->gone = true;
    while (*at != pair)
        at = &(*at)->bucket;
    *at = pair->bucket;
    list_remove(&pair->ready);
    list_remove(&pair->queue);
    list_remove(&pair->watch);
    list_remove(&pair->all);
    list_push_back(&s->graveyard, &pair->all);
    s->pair_cnt--;
}

void pair_free_buried(struct supervisor *s)
{
    struct list *node;

    while ((node = list_pop_front(&s->graveyard)))
        free((char *)node - offsetof(struct pair, all));
}
