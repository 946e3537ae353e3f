/* SPDX-License-Identifier: BSD-2-Clause */
/* The second look. A descriptor that was on its way from one process to another between two
 * directories is not hidden; a peer that is just answering is not stuck. */
#include "kernel/again.h"

#include "kernel/descriptors.h"
#include "kernel/diag.h"

#define APART_NS 50000000u
#define QUIET_MS 1000u
#define ASK_MAX  4000u /* sockets that are asked for one by one, ~4 us each */

/* Listeners of the kernel's own (NFS) have no descriptor, and nobody asks for one. */
bool again_is_hidden(const struct scan_socket *s)
{
    return s->wanted && s->inode && !s->held_by_kernel && s->hold_cnt == 0 && !s->gone && !s->changed &&
           s->linux_state != LINUX_CLOSE && (s->linux_state != LINUX_LISTEN || s->receive_len);
}

/* Nothing came or went for a second: another look 50 ms later would tell nothing new. */
static bool is_quiet(const struct scan_tcp *tcp, bool owes)
{
    return tcp->data_in_ms >= QUIET_MS && tcp->data_out_ms >= QUIET_MS &&
           (!owes || tcp->ack_in_ms >= QUIET_MS);
}

/* Listeners have no bytes, time-wait entries no hope. */
static bool is_worth_it(const struct scan_socket *s)
{
    return s->interesting && s->inode && s->tcp.known && !is_quiet(&s->tcp, s->send_len > 0) &&
           s->linux_state != LINUX_LISTEN &&
           s->linux_state != LINUX_CLOSE && s->linux_state != LINUX_SYN_RECV;
}

/* States in which so many are worth it that all of them are dumped; the others are asked one by
 * one. */
static uint32_t states_to_dump(const struct scan *scan)
{
    uint32_t all[LINUX_STATE_CNT] = {0}, worth[LINUX_STATE_CNT] = {0}, states = 0;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        const struct scan_socket *s = &scan->sockets[i];
        if (s->linux_state >= LINUX_STATE_CNT)
            continue;
        all[s->linux_state]++;
        worth[s->linux_state] += is_worth_it(s);
    }
    for (unsigned i = 0; i < LINUX_STATE_CNT; i++)
        if (worth[i] > 64 && worth[i] >= all[i] / 4)
            states |= 1u << i;
    return states;
}

static void sockets_again(struct scan *scan)
{
    uint32_t states = states_to_dump(scan), asked_cnt = 0;
    for (uint32_t i = 0; states && i < scan->space_cnt; i++)
        if (scan->spaces[i].diag >= 0 && !scan->spaces[i].empty)
            diag_dump_again(scan, i, states);
    for (uint32_t i = 0; i < scan->socket_cnt && asked_cnt < ASK_MAX; i++) {
        const struct scan_socket *s = &scan->sockets[i];
        bool dumped = states & 1u << s->linux_state;
        if (!is_worth_it(s) || (dumped && !s->gone))
            continue;
        diag_look_again(scan, i); /* or it went on to a state that was not dumped */
        asked_cnt++;
    }
}

static bool any_hidden(struct scan *scan)
{
    bool any = false;
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        struct scan_socket *s = &scan->sockets[i];
        if (s->gone)
            s->wanted = s->interesting = false;
        any = any || again_is_hidden(s);
    }
    return any;
}

static void mark_quiet(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->socket_cnt; i++) {
        struct scan_socket *s = &scan->sockets[i];
        if (s->interesting && s->inode && s->tcp.known && is_quiet(&s->tcp, s->send_len > 0))
            s->moved = FACT_NO;
    }
}

/* What is gone when the walk through all processes ends was not hidden, but short-lived. */
static void hidden_again(struct scan *scan)
{
    uint32_t asked_cnt = 0;
    for (uint32_t i = 0; i < scan->socket_cnt && asked_cnt < ASK_MAX; i++) {
        struct scan_socket *s = &scan->sockets[i];
        if (!again_is_hidden(s) || s->linux_state == LINUX_LISTEN)
            continue;
        asked_cnt++;
        diag_look_again(scan, i);
        if (s->gone)
            s->wanted = s->interesting = false;
    }
}

void again_look(struct scan *scan)
{
    bool any = false;
    mark_quiet(scan);
    for (uint32_t i = 0; i < scan->socket_cnt && !any; i++)
        any = is_worth_it(&scan->sockets[i]) ||
              (!scan->exact && again_is_hidden(&scan->sockets[i]));
    if (!any)
        return;
    scan_wait_until(scan->start_ns + APART_NS);
    sockets_again(scan);
    if (!any_hidden(scan) || scan->exact || scan->options->no_holders)
        return;
    scan_holds_clear(scan);
    descriptors_look(scan);
    hidden_again(scan);
}
