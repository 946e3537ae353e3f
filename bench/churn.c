/* SPDX-License-Identifier: BSD-2-Clause */
/* Many connections: their birth and death, an exchange among many, what each one costs. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PORTS_EACH 20000 /* connections per listener, below the ephemeral range */

/* The client closes first and keeps TIME_WAIT. */
static void one_life(struct world *w, int n, int listener)
{
    int fd[2];
    char byte = 1;
    world_connect(w, n, listener, fd);
    lastack_send(w->process[0], fd[0], &byte, 1, 0);
    world_pump(w);
    lastack_recv(w->process[1], fd[1], &byte, 1, 0);
    lastack_close(w->process[0], fd[0]);
    world_pump(w);
    lastack_recv(w->process[1], fd[1], &byte, 1, 0);
    lastack_close(w->process[1], fd[1]);
    world_pump(w);
}

double connections(uint32_t cnt, uint32_t present)
{
    struct world w;
    uint32_t lives = 0, listener_cnt = (cnt + present) / PORTS_EACH + 1;
    int *listener = calloc(listener_cnt, sizeof *listener);
    world_make(&w, 1500, true, 64, present);
    for (uint32_t i = 0; i < listener_cnt; i++)
        listener[i] = world_listen(&w, (int)i, 8);
    for (; lives < present; lives++)
        one_life(&w, (int)(lives / PORTS_EACH), listener[lives / PORTS_EACH]);
    double start = cpu_now();
    for (; lives < present + cnt; lives++)
        one_life(&w, (int)(lives / PORTS_EACH), listener[lives / PORTS_EACH]);
    double seconds = cpu_now() - start;
    world_free(&w);
    free(listener);
    return cnt / seconds;
}

static void one_byte(struct world *w, int from, const int fd[2])
{
    char byte = 1;
    lastack_send(w->process[from], fd[from], &byte, 1, 0);
    world_pump(w);
    lastack_recv(w->process[!from], fd[!from], &byte, 1, 0);
}

static uint64_t memory_of(const struct world *w)
{
    struct lastack_usage usage[2];
    lastack_usage(w->stack[0], &usage[0]);
    lastack_usage(w->stack[1], &usage[1]);
    return usage[0].memory_bytes + usage[1].memory_bytes;
}

struct exchange exchange(uint32_t pairs, uint32_t rounds)
{
    struct world w;
    int(*fd)[2] = calloc(pairs, sizeof *fd);
    int listener = -1;
    uint64_t random = 88172645463325252ull;
    world_make(&w, 1500, true, pairs, 16);
    uint64_t before = memory_of(&w);
    for (uint32_t i = 0; i < pairs; i++) {
        if (i % PORTS_EACH == 0)
            listener = world_listen(&w, (int)(i / PORTS_EACH), 8);
        world_connect(&w, (int)(i / PORTS_EACH), listener, fd[i]);
    }
    struct exchange result = {.bytes_per_endpoint = (double)(memory_of(&w) - before) / pairs / 2};
    double start = 0;
    for (uint32_t i = 0; i < rounds + rounds / 4; i++) {
        if (i == rounds / 4)
            start = cpu_now();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const int *pair = fd[random % pairs];
        one_byte(&w, 0, pair);
        one_byte(&w, 1, pair);
        world_pass(&w, 2000);
    }
    result.ns = (cpu_now() - start) / rounds * 1e9;
    world_free(&w);
    free(fd);
    return result;
}

double bytes_per_time_wait(uint32_t cnt)
{
    struct world w;
    int listener = -1;
    world_make(&w, 1500, true, 64, cnt);
    uint64_t before = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        if (i % PORTS_EACH == 0)
            listener = world_listen(&w, (int)(i / PORTS_EACH), 8);
        one_life(&w, (int)(i / PORTS_EACH), listener);
        if (i == 0)
            before = memory_of(&w);
    }
    double bytes = (double)(memory_of(&w) - before) / cnt;
    world_free(&w);
    return bytes;
}

double miss_ns(uint64_t bytes)
{
    enum { LINE = 64, LOADS = 1000000 };
    uint32_t cnt = (uint32_t)(bytes / LINE);
    uint8_t *memory = malloc((size_t)cnt * LINE);
    uint64_t random = 88172645463325252ull;
    for (uint32_t i = 0; i < cnt; i++)
        memcpy(memory + (size_t)i * LINE, &i, sizeof i);
    for (uint32_t i = cnt - 1; i > 0; i--) { /* one cycle through all of them (Sattolo) */
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t j = (uint32_t)(random >> 33) % i, a, b;
        memcpy(&a, memory + (size_t)i * LINE, sizeof a);
        memcpy(&b, memory + (size_t)j * LINE, sizeof b);
        memcpy(memory + (size_t)i * LINE, &b, sizeof b);
        memcpy(memory + (size_t)j * LINE, &a, sizeof a);
    }
    uint32_t at = 0;
    double start = cpu_now();
    for (int i = 0; i < LOADS; i++)
        memcpy(&at, memory + (size_t)at * LINE, sizeof at);
    double ns = (cpu_now() - start) / LOADS * 1e9;
    __asm__ volatile("" : : "r"(at));
    free(memory);
    return ns;
}
