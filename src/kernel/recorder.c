/* SPDX-License-Identifier: BSD-2-Clause */
/* To be the recorder: load, attach, name what is new, tell what happens. */
#include "kernel/recorder.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/bpf_object.h"
#include "kernel/recorder_history.h"
#include "kernel/recorder_maps.h"
#include "kernel/recorder_name.h"
#include "kernel/recorder_trace.h"

KERNEL_BPF_IMAGE(recorder);

#define LINK_MAX    24
#define ALIVE_EVERY UINT64_C(1000000000)
#define SMALL_RING  4096u

struct recorder {
    struct recorder_options options;
    struct bpf_object *object;
    struct bpf_link *links[LINK_MAX];
    unsigned link_cnt;
    struct recorder_about about;
    uint32_t about_id;
    int about_fd, count_fd;
    bool casts; /* the kernel has bpf_rdonly_cast (Linux 6.2) */
    struct ring_buffer *news, *events;
    struct recorder_names *names;
    recorder_tell *tell;
    void *tell_arg;
};

/* ---- which programs ---- */

/* What is lost without a tracepoint of the kernel's own. */
static const struct {
    const char *program, *tracepoint, *unseen;
    bool needed;
} kernel_points[] = {
    {"on_state", "inet_sock_set_state", "", true},
    {"on_destroy", "tcp_destroy_sock", "", true},
    {"on_reset", "tcp_receive_reset", "resets by the peer are not recorded (no tracepoint tcp_receive_reset)\n", false},
    {"on_receive", "sock_recv_length",
     "reads of the end are not recorded: the tracepoint sock_recv_length came with Linux 6.3\n", false},
    {"on_exit", "sched_process_exit", "", false},
    {"on_exec", "sched_process_exec", "", false},
};

static const struct {
    const char *program, *tracepoint;
} call_points[] = {
    {"on_close", "sys_enter_close"},        {"on_dup2", "sys_enter_dup2"},
    {"on_dup3", "sys_enter_dup3"},          {"on_close_range", "sys_enter_close_range"},
    {"on_execve", "sys_enter_execve"},      {"on_execveat", "sys_enter_execveat"},
    {"on_accept", "sys_exit_accept"},       {"on_accept4", "sys_exit_accept4"},
    {"on_splice", "sys_enter_splice"},      {"on_borrow", "sys_exit_pidfd_getfd"},
};
#define KERNEL_POINT_CNT (sizeof kernel_points / sizeof kernel_points[0])
#define CALL_POINT_CNT   (sizeof call_points / sizeof call_points[0])

static void leave_out(struct recorder *r, const char *program)
{
    struct bpf_program *found = bpf_object__find_program_by_name(r->object, program);
    if (found)
        bpf_program__set_autoload(found, false);
}

static int choose_kernel_points(struct recorder *r, struct text *unseen, char *why, size_t why_len)
{
    struct btf *btf = btf__load_vmlinux_btf();
    char name[80];
    int result = 0;
    if (!btf) {
        kernel_bpf_refused("the recorder", errno, why, why_len);
        return -ENOSYS;
    }
    for (size_t i = 0; i < KERNEL_POINT_CNT; i++) {
        snprintf(name, sizeof name, "btf_trace_%s", kernel_points[i].tracepoint);
        if (btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) > 0) {
            r->about.end_reads |= strcmp(kernel_points[i].program, "on_receive") == 0;
            continue;
        }
        leave_out(r, kernel_points[i].program);
        text_add(unseen, kernel_points[i].unseen);
        if (kernel_points[i].needed) {
            snprintf(why, why_len, "the recorder needs the tracepoint %s, which this kernel has not",
                     kernel_points[i].tracepoint);
            result = -ENOSYS;
        }
    }
    r->casts = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
    btf__free(btf);
    return result;
}

