/* SPDX-License-Identifier: BSD-2-Clause */
/* A picture of one connection before it is drawn: rows in the order of time, the states of both ends
 * from row to row, and the processes that stand beside them. */
#ifndef LASTACK_CLI_SVG_ROWS_H
#define LASTACK_CLI_SVG_ROWS_H

#include "cli/cli.h"

enum svg_side { SVG_HERE, SVG_THERE, SVG_SIDE_CNT };

enum svg_kind {
    SVG_PACKET, /* from `side` to the other */
    SVG_CALL,   /* by a program on `side` */
    SVG_NOW,
};

#define SVG_STATE_NONE (-1)
#define SVG_PROCESS_MAX 6
#define SVG_ROW_MAX     48

struct svg_row {
    uint64_t age_us; /* FACT_UNKNOWN: at the place of its order */
    bool at_least;   /* the age is a lower bound */
    unsigned order;  /* of rows at the same moment */
    enum svg_kind kind;
    enum svg_side side;
    bool guessed;    /* it follows, but was not seen */
    int process;     /* place in `processes`, or -1 */
    bool lets_go;    /* CALL: this process holds it no more */
    struct text label;
    int state[SVG_SIDE_CNT]; /* enum lastack_state from here on, or SVG_STATE_NONE: as before */
};

/* A process that holds an end, or held it. */
struct svg_process {
    uint32_t pid;
    enum svg_side side;
    bool holds, let_go;
    uint64_t since_us; /* FACT_UNKNOWN: from before the picture begins */
    struct text words; /* "process 4710 (server) holds descriptor 4 ..." */
};

struct svg_life {
    struct svg_row rows[SVG_ROW_MAX]; /* oldest first */
    unsigned row_cnt;
    struct svg_process processes[SVG_PROCESS_MAX];
    unsigned process_cnt, process_more; /* how many there was no room for */
    int first[SVG_SIDE_CNT];            /* state before the first row */
    bool exact[SVG_SIDE_CNT];           /* the states of this side were seen */
    bool gone;                          /* the other end: nothing has its address any more */
    bool torn;                          /* its beginning is not known */
};

/* `peer` is the record of the other end, or NULL. */
void svg_life_tell(struct svg_life *life, const struct facts_list *list, const struct facts *f,
                   const struct facts *peer);
void svg_life_free(struct svg_life *life);

#endif
