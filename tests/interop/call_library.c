/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scenarios' calls on the library: one stack, a TUN device, and a loop that runs while a
 * call waits. This is all that an embedder needs.
 */
#include "call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lastack.h"

#define MTU 1500
#define BATCH 32
#define NS_PER_MS 1000000ull

static lastack *stack;
static lastack_process *process;
static int tun = -1;
static unsigned tun_interface;
static unsigned impair; /* of 1000 packets */

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int tun_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : fd;
}

int call_begin(const struct call_options *options)
{
    struct lastack_config config;
    struct lastack_interface interface = {
        .name = options->tun, .link = LASTACK_LINK_IP, .mtu = MTU, .prefix_len = 24};
    int added;

    impair = options->impair;
    if (!options->tun || !options->address) {
        fprintf(stderr, "--tun and --address are needed\n");
        return -EINVAL;
    }
    tun = tun_open(options->tun);
    if (tun < 0) {
        fprintf(stderr, "%s: %s\n", options->tun, strerror(-tun));
        return tun;
    }
    lastack_config_init(&config);
    if (getrandom(config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
        return -errno;
    stack = lastack_create(&config, clock_ns());
    process = stack ? lastack_process_create(stack, (uint32_t)getpid(), "interop") : NULL;
    if (!process || lastack_address_parse(&interface.address, options->address) < 0)
        return -EINVAL;
    added = lastack_interface_add(stack, &interface);
    tun_interface = (unsigned)added;
    return added < 0 ? added : 0;
}

/* ---- the loop ---- */

/* True for `impair` of 1000 packets; the same ones in every run. */
static bool unlucky(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % 1000 < impair;
}

static void frame_write(const struct lastack_frame *frame)
{
    if (writev(tun, frame->iov, (int)frame->iov_cnt) < 0 && errno != EIO && errno != EAGAIN) {
        perror("write to the TUN device");
        exit(1);
    }
}

static void frames_out(void)
{
    struct lastack_frame frames[BATCH];
    size_t cnt;

    do {
        cnt = lastack_tx(stack, frames, BATCH, clock_ns());
        for (size_t i = 0; i < cnt; i++) {
            if (i + 1 < cnt && unlucky()) {
                struct lastack_frame later = frames[i];

                frames[i] = frames[i + 1];
                frames[i + 1] = later;
            }
            if (!unlucky())
                frame_write(&frames[i]);
            if (unlucky())
                frame_write(&frames[i]);
        }
    } while (cnt == BATCH);
}

static size_t frames_in(void)
{
    static unsigned char data[BATCH][MTU + 64];
    struct lastack_frame frames[BATCH];
    size_t cnt = 0;

    for (size_t slot = 0; slot < BATCH; slot++) {
        ssize_t len = read(tun, data[slot], sizeof(data[slot]));

        if (len <= 0)
            break;
        frames[cnt] = (struct lastack_frame){
            .interface = tun_interface, .len = (uint32_t)len, .iov_cnt = 1};
        frames[cnt].iov[0] = (struct iovec){data[slot], (size_t)len};
        if (cnt > 0 && unlucky()) {
            struct lastack_frame earlier = frames[cnt - 1];

            frames[cnt - 1] = frames[cnt];
            frames[cnt] = earlier;
        }
        cnt += !unlucky();
    }
    if (cnt)
        lastack_rx(stack, frames, cnt, clock_ns());
    return cnt;
}

/* One turn: what is due, what is owed, what came; sleeps at most until `until_ns`. */
static void turn(uint64_t until_ns)
{
    struct pollfd item = {.fd = tun, .events = POLLIN};
    struct lastack_event event;
    uint64_t now_ns = clock_ns(), next_ns;

    lastack_tick(stack, now_ns);
    frames_out();
    if (frames_in() == 0) {
        next_ns = lastack_deadline(stack);
        if (next_ns > until_ns)
            next_ns = until_ns;
        if (next_ns > now_ns)
            poll(&item, 1, (int)((next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS));
        frames_in();
    }
    lastack_tick(stack, clock_ns());
    frames_out();
    while (lastack_event(stack, &event))
        ; /* readiness is asked for, not told, here */
}

static uint64_t limit_ns(void)
{
    return clock_ns() + CALL_LIMIT_MS * NS_PER_MS;
}

int call_end(void)
{
    uint64_t until_ns = limit_ns();
    struct lastack_usage usage;

    for (;;) {
        lastack_usage(stack, &usage);
        if (usage.connections == 0 && usage.orphans == 0)
            break;
        if (clock_ns() > until_ns) {
            fprintf(stderr, "%u connections, %u orphans left\n", usage.connections, usage.orphans);
            return -ETIME;
        }
        turn(until_ns);
    }
    turn(clock_ns());
    lastack_destroy(stack);
    return 0;
}

/* ---- calls ---- */

static struct sockaddr_in at(const char *address, int port)
{
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, address, &out.sin_addr);
    return out;
}

int call_listen(const char *address, int port, int backlog)
{
    struct sockaddr_in name = at(address, port);
    int fd = lastack_socket(process, AF_INET, SOCK_STREAM, 0), error;

    if (fd < 0)
        return fd;
    error = lastack_bind(process, fd, (struct sockaddr *)&name, sizeof(name));
    if (error == 0)
        error = lastack_listen(process, fd, backlog);
    return error < 0 ? error : fd;
}

int call_wait(int fd, int events, int wait_ms)
{
    uint64_t until_ns = clock_ns() + (uint64_t)wait_ms * NS_PER_MS;

    for (;;) {
        struct pollfd item = {.fd = fd, .events = (short)events};

        turn(clock_ns());
        if (lastack_poll(process, &item, 1) > 0)
            return item.revents;
        if (clock_ns() >= until_ns)
            return 0;
        turn(until_ns);
    }
}

int call_accept(int listener)
{
    for (;;) {
        int fd = lastack_accept(process, listener, NULL, NULL, 0);

        if (fd != -EAGAIN)
            return fd;
        if (!call_wait(listener, POLLIN, CALL_LIMIT_MS))
            return -ETIME;
    }
}

int call_connect(const char *address, int port)
{
    struct sockaddr_in name = at(address, port);
    int fd = lastack_socket(process, AF_INET, SOCK_STREAM, 0), error, value = 0;
    socklen_t len = sizeof(value);

    if (fd < 0)
        return fd;
    error = lastack_connect(process, fd, (struct sockaddr *)&name, sizeof(name));
    if (error == -EINPROGRESS) {
        error = -ETIME;
        if (call_wait(fd, POLLOUT, CALL_LIMIT_MS)) {
            error = lastack_getsockopt(process, fd, SOL_SOCKET, SO_ERROR, &value, &len);
            error = error < 0 ? error : -value;
        }
    }
    if (error < 0) {
        lastack_close(process, fd);
        return error;
    }
    return fd;
}

ssize_t call_send(int fd, const void *data, size_t len)
{
    for (;;) {
        ssize_t sent = lastack_send(process, fd, data, len, MSG_NOSIGNAL);

        turn(clock_ns());
        if (sent != -EAGAIN)
            return sent;
        if (!call_wait(fd, POLLOUT, CALL_LIMIT_MS))
            return -ETIME;
    }
}

ssize_t call_recv(int fd, void *data, size_t len)
{
    for (;;) {
        ssize_t got = lastack_recv(process, fd, data, len, 0);

        turn(clock_ns());
        if (got != -EAGAIN)
            return got;
        if (!call_wait(fd, POLLIN, CALL_LIMIT_MS))
            return -ETIME;
    }
}

int call_unread(int fd)
{
    int value = 0, error = lastack_ioctl(process, fd, FIONREAD, &value);

    return error < 0 ? error : value;
}

int call_shutdown(int fd, int how)
{
    int error = lastack_shutdown(process, fd, how);

    turn(clock_ns());
    return error;
}

int call_close(int fd)
{
    int error = lastack_close(process, fd);

    turn(clock_ns());
    return error;
}

int call_close_resets(int fd)
{
    struct linger value = {.l_onoff = 1, .l_linger = 0};

    return lastack_setsockopt(process, fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value));
}

void call_die(void)
{
    lastack_exit(process);
    process = NULL;
}
