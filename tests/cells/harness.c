/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of a test: a stack, a program, a peer made by hand, virtual time. */
#include "harness.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "wire/ip4.h"

void world_config(struct lastack_config *config)
{
    lastack_config_init(config);
    for (unsigned i = 0; i < 4; i++)
        config->seed[i] = 0x9e3779b97f4a7c15u * (i + 1);
    config->fixed_iss = WORLD_ISS;
    config->fixed_iss_set = true;
    config->rto_initial_ms = config->rto_min_ms = config->rto_max_ms = WORLD_RTO / MS;
    config->delayed_ack_ms = 0;
    config->syn_retry_max = 2;
    config->syn_ack_retry_max = 2;
    config->retry_max = 3;
    config->orphan_probe_max = 3;
    config->send_buffer = 65536;
    config->receive_buffer = 32768;
    config->record_len = 1024;
    config->connection_max = config->half_open_max = 128;
    config->time_wait_max = config->orphan_max = 128;
    config->process_max = 64;
    config->descriptor_max = 256;
}

void world_open_with(struct world *w, const struct lastack_config *config)
{
    struct lastack_interface interface = {
        .name = "test0", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};

    memset(w, 0, sizeof(*w));
    w->config = *config;
    w->now_ns = 1000 * SECOND;
    w->listener = w->fd = -1;
    w->local_port = WORLD_LOCAL_PORT;
    w->peer_port = WORLD_PEER_PORT;
    w->peer_wnd = WORLD_PEER_WND;
    w->irs = WORLD_IRS;
    w->stack = lastack_create(config, w->now_ns);
    REQUIRE(w->stack != NULL);
    REQUIRE_EQ(lastack_address_parse(&interface.address, WORLD_LOCAL), 0);
    REQUIRE_EQ(lastack_interface_add(w->stack, &interface), 1);
    w->process = lastack_process_create(w->stack, 100, "prog");
    REQUIRE(w->process != NULL);
}

void world_open(struct world *w)
{
    struct lastack_config config;

    world_config(&config);
    world_open_with(w, &config);
}

void world_close(struct world *w)
{
    struct lastack_usage usage;
    struct lastack_info info;
    uint64_t cursor = 0;
    uint32_t half_open = 0, time_wait = 0, listeners = 0, orphans = 0;

    while (lastack_info_next(w->stack, &cursor, &info)) {
        half_open += info.state == LASTACK_SYN_RCVD && info.id == 0;
        time_wait += info.state == LASTACK_TIME_WAIT;
        listeners += info.state == LASTACK_LISTEN;
        orphans += info.orphan && info.state != LASTACK_TIME_WAIT;
    }
    lastack_usage(w->stack, &usage);
    CHECK_EQ(usage.half_open, half_open);
    CHECK_EQ(usage.time_wait, time_wait);
    CHECK_EQ(usage.listeners, listeners);
    CHECK_EQ(usage.orphans, orphans);
    lastack_destroy(w->stack);
    w->stack = NULL;
}

/* ---- packets ------------------------------------------------------------ */

uint8_t peer_byte(uint32_t seq)
{
    return (uint8_t)(seq * 31 + (seq >> 8) * 7 + 3);
}

size_t peer_build(const struct world *w, const struct wire_segment *segment, uint8_t *out)
{
    struct tcp_header h = {
        .source_port = segment->source_port ? segment->source_port : w->peer_port,
        .destination_port =
            segment->destination_port ? segment->destination_port : w->local_port,
        .seq = segment->seq,
        .ack = segment->ack,
        .flags = segment->flags,
        .wnd = segment->wnd,
        .up = segment->up,
        .mss = segment->mss,
        .wscale = segment->wscale,
    };
    struct ip4 ip = {.ttl = 64, .protocol = IP_PROTOCOL_TCP, .dont_fragment = true};
    uint8_t *tcp = out + IP4_HEADER_LEN;
    size_t tcp_len = tcp_header_emit(tcp, &h, false);
    uint16_t sum;

    memcpy(tcp + tcp_len, segment->data, segment->len);
    tcp_len += segment->len;
    REQUIRE_EQ(lastack_address_parse(&ip.source, WORLD_PEER), 0);
    REQUIRE_EQ(lastack_address_parse(&ip.destination, WORLD_LOCAL), 0);
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + tcp_len);
    ip4_emit(out, &ip);
    sum = ip_pseudo_sum(&ip.source, &ip.destination, IP_PROTOCOL_TCP, (uint32_t)tcp_len);
    sum = checksum_finish(checksum_join(sum, 12, checksum_sum_naive(tcp, tcp_len)));
    memcpy(tcp + 16, &sum, sizeof(sum));
    if (w->bad_checksum)
        tcp[16] ^= 0x40;
    return IP4_HEADER_LEN + tcp_len;
}

