/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack under packetdrill: virtual clock, packets, waiting calls, start and end. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "core.h"

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define START_NS (1000ull * 1000000000) /* any time but zero, which means "never happened" */

/* When this thread's last blocked call was completed: its next look at the clock sees that time,
 * because the driving thread may be ahead by then. Negative: see the clock itself. */
static __thread int64_t woken_us = -1;

/* What is in core->watch.fault ends everything, unless somebody asked to be told. */
static void fault_act(struct core *core)
{
    if (core->fault_asked)
        return;
    fprintf(stderr, "lastack adapter: %s\n", core->watch.fault);
    fflush(stderr);
    _exit(1);
}

void core_fault(struct core *core, const char *text)
{
    if (!core->watch.fault[0])
        snprintf(core->watch.fault, sizeof(core->watch.fault), "%s", text);
    fault_act(core);
}

/* ---- packets -------------------------------------------------------------- */

static void packet_queue(struct core *core, const struct lastack_frame *frame)
{
    struct sent_packet *packet = malloc(sizeof(*packet) + frame->len);

    if (!packet)
        abort();
    packet->next = NULL;
    packet->time_ns = core->now_ns;
    packet->len = 0;
    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        if (packet->len + frame->iov[i].iov_len > frame->len)
            core_fault(core, "a frame's pieces are longer than its length");
        else
            memcpy(packet->data + packet->len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        packet->len += frame->iov[i].iov_len;
    }
    if (!watch_out(&core->watch, packet->data, packet->len))
        fault_act(core);
    *core->last = packet;
    core->last = &packet->next;
}

static struct sent_packet *packet_pop(struct core *core)
{
    struct sent_packet *packet = core->first;

    if (packet && !(core->first = packet->next))
        core->last = &core->first;
    return packet;
}

static void packets_take(struct core *core)
{
    struct lastack_frame frames[16];
    size_t cnt;

    do {
        cnt = lastack_tx(core->stack, frames, 16, core->now_ns);
        for (size_t i = 0; i < cnt; i++)
            packet_queue(core, &frames[i]);
    } while (cnt == 16);
}

/* ---- waiting calls -------------------------------------------------------- */

static void events_take(struct core *core)
{
    struct lastack_event event;

    while (lastack_event(core->stack, &event)) {
        if (!(event.events & LASTACK_LINGERED))
            continue;
        for (struct call *call = core->waiters; call; call = call->next)
            if (call->socket_id && call->socket_id == event.socket_id)
                call->lingered = true;
    }
}

/* Try every waiter once; true if one is done. */
static bool waiters_retry(struct core *core)
{
    bool moved = false;

    for (struct call **at = &core->waiters; *at;) {
        struct call *call = *at;
        size_t before = call->done_len;
        long result;

        call->expired = call->limit_ns <= core->now_ns;
        result = call->attempt(core, call);
        if (result == -EAGAIN) {
            moved |= call->done_len != before;
            at = &call->next;
            continue;
        }
        *at = call->next;
        call->result = result;
        call->done = true;
        call->done_ns = core->now_ns;
        pthread_cond_signal(&call->wake);
        moved = true;
    }
    return moved;
}

void core_pump(struct core *core)
{
    do {
        packets_take(core);
        events_take(core);
    } while (waiters_retry(core));
    packets_take(core);
}

static uint64_t next_due(const struct core *core)
{
    uint64_t due = lastack_deadline(core->stack);

    for (const struct call *call = core->waiters; call; call = call->next)
        due = call->limit_ns < due ? call->limit_ns : due;
    return core->child_exit_ns < due ? core->child_exit_ns : due;
}

static void drive_to(struct core *core, uint64_t now_ns)
{
    core->now_ns = now_ns;
    lastack_tick(core->stack, now_ns);
    if (core->child_exit_ns <= now_ns) {
        lastack_exit(core->child);
        core->child = NULL;
        core->child_exit_ns = LASTACK_NEVER;
    }
    core_pump(core);
}

/* One step of time, not beyond `until_ns`; false when nothing is due by then. */
static bool drive_step(struct core *core, uint64_t until_ns)
{
    uint64_t due = next_due(core);

    if (due > until_ns)
        return false;
    if (due <= core->now_ns && ++core->still_cnt > 10000) {
        core_fault(core, "the deadline does not move on though tick was called");
        return false;
    }
    if (due > core->now_ns)
        core->still_cnt = 0;
    drive_to(core, due > core->now_ns ? due : core->now_ns);
    return true;
}

void core_drive(struct core *core, uint64_t until_ns)
{
    while (drive_step(core, until_ns))
        ;
    if (core->now_ns < until_ns)
        drive_to(core, until_ns);
}

