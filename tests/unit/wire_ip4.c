/* SPDX-License-Identifier: BSD-2-Clause */
/* wire/ip4.c: what is emitted is parsed back, every refusal is reached, nothing is read past
 * the end. */
#include "base/address.h"
#include "base/checksum.h"
#include "base/random.h"
#include "test.h"
#include "wire/ip4.h"

/* A header that must parse, as bytes; options of `options_len` bytes may follow the first 20. */
struct packet {
    uint8_t bytes[256];
    size_t len;
};

static void checksum_set(struct packet *packet)
{
    size_t header_len = (size_t)(packet->bytes[0] & 15) * 4;
    memset(packet->bytes + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_sum_naive(packet->bytes, header_len));
    memcpy(packet->bytes + 10, &sum, 2);
}

static struct packet packet_with_options(const void *options, size_t options_len,
                                         size_t payload_len)
{
    struct packet packet = {.len = 20 + options_len + payload_len};
    static const uint8_t head[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6,
                                     0,    0, 192, 0, 2, 1, 198, 51, 100, 2};
    memcpy(packet.bytes, head, 20);
    packet.bytes[0] = (uint8_t)(0x45 + options_len / 4);
    memcpy(packet.bytes + 20, options, options_len);
    store_be16(packet.bytes + 2, (uint16_t)packet.len);
    checksum_set(&packet);
    return packet;
}

static struct packet packet_plain(void)
{
    return packet_with_options("", 0, 40);
}

static enum drop parse(const struct packet *packet)
{
    struct ip4 ip;
    return ip4_parse(&ip, packet->bytes, packet->len, packet->len);
}

static void check_equal(const struct ip4 *a, const struct ip4 *b)
{
    CHECK(address_equal(&a->source, &b->source));
    CHECK(address_equal(&a->destination, &b->destination));
    CHECK_EQ(a->total_len, b->total_len);
    CHECK_EQ(a->id, b->id);
    CHECK_EQ(a->fragment_offset, b->fragment_offset);
    CHECK_EQ(a->more_fragments, b->more_fragments);
    CHECK_EQ(a->dont_fragment, b->dont_fragment);
    CHECK_EQ(a->tos, b->tos);
    CHECK_EQ(a->ttl, b->ttl);
    CHECK_EQ(a->protocol, b->protocol);
}

TEST(ip4_parse_reads_every_field)
{
    struct packet packet = packet_with_options("\x94\x04\0\0", 4, 100);
    struct ip4 ip;
    packet.bytes[1] = 0xb8;
    store_be16(packet.bytes + 6, 0x2000 | 3);
    store_be16(packet.bytes + 2, 24 + 96);
    checksum_set(&packet);
    REQUIRE_EQ(ip4_parse(&ip, packet.bytes, 24, packet.len), DROP_NONE);
    CHECK_EQ(address_ip4(&ip.source), 0xc0000201u);
    CHECK_EQ(address_ip4(&ip.destination), 0xc6336402u);
    CHECK(address_is_ip4(&ip.source) && address_is_ip4(&ip.destination));
    CHECK_EQ(ip.total_len, 120);
    CHECK_EQ(ip.id, 0x1234);
    CHECK_EQ(ip.fragment_offset, 24);
    CHECK(ip.more_fragments);
    CHECK(!ip.dont_fragment);
    CHECK_EQ(ip.header_len, 24);
    CHECK_EQ(ip.tos, 0xb8);
    CHECK_EQ(ip.ttl, 64);
    CHECK_EQ(ip.protocol, 6);
}

/* A header from the wire, its checksum made by another stack. */
TEST(ip4_parse_takes_a_foreign_checksum)
{
    static const uint8_t foreign[20] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40,
                                        0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
                                        0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    struct ip4 ip;
    uint8_t again[20];
    REQUIRE_EQ(ip4_parse(&ip, foreign, 20, 0x73), DROP_NONE);
    CHECK_EQ(ip.protocol, IP_PROTOCOL_UDP);
    ip4_emit(again, &ip);
    CHECK_MEM(again, foreign, 20);
}

