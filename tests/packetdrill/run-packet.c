/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet events: build what goes in, compare what comes out. */
#include <stdio.h>
#include <string.h>

#include "run.h"

#define OPTION_TIMESTAMP 8
#define OPTION_SACK 5

/* ---- text for people ------------------------------------------------------ */

static size_t options_text(char *out, size_t size, const uint8_t *options, size_t len)
{
    struct packet_option option;
    size_t at = 0, used = 0;
    bool bad = false;

    *out = 0;
    while (used < size && packet_option_next(options, len, &at, &option, &bad)) {
        const char *comma = used ? "," : "";
        int n;

        if (option.kind == 0)
            n = snprintf(out + used, size - used, "%seol", comma);
        else if (option.kind == 1)
            n = snprintf(out + used, size - used, "%snop", comma);
        else if (option.kind == 2 && option.len == 4)
            n = snprintf(out + used, size - used, "%smss %u", comma, get16(option.data));
        else if (option.kind == 3 && option.len == 3)
            n = snprintf(out + used, size - used, "%swscale %u", comma, option.data[0]);
        else if (option.kind == 4)
            n = snprintf(out + used, size - used, "%ssackOK", comma);
        else if (option.kind == OPTION_TIMESTAMP && option.len == 10)
            n = snprintf(out + used, size - used, "%sTS val %u ecr %u", comma, get32(option.data),
                         get32(option.data + 4));
        else
            n = snprintf(out + used, size - used, "%skind %u", comma, option.kind);
        used += (size_t)n;
    }
    return used;
}

static const char *flags_text(uint8_t flags)
{
    static char text[10];
    char *out = text;

    for (int i = 0; i < 8; i++)
        if (flags & "\x01\x02\x04\x08\x20\x40\x80\x10"[i])
            *out++ = "FSRPUEW."[i];
    if (out == text)
        *out++ = '-';
    *out = 0;
    return text;
}

static void expected_text(char *out, size_t size, const struct packet_spec *packet)
{
    char options[200] = "";
    size_t used;

    if (packet->icmp) {
        snprintf(out, size, "> icmp type %u code %u", packet->icmp_type, packet->icmp_code);
        return;
    }
    options_text(options, sizeof(options), packet->options, packet->options_len);
    used = (size_t)snprintf(out, size, "> %s %u:%u(%u)", flags_text(packet->flags), packet->seq,
                            packet->seq + packet->payload_len, packet->payload_len);
    if (packet->flags & FLAG_ACK)
        used += (size_t)snprintf(out + used, size - used, " ack %u", packet->ack);
    if (packet->win >= 0)
        used += (size_t)snprintf(out + used, size - used, " win %d", packet->win);
    if (packet->urg)
        used += (size_t)snprintf(out + used, size - used, " urg %u", packet->urg);
    if (packet->options_any)
        snprintf(out + used, size - used, " <...>");
    else if (*options)
        snprintf(out + used, size - used, " <%s>", options);
}

/* Our numbers: live = script + this. In a SYN the script calls the first number what it likes. */
static uint32_t local_shift(const struct run *run, uint8_t flags)
{
    const struct subject *subject = &run->subject;

    return flags & FLAG_SYN ? subject->live_isn - subject->script_isn : subject->live_isn;
}

/* The peer's numbers: a SYN has the real one, all others count from it. */
static uint32_t remote_shift(const struct run *run, uint8_t flags)
{
    return flags & FLAG_SYN ? 0 : run->subject.remote_isn;
}

static void actual_text(const struct run *run, char *out, size_t size,
                        const struct packet_view *view)
{
    uint32_t seq = view->seq - local_shift(run, view->flags);
    char options[200];
    size_t used;

    if (view->icmp) {
        snprintf(out, size, "> icmp type %u code %u", view->icmp_type, view->icmp_code);
        return;
    }
    options_text(options, sizeof(options), view->options, view->options_len);
    used = (size_t)snprintf(out, size, "> %s %u:%u(%zu)", flags_text(view->flags), seq,
                            seq + (uint32_t)view->payload_len, view->payload_len);
    if (view->flags & FLAG_ACK)
        used += (size_t)snprintf(out + used, size - used, " ack %u",
                                 view->ack - remote_shift(run, view->flags));
    used += (size_t)snprintf(out + used, size - used, " win %u", view->win);
    if (view->urg)
        used += (size_t)snprintf(out + used, size - used, " urg %u", view->urg);
    if (*options)
        snprintf(out + used, size - used, " <%s>", options);
}

