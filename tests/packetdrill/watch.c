/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold of every packet that leaves the stack, whatever the script says. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "packet.h"
#include "watch.h"

#define OPTION_MSS 2
#define OPTION_WSCALE 3
#define OPTION_SACK_OK 4

/* Is sequence number a after b? */
static bool seq_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

__attribute__((format(printf, 3, 4))) static bool
fault(struct watch *watch, const struct packet_view *view, const char *format, ...)
{
    va_list args;
    size_t at = 0;

    if (watch->fault[0])
        return false;
    if (view && view->tcp)
        at = (size_t)snprintf(watch->fault, sizeof(watch->fault),
                              "segment flags 0x%02x seq %u len %zu ack %u win %u: ", view->flags,
                              view->seq, view->payload_len, view->ack, view->win);
    va_start(args, format);
    vsnprintf(watch->fault + at, sizeof(watch->fault) - at, format, args);
    va_end(args);
    return false;
}

void watch_init(struct watch *watch, uint32_t mtu)
{
    memset(watch, 0, sizeof(*watch));
    watch->mtu = mtu;
}

static struct watch_flow *flow_get(struct watch *watch, uint32_t remote, uint16_t local_port,
                                   uint16_t remote_port)
{
    struct watch_flow *flow;

    for (unsigned i = 0; i < WATCH_FLOWS; i++) {
        flow = &watch->flows[i];
        if (flow->used && flow->remote == remote && flow->local_port == local_port &&
            flow->remote_port == remote_port)
            return flow;
    }
    flow = &watch->flows[watch->next++ % WATCH_FLOWS];
    *flow = (struct watch_flow){.used = true,
                                .remote = remote,
                                .local_port = local_port,
                                .remote_port = remote_port,
                                .in_mss = 536};
    return flow;
}

/* Options of the peer's SYN. */
static void in_syn(struct watch_flow *flow, const struct packet_view *view)
{
    struct packet_option option;
    size_t at = 0;
    bool bad = false;

    flow->in_syn = true;
    flow->in_fin = false;
    flow->in_edge_valid = false;
    flow->in_mss = 536;
    flow->in_shift = 0;
    flow->in_shift_offered = false;
    while (packet_option_next(view->options, view->options_len, &at, &option, &bad)) {
        if (option.kind == OPTION_MSS && option.len == 4 && get16(option.data))
            flow->in_mss = get16(option.data);
        if (option.kind == OPTION_WSCALE && option.len == 3) {
            flow->in_shift_offered = true;
            flow->in_shift = option.data[0] > 14 ? 14 : option.data[0];
        }
        if (!option.kind)
            break;
    }
}

void watch_in(struct watch *watch, const uint8_t *packet, size_t len)
{
    struct packet_view view;
    struct watch_flow *flow;
    uint8_t shift;
    uint32_t edge;

    if (packet_view(&view, packet, len) || !view.tcp)
        return;
    flow = flow_get(watch, view.source, view.destination_port, view.source_port);
    if (view.flags & FLAG_SYN && (!flow->out_acked || view.seq + 1 != flow->out_ack))
        in_syn(flow, &view);
    if (view.flags & FLAG_FIN)
        flow->in_fin = true;
    if (!(view.flags & FLAG_ACK) || !flow->out_syn || seq_after(view.ack, flow->out_max))
        return;
    if (seq_after(view.ack, flow->out_una))
        flow->out_una = view.ack;
    shift = view.flags & FLAG_SYN || !flow->out_shift_offered ? 0 : flow->in_shift;
    edge = view.ack + ((uint32_t)view.win << shift);
    if (!flow->in_edge_valid || seq_after(edge, flow->in_edge))
        flow->in_edge = edge;
    flow->in_edge_valid = true;
}

/* Every option legal, at its place and known to be allowed there. */
static bool out_options(struct watch *watch, struct watch_flow *flow,
                        const struct packet_view *view, bool new_syn)
{
    struct packet_option option;
    size_t at = 0;
    bool bad = false, syn = view->flags & FLAG_SYN;
    unsigned mss_cnt = 0, wscale_cnt = 0;
    uint8_t shift = 0;

    while (packet_option_next(view->options, view->options_len, &at, &option, &bad)) {
        if ((option.kind == OPTION_MSS || option.kind == OPTION_WSCALE ||
             option.kind == OPTION_SACK_OK) &&
            !syn)
            return fault(watch, view, "option %u only belongs on a SYN", option.kind);
        if (option.kind == OPTION_MSS) {
            mss_cnt++;
            if (option.len != 4 || get16(option.data) > watch->mtu - 40)
                return fault(watch, view, "MSS option larger than the MTU allows");
        } else if (option.kind == OPTION_WSCALE) {
            wscale_cnt++;
            shift = option.data[0];
            if (option.len != 3 || shift > 14)
                return fault(watch, view, "window scale option above 14");
            if (view->flags & FLAG_ACK && !flow->in_shift_offered)
                return fault(watch, view, "window scale on a SYN-ACK though the SYN had none");
        }
        if (!option.kind)
            break;
    }
    if (bad || mss_cnt > 1 || wscale_cnt > 1)
        return fault(watch, view, "malformed or repeated options");
    if (syn && mss_cnt != 1)
        return fault(watch, view, "a SYN without MSS option (RFC 9293 SHLD-5)");
    if (new_syn) {
        flow->out_shift = shift;
        flow->out_shift_offered = wscale_cnt;
    }
    return true;
}