static void call_remove(struct core *core, struct call *call)
{
    for (struct call **at = &core->waiters; *at; at = &(*at)->next)
        if (*at == call) {
            *at = call->next;
            return;
        }
}

/* The driving thread itself waits: nobody else moves time, so it does. */
static void wait_driving(struct core *core, struct call *call)
{
    uint64_t bound = core->now_ns + RECEIVE_BOUND_NS;

    while (!call->done && drive_step(core, bound))
        ;
    if (call->done)
        return;
    call_remove(core, call);
    call->result = -ETIMEDOUT;
    core_fault(core, "a call that nothing can wake was made by the thread that drives time");
}

long core_call(struct core *core, struct call *call, bool wait)
{
    long result;

    if (!call->limit_ns)
        call->limit_ns = LASTACK_NEVER;
    call->expired = call->limit_ns <= core->now_ns;
    result = call->attempt(core, call);
    if (result != -EAGAIN || !wait) {
        core_pump(core);
        return result == -EAGAIN && call->done_len ? (long)call->done_len : result;
    }
    call->next = core->waiters;
    core->waiters = call;
    pthread_cond_init(&call->wake, NULL);
    core_pump(core);
    if (pthread_equal(pthread_self(), core->owner)) {
        wait_driving(core, call);
    } else {
        while (!call->done)
            pthread_cond_wait(&call->wake, &core->mutex);
        woken_us = (int64_t)(call->done_ns / NS_PER_US);
    }
    pthread_cond_destroy(&call->wake);
    return call->result;
}

/* ---- interface and clock -------------------------------------------------- */

void core_interface(struct core *core, const struct sockaddr *local)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)local;
    struct lastack_interface interface = {.name = "packetdrill",
                                          .link = LASTACK_LINK_IP,
                                          .mtu = core->flags.mtu,
                                          .prefix_len = core->flags.local_prefix_len};
    struct lastack_address any;
    char text[INET_ADDRSTRLEN] = "192.168.0.1"; /* packetdrill's own default */

    if (core->interface)
        return;
    if (in && in->sin_family == AF_INET && in->sin_addr.s_addr)
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    if (core->flags.local_set)
        interface.address = core->flags.local;
    else if (lastack_address_parse(&interface.address, text))
        core_fault(core, "the local address does not parse");
    core->interface = lastack_interface_add(core->stack, &interface);
    lastack_address_parse(&any, "0.0.0.0");
    if (core->interface <= 0 ||
        lastack_route_add(core->stack, &any, 0, (unsigned)core->interface))
        core_fault(core, "cannot make the interface or its default route");
}

static int netdev_send(void *userdata, const void *packet, size_t len)
{
    struct core *core = userdata;
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct lastack_frame frame = {.len = (uint32_t)len, .iov_cnt = 1};

    pthread_mutex_lock(&core->mutex);
    if (len >= 20)
        memcpy(&local.sin_addr, (const uint8_t *)packet + 16, 4);
    core_interface(core, (struct sockaddr *)&local);
    frame.interface = (uint32_t)core->interface;
    frame.iov[0] = (struct iovec){(void *)packet, len};
    watch_in(&core->watch, packet, len);
    lastack_rx(core->stack, &frame, 1, core->now_ns);
    core_pump(core);
    pthread_mutex_unlock(&core->mutex);
    return 0;
}

static int netdev_receive(void *userdata, void *packet, size_t *len, long long *time_us)
{
    struct core *core = userdata;
    struct sent_packet *sent;
    uint64_t bound;
    size_t space = *len;

    pthread_mutex_lock(&core->mutex);
    bound = core->now_ns + RECEIVE_BOUND_NS;
    *time_us = (long long)(core->now_ns / NS_PER_US);
    while (!core->first && drive_step(core, bound))
        ;
    *len = 0;
    sent = packet_pop(core);
    if (sent) {
        *len = sent->len < space ? sent->len : space;
        memcpy(packet, sent->data, *len);
        *time_us = (long long)(sent->time_ns / NS_PER_US);
        free(sent);
    }
    pthread_mutex_unlock(&core->mutex);
    return 0;
}

static int clock_sleep(void *userdata, useconds_t us)
{
    struct core *core = userdata;

    pthread_mutex_lock(&core->mutex);
    core_drive(core, core->now_ns + us * NS_PER_US);
    pthread_mutex_unlock(&core->mutex);
    return 0;
}

