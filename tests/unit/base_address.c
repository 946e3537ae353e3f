/* SPDX-License-Identifier: BSD-2-Clause */
/* base/address.c: questions about addresses, text forms against the C library's. */
#include <arpa/inet.h>
#include <errno.h>

#include "base/address.h"
#include "base/random.h"
#include "test.h"

static struct lastack_address ip4(const char *text)
{
    struct lastack_address a;
    REQUIRE_EQ(lastack_address_parse(&a, text), 0);
    return a;
}

TEST(address_holds_ip4_as_mapped)
{
    static const uint8_t want[16] = {[10] = 0xff, 0xff, 192, 0, 2, 7};
    struct lastack_address a = ip4("192.0.2.7");
    CHECK_MEM(a.bytes, want, 16);
    CHECK_EQ(address_ip4(&a), 0xc0000207u);
    struct lastack_address b = address_from_ip4(0xc0000207u);
    CHECK(address_equal(&a, &b));
    CHECK(address_is_ip4(&a));
    a.bytes[0] = 0x20;
    CHECK(!address_is_ip4(&a));
    CHECK(!address_equal(&a, &b));
}

TEST(address_kinds)
{
    static const struct {
        const char *text;
        bool any, loopback, multicast, broadcast;
    } rows[] = {
        {"0.0.0.0", true, false, false, false},
        {"0.0.0.1", false, false, false, false},
        {"126.255.255.255", false, false, false, false},
        {"127.0.0.0", false, true, false, false},
        {"127.255.255.255", false, true, false, false},
        {"128.0.0.0", false, false, false, false},
        {"223.255.255.255", false, false, false, false},
        {"224.0.0.0", false, false, true, false},
        {"239.255.255.255", false, false, true, false},
        {"240.0.0.0", false, false, false, false},
        {"255.255.255.254", false, false, false, false},
        {"255.255.255.255", false, false, false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lastack_address a = ip4(rows[i].text);
        CHECK_EQ(address_is_any(&a), rows[i].any);
        CHECK_EQ(address_is_loopback(&a), rows[i].loopback);
        CHECK_EQ(address_is_multicast(&a), rows[i].multicast);
        CHECK_EQ(address_is_broadcast(&a), rows[i].broadcast);
    }
    struct lastack_address zero = {{0}};
    CHECK(address_is_any(&zero));
    zero.bytes[4] = 1;
    CHECK(!address_is_any(&zero));
}

TEST(address_prefix_of_every_length)
{
    struct lastack_address network = ip4("170.85.204.51");
    for (uint8_t len = 0; len <= 32; len++) {
        CHECK(address_in_prefix(&network, &network, len));
        for (unsigned bit = 0; bit < 32; bit++) {
            struct lastack_address a =
                address_from_ip4(address_ip4(&network) ^ (0x80000000u >> bit));
            CHECK_EQ(address_in_prefix(&a, &network, len), bit >= len);
        }
    }
}

TEST(address_text_of_ip4_is_that_of_the_c_library)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){1, 2, 3, 4});
    for (int i = 0; i < 10000; i++) {
        struct lastack_address a = address_from_ip4(random_u32(&random)), back;
        char text[LASTACK_ADDRESS_TEXT], want[INET_ADDRSTRLEN];
        CHECK(lastack_address_text(&a, text) == text);
        CHECK_STR(text, inet_ntop(AF_INET, a.bytes + 12, want, sizeof want));
        CHECK_EQ(lastack_address_parse(&back, text), 0);
        CHECK(address_equal(&a, &back));
    }
}

TEST(address_text_of_ip6_is_that_of_the_c_library)
{
    struct random random;
    random_init(&random, (const uint64_t[4]){5, 6, 7, 8});
    for (int i = 0; i < 20000; i++) {
        struct lastack_address a;
        uint32_t zero = random_u32(&random);
        for (int g = 0; g < 8; g++)
            store_be16(a.bytes + 2 * g, zero >> g & 1 ? 0 : (uint16_t)random_u32(&random));
        if (load_be32(a.bytes) == 0)
            a.bytes[0] = 0x20; /* the C library writes ::1.2.3.4 forms, which are history */
        char text[LASTACK_ADDRESS_TEXT], want[INET6_ADDRSTRLEN];
        CHECK_STR(lastack_address_text(&a, text),
                  inet_ntop(AF_INET6, a.bytes, want, sizeof want));
    }
    struct lastack_address all_zero = {{0}};
    char text[LASTACK_ADDRESS_TEXT];
    CHECK_STR(lastack_address_text(&all_zero, text), "::");
}

TEST(address_parse_refuses_what_is_not_an_address)
{
    static const char *const bad[] = {
        "",           "1",           "1.2.3",       "1.2.3.",      "1.2.3.4.",  "1.2.3.4.5",
        "256.1.1.1",  "1.1.1.256",   "01.2.3.4",    "1.2.3.00",    "1..3.4",    ".1.2.3",
        "1.2.3.4 ",   " 1.2.3.4",    "1.2.3.-4",    "1.2.3.+4",    "a.b.c.d",   "0x1.2.3.4",
        "1,2,3,4",    "1.2.3.4/24",  "99999999999", "1.2.3.99999999999999999999", "::1",
        "localhost",
    };
    struct lastack_address a = ip4("1.2.3.4"), before = a;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (lastack_address_parse(&a, bad[i]) != -EINVAL)
            FAIL("taken: \"%s\"", bad[i]);
        CHECK(address_equal(&a, &before));
    }
}

TEST_MAIN()
