/* SPDX-License-Identifier: BSD-2-Clause */
/* Bulk data through two stacks, and through nothing but the copies and sums it needs. */
#include <string.h>

#include "base/checksum.h"
#include "bench.h"

#define CALL_LEN   65536u
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

/* The least that a segment costs: built from and delivered to program memory (two copies), summed
 * at either end, a 40-byte header written, summed, read and looked up in a table of 128 K flows,
 * every second one answered by a header alone. No state machine, no buffers, no timers. */
#define FLOWS      (128u * 1024)
#define HEADER_LEN 40

struct ideal_wire {
    uint8_t header[HEADER_LEN];
    uint16_t sum;
};

static uint32_t flow_table[FLOWS];
static uint32_t flow_key[FLOWS];

static void header_write(struct ideal_wire *wire, uint32_t flow, uint32_t seq, uint16_t sum)
{
    memset(wire->header, 0, HEADER_LEN);
    wire->header[0] = 0x45;
    memcpy(wire->header + 12, &flow, sizeof flow);
    memcpy(wire->header + 24, &seq, sizeof seq);
    memcpy(wire->header + 36, &sum, sizeof sum);
    uint16_t ip_sum = checksum_finish(checksum_sum(wire->header, 20));
    memcpy(wire->header + 10, &ip_sum, sizeof ip_sum);
    wire->sum = checksum_sum(wire->header + 20, 20);
}

static uint32_t header_read(const struct ideal_wire *wire)
{
    uint32_t flow, seq;
    memcpy(&flow, wire->header + 12, sizeof flow);
    memcpy(&seq, wire->header + 24, sizeof seq);
    uint32_t bucket = flow * 2654435761u % FLOWS;
    uint16_t sums = checksum_finish(checksum_sum(wire->header, 20)) + wire->sum;
    return (flow_key[bucket] == flow) + flow_table[bucket] + seq + sums;
}

double ideal(uint32_t segment_len, bool checksums, uint64_t bytes)
{
    static uint8_t from[CALL_LEN + WINDOW_LEN], window[WINDOW_LEN + CALL_LEN];
    static uint8_t to[CALL_LEN + WINDOW_LEN];
    static struct ideal_wire wire[256];
    uint64_t done = 0;
    uint32_t at = 0, call = 0, n = 0;
    uint32_t sink = 0;
    memset(from, 0x5a, sizeof from);
    double start = cpu_now();
    while (done < bytes) {
        struct ideal_wire *w = &wire[n++ % 256];
        uint16_t sum = 0;
        if (checksums)
            sum = checksum_copy(window + at, from + call, segment_len);
        else
            memcpy(window + at, from + call, segment_len);
        header_write(w, 0x0a000001 + (n & 1), n, sum);
        sink += header_read(w);
        if (checksums)
            sink += checksum_sum(window + at, segment_len);
        memcpy(to + call, window + at, segment_len);
        if (n % 2 == 0) {
            header_write(w, 0x0a000003, n, 0);
            sink += header_read(w);
        }
        at = (at + segment_len) % WINDOW_LEN;
        call = (call + segment_len) % CALL_LEN;
        done += segment_len;
    }
    double seconds = cpu_now() - start;
    __asm__ volatile("" : : "r"(sink)); /* the compiler may not leave the work out */
    return (double)done * 8 / seconds / 1e9;
}
