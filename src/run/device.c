/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in and out of the supervisor's stack: a TUN device, and a file that sees them pass. */
#include "run/device.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "run/supervisor.h"

#define DEVICE_MTU 1500
#define TX_BATCH 32
#define RX_ROUNDS 4 /* batches in one go, so that a flood cannot keep programs waiting */

static bool device_is_up(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up;

    memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
    if (fd >= 0)
        close(fd);
    return up;
}

/* The first address of the network that is not ours. */
static struct lastack_address host_address(const struct run_options *options)
{
    uint32_t own = address_ip4(&options->address);
    uint32_t mask = options->prefix_len ? ~0u << (32 - options->prefix_len) : 0;
    uint32_t host = (own & mask) + (options->prefix_len < 31 ? 1 : 0);

    if (host == own)
        host++;
    return address_from_ip4(host);
}

/* A device that nobody has set up gets an address for the kernel's side. */
static int device_configure(struct supervisor *s)
{
    char text[LASTACK_ADDRESS_TEXT];
    struct lastack_address host = s->options.host_address;
    int result;

    if (device_is_up(s->tun.name) && !s->options.host_address_given)
        return 0;
    if (!s->options.host_address_given)
        host = host_address(&s->options);
    result = tun_configure(&s->tun, &host, s->options.prefix_len, DEVICE_MTU);
    if (result != 0)
        fprintf(stderr, "lastack run: %s\n", s->tun.error);
    else
        supervisor_say(s, "the kernel is %s on %s", lastack_address_text(&host, text),
                       s->tun.name);
    return result;
}

static int device_attach(struct supervisor *s)
{
    static const struct lastack_address any;
    struct lastack_interface interface = {.name = s->tun.name,
                                          .link = LASTACK_LINK_IP,
                                          .mtu = s->tun.mtu,
                                          .address = s->options.address,
                                          .prefix_len = s->options.prefix_len};
    struct lastack_address everywhere = any;
    int number = lastack_interface_add(s->stack, &interface);

    if (number < 0) {
        fprintf(stderr, "lastack run: the stack refuses interface %s: %s\n", s->tun.name,
                strerror(-number));
        return number;
    }
    s->tun_interface = (uint32_t)number;
    lastack_address_parse(&everywhere, "0.0.0.0");
    return lastack_route_add(s->stack, &everywhere, 0, s->tun_interface);
}

static int capture_start(struct supervisor *s)
{
    struct timespec now;
    uint64_t epoch_ns;
    int result;

    clock_gettime(CLOCK_REALTIME, &now);
    epoch_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - clock_now();
    result = capture_open(&s->capture, s->options.capture, epoch_ns);
    if (result != 0)
        fprintf(stderr, "lastack run: cannot write the capture %s: %s\n", s->options.capture,
                strerror(-result));
    s->capturing = result == 0;
    return result;
}

int device_open(struct supervisor *s)
{
    int result = s->options.capture ? capture_start(s) : 0;

    s->tun.fd = -1;
    if (result != 0 || !s->options.tun)
        return result;
    result = tun_open(&s->tun, s->options.tun);
    if (result != 0) {
        fprintf(stderr,
                "lastack run: %s.\nlastack run: without --tun no privilege is needed: programs "
                "then talk over the stack's own loopback, 127.0.0.0/8\n",
                s->tun.error);
        return result;
    }
    result = device_configure(s);
    return result ? result : device_attach(s);
}

void device_close(struct supervisor *s)
{
    int result = s->capturing ? capture_close(&s->capture) : 0;

    s->capturing = false;
    if (result != 0)
        fprintf(stderr, "lastack run: the capture %s is not complete: %s\n", s->options.capture,
                strerror(-result));
    if (s->tun.fd >= 0)
        tun_close(&s->tun);
    s->tun.fd = -1;
}

static void frames_in(struct supervisor *s, const struct lastack_frame *frames, size_t cnt)
{
    if (!s->capturing) {
        lastack_rx(s->stack, frames, cnt, s->now_ns);
        return;
    }
    for (size_t i = 0; i < cnt; i++) {
        lastack_rx(s->stack, &frames[i], 1, s->now_ns);
        capture_frame(&s->capture, s->stack, &frames[i], CAPTURE_IN, s->now_ns);
    }
}

void device_rx(struct supervisor *s)
{
    struct lastack_frame frames[TUN_BATCH];

    for (int round = 0; round < RX_ROUNDS; round++) {
        int cnt = tun_read(&s->tun, frames, TUN_BATCH, s->tun_interface);

        if (cnt > 0)
            frames_in(s, frames, (size_t)cnt);
        device_tx(s);
        if (cnt < TUN_BATCH)
            return;
    }
}

/* Look at all of them; keep those that go out, the rest went from the stack to itself. */
static size_t frames_out(struct supervisor *s, struct lastack_frame *frames, size_t cnt)
{
    size_t kept = 0;

    for (size_t i = 0; i < cnt; i++) {
        if (s->capturing)
            capture_frame(&s->capture, s->stack, &frames[i], CAPTURE_OUT, s->now_ns);
        if (frames[i].interface != LASTACK_LOOPBACK)
            frames[kept++] = frames[i];
    }
    return kept;
}

void device_tx(struct supervisor *s)
{
    struct lastack_frame frames[TX_BATCH];
    size_t cnt;

    while ((cnt = lastack_tx(s->stack, frames, TX_BATCH, s->now_ns)) > 0) {
        cnt = frames_out(s, frames, cnt);
        if (s->tun.fd >= 0 && cnt)
            tun_write(&s->tun, frames, cnt);
    }
}
