/* SPDX-License-Identifier: BSD-2-Clause */
/* IPv4 and TCP read with the simulator's own eyes: nothing here is shared with the engine, so
 * that a mistake in the engine's parser cannot hide one in its emitter. */
#include "sim.h"

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

static uint32_t sum_words(uint32_t sum, const uint8_t *p, size_t len)
{
    uint64_t wide = sum;
    for (; len >= 4; p += 4, len -= 4)
        wide += get32(p);
    if (len >= 2) {
        wide += get16(p);
        p += 2;
        len -= 2;
    }
    if (len)
        wide += (uint32_t)p[0] << 8;
    while (wide >> 16)
        wide = (wide & 0xffff) + (wide >> 16);
    return (uint32_t)wide;
}

static uint32_t pseudo_sum(const uint8_t *ip, size_t tcp_len)
{
    return sum_words(6 + (uint32_t)tcp_len, ip + 12, 8);
}

static const char *options_parse(struct packet_view *view, const uint8_t *p, size_t len)
{
    view->wscale = -1;
    view->mss = 0;
    for (size_t i = 0; i < len;) {
        if (p[i] == 0)
            return NULL;
        if (p[i] == 1) {
            i++;
            continue;
        }
        if (i + 1 >= len || p[i + 1] < 2 || i + p[i + 1] > len)
            return "TCP option runs past the header";
        if (p[i] == 2 && p[i + 1] != 4)
            return "MSS option of a wrong length";
        if ((p[i] == 2 || p[i] == 3) && !(view->flags & F_SYN))
            return "MSS or window scale on a segment that is no SYN";
        if (p[i] == 2)
            view->mss = get16(p + i + 2);
        if (p[i] == 3)
            view->wscale = p[i + 2];
        if (p[i] == 3 && (p[i + 1] != 3 || p[i + 2] > 14))
            return "window scale option is wrong";
        i += p[i + 1];
    }
    return NULL;
}

static const char *tcp_parse(struct packet_view *view, const uint8_t *ip, const uint8_t *p,
                             size_t len, bool checksum_free)
{
    if (len < 20)
        return "segment is shorter than its header";
    size_t header_len = (size_t)(p[12] >> 4) * 4;
    if (header_len < 20 || header_len > len)
        return "TCP header length is wrong";
    if (!checksum_free && sum_words(pseudo_sum(ip, len), p, len) != 0xffff)
        return "TCP checksum is wrong";
    view->is_tcp = true;
    view->source_port = get16(p);
    view->destination_port = get16(p + 2);
    view->seq = get32(p + 4);
    view->ack = get32(p + 8);
    view->flags = p[13];
    view->window = get16(p + 14);
    view->payload = p + header_len;
    view->payload_len = (uint32_t)(len - header_len);
    if (p[12] & 0x0f)
        return "reserved bits of the TCP header are set";
    return options_parse(view, p + 20, header_len - 20);
}

const char *packet_parse(struct packet_view *view, const uint8_t *data, size_t len,
                         bool checksum_free)
{
    *view = (struct packet_view){.wscale = -1, .genuine = true};
    if (len < 20 || data[0] != 0x45)
        return "not an IPv4 header without options";
    if (get16(data + 2) != len)
        return "IP total length is not the frame's";
    if (sum_words(0, data, 20) != 0xffff)
        return "IP header checksum is wrong";
    if (get16(data + 6) & 0x3fff)
        return "fragment";
    if (data[8] == 0)
        return "time to live is 0";
    view->protocol = data[9];
    view->source = get32(data + 12);
    view->destination = get32(data + 16);
    if (view->protocol != 6)
        return NULL;
    return tcp_parse(view, data, data + 20, len - 20, checksum_free);
}

size_t packet_make(uint8_t *out, const struct packet_view *view)
{
    size_t tcp_len = 20 + view->payload_len;
    memset(out, 0, 40);
    out[0] = 0x45;
    put16(out + 2, (uint32_t)(20 + tcp_len));
    out[8] = 64;
    out[9] = 6;
    put32(out + 12, view->source);
    put32(out + 16, view->destination);
    put16(out + 10, ~sum_words(0, out, 20) & 0xffff);
    uint8_t *tcp = out + 20;
    put16(tcp, view->source_port);
    put16(tcp + 2, view->destination_port);
    put32(tcp + 4, view->seq);
    put32(tcp + 8, view->ack);
    tcp[12] = 0x50;
    tcp[13] = view->flags;
    put16(tcp + 14, view->window);
    if (view->payload_len)
        memcpy(tcp + 20, view->payload, view->payload_len);
    put16(tcp + 16, ~sum_words(pseudo_sum(out, tcp_len), tcp, tcp_len) & 0xffff);
    return 20 + tcp_len;
}

size_t packet_cut(uint8_t *out, const uint8_t *whole, size_t whole_len, size_t from, size_t len)
{
    bool more = 20 + from + len < whole_len;
    memcpy(out, whole, 20);
    memcpy(out + 20, whole + 20 + from, len);
    put16(out + 2, (uint32_t)(20 + len));
    put16(out + 6, (uint32_t)(from / 8) | (more ? 0x2000 : 0));
    put16(out + 10, 0);
    put16(out + 10, ~sum_words(0, out, 20) & 0xffff);
    return 20 + len;
}
