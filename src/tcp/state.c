/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables made from state.def; names of states, timers and causes for people. */
#include "tcp/state.h"

#include <stddef.h>

#include "base/bytes.h"

#define SENDS    STATE_SENDS
#define RECEIVES STATE_RECEIVES
#define SYNCED   STATE_SYNCED

static const struct {
    const char *name;
    unsigned flags;
} states[LASTACK_STATE_CNT] = {
#define STATE(state, text, bits) [LASTACK_##state] = {text, bits},
#define EDGE(from, to)
#include "tcp/state.def"
#undef STATE
#undef EDGE
};

static const unsigned edges[LASTACK_STATE_CNT][LASTACK_STATE_CNT] = {
#define STATE(state, text, bits)
#define EDGE(from, to) [LASTACK_##from][LASTACK_##to] = 1,
#include "tcp/state.def"
#undef STATE
#undef EDGE
};

bool state_edge_is_legal(enum lastack_state from, enum lastack_state to)
{
    return edges[from][to];
}

bool state_is(enum lastack_state state, enum state_flag flag)
{
    return states[state].flags & flag;
}

const char *lastack_state_name(enum lastack_state state)
{
    return (unsigned)state < LASTACK_STATE_CNT ? states[state].name : "?";
}

const char *lastack_timer_name(enum lastack_timer timer)
{
    static const char *const names[] = {
        [LASTACK_TIMER_NONE] = "none",
        [LASTACK_TIMER_RETRANSMIT] = "retransmission",
        [LASTACK_TIMER_PROBE] = "zero-window probe",
        [LASTACK_TIMER_KEEPALIVE] = "keepalive",
        [LASTACK_TIMER_DELAYED_ACK] = "delayed ACK",
        [LASTACK_TIMER_FIN_WAIT] = "FIN-WAIT-2 of an orphan",
        [LASTACK_TIMER_TIME_WAIT] = "TIME-WAIT",
        [LASTACK_TIMER_USER] = "user timeout",
        [LASTACK_TIMER_LINGER] = "linger",
    };
    return (unsigned)timer < ARRAY_LEN(names) ? names[timer] : "?";
}

const char *lastack_cause_name(enum lastack_cause cause)
{
    static const char *const names[LASTACK_CAUSE_CNT] = {
        [LASTACK_CAUSE_NONE] = "nothing",
        [LASTACK_CAUSE_CONNECT] = "connect",
        [LASTACK_CAUSE_LISTEN] = "listen",
        [LASTACK_CAUSE_RECV_EOF] = "recv returned 0",
        [LASTACK_CAUSE_SHUT_RD] = "shutdown(SHUT_RD)",
        [LASTACK_CAUSE_SHUT_WR] = "shutdown(SHUT_WR)",
        [LASTACK_CAUSE_SHUT_RDWR] = "shutdown(SHUT_RDWR)",
        [LASTACK_CAUSE_CLOSE] = "close",
        [LASTACK_CAUSE_DUP_OVER] = "dup over the descriptor",
        [LASTACK_CAUSE_EXEC] = "exec",
        [LASTACK_CAUSE_EXIT] = "exit of the process",
        [LASTACK_CAUSE_MESSAGE_DROP] = "drop of a message that carried it",
        [LASTACK_CAUSE_OPERATOR] = "the operator",
        [LASTACK_CAUSE_SYN] = "the peer's SYN",
        [LASTACK_CAUSE_SYN_ACK] = "the peer's SYN-ACK",
        [LASTACK_CAUSE_ACK] = "the peer's ACK",
        [LASTACK_CAUSE_FIN] = "the peer's FIN",
        [LASTACK_CAUSE_FIN_ACK] = "the peer's FIN and ACK of ours",
        [LASTACK_CAUSE_RST] = "the peer's RST",
        [LASTACK_CAUSE_DATA] = "data after the last close",
        [LASTACK_CAUSE_ICMP] = "an ICMP error",
        [LASTACK_CAUSE_RETRY_LIMIT] = "the retransmission limit",
        [LASTACK_CAUSE_USER_TIMEOUT] = "the user timeout",
        [LASTACK_CAUSE_KEEPALIVE] = "the keepalive limit",
        [LASTACK_CAUSE_FIN_WAIT_TIMEOUT] = "the FIN-WAIT-2 timeout of orphans",
        [LASTACK_CAUSE_TIME_WAIT_OVER] = "the end of 2 MSL",
        [LASTACK_CAUSE_PROBE_LIMIT] = "the limit of zero-window probes",
        [LASTACK_CAUSE_MEMORY] = "a memory limit",
        [LASTACK_CAUSE_REUSE] = "reuse by a new SYN",
    };
    return (unsigned)cause < LASTACK_CAUSE_CNT ? names[cause] : "?";
}
