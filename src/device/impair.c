/* SPDX-License-Identifier: BSD-2-Clause */
/* A bad wire: a heap of copies ordered by when they are due, then by when they were pushed. */
#include "device/impair.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define MILLION 1000000u

struct impair_frame {
    uint64_t due_ns, sequence;
    uint64_t connection_id;
    uint32_t interface;
    uint32_t len;
    uint8_t bytes[];
};

void impair_init(struct impair *impair, const struct impair_config *config)
{
    *impair = (struct impair){.config = *config};
    random_init(&impair->random, (const uint64_t[4]){config->seed, 0, 0, 0x696d70616972});
}

void impair_free(struct impair *impair)
{
    for (size_t i = 0; i < impair->heap_len; i++)
        free(impair->heap[i]);
    free(impair->heap);
    free(impair->out);
    *impair = (struct impair){0};
}

void impair_set(struct impair *impair, const struct impair_config *config)
{
    impair->config = *config;
}

void impair_cut(struct impair *impair, bool cut)
{
    impair->cut = cut;
}

static bool earlier(const struct impair_frame *a, const struct impair_frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

static bool heap_push(struct impair *impair, struct impair_frame *frame)
{
    if (impair->heap_len == impair->heap_cap) {
        size_t cap = impair->heap_cap ? impair->heap_cap * 2 : 64;
        struct impair_frame **heap = realloc(impair->heap, cap * sizeof *heap);
        if (heap == NULL)
            return false;
        impair->heap = heap;
        impair->heap_cap = cap;
    }
    size_t at = impair->heap_len++;
    for (; at > 0 && earlier(frame, impair->heap[(at - 1) / 2]); at = (at - 1) / 2)
        impair->heap[at] = impair->heap[(at - 1) / 2];
    impair->heap[at] = frame;
    return true;
}

static struct impair_frame *heap_pop(struct impair *impair)
{
    struct impair_frame *first = impair->heap[0], *moved = impair->heap[--impair->heap_len];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= impair->heap_len)
            break;
        if (child + 1 < impair->heap_len && earlier(impair->heap[child + 1], impair->heap[child]))
            child++;
        if (!earlier(impair->heap[child], moved))
            break;
        impair->heap[at] = impair->heap[child];
        at = child;
    }
    impair->heap[at] = moved;
    return first;
}

/* A number is drawn even for a chance of 0, so that one setting changed does not change the
 * luck of all that follows. */
static bool chance(struct impair *impair, uint32_t ppm)
{
    return random_below(&impair->random, MILLION) < ppm;
}

static struct impair_frame *frame_copy(const struct lastack_frame *frame)
{
    struct impair_frame *copy = malloc(sizeof *copy + frame->len);
    if (copy == NULL)
        return NULL;
    *copy = (struct impair_frame){.interface = frame->interface,
                                  .connection_id = frame->connection_id};
    for (uint32_t i = 0; i < frame->iov_cnt && copy->len < frame->len; i++) {
        size_t len = MIN(frame->iov[i].iov_len, frame->len - copy->len);
        if (len > 0)
            memcpy(copy->bytes + copy->len, frame->iov[i].iov_base, len);
        copy->len += (uint32_t)len;
    }
    return copy;
}

/* When a frame that is pushed now arrives. */
static uint64_t frame_due(struct impair *impair, uint32_t len, uint64_t jitter, bool late,
                          uint64_t now_ns)
{
    const struct impair_config *config = &impair->config;
    impair->wire_free_ns = MAX(impair->wire_free_ns, now_ns) + config->byte_ns * len;
    uint64_t due = impair->wire_free_ns + config->delay_ns;
    if (config->jitter_ns > 0)
        due += jitter % (config->jitter_ns + 1);
    if (late && config->reorder_ns > 0) {
        impair->reordered++;
        return due + config->reorder_ns;
    }
    impair->last_due_ns = MAX(impair->last_due_ns, due);
    return impair->last_due_ns;
}

static bool push_copy(struct impair *impair, const struct lastack_frame *frame, bool corrupt,
                      uint64_t now_ns)
{
    uint64_t place = random_u64(&impair->random), jitter = random_u64(&impair->random);
    bool late = chance(impair, impair->config.reorder_ppm);
    if (impair->config.queue_max > 0 && impair->heap_len >= impair->config.queue_max) {
        impair->lost++;
        return true;
    }
    struct impair_frame *copy = frame_copy(frame);
    if (copy == NULL)
        return false;
    copy->due_ns = frame_due(impair, frame->len, jitter, late, now_ns);
    copy->sequence = ++impair->sequence;
    if (corrupt && copy->len > 0) {
        place %= (uint64_t)copy->len * 8;
        copy->bytes[place / 8] ^= (uint8_t)(1u << place % 8);
        impair->corrupted++;
    }
    if (!heap_push(impair, copy)) {
        free(copy);
        return false;
    }
    return true;
}

bool impair_push(struct impair *impair, const struct lastack_frame *frame, uint64_t now_ns)
{
    bool lost = chance(impair, impair->config.loss_ppm) || impair->cut;
    bool twice = chance(impair, impair->config.duplicate_ppm);
    bool corrupt = chance(impair, impair->config.corrupt_ppm);

    impair->pushed++;
    if (lost) {
        impair->lost++;
        return true;
    }
    if (!push_copy(impair, frame, corrupt, now_ns)) {
        impair->lost++;
        return false;
    }
    if (!twice)
        return true;
    impair->duplicated++;
    if (push_copy(impair, frame, false, now_ns))
        return true;
    impair->lost++;
    return false;
}

bool impair_pop(struct impair *impair, struct lastack_frame *frame, uint64_t now_ns)
{
    free(impair->out);
    impair->out = NULL;
    if (impair_deadline(impair) > now_ns)
        return false;
    struct impair_frame *out = impair->out = heap_pop(impair);
    frame->interface = out->interface;
    frame->connection_id = out->connection_id;
    frame->len = out->len;
    frame->iov_cnt = 1;
    frame->iov[0] = (struct iovec){out->bytes, out->len};
    impair->popped++;
    return true;
}

uint64_t impair_deadline(const struct impair *impair)
{
    return impair->heap_len > 0 ? impair->heap[0]->due_ns : LASTACK_NEVER;
}
