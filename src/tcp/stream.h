/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A byte stream in pages: the send and receive buffers of a connection.
 *
 * Offsets count from the stream's head (its oldest byte). `len` bytes from the head are
 * contiguous; a receive stream may hold more beyond them (out of order), written at their place.
 * Pages come from one pool when bytes come and go back as soon as they are passed, so an idle
 * stream holds none. Up to two pages are linked directly; a third brings a directory page.
 */
#ifndef LASTACK_TCP_STREAM_H
#define LASTACK_TCP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct pool;

#define PAGE_LEN 4096u
#define STREAM_PAGES (PAGE_LEN / sizeof(void *)) /* in a directory */
#define STREAM_MAX ((STREAM_PAGES - 1) * PAGE_LEN) /* the most a stream can span, bytes */

struct stream {
    union {
        uint8_t *near[2];
        uint8_t **directory;
    };
    uint32_t head : 31; /* place of the oldest byte in a directory's worth of pages */
    uint32_t has_directory : 1;
    uint32_t len;       /* contiguous bytes */
};

/* Where bytes come from: a scatter list from `offset` on. */
struct source {
    const struct iovec *iov;
    size_t iov_cnt;
    size_t offset;
};

/* Copy `len` bytes to `offset` (from the head); returns how many: fewer when the pool is empty.
 * Does not change stream->len. offset + len <= STREAM_MAX. */
size_t stream_write(struct stream *stream, struct pool *pages, size_t offset,
                    const struct source *source, size_t len);
/* Copy out without removing. */
void stream_read(const struct stream *stream, size_t offset, void *to, size_t len);
/* Spans of `len` bytes from `offset`; returns how many spans, at most `max`, and what they cover. */
size_t stream_spans(const struct stream *stream, size_t offset, size_t len, struct iovec *iov,
                    size_t max, size_t *covered);
/* Writable spans at `offset`, with pages for them. */
size_t stream_room(struct stream *stream, struct pool *pages, size_t offset, size_t len,
                   struct iovec *iov, size_t max, size_t *covered);
/* Are there pages for `len` bytes at `offset` already (after stream_room)? */
bool stream_has_room(const struct stream *stream, size_t offset, size_t len);
/* Drop `cnt` (<= len) bytes at the head; `beyond`: bytes are held past len. */
void stream_drop(struct stream *stream, struct pool *pages, size_t cnt, bool beyond);
/* Give back all pages without in-order bytes. */
void stream_trim(struct stream *stream, struct pool *pages);
/* Give everything back. */
void stream_clear(struct stream *stream, struct pool *pages);

#endif
