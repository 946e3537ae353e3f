/* SPDX-License-Identifier: BSD-2-Clause */
/* Intercepted calls: receive them, look into the caller, answer. */
#ifndef LASTACK_RUN_NOTIFY_H
#define LASTACK_RUN_NOTIFY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run/supervisor.h"

/* Take the calls that wait now, at most `max`. */
unsigned notify_receive(struct supervisor *s, struct call *calls, unsigned max);
/* Ask the kernel to wake us on the caller's CPU (Linux 6.6); no loss if it cannot. */
void notify_sync_wake(int notify);

/* The pair behind descriptor `fd` of the caller, with call->a a duplicate of A. NULL: not ours. */
struct pair *call_pair(struct supervisor *s, struct call *call, int fd);
/* Drop call->a. Answers do it, too. */
void call_release(struct call *call);
/* O_NONBLOCK of the open file description. Needs call->a. */
bool call_nonblocking(const struct call *call);

/* Each returns false when the caller is gone or was interrupted: nobody heard the answer. */
bool call_answer(struct supervisor *s, struct call *call, int64_t value); /* negative: -errno */
bool call_continue(struct supervisor *s, struct call *call); /* let the kernel do it */
/* Put `fd` into the caller's table and answer with its number, in one step. Returns the number,
 * or -errno (-ENOENT: nobody heard). */
int call_answer_descriptor(struct supervisor *s, struct call *call, int fd, bool close_on_exec);
/* Replace descriptor `at` of the caller by `fd`. No answer yet. */
int call_replace_descriptor(struct supervisor *s, struct call *call, int fd, int at,
                            bool close_on_exec);
/* The kernel gave the interrupted call up (target killed, or interrupted). */
bool call_valid(struct supervisor *s, const struct call *call);

/* Memory of the caller. 0 or -EFAULT. */
int call_read(const struct call *call, uint64_t address, void *data, size_t len);
int call_write(const struct call *call, uint64_t address, const void *data, size_t len);
/* A socket address argument: 0, -EFAULT, -EINVAL. */
int call_read_address(const struct call *call, uint64_t address, uint64_t len,
                      struct sockaddr_storage *out);
/* A value with its in-out length, as getsockname(2) and getsockopt(2) have it. `truncate`: the
 * length given back is the full one (addresses), else what was copied (options). */
int call_write_value(const struct call *call, uint64_t address, uint64_t len_address,
                     const void *value, uint32_t len, bool truncate);

#endif
