/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Socket options: what is told, what is kept, what is refused.
 */
#include "trace.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

static void set(const char *step, int fd, int level, int name, int value)
{
    result(step, setsockopt(fd, level, name, &value, sizeof(value)));
}

static void case_kind(void)
{
    int client, server;

    pair(&client, &server);
    number_option("SO_DOMAIN (2)", client, SOL_SOCKET, SO_DOMAIN);
    number_option("SO_TYPE (1)", client, SOL_SOCKET, SO_TYPE);
    number_option("SO_PROTOCOL (6)", client, SOL_SOCKET, SO_PROTOCOL);
    number_option("SO_ACCEPTCONN", client, SOL_SOCKET, SO_ACCEPTCONN);
    number_option("SO_ERROR", client, SOL_SOCKET, SO_ERROR);
    set("set SO_TYPE", client, SOL_SOCKET, SO_TYPE, 2);
    set("set SO_ERROR", client, SOL_SOCKET, SO_ERROR, 2);
    set("set SO_ACCEPTCONN", client, SOL_SOCKET, SO_ACCEPTCONN, 1);
}

static void case_flags(void)
{
    static const struct {
        const char *name;
        int level, option;
    } flag_options[] = {
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR}, {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT},
        {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE}, {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
        {"TCP_CORK", IPPROTO_TCP, TCP_CORK},
    };
    int fd = tcp();

    for (size_t i = 0; i < sizeof(flag_options) / sizeof(flag_options[0]); i++) {
        const char *name = flag_options[i].name;
        int value = 7, before = -1, after = -1, off = -1, on;
        socklen_t len = sizeof(int);

        getsockopt(fd, flag_options[i].level, flag_options[i].option, &before, &len);
        on = setsockopt(fd, flag_options[i].level, flag_options[i].option, &value, len);
        getsockopt(fd, flag_options[i].level, flag_options[i].option, &after, &len);
        value = 0;
        setsockopt(fd, flag_options[i].level, flag_options[i].option, &value, len);
        getsockopt(fd, flag_options[i].level, flag_options[i].option, &off, &len);
        say(name, "before %d, set %d, then %d, off %d", before, on, after, off);
    }
}

