/* SPDX-License-Identifier: BSD-2-Clause */
/* Bulk data through two stacks, and through nothing but the copies and sums it needs. */
#include <string.h>

#include "base/checksum.h"
#include "bench.h"

#define CALL_LEN 65536u
#define WINDOW_LEN (256u * 1024)

double bulk(uint32_t mtu, bool checksums, uint64_t bytes)
{
    static uint8_t from[CALL_LEN], to[CALL_LEN];
    struct world w;
    int fd[2];
    world_make(&w, mtu, checksums, 16, 16);
    world_connect(&w, 0, world_listen(&w, 0, 8), fd);
    memset(from, 0x5a, sizeof from);
    uint64_t received = 0, warm = bytes / 8;
    double start = cpu_now();
    bool warming = true;
    while (received < bytes + warm) {
        while (lastack_send(w.process[0], fd[0], from, sizeof from, 0) > 0)
            ;
        world_pump(&w);
        ssize_t len;
        while ((len = lastack_recv(w.process[1], fd[1], to, sizeof to, 0)) > 0)
            received += (uint64_t)len;
        world_pass(&w, 20000);
        if (warming && received >= warm) {
            warming = false;
            warm = received;
            start = cpu_now();
        }
    }
    double seconds = cpu_now() - start;
    world_free(&w);
    return (double)(received - warm) * 8 / seconds / 1e9;
}

/* Program -> send buffer (with checksum), checksum at the receiver, receive buffer -> program,
 * over a window's worth of buffer, with a 40-byte header written and read per segment. */
double ideal(uint32_t segment_len, bool checksums, uint64_t bytes)
{
    static uint8_t from[CALL_LEN], window[WINDOW_LEN + CALL_LEN], to[CALL_LEN];
    static uint8_t header[4096][64];
    uint64_t done = 0;
    uint32_t at = 0, n = 0;
    volatile uint32_t sink = 0;
    memset(from, 0x5a, sizeof from);
    double start = cpu_now();
    while (done < bytes) {
        uint8_t *h = header[n++ % 4096];
        memcpy(h, from, 40);
        if (checksums) {
            sink += checksum_copy(window + at, from, segment_len);
            sink += checksum_sum(h, 40);
            sink += checksum_sum(window + at, segment_len);
        } else {
            memcpy(window + at, from, segment_len);
        }
        memcpy(to, window + at, segment_len);
        sink += to[n % segment_len] + h[n % 40];
        at = (at + segment_len) % WINDOW_LEN;
        done += segment_len;
    }
    return (double)done * 8 / (cpu_now() - start) / 1e9;
}
