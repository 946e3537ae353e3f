/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the programs of bpf/iterators.bpf.c and puts their records into a look. */
#include "kernel/iterators.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/bpf_object.h"
#include "kernel/iterators_look.h"

#define BUFFER_LEN       65536 /* an iterator writes 32 KB at a time */
#define SECOND_LOOK_NS   50000000
#define HOST_PIDS_INODE  0xeffffffcu /* PROC_PID_INIT_INO: the first namespace of processes */
#define CLOCK_TICKS_USER 100u        /* per second, of start times in /proc */

KERNEL_BPF_IMAGE(iterators);

bool look_grow(struct look *look, void *array_at, uint32_t cnt, uint32_t *cap, size_t size)
{
    void *array;
    if (cnt < *cap)
        return true;
    memcpy(&array, array_at, sizeof array);
    array = scan_array_more(array, cnt, cap, size, SCAN_HOLD_MAX);
    if (!array) {
        look->failed = true;
        return false;
    }
    memcpy(array_at, &array, sizeof array);
    return true;
}

/* ---- sockets ---- */

static uint32_t space_of(const struct look *look, uint64_t inode)
{
    for (uint32_t i = 0; i < look->scan->space_cnt; i++)
        if (look->scan->spaces[i].inode == inode)
            return i;
    return SCAN_NONE;
}

static uint32_t ticks_ms(const struct look *look, uint32_t ticks)
{
    uint64_t ms = (uint64_t)ticks * look->tick_ns / 1000000;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX - 1;
}

static uint32_t age_ms(const struct look *look, uint32_t ticks, bool happened)
{
    return happened ? ticks_ms(look, ticks) : UINT32_MAX;
}

static void read_tcp(const struct look *look, struct scan_tcp *to, const struct record_socket *r)
{
    *to = (struct scan_tcp){
        .known = true,
        .backoff = r->backoff,
        .probes = r->probes,
        .retransmits = r->retransmits,
        .data_out_ms = age_ms(look, r->data_out_ticks, r->data_segments_out > 0),
        .data_in_ms = age_ms(look, r->data_in_ticks, r->data_segments_in > 0),
        .ack_in_ms = age_ms(look, r->ack_in_ticks, r->state != LINUX_SYN_SENT),
        .unsent = r->unsent,
        .send_window = r->send_window,
        .receive_window = r->receive_window,
        .segments_in = r->segments_in,
        .segments_out = r->segments_out,
        .data_segments_in = r->data_segments_in,
        .data_segments_out = r->data_segments_out,
        .bytes_received = r->bytes_received,
        .bytes_acked = r->bytes_acked,
        .bytes_sent = r->bytes_sent,
        .bytes_again = r->bytes_again,
        .busy_us = (uint64_t)r->busy_ticks * look->tick_ns / 1000,
    };
}

static void read_socket(const struct look *look, struct scan_socket *s,
                        const struct record_socket *r)
{
    s->cookie = r->cookie;
    s->inode = r->inode;
    s->seen_ns = look->read_ns;
    memcpy(s->tuple.local.bytes, r->local, sizeof s->tuple.local.bytes);
    memcpy(s->tuple.remote.bytes, r->remote, sizeof s->tuple.remote.bytes);
    s->tuple.local_port = r->local_port;
    s->tuple.remote_port = r->remote_port;
    s->interface = r->interface;
    s->uid = r->uid;
    s->family = r->family;
    s->linux_state = r->state;
    s->timer = r->timer;
    s->timer_cnt = r->timer_cnt;
    s->timer_ms = r->timer_ticks > 0 ? ticks_ms(look, (uint32_t)r->timer_ticks) : 0;
    if (r->flags & SOCKET_HALF)
        return;
    s->shutdown = r->shutdown;
    s->receive_len = r->receive_len;
    if (r->state == LINUX_CLOSE && s->receive_len)
        s->receive_len--; /* an end that was not read, as a rule */
    s->send_len = r->send_len;
    s->held_by_kernel = r->flags & SOCKET_KERNEL;
    if (r->state == LINUX_CLOSE)
        s->error = r->error;
    if (r->state != LINUX_LISTEN)
        read_tcp(look, &s->tcp, r);
}

static uint32_t socket_add(struct look *look, uint32_t space)
{
    struct scan *scan = look->scan;
    struct scan_socket *s = scan_socket_add(scan);
    if (!s)
        return SCAN_NONE;
    if (!look_grow(look, &look->sightings, scan->socket_cnt - 1, &look->sighting_cap,
                   sizeof *look->sightings)) {
        scan->socket_cnt--;
        return SCAN_NONE;
    }
    memset(&look->sightings[scan->socket_cnt - 1], 0, sizeof *look->sightings);
    look->sightings[scan->socket_cnt - 1].next = SCAN_NONE;
    s->space = space;
    return scan->socket_cnt - 1;
}

