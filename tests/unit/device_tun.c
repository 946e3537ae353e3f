/* SPDX-License-Identifier: BSD-2-Clause */
/* device/tun.c against the kernel, in a network namespace of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/address.h"
#include "base/checksum.h"
#include "device/tun.h"
#include "test.h"
#include "wire/ip4.h"

#define KERNEL_SIDE 0x0a630701u /* 10.99.7.1 */
#define OUR_SIDE 0x0a630702u

/* Once per program: a namespace in which TUN devices can be made. */
static void own_namespace(void)
{
    static bool done;
    struct tun tun;
    if (done)
        return;
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        test_skip("no network namespace with TUN here");
    if (tun_open(&tun, "probe0") < 0) {
        test_note("%s", tun.error);
        test_skip("no network namespace with TUN here");
    }
    tun_close(&tun);
    done = true;
}

static void open_configured(struct tun *tun, const char *name)
{
    struct lastack_address address = address_from_ip4(KERNEL_SIDE);
    own_namespace();
    if (tun_open(tun, name) < 0 || tun_configure(tun, &address, 24, 1400) < 0)
        FAIL("%s", tun->error);
    REQUIRE(tun->fd >= 0);
}

static int udp_socket(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

/* The next IPv4 UDP packet out of the kernel (which also says hello by IPv6). */
static bool read_udp(struct tun *tun, struct lastack_frame *frame, struct ip4 *ip)
{
    struct pollfd ready = {.fd = tun->fd, .events = POLLIN};
    while (poll(&ready, 1, 20000) == 1) {
        if (tun_read(tun, frame, 1, 5) != 1)
            return false;
        if (ip4_parse(ip, frame->iov[0].iov_base, frame->len, frame->len) == DROP_NONE &&
            ip->protocol == IP_PROTOCOL_UDP)
            return true;
    }
    return false;
}

TEST(tun_gives_what_the_kernel_sends)
{
    struct tun tun;
    struct lastack_frame frame;
    struct ip4 ip;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7),
                             .sin_addr.s_addr = htonl(OUR_SIDE)};
    open_configured(&tun, "lwunit0");
    CHECK_STR(tun.name, "lwunit0");
    CHECK_EQ(tun.mtu, 1400);
    int fd = udp_socket(4000);
    CHECK_EQ(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
    REQUIRE(read_udp(&tun, &frame, &ip));
    CHECK_EQ(address_ip4(&ip.source), KERNEL_SIDE);
    CHECK_EQ(address_ip4(&ip.destination), OUR_SIDE);
    CHECK_EQ(frame.interface, 5);
    CHECK_EQ(frame.iov_cnt, 1);
    CHECK_EQ(frame.len, 20 + 8 + 5);
    CHECK_MEM((uint8_t *)frame.iov[0].iov_base + 28, "hello", 5);
    close(fd);
    tun_close(&tun);
    CHECK_EQ(if_nametoindex("lwunit0"), 0);
}

TEST(tun_takes_scattered_packets)
{
    struct tun tun;
    uint8_t head[IP4_HEADER_LEN], udp[8] = {0, 7, 0x0f, 0xa0, 0, 8 + 6}, got[100];
    struct ip4 ip = {.source = address_from_ip4(OUR_SIDE),
                     .destination = address_from_ip4(KERNEL_SIDE),
                     .total_len = 20 + 8 + 6, .ttl = 64, .protocol = IP_PROTOCOL_UDP};
    open_configured(&tun, "lwunit1");
    int fd = udp_socket(4000);
    ip4_emit(head, &ip);
    struct lastack_frame frame = {
        .len = 34,
        .iov_cnt = 4,
        .iov = {{head, 20}, {udp, 8}, {(void *)"scat", 4}, {(void *)"ty", 2}},
    };
    tun_write(&tun, &frame, 1);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    REQUIRE_EQ(poll(&ready, 1, 20000), 1);
    CHECK_EQ(recv(fd, got, sizeof got, 0), 6);
    CHECK_MEM(got, "scatty", 6);
    CHECK_EQ(tun.write_lost, 0);
    close(fd);
    tun_close(&tun);
}

TEST(tun_write_counts_what_the_kernel_refuses)
{
    struct tun tun;
    open_configured(&tun, "lwunit2");
    struct lastack_frame frame = {.len = 4, .iov_cnt = 1, .iov = {{(void *)"\x15junk", 4}}};
    tun_write(&tun, &frame, 1);
    CHECK_EQ(tun.write_lost, 1);
    CHECK_EQ(tun.write_errno, EINVAL);
    tun_close(&tun);
}

