/* SPDX-License-Identifier: BSD-2-Clause */
/* E and F: proxies, half-closes, closed windows, lost peers. */
#include "stage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- E: half-closes and relays ---- */

/* Healthy: the request is complete, the answer takes its time. */
static void half_close_sends(int listener)
{
    int fd = take(listener);
    say_socket("sender", fd);
    read_to_end(fd);
    ready();
    for (;;) {
        give(fd, 1);
        poll(NULL, 0, 100);
    }
}

static void client_drinks(void)
{
    int fd = dial();
    say_socket("client", fd);
    give(fd, 5);
    shut(fd);
    ready();
    read_to_end(fd);
    rest();
}

/* It sent after the end it read, and now it rests: that may be meant. */
static void half_close_rests(int listener)
{
    int fd = take(listener);
    read_to_end(fd);
    give(fd, 1000);
    say_socket("rester", fd);
    ready();
    rest();
}

/* Client - proxy - origin. The proxy passed the client's end on; the origin never ends its half. */
static void relay(int listener)
{
    if (spawn() == 0) {
        hear(1);
        int origin = take(listener);
        say_socket("origin", origin);
        read_to_end(origin);
        tell(0);
        rest();
    }
    int left = take(listener), right = dial();
    tell(1);
    say_socket("left", left);
    say_socket("right", right);
    read_to_end(left);
    shut(right);
    hear(0);
    ready();
    read_to_end(right);
    rest();
}

/* ---- F: FIN_WAIT_2 ---- */

static void wait_state(int fd, int state)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    while (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state != state)
        poll(NULL, 0, 1);
}

/* Its peer vanished without a word: repair mode closes silently. */
static void peer_forgets(int listener)
{
    int fd = take(listener), on = 1;
    read_to_end(fd);
    hear(1);
    check(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0, "TCP_REPAIR");
    close(fd);
    tell(0);
    ready();
    rest();
}

static void client_keeps_half(void)
{
    int fd = dial();
    say_socket("keeper", fd);
    give(fd, 5);
    shut(fd);
    wait_state(fd, TCP_FIN_WAIT2);
    tell(1);
    hear(0);
    ready();
    rest();
}

/* Both ends here: we shut, the other end reads and stays. */
static void peer_keeps(int listener)
{
    int fd = take(listener);
    say_socket("peer", fd);
    read_to_end(fd);
    tell(0);
    ready();
    rest();
}

/* Closed by its client; the server still reads, as it should. */
static void server_slow(int listener)
{
    int fd = take(listener);
    wait_fin(fd);
    say_socket("server", fd);
    ready();
    rest();
}

/* ---- F: closed windows ---- */

static void reads_nothing(void)
{
    int fd = dial();
    say_socket("reader", fd);
    ready();
    rest();
}

static void writer_blocked(int listener)
{
    static char bytes[65536];
    int fd = take(listener);
    say_socket("writer", fd);
    fill(fd);
    ready();
    while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
        ;
}

static void fin_behind_held(int listener)
{
    int fd = take(listener);
    say_socket("writer", fd);
    fill(fd);
    shut(fd);
    ready();
    rest();
}

static void fin_behind_orphan(int listener)
{
    int fd = take(listener);
    say_socket("writer", fd);
    fill(fd);
    close(fd);
    ready();
    rest();
}

static void shuts_and_reads_nothing(void)
{
    int fd = dial();
    say_socket("reader", fd);
    shut(fd);
    ready();
    rest();
}

static void last_ack_behind(int listener)
{
    int fd = take(listener);
    say_socket("writer", fd);
    read_to_end(fd);
    fill(fd);
    close(fd);
    ready();
    rest();
}

/* ---- F: a peer that is gone ---- */

static void client_goes_deaf(void)
{
    int fd = dial();
    say_socket("deaf", fd);
    hear(0);
    go_deaf(fd);
    tell(1);
    ready();
    rest();
}

static void data_unanswered(int listener)
{
    int fd = take(listener);
    say_socket("sender", fd);
    tell(0);
    hear(1);
    give(fd, 1000);
    ready();
    read_to_end(fd);
    rest();
}

static void fin_unanswered(int listener)
{
    int fd = take(listener);
    say_socket("sender", fd);
    tell(0);
    hear(1);
    close(fd);
    ready();
    rest();
}

static void fin_unanswered_held(int listener)
{
    int fd = take(listener);
    say_socket("sender", fd);
    tell(0);
    hear(1);
    shut(fd);
    ready();
    read_to_end(fd);
    rest();
}

/* Healthy: nothing is wrong with a connection that both ends closed. */
static void both_close(int listener)
{
    int fd = take(listener);
    say_socket("server", fd);
    read_to_end(fd);
    close(fd);
    ready();
    rest();
}

const struct scenario scenarios_wire[] = {
    {"half-close-sends", half_close_sends, client_drinks, 0},
    {"half-close-rests", half_close_rests, client_drinks, 0},
    {"relay-pair", relay, client_polite, 0},
    {"half-kept-peer-gone", peer_forgets, client_keeps_half, 0},
    {"half-kept-peer-here", peer_keeps, client_keeps_half, 0},
    {"half-left-to-timer", server_slow, client_leaves, 0},
    {"writer-blocked", writer_blocked, reads_nothing, 0},
    {"fin-behind-held", fin_behind_held, reads_nothing, 0},
    {"fin-behind-orphan", fin_behind_orphan, reads_nothing, 0},
    {"last-ack-behind", last_ack_behind, shuts_and_reads_nothing, 0},
    {"data-unanswered", data_unanswered, client_goes_deaf, 0},
    {"fin-unanswered", fin_unanswered, client_goes_deaf, 0},
    {"fin-unanswered-held", fin_unanswered_held, client_goes_deaf, 0},
    {"both-close", both_close, client_polite, 0},
    {NULL, NULL, NULL, 0},
};
