/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp/call.h"

#include "tcp/isn.h"
#include "tcp/reassembly.h"
#include "tcp/tcp.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

struct connection *tcp_call_open(struct tcp *tcp, const struct lastack_tuple *key,
                                 const struct tcp_options *options, uint32_t mtu,
                                 struct tcp_owner *owner)
{
    struct connection *c = connection_create(tcp, key, options, LASTACK_CLOSED);
    if (c == NULL)
        return NULL;
    c->owner = owner;
    c->mss = (uint16_t)(MIN(mtu, 65535u) - 40);
    if (options->mss_clamp != 0)
        c->mss = MIN(c->mss, options->mss_clamp);
    c->snd_una = c->snd_nxt = c->snd_max = isn_make(tcp, key);
    connection_hash(tcp, c);
    connection_move(tcp, c, LASTACK_SYN_SENT, LASTACK_CAUSE_CONNECT, 0);
    connection_owe(tcp, c, 0);
    return c;
}

size_t tcp_call_room(const struct connection *c)
{
    uint32_t buffer = MIN(c->options.send_buffer, (uint32_t)STREAM_MAX);
    return c->send.len < buffer ? buffer - c->send.len : 0;
}

void tcp_call_sent(struct tcp *tcp, struct connection *c, size_t len)
{
    if (len == 0)
        return;
    c->send.len += (uint32_t)len;
    stamp_set(tcp, &c->data_out);
    connection_owe(tcp, c, 0);
}

void tcp_call_wait_room(struct tcp *tcp, struct connection *c)
{
    c->flags |= CONNECTION_WANTS_ROOM;
    if (tcp_call_room(c) > 0 && !list_linked(&c->queue_link))
        list_push_back(&tcp->starving, &c->queue_link);
}

size_t tcp_call_send(struct tcp *tcp, struct connection *c, const struct source *source, size_t len)
{
    size_t room = MIN(tcp_call_room(c), len);
    size_t done;
    do
        done = stream_write(&c->send, &tcp->pages, c->send.len, source, room);
    while (done < room && reassembly_prune(tcp));
    tcp_call_sent(tcp, c, done);
    if (done < len)
        tcp_call_wait_room(tcp, c);
    return done;
}

void tcp_call_taken(struct tcp *tcp, struct connection *c, size_t len)
{
    stream_drop(&c->receive, &tcp->pages, len, c->ooo != NULL);
    window_opened(tcp, c);
    acknowledge_read(tcp, c);
}

void tcp_call_eof_read(struct tcp *tcp, struct connection *c)
{
    if (connection_has(c, CONNECTION_EOF_READ))
        return;
    c->flags |= CONNECTION_EOF_READ;
    stamp_set(tcp, &c->eof_read);
    tcp_record(tcp, c, LASTACK_RECORD_CALL, LASTACK_CAUSE_RECV_EOF, 0);
}

void tcp_call_shutdown_write(struct tcp *tcp, struct connection *c, enum lastack_cause cause)
{
    enum lastack_state state = connection_state(c);
    if (!state_is(state, STATE_SENDS) || state == LASTACK_SYN_SENT)
        return;
    c->flags |= CONNECTION_FIN_QUEUED;
    stamp_set(tcp, &c->fin_out);
    connection_move(tcp, c, state == LASTACK_CLOSE_WAIT ? LASTACK_LAST_ACK : LASTACK_FIN_WAIT_1,
                    cause, 0);
    connection_owe(tcp, c, 0);
}

void tcp_call_shutdown_read(struct tcp *tcp, struct connection *c)
{
    c->flags |= CONNECTION_SHUT_RD;
    if (!tcp->config.late_data_after_shut_rd)
        connection_discard(tcp, c);
    window_opened(tcp, c);
    connection_notify(tcp, c);
}

bool tcp_call_close(struct tcp *tcp, struct connection *c, enum lastack_cause cause, bool abort)
{
    enum lastack_state state = connection_state(c);
    bool unread = c->receive.len > 0;
    c->owner = NULL;
    if (state == LASTACK_CLOSED) {
        /* only the body was left */
    } else if (state == LASTACK_SYN_SENT) {
        connection_move(tcp, c, LASTACK_CLOSED, cause, 0);
    } else if (unread || abort || !connection_may_orphan(tcp, c)) {
        connection_reset(tcp, c, cause, 0); /* RFC 2525 2.17, RFC 1122 4.2.2.13 */
    } else {
        tcp_call_shutdown_write(tcp, c, cause);
        connection_discard(tcp, c);
        connection_orphan(tcp, c);
        return true;
    }
    connection_settle(tcp, c);
    return false;
}

void tcp_call_user_timeout(struct tcp *tcp, struct connection *c, uint32_t timeout_ms)
{
    int64_t change = (int64_t)timeout_ms - c->options.user_timeout_ms;
    c->options.user_timeout_ms = timeout_ms;
    if (!connection_has(c, CONNECTION_USER_CLOCK)) {
        user_clock_update(tcp, c, false);
    } else if (timeout_ms == 0) {
        c->flags &= ~CONNECTION_USER_CLOCK;
        deadline_clear(tcp, c, DEADLINE_LIFE);
    } else {
        int64_t left = (int32_t)(c->deadline[DEADLINE_LIFE] - tcp->now) + change;
        deadline_set(tcp, c, DEADLINE_LIFE, left > 0 ? (uint32_t)left : 0);
    }
}

void tcp_call_options_changed(struct tcp *tcp, struct connection *c)
{
    if (connection_state(c) == LASTACK_CLOSED)
        return;
    keepalive_rearm(tcp, c);
    if (connection_has(c, CONNECTION_WANTS_ROOM) && tcp_call_room(c) > 0) {
        c->flags &= ~CONNECTION_WANTS_ROOM; /* a larger buffer */
        connection_notify(tcp, c);
    }
    connection_owe(tcp, c, 0); /* nodelay or cork may release a tail */
}