void peer_packet(struct world *w, const void *packet, size_t len)
{
    /* An allocation of exactly this size: a read past the end is seen by ASan. */
    uint8_t *exact = malloc(len ? len : 1);
    struct lastack_frame frame = {.interface = 1, .len = (uint32_t)len, .iov_cnt = 1};

    REQUIRE(exact != NULL);
    memcpy(exact, packet, len);
    frame.iov[0] = (struct iovec){exact, len};
    lastack_rx(w->stack, &frame, 1, w->now_ns);
    free(exact);
}

void peer_put_segment(struct world *w, const struct wire_segment *segment)
{
    uint8_t packet[IP4_HEADER_LEN + TCP_HEADER_MAX + WORLD_DATA_MAX];
    size_t len = peer_build(w, segment, packet);

    w->bad_checksum = false;
    w->last_in = *segment;
    if ((segment->flags & TCP_ACK) && segment->ack - w->snd_una <= w->snd_nxt - w->snd_una)
        w->snd_una = segment->ack;
    peer_packet(w, packet, len);
}

void peer_put(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    struct wire_segment s = {.flags = flags, .seq = seq, .ack = ack, .wnd = w->peer_wnd,
                             .wscale = TCP_WSCALE_NONE, .len = len};

    REQUIRE(len <= WORLD_DATA_MAX);
    if (flags & TCP_SYN)
        s.mss = 1460;
    for (uint32_t i = 0; i < len; i++)
        s.data[i] = peer_byte(seq + !!(flags & TCP_SYN) + i);
    peer_put_segment(w, &s);
}

void peer_send(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    peer_put(w, flags, seq, ack, len);
    world_collect(w);
}

void peer_ack(struct world *w)
{
    peer_send(w, TCP_ACK, w->rcv_nxt, w->snd_nxt, 0);
}

void peer_data(struct world *w, uint32_t len)
{
    peer_send(w, TCP_ACK | TCP_PSH, w->rcv_nxt, w->snd_nxt, len);
}

void peer_fin(struct world *w)
{
    peer_send(w, TCP_ACK | TCP_FIN, w->rcv_nxt, w->snd_nxt, 0);
}

void peer_rst(struct world *w)
{
    peer_send(w, TCP_RST | TCP_ACK, w->rcv_nxt, w->snd_nxt, 0);
}

/* ---- what comes out ----------------------------------------------------- */

static void sent_note(struct world *w, const struct wire_segment *s)
{
    uint32_t end = s->seq + s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);

    if (s->destination_port != w->peer_port || s->source_port != w->local_port)
        return;
    if (s->flags & TCP_RST)
        return;
    if ((s->flags & TCP_SYN) && (int32_t)(s->seq - w->snd_una) != 0) {
        w->iss = w->snd_una = s->seq;
        w->snd_nxt = end;
    }
    if ((int32_t)(end - w->snd_nxt) > 0)
        w->snd_nxt = end;
    if (s->flags & TCP_ACK) {
        w->rcv_nxt = s->ack;
        w->rcv_wnd = s->wnd;
    }
}

static void sent_tcp(struct world *w, const struct ip4 *ip, const uint8_t *data, size_t len)
{
    struct wire_segment s = {.time_ns = w->now_ns, .ttl = ip->ttl, .tos = ip->tos};
    struct tcp_header h;
    uint16_t sum = ip_pseudo_sum(&ip->source, &ip->destination, IP_PROTOCOL_TCP, (uint32_t)len);

    CHECK_EQ(checksum_finish(checksum_join(sum, 12, checksum_sum_naive(data, len))), 0);
    REQUIRE_EQ(tcp_header_parse(&h, data, len, len), DROP_NONE);
    s.flags = h.flags;
    s.seq = h.seq;
    s.ack = h.ack;
    s.wnd = h.wnd;
    s.up = h.up;
    s.source_port = h.source_port;
    s.destination_port = h.destination_port;
    s.mss = h.mss;
    s.wscale = h.wscale;
    s.len = (uint32_t)(len - h.header_len);
    REQUIRE(s.len <= WORLD_DATA_MAX);
    memcpy(s.data, data + h.header_len, s.len);
    if (w->sent_cnt == WORLD_SENT_MAX) {
        FAIL("more than %d segments sent at once", WORLD_SENT_MAX);
        test_leave();
    }
    w->sent[w->sent_cnt++] = s;
    sent_note(w, &s);
}

