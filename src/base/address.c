/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions about addresses, and their text forms. */
#include "base/address.h"

#include <errno.h>
#include <stdio.h>

static const uint8_t ip4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_ip4(const struct lastack_address *a)
{
    return memcmp(a->bytes, ip4_prefix, sizeof ip4_prefix) == 0;
}

bool address_is_any(const struct lastack_address *a)
{
    static const uint8_t zero[16];
    return memcmp(a->bytes + 12, zero, 4) == 0 &&
           (address_is_ip4(a) || memcmp(a->bytes, zero, 12) == 0);
}

bool address_is_loopback(const struct lastack_address *a)
{
    return address_is_ip4(a) && a->bytes[12] == 127;
}

bool address_is_multicast(const struct lastack_address *a)
{
    return address_is_ip4(a) && (a->bytes[12] & 0xf0) == 0xe0;
}

bool address_is_broadcast(const struct lastack_address *a)
{
    return address_is_ip4(a) && address_ip4(a) == UINT32_MAX;
}

bool address_in_prefix(const struct lastack_address *a, const struct lastack_address *network,
                       uint8_t prefix_len)
{
    if (prefix_len == 0)
        return true;
    uint32_t mask = UINT32_MAX << (32 - MIN(prefix_len, 32));
    return ((address_ip4(a) ^ address_ip4(network)) & mask) == 0;
}

/* One number 0 .. 255 in decimal without leading zeros. Returns what follows it, or NULL. */
static const char *parse_octet(const char *p, uint8_t *out)
{
    unsigned value = 0, digit_cnt = 0;
    for (; *p >= '0' && *p <= '9'; p++, digit_cnt++) {
        if (digit_cnt > 0 && value == 0)
            return NULL; /* "01" is octal to some readers and decimal to others */
        value = value * 10 + (unsigned)(*p - '0');
        if (value > 255)
            return NULL;
    }
    if (digit_cnt == 0)
        return NULL;
    *out = (uint8_t)value;
    return p;
}

int lastack_address_parse(struct lastack_address *out, const char *text)
{
    struct lastack_address a = address_from_ip4(0);
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *text++ != '.')
            return -EINVAL;
        text = parse_octet(text, &a.bytes[12 + i]);
        if (text == NULL)
            return -EINVAL;
    }
    if (*text != '\0')
        return -EINVAL;
    *out = a;
    return 0;
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2). */
static void find_zeros(const struct lastack_address *a, int *start, int *cnt)
{
    *start = -1;
    *cnt = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = load_be16(a->bytes + 2 * i) == 0 ? run + 1 : 0;
        if (run > *cnt) {
            *cnt = run;
            *start = i - run + 1;
        }
    }
}

const char *lastack_address_text(const struct lastack_address *address,
                                 char out[LASTACK_ADDRESS_TEXT])
{
    const uint8_t *b = address->bytes;
    if (address_is_ip4(address)) {
        snprintf(out, LASTACK_ADDRESS_TEXT, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
        return out;
    }
    int zero_start, zero_cnt, at = 0;
    find_zeros(address, &zero_start, &zero_cnt);
    out[0] = '\0';
    for (int i = 0; i < 8; i++) {
        if (i == zero_start) {
            at += snprintf(out + at, (size_t)(LASTACK_ADDRESS_TEXT - at), "::");
            i += zero_cnt - 1;
            continue;
        }
        const char *colon = at == 0 || out[at - 1] == ':' ? "" : ":";
        at += snprintf(out + at, (size_t)(LASTACK_ADDRESS_TEXT - at), "%s%x", colon,
                       load_be16(b + 2 * i));
    }
    return out;
}
