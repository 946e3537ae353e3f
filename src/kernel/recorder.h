/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder (`lastack watch`): tracepoint programs that remember, for each TCP socket, what no
 * snapshot can show: when it was born and where, when the peer's FIN came, when a receive returned 0
 * and where, who closed which descriptor and how many references stayed. Its memory is bounded and
 * lives in BPF maps of the recorder's process, so that `lastack why` reads it without asking anybody.
 */
#ifndef LASTACK_KERNEL_RECORDER_H
#define LASTACK_KERNEL_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/facts.h"
#include "doctor/text.h"

/* Complete kernel records of `list` with the history of a running recorder. The number of records
 * completed; 0 with `*running` false if there is no recorder (or no right to see it); -errno with a
 * sentence in `why`. */
int facts_add_history(struct facts_list *list, bool *running, char *why, size_t why_len);

/* ---- to be the recorder ---- */

/* Zero-initialised: everything but source lines and events. */
struct recorder_options {
    bool lines;          /* where in the program: stacks of births, ends read, closes */
    bool events;         /* recorder_poll tells every event */
    bool no_calls;       /* no tracepoints of calls: cheaper; closes that leave references unseen */
    uint32_t pid;        /* lines and events of this process only; 0: all */
    uint16_t port;       /* ... of connections with this port at either end; 0: all */
    uint32_t sample;     /* lines of one connection in so many; 0 and 1: of all */
    uint32_t socket_max; /* sockets remembered at a time; 0: RECORDER_SOCKETS_USUAL */
};
#define RECORDER_SOCKETS_USUAL 131072u
/* Bytes of kernel memory for one socket, about. */
#define RECORDER_SOCKET_BYTES 512u

struct recorder;

/* 0 and `*recorder`; -EBUSY: another one runs; -EPERM, -ENOSYS, another -errno. A sentence in `why`.
 * `unseen` gets a line for each thing that will not be recorded here. */
int recorder_open(struct recorder **recorder, const struct recorder_options *options,
                  struct text *unseen, char *why, size_t why_len);
void recorder_close(struct recorder *recorder);

/* One event; pointers are valid during the call. Strings are raw bytes. */
struct recorder_news {
    const char *what;    /* "born", "accepted", "fin-in", "end-read", "close", "fin-out", "reset", "gone" */
    uint64_t id;         /* cookie */
    uint64_t time_ns;    /* CLOCK_MONOTONIC */
    struct lastack_tuple tuple;
    struct fact_call call;         /* who; pid FACT_NO_PID: nobody, it came from the wire */
    const struct fact_site *place; /* where in its program; NULL: not known */
};
typedef void recorder_tell(void *arg, const struct recorder_news *news);

/* Name new stacks and tell events, for at most `timeout_ms`; 0, or -errno (-EINTR: a signal came). */
int recorder_poll(struct recorder *recorder, int timeout_ms, recorder_tell *tell, void *arg);

struct recorder_counts {
    uint64_t born, gone, fin_in, fin_out, end_read, close_left; /* since it began */
    uint64_t sockets; /* remembered now */
    uint64_t stacks, sites;
    uint64_t sockets_lost, stacks_lost, events_lost; /* for want of memory */
};
void recorder_count(const struct recorder *recorder, struct recorder_counts *counts);

#endif