/* Descriptors of MPTCP lead to the owner of one or more connections. */
static void owner_enter(struct look *look, uint32_t socket, uint64_t owner)
{
    look->sightings[socket].next = scan_index_get(&look->by_sock, owner);
    if (!scan_index_put(&look->by_sock, owner, socket))
        look->failed = true;
}

/* A socket may be met twice while the kernel's table changes, and a dead one by each descriptor. */
static void take_socket(struct look *look, const struct record_socket *r)
{
    uint32_t at = scan_index_get(&look->by_sock, r->sock);
    struct count *count;
    look->socket = SCAN_NONE;
    if (at != SCAN_NONE && look->scan->sockets[at].cookie != r->cookie)
        return; /* its memory is another one's by now */
    if (at == SCAN_NONE) {
        uint32_t space = look->space == SCAN_NONE ? space_of(look, r->space) : look->space;
        if (look->again || space == SCAN_NONE)
            return;
        at = socket_add(look, space);
        if (at == SCAN_NONE)
            return;
        read_socket(look, &look->scan->sockets[at], r);
        /* Inodes are asked for only where something hides (name_line). */
        if (!scan_index_put(&look->by_sock, r->sock, at) ||
            (r->cookie && !scan_index_put(&look->scan->by_cookie, r->cookie, at)))
            look->failed = true;
        if (r->owner)
            owner_enter(look, at, r->owner);
        look->sightings[at].cred = r->cred;
        look->sightings[at].open = r->flags & SOCKET_OPEN;
    }
    look->socket = at;
    count = &look->sightings[at].looks[look->again];
    count->references = r->references;
    count->hash = r->hash;
    count->watch_first = look->watches[look->again].cnt;
    count->watch_cnt = 0;
}

static void take_watch(struct look *look, const struct record_watch *r)
{
    struct watches *w = &look->watches[look->again];
    if (look->socket == SCAN_NONE ||
        !look_grow(look, &w->all, w->cnt, &w->cap, sizeof *w->all))
        return;
    w->all[w->cnt++] = *r;
    look->sightings[look->socket].looks[look->again].watch_cnt++;
}

static void take_queued(struct look *look, const struct record_queued *r)
{
    if (look->again || look->socket == SCAN_NONE ||
        !look_grow(look, &look->queued, look->queued_cnt, &look->queued_cap, sizeof *look->queued))
        return;
    look->queued[look->queued_cnt] = *r;
    look->queued[look->queued_cnt++].pad = look->socket;
}

/* ---- descriptors ---- */

static void name_process(struct scan_process *p, const char comm[16], uint64_t start_ns)
{
    if (p->start_ticks)
        return;
    p->start_ticks = start_ns / (1000000000 / CLOCK_TICKS_USER);
    snprintf(p->program, sizeof p->program, "%.*s", 16, comm);
}

/* How many descriptors it had is known when the next one begins. */
static void take_process(struct look *look, const struct record_process *r)
{
    struct scan *scan = look->scan;
    uint32_t tid = r->tid == r->pid ? 0 : r->tid;
    if (look->process != SCAN_NONE && scan->processes[look->process].pid == r->pid &&
        look->tid == tid)
        return; /* its name again, for the buffer was full in between */
    if (look->process != SCAN_NONE && !look->tid && !look->again)
        scan->processes[look->process].fd_cnt = (uint32_t)(r->descriptors - look->descriptors);
    look->descriptors = r->descriptors;
    look->process = r->pid ? scan_process(scan, r->pid) : SCAN_NONE;
    look->tid = tid;
    if (look->process != SCAN_NONE)
        name_process(&scan->processes[look->process], r->comm, r->start_ns);
}

static void object_add(struct look *look, uint64_t address, int kind, int fd, uint32_t waiter)
{
    if (!look_grow(look, &look->objects, look->object_cnt, &look->object_cap,
                   sizeof *look->objects))
        return;
    if (scan_index_get(&look->by_object, address) == SCAN_NONE &&
        !scan_index_put(&look->by_object, address, look->object_cnt))
        look->failed = true;
    look->objects[look->object_cnt++] =
        (struct object){address, look->process, fd, waiter, (uint8_t)kind};
}

static void descriptor_leads_to(struct look *look, uint32_t at, const struct record_descriptor *r)
{
    if (look->sightings[at].looks[look->again].hash != r->hash)
        return; /* made since, in the memory of one that is gone */
    look->sightings[at].looks[look->again].descriptors++;
    if (look->again)
        return;
    struct scan_hold *h =
        scan_hold_add(look->scan, at, look->process, FACT_HOLDER_DESCRIPTOR, r->fd);
    if (!h)
        return;
    h->tid = look->tid;
    h->close_on_exec = r->flags & DESCRIPTOR_CLOEXEC ? FACT_YES : FACT_NO;
}

