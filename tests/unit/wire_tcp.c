/* SPDX-License-Identifier: BSD-2-Clause */
/* wire/tcp.c: headers and options both ways. */
#include "base/bytes.h"
#include "base/random.h"
#include "test.h"
#include "wire/tcp.h"

/* A SYN as Linux lays it out. */
static const uint8_t linux_syn[40] = {
    0xd4, 0x31, 0x00, 0x50, 0x8c, 0x5b, 0x31, 0x9e, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02,
    0xfa, 0xf0, 0xfe, 0x30, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a,
    0x9d, 0x0c, 0x11, 0x22, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
};

static enum drop parse_with_options(struct tcp_header *out, uint8_t flags, const void *options,
                                    size_t options_len)
{
    uint8_t bytes[60] = {0x12, 0x34, 0, 80};
    bytes[12] = (uint8_t)((20 + options_len) / 4 << 4);
    bytes[13] = flags;
    memcpy(bytes + 20, options, options_len);
    /* Exactly as long as it is, for the address sanitizer. */
    size_t len = 20 + options_len;
    uint8_t *exact = malloc(len);
    REQUIRE(exact);
    memcpy(exact, bytes, len);
    enum drop drop = tcp_header_parse(out, exact, len, len);
    free(exact);
    return drop;
}

TEST(tcp_parse_reads_a_linux_syn)
{
    struct tcp_header h;
    REQUIRE_EQ(tcp_header_parse(&h, linux_syn, sizeof linux_syn, sizeof linux_syn), DROP_NONE);
    CHECK_EQ(h.source_port, 54321);
    CHECK_EQ(h.destination_port, 80);
    CHECK_EQ(h.seq, 0x8c5b319eu);
    CHECK_EQ(h.ack, 0);
    CHECK_EQ(h.header_len, 40);
    CHECK_EQ(h.flags, TCP_SYN);
    CHECK_EQ(h.wnd, 64240);
    CHECK_EQ(h.up, 0);
    CHECK_EQ(h.mss, 1460);
    CHECK_EQ(h.wscale, 7);
    CHECK(h.sack_permitted);
    CHECK(h.timestamp);
    CHECK_EQ(h.ts_val, 0x9d0c1122u);
    CHECK_EQ(h.ts_ecr, 0);
}

TEST(tcp_emit_writes_a_linux_syn)
{
    struct tcp_header h;
    uint8_t out[TCP_HEADER_MAX], want[sizeof linux_syn];
    REQUIRE_EQ(tcp_header_parse(&h, linux_syn, sizeof linux_syn, sizeof linux_syn), DROP_NONE);
    memcpy(want, linux_syn, sizeof want);
    memset(want + 16, 0, 2); /* the checksum is the caller's */
    memset(out, 0xee, sizeof out);
    REQUIRE_EQ(tcp_header_emit(out, &h, true), sizeof want);
    CHECK_MEM(out, want, sizeof want);
}

TEST(tcp_emit_layouts_of_linux)
{
    static const struct {
        uint16_t mss;
        uint8_t wscale;
        bool sack, timestamp;
        size_t len;
        const char *options;
    } rows[] = {
        {0, TCP_WSCALE_NONE, false, false, 0, ""},
        {1460, TCP_WSCALE_NONE, false, false, 4, "\2\4\5\xb4"},
        {1460, 7, false, false, 8, "\2\4\5\xb4\1\3\3\7"},
        {1460, 7, true, false, 12, "\2\4\5\xb4\1\1\4\2\1\3\3\7"},
        {1460, 7, true, true, 20, "\2\4\5\xb4\4\2\10\12\0\0\0\1\0\0\0\2\1\3\3\7"},
        {1460, 7, false, true, 20, "\2\4\5\xb4\1\1\10\12\0\0\0\1\0\0\0\2\1\3\3\7"},
        {0, TCP_WSCALE_NONE, false, true, 12, "\1\1\10\12\0\0\0\1\0\0\0\2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tcp_header h = {
            .flags = TCP_SYN,
            .mss = rows[i].mss,
            .wscale = rows[i].wscale,
            .sack_permitted = rows[i].sack,
            .timestamp = rows[i].timestamp,
            .ts_val = 1,
            .ts_ecr = 2,
        };
        uint8_t out[TCP_HEADER_MAX];
        CHECK_EQ(tcp_header_emit(out, &h, true), 20 + rows[i].len);
        CHECK_MEM(out + 20, rows[i].options, rows[i].len);
    }
}