/* ---- in ------------------------------------------------------------------- */

/* A packet before any connection, or a SYN to the listener, makes a new socket under test. */
static void subject_accept(struct run *run, const struct packet_spec *packet)
{
    struct subject *subject = &run->subject;

    if (!subject->exists || subject->role == ROLE_LISTENING) {
        *subject = (struct subject){.exists = true,
                                    .role = ROLE_PASSIVE,
                                    .local_port = BIND_PORT,
                                    .remote_port = run->next_port++,
                                    .remote_isn = packet->seq};
    } else if (subject->role == ROLE_CONNECTED && subject->active && !packet->icmp &&
               (packet->flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK)) {
        subject->remote_isn = packet->seq;
        subject->active = false;
    }
}

/* Numbers of ours in the peer's options: SACK blocks, echoed timestamps. */
static bool options_translate(struct run *run, uint8_t *options, size_t len, bool ack)
{
    const struct subject *subject = &run->subject;
    struct packet_option option;
    size_t at = 0;
    bool bad = false;

    while (packet_option_next(options, len, &at, &option, &bad)) {
        uint8_t *data = option.data ? options + (option.data - options) : NULL;

        if (option.kind == OPTION_SACK)
            for (int i = 0; i + 4 <= option.len - 2; i += 4)
                put32(data + i, get32(data + i) + subject->live_isn);
        if (option.kind == OPTION_TIMESTAMP && ack) {
            unsigned i = 0;

            while (i < subject->timestamp_cnt && subject->timestamps[i].script != get32(data + 4))
                i++;
            if (i < subject->timestamp_cnt)
                put32(data + 4, subject->timestamps[i].live);
            else if (subject->timestamp_cnt)
                return run_fail(run, "TS ecr %u echoes no TS val seen so far", get32(data + 4));
        }
    }
    return true;
}

static bool packet_inject(struct run *run, const struct packet_spec *packet)
{
    const struct subject *subject = &run->subject;
    uint32_t shift = local_shift(run, packet->flags);
    uint8_t options[OPTIONS_MAX];
    size_t len;

    if (packet->icmp) {
        struct packet_fields echoed = {.source = LOCAL_IP,
                                       .destination = REMOTE_IP,
                                       .source_port = subject->local_port,
                                       .destination_port = subject->remote_port,
                                       .seq = packet->seq + subject->live_isn,
                                       .payload_len = packet->payload_len};

        len = packet_icmp(run->scratch, REMOTE_IP, LOCAL_IP, packet->icmp_type, packet->icmp_code,
                          packet->icmp_error ? packet->icmp_mtu : (uint32_t)packet->icmp_id << 16,
                          packet->icmp_error ? &echoed : NULL);
    } else {
        struct packet_fields fields = {
            .source = REMOTE_IP,
            .destination = LOCAL_IP,
            .tos = packet->tos < 0 ? 0 : (uint8_t)packet->tos,
            .ttl = packet->ttl < 0 ? 0 : (uint8_t)packet->ttl,
            .source_port = packet->source_port ? packet->source_port : subject->remote_port,
            .destination_port =
                packet->destination_port ? packet->destination_port : subject->local_port,
            .seq = packet->seq + remote_shift(run, packet->flags),
            .ack = packet->flags & FLAG_ACK ? packet->ack + shift : packet->ack,
            .flags = packet->flags,
            .win = (uint16_t)packet->win,
            .urg = packet->urg,
            .options = options,
            .options_len = packet->options_len,
            .payload_len = packet->payload_len};

        memcpy(options, packet->options, packet->options_len);
        if (!options_translate(run, options, packet->options_len, packet->flags & FLAG_ACK))
            return false;
        len = packet_tcp(run->scratch, &fields);
    }
    if (run->stack.netdev_send(run->stack.userdata, run->scratch, len))
        return run_fail(run, "the stack refuses the packet");
    return true;
}

/* ---- out ------------------------------------------------------------------ */

