/* SPDX-License-Identifier: BSD-2-Clause */
/* The outside judge of packets notices each kind of misbehaviour, and leaves good ones alone. */
#include "test.h"

#include "packet.h"
#include "watch.h"

#define US 0xc0a80001u
#define PEER 0xc0000201u

static struct watch watch;
static uint8_t bytes[2000];
static const uint8_t mss_1460[] = {2, 4, 5, 180};
static const uint8_t mss_100[] = {2, 4, 0, 100};

static struct packet_fields out_fields(uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
    return (struct packet_fields){.source = US, .destination = PEER, .source_port = 80,
                                  .destination_port = 5000, .seq = seq, .ack = ack,
                                  .flags = flags, .win = 1000, .payload_len = len};
}

static struct packet_fields in_fields(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t win)
{
    return (struct packet_fields){.source = PEER, .destination = US, .source_port = 5000,
                                  .destination_port = 80, .seq = seq, .ack = ack, .flags = flags,
                                  .win = win};
}

static bool out(const struct packet_fields *fields)
{
    return watch_out(&watch, bytes, packet_tcp(bytes, fields));
}

static void in(const struct packet_fields *fields)
{
    watch_in(&watch, bytes, packet_tcp(bytes, fields));
}

/* A passive handshake: ours starts at 1000, the peer's at 0; the peer takes 500 bytes, MSS 100. */
static void handshake(void)
{
    struct packet_fields fields = in_fields(FLAG_SYN, 0, 0, 500);

    watch_init(&watch, 1500);
    fields.options = mss_100;
    fields.options_len = 4;
    in(&fields);
    fields = out_fields(FLAG_SYN | FLAG_ACK, 1000, 1, 0);
    fields.options = mss_1460;
    fields.options_len = 4;
    if (!out(&fields)) {
        FAIL("good SYN-ACK: %s", watch.fault);
        test_leave();
    }
    fields = in_fields(FLAG_ACK, 1, 1001, 500);
    in(&fields);
}

static void is_good(const struct packet_fields *fields)
{
    if (!out(fields))
        FAIL("good packet refused: %s", watch.fault);
}

static void is_bad(const struct packet_fields *fields, const char *why)
{
    if (out(fields))
        FAIL("not noticed: %s", why);
    else if (!strstr(watch.fault, why))
        FAIL("wrong reason: %s, expected %s", watch.fault, why);
    watch.fault[0] = 0;
}

TEST(a_good_conversation)
{
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_ACK | FLAG_PSH, 1001, 1, 100);
    is_good(&fields);
    is_good(&fields); /* a retransmission */
    fields = in_fields(FLAG_ACK, 1, 1101, 500);
    in(&fields);
    fields = out_fields(FLAG_ACK | FLAG_FIN, 1101, 1, 0);
    is_good(&fields);
    is_good(&fields);
    fields = out_fields(FLAG_RST, 1102, 0, 0);
    is_good(&fields);
}

TEST(checksums)
{
    struct packet_fields fields;
    size_t len;

    handshake();
    fields = out_fields(FLAG_ACK, 1001, 1, 10);
    len = packet_tcp(bytes, &fields);
    bytes[len - 1] ^= 1;
    CHECK(!watch_out(&watch, bytes, len));
    CHECK(strstr(watch.fault, "TCP checksum"));
    watch.fault[0] = 0;
    bytes[len - 1] ^= 1;
    bytes[8] ^= 1;
    CHECK(!watch_out(&watch, bytes, len));
    CHECK(strstr(watch.fault, "IP header checksum"));
}

TEST(flags)
{
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_SYN | FLAG_FIN, 1001, 0, 0);
    is_bad(&fields, "SYN with FIN");
    fields = out_fields(FLAG_RST | FLAG_ACK, 1001, 1, 3);
    is_bad(&fields, "RST with data");
    fields = out_fields(FLAG_PSH, 1001, 0, 3);
    is_bad(&fields, "neither SYN, RST nor ACK");
    fields = out_fields(FLAG_RST, 1001, 5, 0);
    is_bad(&fields, "acknowledgment number without ACK");
    fields = out_fields(FLAG_ACK, 1001, 1, 0);
    fields.urg = 3;
    is_bad(&fields, "urgent pointer without URG");
}

TEST(options)
{
    static const uint8_t wscale[] = {2, 4, 5, 180, 1, 3, 3, 7};
    static const uint8_t mss_9000[] = {2, 4, 35, 40};
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_ACK, 1001, 1, 0);
    fields.options = mss_1460;
    fields.options_len = 4;
    is_bad(&fields, "only belongs on a SYN");
    fields = out_fields(FLAG_SYN | FLAG_ACK, 1000, 1, 0);
    fields.options = wscale;
    fields.options_len = 8;
    is_bad(&fields, "though the SYN had none");
    fields.options = mss_9000;
    fields.options_len = 4;
    is_bad(&fields, "larger than the MTU");
    fields.options_len = 0;
    is_bad(&fields, "without MSS option");
}

TEST(sequence)
{
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_ACK, 1002, 1, 1);
    is_bad(&fields, "jumps ahead");
    fields = out_fields(FLAG_ACK, 999, 1, 1);
    is_bad(&fields, "which is acknowledged");
    fields = out_fields(FLAG_ACK, 1001, 1, 101);
    is_bad(&fields, "peer's MSS");
    for (uint32_t i = 0; i < 5; i++) {
        fields = out_fields(FLAG_ACK, 1001 + 100 * i, 1, 100);
        is_good(&fields);
    }
    fields = out_fields(FLAG_ACK, 1501, 1, 1); /* a probe of the closed window */
    is_good(&fields);
    fields = out_fields(FLAG_ACK, 1502, 1, 1);
    is_bad(&fields, "beyond the peer's window");
}

TEST(fin_is_the_last)
{
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_ACK | FLAG_FIN, 1001, 1, 0);
    is_good(&fields);
    fields = out_fields(FLAG_ACK, 1002, 1, 1);
    is_bad(&fields, "after our FIN");
}

TEST(acknowledgments_only_grow)
{
    struct packet_fields fields;

    handshake();
    fields = out_fields(FLAG_ACK, 1001, 101, 0);
    is_good(&fields);
    fields = out_fields(FLAG_ACK, 1001, 100, 0);
    is_bad(&fields, "acknowledges less");
    fields = out_fields(FLAG_ACK, 1001, 201, 0);
    fields.win = 899;
    is_bad(&fields, "window shrinks");
}

TEST_MAIN()
