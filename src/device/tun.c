/* SPDX-License-Identifier: BSD-2-Clause */
/* TUN: ioctl(2), read(2), writev(2). */
#include "device/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "base/address.h"

#define STRIDE_MIN 2048

/* Keep the words for people, release what is half open, return -error. */
__attribute__((format(printf, 3, 4))) static int fail(struct tun *tun, int error,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(tun->error, sizeof tun->error, format, args);
    va_end(args);
    return -error;
}

static int fail_open(struct tun *tun, int error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return fail(tun, error,
                    "no TUN device in this system (/dev/net/tun: %s). Load the driver with "
                    "`modprobe tun`; in a container, start it with `--device /dev/net/tun`. "
                    "Programs that only talk to each other on 127.0.0.0/8 need no TUN",
                    strerror(error));
    case EACCES:
    case EPERM:
        return fail(tun, error,
                    "/dev/net/tun may not be opened: %s. Run as root, or let an administrator "
                    "allow it: `chmod 0666 /dev/net/tun`",
                    strerror(error));
    default:
        return fail(tun, error, "cannot open /dev/net/tun: %s", strerror(error));
    }
}

static int fail_attach(struct tun *tun, const char *name, int error)
{
    switch (error) {
    case EPERM:
        return fail(tun, error,
                    "TUN device \"%s\" needs CAP_NET_ADMIN. Run as root; or in a namespace of "
                    "your own: `unshare --user --map-root-user --net`; or let an administrator "
                    "make it for you: `ip tuntap add %s mode tun user $USER`",
                    name, name[0] ? name : "NAME");
    case EBUSY:
        return fail(tun, error,
                    "TUN device \"%s\" is in use by another program (`ip -details tuntap` names "
                    "it). End that program or choose another name",
                    name);
    case EINVAL:
        return fail(tun, error,
                    "\"%s\" cannot be opened as a TUN device: it is another kind of interface, "
                    "or no interface can have that name. Choose another name",
                    name);
    default:
        return fail(tun, error, "cannot attach to TUN device \"%s\": %s", name, strerror(error));
    }
}

/* Buffers for packets of the MTU. */
static int tun_size(struct tun *tun, uint32_t mtu)
{
    size_t stride = ((size_t)mtu + 63) & ~(size_t)63;
    if (stride < STRIDE_MIN)
        stride = STRIDE_MIN;
    if (stride > tun->stride) {
        uint8_t *buffer = malloc(stride * TUN_BATCH);
        if (buffer == NULL)
            return fail(tun, ENOMEM, "no memory for the packets of TUN device \"%s\"", tun->name);
        free(tun->buffer);
        tun->buffer = buffer;
        tun->stride = stride;
    }
    tun->mtu = mtu;
    return 0;
}

/* One interface request by ioctl in this network namespace. 0 or -errno. */
static int request_send(unsigned long code, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = ioctl(fd, code, request) < 0 ? -errno : 0;
    close(fd);
    return error;
}

static struct ifreq request_for(const struct tun *tun)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, tun->name, sizeof tun->name);
    return request;
}

int tun_open(struct tun *tun, const char *name)
{
    *tun = (struct tun){.fd = -1};
    if (name == NULL)
        name = "";
    if (strlen(name) >= TUN_NAME_LEN)
        return fail(tun, ENAMETOOLONG, "\"%s\" is too long for the name of an interface: at most "
                    "%d characters", name, TUN_NAME_LEN - 1);
    tun->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun->fd < 0)
        return fail_open(tun, errno);

    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    memcpy(request.ifr_name, name, strlen(name));
    int error = ioctl(tun->fd, TUNSETIFF, &request) < 0 ? fail_attach(tun, name, errno) : 0;
    if (error == 0) {
        memcpy(tun->name, request.ifr_name, sizeof tun->name);
        tun->name[sizeof tun->name - 1] = '\0';
        request = request_for(tun);
        int mtu = request_send(SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 1500;
        error = tun_size(tun, (uint32_t)mtu);
    }
    if (error != 0)
        tun_close(tun);
    return error;
}

