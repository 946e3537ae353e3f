/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection: the transmission control block (RFC 9293 3.3.1).
 *
 * The state is written by connection_create and connection_move alone, deadlines by timeout.c;
 * README.md has the table for the rest. Everybody may read.
 */
#ifndef LASTACK_TCP_CONNECTION_H
#define LASTACK_TCP_CONNECTION_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/wheel.h"
#include "tcp/congestion.h"
#include "tcp/flow.h"
#include "tcp/segment.h"
#include "tcp/sequence.h"
#include "tcp/state.h"
#include "tcp/stream.h"

struct tcp;
struct listener;

/* What a program (or a listener, for its children) asks of a connection. */
struct tcp_options {
    uint32_t send_buffer, receive_buffer; /* bytes */
    uint32_t user_timeout_ms;             /* 0: none (RFC 5482) */
    uint16_t keepalive_idle_s, keepalive_interval_s;
    uint16_t mss_clamp;                   /* 0: none */
    uint8_t keepalive_cnt;
    uint8_t tos, ttl;
    bool keepalive : 1, nodelay : 1, cork : 1;
    uint8_t congestion : 3; /* congestion_at */
    bool reuse : 1; /* SO_REUSEADDR of the socket: its port may be bound again */
};

/* The thing above that wants to hear of changes; a socket embeds it. */
struct tcp_owner {
    struct list event_link; /* on tcp->events while it has something to hear */
};

/* A time in milliseconds since the stack was made, +1 so that 0 is "never": 40 bits, 34 years. */
struct stamp {
    uint8_t bytes[5];
};

/* Logical timers; one wheel timer serves them all. */
enum deadline {
    DEADLINE_RETRANSMIT, /* or zero-window probe, by CONNECTION_PROBING */
    DEADLINE_DELAYED_ACK,
    DEADLINE_KEEPALIVE,
    DEADLINE_LIFE,       /* user timeout; FIN_WAIT_2 of an orphan */
    DEADLINE_CNT
};

enum connection_flag {
    CONNECTION_PASSIVE = 1 << 0,
    CONNECTION_UNACCEPTED = 1 << 1,
    CONNECTION_ORPHAN = 1 << 2,
    CONNECTION_SYN_ACKED = 1 << 3,   /* our SYN is acknowledged */
    CONNECTION_FIN_QUEUED = 1 << 4,  /* no more data from programs: FIN follows the queue */
    CONNECTION_FIN_ACKED = 1 << 5,
    CONNECTION_FIN_IN = 1 << 6,      /* the peer's FIN is taken in, in order */
    CONNECTION_FIN_HELD = 1 << 7,    /* a FIN lies beyond a gap, at ooo->fin */
    CONNECTION_SHUT_RD = 1 << 8,     /* by a program */
    CONNECTION_DISCARD = 1 << 9,     /* what arrives is acknowledged and dropped */
    CONNECTION_ACK_NOW = 1 << 10,
    CONNECTION_RESEND_HEAD = 1 << 11, /* fast retransmit: one segment from snd_una */
    CONNECTION_RECOVERY = 1 << 12,   /* NewReno, until `recover` */
    CONNECTION_PROBING = 1 << 13,    /* the retransmit deadline is a zero-window probe */
    CONNECTION_PROBE_NOW = 1 << 14,
    CONNECTION_KEEPALIVE_NOW = 1 << 15,
    CONNECTION_TIMING = 1 << 16,     /* rtt_seq, rtt_start_us are valid */
    CONNECTION_RTT_KNOWN = 1 << 17,
    CONNECTION_WANTS_ROOM = 1 << 18, /* a program met a full send buffer */
    CONNECTION_EOF_READ = 1 << 19,
    CONNECTION_PUSH = 1 << 20,       /* a corked or small tail may go now */
    CONNECTION_RTO_BACKED = 1 << 21, /* after a timeout: until all then outstanding is acked */
    CONNECTION_LINGER_WAIT = 1 << 22, /* an owner waits for all to be acknowledged */
    CONNECTION_USER_CLOCK = 1 << 23, /* DEADLINE_LIFE runs as user timeout */
    CONNECTION_CLOSE_NOTED = 1 << 24, /* the last close is in the account */
    CONNECTION_MORE = 1 << 25,       /* the last send said MSG_MORE */
    CONNECTION_SCALED = 1 << 26,     /* both sides offered a window scale */
    CONNECTION_PUSHED = 1 << 27,     /* what was taken in last ended with PSH: the sender waits */
    CONNECTION_ANSWERS = 1 << 28,    /* data of ours follows what came in, and carries its ACK */
};

#define OOO_MAX 32 /* gaps in a receive queue */

/* Out-of-order ranges, taken from a pool while there is a gap. Sorted, disjoint, not touching. */
struct connection;

struct out_of_order {
    struct list link; /* on tcp->gapped */
    struct connection *connection;
    uint32_t cnt;
    uint32_t fin; /* with CONNECTION_FIN_HELD: the sequence number of a FIN beyond a gap */
    struct {
        uint32_t from, to; /* sequence numbers, to exclusive */
    } range[OOO_MAX];
};

