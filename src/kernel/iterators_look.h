/* SPDX-License-Identifier: BSD-2-Clause */
/* A look through iterators under way: what was met, before it becomes holds. Private to iterators.c
 * (which reads the records) and references.c (which does the sums). */
#ifndef LASTACK_KERNEL_ITERATORS_LOOK_H
#define LASTACK_KERNEL_ITERATORS_LOOK_H

#include <linux/types.h>

#include "kernel/bpf/iterator_records.h"
#include "kernel/scan.h"

/* What one look says of the references to a socket. */
struct count {
    uint64_t references;        /* of its file */
    uint32_t descriptors;
    uint32_t watch_first, watch_cnt; /* in `watches` of that look */
    uint32_t hash;                   /* record_socket.hash */
};

/* A socket, beside scan.sockets[i]. */
struct sighting {
    uint64_t cred;
    struct count looks[2];
    uint32_t left; /* references that are not explained yet */
    uint32_t next; /* of the connections that one MPTCP socket owns; SCAN_NONE */
    bool open;     /* has a file */
};

struct watches {
    struct record_watch *all;
    uint32_t cnt, cap;
};

/* Descriptors that something else points at by its address: epolls, rings, AF_UNIX sockets. */
struct object {
    uint64_t address;
    uint32_t process;
    int32_t fd;
    uint32_t waiter; /* a thread that sits in epoll_wait; 0: none */
    uint8_t kind;    /* RECORD_EPOLL, RECORD_RING, RECORD_DESCRIPTOR */
};

struct look {
    struct scan *scan;
    unsigned again; /* 0: the first look, 1: the second */
    bool failed;    /* out of memory */
    bool *spaces_again; /* namespaces that are worth a second look */
    uint64_t tick_ns;
    uint64_t read_ns; /* when the records under way were read */
    struct scan_index by_sock; /* address of a socket -> its place; of an owner -> the first of its */
    struct sighting *sightings;
    uint32_t sighting_cap;
    struct watches watches[2];
    struct object *objects;
    uint32_t object_cnt, object_cap;
    struct scan_index by_object; /* address -> the first of them */
    struct record_queued *queued; /* `pad`: the place of the listener */
    uint32_t queued_cnt, queued_cap;
    struct record_message *messages;
    uint32_t message_cnt, message_cap;
    struct record_task *tasks;
    uint32_t task_cnt, task_cap;
    struct record_thread *threads;
    uint32_t thread_cnt, thread_cap;
    /* of the records under way */
    uint32_t space;       /* that is dumped; SCAN_NONE: descriptors */
    uint32_t socket;      /* the last; SCAN_NONE: not wanted */
    uint32_t process, tid; /* whose descriptors are next */
    uint64_t descriptors; /* met before it */
};

/* A listener that owes nobody anything: whoever holds it, no connection waits for that. */
static inline bool is_idle_listener(const struct scan_socket *s)
{
    return s->linux_state == LINUX_LISTEN && s->receive_len == 0;
}

/* Room for one more element of `size` bytes; false: out of memory, and `failed` is set. */
bool look_grow(struct look *look, void *array_at, uint32_t cnt, uint32_t *cap, size_t size);

/* Whether a second look is due, for something may hide, and into which namespaces. */
bool references_hide(struct look *look);
/* Holds for what both looks (or, if there was one, that) could not find a descriptor for; watchers;
 * creators; origins. */
void references_name(struct look *look);

/* All processes and threads that were met; empty if that cannot be. */
void look_census(struct look *look, struct census *census);

#endif