TEST(tcp_parse_of_emit_is_the_same)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){1});
    for (int i = 0; i < 50000; i++) {
        bool syn = random_below(&random, 2);
        struct tcp_header back, h = {
            .source_port = (uint16_t)random_u32(&random),
            .destination_port = (uint16_t)random_u32(&random),
            .seq = random_u32(&random),
            .ack = random_u32(&random),
            .flags = (uint8_t)((random_u32(&random) & ~(uint32_t)TCP_SYN) | (syn ? TCP_SYN : 0)),
            .wnd = (uint16_t)random_u32(&random),
            .up = (uint16_t)random_u32(&random),
            .mss = syn && random_below(&random, 2) ? (uint16_t)random_u32(&random) : 0,
            .wscale = syn && random_below(&random, 2) ? (uint8_t)random_below(&random, 15)
                                                      : TCP_WSCALE_NONE,
            .sack_permitted = syn && random_below(&random, 2),
            .timestamp = random_below(&random, 2),
        };
        if (h.timestamp) {
            h.ts_val = random_u32(&random);
            h.ts_ecr = random_u32(&random);
        }
        uint8_t bytes[TCP_HEADER_MAX];
        size_t len = tcp_header_emit(bytes, &h, i % 3 == 0);
        CHECK_EQ(len % 4, 0);
        h.header_len = (uint8_t)len;
        REQUIRE_EQ(tcp_header_parse(&back, bytes, len, len + random_below(&random, 1461)),
                   DROP_NONE);
        CHECK_EQ(load_be16(bytes + 16), 0);
        CHECK_EQ(back.source_port, h.source_port);
        CHECK_EQ(back.destination_port, h.destination_port);
        CHECK_EQ(back.seq, h.seq);
        CHECK_EQ(back.ack, h.ack);
        CHECK_EQ(back.header_len, h.header_len);
        CHECK_EQ(back.flags, h.flags);
        CHECK_EQ(back.wnd, h.wnd);
        CHECK_EQ(back.up, h.up);
        CHECK_EQ(back.mss, h.mss);
        CHECK_EQ(back.wscale, h.wscale);
        CHECK_EQ(back.sack_permitted, h.sack_permitted);
        CHECK_EQ(back.timestamp, h.timestamp);
        CHECK_EQ(back.ts_val, h.ts_val);
        CHECK_EQ(back.ts_ecr, h.ts_ecr);
    }
}

TEST(tcp_parse_refuses_what_is_cut)
{
    for (size_t len = 0; len <= sizeof linux_syn; len++) {
        uint8_t *exact = malloc(len + !len);
        struct tcp_header h;
        REQUIRE(exact);
        memcpy(exact, linux_syn, len);
        enum drop want = len < sizeof linux_syn ? DROP_TCP_TRUNCATED : DROP_NONE;
        CHECK_EQ(tcp_header_parse(&h, exact, len, len), want);
        CHECK_EQ(tcp_header_parse(&h, exact, len, 1000), want);
        free(exact);
    }
}

TEST(tcp_parse_refuses_header_lengths_that_cannot_be)
{
    uint8_t bytes[60] = {0};
    struct tcp_header h;
    for (unsigned words = 0; words < 16; words++)
        for (size_t len = 20; len <= 60; len++) {
            bytes[12] = (uint8_t)(words << 4);
            enum drop want = words < 5 || words * 4 > len ? DROP_TCP_TRUNCATED : DROP_NONE;
            CHECK_EQ(tcp_header_parse(&h, bytes, sizeof bytes, len), want);
            CHECK_EQ(tcp_header_parse(&h, bytes, len, sizeof bytes), want);
        }
}

