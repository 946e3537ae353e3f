/* SPDX-License-Identifier: BSD-2-Clause */
/* sock_diag: one message for each socket, as `ss` sees them. */
#include "kernel/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"

#define BUFFER_LEN 65536 /* the kernel fills 32 KB at a time */

/* Younger than the headers of some systems: tcpi_rcv_wnd follows tcpi_snd_wnd since Linux 6.2. */
#define TCP_INFO_RECEIVE_WINDOW (offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(uint32_t))

int diag_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), size = 1 << 20;
    struct sockaddr_nl name = {.nl_family = AF_NETLINK};
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* ---- one message ---- */

static struct lastack_address to_address(const struct inet_diag_msg *m, const __be32 from[4])
{
    struct lastack_address out;
    if (m->idiag_family == AF_INET)
        return address_from_ip4(ntohl(from[0]));
    memcpy(out.bytes, from, sizeof out.bytes);
    return out;
}

/* Ages of what has not happened count from the start of the system's clock. */
static uint32_t age_ms(uint32_t age, bool happened)
{
    return happened ? age : UINT32_MAX;
}

void diag_read_tcp(struct scan_tcp *to, const void *from, size_t len)
{
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    info.tcpi_snd_wnd = info.tcpi_notsent_bytes = UINT32_MAX; /* unless the kernel is older */
    memcpy(&info, from, len < sizeof info ? len : sizeof info);
    *to = (struct scan_tcp){
        .known = true,
        .backoff = info.tcpi_backoff,
        .probes = info.tcpi_probes,
        .retransmits = info.tcpi_retransmits,
        .data_out_ms = age_ms(info.tcpi_last_data_sent, info.tcpi_data_segs_out > 0),
        .data_in_ms = age_ms(info.tcpi_last_data_recv, info.tcpi_data_segs_in > 0),
        .ack_in_ms = age_ms(info.tcpi_last_ack_recv, info.tcpi_state != LINUX_SYN_SENT),
        .unsent = info.tcpi_notsent_bytes,
        .send_window = info.tcpi_snd_wnd,
        .receive_window = UINT32_MAX,
        .segments_in = info.tcpi_segs_in,
        .segments_out = info.tcpi_segs_out,
        .data_segments_in = info.tcpi_data_segs_in,
        .data_segments_out = info.tcpi_data_segs_out,
        .bytes_received = info.tcpi_bytes_received,
        .bytes_acked = info.tcpi_bytes_acked,
        .bytes_sent = info.tcpi_bytes_sent,
        .bytes_again = info.tcpi_bytes_retrans,
        .busy_us = info.tcpi_busy_time,
    };
    if (len >= TCP_INFO_RECEIVE_WINDOW + sizeof(uint32_t))
        memcpy(&to->receive_window, (const char *)from + TCP_INFO_RECEIVE_WINDOW, sizeof(uint32_t));
}

