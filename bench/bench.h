/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the benches: two stacks of one thread on a memory link, CPU time, results. */
#ifndef LASTACK_BENCH_H
#define LASTACK_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

/* CPU seconds of this thread. */
double cpu_now(void);

struct world {
    lastack *stack[2];
    lastack_process *process[2];
    uint64_t now_ns;
};

/* `connections` per stack at most; virtual time. */
void world_make(struct world *world, uint32_t mtu, bool checksums, uint32_t connections,
                uint32_t time_wait_max);
void world_free(struct world *world);
/* Move frames both ways until nothing is owed. */
void world_pump(struct world *world);
/* Time passes: expire what is due on both. */
void world_pass(struct world *world, uint64_t ns);
/* A listener on stack 1, port 7000 + n. */
int world_listen(struct world *world, int n, int backlog);
/* A connection from stack 0 to that listener, accepted; fds of both ends. */
void world_connect(struct world *world, int n, int listener, int fd[2]);

/* Gbit of payload per CPU second, both ends counted. */
double bulk(uint32_t mtu, bool checksums, uint64_t bytes);
/* The same bytes through copies and checksums alone: 2 copies, checksum on each side. */
double ideal(uint32_t segment_len, bool checksums, uint64_t bytes);
/* Connect, one byte, FIN both ways: per CPU second, `present` TIME_WAIT entries in the table. */
double connections(uint32_t cnt, uint32_t present);

struct exchange {
    double ns;                /* CPU of one 1-byte exchange on a random pair */
    double bytes_per_endpoint;
};
struct exchange exchange(uint32_t pairs, uint32_t rounds);
double bytes_per_time_wait(uint32_t cnt);
/* One load that depends on the one before, at random over `bytes` of memory: nanoseconds. */
double miss_ns(uint64_t bytes);

/* Kernel loopback TCP: Gbit per CPU second over both ends; 0: not to be had here. */
double kernel_bulk(uint64_t bytes, const char *congestion);
double kernel_connections(uint32_t cnt);
double kernel_exchange_ns(uint32_t pairs, uint32_t rounds);

#endif
