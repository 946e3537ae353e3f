/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lastack: a TCP/IP stack for user space in which every connection's end is
 * accounted for. This is the only installed header.
 *
 * Model
 *   A `lastack` is one stack: addresses, connections, sockets. It never makes a
 *   system call, reads no clock and calls nothing back. Bytes and time come in
 *   through five verbs (rx, tx, tick, deadline, event); socket calls act on it in
 *   the name of a `lastack_process`, which owns a table of descriptors.
 *
 * Threads
 *   One thread at a time may use a stack and everything that belongs to it.
 *   Different stacks share nothing and may be used by different threads.
 *
 * Errors
 *   Calls that can fail return a negative Linux errno value (-EPIPE, ...); no call
 *   sets `errno` except the constructors, which return NULL and set it.
 *
 * Time
 *   Nanoseconds on any clock that never goes backwards. rx, tx and tick take it;
 *   all other calls use the latest value they were given.
 */
#ifndef LASTACK_H
#define LASTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LASTACK_API __attribute__((visibility("default")))
#else
#define LASTACK_API
#endif

#define LASTACK_VERSION "0.1.0"
#define LASTACK_NEVER UINT64_MAX /* a time that never comes */

typedef struct lastack lastack;
typedef struct lastack_process lastack_process;
typedef struct lastack_message lastack_message;

/* ---- addresses ---------------------------------------------------------- */

/* An address of either family. IPv4 is held as ::ffff:a.b.c.d (RFC 4291 2.5.5.2),
 * in network byte order. */
struct lastack_address {
    uint8_t bytes[16];
};

/* The two ends of a connection as this stack sees them; ports in host order.
 * A listener has remote = 0, remote_port = 0; a wildcard address is all zero
 * with the IPv4-mapped prefix. */
struct lastack_tuple {
    struct lastack_address local, remote;
    uint16_t local_port, remote_port;
};

#define LASTACK_ADDRESS_TEXT 46 /* bytes lastack_address_text needs at most */

/* Parse dotted quad or (later) IPv6 text. Returns 0 or -EINVAL. */
LASTACK_API int lastack_address_parse(struct lastack_address *out, const char *text);
/* Write the usual text form, NUL-terminated; returns `out`. */
LASTACK_API const char *lastack_address_text(const struct lastack_address *address,
                                             char out[LASTACK_ADDRESS_TEXT]);

/* ---- a stack ------------------------------------------------------------ */

struct lastack_config {
    /* Secret for initial sequence numbers (RFC 6528), ports (RFC 6056), hash tables
     * and cookies. Fill from getrandom(2) in production, from a constant in tests. */
    uint64_t seed[4];

    /* Limits: what a peer or a program can make grow. Reaching one is a named drop for a packet,
     * -ENOBUFS, -ENFILE or -EMFILE for a call. */
    uint32_t connection_max;  /* connections that have a state machine */
    uint32_t half_open_max;   /* half-open entries over all listeners */
    uint32_t time_wait_max;   /* the oldest goes first */
    uint32_t orphan_max;      /* connections without any descriptor */
    uint32_t process_max;
    uint32_t descriptor_max;  /* per process */
    uint64_t buffer_max;      /* bytes of send and receive buffers over all connections */

    uint32_t send_buffer;     /* bytes, initial SO_SNDBUF */
    uint32_t receive_buffer;  /* bytes, initial SO_RCVBUF: the window offered */
    uint32_t buffer_limit;    /* bytes, the most SO_SNDBUF and SO_RCVBUF may ask for */

    uint32_t msl_ms;              /* maximum segment lifetime; TIME_WAIT lasts 2 of them */
    uint32_t orphan_fin_wait_ms;  /* FIN_WAIT_2 without a holder ends after this */
    uint32_t orphan_probe_max;    /* zero-window probes before an orphan is given up */
    uint32_t orphan_retry_max;    /* retransmissions before an orphan is given up */
    uint32_t syn_retry_max;       /* SYN retransmissions */
    uint32_t syn_ack_retry_max;
    uint32_t retry_max;           /* retransmissions before ETIMEDOUT (RFC 9293 R2) */
    uint32_t rto_initial_ms;      /* RFC 6298 (2.1) */
    uint32_t rto_min_ms, rto_max_ms;
    uint32_t delayed_ack_ms;      /* at most 500 (RFC 9293 MUST-40); 0: acknowledge at once */
    uint32_t keepalive_idle_ms, keepalive_interval_ms, keepalive_count;
    uint32_t initial_window;      /* segments; 0: RFC 6928 (10) */
    uint16_t port_low, port_high; /* ephemeral range, inclusive */

