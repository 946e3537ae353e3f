/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the parsers in src/wire: whatever the bytes, nothing is read outside them, a
 * result that is good holds only legal values, and what is emitted from it parses to the same.
 *
 * The first byte of the input chooses the parser, so that each gets inputs of its own; 0 is a
 * whole packet that goes through all of them in the order of the stack.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/checksum.h"
#include "wire/icmp4.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

#define REQUIRE(cond) ((cond) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_tcp(const uint8_t *data, size_t len)
{
    struct tcp_header header, back;
    uint8_t out[TCP_HEADER_MAX];
    enum drop drop = tcp_header_parse(&header, data, len, len);
    REQUIRE(drop == DROP_NONE || drop == DROP_TCP_TRUNCATED || drop == DROP_TCP_OPTIONS);
    if (drop != DROP_NONE)
        return;
    REQUIRE(header.header_len >= TCP_HEADER_LEN && header.header_len <= len);
    REQUIRE(header.wscale <= TCP_WSCALE_MAX || header.wscale == TCP_WSCALE_NONE);
    for (int linux_order = 0; linux_order < 2; linux_order++) {
        size_t out_len = tcp_header_emit(out, &header, linux_order);
        REQUIRE(out_len <= sizeof out && out_len % 4 == 0);
        REQUIRE(tcp_header_parse(&back, out, out_len, out_len) == DROP_NONE);
        REQUIRE(back.seq == header.seq && back.ack == header.ack && back.flags == header.flags &&
                back.wnd == header.wnd && back.up == header.up && back.mss == header.mss &&
                back.wscale == header.wscale && back.sack_permitted == header.sack_permitted &&
                back.timestamp == header.timestamp && back.ts_val == header.ts_val &&
                back.ts_ecr == header.ts_ecr && back.source_port == header.source_port &&
                back.destination_port == header.destination_port);
    }
}

static void fuzz_quote(const uint8_t *data, size_t len)
{
    struct icmp4 error = {.type = ICMP4_UNREACHABLE, .payload = data, .payload_len = len};
    struct icmp4_quote quote;
    enum drop drop = icmp4_parse_quote(&quote, &error);
    REQUIRE(drop == DROP_NONE || drop == DROP_ICMP_TRUNCATED);
    REQUIRE(drop != DROP_NONE || (quote.ip.header_len >= IP4_HEADER_LEN &&
                                  (size_t)quote.ip.header_len + 8 <= len));
}

static void fuzz_icmp(const uint8_t *data, size_t len)
{
    struct icmp4 icmp, back;
    enum drop drop = icmp4_parse(&icmp, data, len);
    REQUIRE(drop == DROP_NONE || drop == DROP_ICMP_TRUNCATED || drop == DROP_ICMP_CHECKSUM);
    if (drop != DROP_NONE)
        return;
    REQUIRE(icmp.payload == data + ICMP4_HEADER_LEN && icmp.payload_len + ICMP4_HEADER_LEN == len);
    uint8_t *again = malloc(len);
    REQUIRE(again != NULL);
    memcpy(again, data, len);
    icmp4_emit(again, &icmp, icmp.payload_len);
    REQUIRE(icmp4_parse(&back, again, len) == DROP_NONE);
    REQUIRE(back.type == icmp.type && back.code == icmp.code && back.rest == icmp.rest);
    free(again);
    fuzz_quote(icmp.payload, icmp.payload_len);
}

