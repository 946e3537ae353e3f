/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4 header (RFC 791): check, read, write. */
#include "wire/ip4.h"

#include "base/address.h"
#include "base/bytes.h"
#include "base/checksum.h"

#define FLAG_DONT_FRAGMENT 0x4000
#define FLAG_MORE_FRAGMENTS 0x2000
#define OFFSET_MASK 0x1fff

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137

/* RFC 1122 3.2.1.8: options that are not understood are ignored; source routes are refused, a
 * host has no use for them that is not an attack. */
static bool options_fit(const uint8_t *p, size_t len)
{
    while (len > 0 && p[0] != OPTION_END) {
        if (p[0] == OPTION_NOP) {
            p++;
            len--;
            continue;
        }
        if (len < 2 || p[1] < 2 || p[1] > len)
            return false;
        if (p[0] == OPTION_LOOSE_ROUTE || p[0] == OPTION_STRICT_ROUTE)
            return false;
        len -= p[1];
        p += p[1];
    }
    return true;
}

/* A fragment that is not the last carries a multiple of 8 bytes, none is empty, none ends
 * beyond what an IP packet can hold (RFC 791 3.2). */
static bool fragment_possible(const struct ip4 *ip)
{
    uint32_t payload_len = ip->total_len - ip->header_len;
    if (!ip->more_fragments && ip->fragment_offset == 0)
        return true;
    return payload_len > 0 && !(ip->more_fragments && payload_len % 8 != 0) &&
           ip->header_len + ip->fragment_offset + payload_len <= 65535;
}

enum drop ip4_parse(struct ip4 *out, const uint8_t *data, size_t len, size_t packet_len)
{
    if (len < IP4_HEADER_LEN || packet_len < IP4_HEADER_LEN)
        return DROP_IP_TRUNCATED;
    if (data[0] >> 4 != 4)
        return DROP_IP_VERSION;
    uint8_t header_len = (uint8_t)((data[0] & 0x0f) * 4);
    uint16_t total_len = load_be16(data + 2);
    if (header_len < IP4_HEADER_LEN || header_len > total_len)
        return DROP_IP_HEADER_LEN;
    if (total_len > packet_len || header_len > len)
        return DROP_IP_TRUNCATED;
    if (checksum_finish(checksum_sum(data, header_len)) != 0)
        return DROP_IP_CHECKSUM;
    if (header_len > IP4_HEADER_LEN &&
        !options_fit(data + IP4_HEADER_LEN, (size_t)header_len - IP4_HEADER_LEN))
        return DROP_IP_OPTIONS;
    uint16_t fragment = load_be16(data + 6);
    *out = (struct ip4){
        .source = address_from_ip4(load_be32(data + 12)),
        .destination = address_from_ip4(load_be32(data + 16)),
        .total_len = total_len,
        .id = load_be16(data + 4),
        .fragment_offset = (uint16_t)((fragment & OFFSET_MASK) * 8),
        .more_fragments = fragment & FLAG_MORE_FRAGMENTS,
        .dont_fragment = fragment & FLAG_DONT_FRAGMENT,
        .header_len = header_len,
        .tos = data[1],
        .ttl = data[8],
        .protocol = data[9],
    };
    return fragment_possible(out) ? DROP_NONE : DROP_FRAGMENT_BAD;
}

void ip4_emit(uint8_t out[IP4_HEADER_LEN], const struct ip4 *ip)
{
    out[0] = 0x45;
    out[1] = ip->tos;
    store_be16(out + 2, ip->total_len);
    store_be16(out + 4, ip->id);
    store_be16(out + 6, (uint16_t)(ip->fragment_offset / 8 |
                                   (ip->dont_fragment ? FLAG_DONT_FRAGMENT : 0) |
                                   (ip->more_fragments ? FLAG_MORE_FRAGMENTS : 0)));
    out[8] = ip->ttl;
    out[9] = ip->protocol;
    store_be16(out + 10, 0);
    memcpy(out + 12, ip->source.bytes + 12, 4);
    memcpy(out + 16, ip->destination.bytes + 12, 4);
    uint16_t checksum = checksum_finish(checksum_sum(out, IP4_HEADER_LEN));
    memcpy(out + 10, &checksum, 2);
}

uint16_t ip_pseudo_sum(const struct lastack_address *source,
                       const struct lastack_address *destination, uint8_t protocol,
                       uint32_t transport_len)
{
    /* One formula for both families: the ffff in front of an IPv4 address is 0 in
     * ones-complement arithmetic, and so is the missing upper half of the length. */
    uint32_t word[8];
    memcpy(word, source, 16);
    memcpy(word + 4, destination, 16);
    uint64_t sum = (uint64_t)__builtin_bswap32(transport_len) + __builtin_bswap32(protocol);
    for (int i = 0; i < 8; i++)
        sum += word[i];
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
