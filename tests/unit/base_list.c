/* SPDX-License-Identifier: BSD-2-Clause */
/* base/list.h against an array. */
#include "base/list.h"
#include "base/random.h"
#include "test.h"

struct item {
    struct list link;
    int number;
};

TEST(list_does_what_an_array_does)
{
    struct item items[12];
    int order[12], len = 0;
    struct list head;
    struct random random;
    random_init(&random, (const uint64_t[4]){1});
    list_init(&head);
    for (int i = 0; i < 12; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
    for (int round = 0; round < 20000; round++) {
        struct item *item = &items[random_below(&random, 12)];
        if (random_below(&random, 8) == 0) {
            struct list *first = list_pop_front(&head);
            CHECK_EQ(first != NULL, len > 0);
            if (first != NULL) {
                CHECK_EQ(((struct item *)first)->number, order[0]);
                memmove(order, order + 1, (size_t)--len * sizeof *order);
            }
        } else if (!list_linked(&item->link)) {
            list_push_back(&head, &item->link);
            order[len++] = item->number;
        } else {
            list_remove(&item->link);
            int at = 0;
            while (order[at] != item->number)
                at++;
            memmove(order + at, order + at + 1, (size_t)(--len - at) * sizeof *order);
        }
        int at = 0;
        list_for_each(node, &head) {
            REQUIRE(at < len);
            CHECK_EQ(((struct item *)node)->number, order[at++]);
        }
        CHECK_EQ(at, len);
        CHECK_EQ(list_empty(&head), len == 0);
    }
}

TEST(list_for_each_may_remove_the_node_in_hand)
{
    struct item items[5];
    struct list head;
    int seen = 0;
    list_init(&head);
    for (int i = 0; i < 5; i++)
        list_push_back(&head, &items[i].link);
    list_for_each(node, &head) {
        list_remove(node);
        seen++;
    }
    CHECK_EQ(seen, 5);
    CHECK(list_empty(&head));
}

TEST_MAIN()
