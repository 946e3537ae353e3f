/* SPDX-License-Identifier: BSD-2-Clause */
/* wire/icmp4.c: messages and the packets that errors quote. */
#include "base/address.h"
#include "base/checksum.h"
#include "base/random.h"
#include "test.h"
#include "wire/icmp4.h"

/* An echo request; its checksum was worked out by hand. */
static const uint8_t echo[] = {0x08, 0x00, 0x54, 0x9d, 0x12, 0x34, 0x00, 0x01,
                               'a',  'b',  'c',  'd',  'e',  'f',  'g'};

TEST(icmp4_parse_reads_an_echo)
{
    struct icmp4 icmp;
    REQUIRE_EQ(icmp4_parse(&icmp, echo, sizeof echo), DROP_NONE);
    CHECK_EQ(icmp.type, ICMP4_ECHO);
    CHECK_EQ(icmp.code, 0);
    CHECK_EQ(icmp.rest, 0x12340001u);
    CHECK(icmp.payload == echo + 8);
    CHECK_EQ(icmp.payload_len, 7);
}

TEST(icmp4_parse_of_emit_is_the_same)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){1});
    for (int i = 0; i < 5000; i++) {
        size_t payload_len = random_below(&random, 600);
        uint8_t *bytes = malloc(8 + payload_len);
        REQUIRE(bytes);
        for (size_t j = 0; j < payload_len; j++)
            bytes[8 + j] = (uint8_t)random_u32(&random);
        struct icmp4 back, icmp = {
            .type = (uint8_t)random_u32(&random),
            .code = (uint8_t)random_u32(&random),
            .rest = random_u32(&random),
        };
        icmp4_emit(bytes, &icmp, payload_len);
        CHECK_EQ(checksum_finish(checksum_sum_naive(bytes, 8 + payload_len)), 0);
        REQUIRE_EQ(icmp4_parse(&back, bytes, 8 + payload_len), DROP_NONE);
        CHECK_EQ(back.type, icmp.type);
        CHECK_EQ(back.code, icmp.code);
        CHECK_EQ(back.rest, icmp.rest);
        CHECK_EQ(back.payload_len, payload_len);
        bytes[random_below(&random, (uint32_t)(8 + payload_len))] ^=
            (uint8_t)(1u << random_below(&random, 8));
        CHECK_EQ(icmp4_parse(&back, bytes, 8 + payload_len), DROP_ICMP_CHECKSUM);
        free(bytes);
    }
}

TEST(icmp4_parse_refuses_what_is_cut)
{
    for (size_t len = 0; len < 8; len++) {
        uint8_t *exact = malloc(len + !len);
        struct icmp4 icmp;
        REQUIRE(exact);
        memset(exact, 0, len + !len);
        CHECK_EQ(icmp4_parse(&icmp, exact, len), DROP_ICMP_TRUNCATED);
        free(exact);
    }
}

/* A "port unreachable" about a TCP segment, with `options_len` bytes of IP options. */
static size_t quote_make(uint8_t out[128], size_t options_len)
{
    struct ip4 ip = {
        .source = address_from_ip4(0xc0000201),
        .destination = address_from_ip4(0xc6336402),
        .total_len = 1500,
        .id = 77,
        .dont_fragment = true,
        .ttl = 3,
        .tos = 8,
        .protocol = IP_PROTOCOL_TCP,
    };
    ip4_emit(out, &ip);
    out[0] = (uint8_t)(0x45 + options_len / 4);
    memset(out + 20, 1, options_len);
    uint8_t *tcp = out + 20 + options_len;
    store_be16(tcp, 40000);
    store_be16(tcp + 2, 80);
    store_be32(tcp + 4, 0xfffffff0u);
    return 20 + options_len + 8;
}

static enum drop parse_quote(struct icmp4_quote *out, const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len + !len);
    REQUIRE(exact);
    memcpy(exact, bytes, len);
    struct icmp4 error = {.type = ICMP4_UNREACHABLE, .payload = exact, .payload_len = len};
    enum drop drop = icmp4_parse_quote(out, &error);
    free(exact);
    return drop;
}

TEST(icmp4_quote_names_the_segment)
{
    for (size_t options_len = 0; options_len <= 40; options_len += 4) {
        uint8_t bytes[128];
        struct icmp4_quote quote;
        size_t len = quote_make(bytes, options_len);
        REQUIRE_EQ(parse_quote(&quote, bytes, len), DROP_NONE);
        CHECK_EQ(address_ip4(&quote.ip.source), 0xc0000201u);
        CHECK_EQ(address_ip4(&quote.ip.destination), 0xc6336402u);
        CHECK_EQ(quote.ip.total_len, 1500);
        CHECK_EQ(quote.ip.id, 77);
        CHECK_EQ(quote.ip.header_len, 20 + options_len);
        CHECK(quote.ip.dont_fragment && !quote.ip.more_fragments);
        CHECK_EQ(quote.ip.ttl, 3);
        CHECK_EQ(quote.ip.tos, 8);
        CHECK_EQ(quote.ip.protocol, IP_PROTOCOL_TCP);
        CHECK_EQ(quote.source_port, 40000);
        CHECK_EQ(quote.destination_port, 80);
        CHECK_EQ(quote.sequence, 0xfffffff0u);
    }
}

TEST(icmp4_quote_refuses_what_is_cut)
{
    for (size_t options_len = 0; options_len <= 40; options_len += 20) {
        uint8_t bytes[128];
        struct icmp4_quote quote;
        size_t whole = quote_make(bytes, options_len);
        for (size_t len = 0; len < whole; len++)
            CHECK_EQ(parse_quote(&quote, bytes, len), DROP_ICMP_TRUNCATED);
    }
}

TEST(icmp4_quote_refuses_what_names_no_segment)
{
    uint8_t bytes[128];
    struct icmp4_quote quote;
    size_t len = quote_make(bytes, 0);
    bytes[0] = 0x65;
    CHECK_EQ(parse_quote(&quote, bytes, len), DROP_ICMP_TRUNCATED);
    bytes[0] = 0x44;
    CHECK_EQ(parse_quote(&quote, bytes, len), DROP_ICMP_TRUNCATED);
    len = quote_make(bytes, 0);
    store_be16(bytes + 6, 0x2000); /* a first fragment has the header */
    CHECK_EQ(parse_quote(&quote, bytes, len), DROP_NONE);
    CHECK(quote.ip.more_fragments);
    store_be16(bytes + 6, 1); /* a later one has not */
    CHECK_EQ(parse_quote(&quote, bytes, len), DROP_ICMP_TRUNCATED);
}

TEST(icmp4_quote_does_not_mind_a_changed_checksum)
{
    uint8_t bytes[128];
    struct icmp4_quote quote;
    size_t len = quote_make(bytes, 0);
    bytes[10] ^= 0xff;
    CHECK_EQ(parse_quote(&quote, bytes, len), DROP_NONE);
}

TEST_MAIN()