/* The numbers of the calls' tracepoints; programs without one are left out. */
static void choose_call_points(struct recorder *r, unsigned ids[CALL_POINT_CNT], struct text *unseen)
{
    const char *names[CALL_POINT_CNT];
    unsigned found = 0;
    memset(ids, 0, CALL_POINT_CNT * sizeof *ids);
    for (size_t i = 0; i < CALL_POINT_CNT; i++)
        names[i] = call_points[i].tracepoint;
    if (!r->options.no_calls)
        found = recorder_trace_ids(names, CALL_POINT_CNT, ids);
    for (size_t i = 0; i < CALL_POINT_CNT; i++)
        if (!ids[i])
            leave_out(r, call_points[i].program);
    if (!found) {
        leave_out(r, "on_exit");
        leave_out(r, "on_exec");
    }
    if (!found && !r->options.no_calls)
        text_add(unseen, "calls are not recorded (who accepted, closes that left references): no tracefs "
                         "here; mount it on /sys/kernel/tracing\n");
    r->about.calls = found > 0;
}

/* ---- loading ---- */

static void set_max(struct recorder *r, const char *map, uint32_t max)
{
    struct bpf_map *found = bpf_object__find_map_by_name(r->object, map);
    if (found)
        bpf_map__set_max_entries(found, max);
}

static void configure(struct recorder *r)
{
    const struct recorder_options *o = &r->options;
    struct bpf_map *map = bpf_object__find_map_by_name(r->object, ".rodata.config");
    size_t len = 0;
    struct recorder_config *config = map ? (void *)bpf_map__initial_value(map, &len) : NULL;
    if (config && len >= sizeof *config)
        *config = (struct recorder_config){
            .lines = o->lines, .events = o->events, .pid = o->pid, .sample = o->sample, .port = o->port,
            .casts = r->casts};
    r->about.socket_max = o->socket_max ? o->socket_max : RECORDER_SOCKETS_USUAL;
    set_max(r, RECORDER_SOCKETS, r->about.socket_max);
    set_max(r, RECORDER_SITES, o->lines ? RECORDER_SITE_MAX : 1);
    if (!o->lines) {
        set_max(r, "lastack_news", SMALL_RING);
        set_max(r, RECORDER_STACKS, 1);
        set_max(r, RECORDER_PLACES, 1);
    }
    if (!o->events)
        set_max(r, "lastack_events", SMALL_RING);
}

static int map_fd(const struct recorder *r, const char *name)
{
    return bpf_object__find_map_fd_by_name(r->object, name);
}

static uint32_t map_id(const struct recorder *r, const char *name)
{
    struct bpf_map_info info = {.id = 0};
    __u32 len = sizeof info;
    return bpf_obj_get_info_by_fd(map_fd(r, name), &info, &len) == 0 ? info.id : 0;
}

static int add_link(struct recorder *r, struct bpf_link *link, const char *what, char *why, size_t why_len)
{
    int error = errno;
    if (!link) {
        kernel_bpf_refused(what, error, why, why_len);
        return -error;
    }
    r->links[r->link_cnt++] = link;
    return 0;
}

static int attach(struct recorder *r, const unsigned ids[CALL_POINT_CNT], char *why, size_t why_len)
{
    int result = 0;
    for (size_t i = 0; i < KERNEL_POINT_CNT && result == 0; i++) {
        struct bpf_program *program =
            bpf_object__find_program_by_name(r->object, kernel_points[i].program);
        if (program && bpf_program__autoload(program))
            result = add_link(r, bpf_program__attach(program), kernel_points[i].tracepoint, why, why_len);
    }
    for (size_t i = 0; i < CALL_POINT_CNT && result == 0; i++) {
        struct bpf_program *program =
            bpf_object__find_program_by_name(r->object, call_points[i].program);
        if (!program || !bpf_program__autoload(program))
            continue;
        int fd = recorder_trace_open(ids[i]);
        if (fd < 0) {
            kernel_bpf_refused(call_points[i].tracepoint, -fd, why, why_len);
            return fd;
        }
        result = add_link(r, bpf_program__attach_perf_event(program, fd), call_points[i].tracepoint, why,
                          why_len);
    }
    return result;
}

/* ---- being found ---- */