    bool late_data_after_shut_rd; /* true: Linux's behaviour, data that arrives after
                                     shutdown(SHUT_RD) can still be read; false: it is
                                     acknowledged and discarded */
    bool no_syn_cookies;
    bool no_window_scale;
    bool option_order_linux;      /* byte-exact option layout of Linux */
    bool tap_loopback;            /* for captures: lastack_tx also shows packets from the stack to
                                     itself, with interface = LASTACK_LOOPBACK. They are delivered
                                     already: look, do not send */

    uint32_t record_len;          /* entries of the flight recorder, a power of two; 0: none */
    uint32_t fixed_iss;           /* tests only, with fixed_iss_set: every initial sequence number */
    bool fixed_iss_set;
};

/* Fill with the defaults. The seed stays zero: set it. */
LASTACK_API void lastack_config_init(struct lastack_config *config);

/* Create a stack with its loopback interface (127.0.0.0/8, MTU 65535) at time `now_ns`.
 * The config is copied. NULL with errno ENOMEM or EINVAL. */
LASTACK_API lastack *lastack_create(const struct lastack_config *config, uint64_t now_ns);

/* Free the stack and all that belongs to it: processes, sockets, queued data. Nothing is sent. */
LASTACK_API void lastack_destroy(lastack *stack);

/* ---- interfaces and routes ---------------------------------------------- */

#define LASTACK_LOOPBACK 0u /* the number of the loopback interface */

enum lastack_link {
    LASTACK_LINK_IP = 1, /* frames start with the IP header (TUN, a tunnel, a memory pair) */
};

struct lastack_interface {
    const char *name;               /* for people; copied */
    enum lastack_link link;
    uint32_t mtu;                   /* bytes of an IP packet: 576 .. 65535 */
    struct lastack_address address; /* this stack's address on it */
    uint8_t prefix_len;             /* of the network behind it, 0 .. 32 */
    bool rx_checksum_trusted;       /* the device has verified transport checksums */
    bool tx_checksum_none;          /* leave transport checksums zero (a memory link) */
};

/* Returns the interface's number (1, 2, ...), or -EINVAL, -ENOSPC. A route to its own
 * network comes with it. */
LASTACK_API int lastack_interface_add(lastack *stack, const struct lastack_interface *interface);

/* Send packets for destination/prefix_len out of `interface`. 0/0 is the default route.
 * Longest prefix wins. Returns 0, -EINVAL, -ENOSPC. */
LASTACK_API int lastack_route_add(lastack *stack, const struct lastack_address *destination,
                                  uint8_t prefix_len, unsigned interface);

/* ---- the five verbs ----------------------------------------------------- */

#define LASTACK_FRAME_IOV 20

/* One packet as a scatter list. */
struct lastack_frame {
    uint32_t interface;
    uint32_t len;           /* bytes over all of iov */
    uint32_t iov_cnt;
    uint64_t connection_id; /* out: the connection it belongs to, 0 if none */
    struct iovec iov[LASTACK_FRAME_IOV];
};

/* Frames in. They are read before the call returns and stay the caller's. The IP and
 * transport headers are best contiguous in iov[0]; if not, they are gathered. */
LASTACK_API void lastack_rx(lastack *stack, const struct lastack_frame *frames, size_t frame_cnt,
                            uint64_t now_ns);

/* Frames owed, at most `max` and at most LASTACK_TX_MAX of them; returns how many. The bytes
 * belong to the stack and stay valid until the next call that names it. Call again until it
 * returns 0. Packets from the stack to itself are delivered on the way and do not come out. */
#define LASTACK_TX_MAX 256
LASTACK_API size_t lastack_tx(lastack *stack, struct lastack_frame *frames, size_t max,
                              uint64_t now_ns);

/* Expire what is due. */
LASTACK_API void lastack_tick(lastack *stack, uint64_t now_ns);