TEST(tcp_parse_options_row_by_row)
{
    static const struct {
        const char *options;
        size_t len;
        enum drop want;
    } rows[] = {
        {"\0\0\0\0", 4, DROP_NONE},
        {"\1\1\1\1", 4, DROP_NONE},
        {"\0\2\377\377", 4, DROP_NONE},                      /* behind the end */
        {"\xfe\4\1\2", 4, DROP_NONE},                        /* unknown */
        {"\xfe\2\xfd\2", 4, DROP_NONE},
        {"\5\12\0\0\0\1\0\0\0\2\1\1", 12, DROP_NONE},        /* a SACK block */
        {"\x1e\4\0\0", 4, DROP_NONE},                        /* multipath */
        {"\xfe\0\1\1", 4, DROP_TCP_OPTIONS},                 /* length 0 */
        {"\xfe\1\1\1", 4, DROP_TCP_OPTIONS},                 /* length 1 */
        {"\xfe\5\1\1", 4, DROP_TCP_OPTIONS},                 /* past the header */
        {"\1\1\1\xfe", 4, DROP_TCP_OPTIONS},                 /* no room for its length */
        {"\1\1\1\2", 4, DROP_TCP_OPTIONS},
        {"\2\3\5\1", 4, DROP_TCP_OPTIONS},                   /* MSS of 3 bytes */
        {"\2\5\5\xb4\0\0\0\0", 8, DROP_TCP_OPTIONS},
        {"\3\2\1\1", 4, DROP_TCP_OPTIONS},                   /* window scale of 2 bytes */
        {"\3\4\7\1", 4, DROP_TCP_OPTIONS},
        {"\4\3\0\1", 4, DROP_TCP_OPTIONS},                   /* SACK permitted of 3 bytes */
        {"\10\11\0\0\0\1\0\0\0\1\1\1", 12, DROP_TCP_OPTIONS}, /* time stamp of 9 bytes */
        {"\10\13\0\0\0\1\0\0\0\1\1\1", 12, DROP_TCP_OPTIONS},
        {"\1\1\10\12\0\0\0\1", 8, DROP_TCP_OPTIONS},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int syn = 0; syn < 2; syn++) {
            struct tcp_header h;
            enum drop drop = parse_with_options(&h, syn ? TCP_SYN : TCP_ACK, rows[i].options,
                                                rows[i].len);
            if (drop != rows[i].want)
                FAIL("row %zu: %s", i, drop_name(drop));
        }
}

TEST(tcp_parse_takes_syn_options_only_from_a_syn)
{
    struct tcp_header h;
    static const char options[] = "\2\4\5\xb4\4\2\1\1\1\3\3\7";
    REQUIRE_EQ(parse_with_options(&h, TCP_ACK, options, 12), DROP_NONE);
    CHECK_EQ(h.mss, 0);
    CHECK_EQ(h.wscale, TCP_WSCALE_NONE);
    CHECK(!h.sack_permitted);
    REQUIRE_EQ(parse_with_options(&h, TCP_SYN | TCP_ACK, options, 12), DROP_NONE);
    CHECK_EQ(h.mss, 1460);
    CHECK_EQ(h.wscale, 7);
    CHECK(h.sack_permitted);
}

TEST(tcp_parse_window_scale_above_14_is_14)
{
    for (unsigned shift = 0; shift < 256; shift++) {
        struct tcp_header h;
        uint8_t options[4] = {3, 3, (uint8_t)shift, 0};
        REQUIRE_EQ(parse_with_options(&h, TCP_SYN, options, 4), DROP_NONE);
        CHECK_EQ(h.wscale, MIN(shift, 14));
    }
}

TEST(tcp_parse_time_stamp_in_every_place)
{
    for (size_t before = 0; before <= 30; before++) {
        struct tcp_header h;
        uint8_t options[40];
        memset(options, 1, sizeof options);
        memcpy(options + before, "\10\12\1\2\3\4\5\6\7\10", 10);
        REQUIRE_EQ(parse_with_options(&h, TCP_ACK, options, 40), DROP_NONE);
        CHECK(h.timestamp);
        CHECK_EQ(h.ts_val, 0x01020304);
        CHECK_EQ(h.ts_ecr, 0x05060708);
    }
}

/* Whatever the bytes, the result is a reason or legal values. */
TEST(tcp_parse_of_noise)
{
    struct random random;
    unsigned good_cnt = 0;
    random_init(&random, (const uint64_t[4]){2});
    for (int i = 0; i < 100000; i++) {
        size_t len = random_below(&random, 64);
        uint8_t *bytes = malloc(len + !len);
        struct tcp_header h;
        REQUIRE(bytes);
        for (size_t j = 0; j < len; j++)
            bytes[j] = (uint8_t)(random_below(&random, 3) ? random_below(&random, 12)
                                                          : random_u32(&random));
        if (len > 12)
            bytes[12] = (uint8_t)(random_below(&random, 16) << 4);
        enum drop drop = tcp_header_parse(&h, bytes, len, len);
        CHECK(drop == DROP_NONE || drop == DROP_TCP_TRUNCATED || drop == DROP_TCP_OPTIONS);
        if (drop == DROP_NONE) {
            good_cnt++;
            CHECK(h.header_len >= 20 && h.header_len <= len);
            CHECK(h.wscale <= 14 || h.wscale == TCP_WSCALE_NONE);
        }
        free(bytes);
    }
    CHECK_GT(good_cnt, 1000);
}

TEST_MAIN()