/* Flags and fields that never go together. */
static bool out_flags(struct watch *watch, const struct packet_view *view)
{
    uint8_t flags = view->flags;

    if (flags & FLAG_SYN && flags & (FLAG_FIN | FLAG_RST))
        return fault(watch, view, "SYN with FIN or RST");
    if (flags & FLAG_RST && flags & FLAG_FIN)
        return fault(watch, view, "RST with FIN");
    if (!(flags & (FLAG_SYN | FLAG_RST | FLAG_ACK)))
        return fault(watch, view, "neither SYN, RST nor ACK");
    if (!(flags & FLAG_ACK) && view->ack)
        return fault(watch, view, "acknowledgment number without ACK");
    if (!(flags & FLAG_URG) && view->urg)
        return fault(watch, view, "urgent pointer without URG");
    if (flags & FLAG_RST && view->payload_len)
        return fault(watch, view, "RST with data");
    if (!view->source_port || !view->destination_port)
        return fault(watch, view, "port 0");
    return true;
}

/* Sequence space we use: no holes, nothing beyond what the peer offered, nothing after FIN. */
static bool out_sequence(struct watch *watch, struct watch_flow *flow,
                         const struct packet_view *view)
{
    uint32_t end = view->seq + (uint32_t)view->payload_len;
    uint32_t next = end + !!(view->flags & (FLAG_SYN | FLAG_FIN));

    if (seq_after(view->seq, flow->out_max))
        return fault(watch, view, "sequence number jumps ahead of %u", flow->out_max);
    if (seq_after(flow->out_una - 1, view->seq))
        return fault(watch, view, "sequence number before %u, which is acknowledged",
                     flow->out_una);
    if (view->payload_len && flow->in_syn && view->payload_len + view->options_len > flow->in_mss &&
        !(view->flags & FLAG_SYN))
        return fault(watch, view, "more than the peer's MSS %u", flow->in_mss);
    if (view->payload_len && flow->in_edge_valid && seq_after(end, flow->in_edge + 1))
        return fault(watch, view, "data beyond the peer's window, which ends at %u",
                     flow->in_edge);
    if (flow->out_fin && seq_after(next, flow->out_fin_seq + 1))
        return fault(watch, view, "data or FIN after our FIN at %u", flow->out_fin_seq);
    if (view->flags & FLAG_FIN) {
        if (flow->out_fin && flow->out_fin_seq != end)
            return fault(watch, view, "a second FIN, the first was at %u", flow->out_fin_seq);
        flow->out_fin = true;
        flow->out_fin_seq = end;
    }
    if (seq_after(next, flow->out_max))
        flow->out_max = next;
    return true;
}

/* What we acknowledge and offer only grows. */
static bool out_acknowledgment(struct watch *watch, struct watch_flow *flow,
                               const struct packet_view *view)
{
    uint8_t shift = view->flags & FLAG_SYN || !flow->in_shift_offered ? 0 : flow->out_shift;
    uint32_t edge = view->ack + ((uint32_t)view->win << shift);

    if (!(view->flags & FLAG_ACK))
        return true;
    if (flow->out_acked && seq_after(flow->out_ack, view->ack))
        return fault(watch, view, "acknowledges less than before (%u)", flow->out_ack);
    if (flow->out_acked && !flow->in_fin && seq_after(flow->out_edge, edge + (1u << shift) - 1))
        return fault(watch, view, "window shrinks: its right edge was %u (RFC 9293 SHLD-14)",
                     flow->out_edge);
    if (!flow->out_acked || seq_after(edge, flow->out_edge))
        flow->out_edge = edge;
    flow->out_ack = view->ack;
    flow->out_acked = true;
    return true;
}

bool watch_out(struct watch *watch, const uint8_t *packet, size_t len)
{
    struct packet_view view;
    struct watch_flow *flow;
    const char *wrong = packet_view(&view, packet, len);
    bool new_syn;

    if (wrong)
        return fault(watch, NULL, "packet sent: %s", wrong);
    if (len > watch->mtu || !view.ttl)
        return fault(watch, &view, "packet larger than the MTU, or TTL 0");
    if (!view.tcp)
        return true;
    if (!out_flags(watch, &view))
        return false;
    flow = flow_get(watch, view.destination, view.source_port, view.destination_port);
    if (view.flags & FLAG_RST)
        return out_options(watch, flow, &view, false); /* answers to strangers have any numbers */
    new_syn = view.flags & FLAG_SYN && (!flow->out_syn || view.seq + 1 != flow->out_una) &&
              (!flow->out_syn || flow->out_max != view.seq + 1);
    if (new_syn) {
        flow->out_syn = true;
        flow->out_max = flow->out_una = view.seq;
        flow->out_fin = flow->out_acked = false;
        if (!(view.flags & FLAG_ACK))
            flow->in_syn = flow->in_shift_offered = false;
    }
    if (!flow->out_syn) /* a cookie's or a forgotten connection's answer */
        return out_options(watch, flow, &view, false);
    return out_options(watch, flow, &view, new_syn) && out_sequence(watch, flow, &view) &&
           out_acknowledgment(watch, flow, &view);
}
