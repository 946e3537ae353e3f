/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

#define BATCH 64
#define PORT 7000

double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

void world_make(struct world *w, uint32_t mtu, bool checksums, uint32_t connection_cnt,
                uint32_t time_wait_max)
{
    struct lastack_config config;
    lastack_config_init(&config);
    config.seed[0] = 1;
    config.connection_max = connection_cnt + 64;
    config.descriptor_max = connection_cnt + 1024;
    config.half_open_max = connection_cnt + 64;
    config.time_wait_max = time_wait_max;
    config.buffer_max = 8ull << 30;
    config.record_len = 0;
    *w = (struct world){.now_ns = 1000000000};
    for (int i = 0; i < 2; i++) {
        struct lastack_interface interface = {
            .name = "memory", .link = LASTACK_LINK_IP, .mtu = mtu, .prefix_len = 24,
            .rx_checksum_trusted = !checksums, .tx_checksum_none = !checksums,
        };
        lastack_address_parse(&interface.address, i == 0 ? "10.0.0.1" : "10.0.0.2");
        w->stack[i] = lastack_create(&config, w->now_ns);
        need(w->stack[i] != NULL, "lastack_create");
        need(lastack_interface_add(w->stack[i], &interface) == 1, "lastack_interface_add");
        w->process[i] = lastack_process_create(w->stack[i], 1, "bench");
    }
}

void world_free(struct world *w)
{
    lastack_destroy(w->stack[0]);
    lastack_destroy(w->stack[1]);
}

void world_pump(struct world *w)
{
    static struct lastack_frame frames[BATCH];
    size_t moved;
    do {
        moved = 0;
        for (int i = 0; i < 2; i++) {
            size_t cnt = lastack_tx(w->stack[i], frames, BATCH, w->now_ns);
            if (cnt > 0)
                lastack_rx(w->stack[!i], frames, cnt, w->now_ns);
            moved += cnt;
        }
    } while (moved > 0);
}

void world_pass(struct world *w, uint64_t ns)
{
    w->now_ns += ns;
    lastack_tick(w->stack[0], w->now_ns);
    lastack_tick(w->stack[1], w->now_ns);
}

static struct sockaddr_in name_of(int n)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)(PORT + n)),
                                .sin_addr.s_addr = htonl(0x0a000002)};
}

int world_listen(struct world *w, int n, int backlog)
{
    struct sockaddr_in name = name_of(n);
    int fd = lastack_socket(w->process[1], AF_INET, SOCK_STREAM, 0);
    need(lastack_bind(w->process[1], fd, (struct sockaddr *)&name, sizeof name) == 0, "bind");
    need(lastack_listen(w->process[1], fd, backlog) == 0, "listen");
    return fd;
}

void world_connect(struct world *w, int n, int listener, int fd[2])
{
    struct sockaddr_in name = name_of(n);
    fd[0] = lastack_socket(w->process[0], AF_INET, SOCK_STREAM, 0);
    lastack_connect(w->process[0], fd[0], (struct sockaddr *)&name, sizeof name);
    world_pump(w);
    fd[1] = lastack_accept(w->process[1], listener, NULL, NULL, 0);
    need(fd[0] >= 0 && fd[1] >= 0, "connect and accept");
}
