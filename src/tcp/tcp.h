/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP of one stack: its connections, listeners, timers and what they owe the network.
 *
 * The life of a passive connection:
 *     listener -> half-open entry -> connection (unaccepted) -> connection -> time-wait entry
 * and of an active one: connection -> time-wait entry. Four bodies, each only as large as its
 * part of the life needs.
 */
#ifndef LASTACK_TCP_TCP_H
#define LASTACK_TCP_TCP_H

#include "base/drop.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/recorder.h"
#include "tcp/connection.h"
#include "tcp/reply.h"

/* Whose timer it is, when the wheel says that it is due. */
enum timer_kind {
    TIMER_CONNECTION,
    TIMER_HALF_OPEN,
    TIMER_TIME_WAIT,
    TIMER_TCP_CNT, /* kinds from here on belong to the layers above */
};

struct tcp {
    struct lastack_config config;
    uint64_t now_ns;
    uint32_t now; /* tick: milliseconds */
    uint64_t born_ms; /* stamps count from here */
    uint64_t next_id;
    struct random random;
    uint64_t isn_key[2], cookie_key[2], port_key[2];
    uint32_t port_counter;
    uint8_t rcv_wscale; /* what we offer */

    struct flow_table flows;
    struct pool connections, half_opens, time_waits, listeners, pages, gaps;
    struct wheel *wheel;
    struct timer time_wait_timer;
    uint32_t time_wait_first, time_wait_last; /* FIFO by pool index */

    struct list tx_queue; /* connections that owe something */
    struct reply_queue replies;
    struct list events; /* owners with something to hear */
    struct list orphans;
    struct list starving; /* connections whose send found no memory */
    struct list gapped;   /* out_of_order.link, oldest first: what can be forgotten */
    uint64_t delivering_id; /* whose segment is on its way through the loopback; 0: none */
    uint32_t orphan_cnt, unaccepted_cnt;
    uint32_t cookie_until; /* tick until which cookies may come back; 0: none out */

    struct recorder recorder;
    uint32_t actor_pid; /* whose call is being served; 0: none */
    int32_t actor_fd;
    uint64_t drops[DROP_CNT];
    uint64_t retransmitted;
};

/* `wheel` is the stack's. False: no memory. */
bool tcp_init(struct tcp *tcp, const struct lastack_config *config, struct wheel *wheel,
              uint64_t now_ns);
void tcp_free(struct tcp *tcp);

/* A segment whose checksum is good. */
void tcp_rx(struct tcp *tcp, struct segment *seg);
/* Where the next segment goes, if there is one; NULL: nothing is owed. */
const struct lastack_address *tcp_tx_destination(const struct tcp *tcp);
/* That segment. False: whoever was next owes nothing after all; ask again. */
bool tcp_tx(struct tcp *tcp, struct outgoing *out);
bool tcp_owes(const struct tcp *tcp);
/* A due timer of kind < TIMER_TCP_CNT. */
void tcp_timer(struct tcp *tcp, struct timer *timer);
/* An ICMP error about a segment of ours with sequence `seq`; errno it stands for; `hard` as in
 * RFC 1122 4.2.3.9; `mtu` > 0: fragmentation needed. */
void tcp_icmp(struct tcp *tcp, const struct lastack_tuple *key, uint32_t seq, int error, bool hard,
              uint32_t mtu);

/* Count and record a refusal. `key` and `id` may be NULL, 0. */
void tcp_drop(struct tcp *tcp, enum drop reason, const struct lastack_tuple *key, uint64_t id);
/* Record an edge; `error`: errno given to the program. */
void tcp_edge(struct tcp *tcp, uint64_t id, const struct lastack_tuple *key,
              enum lastack_state from, enum lastack_state to, enum lastack_cause cause, int error);
void tcp_record(struct tcp *tcp, const struct connection *c, enum lastack_record_kind kind,
                enum lastack_cause cause, uint32_t arg);
void stamp_set(struct tcp *tcp, struct stamp *stamp);
uint64_t stamp_ns(const struct tcp *tcp, struct stamp stamp);
/* Memory may be back: those who starved for it hear of it. */
void tcp_feed(struct tcp *tcp);
void tcp_notify(struct tcp *tcp, struct tcp_owner *owner);

#endif
