/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet lines: `< S 0:0(0) win 65535 <mss 1460>`, `> . 1:1(0) ack 1`, `< icmp unreachable ...`. */
#include <stdio.h>
#include <string.h>

#include "packet.h"
#include "parse.h"

static const struct {
    char letter;
    uint8_t flag;
} letters[] = {{'F', FLAG_FIN}, {'S', FLAG_SYN}, {'R', FLAG_RST}, {'P', FLAG_PSH},
               {'.', FLAG_ACK}, {'U', FLAG_URG}, {'E', FLAG_ECE}, {'W', FLAG_CWR}};

static bool parse_flags(struct parser *parser, uint8_t *flags)
{
    if (parser_take_sign(parser, '-'))
        return true;
    if (parser->token.kind == TOKEN_WORD) {
        for (const char *c = parser->token.text; *c; c++) {
            size_t i = 0;

            while (i < 8 && letters[i].letter != *c)
                i++;
            if (i == 8)
                return parser_fail(parser, "'%c' is not a TCP flag (FSRP.UEW)", *c);
            if (*flags & letters[i].flag)
                return parser_fail(parser, "TCP flag '%c' twice", *c);
            *flags |= letters[i].flag;
        }
        parser_next(parser);
        if (parser_take_sign(parser, '.'))
            *flags |= FLAG_ACK;
        return !parser->failed;
    }
    if (!parser_need_sign(parser, '.'))
        return false;
    *flags |= FLAG_ACK;
    return true;
}

/* seq:end(len) */
static bool parse_seq(struct parser *parser, uint32_t *seq, uint32_t *len)
{
    int64_t start, end, size;

    if (!parser_need_int(parser, 0, UINT32_MAX, &start) || !parser_need_sign(parser, ':') ||
        !parser_need_int(parser, 0, UINT32_MAX, &end) || !parser_need_sign(parser, '(') ||
        !parser_need_int(parser, 0, 65535, &size))
        return false;
    if (end != start + size)
        return parser_fail(parser, "%lld:%lld is not %lld bytes", (long long)start, (long long)end,
                           (long long)size);
    *seq = (uint32_t)start;
    *len = (uint32_t)size;
    return parser_need_sign(parser, ')');
}

/* ---- options -------------------------------------------------------------- */

static bool put_option(struct parser *parser, struct packet_spec *packet, const uint8_t *bytes,
                       size_t len)
{
    if (packet->options_len + len > OPTIONS_MAX)
        return parser_fail(parser, "more than 40 bytes of TCP options");
    memcpy(packet->options + packet->options_len, bytes, len);
    packet->options_len += len;
    return true;
}

static bool parse_timestamp(struct parser *parser, struct packet_spec *packet)
{
    uint8_t bytes[10] = {8, 10};
    int64_t val, ecr;

    if (!parser_take_word(parser, "val") || !parser_need_int(parser, 0, UINT32_MAX, &val) ||
        !parser_take_word(parser, "ecr") || !parser_need_int(parser, 0, UINT32_MAX, &ecr))
        return parser_fail(parser, "expected TS val NUMBER ecr NUMBER");
    put32(bytes + 2, (uint32_t)val);
    put32(bytes + 6, (uint32_t)ecr);
    return put_option(parser, packet, bytes, 10);
}

static bool parse_sack(struct parser *parser, struct packet_spec *packet)
{
    uint8_t bytes[34] = {5, 2};
    int64_t left, right;

    while (parser->token.kind == TOKEN_INT && bytes[1] < 34) {
        if (!parser_need_int(parser, 0, UINT32_MAX, &left) || !parser_need_sign(parser, ':') ||
            !parser_need_int(parser, 0, UINT32_MAX, &right))
            return false;
        put32(bytes + bytes[1], (uint32_t)left);
        put32(bytes + bytes[1] + 4, (uint32_t)right);
        bytes[1] += 8;
    }
    return put_option(parser, packet, bytes, bytes[1]);
}

static bool parse_tcp_option(struct parser *parser, struct packet_spec *packet)
{
    uint8_t bytes[4] = {0};
    int64_t value;

    if (parser_take_word(parser, "nop")) {
        bytes[0] = 1;
        return put_option(parser, packet, bytes, 1);
    }
    if (parser_take_word(parser, "eol"))
        return put_option(parser, packet, bytes, 1);
    if (parser_take_word(parser, "mss")) {
        if (!parser_need_int(parser, 0, 65535, &value))
            return false;
        bytes[0] = 2;
        bytes[1] = 4;
        put16(bytes + 2, (uint16_t)value);
        return put_option(parser, packet, bytes, 4);
    }
    if (parser_take_word(parser, "wscale")) {
        if (!parser_need_int(parser, 0, 255, &value))
            return false;
        bytes[0] = 3;
        bytes[1] = 3;
        bytes[2] = (uint8_t)value;
        return put_option(parser, packet, bytes, 3);
    }
    if (parser_take_word(parser, "sackOK")) {
        bytes[0] = 4;
        bytes[1] = 2;
        return put_option(parser, packet, bytes, 2);
    }
    if (parser_take_word(parser, "sack"))
        return parse_sack(parser, packet);
    if (parser_take_word(parser, "TS"))
        return parse_timestamp(parser, packet);
    return parser_fail(parser, "unknown TCP option '%s'", parser->token.text);
}

