/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the other end is still there. Who talks to a loopback address, or to its own, talks to a
 * socket of its own namespace: if none has that end, it is gone. Translated addresses make that
 * untrue: a redirected call is answered by somebody with another name. The end of the caller keeps
 * its name, so nobody may know that. To its own address a call may even be answered by another
 * machine (IPVS), to a loopback address if those are routed.
 */
#include "kernel/gone.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "kernel/diag.h"

#define ASK_MAX 4000u /* asked for one by one, ~4 us each */

struct ends {
    struct scan_index locals, remotes; /* of connections: namespace, address and port, hashed */
    struct scan_index listening;       /* namespace and port */
};

static bool is_half_closed(const struct scan_socket *s)
{
    return s->linux_state == LINUX_CLOSE_WAIT || s->linux_state == LINUX_FIN_WAIT1 ||
           s->linux_state == LINUX_FIN_WAIT2 || s->linux_state == LINUX_CLOSING ||
           s->linux_state == LINUX_LAST_ACK;
}

static bool is_loopback4(const struct lastack_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->bytes, mapped, sizeof mapped) == 0 && a->bytes[12] == 127;
}

static bool is_loopback6(const struct lastack_address *a)
{
    static const struct lastack_address one = {{[15] = 1}};
    return address_equal(a, &one);
}

static bool is_within(const struct scan_socket *s)
{
    const struct lastack_address *remote = &s->tuple.remote;
    return is_loopback4(remote) || is_loopback6(remote) ||
           address_equal(remote, &s->tuple.local);
}

static bool is_candidate(const struct scan_socket *s)
{
    return s->wanted && s->cookie && is_half_closed(s) && is_within(s);
}

/* ---- the ends that are known ---- */

static uint64_t port_key(uint32_t space, uint16_t port)
{
    return (uint64_t)space << 16 | port;
}

static uint64_t end_key(uint32_t space, const struct lastack_address *address, uint16_t port)
{
    uint64_t words[2], key = port_key(space, port);
    memcpy(words, address, sizeof words);
    for (int i = 0; i < 2; i++) {
        key = (key ^ words[i]) * 0x9e3779b97f4a7c15u;
        key ^= key >> 29;
    }
    return key;
}

static bool ends_add(struct ends *ends, const struct scan_socket *s, uint32_t at)
{
    if (s->linux_state == LINUX_LISTEN)
        return scan_index_put(&ends->listening, port_key(s->space, s->tuple.local_port), at);
    const struct lastack_tuple *t = &s->tuple;
    return scan_index_put(&ends->locals, end_key(s->space, &t->local, t->local_port), at) &&
           scan_index_put(&ends->remotes, end_key(s->space, &t->remote, t->remote_port), at);
}

static bool is_listening(const struct ends *ends, uint32_t space, uint16_t port)
{
    return scan_index_get(&ends->listening, port_key(space, port)) != SCAN_NONE;
}

/* We were called: nobody has the end of the caller. */
static bool caller_is_gone(const struct ends *ends, const struct scan_socket *s)
{
    const struct lastack_tuple *t = &s->tuple;
    return scan_index_get(&ends->locals, end_key(s->space, &t->remote, t->remote_port)) == SCAN_NONE;
}

/* We called: nobody here answers us, and nobody elsewhere can. */
static bool callee_is_gone(const struct scan *scan, const struct ends *ends,
                           const struct scan_socket *s)
{
    const struct lastack_tuple *t = &s->tuple;
    return (is_loopback6(&t->remote) ||
            (is_loopback4(&t->remote) && scan->spaces[s->space].local_only)) &&
           scan_index_get(&ends->remotes, end_key(s->space, &t->local, t->local_port)) == SCAN_NONE;
}

/* Who has a listener's port was called; if that does not tell, both must be so. */
static bool is_gone(const struct scan *scan, const struct ends *ends, const struct scan_socket *s)
{
    bool served = is_listening(ends, s->space, s->tuple.local_port);
    bool serves = is_listening(ends, s->space, s->tuple.remote_port);
    if (served != serves)
        return served ? caller_is_gone(ends, s) : callee_is_gone(scan, ends, s);
    return caller_is_gone(ends, s) && callee_is_gone(scan, ends, s);
}

/* ---- the look ---- */

static void mark(struct scan *scan, const struct ends *ends)
{
    uint32_t asked_cnt = 0;
    for (uint32_t i = 0; i < scan->socket_cnt && asked_cnt < ASK_MAX; i++) {
        struct scan_socket *s = &scan->sockets[i];
        if (!is_candidate(s) || !is_gone(scan, ends, s))
            continue;
        asked_cnt++; /* a dump may miss what moves in the kernel's table */
        s->peer_gone = !diag_has_peer(scan, i);
    }
}

void gone_look(struct scan *scan)
{
    bool any = false, whole = !scan->options->states && !scan->failed;
    struct ends *ends;
    whole = whole && scan->socket_cnt < SCAN_SOCKET_MAX;
    for (uint32_t i = 0; i < scan->socket_cnt && !any; i++)
        any = is_candidate(&scan->sockets[i]);
    if (!any || !whole || !(ends = calloc(1, sizeof *ends)))
        return;
    for (uint32_t i = 0; i < scan->socket_cnt && whole; i++)
        whole = ends_add(ends, &scan->sockets[i], i);
    if (whole)
        mark(scan, ends);
    scan_index_free(&ends->locals);
    scan_index_free(&ends->remotes);
    scan_index_free(&ends->listening);
    free(ends);
}
