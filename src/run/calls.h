/* SPDX-License-Identifier: BSD-2-Clause */
/* The intercepted calls. Each handler answers its call, or holds it. */
#ifndef LASTACK_RUN_CALLS_H
#define LASTACK_RUN_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct supervisor;
struct call;
struct pair;

void call_handle(struct supervisor *s, struct call *call);

/* For calls that must not be done twice: answer, and keep the answer if nobody heard it ... */
void call_answer_once(struct supervisor *s, struct call *call, int64_t value);
/* ... so that the call, made again by the same thread, gets it. True: answered. */
bool call_repeated(struct supervisor *s, struct call *call);

/* calls_name.c */
void call_socket(struct supervisor *s, struct call *call);
void call_bind(struct supervisor *s, struct call *call);
void call_getsockname(struct supervisor *s, struct call *call);
void call_getpeername(struct supervisor *s, struct call *call);

/* calls_accept.c */
void call_listen(struct supervisor *s, struct call *call);
void call_accept(struct supervisor *s, struct call *call);
void accept_ready(struct supervisor *s, struct pair *listener);  /* the stack has connections */
void accept_stop(struct supervisor *s, struct pair *listener);   /* it listens no more */
void accept_forget(struct supervisor *s, struct pair *listener); /* it is being closed */

/* calls_connect.c */
void call_connect(struct supervisor *s, struct call *call);
void connect_ready(struct supervisor *s, struct pair *pair, uint32_t events);
/* The attempt ends with `error`. */
void connect_abort(struct supervisor *s, struct pair *pair, int error);
/* The thread that waits in connect(2) leaves it; the connection attempt goes on. */
void connect_detach(struct supervisor *s, struct call *call);

/* calls_option.c */
void call_getsockopt(struct supervisor *s, struct call *call);
void call_setsockopt(struct supervisor *s, struct call *call);
/* SO_ERROR of a DEAD pair, which is no longer pending then. */
int option_error_take(struct pair *pair, int a);
void call_ioctl(struct supervisor *s, struct call *call);

/* calls_end.c */
void call_shutdown(struct supervisor *s, struct call *call);
void call_close_watched(struct supervisor *s, struct call *call);
void call_process_begins(struct supervisor *s, struct call *call);
void call_sendto(struct supervisor *s, struct call *call);

#endif
