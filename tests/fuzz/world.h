/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two targets that drive a whole stack have in common: bytes of the input become
 * packets, time and calls; after each of them the stack's promises are asserted. Failing one is
 * an abort, which every fuzzer understands.
 */
#ifndef LASTACK_FUZZ_WORLD_H
#define LASTACK_FUZZ_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lastack.h"

#define PROC_CNT 3
#define FLOW_CNT 8
#define MESSAGE_CNT 4
#define HERE 0x0a000001u  /* 10.0.0.1, the stack */
#define THERE 0x0a000002u /* and the peers from here on */
#define PORT_LISTEN 80u
#define PORT_PEER 1000u

#define REQUIRE(condition)                                                              \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: REQUIRE(%s)\n", __FILE__, __LINE__, #condition);    \
            abort();                                                                    \
        }                                                                               \
    } while (0)

/* The input, read from the front; when it is used up, zeros. */
struct reader {
    const uint8_t *data;
    size_t len;
};
uint8_t take_u8(struct reader *r);
uint16_t take_u16(struct reader *r);
uint32_t take_u32(struct reader *r);

/* What a peer that pays attention would know, so that inputs go deep. */
struct flow {
    uint32_t peer_ip4;
    uint16_t peer_port, local_port;
    uint32_t next;   /* sequence number that the stack expects */
    uint32_t unacked; /* what the stack has sent: to be acknowledged */
    bool used;
};

struct fuzz {
    struct reader in;
    lastack *stack;
    struct lastack_config config;
    uint64_t now;
    struct flow flows[FLOW_CNT];
    lastack_process *proc[PROC_CNT];
    lastack_message *message[MESSAGE_CNT];
    uint32_t next_pid;
    uint64_t record_cursor;
    uint8_t last_frame[256]; /* the last one that came out, as far as it fits */
    size_t last_frame_len;
};

/* `flags` come from the input and choose options of the stack. */
void fuzz_begin(struct fuzz *f, const uint8_t *data, size_t len);
/* Everybody dies, time passes, nothing may be left. */
void fuzz_end(struct fuzz *f);
/* Frames out, events, records, deadline: after each operation. */
void fuzz_pump(struct fuzz *f);
/* The walks for people, and that their sums agree. */
void fuzz_audit(struct fuzz *f);

/* Operations on the network and the clock, parameters from the input. */
void fuzz_segment(struct fuzz *f);
void fuzz_raw(struct fuzz *f);
void fuzz_icmp(struct fuzz *f);
void fuzz_fragment(struct fuzz *f);
void fuzz_reflect(struct fuzz *f);
void fuzz_time(struct fuzz *f);

/* calls.c: one socket call of one process, everything from the input */
void fuzz_call(struct fuzz *f);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
