/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor: one process that owns the stack and has the only event loop.
 *
 * Theory. Each TCP socket of the program is, for the kernel, one end (A) of an AF_UNIX stream
 * pair, from socket(2) or accept(2) on and never replaced. The other end (B) is ours. The kernel
 * therefore counts the references to A for us, through dup, fork, exec, SCM_RIGHTS and kill -9,
 * and hangs up B when the last one goes. Control calls arrive through seccomp user notification;
 * bytes flow through the pair:
 *
 *     program  -- A ==== B --  pump  -- library socket (fd of the one lastack_process) -- stack
 *
 * Life of a pair (enum pair_kind): FRESH -> LISTENER, or FRESH -> CONNECTING -> CONNECTED, or born
 * CONNECTED by accept; a refused blocking connect goes back to FRESH. DEAD: B had to be closed to
 * show an error to the program (reset, failed non-blocking connect); only the name is left until
 * the program closes A. What a pair may be asked in which kind is decided in the calls_*.c files.
 *
 * Rules that every change must keep:
 *  1. before a call is handled, everything that B ends have to tell is taken in (causality);
 *  2. data, FIN and RST that precede an accept or connect are in the pair before the program resumes;
 *  3. a reply can fail: the effect is kept and given to the repeated call, or undone;
 *  4. a duplicate of A is a reference: it lives no longer than the call that needed it.
 */
#ifndef LASTACK_RUN_SUPERVISOR_H
#define LASTACK_RUN_SUPERVISOR_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "device/capture.h"
#include "device/tun.h"
#include "doctor/control.h"
#include "lastack.h"
#include "run/options.h"

#define TASK_CACHE_CNT 256
#define PAIR_BUCKET_CNT 4096
#define NAME_CNT 1024
#define SEEN_MAX 6
#define WATCH_STEP_CNT 7

enum pair_kind { PAIR_FRESH, PAIR_LISTENER, PAIR_CONNECTING, PAIR_CONNECTED, PAIR_DEAD };

/* A descriptor of a process. */
struct seen {
    pid_t pid;
    int fd;
};

/* One socket of the program. */
struct pair {
    struct list all;       /* in supervisor.pairs */
    struct list ready;     /* in supervisor.ready: its pump stopped at its budget; DEAD: in .dead */
    struct list waiting;   /* of held calls on it, oldest first */
    struct list requeued;  /* listener: accepted, but the accept(2) was interrupted; node: queue */
    struct list queue;     /* node in a listener's `requeued`, later in supervisor.leaving */
    struct list watch;     /* in supervisor.watched[watch_step] */
    struct pair *bucket;   /* next in its hash bucket */
    uint64_t cookie;       /* SO_COOKIE of A: its identity, never reused */
    uint64_t inode;        /* of A: how /proc shows it */
    uint64_t socket_id;    /* of the library's socket */
    int b;                 /* our end; -1 when DEAD */
    int fd;                /* descriptor in the lastack_process; -1 when closed */
    int a;                 /* A, only while no program has it yet; else -1 */

    pid_t born_pid;        /* which call made it */
    int born_fd;
    uint64_t born_ns;
    uint64_t moved_ns;     /* when bytes last went up */
    pid_t pid;             /* who used it last, under which descriptor: a first guess, always */
    int pid_fd;            /* verified by the cookie before it is used */

    struct seen seen[SEEN_MAX]; /* who is known to hold it (watch.h) */
    uint8_t seen_cnt, watch_step;
    uint64_t watch_ns;     /* the next look at them */

    enum pair_kind kind;
    bool accepted;         /* born by accept */
    bool gone;             /* freed at the end of this turn */
    bool up_blocked;       /* the stack's send buffer is full */
    bool down_blocked;     /* B is full: EPOLLOUT is asked for */
    bool a_shut_wr;        /* the program shut its sending half down (announced by its call) */
    bool b_shut_rd;        /* we shut its sending half (lastack end) */
    bool b_shut_wr;        /* end of stream (or SHUT_RD) was given to the program */
    bool token;            /* one byte of ours waits at the end of B's queue */
    bool shut_wr_late;     /* shutdown(WR) waits until `up_left` bytes are sent */
    bool hung_up;          /* the last reference is gone; what it wrote is still on its way */
    bool settled;          /* ... and who closed it is recorded */
    bool unread_close;     /* ... and it had not read everything: reset */
    bool connect_async;    /* CONNECTING, and nobody waits in connect(2) */
    uint32_t up_left;
    pid_t shut_pid;        /* who asked for it */
    uint32_t fill_len;     /* bytes put into A so that it is not writable while connecting */
    uint32_t signal_cnt;   /* listener: bytes in A that say "connections wait" */
    int so_error;          /* DEAD: what SO_ERROR answers once */
    struct sockaddr_in peer; /* of an accepted one */