static bool in_inner_namespace(void)
{
    struct stat own;
    return stat("/proc/self/ns/pid", &own) == 0 && own.st_ino != 0xeffffffc; /* PROC_PID_INIT_INO */
}

static void say_alive(struct recorder *r)
{
    __u32 first = 0;
    r->about.alive_ns = recorder_now_ns();
    bpf_map_update_elem(r->about_fd, &first, &r->about, BPF_ANY);
}

static void introduce(struct recorder *r)
{
    r->about_fd = map_fd(r, RECORDER_ABOUT);
    r->count_fd = map_fd(r, "lastack_counts");
    r->about_id = map_id(r, RECORDER_ABOUT);
    r->about.magic = RECORDER_MAGIC;
    r->about.pid = (uint32_t)getpid();
    r->about.process_ticks = recorder_process_ticks(r->about.pid);
    r->about.inner = in_inner_namespace();
    r->about.lines = r->options.lines;
    r->about.sockets = map_id(r, RECORDER_SOCKETS);
    r->about.stacks = map_id(r, RECORDER_STACKS);
    r->about.places = map_id(r, RECORDER_PLACES);
    r->about.sites = map_id(r, RECORDER_SITES);
    r->about.start_ns = recorder_now_ns();
    say_alive(r);
}

/* `wanted`: the lines that the second one was to record. */
static int refuse_second(bool wanted, uint32_t own_id, char *why, size_t why_len)
{
    struct recorder_maps maps;
    if (!recorder_maps_find(&maps, own_id))
        return 0;
    recorder_maps_close(&maps);
    if (own_id && maps.about_id > own_id) /* both began at once: the first one stays */
        return 0;
    snprintf(why, why_len, "a recorder runs already (process %u); %s", maps.about.pid,
             wanted && !maps.about.lines
                 ? "it records no lines: end it, then start this one again (of a service: "
                   "systemctl edit lastack-watch, [Service] Environment=LASTACK_WATCH=--lines)"
                 : "lastack why reads what it knows, a second one is not needed");
    return -EBUSY;
}

/* ---- news ---- */

static int take_stack(void *arg, void *data, size_t len)
{
    struct recorder *r = arg;
    if (len >= sizeof(struct recorder_stack))
        recorder_names_add(r->names, data);
    return 0;
}

static int take_event(void *arg, void *data, size_t len)
{
    static const char *const words[EVENT_KIND_CNT] = {
        [EVENT_BORN] = "born",         [EVENT_ACCEPT] = "accepted", [EVENT_FIN_IN] = "fin-in",
        [EVENT_END_READ] = "end-read", [EVENT_CLOSE] = "close",     [EVENT_FIN_OUT] = "fin-out",
        [EVENT_RESET] = "reset",       [EVENT_GONE] = "gone"};
    struct recorder *r = arg;
    const struct recorder_event *event = data;
    struct recorder_news news = {.what = ""};
    if (len < sizeof *event || event->kind >= EVENT_KIND_CNT || !r->tell)
        return 0;
    news.what = words[event->kind];
    news.id = event->cookie;
    news.time_ns = event->ns;
    recorder_tuple_get(&news.tuple, event->family, event->local, event->local_port, event->remote,
                       event->remote_port);
    recorder_call_get(&news.call, &event->call, event->ns);
    if (event->call.stack && !(news.place = recorder_names_find(r->names, event->call.stack))) {
        ring_buffer__consume(r->news); /* its name may be on the way */
        news.place = recorder_names_find(r->names, event->call.stack);
    }
    r->tell(r->tell_arg, &news);
    return 0;
}

static int open_rings(struct recorder *r)
{
    if (r->options.lines) {
        r->names = recorder_names_open(map_fd(r, RECORDER_STACKS), map_fd(r, RECORDER_SITES));
        if (!r->names)
            return -ENOMEM;
    }
    r->news = ring_buffer__new(map_fd(r, "lastack_news"), take_stack, r, NULL);
    r->events = ring_buffer__new(map_fd(r, "lastack_events"), take_event, r, NULL);
    return r->news && r->events ? 0 : -ENOMEM;
}

