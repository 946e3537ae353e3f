/* SPDX-License-Identifier: BSD-2-Clause */
/* What --follow shows: a state of the view in, the bytes of one page out. */
#ifndef LASTACK_CLI_FOLLOW_SCREEN_H
#define LASTACK_CLI_FOLLOW_SCREEN_H

#include "cli/follow_look.h"

enum follow_mode { FOLLOW_LIST, FOLLOW_DETAIL, FOLLOW_HELP, FOLLOW_INPUT };
enum follow_order { FOLLOW_WORST, FOLLOW_COUNT, FOLLOW_AGE, FOLLOW_PROGRAM, FOLLOW_ORDER_CNT };

#define FOLLOW_FILTER_LEN 64

struct follow_view {
    const struct why_options *o;
    struct follow_look *look; /* NULL: none yet */
    bool paused, looking;
    uint64_t pause_us;
    enum follow_mode mode;
    enum follow_order order;
    char filter[FOLLOW_FILTER_LEN];

    /* Places of the groups that are shown, in their order; `shown_cnt` of them. */
    uint32_t *shown, shown_cnt;
    uint32_t selected, top; /* places in `shown` */
    uint64_t selected_key;
    bool show_end;   /* the end command stands below the list */
    unsigned scroll; /* of the details */

    unsigned width, height;
    bool colour;
};

/* Filter and sort what is shown; the same group stays selected. */
void follow_arrange(struct follow_view *view);
void follow_move(struct follow_view *view, int64_t by);
/* The group under the cursor; NULL: none. */
const struct finding_group *follow_group(const struct follow_view *view);
void follow_draw(struct follow_view *view, struct text *out);
/* Lines of the list, for a page up or down. */
unsigned follow_page(const struct follow_view *view);

#endif