static void fuzz_ip(const uint8_t *data, size_t len)
{
    struct ip4 ip, back;
    uint8_t out[IP4_HEADER_LEN];
    enum drop drop = ip4_parse(&ip, data, len, len);
    REQUIRE(drop == DROP_NONE || (drop >= DROP_IP_TRUNCATED && drop <= DROP_FRAGMENT_BAD));
    if (drop != DROP_NONE)
        return;
    REQUIRE(ip.header_len >= IP4_HEADER_LEN && ip.header_len <= ip.total_len);
    REQUIRE(ip.total_len <= len && ip.fragment_offset % 8 == 0);
    REQUIRE(address_is_ip4(&ip.source) && address_is_ip4(&ip.destination));
    size_t payload_len = (size_t)ip.total_len - ip.header_len;
    ip.total_len = (uint16_t)(IP4_HEADER_LEN + payload_len); /* options are not emitted */
    ip4_emit(out, &ip);
    REQUIRE(ip4_parse(&back, out, sizeof out, len) == DROP_NONE);
    REQUIRE(back.total_len == ip.total_len && back.protocol == ip.protocol &&
            back.fragment_offset == ip.fragment_offset &&
            back.more_fragments == ip.more_fragments &&
            address_equal(&back.source, &ip.source) &&
            address_equal(&back.destination, &ip.destination));
    if (ip.protocol == IP_PROTOCOL_TCP)
        fuzz_tcp(data + ip.header_len, payload_len);
    else if (ip.protocol == IP_PROTOCOL_ICMP)
        fuzz_icmp(data + ip.header_len, payload_len);
}

/* Random inputs seldom have a right checksum: make it right, as a sender would. */
static void fuzz_ip_mended(uint8_t *data, size_t len)
{
    size_t header_len = len > 0 ? (size_t)(data[0] & 0x0f) * 4 : 0;
    if (header_len >= IP4_HEADER_LEN && header_len <= len) {
        memset(data + 10, 0, 2);
        uint16_t sum = checksum_finish(checksum_sum(data, header_len));
        memcpy(data + 10, &sum, 2);
    }
    fuzz_ip(data, len);
}

static void fuzz_icmp_mended(uint8_t *data, size_t len)
{
    if (len >= ICMP4_HEADER_LEN) {
        memset(data + 2, 0, 2);
        uint16_t sum = checksum_finish(checksum_sum(data, len));
        memcpy(data + 2, &sum, 2);
    }
    fuzz_icmp(data, len);
}

static void fuzz_checksum(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + !len);
    REQUIRE(copy != NULL);
    uint16_t want = checksum_sum_naive(data, len);
    REQUIRE(checksum_sum(data, len) == want && checksum_sum_portable(data, len) == want);
    REQUIRE(checksum_copy(copy, data, len) == want && memcmp(copy, data, len) == 0);
    size_t cut = len > 0 ? data[0] % (len + 1) : 0;
    REQUIRE(checksum_join(checksum_sum(data, cut), cut, checksum_sum(data + cut, len - cut)) ==
            want);
    free(copy);
}

static void fuzz_address(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1), written[LASTACK_ADDRESS_TEXT];
    struct lastack_address address;
    REQUIRE(text != NULL);
    memcpy(text, data, len);
    text[len] = '\0';
    if (lastack_address_parse(&address, text) == 0)
        REQUIRE(strcmp(lastack_address_text(&address, written), text) == 0);
    free(text);
    if (len >= sizeof address) {
        memcpy(&address, data, sizeof address);
        REQUIRE(strlen(lastack_address_text(&address, written)) < LASTACK_ADDRESS_TEXT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = size - 1;
    /* A block of exactly this size, so that a read past its end is seen. */
    uint8_t *exact = malloc(len + !len);
    REQUIRE(exact != NULL);
    memcpy(exact, data + 1, len);
    switch (data[0] % 8) {
    case 0:
        fuzz_ip_mended(exact, len);
        break;
    case 1:
        fuzz_ip(exact, len);
        break;
    case 2:
        fuzz_tcp(exact, len);
        break;
    case 3:
        fuzz_icmp_mended(exact, len);
        break;
    case 4:
        fuzz_icmp(exact, len);
        break;
    case 5:
        fuzz_quote(exact, len);
        break;
    case 6:
        fuzz_checksum(exact, len);
        break;
    default:
        fuzz_address(exact, len);
        break;
    }
    free(exact);
    return 0;
}
