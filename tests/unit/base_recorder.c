/* SPDX-License-Identifier: BSD-2-Clause */
/* base/recorder.c: newest records stay, the cursor tells what was lost. */
#include "base/recorder.h"
#include "test.h"

static void put(struct recorder *recorder, uint32_t arg)
{
    struct lastack_record record = {.sequence = 999, .arg = arg, .kind = LASTACK_RECORD_DROP};
    recorder_put(recorder, &record);
}

TEST(recorder_returns_all_in_order)
{
    struct recorder recorder;
    struct lastack_record record;
    uint64_t cursor = 0;
    REQUIRE(recorder_init(&recorder, 8));
    CHECK(!recorder_next(&recorder, &cursor, &record));
    for (uint32_t i = 1; i <= 8; i++)
        put(&recorder, 100 + i);
    for (uint32_t i = 1; i <= 8; i++) {
        REQUIRE(recorder_next(&recorder, &cursor, &record));
        CHECK_EQ(record.sequence, i);
        CHECK_EQ(record.arg, 100 + i);
        CHECK_EQ(cursor, i);
    }
    CHECK(!recorder_next(&recorder, &cursor, &record));
    CHECK_EQ(cursor, 8);
    recorder_free(&recorder);
}

TEST(recorder_jumps_over_what_is_overwritten)
{
    for (uint32_t total = 1; total < 40; total++)
        for (uint64_t start = 0; start <= total; start++) {
            struct recorder recorder;
            struct lastack_record record;
            uint64_t cursor = start;
            REQUIRE(recorder_init(&recorder, 8));
            for (uint32_t i = 1; i <= total; i++)
                put(&recorder, i);
            uint64_t oldest = total > 8 ? total - 7 : 1;
            uint64_t want = start + 1 > oldest ? start + 1 : oldest;
            for (; want <= total; want++) {
                REQUIRE(recorder_next(&recorder, &cursor, &record));
                CHECK_EQ(record.sequence, want);
                CHECK_EQ(record.arg, want);
            }
            CHECK(!recorder_next(&recorder, &cursor, &record));
            recorder_free(&recorder);
        }
}

TEST(recorder_of_one_entry)
{
    struct recorder recorder;
    struct lastack_record record;
    uint64_t cursor = 0;
    REQUIRE(recorder_init(&recorder, 1));
    put(&recorder, 1);
    put(&recorder, 2);
    REQUIRE(recorder_next(&recorder, &cursor, &record));
    CHECK_EQ(record.arg, 2);
    CHECK(!recorder_next(&recorder, &cursor, &record));
    recorder_free(&recorder);
}

TEST(recorder_that_is_off)
{
    struct recorder recorder;
    struct lastack_record record;
    uint64_t cursor = 0;
    REQUIRE(recorder_init(&recorder, 0));
    put(&recorder, 1);
    CHECK(!recorder_next(&recorder, &cursor, &record));
    recorder_free(&recorder);
}

TEST_MAIN()
