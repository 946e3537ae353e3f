/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at the kernel without BPF under way: sockets as the dump told them, processes, and who
 * holds and who watches which socket. diag.c, descriptors.c, dead.c, hidden.c and epoll.c put in;
 * join.c makes facts of it. Private to src/kernel.
 */
#ifndef LASTACK_KERNEL_SCAN_H
#define LASTACK_KERNEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "kernel/census.h"
#include "kernel/kernel.h"

#define SCAN_SOCKET_MAX 1000000u /* what we remember at most, */
#define SCAN_HOLD_MAX   2000000u /* and say so */
#define SCAN_NONE       UINT32_MAX

/* States in the kernel's numbers, which LINUX_ keeps apart from ours. */
enum {
    LINUX_ESTABLISHED = 1,
    LINUX_SYN_SENT,
    LINUX_SYN_RECV,
    LINUX_FIN_WAIT1,
    LINUX_FIN_WAIT2,
    LINUX_TIME_WAIT,
    LINUX_CLOSE,
    LINUX_CLOSE_WAIT,
    LINUX_LAST_ACK,
    LINUX_LISTEN,
    LINUX_CLOSING,
    LINUX_NEW_SYN_RECV,
    LINUX_STATE_CNT
};

/* A network namespace. */
struct scan_space {
    uint64_t inode;
    char name[24]; /* of ip netns, else the inode number */
    bool here;     /* ours */
    int fd;        /* the namespace itself; -1: ours, or not to be had */
    int diag;      /* socket of sock_diag that lives in it; -1: could not be entered */
    bool empty;    /* has no TCP sockets: a dump would walk the kernel's whole table for nothing */
    uint16_t port_low, port_high; /* ephemeral; 0: unknown */
    uint32_t fin_wait_ms;         /* tcp_fin_timeout; 0: unknown */
    bool local_only;              /* loopback addresses are not routed (route_localnet) */
};

/* What of struct tcp_info we keep. Ages in ms, FACT_UNKNOWN as in the facts. */
struct scan_tcp {
    bool known;
    uint8_t backoff, probes, retransmits;
    uint32_t data_out_ms, data_in_ms, ack_in_ms;
    uint32_t unsent, send_window, receive_window; /* UINT32_MAX: unknown */
    uint32_t segments_in, segments_out, data_segments_in, data_segments_out;
    uint64_t bytes_received, bytes_acked, bytes_sent, bytes_again;
    uint64_t busy_us;
};

struct scan_socket {
    uint64_t cookie, inode; /* inode 0: no descriptor: unaccepted, orphan, time-wait */
    uint64_t seen_ns;       /* CLOCK_MONOTONIC: its ages count from there */
    struct lastack_tuple tuple;
    uint32_t space; /* index */
    uint32_t uid, interface;
    uint8_t family; /* AF_INET, AF_INET6 */
    uint8_t linux_state;
    uint8_t shutdown;              /* bits 1 RCV, 2 SEND; 0xff: unknown */
    uint8_t timer, timer_cnt;      /* idiag_timer, idiag_retrans */
    uint32_t timer_ms;             /* idiag_expires */
    uint32_t receive_len, send_len; /* idiag_rqueue, idiag_wqueue: with their FIN or SYN */
    struct scan_tcp tcp;
    uint64_t overflows;            /* listener: turned away; FACT_UNKNOWN */
    int error;                     /* dead ones: 0 none, -1 unknown */
    bool wanted;                   /* passes the options */
    bool interesting;              /* worth details: more than a quiet connection */
    fact_bool moved;               /* between two looks */
    bool peer_gone;                /* nothing in its namespace has the other end any more */
    bool gone, changed;            /* at the second look: not there, or in another state */

    uint32_t hold_first; /* chain of holds through `next`; SCAN_NONE */
    uint32_t hold_cnt;
    uint32_t watch_first;
    uint32_t watch_cnt;

    bool held_by_kernel;   /* a user within the kernel has it (MPTCP): no file, and no orphan */
    /* What only iterators know (scan.exact). */
    bool watchers_cut;     /* more watch it than were looked at */
    uint32_t creator;      /* process; SCAN_NONE: unknown */
    uint64_t listener;     /* cookie, of an unaccepted one; 0: unknown */
};

/* One reference: to `socket` by `process`. */
struct scan_hold {
    uint32_t socket, process; /* indices; process SCAN_NONE: unknown */
    uint32_t next;            /* of the same socket */
    uint32_t next_of_process;
    int32_t fd;
    uint32_t tid;             /* as fact_holder.tid */
    uint8_t kind;             /* enum fact_holder_kind */
    uint8_t origin;           /* enum fact_origin */
    int8_t close_on_exec;     /* fact_bool */
    char *where;              /* fact_holder.where; owned; NULL */
};