/* When tick is next needed; LASTACK_NEVER if no timer runs. May be somewhat early,
 * never late. Equals the current time while frames are owed. */
LASTACK_API uint64_t lastack_deadline(const lastack *stack);

/* Something changed on a socket since its last event. `events` is its readiness now
 * (POLLIN, POLLOUT, POLLRDHUP, POLLHUP, POLLERR), plus LASTACK_LINGERED. */
#define LASTACK_LINGERED 0x10000u /* a close that lingers is done; the socket is gone */

struct lastack_event {
    uint64_t socket_id;
    void *user; /* from lastack_user_set */
    uint32_t events;
};

/* Take the next event; false if there is none. At most one is pending per socket. */
LASTACK_API bool lastack_event(lastack *stack, struct lastack_event *event);

/* ---- processes ---------------------------------------------------------- */

/* A new process with an empty descriptor table. `pid` and `name` are for people and the
 * flight recorder; any values do. NULL with errno ENOMEM or ENFILE. */
LASTACK_API lastack_process *lastack_process_create(lastack *stack, uint32_t pid,
                                                    const char *name);

/* As fork(2): the child has a copy of every descriptor, each one more reference. */
LASTACK_API lastack_process *lastack_fork(lastack_process *parent, uint32_t pid);

/* As execve(2): descriptors with close-on-exec are closed, the name changes. */
LASTACK_API void lastack_exec(lastack_process *process, const char *name);

/* The process is gone, however it died: every descriptor is closed, the object freed. */
LASTACK_API void lastack_exit(lastack_process *process);

/* Calls from now on are recorded under this pid (for a supervisor that acts for many). */
LASTACK_API void lastack_process_act_as(lastack_process *process, uint32_t pid);

/* ---- sockets ------------------------------------------------------------ */
/* As the Linux calls of the same name, with Linux's errno values negated. No call blocks:
 * where Linux would wait, they return -EAGAIN (-EINPROGRESS from connect) and an event says
 * when to try again. */

LASTACK_API int lastack_socket(lastack_process *process, int domain, int type, int protocol);
LASTACK_API int lastack_bind(lastack_process *process, int fd, const struct sockaddr *address,
                             socklen_t len);
LASTACK_API int lastack_listen(lastack_process *process, int fd, int backlog);
/* `flags`: SOCK_NONBLOCK, SOCK_CLOEXEC. */
LASTACK_API int lastack_accept(lastack_process *process, int fd, struct sockaddr *address,
                               socklen_t *len, int flags);
/* -EINPROGRESS once, then -EALREADY; 0 or -EISCONN when connected, the error when it failed. */
LASTACK_API int lastack_connect(lastack_process *process, int fd, const struct sockaddr *address,
                                socklen_t len);
/* `flags`: MSG_NOSIGNAL, MSG_DONTWAIT, MSG_MORE. Returns bytes taken, which may be fewer. */
LASTACK_API ssize_t lastack_send(lastack_process *process, int fd, const void *data, size_t len,
                                 int flags);
LASTACK_API ssize_t lastack_sendv(lastack_process *process, int fd, const struct iovec *iov,
                                  size_t iov_cnt, int flags);
/* `flags`: MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC. 0 is the end of stream. */
LASTACK_API ssize_t lastack_recv(lastack_process *process, int fd, void *data, size_t len,
                                 int flags);
LASTACK_API ssize_t lastack_recvv(lastack_process *process, int fd, const struct iovec *iov,
                                  size_t iov_cnt, int flags);

/* Zero-copy receive: spans of queued data, valid until the next call that names the stack.
 * Returns the bytes they cover (0 at end of stream), or an error as recv. */
LASTACK_API ssize_t lastack_peekv(lastack_process *process, int fd, struct iovec *iov,
                                  size_t *iov_cnt);
/* Drop `len` bytes that peekv showed. Returns 0 or -EINVAL. */
LASTACK_API int lastack_consume(lastack_process *process, int fd, size_t len);
/* Zero-copy send: writable spans of send buffer, then commit what was filled. */
LASTACK_API ssize_t lastack_reserve(lastack_process *process, int fd, struct iovec *iov,
                                    size_t *iov_cnt);
LASTACK_API int lastack_commit(lastack_process *process, int fd, size_t len);