static void sent_frame(struct world *w, const struct lastack_frame *frame)
{
    uint8_t packet[65536];
    size_t len = 0;
    struct ip4 ip;

    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        REQUIRE(len + frame->iov[i].iov_len <= sizeof(packet));
        memcpy(packet + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        len += frame->iov[i].iov_len;
    }
    CHECK_EQ(frame->len, len);
    CHECK_EQ(frame->interface, 1);
    CHECK_LE(len, 1500);
    REQUIRE_EQ(ip4_parse(&ip, packet, len, len), DROP_NONE);
    CHECK_EQ(ip.total_len, len);
    if (ip.protocol == IP_PROTOCOL_TCP)
        sent_tcp(w, &ip, packet + ip.header_len, len - ip.header_len);
    else
        w->icmp_cnt++;
}

void world_collect_frames(struct world *w)
{
    struct lastack_frame frames[8];
    size_t cnt;
    unsigned rounds = 0;

    do {
        cnt = lastack_tx(w->stack, frames, 8, w->now_ns);
        for (size_t i = 0; i < cnt; i++)
            sent_frame(w, &frames[i]);
        if (++rounds == 10000) {
            FAIL("lastack_tx has frames without end");
            test_leave();
        }
    } while (cnt == 8);
}

void world_collect(struct world *w)
{
    struct lastack_event event;

    world_collect_frames(w);
    while (lastack_event(w->stack, &event))
        w->lingered += !!(event.events & LASTACK_LINGERED);
}

/* One step of time towards `end`; false when there is nothing to do before it. */
static bool time_step(struct world *w, uint64_t end, unsigned *stuck)
{
    uint64_t due = lastack_deadline(w->stack);

    if (due > end)
        return false;
    *stuck = due > w->now_ns ? 0 : *stuck + 1;
    if (*stuck == 100) {
        FAIL("the deadline stays at or before the current time");
        test_leave();
    }
    w->now_ns = due > w->now_ns ? due : w->now_ns;
    lastack_tick(w->stack, w->now_ns);
    world_collect(w);
    return true;
}

void world_advance(struct world *w, uint64_t ns)
{
    uint64_t end = w->now_ns + ns;
    unsigned stuck = 0;

    world_collect(w);
    while (time_step(w, end, &stuck)) {
    }
    w->now_ns = end;
    lastack_tick(w->stack, end);
    world_collect(w);
}

bool world_wait_sent(struct world *w, unsigned cnt, uint64_t limit_ns)
{
    uint64_t end = w->now_ns + limit_ns;
    unsigned stuck = 0;

    world_collect(w);
    while (w->sent_cnt < cnt && time_step(w, end, &stuck)) {
    }
    return w->sent_cnt >= cnt;
}

void world_forget(struct world *w)
{
    w->sent_cnt = 0;
}

const struct wire_segment *world_last(const struct world *w)
{
    if (w->sent_cnt == 0) {
        FAIL("the stack has sent nothing");
        test_leave();
    }
    return &w->sent[w->sent_cnt - 1];
}

unsigned world_sent_with(const struct world *w, uint8_t flags)
{
    unsigned cnt = 0;

    for (unsigned i = 0; i < w->sent_cnt; i++)
        cnt += (w->sent[i].flags & flags) == flags;
    return cnt;
}

uint32_t world_sent_bytes(const struct world *w)
{
    uint32_t first = 0, end = 0;
    bool any = false;

    for (unsigned i = 0; i < w->sent_cnt; i++) {
        const struct wire_segment *s = &w->sent[i];

        if (s->len == 0)
            continue;
        if (!any || (int32_t)(s->seq - first) < 0)
            first = s->seq;
        if (!any || (int32_t)(s->seq + s->len - end) > 0)
            end = s->seq + s->len;
        any = true;
    }
    return end - first;
}

