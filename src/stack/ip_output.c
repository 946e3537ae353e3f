/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/ip_output.h"

#include <string.h>

#include "base/checksum.h"
#include "stack/stack.h"

#define TTL_DEFAULT 64

static const struct interface *leave_by(struct stack *stack,
                                        const struct lastack_address *destination,
                                        struct lastack_frame *frame)
{
    int number = route_find(&stack->interfaces, destination);
    if (number < 0)
        return NULL;
    frame->interface = (uint32_t)number;
    return &stack->interfaces.interface[number];
}

static void tcp_checksum(uint8_t *tcp_header, size_t header_len, const struct outgoing *out,
                         const struct ip4 *ip)
{
    uint16_t sum = ip_pseudo_sum(&ip->source, &ip->destination, IP_PROTOCOL_TCP,
                                 (uint32_t)header_len + out->len);
    sum = checksum_join(sum, 12, checksum_sum(tcp_header, header_len));
    if (out->len > 0)
        sum = checksum_join(sum, 12 + header_len, checksum_sum_iov(out->spans, out->span_cnt));
    sum = checksum_finish(sum);
    memcpy(tcp_header + 16, &sum, sizeof sum);
}

bool ip_output_segment(struct stack *stack, struct outgoing *out, uint8_t *header,
                       struct lastack_frame *frame)
{
    const struct interface *interface = leave_by(stack, &out->key.remote, frame);
    if (interface == NULL) {
        tcp_drop(&stack->tcp, DROP_IP_NO_ROUTE, &out->key, out->connection_id);
        return false;
    }
    uint8_t *tcp_header = header + IP4_HEADER_LEN;
    size_t header_len = tcp_header_emit(tcp_header, &out->h, stack->tcp.config.option_order_linux);
    struct ip4 ip = {
        .source = out->key.local,
        .destination = out->key.remote,
        .total_len = (uint16_t)(IP4_HEADER_LEN + header_len + out->len),
        .id = stack->ip_id++,
        .dont_fragment = true,
        .tos = out->tos,
        .ttl = out->ttl ? out->ttl : TTL_DEFAULT,
        .protocol = IP_PROTOCOL_TCP,
    };
    ip4_emit(header, &ip);
    if (!interface->tx_checksum_none)
        tcp_checksum(tcp_header, header_len, out, &ip);
    frame->len = ip.total_len;
    frame->connection_id = out->connection_id;
    frame->iov[0] = (struct iovec){header, IP4_HEADER_LEN + header_len};
    frame->iov_cnt = 1 + out->span_cnt;
    for (uint32_t i = 0; i < out->span_cnt; i++)
        frame->iov[1 + i] = out->spans[i];
    return true;
}

bool ip_output_packet(struct stack *stack, struct packet *packet, uint8_t *header,
                      struct lastack_frame *frame, bool *last)
{
    struct ip4 ip = packet->ip;
    *last = true;
    const struct interface *interface = leave_by(stack, &ip.destination, frame);
    if (interface == NULL) {
        tcp_drop(&stack->tcp, DROP_IP_NO_ROUTE, NULL, 0);
        return false;
    }
    if (packet->sent == 0)
        packet->ip.id = ip.id = stack->ip_id++;
    uint32_t most = interface->mtu - IP4_HEADER_LEN;
    uint32_t left = packet->data.len - packet->sent;
    uint32_t len = left <= most ? left : most & ~7u;
    size_t covered;
    frame->iov_cnt = 1 + (uint32_t)stream_spans(&packet->data, packet->sent, len, frame->iov + 1,
                                                LASTACK_FRAME_IOV - 1, &covered);
    ip.fragment_offset = (uint16_t)packet->sent;
    ip.more_fragments = len < left;
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + len);
    ip4_emit(header, &ip);
    frame->iov[0] = (struct iovec){header, IP4_HEADER_LEN};
    frame->len = ip.total_len;
    frame->connection_id = 0;
    packet->sent += len;
    *last = len == left;
    return true;
}
