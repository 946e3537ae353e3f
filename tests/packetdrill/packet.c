/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4, TCP and ICMP headers, read and written independently of the stack under test. */
#include <string.h>

#include "packet.h"

#define IP_LEN 20
#define TCP_LEN 20
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6

uint32_t packet_sum(uint32_t sum, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += get16(data + i);
    if (len & 1)
        sum += (uint32_t)data[len - 1] << 8;
    return (sum & 0xffff) + (sum >> 16);
}

uint16_t packet_fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Checksum over the pseudo header and the segment. */
static uint16_t tcp_checksum(const uint8_t *ip, const uint8_t *tcp, size_t len)
{
    uint32_t sum = packet_sum(PROTOCOL_TCP + (uint32_t)len, ip + 12, 8);

    return packet_fold(packet_sum(sum, tcp, len));
}

static const char *view_tcp(struct packet_view *view, const uint8_t *ip)
{
    const uint8_t *tcp = view->l4;
    size_t header_len;

    if (view->l4_len < TCP_LEN)
        return "TCP header is cut off";
    header_len = (size_t)(tcp[12] >> 4) * 4;
    if (header_len < TCP_LEN || header_len > view->l4_len)
        return "TCP header length is wrong";
    if (tcp_checksum(ip, tcp, view->l4_len))
        return "TCP checksum is wrong";
    if (tcp[12] & 0x0f)
        return "reserved bits of the TCP header are set";
    view->tcp = true;
    view->source_port = get16(tcp);
    view->destination_port = get16(tcp + 2);
    view->seq = get32(tcp + 4);
    view->ack = get32(tcp + 8);
    view->flags = tcp[13];
    view->win = get16(tcp + 14);
    view->urg = get16(tcp + 18);
    view->options = tcp + TCP_LEN;
    view->options_len = header_len - TCP_LEN;
    view->payload = tcp + header_len;
    view->payload_len = view->l4_len - header_len;
    return NULL;
}

static const char *view_icmp(struct packet_view *view)
{
    if (view->l4_len < 8)
        return "ICMP header is cut off";
    if (packet_fold(packet_sum(0, view->l4, view->l4_len)))
        return "ICMP checksum is wrong";
    view->icmp = true;
    view->icmp_type = view->l4[0];
    view->icmp_code = view->l4[1];
    return NULL;
}

const char *packet_view(struct packet_view *view, const uint8_t *packet, size_t len)
{
    memset(view, 0, sizeof(*view));
    if (len < IP_LEN || packet[0] != 0x45)
        return "not an IPv4 header of 20 bytes";
    if (get16(packet + 2) != len)
        return "IP total length is not that of the packet";
    if (packet_fold(packet_sum(0, packet, IP_LEN)))
        return "IP header checksum is wrong";
    if (get16(packet + 6) & 0x3fff)
        return "a fragment";
    view->tos = packet[1];
    view->dont_fragment = packet[6] & 0x40;
    view->ttl = packet[8];
    view->protocol = packet[9];
    view->source = get32(packet + 12);
    view->destination = get32(packet + 16);
    view->l4 = packet + IP_LEN;
    view->l4_len = len - IP_LEN;
    if (view->protocol == PROTOCOL_TCP)
        return view_tcp(view, packet);
    if (view->protocol == PROTOCOL_ICMP)
        return view_icmp(view);
    return "neither TCP nor ICMP";
}

bool packet_option_next(const uint8_t *options, size_t len, size_t *at,
                        struct packet_option *option, bool *bad)
{
    size_t left = len - *at;
    const uint8_t *p = options + *at;

    *option = (struct packet_option){0};
    if (!left)
        return false;
    option->kind = p[0];
    if (option->kind <= 1) {
        option->len = 1;
    } else if (left < 2 || p[1] < 2 || p[1] > left) {
        *bad = true;
        return false;
    } else {
        option->len = p[1];
        option->data = p + 2;
    }
    *at += option->len;
    return true;
}

static void put_ip(uint8_t *out, uint32_t source, uint32_t destination, uint8_t tos, uint8_t ttl,
                   uint8_t protocol, size_t len)
{
    memset(out, 0, IP_LEN);
    out[0] = 0x45;
    out[1] = tos;
    put16(out + 2, (uint16_t)len);
    out[8] = ttl ? ttl : 255;
    out[9] = protocol;
    put32(out + 12, source);
    put32(out + 16, destination);
    put16(out + 10, packet_fold(packet_sum(0, out, IP_LEN)));
}

size_t packet_tcp(uint8_t *out, const struct packet_fields *fields)
{
    size_t header_len = TCP_LEN + fields->options_len;
    size_t l4_len = header_len + fields->payload_len;
    uint8_t *tcp = out + IP_LEN;

    put_ip(out, fields->source, fields->destination, fields->tos, fields->ttl, PROTOCOL_TCP,
           IP_LEN + l4_len);
    memset(tcp, 0, l4_len);
    put16(tcp, fields->source_port);
    put16(tcp + 2, fields->destination_port);
    put32(tcp + 4, fields->seq);
    put32(tcp + 8, fields->ack);
    tcp[12] = (uint8_t)(header_len / 4 << 4);
    tcp[13] = fields->flags;
    put16(tcp + 14, fields->win);
    put16(tcp + 18, fields->urg);
    if (fields->options_len)
        memcpy(tcp + TCP_LEN, fields->options, fields->options_len);
    put16(tcp + 16, tcp_checksum(out, tcp, l4_len));
    return IP_LEN + l4_len;
}

size_t packet_icmp(uint8_t *out, uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
                   uint32_t rest, const struct packet_fields *echoed)
{
    uint8_t *icmp = out + IP_LEN;
    size_t l4_len = 8;

    memset(icmp, 0, 8 + IP_LEN + 8);
    icmp[0] = type;
    icmp[1] = code;
    put32(icmp + 4, rest);
    if (echoed) {
        uint8_t *tcp = icmp + 8 + IP_LEN;

        put_ip(icmp + 8, echoed->source, echoed->destination, 0, 64, PROTOCOL_TCP,
               IP_LEN + TCP_LEN + echoed->payload_len);
        put16(tcp, echoed->source_port);
        put16(tcp + 2, echoed->destination_port);
        put32(tcp + 4, echoed->seq);
        l4_len = 8 + IP_LEN + 8;
    }
    put_ip(out, source, destination, 0, 0, PROTOCOL_ICMP, IP_LEN + l4_len);
    put16(icmp + 2, packet_fold(packet_sum(0, icmp, l4_len)));
    return IP_LEN + l4_len;
}
