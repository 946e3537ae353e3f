/* SPDX-License-Identifier: BSD-2-Clause */
/* Which calls the threads of a process sit in, and which descriptors they wait for. Nobody is stopped:
 * the kernel shows the arguments of a call that sleeps, and memory is read beside the process. Private. */
#ifndef LASTACK_KERNEL_CALL_H
#define LASTACK_KERNEL_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/facts.h"

#define CALL_THREAD_MAX 1024u /* of one process */
#define CALL_WAIT_MAX   1024u /* descriptors of one poll or select */

struct call_thread {
    uint32_t tid;
    bool running; /* not asleep */
    bool blocked; /* in call `nr` with `args` */
    long nr;
    uint64_t args[6];
};

struct call_wait {
    int32_t fd;
    uint32_t events; /* POLL* */
};

/* The threads of the process whose directory this is; *out is to be freed. `cut` is set if some could
 * not be looked at. */
uint32_t call_threads(int dir, struct call_thread **out, bool *cut);
/* What a thread does; text: the name of its call. */
enum fact_doing call_doing(const struct call_thread *thread, char text[24]);
/* The descriptors that a blocked call waits for, or works on: none for epoll_wait, which waits for
 * its epoll (args[0]). `cut` is set if there are more, or memory could not be read. */
uint32_t call_waits(uint32_t pid, const struct call_thread *thread,
                    struct call_wait out[CALL_WAIT_MAX], bool *cut);
bool call_is_epoll(const struct call_thread *thread);
/* Still in the very same call. */
bool call_is_still(int dir, const struct call_thread *thread);
/* The number leads to no descriptor in this thread's table. */
bool call_is_gone(int dir, uint32_t tid, int32_t fd);

#endif
