/* SPDX-License-Identifier: BSD-2-Clause */
/* The user calls of RFC 9293 3.10.1 - 3.10.6, for the socket layer. Causes go to the recorder.
 * After a call that may end a connection, its owner calls connection_settle when it lets go. */
#ifndef LASTACK_TCP_CALL_H
#define LASTACK_TCP_CALL_H

#include <sys/types.h>

#include "tcp/connection.h"

/* Active OPEN: a connection in SYN_SENT, `mtu` of the interface it leaves by. NULL: limits. */
struct connection *tcp_call_open(struct tcp *tcp, const struct lastack_tuple *key,
                                 const struct tcp_options *options, uint32_t mtu,
                                 struct tcp_owner *owner);
/* Bytes of send buffer free. */
size_t tcp_call_room(const struct connection *c);
/* SEND: queue at most `len` bytes; returns how many, 0 when the buffer is full or memory short. */
size_t tcp_call_send(struct tcp *tcp, struct connection *c, const struct source *source,
                     size_t len);
/* A program wants to send and cannot: it hears when it can, whether buffer or memory is short. */
void tcp_call_wait_room(struct tcp *tcp, struct connection *c);
/* Bytes written into spans of stream_room were filled. */
void tcp_call_sent(struct tcp *tcp, struct connection *c, size_t len);
/* RECEIVE: the first `len` queued bytes are taken by the program. */
void tcp_call_taken(struct tcp *tcp, struct connection *c, size_t len);
/* A program has read the end of stream. */
void tcp_call_eof_read(struct tcp *tcp, struct connection *c);
/* CLOSE in the RFC's sense: no more to send. FIN follows what is queued. */
void tcp_call_shutdown_write(struct tcp *tcp, struct connection *c, enum lastack_cause cause);
void tcp_call_shutdown_read(struct tcp *tcp, struct connection *c);
/* The last reference is gone (SEMANTICS 2). False: the connection too. True: it goes on as an
 * orphan. */
bool tcp_call_close(struct tcp *tcp, struct connection *c, enum lastack_cause cause, bool abort);
/* TCP_USER_TIMEOUT: counts at once, from when the peer last made progress. 0: none. */
void tcp_call_user_timeout(struct tcp *tcp, struct connection *c, uint32_t timeout_ms);
/* Options changed: timers that depend on them. */
void tcp_call_options_changed(struct tcp *tcp, struct connection *c);

#endif