/* Is it of the socket under test? Learns the 4-tuple from a connecting socket's SYN. */
static bool subject_owns(struct run *run, const struct packet_view *view)
{
    struct subject *subject = &run->subject;

    if (!subject->exists || view->destination != REMOTE_IP)
        return false;
    if (view->icmp)
        return true;
    if (subject->role == ROLE_CONNECTING && view->flags == FLAG_SYN &&
        view->destination_port == CONNECT_PORT) {
        subject->role = ROLE_CONNECTED;
        subject->active = true;
        subject->local_port = view->source_port;
        subject->remote_port = view->destination_port;
        subject->live_isn = view->seq;
    }
    return (subject->role == ROLE_CONNECTED || subject->role == ROLE_PASSIVE) &&
           view->source_port == subject->local_port &&
           view->destination_port == subject->remote_port;
}

void run_past_add(struct run *run, uint16_t local_port, uint16_t remote_port)
{
    if (run->past_cnt == RUN_FDS)
        return;
    run->past[run->past_cnt].local_port = local_port;
    run->past[run->past_cnt++].remote_port = remote_port;
}

static bool past_owns(const struct run *run, const struct packet_view *view)
{
    for (unsigned i = 0; i < run->past_cnt; i++)
        if (view->tcp && view->source_port == run->past[i].local_port &&
            view->destination_port == run->past[i].remote_port)
            return true;
    return false;
}

enum received { RECEIVED, RECEIVED_FOREIGN, RECEIVED_NOTHING, RECEIVED_BAD };

/* The next packet into scratch; time passes until there is one. */
static enum received packet_take(struct run *run, struct packet_view *view, int64_t *us)
{
    size_t len = PACKET_MAX;
    long long live_us = 0;
    const char *wrong;
    char text[300];

    if (run->stack.netdev_receive(run->stack.userdata, run->scratch, &len, &live_us)) {
        run_fail(run, "the stack cannot be asked for a packet");
        return RECEIVED_BAD;
    }
    if (!len)
        return RECEIVED_NOTHING;
    wrong = packet_view(view, run->scratch, len);
    if (wrong) {
        run_fail(run, "bad outbound packet: %s", wrong);
        return RECEIVED_BAD;
    }
    *us = live_us - run->start_us;
    if (subject_owns(run, view))
        return RECEIVED;
    if (past_owns(run, view))
        return RECEIVED_FOREIGN;
    actual_text(run, text, sizeof(text), view);
    run_fail(run, "a packet that belongs to no socket of the script:\n  %.6f %s (port %u)",
             (double)*us / 1e6, text, view->source_port);
    return RECEIVED_BAD;
}

/* The next packet of the socket under test. */
static enum received packet_receive(struct run *run, struct packet_view *view, int64_t *us)
{
    enum received received;

    do
        received = packet_take(run, view, us);
    while (received == RECEIVED_FOREIGN);
    return received;
}

static const char *options_differ(struct run *run, const struct packet_spec *packet,
                                  const struct packet_view *view)
{
    struct packet_option want, have;
    size_t want_at = 0, have_at = 0;
    bool bad = false;

    if (packet->options_any)
        return NULL;
    if (view->options_len != packet->options_len)
        return "options";
    while (packet_option_next(packet->options, packet->options_len, &want_at, &want, &bad)) {
        if (!packet_option_next(view->options, view->options_len, &have_at, &have, &bad) ||
            have.kind != want.kind || have.len != want.len)
            return "options";
        if (want.kind == OPTION_TIMESTAMP) {
            struct subject *subject = &run->subject;

            if (get32(have.data + 4) != get32(want.data + 4))
                return "TS ecr";
            if (subject->timestamp_cnt < RUN_TIMESTAMPS) {
                subject->timestamps[subject->timestamp_cnt].script = get32(want.data);
                subject->timestamps[subject->timestamp_cnt++].live = get32(have.data);
            }
        } else if (want.data && memcmp(want.data, have.data, want.len - 2u)) {
            return "option values";
        }
    }
    return NULL;
}

/* The name of the first field that is not as the script says, or NULL. `last`: the last segment
 * of an aggregate, on which the flags count; `done_len`: bytes of the segments before. */
