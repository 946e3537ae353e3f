/* SPDX-License-Identifier: BSD-2-Clause */
/* Growing strings, their escapes, the JSON reader, and words for people. */
#include "doctor/json.h"
#include "doctor/text.h"
#include "doctor/words.h"
#include "test.h"

#define CHECK_TEXT(text, want)                                                                     \
    do {                                                                                           \
        CHECK_STR(text_string(&(text)), want);                                                     \
        text_free(&(text));                                                                        \
    } while (0)

TEST(text_grows)
{
    struct text t;
    text_init(&t);
    CHECK_STR(text_string(&t), "");
    for (int i = 0; i < 1000; i++)
        text_printf(&t, "%d,", i % 10);
    CHECK_EQ(t.len, 2000);
    CHECK_EQ(strlen(t.at), 2000);
    text_clear(&t);
    CHECK_STR(text_string(&t), "");
    text_free(&t);
}

TEST(shown_text_has_no_controls)
{
    static const struct {
        const char *raw, *shown;
    } cases[] = {
        {"nginx: worker", "nginx: worker"},
        {"\x1b[31mred", "\\x1b[31mred"},
        {"a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* UTF-8 stays */
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},                   /* CSI as U+009B */
        {"\xff\xfe", "\\xff\\xfe"},          /* no UTF-8 */
        {"\xc0\x80", "\\xc0\\x80"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* surrogate */
        {"a\xe2\x80\xae"
         "b",
         "a\\xe2\\x80\\xae"
         "b"},                      /* right-to-left override */
        {"\xe2\x82", "\\xe2\\x82"}, /* cut off */
        {"\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t;
        text_init(&t);
        text_add_shown(&t, cases[i].raw);
        CHECK_TEXT(t, cases[i].shown);
    }
}

TEST(json_strings_are_escaped)
{
    struct text t;
    text_init(&t);
    text_add_json(&t, "a\"b\\c\n\x01\x7f\xff\xc2\x9b\xe2\x80\xae\xc3\xbc");
    CHECK_TEXT(t, "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\\u00ff\\u009b\\u202e\xc3\xbc\"");
}

TEST(json_reads_values)
{
    static const char text[] =
        " {\"a\":[1,-2,18446744073709551615,1.5],\"b\":{\"c\":null},"
        "\"d\":true,\"e\":\"x\\u00fc\\ud83d\\ude00\\n\",\"f\":[] , \"g\":{}} ";
    char why[80];
    struct json_document *d = json_parse(text, strlen(text), why, sizeof why);
    REQUIRE(d);
    const struct json *root = json_root(d), *a = json_get(root, "a");
    REQUIRE(a && a->child && a->child->next);
    CHECK_EQ(a->child->number, 1);
    CHECK_EQ(a->child->next->number, -2);
    CHECK_EQ(a->child->next->next->magnitude, UINT64_MAX);
    CHECK_EQ(a->child->next->next->next->number, 1);
    CHECK_EQ(json_get(json_get(root, "b"), "c")->kind, JSON_NULL);
    CHECK_EQ(json_get(root, "d")->kind, JSON_TRUE);
    CHECK_STR(json_get_string(root, "e", ""), "x\xc3\xbc\xf0\x9f\x98\x80\n");
    CHECK(json_get(root, "f")->child == NULL);
    CHECK(json_get(root, "h") == NULL);
    CHECK_STR(json_get_string(root, "a", "other"), "other");
    json_free(d);
}

TEST(json_refuses_what_is_none)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "[1 2]",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\u0000\"",
        "01",
        "-",
        "+1",
        "1.",
        "1e5",
        "nul",
        "true false",
        "\"a\nb\"",
        "]",
        "'a'",
        "{\"a\":1,}",
        "NaN",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[80] = "";
        struct json_document *d = json_parse(bad[i], strlen(bad[i]), why, sizeof why);
        if (d)
            FAIL("taken: %s", bad[i]);
        CHECK(why[0] != 0);
        json_free(d);
    }
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    char why[80];
    CHECK(json_parse(deep, 200, why, sizeof why) == NULL);
}

/* Any prefix of a text is refused without reading past its end (run it under ASan). */
TEST(json_prefixes)
{
    static const char text[] = "{\"a\":[1,-2.5,{\"b\":\"\\u00e4\\\\\"}],\"c\":null,\"d\":true}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char why[80], *copy = malloc(len ? len : 1);
        REQUIRE(copy);
        memcpy(copy, text, len);
        CHECK(json_parse(copy, len, why, sizeof why) == NULL);
        free(copy);
    }
}

TEST(durations)
{
    static const struct {
        uint64_t us;
        const char *words;
    } cases[] = {
        {0, "less than 1 ms"},     {350000, "350 ms"},
        {1000000, "1 s"},          {1500000, "1.5 s"},
        {12900000, "12 s"},        {119000000, "119 s"},
        {200000000, "3 min 20 s"}, {7500000000, "2 h 5 min"},
        {360000000000, "4 d 4 h"}, {FACT_UNKNOWN, "an unknown time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t;
        text_init(&t);
        words_duration(&t, cases[i].us);
        CHECK_TEXT(t, cases[i].words);
    }
}

TEST(ends_of_connections)
{
    struct lastack_address a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2}};
    struct lastack_address any = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    struct text t;
    text_init(&t);
    words_end(&t, &a, 80);
    text_add(&t, " ");
    words_end(&t, &any, 80);
    text_add(&t, " ");
    words_end(&t, &any, 0);
    CHECK_TEXT(t, "10.0.0.2:80 *:80 *:*");
}

TEST_MAIN()
