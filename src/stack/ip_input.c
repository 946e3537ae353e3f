/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/ip_input.h"

#include <string.h>

#include "base/address.h"
#include "base/checksum.h"
#include "stack/icmp.h"
#include "stack/stack.h"
#include "wire/icmp4.h"

/* A packet on its way up: where its bytes lie, and what is known of it. */
struct arrival {
    const struct iovec *iov;
    size_t iov_cnt;
    const struct interface *interface;
    struct ip4 ip;
    struct iovec single;                   /* when gathered */
    struct iovec whole[LASTACK_FRAME_IOV]; /* when reassembled */
    size_t offset;                         /* of the transport header in iov */
    size_t len;                            /* transport header and payload */
};

static void drop(struct stack *stack, enum drop reason)
{
    tcp_drop(&stack->tcp, reason, NULL, 0);
}

static size_t iov_total(const struct iovec *iov, size_t iov_cnt)
{
    size_t len = 0;
    for (size_t i = 0; i < iov_cnt; i++)
        len += iov[i].iov_len;
    return len;
}

/* Put everything into one piece, when something that must be contiguous is not. */
static void gather(struct stack *stack, struct arrival *a)
{
    size_t len = 0;
    for (size_t i = 0; i < a->iov_cnt; i++) {
        size_t cnt = MIN(a->iov[i].iov_len, 65535 - len);
        memcpy(stack->gather + len, a->iov[i].iov_base, cnt);
        len += cnt;
    }
    a->single = (struct iovec){stack->gather, len};
    a->iov = &a->single;
    a->iov_cnt = 1;
}

static const uint8_t *contiguous(struct stack *stack, struct arrival *a, size_t len)
{
    if (a->iov[0].iov_len < len && a->iov_cnt > 1)
        gather(stack, a);
    return a->iov[0].iov_base;
}

/* Partial checksum of `len` bytes from `offset` on. */
static uint16_t sum_range(const struct arrival *a, size_t offset, size_t len)
{
    uint16_t sum = 0;
    size_t done = 0;
    for (const struct iovec *iov = a->iov; done < len; iov++) {
        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        size_t cnt = MIN(len - done, iov->iov_len - offset);
        sum = checksum_join(sum, done, checksum_sum((uint8_t *)iov->iov_base + offset, cnt));
        done += cnt;
        offset = 0;
    }
    return sum;
}

static bool transport_sum_good(const struct arrival *a)
{
    uint16_t pseudo =
        ip_pseudo_sum(&a->ip.source, &a->ip.destination, a->ip.protocol, (uint32_t)a->len);
    return checksum_finish(checksum_join(pseudo, 12, sum_range(a, a->offset, a->len))) == 0;
}

/* What a connection from here may send in one packet: it came by one interface, the answers may
 * leave by another [MUST-16]. */
static uint32_t mtu_both_ways(const struct stack *stack, const struct arrival *a)
{
    int back = route_find(&stack->interfaces, &a->ip.source);
    uint32_t mtu = a->interface->mtu;
    return back < 0 ? mtu : MIN(mtu, stack->interfaces.interface[back].mtu);
}

static void tcp_arrives(struct stack *stack, struct arrival *a)
{
    contiguous(stack, a, a->offset + TCP_HEADER_LEN);
    const uint8_t *at = (uint8_t *)a->iov[0].iov_base + a->offset;
    size_t here = a->iov[0].iov_len - MIN(a->offset, a->iov[0].iov_len);
    if (here >= TCP_HEADER_LEN && here < (size_t)(at[12] >> 4) * 4) {
        contiguous(stack, a, a->offset + TCP_HEADER_MAX);
        at = (uint8_t *)a->iov[0].iov_base + a->offset;
        here = a->iov[0].iov_len - a->offset;
    }
    struct segment seg = {.mtu = mtu_both_ways(stack, a)};
    enum drop reason = DROP_TCP_CHECKSUM;
    if (a->interface->rx_checksum_trusted || transport_sum_good(a))
        reason = tcp_header_parse(&seg.h, at, MIN(here, a->len), a->len);
    if (reason == DROP_NONE && (seg.h.source_port == 0 || seg.h.destination_port == 0))
        reason = DROP_TCP_PORT_ZERO;
    if (reason != DROP_NONE) {
        drop(stack, reason);
        return;
    }
    seg.key = (struct lastack_tuple){a->ip.destination, a->ip.source, seg.h.destination_port,
                                     seg.h.source_port};
    seg.payload = (struct source){a->iov, a->iov_cnt, a->offset + seg.h.header_len};
    seg.len = (uint32_t)(a->len - seg.h.header_len);
    tcp_rx(&stack->tcp, &seg);
}

