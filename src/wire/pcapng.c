/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcapng blocks. Every block is: type, total length, body, options, total length again; all
 * parts are padded to 4 bytes. The byte order is the writer's own, told by the section's magic.
 */
#include "wire/pcapng.h"

#include <string.h>

#include "base/bytes.h"

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6, /* "enhanced packet" */
};
enum {
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_SECTION_APPLICATION = 4,
    OPTION_INTERFACE_NAME = 2,
    OPTION_INTERFACE_RESOLUTION = 9,
    OPTION_PACKET_FLAGS = 2,
};
enum {
    OPTION_HEAD_LEN = 4,
    BLOCK_FRAME_LEN = 12, /* type and the two lengths */
    SECTION_BODY_LEN = 16,
    INTERFACE_BODY_LEN = 8,
    PACKET_BODY_LEN = 20,
    FLAG_INBOUND = 1,
    FLAG_OUTBOUND = 2,
};

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

/* Options count their length in 16 bits. */
static size_t option_text_len(const char *text)
{
    return text == NULL ? 0 : MIN(strlen(text), UINT16_MAX - 3);
}

/* Bytes of an option with a text of `len` bytes; an empty one is left out. */
static size_t option_len(size_t len)
{
    return len == 0 ? 0 : OPTION_HEAD_LEN + padded(len);
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint8_t *put_padding(uint8_t *p, size_t len)
{
    memset(p, 0, padded(len) - len);
    return p + (padded(len) - len);
}

static uint8_t *put_option(uint8_t *p, uint16_t code, const void *value, size_t len)
{
    if (len == 0)
        return p;
    p = put16(p, code);
    p = put16(p, (uint16_t)len);
    memcpy(p, value, len);
    return put_padding(p + len, len);
}

static uint8_t *put_head(uint8_t *p, uint32_t type, size_t total_len)
{
    p = put32(p, type);
    return put32(p, (uint32_t)total_len);
}

static void put_end(uint8_t *p, size_t total_len)
{
    p = put32(p, OPTION_END);
    put32(p, (uint32_t)total_len);
}

size_t pcapng_section(uint8_t *out, size_t cap, const char *application)
{
    size_t text_len = option_text_len(application);
    size_t total = BLOCK_FRAME_LEN + SECTION_BODY_LEN + option_len(text_len) + OPTION_HEAD_LEN;
    if (total > cap)
        return 0;
    uint8_t *p = put_head(out, BLOCK_SECTION, total);
    p = put32(p, 0x1a2b3c4d);
    p = put16(p, 1); /* version 1.0 */
    p = put16(p, 0);
    p = put32(p, UINT32_MAX); /* the section's length is not known beforehand */
    p = put32(p, UINT32_MAX);
    p = put_option(p, OPTION_SECTION_APPLICATION, application, text_len);
    put_end(p, total);
    return total;
}

size_t pcapng_interface(uint8_t *out, size_t cap, uint16_t link, const char *name)
{
    const uint8_t nanoseconds = 9; /* 10^-9 s */
    size_t name_len = option_text_len(name);
    size_t total = BLOCK_FRAME_LEN + INTERFACE_BODY_LEN + option_len(name_len) + option_len(1) +
                   OPTION_HEAD_LEN;
    if (total > cap)
        return 0;
    uint8_t *p = put_head(out, BLOCK_INTERFACE, total);
    p = put16(p, link);
    p = put16(p, 0);
    p = put32(p, 0); /* packets are never cut */
    p = put_option(p, OPTION_INTERFACE_NAME, name, name_len);
    p = put_option(p, OPTION_INTERFACE_RESOLUTION, &nanoseconds, 1);
    put_end(p, total);
    return total;
}

size_t pcapng_packet_len(size_t packet_len, size_t comment_len)
{
    return BLOCK_FRAME_LEN + PACKET_BODY_LEN + padded(packet_len) + option_len(comment_len) +
           option_len(sizeof(uint32_t)) + OPTION_HEAD_LEN;
}

size_t pcapng_packet(uint8_t *out, size_t cap, uint32_t interface, uint64_t time_ns,
                     const struct iovec *iov, size_t iov_cnt, int inbound, const char *comment)
{
    size_t packet_len = 0, comment_len = option_text_len(comment);
    for (size_t i = 0; i < iov_cnt; i++)
        packet_len += iov[i].iov_len;
    size_t total = pcapng_packet_len(packet_len, comment_len);
    if (total > cap)
        return 0;
    uint8_t *p = put_head(out, BLOCK_PACKET, total);
    p = put32(p, interface);
    p = put32(p, (uint32_t)(time_ns >> 32));
    p = put32(p, (uint32_t)time_ns);
    p = put32(p, (uint32_t)packet_len); /* captured */
    p = put32(p, (uint32_t)packet_len); /* on the wire */
    for (size_t i = 0; i < iov_cnt; i++) {
        if (iov[i].iov_len > 0)
            memcpy(p, iov[i].iov_base, iov[i].iov_len);
        p += iov[i].iov_len;
    }
    p = put_padding(p, packet_len);
    p = put_option(p, OPTION_COMMENT, comment, comment_len);
    uint32_t flags = inbound ? FLAG_INBOUND : FLAG_OUTBOUND;
    p = put_option(p, OPTION_PACKET_FLAGS, &flags, sizeof flags);
    put_end(p, total);
    return total;
}
