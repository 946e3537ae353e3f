/* SPDX-License-Identifier: BSD-2-Clause */
/* One cell of the matrix events x states: what is set up, done and expected. */
#ifndef LASTACK_TESTS_CELL_H
#define LASTACK_TESTS_CELL_H

#include "expect.h"

/* The eleven states; SYN_RCVD as it is reached from LISTEN (a half-open entry) and from
 * SYN_SENT; and the states an orphan can be in, whose last descriptor is closed. */
enum column {
    COLUMN_CLOSED,
    COLUMN_LISTEN,
    COLUMN_SYN_SENT,
    COLUMN_SYN_RCVD,
    COLUMN_SYN_RCVD_ACTIVE,
    COLUMN_ESTABLISHED,
    COLUMN_FIN_WAIT_1,
    COLUMN_FIN_WAIT_2,
    COLUMN_CLOSE_WAIT,
    COLUMN_CLOSING,
    COLUMN_LAST_ACK,
    COLUMN_TIME_WAIT,
    COLUMN_FIN_WAIT_1_ORPHAN,
    COLUMN_FIN_WAIT_2_ORPHAN,
    COLUMN_CLOSING_ORPHAN,
    COLUMN_LAST_ACK_ORPHAN,
    COLUMN_TIME_WAIT_ORPHAN,
    COLUMN_CNT
};

/* Short names for the rows: sets of columns. A small o: orphan. */
enum {
    CL = 1 << COLUMN_CLOSED,
    LI = 1 << COLUMN_LISTEN,
    SS = 1 << COLUMN_SYN_SENT,
    SR = 1 << COLUMN_SYN_RCVD,
    SA = 1 << COLUMN_SYN_RCVD_ACTIVE,
    ES = 1 << COLUMN_ESTABLISHED,
    F1 = 1 << COLUMN_FIN_WAIT_1,
    F2 = 1 << COLUMN_FIN_WAIT_2,
    CW = 1 << COLUMN_CLOSE_WAIT,
    CG = 1 << COLUMN_CLOSING,
    LA = 1 << COLUMN_LAST_ACK,
    TW = 1 << COLUMN_TIME_WAIT,
    F1o = 1 << COLUMN_FIN_WAIT_1_ORPHAN,
    F2o = 1 << COLUMN_FIN_WAIT_2_ORPHAN,
    CGo = 1 << COLUMN_CLOSING_ORPHAN,
    LAo = 1 << COLUMN_LAST_ACK_ORPHAN,
    TWo = 1 << COLUMN_TIME_WAIT_ORPHAN,
    SAME = 0, /* as a next state */
    HELD = (1 << COLUMN_FIN_WAIT_1_ORPHAN) - 1,
    ORPHANS = F1o | F2o | CGo | LAo | TWo,
    ALL = HELD | ORPHANS,
    SYNCED = ES | F1 | F2 | CW | CG | LA | TW | ORPHANS,
    TIME_WAITS = TW | TWo,
};

/* What the way into the state shall leave behind. */
enum cell_setup {
    SETUP_UNREAD = 1,       /* 5 bytes of the peer wait to be read */
    SETUP_SHARED = 2,       /* a forked child holds the descriptor too */
    SETUP_LINGER_0 = 4,
    SETUP_LINGER_1 = 8,     /* one second; the descriptor blocks */
    SETUP_KEEPALIVE = 16,   /* 10 s, then 3 probes 1 s apart */
    SETUP_USER_TIMEOUT = 32 /* 2.5 s */
};

struct cell;

struct event {
    const char *name;
    unsigned columns; /* where it can happen */
    unsigned setup;
    void (*configure)(struct lastack_config *config);
    void (*prepare)(struct cell *cell); /* before the numbers are taken */
    void (*apply)(struct cell *cell);
};

struct row {
    const char *file;
    int line;
    unsigned event;   /* index into events */
    unsigned columns; /* the cells this row speaks for */
    unsigned next;    /* SAME or one column */
    const char *sent, *sees, *drop;
    enum lastack_cause cause;
};

/* What a row's texts mean beyond expect.h:
 * sees   [=RESULT] POLL [ERRNO] RECEIVES: result of the call; letters i o r h e of POLLIN, POLLOUT,
 *        POLLRDHUP, POLLHUP, POLLERR (. for none); pending SO_ERROR; then what receives return,
 *        up to the first that is no data. `@`: as usual in the next state. `-`: no descriptor.
 * drop   the reasons counted (" + " between two), `*`: any but some, `~`: not looked at. */
struct cell {
    struct world w;
    const struct row *row;
    enum column column;
    bool passive;
    struct expect_numbers n;
    int fd;          /* the program's descriptor for this state; -1: none */
    uint64_t socket_id;
    bool has_result; /* a call was made */
    int result;
    uint32_t lingered;
    const char *extra; /* what else went wrong, NULL: nothing */
};

extern const struct event events[];
extern const unsigned event_cnt;

void cell_enter(struct cell *cell); /* into the column's state */
enum lastack_state column_state(enum column column);
const char *column_name(enum column column);

#endif