TEST(ip4_parse_of_emit_is_the_same)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){1});
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[20];
        struct ip4 back, ip = {
            .source = address_from_ip4(random_u32(&random)),
            .destination = address_from_ip4(random_u32(&random)),
            .total_len = (uint16_t)(20 + random_below(&random, 65516)),
            .id = (uint16_t)random_u32(&random),
            .dont_fragment = random_below(&random, 2),
            .tos = (uint8_t)random_u32(&random),
            .ttl = (uint8_t)random_u32(&random),
            .protocol = (uint8_t)random_u32(&random),
        };
        if (random_below(&random, 2) && ip.total_len >= 28) {
            ip.total_len = (uint16_t)(20 + (ip.total_len - 20) / 8 * 8);
            ip.fragment_offset =
                (uint16_t)(random_below(&random, (65535u - ip.total_len) / 8 + 1) * 8);
            ip.more_fragments = random_below(&random, 2);
        }
        ip4_emit(bytes, &ip);
        REQUIRE_EQ(ip4_parse(&back, bytes, 20, 65535), DROP_NONE);
        CHECK_EQ(back.header_len, 20);
        check_equal(&back, &ip);
    }
}

TEST(ip4_parse_refuses_what_is_cut)
{
    struct packet packet = packet_with_options("\1\1\1\0", 4, 40);
    for (size_t len = 0; len <= packet.len; len++) {
        uint8_t *exact = malloc(len + !len);
        struct ip4 ip;
        REQUIRE(exact);
        memcpy(exact, packet.bytes, len);
        /* a whole packet of this length */
        CHECK_EQ(ip4_parse(&ip, exact, len, len),
                 len < packet.len ? DROP_IP_TRUNCATED : DROP_NONE);
        /* of a longer packet only this much is contiguous */
        CHECK_EQ(ip4_parse(&ip, exact, len, packet.len), len < 24 ? DROP_IP_TRUNCATED : DROP_NONE);
        free(exact);
    }
}

TEST(ip4_parse_allows_padding_behind)
{
    struct packet packet = packet_plain();
    struct ip4 ip;
    CHECK_EQ(ip4_parse(&ip, packet.bytes, packet.len + 6, packet.len + 6), DROP_NONE);
    CHECK_EQ(ip.total_len, packet.len);
}

TEST(ip4_parse_refuses_other_versions)
{
    struct packet packet = packet_plain();
    for (unsigned version = 0; version < 16; version++) {
        packet.bytes[0] = (uint8_t)(version << 4 | 5);
        checksum_set(&packet);
        CHECK_EQ(parse(&packet), version == 4 ? DROP_NONE : DROP_IP_VERSION);
    }
}

TEST(ip4_parse_refuses_header_lengths_that_cannot_be)
{
    struct packet packet = packet_plain();
    for (unsigned words = 0; words < 5; words++) {
        packet.bytes[0] = (uint8_t)(0x40 | words);
        CHECK_EQ(parse(&packet), DROP_IP_HEADER_LEN);
    }
    for (uint16_t total_len = 0; total_len < 20; total_len++) {
        packet = packet_plain();
        store_be16(packet.bytes + 2, total_len);
        checksum_set(&packet);
        CHECK_EQ(parse(&packet), DROP_IP_HEADER_LEN);
    }
    packet = packet_with_options("\1\1\1\1", 4, 0);
    store_be16(packet.bytes + 2, 23);
    checksum_set(&packet);
    CHECK_EQ(parse(&packet), DROP_IP_HEADER_LEN);
}

