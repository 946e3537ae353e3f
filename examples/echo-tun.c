/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo-tun DEVICE ADDRESS PORT
 *
 * An echo server on the library over TUN, with an event loop of its own. As root:
 *
 *     ip tuntap add echo0 mode tun && ip address add 10.9.0.1/24 dev echo0
 *     ip link set echo0 up
 *     ./echo-tun echo0 10.9.0.2 7 &
 *     curl telnet://10.9.0.2:7
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "lastack.h"

#define FRAME_CNT 16

static void die(const char *what, int error)
{
    fprintf(stderr, "echo-tun: %s: %s\n", what, strerror(error));
    exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int tun_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        die("/dev/net/tun", errno);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        die(name, errno);
    return fd;
}

/* The stack with one interface, as wide as the network in the example above. */
static lastack *stack_new(const char *address)
{
    struct lastack_config config;
    struct lastack_interface interface = {
        .name = "tun", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};

    if (lastack_address_parse(&interface.address, address) < 0)
        die(address, EINVAL);
    lastack_config_init(&config);
    if (getrandom(config.seed, sizeof(config.seed), 0) != sizeof(config.seed))
        die("getrandom", errno);
    lastack *stack = lastack_create(&config, now_ns());
    if (!stack || lastack_interface_add(stack, &interface) < 0)
        die("cannot make a stack", errno);
    return stack;
}

static int listen_on(lastack_process *process, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = lastack_socket(process, AF_INET, SOCK_STREAM, 0);
    int error = lastack_bind(process, fd, (struct sockaddr *)&address, sizeof(address));

    if (error || (error = lastack_listen(process, fd, 64)))
        die("listen", -error);
    return fd;
}

/* Give back what came, as long as there is room for it; close when the client has. */
static void echo(lastack_process *process, int fd)
{
    struct iovec spans[8];
    size_t span_cnt = 8;
    ssize_t len, sent;

    while ((len = lastack_peekv(process, fd, spans, &span_cnt)) > 0) {
        if ((sent = lastack_sendv(process, fd, spans, span_cnt, MSG_NOSIGNAL)) <= 0)
            break;
        lastack_consume(process, fd, (size_t)sent);
        span_cnt = 8;
    }
    if (len == 0 || (len < 0 && len != -EAGAIN))
        lastack_close(process, fd);
}

/* The user value of a connection's socket is its descriptor; the listener has none. */
static void events(lastack *stack, lastack_process *process, int listener)
{
    struct lastack_event event;

    while (lastack_event(stack, &event)) {
        int fd = (int)(intptr_t)event.user;

        if (event.user) {
            echo(process, fd);
            continue;
        }
        while ((fd = lastack_accept(process, listener, NULL, NULL, 0)) >= 0) {
            lastack_user_set(process, fd, (void *)(intptr_t)fd);
            echo(process, fd);
        }
    }
}

int main(int argc, char **argv)
{
    struct lastack_frame frames[FRAME_CNT];
    static uint8_t packet[65535];
    ssize_t len;

    if (argc != 4)
        die("usage: echo-tun DEVICE ADDRESS PORT", EINVAL);
    struct pollfd tun = {.fd = tun_open(argv[1]), .events = POLLIN};
    lastack *stack = stack_new(argv[2]);
    lastack_process *process = lastack_process_create(stack, (uint32_t)getpid(), "echo-tun");
    int listener = listen_on(process, (uint16_t)atoi(argv[3]));

    for (;;) {
        while ((len = read(tun.fd, packet, sizeof(packet))) > 0) {
            frames[0] = (struct lastack_frame){.interface = 1, .len = (uint32_t)len, .iov_cnt = 1,
                                               .iov[0] = {packet, (size_t)len}};
            lastack_rx(stack, frames, 1, now_ns());
        }
        lastack_tick(stack, now_ns());
        events(stack, process, listener);
        for (size_t cnt; (cnt = lastack_tx(stack, frames, FRAME_CNT, now_ns())) > 0;)
            for (size_t i = 0; i < cnt; i++)
                if (writev(tun.fd, frames[i].iov, (int)frames[i].iov_cnt) < 0)
                    perror("echo-tun: write"); /* a lost packet: TCP sends it again */
        uint64_t due = lastack_deadline(stack), now = now_ns();
        uint64_t wait_ns = due <= now ? 0 : due - now < 1000000000 ? due - now : 1000000000;
        poll(&tun, 1, (int)((wait_ns + 999999) / 1000000));
    }
}
