/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/icmp.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"
#include "base/checksum.h"
#include "stack/stack.h"
#include "wire/icmp4.h"

#define ICMP_PER_SECOND 100u
#define QUOTE_MAX       548u /* so that the whole error is at most 576 bytes (RFC 1812 4.3.2.3) */

/* Token bucket: what we send because others sent something is bounded. */
static bool icmp_allowed(struct stack *stack)
{
    uint32_t passed = stack->tcp.now - stack->icmp_tick;
    if (passed >= 1000 / ICMP_PER_SECOND) {
        uint32_t more = passed >= 1000 ? ICMP_PER_SECOND : passed * ICMP_PER_SECOND / 1000;
        stack->icmp_tokens = MIN(stack->icmp_tokens + more, ICMP_PER_SECOND);
        stack->icmp_tick = stack->tcp.now;
    }
    if (stack->icmp_tokens == 0) {
        tcp_drop(&stack->tcp, DROP_ICMP_LIMIT, NULL, 0);
        return false;
    }
    stack->icmp_tokens--;
    return true;
}

/* Back to where `to` came from: type, code, rest, then `payload`. */
static void icmp_send(struct stack *stack, const struct ip4 *to, struct icmp4 icmp,
                      const uint8_t *payload, size_t len)
{
    uint8_t header[ICMP4_HEADER_LEN] = {icmp.type, icmp.code};
    store_be32(header + 4, icmp.rest);
    uint16_t sum = checksum_finish(checksum_join(checksum_sum(header, sizeof header), sizeof header,
                                                 checksum_sum(payload, len)));
    memcpy(header + 2, &sum, sizeof sum);
    struct iovec iov[2] = {{header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    struct ip4 ip = {
        .source = to->destination,
        .destination = to->source,
        .ttl = 64,
        .protocol = IP_PROTOCOL_ICMP,
        .total_len = (uint16_t)(IP4_HEADER_LEN + sizeof header + len),
    };
    if (!packet_push(&stack->packets, &stack->tcp.pages, &ip, &(struct source){iov, 2, 0},
                     sizeof header + len))
        tcp_drop(&stack->tcp, DROP_ICMP_LIMIT, NULL, 0);
}

static int unreachable_error(uint8_t code, bool *hard)
{
    *hard = code == ICMP4_PROTOCOL_UNREACHABLE || code == ICMP4_PORT_UNREACHABLE;
    switch (code) {
    case ICMP4_PROTOCOL_UNREACHABLE:
        return ENOPROTOOPT;
    case ICMP4_PORT_UNREACHABLE:
        return ECONNREFUSED;
    case ICMP4_NET_UNREACHABLE:
        return ENETUNREACH;
    default:
        return EHOSTUNREACH;
    }
}

/* An error about something that we sent (RFC 1122 4.2.3.9). */
static void icmp_error(struct stack *stack, const struct icmp4 *icmp)
{
    struct tcp *tcp = &stack->tcp;
    struct icmp4_quote quote;
    enum drop reason = icmp4_parse_quote(&quote, icmp);
    if (reason == DROP_NONE && quote.ip.protocol != IP_PROTOCOL_TCP)
        reason = DROP_ICMP_NO_FLOW;
    if (reason != DROP_NONE) {
        tcp_drop(tcp, reason, NULL, 0);
        return;
    }
    struct lastack_tuple key = {
        .local = quote.ip.source,
        .remote = quote.ip.destination,
        .local_port = quote.source_port,
        .remote_port = quote.destination_port,
    };
    bool hard = false;
    int error = EHOSTUNREACH;
    uint32_t mtu = 0;
    if (icmp->type == ICMP4_UNREACHABLE && icmp->code == ICMP4_FRAGMENTATION_NEEDED)
        mtu = MAX(icmp->rest & 0xffff, 576u);
    else if (icmp->type == ICMP4_UNREACHABLE)
        error = unreachable_error(icmp->code, &hard);
    tcp_icmp(tcp, &key, quote.sequence, error, hard, mtu);
}

void icmp_rx(struct stack *stack, const struct ip4 *ip, const uint8_t *data, size_t len)
{
    struct icmp4 icmp;
    enum drop reason = icmp4_parse(&icmp, data, len);
    if (reason != DROP_NONE) {
        tcp_drop(&stack->tcp, reason, NULL, 0);
        return;
    }
    switch (icmp.type) {
    case ICMP4_ECHO:
        icmp_send(stack, ip, (struct icmp4){.type = ICMP4_ECHO_REPLY, .rest = icmp.rest},
                  icmp.payload, icmp.payload_len);
        break;
    case ICMP4_UNREACHABLE:
    case ICMP4_TIME_EXCEEDED:
    case ICMP4_PARAMETER:
        icmp_error(stack, &icmp);
        break;
    default: /* source quench too: discarded (RFC 6633) [MUST-55] */
        tcp_drop(&stack->tcp, DROP_ICMP_UNKNOWN, NULL, 0);
    }
}

void icmp_unreachable(struct stack *stack, const struct ip4 *ip, uint8_t code,
                      const uint8_t *packet, size_t len)
{
    if (!icmp_allowed(stack))
        return;
    icmp_send(stack, ip, (struct icmp4){.type = ICMP4_UNREACHABLE, .code = code}, packet,
              MIN(len, QUOTE_MAX));
}
