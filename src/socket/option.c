/* SPDX-License-Identifier: BSD-2-Clause */
/* getsockopt, setsockopt. docs/OPTIONS.md lists what is here; all else is ENOPROTOOPT. */
#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "socket/process.h"
#include "tcp/call.h"
#include "tcp/timeout.h"
#include "tcp/window.h"

/* <netinet/tcp.h> of glibc knows these states by the kernel's numbers. */
static const uint8_t kernel_state[LASTACK_STATE_CNT] = {
    [LASTACK_CLOSED] = TCP_CLOSE,           [LASTACK_LISTEN] = TCP_LISTEN,
    [LASTACK_SYN_SENT] = TCP_SYN_SENT,      [LASTACK_SYN_RCVD] = TCP_SYN_RECV,
    [LASTACK_ESTABLISHED] = TCP_ESTABLISHED, [LASTACK_FIN_WAIT_1] = TCP_FIN_WAIT1,
    [LASTACK_FIN_WAIT_2] = TCP_FIN_WAIT2,   [LASTACK_CLOSE_WAIT] = TCP_CLOSE_WAIT,
    [LASTACK_CLOSING] = TCP_CLOSING,        [LASTACK_LAST_ACK] = TCP_LAST_ACK,
    [LASTACK_TIME_WAIT] = TCP_TIME_WAIT,
};

#define BUFFER_MIN 2304u

/* ---- get ----------------------------------------------------------------------- */

static int get_socket_level(struct socket *s, int name, int *value)
{
    const struct tcp_options *o = socket_options(s);
    switch (name) {
    case SO_TYPE: *value = SOCK_STREAM; return 0;
    case SO_DOMAIN: *value = AF_INET; return 0;
    case SO_PROTOCOL: *value = IPPROTO_TCP; return 0;
    case SO_ERROR: *value = socket_error_take(s); return 0;
    case SO_ACCEPTCONN: *value = s->body == BODY_LISTENER; return 0;
    case SO_REUSEADDR: *value = s->reuse_address; return 0;
    case SO_REUSEPORT: *value = s->reuse_port; return 0;
    case SO_KEEPALIVE: *value = o->keepalive; return 0;
    case SO_OOBINLINE: *value = 1; return 0; /* urgent data is always in line */
    case SO_RCVLOWAT: *value = 1; return 0;
    /* Linux tells twice what was set: so do we. */
    case SO_SNDBUF: *value = (int)(2 * o->send_buffer); return 0;
    case SO_RCVBUF: *value = (int)(2 * o->receive_buffer); return 0;
    default: return -ENOPROTOOPT;
    }
}

static int get_tcp_level(struct socket *s, int name, int *value)
{
    const struct tcp_options *o = socket_options(s);
    const struct connection *c = socket_connection(s);
    switch (name) {
    case TCP_NODELAY: *value = o->nodelay; return 0;
    case TCP_CORK: *value = o->cork; return 0;
    case TCP_MAXSEG: *value = c != NULL ? c->mss : o->mss_clamp ? o->mss_clamp : 536; return 0;
    case TCP_KEEPIDLE: *value = o->keepalive_idle_s; return 0;
    case TCP_KEEPINTVL: *value = o->keepalive_interval_s; return 0;
    case TCP_KEEPCNT: *value = o->keepalive_cnt; return 0;
    case TCP_USER_TIMEOUT: *value = (int)o->user_timeout_ms; return 0;
    case TCP_QUICKACK: *value = 0; return 0;
    default: return -ENOPROTOOPT;
    }
}

static int get_ip_level(struct socket *s, int name, int *value)
{
    const struct tcp_options *o = socket_options(s);
    switch (name) {
    case IP_TOS: *value = o->tos; return 0;
    case IP_TTL: *value = o->ttl ? o->ttl : 64; return 0;
    default: return -ENOPROTOOPT;
    }
}