static const char *packet_differs(struct run *run, const struct packet_spec *packet,
                                  const struct packet_view *view, uint32_t done_len, bool last)
{
    uint8_t mask = last ? 0xff : (uint8_t) ~(FLAG_PSH | FLAG_FIN | FLAG_CWR);

    if (packet->icmp != view->icmp)
        return "protocol";
    if (packet->icmp)
        return packet->icmp_type != view->icmp_type || packet->icmp_code != view->icmp_code
                   ? "ICMP type or code"
                   : NULL;
    if ((view->flags ^ packet->flags) & mask)
        return "flags";
    if (!last && view->flags & FLAG_FIN)
        return "flags";
    if (view->seq - local_shift(run, view->flags) != packet->seq + done_len)
        return "sequence number";
    if (view->payload_len > packet->payload_len - done_len)
        return "payload length";
    if (view->ack - (view->flags & FLAG_ACK ? remote_shift(run, view->flags) : 0) != packet->ack)
        return "acknowledgment number";
    if (packet->win >= 0 && view->win != packet->win)
        return "window";
    if (view->urg != packet->urg)
        return "urgent pointer";
    if (packet->tos >= 0 && view->tos != packet->tos)
        return "TOS";
    if (packet->ttl >= 0 && view->ttl != packet->ttl)
        return "TTL";
    for (size_t i = 0; i < view->payload_len; i++)
        if (view->payload[i])
            return "payload (not zeros)";
    return options_differ(run, packet, view);
}

static bool differs_fail(struct run *run, const struct packet_spec *packet,
                         const struct packet_view *view, int64_t us, const char *what)
{
    char want[300], have[300];

    expected_text(want, sizeof(want), packet);
    actual_text(run, have, sizeof(have), view);
    return run_fail(run, "outbound packet differs: %s\n  expected: %10s %s\n    actual: %10.6f %s",
                    what, "", want, (double)us / 1e6, have);
}

/* Our first number as the script calls it. */
static void isn_learn(struct run *run, const struct packet_spec *packet,
                      const struct packet_view *view)
{
    struct subject *subject = &run->subject;

    if (packet->icmp || !view->tcp || !(packet->flags & FLAG_SYN))
        return;
    if (subject->role == ROLE_PASSIVE && view->flags == (FLAG_SYN | FLAG_ACK)) {
        subject->role = ROLE_CONNECTED;
        subject->live_isn = view->seq;
        subject->script_isn = packet->seq;
    } else if (packet->flags == FLAG_SYN && view->flags == FLAG_SYN) {
        subject->script_isn = packet->seq;
    }
}

static bool packet_expect(struct run *run, const struct packet_spec *packet, int64_t base_us)
{
    uint32_t done_len = 0, first_len = 0;

    do {
        struct packet_view view;
        int64_t us = 0;
        enum received received = packet_receive(run, &view, &us);
        const char *what;
        char text[300];
        bool last;

        if (received == RECEIVED_BAD)
            return false;
        if (received == RECEIVED_NOTHING) {
            expected_text(text, sizeof(text), packet);
            return run_fail(run, "no outbound packet came\n  expected: %10s %s", "", text);
        }
        isn_learn(run, packet, &view);
        last = run->strict_segments || done_len + view.payload_len >= packet->payload_len;
        what = packet_differs(run, packet, &view, done_len, last);
        if (!what && last && done_len + view.payload_len != packet->payload_len)
            what = "payload length";
        if (!what && done_len && !last && view.payload_len != first_len)
            what = "segments of different sizes";
        if (!what && !last && !view.payload_len)
            what = "payload length";
        if (what)
            return differs_fail(run, packet, &view, us, what);
        if (!run_time_matches(run, run->event, us, base_us, "outbound packet"))
            return false;
        first_len = first_len ? first_len : (uint32_t)view.payload_len;
        done_len += (uint32_t)view.payload_len;
        if (last)
            return true;
    } while (true);
}

bool run_packet(struct run *run, const struct packet_spec *packet)
{
    int64_t base_us = run->now_us;

    if (packet->outbound)
        return packet_expect(run, packet, base_us);
    subject_accept(run, packet);
    if (packet->source_port) /* a stranger's: the answer is not looked at */
        run_past_add(run, packet->destination_port, packet->source_port);
    return packet_inject(run, packet);
}

bool run_quiet(struct run *run)
{
    while (adapter_pending(run->stack.userdata)) {
        struct packet_view view;
        char text[300];
        int64_t us = 0;

        switch (packet_take(run, &view, &us)) {
        case RECEIVED_FOREIGN:
            break;
        case RECEIVED:
            actual_text(run, text, sizeof(text), &view);
            return run_fail(run, "a packet came that the script does not expect:\n"
                                 "    actual: %10.6f %s",
                            (double)us / 1e6, text);
        default:
            return false;
        }
    }
    return true;
}