static void case_linger(void)
{
    struct linger value = {-1, -1};
    socklen_t len = sizeof(value);
    int fd = tcp();

    result("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &len));
    say("new", "on %d, %d s, %d bytes", value.l_onoff, value.l_linger, (int)len);
    linger(fd, 1, 7);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &len);
    say("set", "on %d, %d s", value.l_onoff, value.l_linger);
    len = 4;
    result("set, short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, len));
}

static void case_keepalive(void)
{
    int fd = tcp();

    number_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE);
    number_option("TCP_KEEPINTVL", fd, IPPROTO_TCP, TCP_KEEPINTVL);
    number_option("TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT);
    set("set TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set("set TCP_KEEPINTVL", fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set("set TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    number_option("TCP_KEEPIDLE after", fd, IPPROTO_TCP, TCP_KEEPIDLE);
    number_option("TCP_KEEPINTVL after", fd, IPPROTO_TCP, TCP_KEEPINTVL);
    number_option("TCP_KEEPCNT after", fd, IPPROTO_TCP, TCP_KEEPCNT);
    set("TCP_KEEPIDLE 0", fd, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    set("TCP_KEEPIDLE 40000", fd, IPPROTO_TCP, TCP_KEEPIDLE, 40000);
    set("TCP_KEEPCNT 0", fd, IPPROTO_TCP, TCP_KEEPCNT, 0);
    set("TCP_KEEPCNT 128", fd, IPPROTO_TCP, TCP_KEEPCNT, 128);
    set("TCP_KEEPINTVL -1", fd, IPPROTO_TCP, TCP_KEEPINTVL, -1);
}

static void case_user_timeout(void)
{
    int fd = tcp();

    number_option("new", fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
    set("set", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    number_option("after", fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
    set("negative", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
}

/* Linux doubles what is asked for, and has a least value. */
static void case_buffers(void)
{
    int fd = tcp(), value = 0;
    socklen_t len = sizeof(value);

    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len);
    yes_no("SO_SNDBUF at least 4 KiB", value >= 4096);
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len);
    yes_no("SO_RCVBUF at least 4 KiB", value >= 4096);
    set("set SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF, 50000);
    number_option("SO_SNDBUF after", fd, SOL_SOCKET, SO_SNDBUF);
    set("set SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, 60000);
    number_option("SO_RCVBUF after", fd, SOL_SOCKET, SO_RCVBUF);
    set("SO_SNDBUF 1", fd, SOL_SOCKET, SO_SNDBUF, 1);
    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len);
    yes_no("SO_SNDBUF is more than 1", value > 1);
}

static void case_unknown(void)
{
    int fd = tcp(), value = 0;
    socklen_t len = sizeof(value);

    result("get, socket level", getsockopt(fd, SOL_SOCKET, 9999, &value, &len));
    set("set, socket level", fd, SOL_SOCKET, 9999, 0);
    result("get, TCP level", getsockopt(fd, IPPROTO_TCP, 9999, &value, &len));
    set("set, TCP level", fd, IPPROTO_TCP, 9999, 0);
    result("get, IP level", getsockopt(fd, IPPROTO_IP, 9999, &value, &len));
    set("set, IP level", fd, IPPROTO_IP, 9999, 0);
    result("get, no such level", getsockopt(fd, 9999, 1, &value, &len));
    set("set, no such level", fd, 9999, 1, 0);
}

static void case_lengths(void)
{
    int fd = tcp(), value = 0x55555555;
    socklen_t len = 2;

    result("set, short", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2));
    result("set TCP, short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 2));
    result("get, short", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    result("length then", len);
    yes_no("only those bytes are touched", (value & 0xffff0000) == 0x55550000);
    len = 64;
    result("get, long", getsockopt(fd, SOL_SOCKET, SO_TYPE, &(int[16]){0}, &len));
    result("length then too", len);
    len = (socklen_t)-1;
    result("get, negative", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
}

static void case_timeouts(void)
{
    struct timeval value = {2, 500000}, back = {-1, -1};
    socklen_t len = sizeof(back);
    int fd = tcp();

    result("set SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value)));
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &back, &len);
    say("SO_RCVTIMEO", "%ld.%06ld", (long)back.tv_sec, (long)back.tv_usec);
    getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &back, &len);
    say("SO_SNDTIMEO", "%ld.%06ld", (long)back.tv_sec, (long)back.tv_usec);
    value.tv_usec = 1000000;
    result("too many microseconds",
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof(value)));
}

static void case_ip(void)
{
    int client, server;
    char data[40];
    socklen_t len = sizeof(data);

    pair(&client, &server);
    number_option("IP_TTL", client, IPPROTO_IP, IP_TTL);
    number_option("IP_TOS", client, IPPROTO_IP, IP_TOS);
    set("set IP_TOS", client, IPPROTO_IP, IP_TOS, IPTOS_LOWDELAY);
    number_option("IP_TOS after", client, IPPROTO_IP, IP_TOS);
    result("IP_OPTIONS", getsockopt(client, IPPROTO_IP, IP_OPTIONS, data, &len));
    result("their length", len);
}

static void case_info(void)
{
    int listening = listener(4), client, server, mss = 0;
    socklen_t len = sizeof(mss);

    result("new (7 is CLOSE)", tcp_state(tcp()));
    result("listening (10)", tcp_state(listening));
    client = client_of(listening);
    server = accept_from(listening);
    result("established (1)", tcp_state(server));
    getsockopt(client, IPPROTO_TCP, TCP_MAXSEG, &mss, &len);
    yes_no("TCP_MAXSEG is sane", mss >= 536 && mss <= 65535);
}

static void case_accepts_reuse_late(void)
{
    int client, server;

    pair(&client, &server);
    set("SO_REUSEADDR on a connection", client, SOL_SOCKET, SO_REUSEADDR, 1);
    number_option("SO_REUSEADDR", client, SOL_SOCKET, SO_REUSEADDR);
    set("TCP_NODELAY on a connection", client, IPPROTO_TCP, TCP_NODELAY, 1);
    number_option("TCP_NODELAY", client, IPPROTO_TCP, TCP_NODELAY);
}

static const struct semantics_case cases[] = {
    {"kind", case_kind},
    {"flags", case_flags},
    {"linger", case_linger},
    {"keepalive", case_keepalive},
    {"user-timeout", case_user_timeout},
    {"buffers", case_buffers},
    {"unknown", case_unknown},
    {"lengths", case_lengths},
    {"timeouts", case_timeouts},
    {"ip", case_ip},
    {"info", case_info},
    {"late", case_accepts_reuse_late},
    {NULL, NULL},
};

const struct semantics_group group_options = {"options", cases};
