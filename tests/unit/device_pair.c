/* SPDX-License-Identifier: BSD-2-Clause */
/* device/pair.c: two stacks talk over it, on a perfect wire and on a bad one. */
#include "base/random.h"
#include "device_world.h"

static void check_gone(lastack *stack)
{
    struct lastack_usage usage;
    lastack_usage(stack, &usage);
    CHECK_EQ(usage.connections, 0);
    CHECK_EQ(usage.time_wait, 0);
    CHECK_EQ(usage.half_open, 0);
}

/* `total` bytes from the client, who then closes; the server reads to the end and closes. */
static void transfer(struct world *world, size_t total, uint64_t limit_ns)
{
    uint8_t data[5000], got[5000];
    size_t sent = 0, received = 0;
    bool closed = false, ended = false;
    while (!ended && world->now_ns < limit_ns) {
        while (sent < total) {
            size_t len = MIN(sizeof data, total - sent);
            for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)((sent + i) * 2654435761u >> 13);
            ssize_t cnt = lastack_send(world->process[0], world->client_fd, data, len,
                                       MSG_NOSIGNAL);
            if (cnt <= 0) {
                CHECK_EQ(cnt, -EAGAIN);
                break;
            }
            sent += (size_t)cnt;
        }
        if (sent == total && !closed) {
            CHECK_EQ(lastack_close(world->process[0], world->client_fd), 0);
            closed = true;
        }
        world_run(world, world->now_ns + MS);
        for (ssize_t cnt; (cnt = lastack_recv(world->process[1], world->server_fd, got,
                                              sizeof got, 0)) != -EAGAIN;) {
            REQUIRE(cnt >= 0);
            ended = cnt == 0;
            if (ended)
                break;
            for (ssize_t i = 0; i < cnt; i++)
                REQUIRE_EQ(got[i], (uint8_t)((received + (size_t)i) * 2654435761u >> 13));
            received += (size_t)cnt;
        }
    }
    CHECK(ended);
    CHECK_EQ(received, total);
    CHECK_EQ(lastack_close(world->process[1], world->server_fd), 0);
}

TEST(pair_carries_a_connection_to_its_end)
{
    struct world world;
    world_init(&world);
    world_dial(&world);
    CHECK_EQ(memory_pair_deadline(&world.pair), world.now_ns); /* a SYN is owed */
    CHECK_GE(memory_pair_move(&world.pair, world.now_ns, 0), 3);
    world_accept(&world);
    transfer(&world, 300000, world.now_ns + 60000 * (uint64_t)MS);
    world_run(&world, world.now_ns + 120000 * (uint64_t)MS);
    check_gone(world.stack[0]);
    check_gone(world.stack[1]);
    CHECK_GT(world.pair.moved[0], 200);
    CHECK_GT(world.pair.moved[1], 5);
    CHECK_EQ(world.pair.stray, 0);
    world_free(&world);
}

TEST(pair_moves_no_more_than_asked)
{
    struct world world;
    world_init(&world);
    world_dial(&world);
    CHECK_EQ(memory_pair_move(&world.pair, world.now_ns, 1), 1);
    CHECK_EQ(world.pair.moved[0], 1);
    CHECK_EQ(world.pair.moved[1], 0);
    CHECK_EQ(memory_pair_move(&world.pair, world.now_ns, 1), 1);
    CHECK_EQ(world.pair.moved[1], 1);
    world_free(&world);
}

TEST(pair_over_bad_wires)
{
    const struct impair_config bad = {
        .seed = 77,
        .loss_ppm = 50000,
        .duplicate_ppm = 50000,
        .corrupt_ppm = 50000,
        .reorder_ppm = 50000,
        .reorder_ns = 3 * MS,
        .delay_ns = 5 * MS,
        .jitter_ns = 2 * MS,
    };
    struct world world;
    struct impair out, back;
    world_init(&world);
    impair_init(&out, &bad);
    impair_init(&back, &bad);
    world.pair.impair[0] = &out;
    world.pair.impair[1] = &back;
    world_dial(&world);
    struct pollfd ready = {.fd = world.listen_fd, .events = POLLIN};
    for (int i = 0; i < 600 && lastack_poll(world.process[1], &ready, 1) == 0; i++)
        world_run(&world, world.now_ns + 100 * MS);
    world_accept(&world);
    transfer(&world, 400000, world.now_ns + 600000 * (uint64_t)MS);
    impair_set(&out, &(struct impair_config){0});
    impair_set(&back, &(struct impair_config){0});
    world_run(&world, world.now_ns + 600000 * (uint64_t)MS);
    check_gone(world.stack[0]);
    check_gone(world.stack[1]);
    CHECK(out.lost > 0 && out.duplicated > 0 && out.corrupted > 0 && out.reordered > 0);
    world_free(&world);
    impair_free(&out);
    impair_free(&back);
}

TEST(pair_cut_and_healed)
{
    struct world world;
    struct impair out, back;
    char got[16];
    world_init(&world);
    impair_init(&out, &(struct impair_config){.delay_ns = MS});
    impair_init(&back, &(struct impair_config){.delay_ns = MS});
    world.pair.impair[0] = &out;
    world.pair.impair[1] = &back;
    world_dial(&world);
    world_run(&world, world.now_ns + 100 * MS);
    world_accept(&world);
    impair_cut(&out, true);
    CHECK_EQ(lastack_send(world.process[0], world.client_fd, "hello", 5, 0), 5);
    world_run(&world, world.now_ns + 5000 * (uint64_t)MS);
    CHECK_EQ(lastack_recv(world.process[1], world.server_fd, got, sizeof got, 0), -EAGAIN);
    CHECK_GT(out.lost, 1);
    impair_cut(&out, false);
    world_run(&world, world.now_ns + 60000 * (uint64_t)MS);
    CHECK_EQ(lastack_recv(world.process[1], world.server_fd, got, sizeof got, 0), 5);
    world_free(&world);
    impair_free(&out);
    impair_free(&back);
}

TEST_MAIN()