/* Address, then netmask: the kernel forgets a mask that was there before the address. */
static int address_set(struct tun *tun, const struct lastack_address *address, uint8_t prefix_len)
{
    struct ifreq request = request_for(tun);
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(address_ip4(address));
    memcpy(&request.ifr_addr, &in, sizeof in);
    int error = request_send(SIOCSIFADDR, &request);
    if (error != 0)
        return error;
    in.sin_addr.s_addr = htonl(prefix_len == 0 ? 0 : UINT32_MAX << (32 - prefix_len));
    memcpy(&request.ifr_netmask, &in, sizeof in);
    return request_send(SIOCSIFNETMASK, &request);
}

static int bring_up(struct tun *tun)
{
    struct ifreq request = request_for(tun);
    int error = request_send(SIOCGIFFLAGS, &request);
    if (error != 0)
        return error;
    request.ifr_flags |= IFF_UP;
    return request_send(SIOCSIFFLAGS, &request);
}

int tun_configure(struct tun *tun, const struct lastack_address *address, uint8_t prefix_len,
                  uint32_t mtu)
{
    char text[LASTACK_ADDRESS_TEXT];
    lastack_address_text(address, text);
    if (!address_is_ip4(address) || prefix_len > 32 || mtu < 576 || mtu > 65535)
        return fail(tun, EINVAL, "%s/%u with MTU %u: a TUN device takes an IPv4 address, a prefix "
                    "of 0 .. 32 bits and an MTU of 576 .. 65535", text, prefix_len, mtu);
    struct ifreq request = request_for(tun);
    request.ifr_mtu = (int)mtu;
    int error = request_send(SIOCSIFMTU, &request);
    if (error == 0)
        error = address_set(tun, address, prefix_len);
    if (error == 0)
        error = bring_up(tun);
    if (error == -EPERM)
        return fail(tun, EPERM, "TUN device \"%s\" may not be configured: that needs "
                    "CAP_NET_ADMIN. Let an administrator do it: `ip address add %s/%u dev %s && "
                    "ip link set %s mtu %u up`", tun->name, text, prefix_len, tun->name, tun->name,
                    mtu);
    if (error != 0)
        return fail(tun, -error, "cannot give TUN device \"%s\" the address %s/%u and MTU %u: %s",
                    tun->name, text, prefix_len, mtu, strerror(-error));
    return tun_size(tun, mtu);
}

int tun_read(struct tun *tun, struct lastack_frame *frames, size_t max, uint32_t interface)
{
    int cnt = 0;
    if (max > TUN_BATCH)
        max = TUN_BATCH;
    while ((size_t)cnt < max) {
        uint8_t *packet = tun->buffer + (size_t)cnt * tun->stride;
        ssize_t len = read(tun->fd, packet, tun->stride);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && cnt == 0 && errno != EAGAIN)
            return -errno;
        if (len <= 0)
            break;
        struct lastack_frame *frame = &frames[cnt++];
        frame->interface = interface;
        frame->len = (uint32_t)len;
        frame->connection_id = 0;
        frame->iov_cnt = 1;
        frame->iov[0] = (struct iovec){packet, (size_t)len};
    }
    return cnt;
}

void tun_write(struct tun *tun, const struct lastack_frame *frames, size_t frame_cnt)
{
    for (size_t i = 0; i < frame_cnt; i++) {
        ssize_t len;
        do
            len = writev(tun->fd, frames[i].iov, (int)frames[i].iov_cnt);
        while (len < 0 && errno == EINTR);
        if (len < 0) {
            tun->write_lost++;
            tun->write_errno = errno;
        }
    }
}

void tun_close(struct tun *tun)
{
    if (tun->fd >= 0)
        close(tun->fd);
    free(tun->buffer);
    tun->fd = -1;
    tun->buffer = NULL;
    tun->stride = 0;
}
