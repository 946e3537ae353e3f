/* SPDX-License-Identifier: BSD-2-Clause */
/* wire/pcapng.c, read back by a small reader of our own. */
#include "base/bytes.h"
#include "base/random.h"
#include "test.h"
#include "wire/pcapng.h"

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

/* The value of option `code` between `p` and `end`; every option must be well-formed. */
static const uint8_t *find_option(const uint8_t *p, const uint8_t *end, uint16_t code,
                                  uint16_t *len)
{
    const uint8_t *found = NULL;
    for (;;) {
        REQUIRE(end - p >= 4);
        uint16_t this_len = get16(p + 2);
        if (get16(p) == 0) {
            CHECK_EQ(this_len, 0);
            CHECK(p + 4 == end);
            return found;
        }
        if (get16(p) == code) {
            found = p + 4;
            *len = this_len;
        }
        p += 4 + (this_len + 3) / 4 * 4;
        REQUIRE(p <= end);
    }
}

static void check_block(const uint8_t *block, size_t len, uint32_t type)
{
    CHECK_EQ(get32(block), type);
    CHECK_EQ(get32(block + 4), len);
    CHECK_EQ(get32(block + len - 4), len);
    CHECK_EQ(len % 4, 0);
}

TEST(pcapng_section_block)
{
    uint8_t out[200];
    uint16_t len;
    size_t total = pcapng_section(out, sizeof out, "lastack 0.1");
    check_block(out, total, 0x0a0d0d0a);
    CHECK_EQ(get32(out + 8), 0x1a2b3c4d);
    CHECK_EQ(get16(out + 12), 1);
    CHECK_EQ(get16(out + 14), 0);
    CHECK_EQ(get32(out + 16), UINT32_MAX);
    CHECK_EQ(get32(out + 20), UINT32_MAX);
    const uint8_t *name = find_option(out + 24, out + total - 4, 4, &len);
    REQUIRE(name != NULL);
    CHECK_EQ(len, 11);
    CHECK_MEM(name, "lastack 0.1", 11);
    CHECK_EQ(pcapng_section(out, total - 1, "lastack 0.1"), 0);
    CHECK_EQ(pcapng_section(out, sizeof out, NULL), 32);
}

TEST(pcapng_interface_block)
{
    uint8_t out[200];
    uint16_t len;
    size_t total = pcapng_interface(out, sizeof out, PCAPNG_LINK_RAW, "tun0");
    check_block(out, total, 1);
    CHECK_EQ(get16(out + 8), 101);
    CHECK_EQ(get32(out + 12), 0);
    const uint8_t *name = find_option(out + 16, out + total - 4, 2, &len);
    REQUIRE(name != NULL);
    CHECK_EQ(len, 4);
    CHECK_MEM(name, "tun0", 4);
    const uint8_t *resolution = find_option(out + 16, out + total - 4, 9, &len);
    REQUIRE(resolution != NULL);
    CHECK_EQ(len, 1);
    CHECK_EQ(*resolution, 9);
    CHECK_EQ(pcapng_interface(out, total - 1, PCAPNG_LINK_RAW, "tun0"), 0);
}

static void check_packet(size_t packet_len, size_t comment_len, int inbound)
{
    uint8_t packet[200], *out;
    char comment[300];
    uint16_t len;
    for (size_t i = 0; i < packet_len; i++)
        packet[i] = (uint8_t)(i * 7 + 1);
    memset(comment, 'x', comment_len);
    comment[comment_len] = '\0';
    struct iovec iov[3] = {{packet, packet_len / 3},
                           {packet + packet_len / 3, packet_len / 2},
                           {packet + packet_len / 3 + packet_len / 2,
                            packet_len - packet_len / 3 - packet_len / 2}};
    size_t want = pcapng_packet_len(packet_len, comment_len);
    out = malloc(want);
    REQUIRE(out);
    CHECK_EQ(pcapng_packet(out, want - 1, 0, 0, iov, 3, inbound, comment), 0);
    size_t total = pcapng_packet(out, want, 5, 0x123456789abcdef0u, iov, 3, inbound, comment);
    REQUIRE_EQ(total, want);
    check_block(out, total, 6);
    CHECK_EQ(get32(out + 8), 5);
    CHECK_EQ(get32(out + 12), 0x12345678u);
    CHECK_EQ(get32(out + 16), 0x9abcdef0u);
    CHECK_EQ(get32(out + 20), packet_len);
    CHECK_EQ(get32(out + 24), packet_len);
    CHECK_MEM(out + 28, packet, packet_len);
    const uint8_t *options = out + 28 + (packet_len + 3) / 4 * 4;
    const uint8_t *text = find_option(options, out + total - 4, 1, &len);
    CHECK_EQ(text != NULL, comment_len > 0);
    if (text != NULL) {
        CHECK_EQ(len, comment_len);
        CHECK_MEM(text, comment, comment_len);
    }
    const uint8_t *flags = find_option(options, out + total - 4, 2, &len);
    REQUIRE(flags != NULL);
    CHECK_EQ(len, 4);
    CHECK_EQ(get32(flags), inbound ? 1 : 2);
    free(out);
}

TEST(pcapng_packet_block_of_every_padding)
{
    for (size_t packet_len = 0; packet_len < 70; packet_len++)
        for (size_t comment_len = 0; comment_len < 9; comment_len++)
            check_packet(packet_len, comment_len, (int)(packet_len % 2));
    check_packet(200, 299, 1);
}

TEST(pcapng_packet_without_comment)
{
    uint8_t out[100];
    struct iovec iov = {(uint8_t[]){0x45}, 1};
    CHECK_EQ(pcapng_packet(out, sizeof out, 0, 1, &iov, 1, 0, NULL), pcapng_packet_len(1, 0));
    CHECK_EQ(pcapng_packet(out, sizeof out, 0, 1, NULL, 0, 0, NULL), pcapng_packet_len(0, 0));
}

/* A comment that does not fit its 16-bit length is cut, not wrapped. */
TEST(pcapng_packet_with_a_comment_that_is_too_long)
{
    const size_t comment_len = 70000, cap = 80000;
    char *comment = malloc(comment_len + 1);
    uint8_t *out = malloc(cap);
    uint16_t len;
    REQUIRE(comment && out);
    memset(comment, 'y', comment_len);
    comment[comment_len] = '\0';
    size_t total = pcapng_packet(out, cap, 0, 1, NULL, 0, 0, comment);
    REQUIRE(total > 65000 && total < cap);
    check_block(out, total, 6);
    REQUIRE(find_option(out + 28, out + total - 4, 1, &len) != NULL);
    CHECK_EQ(len, 65532);
    CHECK_GE(pcapng_packet_len(0, comment_len), total);
    free(comment);
    free(out);
}

TEST_MAIN()
