/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stack, driven through its public API, against a peer made by hand.
 *
 * The peer is not a TCP: it sends exactly the segments a test tells it to. The harness keeps
 * the three numbers that both sides must agree on (SND.UNA, SND.NXT, RCV.NXT as the stack has
 * to hold them), in the stack's view, from what went over the wire. Time is virtual. Both
 * initial sequence numbers lie just below the wrap.
 */
#ifndef LASTACK_TESTS_HARNESS_H
#define LASTACK_TESTS_HARNESS_H

#include <netinet/in.h>

#include "base/drop.h"
#include "lastack.h"
#include "test.h"
#include "wire/tcp.h"

#define MS 1000000ull   /* nanoseconds */
#define SECOND (1000 * MS)

#define WORLD_ISS 0xfffffffeu /* of the stack: SYN, one byte, wrap */
#define WORLD_IRS 0xfffffffdu /* of the peer: SYN, two bytes, wrap */
#define WORLD_LOCAL "10.9.8.1"
#define WORLD_PEER "10.9.8.2"
#define WORLD_LOCAL_PORT 4000
#define WORLD_PEER_PORT 5000
#define WORLD_PEER_WND 60000 /* and no window scale: what is on the wire is what counts */
#define WORLD_RTT (10 * MS)
#define WORLD_RTO (1 * SECOND) /* the configuration leaves no other */
#define WORLD_SENT_MAX 512
#define WORLD_DATA_MAX 1500

/* A TCP segment as it goes over the wire, either way; numbers are absolute. */
struct wire_segment {
    uint8_t flags;
    uint32_t seq, ack;
    uint16_t wnd, up;
    uint16_t source_port, destination_port;
    uint16_t mss;    /* 0: no such option */
    uint8_t wscale;  /* TCP_WSCALE_NONE: no such option */
    uint8_t ttl, tos; /* of what the stack sent */
    uint32_t len;
    uint8_t data[WORLD_DATA_MAX];
    uint64_t time_ns;
};

struct world {
    lastack *stack;
    struct lastack_config config;
    lastack_process *process;
    uint64_t now_ns;
    int listener, fd;                /* -1: none */
    uint16_t local_port, peer_port;  /* of the connection in hand */
    uint16_t peer_wnd;               /* what the peer offers from now on */
    uint32_t irs;                    /* where the peer's next handshake starts */
    /* As the stack must hold them. */
    uint32_t iss, snd_una, snd_nxt, rcv_nxt, rcv_wnd;
    struct wire_segment sent[WORLD_SENT_MAX]; /* by the stack, since world_forget */
    unsigned sent_cnt;
    unsigned icmp_cnt;               /* ICMP packets sent by the stack, ever */
    bool bad_checksum;               /* damage the next segment of the peer */
    struct wire_segment last_in;
    uint32_t lingered;               /* LASTACK_LINGERED events so far */
    uint64_t record_cursor;
    uint64_t drops[DROP_CNT];
};

/* The configuration of world_open: exact timers, both sides' numbers near the wrap, no
 * delayed ACK. Change what you like and hand it to world_open_with. */
void world_config(struct lastack_config *config);
void world_open(struct world *w);
void world_open_with(struct world *w, const struct lastack_config *config);
/* Checks that what the stack counts agrees with what it lists, then frees it. */
void world_close(struct world *w);

/* ---- the peer */

/* Send one segment from the peer, now. ACK field is sent as given (0 without TCP_ACK is
 * customary). Ports and window are filled in. Does not collect the answers. */
void peer_put(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* The same with every field in your hand. */
void peer_put_segment(struct world *w, const struct wire_segment *segment);
/* And collect what the stack answers. */
void peer_send(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* In order, acknowledging everything: plain ACK, data, FIN. */
void peer_ack(struct world *w);
void peer_data(struct world *w, uint32_t len);
void peer_fin(struct world *w);
void peer_rst(struct world *w);
/* Raw bytes from an IP header on. */
void peer_packet(struct world *w, const void *packet, size_t len);
/* The byte that stands at sequence number `seq` in every stream of the peer. */
uint8_t peer_byte(uint32_t seq);
/* An IPv4 + TCP packet of the peer's; returns its length. */
size_t peer_build(const struct world *w, const struct wire_segment *segment, uint8_t *out);

/* ---- time and what came out */

/* Take everything the stack owes now. */
void world_collect(struct world *w);
void world_collect_frames(struct world *w); /* and leave the events */
/* Let time pass, stopping at each deadline on the way. */
void world_advance(struct world *w, uint64_t ns);
/* Advance until the stack has sent `cnt` segments since world_forget, at most `limit_ns`. */
bool world_wait_sent(struct world *w, unsigned cnt, uint64_t limit_ns);
void world_forget(struct world *w);
/* The newest segment sent; the test case ends if there is none. */
const struct wire_segment *world_last(const struct world *w);
/* Segments sent since world_forget with all of `flags` set. */
unsigned world_sent_with(const struct world *w, uint8_t flags);
/* Payload sent since world_forget, without repetitions. */
uint32_t world_sent_bytes(const struct world *w);

/* ---- the program, process "prog" with pid 100 */

int world_socket(struct world *w);
int world_bind(struct world *w, int fd, uint16_t port);
int world_connect(struct world *w, int fd); /* to the peer's port in w->peer_port */
int world_listen(struct world *w, int backlog); /* socket, bind, listen: w->listener */
ssize_t world_send(struct world *w, uint32_t len);
/* recv of at most `len`; checks that the bytes are the peer's from `seq` on. */
ssize_t world_recv_at(struct world *w, uint32_t seq, uint32_t len);
int world_set(struct world *w, int fd, int level, int name, int value);
int world_get(struct world *w, int fd, int level, int name); /* negative errno, or the value */
int world_linger(struct world *w, int fd, int on, int seconds);
short world_poll(struct world *w, int fd); /* all that is ready now */
struct sockaddr_in world_address(const char *text, uint16_t port);

/* ---- ways into the states; each checks the segments on the way */

void world_syn_sent(struct world *w);     /* active: fd is connecting */
void world_syn_rcvd(struct world *w);     /* passive: a half-open entry */
void world_syn_rcvd_active(struct world *w); /* simultaneous open */
void world_established(struct world *w, bool passive); /* no listener stays */
/* The peer connects to w->listener and the handshake completes; not accepted. */
void world_handshake(struct world *w);
void world_accept(struct world *w);       /* w->fd */
void world_shutdown(struct world *w, int how);
void world_close_fd(struct world *w);     /* w->fd */

/* ---- accounting */

/* The entry of the connection in hand (else the listener or bound socket on its port). */
bool world_info(const struct world *w, struct lastack_info *info);
enum lastack_state world_state(const struct world *w); /* CLOSED: no entry */
uint64_t world_id(const struct world *w);
/* Counted since the last world_drops_mark. */
uint64_t world_dropped(const struct world *w, enum drop reason);
void world_drops_mark(struct world *w);
/* The next edge of the flight recorder that concerns the connection in hand. */
bool world_edge(struct world *w, struct lastack_record *record);
/* The newest record of `kind` and `cause` over the whole ring; false: none. */
bool world_record(const struct world *w, enum lastack_record_kind kind, enum lastack_cause cause,
                  struct lastack_record *record);
unsigned world_holder_cnt(const struct world *w, uint64_t socket_id);

const char *errno_name(int error); /* "ECONNRESET"; of |error| */

#endif
