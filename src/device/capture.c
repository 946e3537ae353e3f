/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets and the edges that belong to them, as a pcapng file. */
#include "device/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/bytes.h"
#include "wire/ip4.h"
#include "wire/pcapng.h"
#include "wire/tcp.h"

#define COMMENT_LEN 2048
#define PENDING_NS 1000000000u

struct comment {
    char text[COMMENT_LEN];
    size_t len;
};

/* Whole or not at all: a comment is not cut in the middle of a word. */
static void comment_add(struct comment *comment, const char *words)
{
    const char *between = comment->len == 0 ? "lastack " : "; ";
    int len = snprintf(comment->text + comment->len, COMMENT_LEN - comment->len, "%s%s", between,
                       words);
    if (comment->len + (size_t)len < COMMENT_LEN)
        comment->len += (size_t)len;
    else
        comment->text[comment->len] = '\0';
}

static bool by_call(const struct lastack_record *record)
{
    return record->cause >= LASTACK_CAUSE_CONNECT && record->cause <= LASTACK_CAUSE_OPERATOR;
}

static bool by_segment(const struct lastack_record *record)
{
    return record->cause >= LASTACK_CAUSE_SYN && record->cause <= LASTACK_CAUSE_ICMP;
}

/* "#12: ESTAB -> CLOSE-WAIT, caused by the peer's FIN" */
static void comment_add_edge(struct comment *comment, const struct lastack_record *record)
{
    char words[256], id[32] = "", who[64] = "";
    if (record->id != 0)
        snprintf(id, sizeof id, "#%llu: ", (unsigned long long)record->id);
    if (by_call(record) && record->cause != LASTACK_CAUSE_OPERATOR && record->pid != 0)
        snprintf(who, sizeof who, " by pid %u", record->pid);
    snprintf(words, sizeof words, "%s%s -> %s, caused by %s%s", id,
             lastack_state_name(record->from), lastack_state_name(record->to),
             lastack_cause_name(record->cause), who);
    comment_add(comment, words);
}

/* "#12: close by pid 42 (fd 5) left 1 reference, so no FIN" */
static void comment_add_close(struct comment *comment, const struct lastack_record *record)
{
    char words[256];
    snprintf(words, sizeof words, "#%llu: %s by pid %u (fd %d) left %u reference%s, so no FIN",
             (unsigned long long)record->id, lastack_cause_name(record->cause), record->pid,
             record->fd, record->arg, record->arg == 1 ? "" : "s");
    comment_add(comment, words);
}

static void comment_add_drop(struct comment *comment, const struct lastack_record *record)
{
    char words[256];
    const char *name = lastack_drop_name(record->arg), *text = lastack_drop_text(record->arg);
    if (name == NULL)
        return;
    snprintf(words, sizeof words, "dropped, %s: %s", name, text);
    comment_add(comment, words);
}

static void pending_drop(struct capture *capture, size_t at)
{
    capture->pending_cnt--;
    memmove(&capture->pending[at], &capture->pending[at + 1],
            (capture->pending_cnt - at) * sizeof *capture->pending);
}

/* A close that was not the last one moves no packet, and is why one did not move. */
static bool close_is_shared(const struct lastack_record *record)
{
    return record->kind == LASTACK_RECORD_CALL && record->cause >= LASTACK_CAUSE_CLOSE &&
           record->cause <= LASTACK_CAUSE_MESSAGE_DROP && record->arg > 0;
}

/* Keep what is told with a later packet. */
static void pending_add(struct capture *capture, const struct lastack_record *record)
{
    if (record->kind != LASTACK_RECORD_EDGE && !close_is_shared(record))
        return;
    if (capture->pending_cnt == CAPTURE_PENDING_MAX)
        pending_drop(capture, 0);
    capture->pending[capture->pending_cnt++] = *record;
}

/* The connection of an outbound packet, read from its headers. False: not TCP. */
static bool frame_tuple(const struct lastack_frame *frame, struct lastack_tuple *tuple)
{
    uint8_t head[IP4_HEADER_LEN + TCP_HEADER_MAX];
    size_t len = 0;
    struct ip4 ip;
    for (uint32_t i = 0; i < frame->iov_cnt && len < sizeof head; i++) {
        size_t part = MIN(frame->iov[i].iov_len, sizeof head - len);
        memcpy(head + len, frame->iov[i].iov_base, part);
        len += part;
    }
    if (ip4_parse(&ip, head, len, frame->len) != DROP_NONE || ip.protocol != IP_PROTOCOL_TCP ||
        ip.fragment_offset != 0 || (size_t)ip.header_len + 4 > len)
        return false;
    *tuple = (struct lastack_tuple){
        .local = ip.source,
        .remote = ip.destination,
        .local_port = load_be16(head + ip.header_len),
        .remote_port = load_be16(head + ip.header_len + 2),
    };
    return true;
}

static bool tuple_equal(const struct lastack_tuple *a, const struct lastack_tuple *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           address_equal(&a->local, &b->local) && address_equal(&a->remote, &b->remote);
}

