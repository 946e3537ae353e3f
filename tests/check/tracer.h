/* SPDX-License-Identifier: BSD-2-Clause */
/* What LeakSanitizer does: a program that stops its own threads with ptrace. */
#ifndef LASTACK_TEST_TRACER_H
#define LASTACK_TEST_TRACER_H

#include <stdbool.h>
#include <sys/types.h>

/* From a process that is made for that, which no tracer of ours would follow: stop these threads, the
 * caller among them, and let them go on. True: it worked. */
bool stop_and_go(const pid_t *threads, int cnt);
/* As in /proc/TID/stat: 'S' sleeps; 0: unknown. */
char thread_state(pid_t tid);

#endif