static bool parse_tcp_options(struct parser *parser, struct packet_spec *packet)
{
    if (!parser_take_sign(parser, '<'))
        return true;
    if (parser->token.kind == TOKEN_ELLIPSIS) {
        if (!packet->outbound)
            return parser_fail(parser, "<...> only goes with outbound packets");
        packet->options_any = true;
        parser_next(parser);
        return parser_need_sign(parser, '>');
    }
    do {
        if (!parse_tcp_option(parser, packet))
            return false;
    } while (parser_take_sign(parser, ','));
    if (packet->options_len & 3)
        return parser_fail(parser, "TCP options of %zu bytes: not a multiple of 4",
                           packet->options_len);
    return parser_need_sign(parser, '>');
}

/* ---- ICMP ----------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t type;
} icmp_types[] = {{"echo_reply", 0},        {"unreachable", 3},   {"source_quench", 4},
                  {"redirect", 5},          {"echo_request", 8},  {"time_exceeded", 11},
                  {"parameter_problem", 12}};

static const char *const icmp_codes[] = {
    "net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable",
    "frag_needed", "source_route_failed", "net_unknown", "host_unknown", "source_host_isolated",
    "net_prohibited", "host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos",
    "packet_filtered", "precedence_violation", "precedence_cutoff"};

static bool parse_icmp_code(struct parser *parser, struct packet_spec *packet)
{
    if (packet->icmp_type != 3 || parser->token.kind != TOKEN_WORD)
        return true;
    for (uint8_t i = 0; i < sizeof(icmp_codes) / sizeof(icmp_codes[0]); i++)
        if (parser_take_word(parser, icmp_codes[i])) {
            packet->icmp_code = i;
            return !parser->failed;
        }
    return parser_fail(parser, "unknown ICMP code '%s'", parser->token.text);
}

static bool parse_icmp(struct parser *parser, struct packet_spec *packet)
{
    int64_t value;
    size_t i = 0, cnt = sizeof(icmp_types) / sizeof(icmp_types[0]);

    packet->icmp = true;
    while (i < cnt && !parser_is_word(parser, icmp_types[i].name))
        i++;
    if (i == cnt)
        return parser_fail(parser, "unknown ICMP type '%s'", parser->token.text);
    packet->icmp_type = icmp_types[i].type;
    parser_next(parser);
    if (!parse_icmp_code(parser, packet))
        return false;
    if (parser_take_word(parser, "mtu")) {
        if (!parser_need_int(parser, 0, 65535, &value))
            return false;
        packet->icmp_mtu = (uint16_t)value;
    }
    if (parser_take_word(parser, "id")) {
        if (!parser_need_int(parser, 0, 65535, &value))
            return false;
        packet->icmp_id = (uint16_t)value;
    }
    packet->icmp_error = packet->icmp_type != 0 && packet->icmp_type != 8;
    if (!parser_take_sign(parser, '['))
        return !parser->failed;
    return parse_seq(parser, &packet->seq, &packet->payload_len) && parser_need_sign(parser, ']');
}

/* ---- TCP ------------------------------------------------------------------ */

static bool parse_ip_info(struct parser *parser, struct packet_spec *packet)
{
    static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
    char close = parser_is_sign(parser, '(') ? ')' : ']';
    int64_t value;

    if (!parser_take_sign(parser, '(') && !parser_take_sign(parser, '['))
        return true;
    for (int i = 0; i < 4; i++)
        if (parser_take_word(parser, ecn[i])) {
            packet->tos = i;
            return parser_need_sign(parser, close);
        }
    if (parser_take_word(parser, "tos")) {
        if (!parser_need_int(parser, 0, 255, &value))
            return false;
        packet->tos = (int)value;
    } else if (parser_take_word(parser, "ttl")) {
        if (!parser_need_int(parser, 0, 255, &value))
            return false;
        packet->ttl = (int)value;
    } else {
        return parser_fail(parser, "unknown IP property '%s'", parser->token.text);
    }
    return parser_need_sign(parser, close);
}

static bool parse_ports(struct parser *parser, struct packet_spec *packet)
{
    int64_t source, destination;

    if (parser->token.kind != TOKEN_INT)
        return true;
    if (!parser_need_int(parser, 0, 65535, &source) || !parser_need_sign(parser, '>') ||
        !parser_need_int(parser, 0, 65535, &destination))
        return false;
    packet->source_port = (uint16_t)source;
    packet->destination_port = (uint16_t)destination;
    return true;
}

static bool parse_tcp(struct parser *parser, struct packet_spec *packet)
{
    int64_t value;

    if (!parse_ports(parser, packet) || !parse_flags(parser, &packet->flags) ||
        !parse_seq(parser, &packet->seq, &packet->payload_len))
        return false;
    if (parser_take_word(parser, "ack")) {
        if (!parser_need_int(parser, 0, UINT32_MAX, &value))
            return false;
        packet->ack = (uint32_t)value;
    }
    packet->win = -1;
    if (parser_take_word(parser, "win")) {
        if (!parser_need_int(parser, 0, 65535, &value))
            return false;
        packet->win = (int32_t)value;
    }
    if (packet->win < 0 && !packet->outbound)
        return parser_fail(parser, "an inbound segment needs its win");
    if (parser_take_word(parser, "urg")) {
        if (!parser_need_int(parser, 0, 65535, &value))
            return false;
        packet->urg = (uint16_t)value;
    }
    return parse_tcp_options(parser, packet);
}

bool parse_packet(struct parser *parser, struct packet_spec *packet)
{
    packet->outbound = parser_is_sign(parser, '>');
    packet->tos = packet->ttl = packet->win = -1;
    parser_next(parser);
    if (!parse_ip_info(parser, packet))
        return false;
    if (parser_take_word(parser, "icmp"))
        return parse_icmp(parser, packet);
    return parse_tcp(parser, packet);
}
