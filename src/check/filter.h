/* SPDX-License-Identifier: BSD-2-Clause */
/* The seccomp filter: the few calls that matter stop for the tracer, all others run at full speed.
 */
#ifndef LASTACK_CHECK_FILTER_H
#define LASTACK_CHECK_FILTER_H

#include <stdbool.h>

/* What the filter says of a call to the tracer. */
enum check_call {
    CALL_NONE,
    CALL_ACCEPT,
    CALL_CONNECT,
    CALL_SHUTDOWN,
    CALL_CLOSE,
    CALL_EXEC,
    CALL_PTRACE,
    CALL_CLONE, /* one that would escape the tracer */
};

/* In the child, which must be traced already: without a tracer these calls fail with ENOSYS.
 * `closes`: stop at close() too. 0 or -errno. */
int check_filter_install(bool closes);

#endif
