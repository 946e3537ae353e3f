/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack under fuzz: birth, the promises that hold after each operation, death. */
#include <string.h>

#include "../sim/sim.h"
#include "world.h"

#define MS_NS 1000000ull

uint8_t take_u8(struct reader *r)
{
    if (!r->len)
        return 0;
    r->len--;
    return *r->data++;
}

uint16_t take_u16(struct reader *r)
{
    uint16_t high = take_u8(r);
    return (uint16_t)(high << 8 | take_u8(r));
}

uint32_t take_u32(struct reader *r)
{
    uint32_t high = take_u16(r);
    return high << 16 | take_u16(r);
}

/* Limits are low enough that an input can meet them. */
static void config_draw(struct lastack_config *c, uint8_t flags)
{
    lastack_config_init(c);
    for (uint64_t i = 0; i < 4; i++)
        c->seed[i] = 0x0123456789abcdefull * (i + 1);
    c->connection_max = flags & 1 ? 6 : 24;
    c->half_open_max = flags & 1 ? 2 : 8;
    c->time_wait_max = 4;
    c->orphan_max = 4;
    c->process_max = PROC_CNT + 1;
    c->descriptor_max = 16;
    c->buffer_max = flags & 2 ? 65536 : 1 << 20;
    c->send_buffer = c->receive_buffer = flags & 2 ? 4096 : 32768;
    c->buffer_limit = 65536;
    c->no_syn_cookies = flags & 4;
    c->no_window_scale = flags & 8;
    c->late_data_after_shut_rd = flags & 16;
    c->option_order_linux = flags & 32;
    c->record_len = 1024;
    c->fixed_iss_set = flags & 64;
    c->fixed_iss = 0xffffff00;
}

void fuzz_begin(struct fuzz *f, const uint8_t *data, size_t len)
{
    struct lastack_interface interface = {
        .name = "fuzz", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};
    *f = (struct fuzz){.in = {data, len}, .next_pid = 1, .now = 1000 * MS_NS};
    config_draw(&f->config, take_u8(&f->in));
    f->stack = lastack_create(&f->config, f->now);
    REQUIRE(f->stack);
    REQUIRE(lastack_address_parse(&interface.address, "10.0.0.1") == 0);
    REQUIRE(lastack_interface_add(f->stack, &interface) == 1);
    for (int i = 0; i < PROC_CNT; i++) {
        f->proc[i] = lastack_process_create(f->stack, f->next_pid++, "fuzz");
        REQUIRE(f->proc[i]);
    }
    int fd = lastack_socket(f->proc[0], AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT_LISTEN)};
    REQUIRE(fd == 0);
    REQUIRE(lastack_bind(f->proc[0], fd, (struct sockaddr *)&any, sizeof any) == 0);
    REQUIRE(lastack_listen(f->proc[0], fd, 4) == 0);
}

/* ---- after each operation ---------------------------------------------------------------- */

/* Learn from what came out as an attentive peer would. */
static void flow_learn(struct fuzz *f, const struct packet_view *v)
{
    struct flow *flow = &f->flows[v->destination_port % FLOW_CNT];
    for (int i = 0; i < FLOW_CNT; i++)
        if (f->flows[i].used && f->flows[i].peer_ip4 == v->destination &&
            f->flows[i].peer_port == v->destination_port &&
            f->flows[i].local_port == v->source_port)
            flow = &f->flows[i];
    *flow = (struct flow){
        .peer_ip4 = v->destination,
        .peer_port = v->destination_port,
        .local_port = v->source_port,
        .next = v->flags & F_ACK ? v->ack : flow->next,
        .unacked = view_end(v),
        .used = true,
    };
}

