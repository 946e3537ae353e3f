/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who lets go of a socket that others keep. The kernel tells only of the last close, and to ask for
 * each close(2) is not safe (see RUN.md, --close-trace). So a connected pair remembers who holds
 * it, as far as that is known, and looks now and then whether they still do: soon after its birth
 * and after the peer's end of stream, then less and less often. One look costs 3 us per holder.
 */
#ifndef LASTACK_RUN_WATCH_H
#define LASTACK_RUN_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervisor;
struct pair;

void watch_init(struct supervisor *s);
/* (pid, fd) is known to hold it. */
void watch_seen(struct pair *pair, pid_t pid, int fd);
/* Look soon, and often for a while. */
void watch_start(struct supervisor *s, struct pair *pair);
/* The peer's end of stream is about to be shown: note who will see it. */
void watch_end_of_stream(struct supervisor *s, struct pair *pair);
/* Process `child` has just begun its life. */
void watch_fork(struct supervisor *s, pid_t parent, pid_t child);
/* The one who must have closed it last. False: not known. */
bool watch_last(const struct pair *pair, pid_t *pid, int *fd);

void watch_look(struct supervisor *s);
uint64_t watch_deadline(const struct supervisor *s);

#endif
