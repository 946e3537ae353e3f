/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder's memory: what its BPF programs write into maps and everybody who may look at maps
 * reads. The maps have names, so that a reader finds them, and `struct recorder_about` says whether
 * both mean the same. Times are CLOCK_MONOTONIC, 0: has not happened.
 */
#ifndef LASTACK_KERNEL_BPF_RECORDER_RECORDS_H
#define LASTACK_KERNEL_BPF_RECORDER_RECORDS_H

#ifdef __bpf__
#include "kernel/bpf/kernel_types.h"
#else
#include <linux/types.h>
#endif

#define RECORDER_MAGIC   0x6c61737461636b33ull /* of these very structures */
#define RECORDER_CLOSES  4                     /* newest closes kept of a socket */
#define RECORDER_STACK   4096
#define RECORDER_CALL_MAX 8192 /* descriptors of one process that an exit looks at */

/* Map names. */
#define RECORDER_SOCKETS "lastack_sockets" /* cookie -> recorder_socket */
#define RECORDER_STACKS  "lastack_stacks"  /* key of a stack -> id of a site, 0: not named yet */
#define RECORDER_PLACES  "lastack_places"  /* key of a birth's stack -> recorder_place */
#define RECORDER_SITES   "lastack_sites"   /* id of a site -> recorder_site */
#define RECORDER_ABOUT   "lastack_about"   /* 0 -> recorder_about */

/* What is recorded; fixed when the programs are loaded. */
struct recorder_config {
    __u32 lines;  /* take stacks */
    __u32 events; /* send events */
    __u32 pid;    /* both of this process only; 0: all */
    __u32 sample; /* stacks of one connection in so many */
    __u32 port;   /* both of connections with this port at either end; 0: all */
    __u32 casts;  /* the kernel has bpf_rdonly_cast */
};

/* Calls, by the numbers of enum fact_call_kind (checked when the reader is compiled). */
enum recorder_call_kind {
    CALL_NONE,
    CALL_CLOSE,
    CALL_DUP_OVER,
    CALL_EXEC,
    CALL_EXIT,
    CALL_MESSAGE_DROP,
    CALL_SHUT_RD,
    CALL_SHUT_WR,
    CALL_SHUT_RDWR,
    CALL_OPERATOR,
};

struct recorder_call {
    __u64 ns, stack; /* stack: a key, 0: not taken */
    __u32 pid;
    __s32 fd;        /* -1: unknown */
    __u32 left;
    __u8 kind, pad[3];
    char program[16];
};

struct recorder_socket {
    __u64 born_ns, state_ns, fin_in_ns, fin_out_ns, end_read_ns, reset_ns;
    __u64 born_stack, end_read_stack;
    __u64 creator_start_ns; /* of its process, since boot */
    __u64 given_at_fin;     /* bytes given to be sent when the peer's FIN came, plus 1; 0: unknown */
    __u32 creator_pid, end_read_pid;
    char creator_program[16];
    struct recorder_call fin_out_by;
    struct recorder_call closes[RECORDER_CLOSES]; /* close_cnt % RECORDER_CLOSES is next */
    __u32 close_cnt;
    __u32 end_read_cnt;
    __u8 passive;  /* came in through a listener */
    __u8 spliced;  /* read by splice(), whose end nobody can see */
    __u8 family;   /* of local and remote */
    __u8 closed;   /* counted as closed */
    __u16 local_port, remote_port;
    __u8 local[16], remote[16];
};

/* What became of connections that were born at one place. */
struct recorder_place {
    __u64 born_cnt, closed_cnt;
    __u64 close_stack; /* where most of them were closed, by a vote */
    __u64 vote_cnt;
    __u64 linger_ns; /* the longest from an end that was read to its close() */
};

struct recorder_site {
    char function[64], file[128], module[64];
    __u32 line;
    __u32 runtime; /* of an interpreter, a library of a language, libc: many programs' */
    char stack[1016]; /* as of struct fact_site, cut at a line */
};

enum recorder_counter {
    COUNT_BORN,
    COUNT_MADE, /* records, of sockets born before, too */
    COUNT_GONE,
    COUNT_FIN_IN,
    COUNT_FIN_OUT,
    COUNT_END_READ,
    COUNT_CLOSE_LEFT, /* closes after which references stayed */
    COUNT_LOST,       /* sockets without a record: memory is full */
    COUNT_STACKS,     /* sent to be named */
    COUNT_STACKS_LOST,
    COUNT_EVENTS_LOST,
    COUNTER_CNT
};

struct recorder_about {
    __u64 magic;
    __u64 start_ns, alive_ns; /* since when it records; when it last said that it lives */
    __u64 process_ticks;      /* start of its process, as /proc/PID/stat has it */
    __u32 pid;
    __u32 lines;      /* stacks are taken */
    __u32 calls;      /* closes, accepts and shutdowns are seen */
    __u32 end_reads;  /* receives that return 0 are seen */
    __u32 socket_max;
    __u32 sockets, stacks, places, sites; /* ids of the other maps */
    __u32 inner; /* its process lives in a pid namespace of its own */
};

/* ---- messages from the programs to the recorder's process ---- */

/* What tells the memory of one program from another's (struct lines_layout). */
struct recorder_layout {
    __u64 start_code, start_stack, exe_inode;
};

/* A stack that has no name yet. Registers in the order of DWARF, as in struct lines_snapshot. */
struct recorder_stack {
    __u64 key;
    __u32 pid, parent;
    struct recorder_layout layout;
    __u64 reg[17];
    __u32 len, pad;
    __u8 bytes[RECORDER_STACK];
};

enum recorder_event_kind {
    EVENT_BORN,
    EVENT_ACCEPT,
    EVENT_FIN_IN,
    EVENT_END_READ,
    EVENT_CLOSE,
    EVENT_FIN_OUT,
    EVENT_RESET,
    EVENT_GONE,
    EVENT_KIND_CNT
};

struct recorder_event {
    __u64 ns, cookie;
    __u8 kind, family, pad[2];
    __u16 local_port, remote_port;
    __u8 local[16], remote[16];
    struct recorder_call call; /* who; pid 0: nobody, it came from the wire */
};

#endif
