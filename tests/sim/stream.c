/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Oracle: byte streams. Each socket sends pattern(key, 0), pattern(key, 1), ... with a key of
 * its own, so a receiver can tell from the bytes alone whose stream it reads and where it is.
 * What was received is a prefix of what was sent, at all times; the end of stream comes after
 * the last byte, and only when the sender has ended its half.
 */
#include "sim.h"

#define PIN_LEN 6 /* bytes after which a match is no accident */

static uint64_t pattern_word(uint64_t key, uint64_t index)
{
    uint64_t x = (key ^ index) * 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ull;
    return x ^ (x >> 29);
}

void pattern_fill(uint64_t key, uint64_t position, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint64_t word = pattern_word(key, (position + i) >> 3);
        unsigned skip = (position + i) & 7;
        word >>= 8 * skip;
        for (; skip < 8 && i < len; skip++, word >>= 8)
            out[i++] = (uint8_t)word;
    }
}

bool pattern_match(uint64_t key, uint64_t position, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint64_t word = pattern_word(key, (position + i) >> 3);
        unsigned skip = (position + i) & 7;
        word >>= 8 * skip;
        for (; skip < 8 && i < len; skip++, word >>= 8)
            if (data[i++] != (uint8_t)word)
                return false;
    }
    return true;
}

/* Could `peer` be the sender of what `s` has received, with these bytes next? */
static bool stream_fits(const struct sock *s, const struct sock *peer, const uint8_t *data,
                        size_t len)
{
    return s->received + len <= peer->sent && pattern_match(peer->key, s->received, data, len);
}

void stream_received(struct world *w, struct sock *s, const uint8_t *data, size_t len)
{
    char text[128];
    w->coverage->bytes += len;
    ORACLE(w, s->conn, "data received on socket %u that has no connection", s->serial);
    ORACLE(w, !s->eof, "socket %u: %zu bytes after the end of stream", s->serial, len);
    if (s->blind) {
        s->received += len;
        return;
    }
    if (!s->peer && s->received < PIN_LEN) {
        for (struct conn *c = conn_peer(w, s->conn); c; c = conn_older(c)) {
            if (!c->sock || !stream_fits(s, c->sock, data, len))
                continue;
            if (s->received + len >= PIN_LEN)
                s->peer = c->sock;
            s->received += len;
            return;
        }
        world_fail(w, "socket %u %s: first %zu bytes are nobody's stream (after %llu)", s->serial,
                   tuple_text(&s->conn->tuple, text), len, (unsigned long long)s->received);
    }
    ORACLE(w, s->peer, "socket %u: stream without a sender", s->serial);
    ORACLE(w, s->received + len <= s->peer->sent,
           "socket %u received %llu bytes, its peer %u has sent %llu", s->serial,
           (unsigned long long)(s->received + len), s->peer->serial,
           (unsigned long long)s->peer->sent);
    ORACLE(w, pattern_match(s->peer->key, s->received, data, len),
           "socket %u %s: bytes %llu..%llu are not what socket %u sent", s->serial,
           tuple_text(&s->conn->tuple, text), (unsigned long long)s->received,
           (unsigned long long)(s->received + len), s->peer->serial);
    s->received += len;
}

/* Has this peer ended its half after exactly the bytes we have? */
static bool stream_whole(const struct sock *s, const struct conn *c)
{
    if (!conn_ended(c))
        return false;
    uint64_t sent = c->sock ? c->sock->sent : 0;
    if (s->peer && s->peer != c->sock)
        return false;
    return s->received == sent || s->blind;
}

void stream_eof(struct world *w, struct sock *s)
{
    char text[128];
    if (s->eof)
        return;
    /* Not the peer's doing: shutdown(RD), or the connection died and has said so. */
    if (s->shut_rd || s->error_cnt || (s->conn && (s->conn->op_rd || s->conn->op_rst)))
        return;
    ORACLE(w, s->conn, "socket %u: end of stream without a connection", s->serial);
    for (struct conn *c = conn_peer(w, s->conn); c; c = conn_older(c)) {
        if (!stream_whole(s, c))
            continue;
        s->eof = true;
        w->coverage->eof++;
        w->coverage->whole_streams += !s->blind;
        return;
    }
    world_fail(w, "socket %u %s: end of stream after %llu bytes, but %s", s->serial,
               tuple_text(&s->conn->tuple, text), (unsigned long long)s->received,
               s->peer && s->peer->sent > s->received ? "the peer has sent more"
                                                       : "no peer has ended its half");
}
