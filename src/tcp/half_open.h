/* SPDX-License-Identifier: BSD-2-Clause */
/* A half-open entry: SYN_RCVD of a passive open, without a connection yet. */
#ifndef LASTACK_TCP_HALF_OPEN_H
#define LASTACK_TCP_HALF_OPEN_H

#include "base/list.h"
#include "base/wheel.h"
#include "tcp/flow.h"

struct tcp;
struct listener;
struct segment;

struct half_open {
    struct flow flow; /* spare: retransmissions */
    uint32_t irs, iss;
    uint32_t answered_us;         /* when the first SYN-ACK was made */
    uint16_t mss, peer_mss; /* ours, as offered; theirs, as they said */
    uint8_t snd_wscale; /* TCP_WSCALE_NONE: not negotiated */
    struct listener *listener;
    struct list link; /* on the listener's list */
    struct timer timer;
};
_Static_assert(sizeof(struct half_open) <= 128, "a half-open entry is to stay small");

/* A SYN for `listener`: an entry and a SYN-ACK, or a cookie when there is no room. `iss_above`:
 * with *iss_above the initial sequence number is beyond it (TIME_WAIT reuse). */
void half_open_create(struct tcp *tcp, struct listener *listener, const struct segment *seg,
                      const uint32_t *iss_above);
void half_open_rx(struct tcp *tcp, struct half_open *half, struct segment *seg);
/* An ICMP error about our SYN-ACK: a hard one ends the handshake (SEMANTICS 6). */
void half_open_icmp(struct tcp *tcp, struct half_open *half, uint32_t seq, bool hard);
void half_open_timer(struct tcp *tcp, struct half_open *half);
/* Its listener stops: RST to the peer, gone. */
void half_open_reset(struct tcp *tcp, struct half_open *half, enum lastack_cause cause);
/* An ACK to a listener that may carry a cookie of ours; true if it was one. */
bool half_open_cookie(struct tcp *tcp, struct listener *listener, struct segment *seg);

#endif