TEST(ip4_parse_refuses_every_flipped_bit)
{
    struct packet packet = packet_with_options("\1\1\1\0", 4, 40);
    for (unsigned bit = 0; bit < 24 * 8; bit++) {
        packet.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        CHECK_NE(parse(&packet), DROP_NONE);
        if (bit >= 32 && parse(&packet) != DROP_IP_CHECKSUM)
            FAIL("bit %u: %s", bit, drop_name(parse(&packet)));
        packet.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
    CHECK_EQ(parse(&packet), DROP_NONE);
}

TEST(ip4_parse_skips_harmless_options_and_refuses_the_rest)
{
    static const struct {
        const char *options;
        enum drop want;
    } rows[] = {
        {"\0\0\0\0", DROP_NONE},
        {"\1\1\1\1", DROP_NONE},
        {"\x94\x04\0\0", DROP_NONE},               /* router alert */
        {"\x07\x04\0\0", DROP_NONE},               /* record route, full */
        {"\x44\x04\0\0", DROP_NONE},               /* time stamp */
        {"\xee\x02\1\1", DROP_NONE},               /* unknown */
        {"\0\x83\xff\xff", DROP_NONE},             /* behind the end of options */
        {"\x83\x04\x04\0", DROP_IP_OPTIONS},       /* loose source route */
        {"\x89\x03\x04\0", DROP_IP_OPTIONS},       /* strict source route */
        {"\1\x83\x03\x04", DROP_IP_OPTIONS},
        {"\xee\0\1\1", DROP_IP_OPTIONS},           /* length 0 */
        {"\xee\1\1\1", DROP_IP_OPTIONS},           /* length 1 */
        {"\xee\5\1\1", DROP_IP_OPTIONS},           /* past the header */
        {"\xee\xff\1\1", DROP_IP_OPTIONS},
        {"\1\1\xee\3", DROP_IP_OPTIONS},
        {"\1\1\1\xee", DROP_IP_OPTIONS},           /* no room for its length */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct packet packet = packet_with_options(rows[i].options, 4, 8);
        if (parse(&packet) != rows[i].want)
            FAIL("row %zu: %s", i, drop_name(parse(&packet)));
    }
    uint8_t longest[40];
    memset(longest, 1, sizeof longest);
    struct packet packet = packet_with_options(longest, 40, 0);
    CHECK_EQ(parse(&packet), DROP_NONE);
}

TEST(ip4_parse_refuses_impossible_fragments)
{
    static const struct {
        uint16_t field, payload_len;
        enum drop want;
    } rows[] = {
        {0x2000, 16, DROP_NONE},             /* first */
        {0x2000 | 5, 16, DROP_NONE},         /* middle */
        {5, 13, DROP_NONE},                  /* last, of any length */
        {0x4000, 0, DROP_NONE},              /* whole and empty */
        {0x8000, 16, DROP_NONE},             /* reserved bit means nothing */
        {0x2000, 0, DROP_FRAGMENT_BAD},
        {7, 0, DROP_FRAGMENT_BAD},
        {0x2000, 15, DROP_FRAGMENT_BAD},
        {0x2000 | 5, 9, DROP_FRAGMENT_BAD},
        {8189, 3, DROP_NONE},                /* ends at 65535 with its header */
        {8189, 4, DROP_FRAGMENT_BAD},
        {8191, 1, DROP_FRAGMENT_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct packet packet = packet_with_options("", 0, rows[i].payload_len);
        store_be16(packet.bytes + 6, rows[i].field);
        checksum_set(&packet);
        if (parse(&packet) != rows[i].want)
            FAIL("row %zu: %s", i, drop_name(parse(&packet)));
    }
}

/* The naive pseudo-header: its bytes in a row (RFC 9293 3.1, RFC 8200 8.1). */
static uint16_t pseudo_sum_naive(const struct lastack_address *source,
                                 const struct lastack_address *destination, uint8_t protocol,
                                 uint32_t len)
{
    uint8_t bytes[40] = {0};
    if (address_is_ip4(source)) {
        memcpy(bytes, source->bytes + 12, 4);
        memcpy(bytes + 4, destination->bytes + 12, 4);
        bytes[9] = protocol;
        store_be16(bytes + 10, (uint16_t)len);
        return checksum_sum_naive(bytes, 12);
    }
    memcpy(bytes, source, 16);
    memcpy(bytes + 16, destination, 16);
    store_be32(bytes + 32, len);
    bytes[39] = protocol;
    return checksum_sum_naive(bytes, 40);
}

TEST(ip_pseudo_sum_of_both_families)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){2});
    for (int i = 0; i < 20000; i++) {
        struct lastack_address a, b;
        uint32_t len = random_u32(&random) >> random_below(&random, 32);
        uint8_t protocol = (uint8_t)random_u32(&random);
        if (i % 2 == 0) {
            a = address_from_ip4(i % 64 == 0 ? UINT32_MAX : random_u32(&random));
            b = address_from_ip4(i % 64 == 0 ? UINT32_MAX : random_u32(&random));
            len &= 0xffff;
        } else {
            for (int j = 0; j < 16; j++) {
                a.bytes[j] = i % 63 == 0 ? 0xff : (uint8_t)random_u32(&random);
                b.bytes[j] = i % 63 == 0 ? 0xff : (uint8_t)random_u32(&random);
            }
        }
        uint16_t want = pseudo_sum_naive(&a, &b, protocol, len);
        CHECK_EQ(checksum_finish(ip_pseudo_sum(&a, &b, protocol, len)) % 0xffff,
                 checksum_finish(want) % 0xffff);
        if (protocol != 0)
            CHECK_EQ(ip_pseudo_sum(&a, &b, protocol, len), want);
    }
}

TEST_MAIN()
