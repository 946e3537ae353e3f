/* SPDX-License-Identifier: BSD-2-Clause */
/* base/drop.c: every reason has a name of its own and a sentence. */
#include "base/drop.h"
#include "test.h"

TEST(drop_names_are_there_and_unique)
{
    for (unsigned a = 0; a < DROP_CNT; a++) {
        REQUIRE(drop_name(a) != NULL && drop_text(a) != NULL);
        CHECK(drop_name(a)[0] != '\0');
        CHECK_EQ(strspn(drop_name(a), "abcdefghijklmnopqrstuvwxyz0123456789-"),
                 strlen(drop_name(a)));
        for (unsigned b = 0; b < a; b++)
            if (strcmp(drop_name(a), drop_name(b)) == 0)
                FAIL("%u and %u are both %s", a, b, drop_name(a));
    }
}

TEST(drop_texts_are_sentences)
{
    for (unsigned i = 0; i < DROP_CNT; i++) {
        const char *text = drop_text(i);
        CHECK(text[0] >= 'A' && text[0] <= 'Z');
        CHECK_EQ(text[strlen(text) - 1], '.');
    }
}

TEST(drop_past_the_last_is_null)
{
    CHECK(drop_name(DROP_CNT) == NULL);
    CHECK(drop_text(DROP_CNT) == NULL);
    CHECK(drop_name((enum drop)-1) == NULL);
    CHECK_STR(drop_name(DROP_TCP_CHECKSUM), "tcp-checksum");
}

TEST_MAIN()