    uint32_t lost_tid;     /* an answer that did not arrive (rule 3) */
    int lost_nr;
    int64_t lost_value;
};

/* A thread that made a call. */
struct task {
    pid_t tid, pid;
    int pidfd;
};

/* What a process was called when it last mattered: for stories about processes that are gone. */
struct name {
    pid_t pid;
    char text[16];
};

/* One intercepted call. */
struct call {
    uint64_t id;
    pid_t tid, pid;
    int nr;
    uint64_t args[6];
    int a;              /* duplicate of A while the call is handled; -1 */
    struct pair *pair;
};

/* A call that waits: accept, connect, a close that lingers. */
struct held {
    struct list all;    /* in supervisor.held */
    struct list waiting; /* in pair.waiting */
    struct call call;
    uint64_t deadline_ns;
    int64_t expired;    /* the answer when the deadline comes */
    struct sockaddr_in address; /* connect: where to */
    uint8_t signal_seen;
};

/* A close(2) that was let through; whether others still hold the socket is not known yet. */
struct closing {
    struct list all;
    struct pair *pair;
    pid_t pid;
    int fd;
    bool shared;        /* a relative held it, too, when the call was made */
    uint8_t look_cnt;
    uint64_t due_ns;
};

struct control_client {
    struct list all;
    struct control_session session;
};

enum source_kind { SOURCE_NOTIFY, SOURCE_PAIRS, SOURCE_SIGNAL, SOURCE_TUN, SOURCE_CONTROL,
                   SOURCE_CLIENT };

struct supervisor {
    struct run_options options;
    lastack *stack;
    lastack_process *process;  /* all sockets of all programs; act_as names the real one */
    pid_t acting;              /* whom the process stands for at this moment; 0: nobody */
    uint64_t now_ns;
    uint64_t start_ns;

    int epoll;                 /* everything */
    int pair_epoll;            /* B ends only, so that they can be drained by themselves */
    int notify;                /* seccomp's; -1 when no program is left */
    int signals;
    struct tun tun;            /* fd -1: loopback only */
    uint32_t tun_interface;
    struct capture capture;
    bool capturing;
    int control;
    int spare; /* a descriptor to give up when there is no other: a client that cannot be
                  accepted would be news for ever */
    char control_path[CONTROL_PATH_LEN];
    struct list clients;
    uint32_t client_cnt;
    int filler;                /* see calls_connect.c; -1: not made yet */
    int diag;                  /* netlink, opened when first needed; -1, -2: there is none */

    pid_t program;             /* the one named on the command line; 0 when it ended */
    pid_t self;                /* the supervisor */
    pid_t front;               /* the waiting process in the user's session */
    void (*pipe_action)(int);  /* SIGPIPE, as we were started with it: the program inherits that */
    int status;                /* exit status to pass on */
    bool killable;             /* the kernel has WAIT_KILLABLE_RECV: held calls need a watcher */
    bool programs_done;
    bool leave;
    uint32_t stop_cnt;         /* requests to stop, once the program is gone */
    uint64_t grace_end_ns;

    struct list pairs, ready, dead, leaving, held, closings, graveyard;
    struct list watched[WATCH_STEP_CNT];
    uint64_t descriptor_max;   /* RLIMIT_NOFILE */
    uint32_t pair_cnt, dead_cnt, held_cnt;
    struct pair *buckets[PAIR_BUCKET_CNT];
    struct task tasks[TASK_CACHE_CNT];
    struct name names[NAME_CNT];
    uint64_t held_look_ns;     /* when held calls are next looked at */
    uint32_t held_pause_us;
    uint64_t scan_ns;          /* the next scan of /proc not before */
    uint64_t dead_look_ns, closing_look_ns;
    uint64_t call_cnt, scan_cnt; /* for --verbose */
};

uint64_t clock_now(void);
/* The stack records calls under `pid` from now on. Returns who it was before. */
pid_t supervisor_act_as(struct supervisor *s, pid_t pid);
void supervisor_say(const struct supervisor *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