static void frame_check(struct fuzz *f, const struct lastack_frame *frame)
{
    static uint8_t data[65536];
    struct packet_view v;
    size_t len = 0;
    REQUIRE(frame->interface == 1 && frame->len <= 1500);
    REQUIRE(frame->iov_cnt >= 1 && frame->iov_cnt <= LASTACK_FRAME_IOV);
    for (uint32_t i = 0; i < frame->iov_cnt; i++) {
        REQUIRE(len + frame->iov[i].iov_len <= sizeof data);
        memcpy(data + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
        len += frame->iov[i].iov_len;
    }
    REQUIRE(len == frame->len);
    const char *wrong = packet_parse(&v, data, len, false);
    if (wrong)
        fprintf(stderr, "emitted packet: %s\n", wrong);
    REQUIRE(!wrong);
    REQUIRE(v.source == HERE);
    if (v.is_tcp) {
        REQUIRE(v.source_port && v.destination_port);
        REQUIRE((v.flags & (F_SYN | F_FIN)) != (F_SYN | F_FIN));
        REQUIRE((v.flags & F_ACK) || (v.flags & (F_SYN | F_RST)));
        flow_learn(f, &v);
    }
    f->last_frame_len = len < sizeof f->last_frame ? len : sizeof f->last_frame;
    memcpy(f->last_frame, data, f->last_frame_len);
}

static void records_check(struct fuzz *f)
{
    struct lastack_record r;
    while (lastack_record_next(f->stack, &f->record_cursor, &r)) {
        REQUIRE(r.time_ns <= f->now);
        REQUIRE(r.cause < LASTACK_CAUSE_CNT && lastack_cause_name((enum lastack_cause)r.cause));
        if (r.kind == LASTACK_RECORD_EDGE)
            REQUIRE(r.from < LASTACK_STATE_CNT && r.to < LASTACK_STATE_CNT &&
                    edge_legal((enum lastack_state)r.from, (enum lastack_state)r.to));
        if (r.kind == LASTACK_RECORD_DROP)
            REQUIRE(lastack_drop_name(r.arg) && lastack_drop_text(r.arg));
    }
}

static void frames_take(struct fuzz *f)
{
    struct lastack_frame frames[8];
    size_t total = 0, cnt;
    while ((cnt = lastack_tx(f->stack, frames, 8, f->now))) {
        REQUIRE(cnt <= 8);
        for (size_t i = 0; i < cnt; i++)
            frame_check(f, &frames[i]);
        REQUIRE((total += cnt) < 100000);
    }
}

void fuzz_pump(struct fuzz *f)
{
    struct lastack_event event;
    frames_take(f);
    if (lastack_deadline(f->stack) <= f->now) {
        lastack_tick(f->stack, f->now);
        frames_take(f);
    }
    REQUIRE(lastack_deadline(f->stack) > f->now);
    for (unsigned total = 0; lastack_event(f->stack, &event); total++)
        REQUIRE(total < 10000);
    records_check(f);
}

static uint32_t holders_count(struct fuzz *f, uint64_t socket_id)
{
    struct lastack_holder holder;
    uint64_t cursor = 0;
    uint32_t cnt = 0;
    while (lastack_holder_next(f->stack, socket_id, &cursor, &holder)) {
        REQUIRE(holder.fd >= -1 && holder.fd < 16 && holder.since_ns <= f->now);
        REQUIRE(++cnt <= PROC_CNT * 16 + MESSAGE_CNT);
    }
    return cnt;
}

void fuzz_audit(struct fuzz *f)
{
    struct lastack_info info;
    struct lastack_usage usage;
    uint64_t cursor = 0, waits = 0;
    uint32_t half_open = 0, orphans = 0, rounds = 0;
    while (lastack_info_next(f->stack, &cursor, &info)) {
        REQUIRE(++rounds < 1000);
        REQUIRE(info.state < LASTACK_STATE_CNT && lastack_state_name(info.state));
        REQUIRE(lastack_timer_name(info.timer));
        REQUIRE(info.born_ns <= f->now && info.state_since_ns <= f->now);
        REQUIRE(info.send_unsent <= info.send_queue || info.state == LASTACK_LISTEN);
        REQUIRE(!info.orphan || !info.references);
        waits += info.state == LASTACK_TIME_WAIT;
        half_open += info.state == LASTACK_SYN_RCVD && info.passive;
        orphans += info.orphan && info.state >= LASTACK_ESTABLISHED &&
                   info.state != LASTACK_TIME_WAIT;
        if (info.socket_id)
            REQUIRE(holders_count(f, info.socket_id) == info.references);
    }
    lastack_usage(f->stack, &usage);
    REQUIRE(usage.time_wait == waits && usage.half_open == half_open && usage.orphans == orphans);
    REQUIRE(usage.connections <= f->config.connection_max);
    REQUIRE(usage.half_open <= f->config.half_open_max);
    REQUIRE(usage.time_wait <= f->config.time_wait_max);
    REQUIRE(usage.orphans <= f->config.orphan_max);
    REQUIRE(usage.buffer_bytes <= f->config.buffer_max);
}

void fuzz_end(struct fuzz *f)
{
    struct lastack_usage u;
    fuzz_pump(f);
    fuzz_audit(f);
    for (int i = 0; i < MESSAGE_CNT; i++)
        if (f->message[i])
            lastack_message_drop(f->message[i]);
    for (int i = 0; i < PROC_CNT; i++)
        if (f->proc[i])
            lastack_exit(f->proc[i]);
    fuzz_pump(f);
    for (int round = 0; lastack_deadline(f->stack) != LASTACK_NEVER; round++) {
        REQUIRE(round < 20000);
        f->now = lastack_deadline(f->stack);
        fuzz_pump(f);
    }
    lastack_usage(f->stack, &u);
    REQUIRE(!u.connections && !u.half_open && !u.time_wait && !u.listeners && !u.orphans);
    REQUIRE(!u.sockets && !u.processes && !u.unaccepted && !u.buffer_bytes);
    lastack_destroy(f->stack);
}