/* ---- the program -------------------------------------------------------- */

struct sockaddr_in world_address(const char *text, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    inet_pton(AF_INET, text, &a.sin_addr);
    return a;
}

int world_socket(struct world *w)
{
    int fd = lastack_socket(w->process, AF_INET, SOCK_STREAM, 0);

    REQUIRE(fd >= 0);
    return fd;
}

int world_bind(struct world *w, int fd, uint16_t port)
{
    struct sockaddr_in a = world_address(WORLD_LOCAL, port);

    return lastack_bind(w->process, fd, (struct sockaddr *)&a, sizeof(a));
}

int world_connect(struct world *w, int fd)
{
    struct sockaddr_in a = world_address(WORLD_PEER, w->peer_port);

    return lastack_connect(w->process, fd, (struct sockaddr *)&a, sizeof(a));
}

int world_listen(struct world *w, int backlog)
{
    w->listener = world_socket(w);
    REQUIRE_EQ(world_bind(w, w->listener, w->local_port), 0);
    REQUIRE_EQ(lastack_listen(w->process, w->listener, backlog), 0);
    return w->listener;
}

ssize_t world_send(struct world *w, uint32_t len)
{
    uint8_t data[65536];
    ssize_t sent;

    REQUIRE(len <= sizeof(data));
    memset(data, 'd', len);
    sent = lastack_send(w->process, w->fd, data, len, MSG_NOSIGNAL);
    world_collect(w);
    return sent;
}

ssize_t world_recv_at(struct world *w, uint32_t seq, uint32_t len)
{
    uint8_t data[65536];
    ssize_t got;

    REQUIRE(len <= sizeof(data));
    got = lastack_recv(w->process, w->fd, data, len, MSG_DONTWAIT);
    for (ssize_t i = 0; i < got; i++)
        if (data[i] != peer_byte(seq + (uint32_t)i)) {
            FAIL("byte %zd of the stream is not what the peer sent", i);
            break;
        }
    world_collect(w);
    return got;
}

int world_set(struct world *w, int fd, int level, int name, int value)
{
    return lastack_setsockopt(w->process, fd, level, name, &value, sizeof(value));
}

int world_get(struct world *w, int fd, int level, int name)
{
    int value = 0, result;
    socklen_t len = sizeof(value);

    result = lastack_getsockopt(w->process, fd, level, name, &value, &len);
    return result < 0 ? result : value;
}

int world_linger(struct world *w, int fd, int on, int seconds)
{
    struct linger linger = {.l_onoff = on, .l_linger = seconds};

    return lastack_setsockopt(w->process, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

short world_poll(struct world *w, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

    lastack_poll(w->process, &p, 1);
    return p.revents;
}

void world_shutdown(struct world *w, int how)
{
    REQUIRE_EQ(lastack_shutdown(w->process, w->fd, how), 0);
    world_collect(w);
}

void world_close_fd(struct world *w)
{
    REQUIRE_EQ(lastack_close(w->process, w->fd), 0);
    w->fd = -1;
    world_collect(w);
}

/* ---- ways into the states ----------------------------------------------- */

void world_syn_sent(struct world *w)
{
    if (w->fd < 0) {
        w->fd = world_socket(w);
        REQUIRE_EQ(world_bind(w, w->fd, w->local_port), 0);
    }
    world_forget(w);
    REQUIRE_EQ(world_connect(w, w->fd), -EINPROGRESS);
    world_collect(w);
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_SYN);
    CHECK_EQ(world_last(w)->ack, 0);
    CHECK_EQ(world_last(w)->mss, 1460);
    w->now_ns += WORLD_RTT;
}

static void syn_in(struct world *w)
{
    world_forget(w);
    peer_send(w, TCP_SYN, w->irs, 0, 0);
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_SYN | TCP_ACK);
    REQUIRE_EQ(world_last(w)->ack, w->irs + 1);
    CHECK_EQ(world_last(w)->mss, 1460);
    /* No window scale in the peer's SYN: none in the answer (RFC 7323 2.2). */
    CHECK_EQ(world_last(w)->wscale, TCP_WSCALE_NONE);
    w->now_ns += WORLD_RTT;
}