LASTACK_API int lastack_shutdown(lastack_process *process, int fd, int how);
/* 0; or -EINPROGRESS when the last descriptor of a blocking socket with SO_LINGER {on, t > 0}
 * is closed while data or FIN are not yet acknowledged: the descriptor is gone either way, and
 * an event with LASTACK_LINGERED follows when all is acknowledged or t has passed. */
LASTACK_API int lastack_close(lastack_process *process, int fd);

LASTACK_API int lastack_dup(lastack_process *process, int fd);
LASTACK_API int lastack_dup3(lastack_process *process, int fd, int new_fd, int flags);
/* F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL (O_NONBLOCK). */
LASTACK_API int lastack_fcntl(lastack_process *process, int fd, int command, int argument);
/* FIONREAD (SIOCINQ), SIOCOUTQ, SIOCOUTQNSD, FIONBIO. */
LASTACK_API int lastack_ioctl(lastack_process *process, int fd, unsigned long request,
                              int *argument);
LASTACK_API int lastack_getsockname(lastack_process *process, int fd, struct sockaddr *address,
                                    socklen_t *len);
LASTACK_API int lastack_getpeername(lastack_process *process, int fd, struct sockaddr *address,
                                    socklen_t *len);
/* An option lastack does not have gets -ENOPROTOOPT, a level it does not have -EOPNOTSUPP from
 * getsockopt, as on Linux. docs/OPTIONS.md lists what there is. */
LASTACK_API int lastack_getsockopt(lastack_process *process, int fd, int level, int name,
                                   void *value, socklen_t *len);
LASTACK_API int lastack_setsockopt(lastack_process *process, int fd, int level, int name,
                                   const void *value, socklen_t len);

/* A descriptor in a message (SCM_RIGHTS): the message holds a reference until it is received
 * or dropped. NULL with errno EBADF, ENOMEM. */
LASTACK_API lastack_message *lastack_message_put(lastack_process *from, int fd);
/* Returns the new descriptor, or -EMFILE (the message is kept). `flags`: SOCK_CLOEXEC. */
LASTACK_API int lastack_message_get(lastack_process *to, lastack_message *message, int flags);
LASTACK_API void lastack_message_drop(lastack_message *message);

/* ---- readiness ---------------------------------------------------------- */

/* As poll(2) with a zero timeout. */
LASTACK_API int lastack_poll(lastack_process *process, struct pollfd *fds, size_t fd_cnt);
/* As epoll_create1, epoll_ctl, epoll_wait with a zero timeout: level, EPOLLET, EPOLLONESHOT,
 * EPOLLEXCLUSIVE (accepted). */
LASTACK_API int lastack_epoll_create(lastack_process *process, int flags);
LASTACK_API int lastack_epoll_ctl(lastack_process *process, int epoll_fd, int operation, int fd,
                                  const struct epoll_event *event);
LASTACK_API int lastack_epoll_wait(lastack_process *process, int epoll_fd,
                                   struct epoll_event *events, int event_max);

/* ---- identity, for embedders -------------------------------------------- */

/* The socket behind a descriptor: never reused, the same through every dup and fork. 0: EBADF. */
LASTACK_API uint64_t lastack_socket_id(lastack_process *process, int fd);
/* Carried in the socket's events. */
LASTACK_API int lastack_user_set(lastack_process *process, int fd, void *user);

/* ---- accounting: what is there and why ---------------------------------- */

/* The states of RFC 9293 3.3.2. */
enum lastack_state {
    LASTACK_CLOSED,
    LASTACK_LISTEN,
    LASTACK_SYN_SENT,
    LASTACK_SYN_RCVD,
    LASTACK_ESTABLISHED,
    LASTACK_FIN_WAIT_1,
    LASTACK_FIN_WAIT_2,
    LASTACK_CLOSE_WAIT,
    LASTACK_CLOSING,
    LASTACK_LAST_ACK,
    LASTACK_TIME_WAIT,
    LASTACK_STATE_CNT
};
/* "ESTAB", "CLOSE-WAIT", ... as ss prints them. */
LASTACK_API const char *lastack_state_name(enum lastack_state state);