static void info_fill(const struct tcp *tcp, const struct socket *s, struct tcp_info *info)
{
    const struct connection *c = socket_connection(s);
    *info = (struct tcp_info){.tcpi_state = s->body == BODY_LISTENER ? TCP_LISTEN : TCP_CLOSE};
    if (c == NULL)
        return;
    info->tcpi_state = kernel_state[connection_state(c)];
    info->tcpi_retransmits = c->retries;
    info->tcpi_probes = c->probes;
    info->tcpi_backoff = c->backoff;
    info->tcpi_snd_wscale = c->snd_wscale & 15;
    info->tcpi_rcv_wscale = c->rcv_wscale & 15;
    info->tcpi_options = c->rcv_wscale ? TCPI_OPT_WSCALE : 0;
    info->tcpi_rto = rto_now(tcp, c) * 1000;
    info->tcpi_snd_mss = c->mss;
    info->tcpi_rcv_mss = c->rcv_mss;
    info->tcpi_unacked = (flight(c) + c->mss - 1) / c->mss;
    info->tcpi_rtt = c->srtt_us;
    info->tcpi_rttvar = c->rttvar_us;
    info->tcpi_snd_cwnd = c->cc.cwnd / c->mss;
    info->tcpi_snd_ssthresh = c->cc.ssthresh / c->mss;
    info->tcpi_advmss = c->mss;
    info->tcpi_rcv_space = receive_window(c);
    info->tcpi_total_retrans = c->retransmit_total;
}

static int give(void *value, socklen_t *len, const void *from, size_t size)
{
    if (value == NULL || len == NULL)
        return -EFAULT;
    if (*len > INT32_MAX) /* negative, as Linux reads it */
        return -EINVAL;
    *len = MIN(*len, (socklen_t)size);
    memcpy(value, from, *len);
    return 0;
}

static int give_text(void *value, socklen_t *len, const char *text)
{
    return give(value, len, text, strlen(text) + 1);
}

static int get_other(lastack_process *p, struct socket *s, int level, int name, void *value,
                     socklen_t *len)
{
    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger linger = {s->linger, s->linger_s};
        return give(value, len, &linger, sizeof linger);
    }
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        struct tcp_info info;
        info_fill(tcp_of(p->stack), s, &info);
        return give(value, len, &info, sizeof info);
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return give_text(value, len, congestion_at(socket_options(s)->congestion)->name);
    if (level == IPPROTO_IP && name == IP_OPTIONS)
        return give(value, len, "", 0); /* none: programs that fear source routes ask */
    return -ENOPROTOOPT;
}

int lastack_getsockopt(lastack_process *p, int fd, int level, int name, void *value,
                       socklen_t *len)
{
    int error, number = 0;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    error = level == SOL_SOCKET    ? get_socket_level(s, name, &number)
            : level == IPPROTO_TCP ? get_tcp_level(s, name, &number)
            : level == IPPROTO_IP  ? get_ip_level(s, name, &number)
                                   : -EOPNOTSUPP;
    if (error == -ENOPROTOOPT)
        return get_other(p, s, level, name, value, len);
    return error != 0 ? error : give(value, len, &number, sizeof number);
}

/* ---- set ------------------------------------------------------------------------- */

static uint32_t buffer_size(const lastack *stack, int value)
{
    uint32_t most = stack->stack.tcp.config.buffer_limit;
    return MIN(MAX(value < 0 ? 0u : (uint32_t)value, BUFFER_MIN), most);
}

static int set_socket_level(lastack *stack, struct socket *s, int name, int value)
{
    struct tcp_options *o = socket_options(s);
    switch (name) {
    case SO_REUSEADDR: s->reuse_address = o->reuse = value; return 0;
    case SO_REUSEPORT: s->reuse_port = value; return 0;
    case SO_KEEPALIVE: o->keepalive = value; return 0;
    case SO_OOBINLINE: return value ? 0 : -ENOPROTOOPT;
    case SO_SNDBUF: o->send_buffer = buffer_size(stack, value); return 0;
    case SO_RCVBUF: o->receive_buffer = buffer_size(stack, value); return 0;
    default: return -ENOPROTOOPT;
    }
}

