/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP for IPv4: check, read, write. */
#include "wire/icmp4.h"

#include "base/address.h"
#include "base/bytes.h"
#include "base/checksum.h"

enum drop icmp4_parse(struct icmp4 *out, const uint8_t *data, size_t len)
{
    if (len < ICMP4_HEADER_LEN)
        return DROP_ICMP_TRUNCATED;
    if (checksum_finish(checksum_sum(data, len)) != 0)
        return DROP_ICMP_CHECKSUM;
    *out = (struct icmp4){
        .type = data[0],
        .code = data[1],
        .rest = load_be32(data + 4),
        .payload = data + ICMP4_HEADER_LEN,
        .payload_len = len - ICMP4_HEADER_LEN,
    };
    return DROP_NONE;
}

void icmp4_emit(uint8_t *out, const struct icmp4 *icmp, size_t payload_len)
{
    out[0] = icmp->type;
    out[1] = icmp->code;
    store_be16(out + 2, 0);
    store_be32(out + 4, icmp->rest);
    uint16_t checksum = checksum_finish(checksum_sum(out, ICMP4_HEADER_LEN + payload_len));
    memcpy(out + 2, &checksum, 2);
}

enum drop icmp4_parse_quote(struct icmp4_quote *out, const struct icmp4 *error)
{
    const uint8_t *p = error->payload;
    if (error->payload_len < IP4_HEADER_LEN || p[0] >> 4 != 4)
        return DROP_ICMP_TRUNCATED;
    uint8_t header_len = (uint8_t)((p[0] & 0x0f) * 4);
    uint16_t fragment = load_be16(p + 6);
    /* A later fragment has no transport header, so it cannot name a connection. */
    if (header_len < IP4_HEADER_LEN || error->payload_len < (size_t)header_len + 8 ||
        (fragment & 0x1fff) != 0)
        return DROP_ICMP_TRUNCATED;
    const uint8_t *transport = p + header_len;
    *out = (struct icmp4_quote){
        .ip = {
            .source = address_from_ip4(load_be32(p + 12)),
            .destination = address_from_ip4(load_be32(p + 16)),
            .total_len = load_be16(p + 2),
            .id = load_be16(p + 4),
            .more_fragments = fragment & 0x2000,
            .dont_fragment = fragment & 0x4000,
            .header_len = header_len,
            .tos = p[1],
            .ttl = p[8],
            .protocol = p[9],
        },
        .source_port = load_be16(transport),
        .destination_port = load_be16(transport + 2),
        .sequence = load_be32(transport + 4),
    };
    return DROP_NONE;
}