enum lastack_timer {
    LASTACK_TIMER_NONE,
    LASTACK_TIMER_RETRANSMIT,
    LASTACK_TIMER_PROBE,      /* zero window */
    LASTACK_TIMER_KEEPALIVE,
    LASTACK_TIMER_DELAYED_ACK,
    LASTACK_TIMER_FIN_WAIT,   /* orphan in FIN_WAIT_2 */
    LASTACK_TIMER_TIME_WAIT,
    LASTACK_TIMER_USER,       /* TCP_USER_TIMEOUT */
    LASTACK_TIMER_LINGER,
};
LASTACK_API const char *lastack_timer_name(enum lastack_timer timer);

/* One connection, half-open entry, time-wait entry, listener or bound socket. Times are on the
 * stack's clock, 0 = has not happened. */
struct lastack_info {
    uint64_t id;         /* of the connection or listener; 0 for half-open and time-wait */
    uint64_t socket_id;  /* 0: no socket (orphan, unaccepted, half-open, time-wait) */
    struct lastack_tuple tuple;
    enum lastack_state state;
    bool passive;        /* came in through a listener */
    bool unaccepted;     /* still in a listener's queue */
    bool orphan;         /* its last descriptor is closed */
    bool shut_rd, shut_wr; /* by this side's programs */
    uint32_t references; /* descriptors and messages that hold the socket */
    int error;           /* pending SO_ERROR, positive */
    int last_error;      /* what ended it, kept after SO_ERROR was read */

    uint32_t receive_queue; /* bytes not read, FIN not counted; listener: waiting to be accepted */
    uint32_t send_queue;    /* bytes not acknowledged, FIN not counted; listener: backlog */
    uint32_t send_unsent;   /* of these, never sent */
    uint32_t receive_window, send_window; /* bytes, last offered / last heard */
    uint32_t mss, congestion_window, slow_start_threshold; /* bytes */
    uint32_t srtt_us, rttvar_us, rto_ms;
    uint32_t retransmit_cnt;  /* of the segment in hand */
    uint32_t retransmit_total;
    uint32_t probe_cnt;
    uint64_t bytes_in, bytes_out; /* payload received in order / acknowledged by the peer */

    uint64_t born_ns;        /* SYN sent or handshake done */
    uint64_t state_since_ns;
    uint64_t fin_in_ns;      /* the peer's FIN came, in order */
    uint64_t fin_out_ns;     /* our FIN was queued (close or shutdown) */
    uint64_t eof_read_ns;    /* a receive first returned 0 */
    uint64_t data_in_ns, data_out_ns; /* last payload in order, last payload taken from a program */
    uint64_t close_ns;       /* last close of a descriptor of its socket */
    uint32_t close_pid;      /* who, and */
    int32_t close_fd;
    uint32_t close_left;     /* how many references stayed */

    enum lastack_timer timer; /* the next one */
    uint64_t timer_ns;        /* when it is due; LASTACK_NEVER */
};

/* A walk for people: start with *cursor = 0, call until it returns false. Cost is that of the
 * tables' size; nothing on the data path does this. Entries born during the walk may be missed. */
LASTACK_API bool lastack_info_next(const lastack *stack, uint64_t *cursor,
                                   struct lastack_info *info);
/* One connection or listener by its id. Returns 0 or -ENOENT. */
LASTACK_API int lastack_info_get(const lastack *stack, uint64_t id, struct lastack_info *info);

enum lastack_origin {
    LASTACK_ORIGIN_SOCKET,
    LASTACK_ORIGIN_ACCEPT,
    LASTACK_ORIGIN_DUP,
    LASTACK_ORIGIN_FORK,
    LASTACK_ORIGIN_MESSAGE,
};

/* One reference to a socket: a descriptor, or a message in flight (fd = -1). */
struct lastack_holder {
    uint32_t pid;
    char name[16];
    int fd;
    enum lastack_origin origin;
    uint64_t since_ns;
    bool close_on_exec;
};
/* Holders of a socket, the same way. */
LASTACK_API bool lastack_holder_next(const lastack *stack, uint64_t socket_id, uint64_t *cursor,
                                     struct lastack_holder *holder);

/* End a connection for its owners: SHUT_WR, SHUT_RDWR, or LASTACK_END_RST. Takes effect whatever
 * the references; descriptors stay open. Returns 0, -ENOENT, -ENOTCONN, -EINVAL. */