static void take_descriptor(struct look *look, const struct record_descriptor *r)
{
    if (r->flags & DESCRIPTOR_UNIX) {
        object_add(look, r->sock, RECORD_DESCRIPTOR, r->fd, 0);
        return;
    }
    for (uint32_t at = scan_index_get(&look->by_sock, r->sock); at != SCAN_NONE;
         at = look->sightings[at].next)
        descriptor_leads_to(look, at, r);
}

static void take_special(struct look *look, const struct record_special *r)
{
    bool ring = r->head.kind == RECORD_RING;
    if (look->again || look->process == SCAN_NONE)
        return;
    object_add(look, r->object, r->head.kind, r->fd, r->waiter_cnt ? r->waiters[0] : 0);
    scan_special_add(look->scan, ring ? SCAN_RING : SCAN_EPOLL, look->process, r->fd, look->tid);
}

static void take_message(struct look *look, const struct record_message *r)
{
    if (look_grow(look, &look->messages, look->message_cnt, &look->message_cap,
                  sizeof *look->messages))
        look->messages[look->message_cnt++] = *r;
}

static void take_task(struct look *look, const struct record_task *r)
{
    if (look_grow(look, &look->tasks, look->task_cnt, &look->task_cap, sizeof *look->tasks))
        look->tasks[look->task_cnt++] = *r;
}

static void take_thread(struct look *look, const struct record_thread *r)
{
    if (look_grow(look, &look->threads, look->thread_cnt, &look->thread_cap, sizeof *look->threads))
        look->threads[look->thread_cnt++] = *r;
}

static void take(struct look *look, const struct record_head *r)
{
    switch (r->kind) {
    case RECORD_SOCKET: take_socket(look, (const void *)r); break;
    case RECORD_WATCH: take_watch(look, (const void *)r); break;
    case RECORD_QUEUED: take_queued(look, (const void *)r); break;
    case RECORD_PROCESS: take_process(look, (const void *)r); break;
    case RECORD_DESCRIPTOR: take_descriptor(look, (const void *)r); break;
    case RECORD_EPOLL:
    case RECORD_RING: take_special(look, (const void *)r); break;
    case RECORD_MESSAGE: take_message(look, (const void *)r); break;
    case RECORD_TASK: take_task(look, (const void *)r); break;
    case RECORD_THREAD: take_thread(look, (const void *)r); break;
    default: break;
    }
}

/* ---- passes ---- */

/* Take the whole records of a buffer; the bytes that stay are moved to its begin. */
static size_t take_all(struct look *look, char *buffer, size_t len)
{
    size_t at = 0;
    while (len - at >= sizeof(struct record_head)) {
        const struct record_head *r = (const void *)(buffer + at);
        if (r->len < sizeof *r || len - at < r->len)
            break;
        take(look, r);
        at += r->len;
    }
    memmove(buffer, buffer + at, len - at);
    return len - at;
}

static int records_read(struct look *look, int fd)
{
    char *buffer = aligned_alloc(16, BUFFER_LEN);
    size_t kept = 0;
    ssize_t len = buffer ? 1 : -1;
    if (!buffer)
        return -ENOMEM;
    while (len != 0) {
        len = read(fd, buffer + kept, BUFFER_LEN - kept);
        if (len < 0 && errno != EINTR && errno != EAGAIN) {
            int error = -errno;
            free(buffer);
            return error;
        }
        look->read_ns = scan_now_ns();
        if (len > 0)
            kept = take_all(look, buffer, kept + (size_t)len);
    }
    free(buffer);
    return 0;
}

static int pass(struct look *look, struct bpf_object *object, const char *name)
{
    struct bpf_program *program = bpf_object__find_program_by_name(object, name);
    struct bpf_link *link = program ? bpf_program__attach_iter(program, NULL) : NULL;
    int fd, error;
    if (!link)
        return -errno;
    fd = bpf_iter_create(bpf_link__fd(link));
    error = fd < 0 ? fd : records_read(look, fd);
    if (fd >= 0)
        close(fd);
    bpf_link__destroy(link);
    return error;
}

/* The sockets of one namespace are those that the iterator's maker sees. */
static int pass_space(struct look *look, struct bpf_object *object, uint32_t space,
                      const char *name)
{
    const struct scan_space *s = &look->scan->spaces[space];
    int here, error = 0;
    look->space = space;
    if (s->here)
        return pass(look, object, name);
    here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (here < 0 || s->fd < 0 || setns(s->fd, CLONE_NEWNET) != 0) {
        look->scan->unseen_spaces += !look->again && s->diag >= 0; /* else it is counted */
    } else {
        error = pass(look, object, name);
        if (setns(here, CLONE_NEWNET) != 0 && !error)
            error = -errno;
    }
    if (here >= 0)
        close(here);
    return error;
}

