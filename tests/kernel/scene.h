/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenes for the facts of the kernel: sockets on a loopback of their own (a network namespace: without
 * root they are skipped), children that hold them, and looks at them. Each scene is played twice:
 * seen by /proc and sock_diag ("... by proc"), and by BPF iterators where they load ("... by bpf").
 */
#ifndef KERNEL_SCENE_H
#define KERNEL_SCENE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "kernel/kernel.h"
#include "test.h"

struct scene {
    struct kernel_options options;
    struct facts_list list; /* of the newest look */
    struct kernel_view view;
    bool bpf;
};

typedef void scene_play(struct scene *s);
enum scene_ways { SCENE_BOTH_WAYS, SCENE_PROC_WAY, SCENE_BPF_WAY };
void scene_register(const char *name, scene_play *play, enum scene_ways ways);
#define SCENE(name)                                                                                \
    static void name(struct scene *s);                                                             \
    TEST_SETUP(name)                                                                               \
    {                                                                                              \
        scene_register(#name, name, SCENE_BOTH_WAYS);                                                        \
    }                                                                                              \
    static void name(struct scene *s)
/* What only the way by /proc has. */
#define SCENE_BY_PROC(name)                                                                        \
    static void name(struct scene *s);                                                             \
    TEST_SETUP(name)                                                                               \
    {                                                                                              \
        scene_register(#name, name, SCENE_PROC_WAY);                                                         \
    }                                                                                              \
    static void name(struct scene *s)

/* What only iterators have. */
#define SCENE_BY_BPF(name)                                                                         \
    static void name(struct scene *s);                                                             \
    TEST_SETUP(name)                                                                               \
    {                                                                                              \
        scene_register(#name, name, SCENE_BPF_WAY);                                                \
    }                                                                                              \
    static void name(struct scene *s)

/* Look with s->options. */
void look(struct scene *s);
/* Look until `condition` holds, for 20 seconds at most. */
#define LOOK_UNTIL(s, condition)                                                                   \
    do {                                                                                           \
        time_t test_end = time(NULL) + 20;                                                         \
        for (look(s); !(condition) && time(NULL) < test_end; look(s))                              \
            usleep(10000);                                                                         \
        CHECK(condition);                                                                          \
    } while (0)

/* The record of our own descriptor, or of a cookie; a missing one ends the case. */
uint64_t cookie_of(int fd);
uint64_t inode_of(int fd);
struct facts *facts_of(struct scene *s, int fd);
struct facts *facts_id(struct scene *s, uint64_t id);
/* NULL: there is none. */
const struct fact_holder *holder_of(const struct facts *f, uint32_t pid);
const struct fact_holder *holder_kind(const struct facts *f, enum fact_holder_kind kind);
const struct fact_watch *watch_kind(const struct facts *f, enum fact_watch_kind kind);

/* ---- sockets ---- */

int listen_on(int family, int backlog); /* loopback; any port */
uint16_t port_of(int fd);
int connect_to(int listener);
struct ends {
    int client, server;
};
struct ends ends_of(int listener);
/* Accepted by a listener that is closed. */
struct ends ends_make(void);
/* Until `fd` has this much to read, or the peer's FIN. */
void wait_readable(int fd);
/* Write until there is no room, and both queues are as they stay. */
void fill(int fd);

/* ---- children ---- */

struct child {
    pid_t pid;
    int to, from; /* pipes */
};
/* A child that runs `play` and then sleeps until it is killed at the end of the case. The call
 * returns when `play` has called child_ready (or returned). */
struct child child_begin(void (*play)(struct child *self, void *arg), void *arg);
void child_ready(struct child *self);
void child_wait(struct child *self); /* in the child: until child_go */
void child_go(struct child *child);
void child_end(struct child *child);

#endif