#define LASTACK_END_RST 3
LASTACK_API int lastack_end(lastack *stack, uint64_t id, int how);

/* For a supervisor whose kernel counts the references: descriptor `fd` of `pid` is closed, and
 * `left` others stay. Kept in close_pid, close_fd, close_left and in the recorder. With left = 0
 * the lastack_close that follows is recorded under that pid and fd. */
LASTACK_API int lastack_close_note(lastack_process *process, int socket_fd, uint32_t pid, int fd,
                                   uint32_t left);

/* ---- flight recorder ---------------------------------------------------- */

enum lastack_record_kind {
    LASTACK_RECORD_EDGE, /* from -> to, caused by a call, a segment or a timer */
    LASTACK_RECORD_CALL, /* a call that concerns an ending: close, shutdown, end of stream read, exit */
    LASTACK_RECORD_DROP, /* a packet or a call refused: arg = reason */
};
enum lastack_cause {
    LASTACK_CAUSE_NONE,
    /* calls */
    LASTACK_CAUSE_CONNECT, LASTACK_CAUSE_LISTEN,
    LASTACK_CAUSE_RECV_EOF, LASTACK_CAUSE_SHUT_RD, LASTACK_CAUSE_SHUT_WR, LASTACK_CAUSE_SHUT_RDWR,
    LASTACK_CAUSE_CLOSE, LASTACK_CAUSE_DUP_OVER, LASTACK_CAUSE_EXEC, LASTACK_CAUSE_EXIT,
    LASTACK_CAUSE_MESSAGE_DROP, LASTACK_CAUSE_OPERATOR,
    /* segments */
    LASTACK_CAUSE_SYN, LASTACK_CAUSE_SYN_ACK, LASTACK_CAUSE_ACK, LASTACK_CAUSE_FIN,
    LASTACK_CAUSE_FIN_ACK, LASTACK_CAUSE_RST, LASTACK_CAUSE_DATA, LASTACK_CAUSE_ICMP,
    /* time and limits */
    LASTACK_CAUSE_RETRY_LIMIT, LASTACK_CAUSE_USER_TIMEOUT, LASTACK_CAUSE_KEEPALIVE,
    LASTACK_CAUSE_FIN_WAIT_TIMEOUT, LASTACK_CAUSE_TIME_WAIT_OVER, LASTACK_CAUSE_PROBE_LIMIT,
    LASTACK_CAUSE_MEMORY, LASTACK_CAUSE_REUSE,
    LASTACK_CAUSE_CNT
};
/* In words: "close", "the peer's FIN", "the retransmission limit", ... */
LASTACK_API const char *lastack_cause_name(enum lastack_cause cause);

struct lastack_record {
    uint64_t sequence; /* counts up from 1 */
    uint64_t time_ns;
    uint64_t id;       /* connection or listener; 0: none */
    struct lastack_tuple tuple;
    uint8_t kind, cause, from, to;
    uint32_t pid;      /* of the process whose call it was; 0: none */
    int32_t fd;
    uint32_t arg;      /* EDGE: errno given to the program, CALL: references left, DROP: reason */
};
/* The first record with a sequence above *cursor; moves the cursor. False: none yet. A jump in
 * `sequence` says how many were overwritten. Start with *cursor = 0. */
LASTACK_API bool lastack_record_next(const lastack *stack, uint64_t *cursor,
                                     struct lastack_record *record);

/* ---- counters ----------------------------------------------------------- */

/* Every refused packet has a named reason; refused calls return an errno. NULL past the last
 * reason. */
LASTACK_API const char *lastack_drop_name(unsigned reason);
LASTACK_API const char *lastack_drop_text(unsigned reason); /* one sentence */
LASTACK_API uint64_t lastack_drop_count(const lastack *stack, unsigned reason);

struct lastack_usage {
    uint32_t connections, half_open, time_wait, listeners, orphans, sockets, processes, unaccepted;
    uint64_t buffer_bytes;            /* in send and receive buffers now */
    uint64_t memory_bytes;            /* all memory the stack has taken */
    uint64_t packets_in, packets_out, packets_dropped;
    uint64_t segments_retransmitted;
};
LASTACK_API void lastack_usage(const lastack *stack, struct lastack_usage *usage);

#ifdef __cplusplus
}
#endif
#endif