/* An inbound packet explains what the segment in it caused; the rest waits for a packet out. */
static void explain_in(struct capture *capture, const lastack *stack, struct comment *comment)
{
    struct lastack_record record;
    while (lastack_record_next(stack, &capture->cursor, &record)) {
        if (record.kind == LASTACK_RECORD_DROP)
            comment_add_drop(comment, &record);
        else if (record.kind == LASTACK_RECORD_EDGE && by_segment(&record))
            comment_add_edge(comment, &record);
        else
            pending_add(capture, &record);
    }
}

/* An outbound packet tells what calls and timers did to its connection. */
static void explain_out(struct capture *capture, const lastack *stack,
                        const struct lastack_frame *frame, uint64_t now_ns,
                        struct comment *comment)
{
    struct lastack_record record;
    struct lastack_tuple tuple;
    while (lastack_record_next(stack, &capture->cursor, &record))
        pending_add(capture, &record);
    if (capture->pending_cnt == 0)
        return;

    bool tcp = frame_tuple(frame, &tuple);
    for (size_t i = 0; i < capture->pending_cnt;) {
        const struct lastack_record *edge = &capture->pending[i];
        bool mine = (edge->id != 0 && edge->id == frame->connection_id) ||
                    (tcp && tuple_equal(&edge->tuple, &tuple));
        bool call = edge->kind == LASTACK_RECORD_CALL;
        if (mine && call)
            comment_add_close(comment, edge);
        else if (mine)
            comment_add_edge(comment, edge);
        if (mine || (!call && edge->time_ns + PENDING_NS < now_ns))
            pending_drop(capture, i);
        else
            i++;
    }
}

static void write_all(struct capture *capture, const uint8_t *bytes, size_t len)
{
    while (len > 0 && capture->error == 0) {
        ssize_t cnt = write(capture->fd, bytes, len);
        if (cnt < 0 && errno != EINTR)
            capture->error = errno;
        if (cnt > 0) {
            bytes += cnt;
            len -= (size_t)cnt;
        }
    }
}

/* The file's number for an interface; its block is written at first use. */
static uint32_t interface_number(struct capture *capture, uint32_t interface)
{
    uint8_t block[128];
    char name[32];
    uint32_t i = 0;
    while (i < capture->interface_cnt && capture->interfaces[i] != interface)
        i++;
    if (i < capture->interface_cnt || i == CAPTURE_INTERFACE_MAX)
        return MIN(i, CAPTURE_INTERFACE_MAX - 1);
    snprintf(name, sizeof name, "lastack%u", interface);
    write_all(capture, block, pcapng_interface(block, sizeof block, PCAPNG_LINK_RAW, name));
    capture->interfaces[capture->interface_cnt++] = interface;
    return i;
}

static bool buffer_reserve(struct capture *capture, size_t len)
{
    if (len <= capture->buffer_len)
        return true;
    uint8_t *buffer = realloc(capture->buffer, len);
    if (buffer == NULL) {
        capture->error = ENOMEM;
        return false;
    }
    capture->buffer = buffer;
    capture->buffer_len = len;
    return true;
}

void capture_frame(struct capture *capture, const lastack *stack,
                   const struct lastack_frame *frame, enum capture_direction direction,
                   uint64_t now_ns)
{
    struct comment comment = {.len = 0};
    if (direction == CAPTURE_IN)
        explain_in(capture, stack, &comment);
    else
        explain_out(capture, stack, frame, now_ns, &comment);
    if (capture->error != 0)
        return;

    uint32_t interface = interface_number(capture, frame->interface);
    if (!buffer_reserve(capture, pcapng_packet_len(frame->len, comment.len)))
        return;
    size_t len = pcapng_packet(capture->buffer, capture->buffer_len, interface,
                               capture->epoch_ns + now_ns, frame->iov, frame->iov_cnt,
                               direction == CAPTURE_IN, comment.len > 0 ? comment.text : NULL);
    write_all(capture, capture->buffer, len);
    capture->packet_cnt++;
}

static int capture_start(struct capture *capture, int fd, bool owned, uint64_t epoch_ns)
{
    uint8_t block[128];
    *capture = (struct capture){.fd = fd, .owned = owned, .epoch_ns = epoch_ns};
    capture->pending = calloc(CAPTURE_PENDING_MAX, sizeof *capture->pending);
    if (capture->pending == NULL)
        capture->error = ENOMEM;
    write_all(capture, block, pcapng_section(block, sizeof block, "lastack " LASTACK_VERSION));
    return capture->error ? capture_close(capture) : 0;
}

int capture_open(struct capture *capture, const char *path, uint64_t epoch_ns)
{
    *capture = (struct capture){0};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd < 0 ? -errno : capture_start(capture, fd, true, epoch_ns);
}

int capture_open_fd(struct capture *capture, int fd, uint64_t epoch_ns)
{
    return capture_start(capture, fd, false, epoch_ns);
}

int capture_close(struct capture *capture)
{
    int error = capture->error;
    if (capture->owned && close(capture->fd) < 0 && error == 0)
        error = errno;
    free(capture->pending);
    free(capture->buffer);
    *capture = (struct capture){0};
    return -error;
}