static int in_range(int value, int low, int high)
{
    return value >= low && value <= high ? 0 : -EINVAL;
}

static int set_tcp_level(lastack *stack, struct socket *s, int name, int value)
{
    struct tcp_options *o = socket_options(s);
    struct connection *c = socket_connection(s);
    int error;
    switch (name) {
    case TCP_NODELAY: o->nodelay = value; return 0;
    case TCP_CORK: o->cork = value; return 0;
    case TCP_QUICKACK:
        if (value && c != NULL && c->rcv_unacked > 0)
            acknowledge_now(tcp_of(stack), c);
        return 0;
    case TCP_MAXSEG:
        if ((error = in_range(value, 88, 32767)) == 0)
            o->mss_clamp = (uint16_t)value;
        if (error == 0 && c != NULL)
            c->mss = MIN(c->mss, (uint16_t)value);
        return error;
    case TCP_KEEPIDLE:
        if ((error = in_range(value, 1, 32767)) == 0)
            o->keepalive_idle_s = (uint16_t)value;
        return error;
    case TCP_KEEPINTVL:
        if ((error = in_range(value, 1, 32767)) == 0)
            o->keepalive_interval_s = (uint16_t)value;
        return error;
    case TCP_KEEPCNT:
        if ((error = in_range(value, 1, 127)) == 0)
            o->keepalive_cnt = (uint8_t)value;
        return error;
    case TCP_USER_TIMEOUT:
        if ((error = in_range(value, 0, INT32_MAX)) != 0)
            return error;
        if (c != NULL && connection_state(c) != LASTACK_CLOSED)
            tcp_call_user_timeout(tcp_of(stack), c, (uint32_t)value);
        else
            o->user_timeout_ms = (uint32_t)value;
        return 0;
    default: return -ENOPROTOOPT;
    }
}

static int set_ip_level(struct socket *s, int name, int value)
{
    struct tcp_options *o = socket_options(s);
    switch (name) {
    case IP_TOS: o->tos = (uint8_t)(value & 0xfc); return 0; /* the ECN bits are the stack's */
    case IP_TTL:
        if (value != -1 && in_range(value, 1, 255) != 0)
            return -EINVAL;
        o->ttl = value == -1 ? 0 : (uint8_t)value;
        return 0;
    default: return -ENOPROTOOPT;
    }
}

static int set_linger(struct socket *s, const void *value, socklen_t len)
{
    struct linger linger;
    if (len < sizeof linger)
        return -EINVAL;
    memcpy(&linger, value, sizeof linger);
    s->linger = linger.l_onoff != 0;
    s->linger_s = (uint16_t)MIN(MAX(linger.l_linger, 0), 65535);
    return 0;
}

static int set_congestion(struct socket *s, const void *value, socklen_t len)
{
    int index = congestion_find(value, strnlen(value, len));
    if (index < 0)
        return -ENOENT;
    socket_options(s)->congestion = (uint8_t)index & 7;
    return 0;
}

/* Listeners hand their options down; a connection may have to act on them. */
static void options_apply(lastack *stack, struct socket *s)
{
    if (s->body == BODY_LISTENER)
        s->listener->options = s->binding->options;
    else if (s->body == BODY_CONNECTION)
        tcp_call_options_changed(tcp_of(stack), s->connection);
}

int lastack_setsockopt(lastack_process *p, int fd, int level, int name, const void *value,
                       socklen_t len)
{
    int error, number;
    struct socket *s = process_socket(p, fd, &error);
    if (s == NULL)
        return error;
    if (value == NULL)
        return -EFAULT;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(s, value, len);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(s, value, len);
    if (len < sizeof number)
        return -EINVAL;
    memcpy(&number, value, sizeof number);
    error = level == SOL_SOCKET    ? set_socket_level(p->stack, s, name, number)
            : level == IPPROTO_TCP ? set_tcp_level(p->stack, s, name, number)
            : level == IPPROTO_IP  ? set_ip_level(s, name, number)
                                   : -ENOPROTOOPT;
    if (error == 0)
        options_apply(p->stack, s);
    return error;
}