TEST(tun_read_with_nothing_there_returns_at_once)
{
    struct tun tun;
    struct lastack_frame frames[TUN_BATCH];
    open_configured(&tun, "lwunit3");
    for (int i = 0; i < 100; i++) /* past what the kernel says at the start */
        CHECK_GE(tun_read(&tun, frames, TUN_BATCH, 1), 0);
    tun_close(&tun);
}

/* The kernel may hold more than one batch: it comes in order, each packet once. */
TEST(tun_read_takes_batches)
{
    struct tun tun;
    struct lastack_frame frames[TUN_BATCH];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7),
                             .sin_addr.s_addr = htonl(OUR_SIDE)};
    uint32_t next = 0;
    open_configured(&tun, "lwunit4");
    int fd = udp_socket(4000);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(sendto(fd, &i, 4, 0, (struct sockaddr *)&to, sizeof to), 4);
    struct pollfd ready = {.fd = tun.fd, .events = POLLIN};
    while (next < 100 && poll(&ready, 1, 20000) == 1) {
        int cnt = tun_read(&tun, frames, 1000, 1);
        REQUIRE(cnt > 0 && cnt <= TUN_BATCH);
        for (int i = 0; i < cnt; i++) {
            const uint8_t *packet = frames[i].iov[0].iov_base;
            if (packet[0] != 0x45 || packet[9] != IP_PROTOCOL_UDP)
                continue;
            CHECK_MEM(packet + 28, &next, 4);
            next++;
        }
    }
    CHECK_EQ(next, 100);
    close(fd);
    tun_close(&tun);
}

TEST(tun_open_says_what_to_do_when_it_is_taken)
{
    struct tun first, second;
    own_namespace();
    REQUIRE_EQ(tun_open(&first, "lwunit5"), 0);
    CHECK_EQ(tun_open(&second, "lwunit5"), -EBUSY);
    CHECK(strstr(second.error, "\"lwunit5\" is in use") != NULL);
    CHECK_EQ(second.fd, -1);
    tun_close(&second);
    tun_close(&first);
    tun_close(&first);
}

TEST(tun_open_refuses_bad_names)
{
    struct tun tun;
    own_namespace();
    CHECK_EQ(tun_open(&tun, "a-name-that-is-too-long"), -ENAMETOOLONG);
    CHECK(strstr(tun.error, "too long") != NULL);
    CHECK_EQ(tun_open(&tun, "a/b"), -EINVAL);
    CHECK(strstr(tun.error, "a/b") != NULL);
    CHECK_EQ(tun_open(&tun, "lo"), -EINVAL);
}

TEST(tun_open_lets_the_kernel_choose_a_name)
{
    struct tun a, b;
    own_namespace();
    REQUIRE_EQ(tun_open(&a, "lwu%d"), 0);
    REQUIRE_EQ(tun_open(&b, NULL), 0);
    CHECK_STR(a.name, "lwu0");
    CHECK(strncmp(b.name, "tun", 3) == 0);
    tun_close(&a);
    tun_close(&b);
}

TEST(tun_configure_refuses_what_cannot_be)
{
    struct tun tun;
    struct lastack_address ip4 = address_from_ip4(KERNEL_SIDE), ip6 = {{0x20, 1}};
    own_namespace();
    REQUIRE_EQ(tun_open(&tun, "lwunit6"), 0);
    CHECK_EQ(tun_configure(&tun, &ip4, 33, 1500), -EINVAL);
    CHECK_EQ(tun_configure(&tun, &ip4, 24, 575), -EINVAL);
    CHECK_EQ(tun_configure(&tun, &ip4, 24, 65536), -EINVAL);
    CHECK_EQ(tun_configure(&tun, &ip6, 24, 1500), -EINVAL);
    CHECK(strstr(tun.error, "2001::/24") != NULL);
    CHECK_EQ(tun_configure(&tun, &ip4, 24, 65535), 0);
    CHECK_EQ(tun.mtu, 65535);
    tun_close(&tun);
}

/* Without privilege: a named refusal with a remedy, whether the file or the ioctl says no. */
TEST(tun_open_without_privilege_says_what_to_do)
{
    own_namespace();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct tun tun;
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(2); /* no other user to become */
        int error = tun_open(&tun, "lwunit7");
        bool told = strstr(tun.error, "CAP_NET_ADMIN") || strstr(tun.error, "Run as root");
        _exit((error == -EPERM || error == -EACCES) && told ? 0 : 1);
    }
    int status;
    REQUIRE_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        test_skip("no network namespace with TUN here");
    CHECK_EQ(status, 0);
}

TEST_MAIN()
