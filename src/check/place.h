/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places in programs. A stopped call leaves a snapshot of its registers and stack; equal ones (the
 * same return addresses at the same depths) are one place, so that ten thousand connections of one
 * line cost one snapshot. Snapshots become source lines only when somebody asks: a program that
 * ends all its connections never pays for debug information.
 *
 * An image is what exec made: processes that forked from each other share it, and its code lies at
 * the same addresses in all of them.
 */
#ifndef LASTACK_CHECK_PLACE_H
#define LASTACK_CHECK_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/table.h"
#include "check/python.h"
#include "doctor/facts.h"
#include "lines/lines.h"

#define PLACE_END_MAX 4

struct place_snapshot;

struct place {
    struct table_node node; /* in image->places, by hash */
    struct image *image;
    uint32_t pid;                    /* who was there */
    struct place_snapshot *snapshot; /* NULL once it is resolved, or given up */
    struct fact_site site;           /* valid if `resolved` */
    bool resolved;
    bool leaked; /* a connection born here was not ended */
    /* of a place of birth */
    uint64_t born_cnt, ended_cnt;
    struct {
        struct place *place;
        uint64_t cnt;
    } ends[PLACE_END_MAX]; /* where connections born here were closed */
};

struct text_range {
    uint64_t from, to;
    bool code;
};

struct image {
    struct hash_table places;
    struct image *parent;      /* who called exec; keeps it alive */
    uint32_t member_cnt;       /* processes */
    uint32_t child_cnt;        /* images that came out of it */
    struct text_range *ranges; /* of one of its processes, in order */
    uint32_t range_cnt;
    struct python python;
    struct image *next; /* in places->images, once it has places */
};

/* An image without members, a child of `parent` (or NULL). NULL: out of memory. */
struct image *image_new(struct image *parent);
/* A process joins, or leaves by exit or exec; the last one takes the image along, unless children
 * need it, or places of it are known elsewhere (they stay until the end). */
void image_join(struct image *image);
void image_leave(struct image *image);

struct places {
    struct lines *lines;  /* NULL until the first is needed */
    bool lost;            /* no memory for all, or too many */
    struct image *images; /* that have places */
};

/* The place where thread `tid` of `pid` has stopped. NULL: unknown (no memory, other machine). */
struct place *place_take(struct places *places, struct image *image, uint32_t pid, uint32_t tid);
/* A connection born at `birth` was ended at `end` (either may be NULL). */
void place_ended(struct place *birth, struct place *end);
/* The same source line: one line may have many places (inlined, unrolled, in several runs). */
bool place_equal(const struct place *a, const struct place *b);
/* Find the source lines of a place, with the help of a living process of its image. */
void place_resolve(struct places *places, struct place *place, uint32_t pid);
/* The last process that could help to resolve the places of an image goes. */
void image_resolve(struct places *places, struct image *image, uint32_t pid);

#endif
