/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets into a pcapng file, each with a comment that says which state edges it caused, or what
 * caused it, or why it was dropped. The edges come from the stack's flight recorder.
 *
 *     inbound:   lastack_rx(stack, frame, 1, now);       one frame at a time, then
 *                capture_frame(capture, stack, frame, CAPTURE_IN, now);
 *     outbound:  cnt = lastack_tx(stack, frames, max, now);  then, before the next call
 *                capture_frame(capture, stack, &frames[i], CAPTURE_OUT, now);  for each
 *
 * Edges that a call or a timer caused are told with the next packet of the same connection that
 * goes out, if one does within a second. A close that left references to the socket is told with
 * the next such packet however late it comes: it is why none went out before.
 */
#ifndef LASTACK_DEVICE_CAPTURE_H
#define LASTACK_DEVICE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

#define CAPTURE_INTERFACE_MAX 16
#define CAPTURE_PENDING_MAX 256

enum capture_direction {
    CAPTURE_OUT = 0,
    CAPTURE_IN = 1,
};

struct capture {
    int fd;
    bool owned;                 /* close fd at the end */
    int error;                  /* errno of the first failed write; nothing is written after it */
    uint64_t epoch_ns;          /* added to the stack's time */
    uint64_t cursor;            /* into the flight recorder */
    uint64_t packet_cnt;
    uint32_t interface_cnt;     /* interface blocks written so far: which number each is of */
    uint32_t interfaces[CAPTURE_INTERFACE_MAX];
    struct lastack_record *pending; /* what waits for a packet, oldest first */
    size_t pending_cnt;
    uint8_t *buffer;
    size_t buffer_len;
};

/* Write to a new file `path`, or to the open `fd`, which stays the caller's. `epoch_ns` turns the
 * stack's clock into time since 1970 (0 if it is that already). 0 or -errno. */
int capture_open(struct capture *capture, const char *path, uint64_t epoch_ns);
int capture_open_fd(struct capture *capture, int fd, uint64_t epoch_ns);

void capture_frame(struct capture *capture, const lastack *stack,
                   const struct lastack_frame *frame, enum capture_direction direction,
                   uint64_t now_ns);

/* 0, or -errno of the first write that failed. Safe on a capture that is all zero. */
int capture_close(struct capture *capture);

#endif
