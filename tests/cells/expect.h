/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expected segments as text. One segment is
 *
 *     FLAGS SEQ[(LEN)] [ACK] [xN]
 *
 * FLAGS: letters of S F R P A U, exactly those; a small `a` is an ACK bit that may be missing (a
 * RST is legal both ways). SEQ and ACK: a name, `+N` or `-N` may follow.
 *     iss una nxt rcv   ISS, SND.UNA, SND.NXT, RCV.NXT just before the event
 *     sack send         SEG.ACK of the event's segment, SEG.SEQ + SEG.LEN (RFC 9293 3.10.7.1)
 *     zero
 * xN: N times in a row. `?` before a segment: it may be missing. `;` between segments, and `|`
 * between alternatives, of which one must match as a whole. "" is silence.
 */
#ifndef LASTACK_TESTS_EXPECT_H
#define LASTACK_TESTS_EXPECT_H

#include "harness.h"

struct expect_numbers {
    uint32_t iss, una, nxt, rcv, sack, send;
};

/* True when `sent` is one of the alternatives. A malformed text ends the program. */
bool expect_sent(const char *text, const struct expect_numbers *n, const struct wire_segment *sent,
                 unsigned sent_cnt);
/* Like the text above, for messages. */
void expect_describe(char *out, size_t out_len, const struct expect_numbers *n,
                     const struct wire_segment *sent, unsigned sent_cnt);
/* True when `name` is one of the words in `text`, which ` | ` separates. */
bool expect_word(const char *text, const char *name);

#endif