/* A watcher of `socket`, in the form of the facts. */
struct scan_watch {
    uint32_t socket, next;
    struct fact_watch watch;
};

/* Descriptors that are no TCP socket and still tell something. */
enum scan_special_kind { SCAN_EPOLL, SCAN_RING };
struct scan_special {
    uint32_t process;
    int32_t fd;
    uint32_t tid; /* of a thread with a table of its own; 0 */
    uint8_t kind;
};

/* A descriptor of a socket that is not in the dump: dead, new, or no TCP. */
struct scan_stranger {
    uint64_t inode;
    uint32_t process;
    int32_t fd;
    uint32_t tid;
};

struct scan_process {
    uint32_t pid;
    uint64_t start_ticks;           /* 0: not looked at, or gone */
    char program[FACT_PROGRAM_LEN]; /* of those that hold a socket; "": gone */
    uint32_t hold_first;            /* chain through next_of_process */
    uint32_t hold_cnt;              /* of TCP sockets */
    uint32_t fd_cnt;                /* all descriptors */
    bool rings_busy;                /* has an io_uring with requests on sockets unknown */
};

/* Number -> place. A look at a slot is one look at memory. */
struct scan_slot {
    uint64_t key;
    uint32_t value; /* place + 1; 0: free */
};
struct scan_index {
    struct scan_slot *slots;
    uint32_t mask, cnt;
};

struct scan {
    const struct kernel_options *options;
    struct kernel_view *view;
    uint64_t start_ns; /* CLOCK_MONOTONIC of the first dump */
    struct scan_space *spaces;
    uint32_t space_cnt;
    struct scan_socket *sockets;
    uint32_t socket_cnt, socket_cap;
    struct scan_hold *holds;
    uint32_t hold_cnt, hold_cap;
    struct scan_watch *watches;
    uint32_t watch_cnt, watch_cap;
    struct scan_process *processes;
    uint32_t process_cnt, process_cap;
    struct scan_special *specials;
    uint32_t special_cnt, special_cap;
    struct scan_index by_inode, by_cookie, by_pid;
    struct scan_stranger *strangers;
    uint32_t stranger_cnt, stranger_cap;
    bool unsteady;       /* somebody forked meanwhile */
    struct census census; /* of iterators; else empty */
    bool exact;          /* by iterators: the holds are all references that there are */
    bool holders_all;    /* every process could be looked at, and none lies outside of our view */
    bool watchers_all;   /* every epoll could be looked at */
    uint32_t unseen_processes, unseen_spaces, unseen_epolls;
    uint32_t spaceless; /* processes whose network namespace could not be read */
    bool cut;            /* a bound was reached */
    bool few_files;      /* our own limit of open files was */
    bool failed;         /* out of memory */
};

void scan_init(struct scan *scan, const struct kernel_options *options, struct kernel_view *view);
void scan_free(struct scan *scan);
uint64_t scan_now_ns(void); /* CLOCK_MONOTONIC */
void scan_wait_until(uint64_t then_ns);

/* An array of `cnt` elements of `size` bytes, with room for more in `cap`, for `max` at most. NULL:
 * out of memory, and the old one is as it was. */
void *scan_array_more(void *array, uint32_t cnt, uint32_t *cap, size_t size, uint32_t max);

/* NULL: out of memory or over the bound (`failed`, `cut`). A pointer is valid until the next add. */
struct scan_socket *scan_socket_add(struct scan *scan);
/* Enter it (inode and cookie are filled in) into the indices. */
void scan_socket_enter(struct scan *scan, uint32_t socket);
/* SCAN_NONE: unknown. */
uint32_t scan_by_inode(const struct scan *scan, uint64_t inode);
uint32_t scan_by_cookie(const struct scan *scan, uint64_t cookie);
/* The process with this number, added if it is new (with nothing but its number). */
uint32_t scan_process(struct scan *scan, uint32_t pid);
/* One more reference; `process` may be SCAN_NONE. All else of it is unknown. */
struct scan_hold *scan_hold_add(struct scan *scan, uint32_t socket, uint32_t process,
                                enum fact_holder_kind kind, int fd);
/* Forget all references and the processes' counts of them, for another look. */
void scan_holds_clear(struct scan *scan);
/* One more watcher, all unknown, as facts_watch_add. */
struct fact_watch *scan_watch_add(struct scan *scan, uint32_t socket);
void scan_special_add(struct scan *scan, enum scan_special_kind kind, uint32_t process, int fd,
                      uint32_t tid);
void scan_stranger_add(struct scan *scan, const struct scan_stranger *stranger);

uint32_t scan_index_get(const struct scan_index *index, uint64_t key); /* SCAN_NONE */
bool scan_index_put(struct scan_index *index, uint64_t key, uint32_t value);
void scan_index_free(struct scan_index *index);

#endif
