/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * capture DEVICE FILE: write the device's IP packets to a pcap file until SIGTERM.
 *
 * Says "capturing" when the first packet could be seen. What has passed the device before the
 * signal is in the file: the socket is emptied before the end, which dumpcap does not do.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <arpa/inet.h>
#include <unistd.h>

#define BUFFER_LEN (256 << 20)
#define LINK_RAW 101 /* packets begin with the IP header */

struct file_head {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snap_len, link;
};
struct packet_head {
    uint32_t seconds, microseconds, len, whole_len;
};

static void fail(const char *what)
{
    fprintf(stderr, "capture: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int device_open(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0), room = BUFFER_LEN;

    if (fd < 0)
        fail("packet socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    address.sll_ifindex = (int)if_nametoindex(name);
    if (address.sll_ifindex == 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(name);
    return fd;
}

/* Write what waits; false when there is nothing more. */
static int packet_take(int fd, FILE *file)
{
    static unsigned char data[70000];
    ssize_t len = recv(fd, data, sizeof(data), MSG_DONTWAIT);
    struct packet_head head;
    struct timespec now;

    if (len < 0)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    head = (struct packet_head){(uint32_t)now.tv_sec, (uint32_t)(now.tv_nsec / 1000),
                                (uint32_t)len, (uint32_t)len};
    if (fwrite(&head, sizeof(head), 1, file) != 1 ||
        fwrite(data, 1, (size_t)len, file) != (size_t)len)
        fail("write");
    return 1;
}

int main(int argc, char **argv)
{
    const struct file_head head = {0xa1b2c3d4, 2, 4, 0, 0, 262144, LINK_RAW};
    struct pollfd items[2] = {{.events = POLLIN}, {.events = POLLIN}};
    struct tpacket_stats lost = {0};
    socklen_t len = sizeof(lost);
    sigset_t set;
    FILE *file;

    if (argc != 3) {
        fprintf(stderr, "usage: capture DEVICE FILE\n");
        return 2;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    items[0].fd = device_open(argv[1]);
    items[1].fd = signalfd(-1, &set, 0);
    file = fopen(argv[2], "wb");
    if (!file || fwrite(&head, sizeof(head), 1, file) != 1)
        fail(argv[2]);
    puts("capturing");
    fflush(stdout);
    do {
        poll(items, 2, -1);
        while (packet_take(items[0].fd, file))
            ;
    } while (!(items[1].revents & POLLIN));
    while (packet_take(items[0].fd, file))
        ;
    getsockopt(items[0].fd, SOL_PACKET, PACKET_STATISTICS, &lost, &len);
    printf("lost %u\n", lost.tp_drops);
    return fclose(file) == 0 ? 0 : 1;
}
