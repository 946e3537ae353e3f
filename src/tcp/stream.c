/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/stream.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/pool.h"

static uint32_t page_number(const struct stream *s, size_t offset)
{
    return (s->head + (uint32_t)offset) / PAGE_LEN;
}

static uint8_t **slot_of(const struct stream *s, uint32_t number)
{
    if (s->has_directory)
        return &s->directory[number % STREAM_PAGES];
    return (uint8_t **)&s->near[number & 1];
}

/* Two pages lie side by side in `near` as long as all bytes are in two neighbouring pages. */
static bool directory_make(struct stream *s, struct pool *pages)
{
    uint8_t **directory = pool_get(pages);
    if (directory == NULL)
        return false;
    uint32_t first = page_number(s, 0);
    uint8_t *near[2] = {s->near[first & 1], s->near[(first + 1) & 1]};
    directory[first % STREAM_PAGES] = near[0];
    directory[(first + 1) % STREAM_PAGES] = near[1];
    s->directory = directory;
    s->has_directory = true;
    return true;
}

static uint8_t *page_at(struct stream *s, struct pool *pages, size_t offset)
{
    uint32_t number = page_number(s, offset);
    if (!s->has_directory && number - page_number(s, 0) > 1 && !directory_make(s, pages))
        return NULL;
    uint8_t **slot = slot_of(s, number);
    if (*slot == NULL)
        *slot = pool_get_dirty(pages);
    return *slot;
}

static size_t in_page(const struct stream *s, size_t offset)
{
    return (s->head + (uint32_t)offset) % PAGE_LEN;
}

static void source_copy(const struct source *source, size_t skip, uint8_t *to, size_t len)
{
    const struct iovec *iov = source->iov;
    size_t offset = source->offset + skip;
    while (offset >= iov->iov_len && len > 0)
        offset -= (iov++)->iov_len;
    while (len > 0) {
        size_t cnt = MIN(len, iov->iov_len - offset);
        if (cnt > 0)
            copy_bytes(to, (const uint8_t *)iov->iov_base + offset, cnt);
        to += cnt;
        len -= cnt;
        offset = 0;
        iov++;
    }
}

size_t stream_write(struct stream *s, struct pool *pages, size_t offset,
                    const struct source *source, size_t len)
{
    size_t done = 0;
    assert(offset + len <= STREAM_MAX);
    while (done < len) {
        uint8_t *page = page_at(s, pages, offset + done);
        if (page == NULL)
            break;
        size_t at = in_page(s, offset + done);
        size_t cnt = MIN(len - done, PAGE_LEN - at);
        source_copy(source, done, page + at, cnt);
        done += cnt;
    }
    return done;
}

size_t stream_spans(const struct stream *s, size_t offset, size_t len, struct iovec *iov,
                    size_t max, size_t *covered)
{
    size_t cnt = 0, done = 0;
    while (done < len && cnt < max) {
        size_t at = in_page(s, offset + done);
        size_t take = MIN(len - done, PAGE_LEN - at);
        iov[cnt].iov_base = *slot_of(s, page_number(s, offset + done)) + at;
        iov[cnt++].iov_len = take;
        done += take;
    }
    *covered = done;
    return cnt;
}

size_t stream_room(struct stream *s, struct pool *pages, size_t offset, size_t len,
                   struct iovec *iov, size_t max, size_t *covered)
{
    size_t have = 0, cnt = 0;
    while (have < len && cnt++ < max && page_at(s, pages, offset + have) != NULL)
        have += PAGE_LEN - in_page(s, offset + have);
    return stream_spans(s, offset, MIN(have, len), iov, max, covered);
}

bool stream_has_room(const struct stream *s, size_t offset, size_t len)
{
    for (size_t done = 0; done < len; done += PAGE_LEN - in_page(s, offset + done)) {
        uint32_t number = page_number(s, offset + done);
        if (!s->has_directory && number - page_number(s, 0) > 1)
            return false;
        if (*slot_of(s, number) == NULL)
            return false;
    }
    return true;
}

void stream_read(const struct stream *s, size_t offset, void *to, size_t len)
{
    uint8_t *out = to;
    while (len > 0) {
        size_t at = in_page(s, offset);
        size_t take = MIN(len, PAGE_LEN - at);
        copy_bytes(out, *slot_of(s, page_number(s, offset)) + at, take);
        out += take;
        offset += take;
        len -= take;
    }
}

static void page_release(struct stream *s, struct pool *pages, uint32_t number)
{
    uint8_t **slot = slot_of(s, number);
    if (*slot != NULL)
        pool_put(pages, *slot);
    *slot = NULL;
}

void stream_drop(struct stream *s, struct pool *pages, size_t cnt, bool beyond)
{
    assert(cnt <= s->len);
    if (cnt == s->len && !beyond) {
        stream_clear(s, pages);
        return;
    }
    uint32_t first = page_number(s, 0), last = page_number(s, cnt);
    for (uint32_t number = first; number != last; number++)
        page_release(s, pages, number);
    s->head = (s->head + (uint32_t)cnt) % (STREAM_PAGES * PAGE_LEN);
    s->len -= (uint32_t)cnt;
}

void stream_trim(struct stream *s, struct pool *pages)
{
    if (s->len == 0) {
        stream_clear(s, pages);
        return;
    }
    uint32_t keep = page_number(s, s->len - 1) - page_number(s, 0) + 1;
    uint32_t cnt = s->has_directory ? STREAM_PAGES : 2;
    for (uint32_t number = keep; number < cnt; number++)
        page_release(s, pages, page_number(s, 0) + number);
}

void stream_clear(struct stream *s, struct pool *pages)
{
    uint32_t cnt = s->has_directory ? STREAM_PAGES : 2;
    for (uint32_t number = 0; number < cnt; number++)
        page_release(s, pages, number);
    if (s->has_directory)
        pool_put(pages, s->directory);
    *s = (struct stream){0};
}