/* packetdrill waits for the last microseconds by calling this in a loop, so time goes on here. */
static int clock_read(void *userdata, struct timeval *now, struct timezone *zone)
{
    struct core *core = userdata;
    int64_t us = woken_us;

    (void)zone;
    woken_us = -1;
    if (us < 0) {
        pthread_mutex_lock(&core->mutex);
        core_drive(core, core->now_ns + NS_PER_US);
        us = (int64_t)(core->now_ns / NS_PER_US);
        pthread_mutex_unlock(&core->mutex);
    }
    now->tv_sec = us / 1000000;
    now->tv_usec = us % 1000000;
    return 0;
}

/* ---- end ------------------------------------------------------------------ */

static void packets_drop(struct core *core)
{
    for (struct sent_packet *packet; (packet = packet_pop(core));)
        free(packet);
}

static void usage_check(struct core *core, const char *when)
{
    struct lastack_usage usage;
    char text[300];

    lastack_usage(core->stack, &usage);
    if (!usage.connections && !usage.half_open && !usage.time_wait && !usage.listeners &&
        !usage.orphans && !usage.sockets && !usage.processes && !usage.unaccepted &&
        !usage.buffer_bytes)
        return;
    snprintf(text, sizeof(text),
             "%s there are %u connections, %u half-open, %u time-wait, %u listeners, %u orphans, "
             "%u sockets, %u processes, %u unaccepted, %llu bytes of buffers",
             when, usage.connections, usage.half_open, usage.time_wait, usage.listeners,
             usage.orphans, usage.sockets, usage.processes, usage.unaccepted,
             (unsigned long long)usage.buffer_bytes);
    core_fault(core, text);
}

const char *adapter_finish(void *userdata)
{
    struct core *core = userdata;
    uint64_t bound = core->now_ns + FINISH_BOUND_NS;
    struct lastack_usage usage;

    if (core->finished)
        return core->watch.fault[0] ? core->watch.fault : NULL;
    core->finished = true;
    if (core->flags.strict && core->first)
        core_fault(core, "packets are left that no line of the script asked for");
    packets_drop(core);
    if (core->child)
        lastack_exit(core->child);
    lastack_exit(core->process);
    core->child = core->process = NULL;
    core->child_exit_ns = LASTACK_NEVER;
    core_pump(core);
    lastack_usage(core->stack, &usage);
    if (usage.sockets || usage.processes || usage.listeners)
        usage_check(core, "right after the last process ended");
    while (drive_step(core, bound))
        packets_drop(core);
    usage_check(core, "two hours after the last process ended");
    return core->watch.fault[0] ? core->watch.fault : NULL;
}

static void adapter_free(void *userdata)
{
    struct core *core = userdata;

    adapter_finish(core);
    packets_drop(core);
    lastack_destroy(core->stack);
    pthread_mutex_destroy(&core->mutex);
    free(core);
}

unsigned adapter_waiting(void *userdata)
{
    struct core *core = userdata;
    unsigned cnt = 0;

    pthread_mutex_lock(&core->mutex);
    for (const struct call *call = core->waiters; call; call = call->next)
        cnt++;
    pthread_mutex_unlock(&core->mutex);
    return cnt;
}

unsigned adapter_pending(void *userdata)
{
    struct core *core = userdata;
    unsigned cnt = 0;

    pthread_mutex_lock(&core->mutex);
    for (const struct sent_packet *packet = core->first; packet; packet = packet->next)
        cnt++;
    pthread_mutex_unlock(&core->mutex);
    return cnt;
}

const char *adapter_fault(void *userdata)
{
    struct core *core = userdata;

    core->fault_asked = true;
    return core->watch.fault[0] ? core->watch.fault : NULL;
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface)
{
    struct core *core = calloc(1, sizeof(*core));
    char error[200];

    woken_us = -1;
    if (!core || !flags_parse(&core->flags, flags, error, sizeof(error))) {
        fprintf(stderr, "lastack adapter: %s\n", core ? error : "no memory");
        exit(1);
    }
    pthread_mutex_init(&core->mutex, NULL);
    core->owner = pthread_self();
    core->now_ns = START_NS;
    core->child_exit_ns = LASTACK_NEVER;
    core->last = &core->first;
    watch_init(&core->watch, core->flags.mtu);
    core->stack = lastack_create(&core->flags.config, core->now_ns);
    core->process = core->stack ? lastack_process_create(core->stack, 100, "packetdrill") : NULL;
    if (!core->process) {
        fprintf(stderr, "lastack adapter: cannot make a stack: %s\n", strerror(errno));
        exit(1);
    }
    memset(interface, 0, sizeof(*interface));
    interface->userdata = core;
    interface->free = adapter_free;
    interface->netdev_send = netdev_send;
    interface->netdev_receive = netdev_receive;
    interface->usleep = clock_sleep;
    interface->gettimeofday = clock_read;
    calls_init(interface);
}
