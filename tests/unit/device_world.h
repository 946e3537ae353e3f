/* SPDX-License-Identifier: BSD-2-Clause */
/* Two stacks with a process each, on virtual time: what the tests of src/device/ play with. */
#ifndef LASTACK_TEST_DEVICE_WORLD_H
#define LASTACK_TEST_DEVICE_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "base/address.h"
#include "device/pair.h"
#include "test.h"

#define MS 1000000u
#define CLIENT_PID 100
#define SERVER_PID 200
#define SERVER_PORT 7

struct world {
    struct memory_pair pair;
    lastack *stack[2];            /* 0: client, 1: server */
    lastack_process *process[2];
    struct lastack_address address[2];
    uint64_t now_ns;
    int client_fd, listen_fd, server_fd;
};

static inline lastack *world_stack(uint64_t seed, uint64_t now_ns)
{
    struct lastack_config config;
    lastack_config_init(&config);
    config.seed[0] = seed;
    config.record_len = 1024;
    lastack *stack = lastack_create(&config, now_ns);
    REQUIRE(stack != NULL);
    return stack;
}

static inline void world_init(struct world *world)
{
    *world = (struct world){.now_ns = 1000 * MS, .client_fd = -1, .server_fd = -1};
    for (int side = 0; side < 2; side++) {
        world->stack[side] = world_stack((uint64_t)side + 1, world->now_ns);
        world->address[side] = address_from_ip4(0x0a000001u + (uint32_t)side);
        world->process[side] = lastack_process_create(
            world->stack[side], side ? SERVER_PID : CLIENT_PID, side ? "server" : "client");
        REQUIRE(world->process[side] != NULL);
    }
    REQUIRE_EQ(memory_pair_init(&world->pair, world->stack[0], &world->address[0],
                                world->stack[1], &world->address[1], 24, 1500),
               0);
}

static inline void world_free(struct world *world)
{
    lastack_destroy(world->stack[0]);
    lastack_destroy(world->stack[1]);
}

static inline void world_tick(struct world *world)
{
    lastack_tick(world->stack[0], world->now_ns);
    lastack_tick(world->stack[1], world->now_ns);
}

/* Let things happen until `until_ns`. */
static inline void world_run(struct world *world, uint64_t until_ns)
{
    for (long step = 0;; step++) {
        REQUIRE(step < 10000000);
        memory_pair_move(&world->pair, world->now_ns, 0);
        uint64_t next = memory_pair_deadline(&world->pair);
        if (next > until_ns)
            break;
        world->now_ns = MAX(next, world->now_ns);
        world_tick(world);
    }
    world->now_ns = until_ns;
    world_tick(world);
}

static inline struct sockaddr_in world_sockaddr(const struct world *world, int side, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(address_ip4(&world->address[side]))};
}

/* The server listens, the client has called connect; nothing has moved yet. */
static inline void world_dial(struct world *world)
{
    struct sockaddr_in to = world_sockaddr(world, 1, SERVER_PORT);
    world->listen_fd = lastack_socket(world->process[1], AF_INET, SOCK_STREAM, 0);
    REQUIRE(world->listen_fd >= 0);
    REQUIRE_EQ(lastack_bind(world->process[1], world->listen_fd, (struct sockaddr *)&to,
                            sizeof to), 0);
    REQUIRE_EQ(lastack_listen(world->process[1], world->listen_fd, 8), 0);
    world->client_fd = lastack_socket(world->process[0], AF_INET, SOCK_STREAM, 0);
    REQUIRE(world->client_fd >= 0);
    REQUIRE_EQ(lastack_connect(world->process[0], world->client_fd, (struct sockaddr *)&to,
                               sizeof to), -EINPROGRESS);
}

/* Take the connection that world_dial began. */
static inline void world_accept(struct world *world)
{
    world->server_fd = lastack_accept(world->process[1], world->listen_fd, NULL, NULL, 0);
    REQUIRE(world->server_fd >= 0);
}

#endif