static void refuse_protocol(struct stack *stack, struct arrival *a)
{
    drop(stack, DROP_IP_PROTOCOL);
    if (a->offset == 0 || address_is_broadcast(&a->ip.destination))
        return; /* reassembled: the header is gone, nothing to quote */
    const uint8_t *packet = contiguous(stack, a, a->offset + 8);
    uint8_t code =
        a->ip.protocol == IP_PROTOCOL_UDP ? ICMP4_PORT_UNREACHABLE : ICMP4_PROTOCOL_UNREACHABLE;
    icmp_unreachable(stack, &a->ip, code, packet, MIN(a->iov[0].iov_len, (size_t)a->ip.total_len));
}

static void transport_arrives(struct stack *stack, struct arrival *a)
{
    if (a->ip.protocol == IP_PROTOCOL_TCP) {
        tcp_arrives(stack, a);
    } else if (a->ip.protocol == IP_PROTOCOL_ICMP) {
        const uint8_t *packet = contiguous(stack, a, a->offset + a->len);
        icmp_rx(stack, &a->ip, packet + a->offset, a->len);
    } else {
        refuse_protocol(stack, a);
    }
}

/* RFC 1122 3.2.1.3: what may not be a source; loopback stays on the loopback. */
static enum drop addresses_check(const struct stack *stack, const struct arrival *a)
{
    const struct lastack_address *from = &a->ip.source, *to = &a->ip.destination;
    bool inside = a->interface == &stack->interfaces.interface[LASTACK_LOOPBACK];
    if (address_is_any(from) || address_is_multicast(from) || address_is_broadcast(from))
        return DROP_IP_SOURCE;
    if (!inside && (address_is_loopback(from) || address_is_loopback(to)))
        return DROP_IP_SOURCE;
    if (!inside && address_is_mine(&stack->interfaces, from))
        return DROP_IP_SOURCE;
    if (address_is_multicast(to) || address_is_broadcast(to))
        return a->ip.protocol == IP_PROTOCOL_TCP ? DROP_TCP_BROADCAST : DROP_ICMP_BROADCAST;
    return address_is_mine(&stack->interfaces, to) ? DROP_NONE : DROP_IP_NOT_MINE;
}

static bool reassembled(struct stack *stack, struct arrival *a)
{
    struct source source = {a->iov, a->iov_cnt, a->offset};
    size_t cnt = fragment_take(&stack->fragments, &stack->tcp, &a->ip, &source, a->len, a->whole,
                               LASTACK_FRAME_IOV);
    if (cnt == 0)
        return false;
    a->iov = a->whole;
    a->iov_cnt = cnt;
    a->offset = 0;
    a->len = iov_total(a->whole, cnt);
    return true;
}

void ip_input(struct stack *stack, const struct lastack_frame *frame)
{
    struct arrival a;
    a.iov = frame->iov;
    a.iov_cnt = frame->iov_cnt;
    size_t len = iov_total(a.iov, a.iov_cnt);
    stack->packets_in++;
    if (frame->interface >= stack->interfaces.interface_cnt || a.iov_cnt == 0) {
        drop(stack, a.iov_cnt == 0 ? DROP_IP_TRUNCATED : DROP_IP_INTERFACE);
        return;
    }
    a.interface = &stack->interfaces.interface[frame->interface];
    const uint8_t *data = contiguous(stack, &a, IP4_HEADER_LEN);
    if (a.iov[0].iov_len >= 1 && a.iov[0].iov_len < (size_t)(data[0] & 15) * 4)
        data = contiguous(stack, &a, (size_t)(data[0] & 15) * 4);
    enum drop reason = ip4_parse(&a.ip, data, a.iov[0].iov_len, len);
    if (reason == DROP_NONE)
        reason = addresses_check(stack, &a);
    if (reason != DROP_NONE) {
        drop(stack, reason);
        return;
    }
    a.offset = a.ip.header_len;
    a.len = (size_t)a.ip.total_len - a.ip.header_len;
    bool fragment = a.ip.more_fragments || a.ip.fragment_offset != 0;
    if (!fragment || reassembled(stack, &a))
        transport_arrives(stack, &a);
    if (fragment)
        fragment_release(&stack->fragments, &stack->tcp);
}