void world_syn_rcvd(struct world *w)
{
    if (w->listener < 0)
        world_listen(w, 8);
    syn_in(w);
}

void world_syn_rcvd_active(struct world *w)
{
    world_syn_sent(w);
    syn_in(w);
}

void world_handshake(struct world *w)
{
    world_syn_rcvd(w);
    world_forget(w);
    peer_ack(w);
    REQUIRE_EQ(w->sent_cnt, 0);
}

void world_accept(struct world *w)
{
    struct sockaddr_in from = {0};
    socklen_t len = sizeof(from);

    w->fd = lastack_accept(w->process, w->listener, (struct sockaddr *)&from, &len, 0);
    REQUIRE(w->fd >= 0);
    CHECK_EQ(ntohs(from.sin_port), w->peer_port);
}

static void established_active(struct world *w)
{
    int result;

    world_syn_sent(w);
    world_forget(w);
    peer_send(w, TCP_SYN | TCP_ACK, w->irs, w->snd_nxt, 0);
    REQUIRE_EQ(w->sent_cnt, 1);
    REQUIRE_EQ(world_last(w)->flags, TCP_ACK);
    REQUIRE_EQ(world_last(w)->ack, w->irs + 1);
    result = world_connect(w, w->fd); /* takes the good news */
    REQUIRE(result == 0 || result == -EISCONN);
}

void world_established(struct world *w, bool passive)
{
    if (passive) {
        world_handshake(w);
        world_accept(w);
        REQUIRE_EQ(lastack_close(w->process, w->listener), 0);
        w->listener = -1;
    } else {
        established_active(w);
    }
    world_forget(w);
}

/* ---- accounting --------------------------------------------------------- */

static unsigned info_rank(const struct world *w, const struct lastack_info *info)
{
    if (info->tuple.local_port != w->local_port)
        return 0;
    if (info->tuple.remote_port == w->peer_port)
        return info->state == LASTACK_CLOSED ? 2 : 4;
    if (info->tuple.remote_port == 0)
        return info->state == LASTACK_LISTEN ? 3 : 1;
    return 0;
}

bool world_info(const struct world *w, struct lastack_info *info)
{
    struct lastack_info next;
    uint64_t cursor = 0;
    unsigned best = 0;

    while (lastack_info_next(w->stack, &cursor, &next)) {
        unsigned rank = info_rank(w, &next);

        if (rank > best) {
            best = rank;
            *info = next;
        }
    }
    return best > 0;
}

enum lastack_state world_state(const struct world *w)
{
    struct lastack_info info;

    return world_info(w, &info) ? info.state : LASTACK_CLOSED;
}

uint64_t world_id(const struct world *w)
{
    struct lastack_info info;

    return world_info(w, &info) ? info.id : 0;
}

uint64_t world_dropped(const struct world *w, enum drop reason)
{
    return lastack_drop_count(w->stack, reason) - w->drops[reason];
}

void world_drops_mark(struct world *w)
{
    for (unsigned i = 0; i < DROP_CNT; i++)
        w->drops[i] = lastack_drop_count(w->stack, i);
}

bool world_edge(struct world *w, struct lastack_record *record)
{
    while (lastack_record_next(w->stack, &w->record_cursor, record))
        if (record->kind == LASTACK_RECORD_EDGE && record->tuple.local_port == w->local_port &&
            (record->tuple.remote_port == w->peer_port || record->tuple.remote_port == 0))
            return true;
    return false;
}

bool world_record(const struct world *w, enum lastack_record_kind kind, enum lastack_cause cause,
                  struct lastack_record *record)
{
    struct lastack_record next;
    uint64_t cursor = 0;
    bool found = false;

    while (lastack_record_next(w->stack, &cursor, &next))
        if (next.kind == kind && next.cause == cause) {
            *record = next;
            found = true;
        }
    return found;
}

unsigned world_holder_cnt(const struct world *w, uint64_t socket_id)
{
    struct lastack_holder holder;
    uint64_t cursor = 0;
    unsigned cnt = 0;

    while (lastack_holder_next(w->stack, socket_id, &cursor, &holder))
        cnt++;
    return cnt;
}

const char *errno_name(int error)
{
    const char *name = strerrorname_np(error < 0 ? -error : error);

    return name ? name : "?";
}