/* The sockets of AF_UNIX, with what is in flight in them, have namespaces like all others; one that
 * has no TCP socket may have what carries one. */
static int pass_messages(struct look *look, struct bpf_object *object)
{
    int error = 0;
    for (uint32_t i = 0; i < look->scan->space_cnt && !error; i++)
        error = pass_space(look, object, i, "iterate_messages");
    look->space = SCAN_NONE;
    return error;
}

static int want(struct bpf_object *object, uint32_t states, bool unix_too)
{
    struct bpf_map *map = bpf_object__find_map_by_name(object, ".data.wanted");
    struct iterators_wanted wanted = {states, unix_too};
    uint32_t first = 0;
    return map ? bpf_map__update_elem(map, &first, sizeof first, &wanted, sizeof wanted, BPF_ANY)
               : -ENOENT;
}

static int look_once(struct look *look, struct bpf_object *object)
{
    int error = 0;
    for (uint32_t i = 0; i < look->scan->space_cnt && !error; i++)
        if (!look->scan->spaces[i].empty && (!look->again || look->spaces_again[i]))
            error = pass_space(look, object, i, "iterate_sockets");
    look->space = look->process = SCAN_NONE;
    if (!error)
        error = pass(look, object, "iterate_descriptors");
    return error;
}

static int look_all(struct look *look, struct bpf_object *object, uint32_t states)
{
    static const struct timespec pause = {0, SECOND_LOOK_NS};
    int error = want(object, states, false);
    if (!error)
        error = look_once(look, object);
    if (!error)
        error = pass(look, object, "iterate_tasks");
    if (error || !references_hide(look))
        return error;
    nanosleep(&pause, NULL);
    look->again = 1;
    error = want(object, states, true);
    if (!error)
        error = look_once(look, object);
    return error ? error : pass_messages(look, object);
}

/* ---- opening ---- */

static int functions_find(struct bpf_object *object)
{
    struct bpf_program *program = bpf_object__find_program_by_name(object, "find_functions");
    LIBBPF_OPTS(bpf_test_run_opts, options);
    return program ? bpf_prog_test_run_opts(bpf_program__fd(program), &options) : -ENOENT;
}

/* Numbers of processes that the kernel tells are those of the first namespace. */
static bool numbers_are_ours(void)
{
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 && s.st_ino == HOST_PIDS_INODE;
}

static struct bpf_object *object_open(int *error, char *why, size_t why_len)
{
    struct bpf_object *object;
    if (!numbers_are_ours()) {
        *error = -EXDEV;
        snprintf(why, why_len, "BPF iterators are not used: we live in a process namespace (a "
                 "container?), and they speak of the host's; run lastack on the host");
        return NULL;
    }
    object = KERNEL_BPF_OPEN(iterators, why, why_len);
    *error = object ? kernel_bpf_load(object, why, why_len) : -EOPNOTSUPP;
    if (!*error && (*error = functions_find(object)) != 0)
        kernel_bpf_refused("BPF (iterators)", -*error, why, why_len);
    if (*error) {
        bpf_object__close(object);
        return NULL;
    }
    return object;
}

static void look_free(struct look *look)
{
    scan_index_free(&look->by_sock);
    scan_index_free(&look->by_object);
    free(look->sightings);
    free(look->watches[0].all);
    free(look->watches[1].all);
    free(look->objects);
    free(look->queued);
    free(look->messages);
    free(look->tasks);
    free(look->threads);
    free(look->spaces_again);
}

/* As if nothing had been looked at. */
static void scan_forget(struct scan *scan)
{
    scan_holds_clear(scan);
    scan_index_free(&scan->by_inode);
    scan_index_free(&scan->by_cookie);
    scan->socket_cnt = 0;
}

int iterators_look(struct scan *scan, uint32_t states, char *why, size_t why_len)
{
    struct look look = {.scan = scan, .process = SCAN_NONE, .socket = SCAN_NONE};
    struct timespec tick = {0, 4000000};
    int error;
    struct bpf_object *object = object_open(&error, why, why_len);
    if (!object)
        return error;
    look.spaces_again = calloc(scan->space_cnt + 1, sizeof *look.spaces_again);
    if (!look.spaces_again) {
        bpf_object__close(object);
        return -ENOMEM;
    }
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* the kernel's tick, whatever its HZ */
    look.tick_ns = (uint64_t)tick.tv_nsec;
    scan->start_ns = scan_now_ns(); /* loading took a while */
    error = look_all(&look, object, states);
    bpf_object__close(object);
    if (error) {
        kernel_bpf_refused("BPF (iterators)", -error, why, why_len);
        scan_forget(scan);
    } else {
        references_name(&look);
        look_census(&look, &scan->census);
        scan->exact = true;
        scan->failed |= look.failed;
        scan->view->bpf = true;
    }
    look_free(&look);
    return error;
}