/* Several of them share the inode of one descriptor. */
static bool is_mptcp(const struct nlattr *ulp)
{
    const struct nlattr *a;
    mnl_attr_for_each_nested(a, ulp) {
        if (mnl_attr_get_type(a) == INET_ULP_INFO_NAME &&
            mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
            return strcmp(mnl_attr_get_str(a), "mptcp") == 0;
    }
    return false;
}

static void read_attributes(struct scan_socket *s, const struct nlmsghdr *message)
{
    const struct nlattr *a;
    mnl_attr_for_each(a, message, sizeof(struct inet_diag_msg)) {
        size_t len = mnl_attr_get_payload_len(a);
        if (mnl_attr_get_type(a) == INET_DIAG_INFO)
            diag_read_tcp(&s->tcp, mnl_attr_get_payload(a), len);
        else if (mnl_attr_get_type(a) == INET_DIAG_SHUTDOWN && len >= 1)
            s->shutdown = mnl_attr_get_u8(a);
        else if (mnl_attr_get_type(a) == INET_DIAG_ULP_INFO && s->inode)
            s->held_by_kernel = is_mptcp(a);
        else if (mnl_attr_get_type(a) == INET_DIAG_SKMEMINFO &&
                 len >= (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
            s->overflows = ((const uint32_t *)mnl_attr_get_payload(a))[SK_MEMINFO_DROPS];
    }
}

static uint64_t cookie_of(const struct inet_diag_msg *m)
{
    return (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
}

static void read_socket(struct scan_socket *s, const struct nlmsghdr *message, uint64_t seen_ns)
{
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(message);
    s->cookie = cookie_of(m);
    s->inode = m->idiag_inode;
    s->seen_ns = seen_ns;
    s->tuple.local = to_address(m, m->id.idiag_src);
    s->tuple.remote = to_address(m, m->id.idiag_dst);
    s->tuple.local_port = ntohs(m->id.idiag_sport);
    s->tuple.remote_port = ntohs(m->id.idiag_dport);
    s->interface = m->id.idiag_if;
    s->family = m->idiag_family;
    s->uid = m->idiag_uid;
    s->linux_state = m->idiag_state;
    s->timer = m->idiag_timer;
    s->timer_cnt = m->idiag_retrans;
    s->timer_ms = m->idiag_expires;
    s->receive_len = m->idiag_rqueue;
    s->send_len = m->idiag_wqueue;
    read_attributes(s, message);
}

/* ---- a dump ---- */

struct visit {
    struct scan *scan;
    uint32_t space;
    bool again;
    uint64_t seen_ns;
};

/* A socket may be met twice while the kernel's table changes under the dump: the newer word counts. */
static void visit_first(struct visit *v, const struct nlmsghdr *message)
{
    struct scan *scan = v->scan;
    uint64_t cookie = cookie_of(mnl_nlmsg_get_payload(message));
    uint32_t at = cookie ? scan_by_cookie(scan, cookie) : SCAN_NONE;
    struct scan_socket *s;
    if (at != SCAN_NONE) {
        read_socket(&scan->sockets[at], message, v->seen_ns);
        return;
    }
    s = scan_socket_add(scan);
    if (!s)
        return;
    s->space = v->space;
    read_socket(s, message, v->seen_ns);
    scan_socket_enter(scan, scan->socket_cnt - 1);
}

static bool bytes_moved(const struct scan_tcp *a, const struct scan_tcp *b)
{
    return a->bytes_acked != b->bytes_acked || a->bytes_received != b->bytes_received ||
           a->bytes_sent - a->bytes_again != b->bytes_sent - b->bytes_again;
}

/* What has changed its state meanwhile is taken as it is now. */
static void visit_again(struct visit *v, const struct nlmsghdr *message)
{
    uint32_t at = scan_by_cookie(v->scan, cookie_of(mnl_nlmsg_get_payload(message)));
    struct scan_socket now, *s = at == SCAN_NONE ? NULL : &v->scan->sockets[at];
    if (!s)
        return;
    memset(&now, 0, sizeof now);
    read_socket(&now, message, v->seen_ns);
    s->gone = false;
    if (s->tcp.known && now.tcp.known)
        s->moved = bytes_moved(&s->tcp, &now.tcp) ? FACT_YES : FACT_NO;
    if (now.linux_state == s->linux_state && now.inode == s->inode)
        return;
    read_socket(s, message, v->seen_ns);
    s->moved = FACT_YES;
    s->changed = true;
    scan_socket_enter(v->scan, at);
}

static int visit_message(const struct nlmsghdr *message, void *data)
{
    struct visit *v = data;
    if ((message->nlmsg_type != SOCK_DIAG_BY_FAMILY && message->nlmsg_type != TCPDIAG_GETSOCK) ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct inet_diag_msg))
        return MNL_CB_OK;
    if (v->again)
        visit_again(v, message);
    else
        visit_first(v, message);
    return MNL_CB_OK;
}

struct request {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

/* Listeners tell who was turned away, all others what TCP knows. */
static uint8_t extensions(uint32_t states)
{
    return 1u << ((states == 1u << LINUX_LISTEN ? INET_DIAG_SKMEMINFO : INET_DIAG_INFO) - 1);
}

static int request_send(int fd, struct request *request)
{
    request->head = (struct nlmsghdr){.nlmsg_len = sizeof *request,
                                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                                      .nlmsg_flags = NLM_F_REQUEST};
    request->body.sdiag_protocol = IPPROTO_TCP;
    request->body.idiag_ext = extensions(0);
    return send(fd, request, sizeof *request, 0) < 0 ? -errno : 0;
}

/* Read answers until the last. */
static int answers_read(int fd, struct visit *v, bool one)
{
    char *buffer = malloc(BUFFER_LEN);
    int result = buffer ? MNL_CB_OK : -ENOMEM;
    while (result == MNL_CB_OK) {
        ssize_t len = recv(fd, buffer, BUFFER_LEN, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0) {
            result = len < 0 ? -errno : -EPROTO;
            break;
        }
        v->seen_ns = scan_now_ns();
        result = mnl_cb_run(buffer, (size_t)len, 0, 0, visit_message, v);
        if (result < 0)
            result = errno == EINTR ? MNL_CB_OK : -errno; /* changed under the dump: go on */
        else if (one)
            result = MNL_CB_STOP;
    }
    free(buffer);
    return result < 0 ? result : 0;
}

/* The older request answers for both families in one walk through the kernel's table. */
static int dump(struct visit *v, uint32_t states)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req body;
    } request = {
        .head = {.nlmsg_len = sizeof request,
                 .nlmsg_type = TCPDIAG_GETSOCK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.idiag_family = AF_INET, .idiag_ext = extensions(states), .idiag_states = states},
    };
    int fd = v->scan->spaces[v->space].diag;
    if (send(fd, &request, sizeof request, 0) < 0)
        return -errno;
    return answers_read(fd, v, false);
}

int diag_dump(struct scan *scan, uint32_t space, uint32_t states)
{
    struct visit visit = {.scan = scan, .space = space};
    return dump(&visit, states);
}

/* What is not met again is gone, or has a state outside of these. */
int diag_dump_again(struct scan *scan, uint32_t space, uint32_t states)
{
    struct visit visit = {.scan = scan, .space = space, .again = true};
    for (uint32_t i = 0; i < scan->socket_cnt; i++)
        if (scan->sockets[i].space == space && states & 1u << scan->sockets[i].linux_state)
            scan->sockets[i].gone = true;
    return dump(&visit, states);
}

/* Names the connection from `local` to `remote`. */
static void request_name(struct request *request, const struct scan_socket *s,
                         const struct lastack_address *local, const struct lastack_address *remote)
{
    bool ip4 = s->family == AF_INET;
    memcpy(request->body.id.idiag_src, local->bytes + (ip4 ? 12 : 0), ip4 ? 4 : 16);
    memcpy(request->body.id.idiag_dst, remote->bytes + (ip4 ? 12 : 0), ip4 ? 4 : 16);
}

void diag_look_again(struct scan *scan, uint32_t socket)
{
    struct scan_socket *s = &scan->sockets[socket];
    struct visit visit = {.scan = scan, .space = s->space, .again = true};
    int fd = scan->spaces[s->space].diag;
    struct request request = {
        .body = {.sdiag_family = s->family,
                 .id = {.idiag_sport = htons(s->tuple.local_port),
                        .idiag_dport = htons(s->tuple.remote_port),
                        .idiag_if = s->interface,
                        .idiag_cookie = {(uint32_t)s->cookie, (uint32_t)(s->cookie >> 32)}}}};
    request_name(&request, s, &s->tuple.local, &s->tuple.remote);
    s->gone = true;
    if (request_send(fd, &request) == 0)
        answers_read(fd, &visit, true);
}

/* Without a connection of this name the kernel answers with a listener, or that there is none. */
bool diag_has_peer(const struct scan *scan, uint32_t socket)
{
    const struct scan_socket *s = &scan->sockets[socket];
    int fd = scan->spaces[s->space].diag;
    char answer[8192] __attribute__((aligned(8)));
    const struct nlmsghdr *head = (const void *)answer;
    struct request request = {
        .body = {.sdiag_family = s->family,
                 .id = {.idiag_sport = htons(s->tuple.remote_port),
                        .idiag_dport = htons(s->tuple.local_port),
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
    request_name(&request, s, &s->tuple.remote, &s->tuple.local);
    if (fd < 0 || request_send(fd, &request) != 0)
        return true;
    ssize_t len = recv(fd, answer, sizeof answer, 0);
    if (len < 0 || !mnl_nlmsg_ok(head, (int)len))
        return true;
    if (head->nlmsg_type == NLMSG_ERROR)
        return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(head))->error != -ENOENT;
    return ((const struct inet_diag_msg *)mnl_nlmsg_get_payload(head))->idiag_state != LINUX_LISTEN;
}