int recorder_poll(struct recorder *r, int timeout_ms, recorder_tell *tell, void *arg)
{
    struct pollfd wait[2] = {{.fd = ring_buffer__epoll_fd(r->news), .events = POLLIN},
                             {.fd = ring_buffer__epoll_fd(r->events), .events = POLLIN}};
    int got = poll(wait, 2, timeout_ms > 1000 || timeout_ms < 0 ? 1000 : timeout_ms);
    int result = got < 0 ? -errno : 0;
    r->tell = tell;
    r->tell_arg = arg;
    ring_buffer__consume(r->news);
    ring_buffer__consume(r->events);
    if (recorder_now_ns() - r->about.alive_ns > ALIVE_EVERY)
        say_alive(r);
    return result;
}

static uint64_t sum_counter(const struct recorder *r, __u32 counter)
{
    int cpu_cnt = libbpf_num_possible_cpus();
    uint64_t *values = cpu_cnt > 0 ? calloc((size_t)cpu_cnt, sizeof *values) : NULL, sum = 0;
    if (values && bpf_map_lookup_elem(r->count_fd, &counter, values) == 0)
        for (int i = 0; i < cpu_cnt; i++)
            sum += values[i];
    free(values);
    return sum;
}

void recorder_count(const struct recorder *r, struct recorder_counts *counts)
{
    *counts = (struct recorder_counts){
        .born = sum_counter(r, COUNT_BORN),
        .gone = sum_counter(r, COUNT_GONE),
        .fin_in = sum_counter(r, COUNT_FIN_IN),
        .fin_out = sum_counter(r, COUNT_FIN_OUT),
        .end_read = sum_counter(r, COUNT_END_READ),
        .close_left = sum_counter(r, COUNT_CLOSE_LEFT),
        .stacks = sum_counter(r, COUNT_STACKS),
        .sockets_lost = sum_counter(r, COUNT_LOST),
        .stacks_lost = sum_counter(r, COUNT_STACKS_LOST),
        .events_lost = sum_counter(r, COUNT_EVENTS_LOST),
        .sites = recorder_names_cnt(r->names),
    };
    uint64_t made = sum_counter(r, COUNT_MADE);
    counts->sockets = made > counts->gone ? made - counts->gone : 0;
}

/* ---- beginning and end ---- */

static int open_all(struct recorder *r, struct text *unseen, char *why, size_t why_len)
{
    unsigned ids[CALL_POINT_CNT];
    int result = refuse_second(r->options.lines, 0, why, why_len);
    if (result < 0)
        return result;
    r->object = KERNEL_BPF_OPEN(recorder, why, why_len);
    if (!r->object)
        return -ENOSYS;
    if ((result = choose_kernel_points(r, unseen, why, why_len)) < 0)
        return result;
    choose_call_points(r, ids, unseen);
    configure(r);
    if ((result = kernel_bpf_load(r->object, why, why_len)) < 0)
        return result;
    introduce(r);
    if ((result = refuse_second(r->options.lines, r->about_id, why, why_len)) < 0)
        return result;
    if ((result = open_rings(r)) < 0) {
        snprintf(why, why_len, "there is no memory for the recorder's messages");
        return result;
    }
    return attach(r, ids, why, why_len);
}

int recorder_open(struct recorder **recorder, const struct recorder_options *options,
                  struct text *unseen, char *why, size_t why_len)
{
    if (!kernel_bpf_allowed(why, why_len))
        return -ENOSYS;
    struct recorder *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(why, why_len, "there is no memory for the recorder");
        return -ENOMEM;
    }
    r->options = *options;
    int result = open_all(r, unseen, why, why_len);
    if (result < 0) {
        recorder_close(r);
        return result;
    }
    *recorder = r;
    return 0;
}

void recorder_close(struct recorder *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->link_cnt; i++)
        bpf_link__destroy(r->links[i]);
    if (r->news)
        ring_buffer__free(r->news);
    if (r->events)
        ring_buffer__free(r->events);
    recorder_names_close(r->names);
    if (r->object)
        bpf_object__close(r->object);
    free(r);
}