struct connection {
    struct flow flow; /* key, hash link; spare = state */
    uint32_t flags;
    uint64_t id;
    union {
        struct tcp_owner *owner;   /* a socket; NULL: orphan */
        struct listener *listener; /* while unaccepted */
    };
    struct list tx_link;
    struct list queue_link; /* accept queue; orphans; held ones that starve for memory */
    struct timer timer;
    uint32_t deadline[DEADLINE_CNT]; /* tick; 0: off */

    /* send (RFC 9293 3.3.1) */
    uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2;
    uint32_t max_snd_wnd; /* the most the peer ever offered */
    uint32_t recover;     /* RFC 6582 */
    struct stream send;   /* from snd_una (snd_una + 1 before the SYN is acknowledged) */

    /* receive */
    uint32_t rcv_nxt;
    uint32_t rcv_adv; /* right edge offered: never moves left */
    struct stream receive; /* len bytes are in order, up to rcv_nxt (FIN not counted) */
    struct out_of_order *ooo;

    struct congestion cc;
    uint32_t rtt_seq, rtt_start_us, srtt_us, rttvar_us, rto_ms;
    uint32_t last_tx;      /* tick */
    uint32_t retransmit_total;
    uint64_t bytes_in, bytes_out;
    uint32_t rcv_unacked;  /* bytes taken in since the last ACK */

    uint16_t mss;          /* payload bytes of a segment to the peer */
    uint16_t rcv_mss;      /* largest segment seen from the peer */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t dup_acks, backoff, probes, orphan_probes, keepalive_probes;
    uint8_t challenges, challenge_s; /* sent, in which second (modulo 256) */
    uint8_t retries;       /* timeouts in a row without an acknowledgment of anything new */
    uint8_t error, last_error; /* errno: pending; what ended it */

    struct tcp_options options;

    struct stamp born, state_since, fin_in, fin_out, eof_read, data_in, data_out, closed;
    uint16_t close_left; /* references that stayed at the last close */
    uint32_t close_pid;
    int32_t close_fd;
};
_Static_assert(sizeof(struct connection) <= 384, "an endpoint is to stay small");

static inline enum lastack_state connection_state(const struct connection *c)
{
    return (enum lastack_state)c->flow.spare;
}

static inline bool connection_has(const struct connection *c, unsigned flags)
{
    return c->flags & flags;
}

/* A connection born in `state` (CLOSED; SYN_RCVD when a half-open entry becomes one), not in the
 * flow table. NULL: limits (named and counted). */
struct connection *connection_create(struct tcp *tcp, const struct lastack_tuple *key,
                                     const struct tcp_options *options, enum lastack_state state);
/* Put it into the flow table. */
void connection_hash(struct tcp *tcp, struct connection *c);
/* The only writer of the state: along a legal edge, with cause, recorded. To CLOSED it leaves the
 * flow table and its timers; `error` (errno, 0: none) is what the program will see. To TIME_WAIT
 * a time-wait entry takes its place, and what an owner still holds is CLOSED. */
void connection_move(struct tcp *tcp, struct connection *c, enum lastack_state to,
                     enum lastack_cause cause, int error);
/* The last thing that every entry point does: a CLOSED connection that nobody holds is freed. */
void connection_settle(struct tcp *tcp, struct connection *c);
/* Nobody reads any more: what is queued is dropped, what arrives too. */
void connection_discard(struct tcp *tcp, struct connection *c);
/* Send RST, then CLOSED. Not in CLOSED, LISTEN, SYN_SENT. */
void connection_reset(struct tcp *tcp, struct connection *c, enum lastack_cause cause, int error);
/* The ABORT call (RFC 9293 3.10.5): RST where the state asks for it, then CLOSED. */
void connection_abort(struct tcp *tcp, struct connection *c, enum lastack_cause cause, int error);
/* Is there room for one more orphan? A refusal is counted. */
bool connection_may_orphan(struct tcp *tcp, const struct connection *c);
/* The last reference is gone: nobody reads or writes any more. */
void connection_orphan(struct tcp *tcp, struct connection *c);
/* Something changed that the owner may want to hear. */
void connection_notify(struct tcp *tcp, struct connection *c);
/* It owes the network something: tcp_tx will look at it. */
void connection_owe(struct tcp *tcp, struct connection *c, unsigned flags);

static inline const struct congestion_ops *congestion_of(const struct connection *c)
{
    return congestion_at(c->options.congestion);
}

/* First sequence number of the send stream, and the one after data and FIN. */
static inline uint32_t send_base(const struct connection *c)
{
    return c->snd_una + !connection_has(c, CONNECTION_SYN_ACKED);
}

static inline uint32_t send_fin_seq(const struct connection *c)
{
    return send_base(c) + c->send.len;
}

/* A connection is several cache lines: ask for all of them at once, while the first is awaited. */
static inline void connection_prefetch(const struct connection *c)
{
    for (size_t at = 0; at < sizeof *c; at += 64)
        __builtin_prefetch((const char *)c + at);
}

/* A tail smaller than a segment is to wait (TCP_CORK, MSG_MORE). */
static inline bool send_is_corked(const struct connection *c)
{
    return c->options.cork || connection_has(c, CONNECTION_MORE);
}

/* Bytes (and SYN, FIN) sent and not acknowledged. */
static inline uint32_t flight(const struct connection *c)
{
    return c->snd_max - c->snd_una;
}

#endif
