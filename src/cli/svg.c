/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one connection as a picture: time runs down, the two ends stand side by side. */
#include "cli/svg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/svg_draw.h"
#include "cli/svg_rows.h"
#include "doctor/words.h"

#define MARGIN      16
#define TIME_WIDTH  112
#define LIFE_STEP   24
#define TEXT_COLUMNS 34
#define TEXT_WIDTH  (TEXT_COLUMNS * SVG_CHARACTER + 12)
#define BAND_WIDTH  100
#define GAP_WIDTH   260
#define GAP_COLUMNS 36
#define SLANT       10 /* a packet takes time */
#define ROW_HEIGHT  26
#define BREAK_US    1000000
#define BREAK_HEIGHT 34
#define WHOLE_COLUMNS 96
#define HEAD_COLUMNS 47 /* of an IPv6 address with its port */

/* Where everything stands. */
struct plan {
    struct text *out;
    const struct svg_life *life;
    const struct facts *f, *peer;
    double life_x[SVG_SIDE_CNT], text_x[SVG_SIDE_CNT], band_x[SVG_SIDE_CNT];
    double width, top, bottom;
    double row_y[SVG_ROW_MAX];    /* the line of a row */
    double break_y[SVG_ROW_MAX]; /* of the silence before it; 0: none */
};

/* ---- places ---- */

static unsigned count_processes(const struct svg_life *life, enum svg_side side)
{
    unsigned cnt = 0;
    for (unsigned i = 0; i < life->process_cnt; i++)
        cnt += life->processes[i].side == side;
    return cnt;
}

/* From left to right: time, lives and calls here, our band, packets, their band, calls and lives
 * there. */
static void plan_columns(struct plan *plan)
{
    double x = MARGIN + TIME_WIDTH;
    plan->life_x[SVG_HERE] = x + LIFE_STEP / 2;
    x += count_processes(plan->life, SVG_HERE) * LIFE_STEP;
    plan->text_x[SVG_HERE] = x + 8;
    x += TEXT_WIDTH;
    plan->band_x[SVG_HERE] = x;
    x += BAND_WIDTH + GAP_WIDTH;
    plan->band_x[SVG_THERE] = x;
    x += BAND_WIDTH;
    plan->text_x[SVG_THERE] = x + 12;
    x += plan->peer || plan->life->gone ? TEXT_WIDTH + 8 : 0;
    plan->life_x[SVG_THERE] = x + LIFE_STEP / 2;
    x += count_processes(plan->life, SVG_THERE) * LIFE_STEP;
    /* Room for the longest lines of text below and above. */
    double whole = WHOLE_COLUMNS * SVG_CHARACTER + 2 * MARGIN;
    double head = plan->band_x[SVG_THERE] + BAND_WIDTH / 2.0 + HEAD_COLUMNS * SVG_CHARACTER / 2;
    x = head > x ? head : x;
    plan->width = x + MARGIN > whole ? x + MARGIN : whole;
}

static double row_height(const struct svg_row *row)
{
    unsigned columns = row->kind == SVG_PACKET ? GAP_COLUMNS : TEXT_COLUMNS;
    unsigned lines = svg_wrapped(NULL, 0, 0, "", "start", columns, text_string(&row->label));
    double height = lines * SVG_LINE + 8 + (row->kind == SVG_PACKET ? SLANT + 4 : 0);
    return height > ROW_HEIGHT ? height : ROW_HEIGHT;
}

/* A pixel for every doubling of a millisecond. */
static double little_gap(uint64_t us)
{
    unsigned doublings = 0;
    for (us /= 1000; us > 1; us /= 2)
        doublings++;
    return doublings;
}

static void plan_rows(struct plan *plan, double top)
{
    const struct svg_life *life = plan->life;
    double y = top + (life->torn ? SVG_LINE : 0); /* a line that says "earlier" */
    plan->top = top;
    for (unsigned i = 0; i < life->row_cnt; i++) {
        const struct svg_row *row = &life->rows[i];
        uint64_t before = i ? life->rows[i - 1].age_us : row->age_us;
        uint64_t silence = before - row->age_us;
        bool beside = i && row->kind == SVG_NOW && life->rows[i - 1].kind == SVG_NOW;
        if (silence >= BREAK_US) {
            plan->break_y[i] = y + BREAK_HEIGHT / 2;
            y += BREAK_HEIGHT;
        } else if (silence > 1000) {
            y += little_gap(silence);
        }
        /* What is so now stands on one line, at both ends. */
        plan->row_y[i] = beside ? plan->row_y[i - 1] : y + (row->kind == SVG_PACKET
                                                                ? row_height(row) - SLANT - 2
                                                                : SVG_LINE + 2);
        double end = (beside ? plan->row_y[i] - SVG_LINE - 2 : y) + row_height(row);
        y = end > y ? end : y;
    }
    plan->bottom = y + 6;
}

/* ---- pieces ---- */

static const char *state_class(int state)
{
    switch (state) {
    case LASTACK_ESTABLISHED:
        return "s estab";
    case LASTACK_CLOSE_WAIT:
        return "s close-wait";
    case LASTACK_FIN_WAIT_1:
    case LASTACK_FIN_WAIT_2:
        return "s fin";
    case LASTACK_LAST_ACK:
    case LASTACK_CLOSING:
        return "s last";
    case LASTACK_TIME_WAIT:
        return "s over";
    case LASTACK_CLOSED:
        return "s closed";
    default:
        return "s open";
    }
}

static void draw_segment(struct plan *plan, enum svg_side side, int state, double from, double to)
{
    double x = plan->band_x[side];
    if (to - from < 1)
        return;
    svg_box(plan->out, x, from, BAND_WIDTH, to - from, state_class(state));
    if (!plan->life->exact[side])
        svg_box(plan->out, x, from, BAND_WIDTH, to - from, "hatch");
    if (to - from >= SVG_LINE)
        svg_text(plan->out, x + BAND_WIDTH / 2.0, (from + to) / 2 + 4, "bold", "middle",
                 state == LASTACK_CLOSED ? "CLOSED" : fact_state_name((enum lastack_state)state));
}

/* Nobody saw when it went: in the first silence after the last packet, or somewhere between. */
static double gone_y(const struct plan *plan, double from)
{
    double silence = 0;
    for (unsigned i = 0; i < plan->life->row_cnt; i++) {
        if (silence <= 0 && plan->break_y[i] > from)
            silence = plan->break_y[i];
        if (plan->life->rows[i].kind == SVG_PACKET) {
            double end = plan->row_y[i] + SLANT;
            from = end > from ? end : from;
            silence = 0;
        }
    }
    return silence > 0 ? silence : (from + plan->bottom) / 2;
}

static void draw_last(struct plan *plan, enum svg_side side, int state, double from)
{
    if (side == SVG_HERE || !plan->life->gone) {
        draw_segment(plan, side, state, from, plan->bottom);
        return;
    }
    double x = plan->band_x[side], to = gone_y(plan, from);
    draw_segment(plan, side, state, from, to);
    svg_box(plan->out, x, to, BAND_WIDTH, plan->bottom - to, state_class(LASTACK_CLOSED));
    svg_text(plan->out, x + BAND_WIDTH / 2.0, (to + plan->bottom) / 2 + 4, "bold", "middle", "gone");
}

static void draw_band(struct plan *plan, enum svg_side side)
{
    int state = plan->life->first[side];
    double from = plan->top;
    for (unsigned i = 0; i < plan->life->row_cnt; i++) {
        const struct svg_row *row = &plan->life->rows[i];
        if (row->state[side] == SVG_STATE_NONE || row->state[side] == state)
            continue;
        double to = plan->row_y[i];
        if (row->kind == SVG_PACKET)
            to += row->side == side ? 0 : SLANT;
        draw_segment(plan, side, state, from, to);
        state = row->state[side];
        from = to;
    }
    draw_last(plan, side, state, from);
}

static void draw_packet(struct plan *plan, unsigned i)
{
    const struct svg_row *row = &plan->life->rows[i];
    double left = plan->band_x[SVG_HERE] + BAND_WIDTH, right = plan->band_x[SVG_THERE];
    double y = plan->row_y[i], middle = (left + right) / 2;
    unsigned lines =
        svg_wrapped(NULL, 0, 0, "", "middle", GAP_COLUMNS, text_string(&row->label));
    svg_wrapped(plan->out, middle, y + SLANT / 2.0 - 9 - (lines - 1.0) * SVG_LINE, "", "middle",
                GAP_COLUMNS, text_string(&row->label));
    double from = row->side == SVG_HERE ? left : right, to = row->side == SVG_HERE ? right : left;
    if (row->guessed)
        svg_arrow(plan->out, from, y, from + (to - from) / 2, y + SLANT / 2.0, "packet guess");
    else
        svg_arrow(plan->out, from, y, to, y + SLANT, "packet");
}

static double process_x(const struct plan *plan, unsigned at)
{
    enum svg_side side = plan->life->processes[at].side;
    unsigned place = 0;
    for (unsigned i = 0; i < at; i++)
        place += plan->life->processes[i].side == side;
    return plan->life_x[side] + place * LIFE_STEP;
}

static void draw_call(struct plan *plan, unsigned i)
{
    const struct svg_row *row = &plan->life->rows[i];
    double y = plan->row_y[i], x = plan->text_x[row->side];
    double edge = row->side == SVG_HERE ? plan->band_x[SVG_HERE]
                                        : plan->band_x[SVG_THERE] + BAND_WIDTH;
    svg_wrapped(plan->out, x, y, "", "start", TEXT_COLUMNS, text_string(&row->label));
    if (row->kind == SVG_NOW)
        return;
    svg_dot(plan->out, edge, y - 4, 3, "dot");
    if (row->process < 0)
        return;
    double life = process_x(plan, (unsigned)row->process);
    double end = row->side == SVG_HERE ? x - 4 : x + TEXT_WIDTH - 12;
    svg_line(plan->out, life, y - 4, end, y - 4, "leader");
    svg_dot(plan->out, life, y - 4, 3.5, "dot");
}

static void draw_life(struct plan *plan, unsigned at)
{
    const struct svg_process *p = &plan->life->processes[at];
    double x = process_x(plan, at), from = plan->top + 10, to = plan->bottom;
    char letter[2] = {(char)('A' + at), 0};
    bool let_go = false;
    for (unsigned i = 0; i < plan->life->row_cnt; i++) {
        const struct svg_row *row = &plan->life->rows[i];
        if (i && fact_known(p->since_us) && plan->life->rows[i - 1].age_us > p->since_us &&
            row->age_us <= p->since_us)
            from = plan->break_y[i] > 0 ? plan->break_y[i] : plan->row_y[i] - 4;
        if (row->process == (int)at && row->lets_go) {
            to = plan->row_y[i] - 4;
            let_go = true;
        }
    }
    svg_line(plan->out, x, from, x, to, "life");
    if (let_go)
        svg_cross(plan->out, x, to);
    else if (p->holds)
        svg_dot(plan->out, x, to, 4, "dot");
    svg_dot(plan->out, x, plan->top - 12, 8, "letter");
    svg_text(plan->out, x, plan->top - 8, "bold", "middle", letter);
    if (from > plan->top + 10)
        svg_line(plan->out, x, plan->top - 4, x, from, "leader");
}

static void add_moment(struct text *out, const struct svg_row *row)
{
    if (row->kind == SVG_NOW) {
        text_add(out, "now");
        return;
    }
    text_add(out, row->at_least ? ">" : "");
    if (row->age_us < 120 * 1000000ull)
        text_printf(out, "%llu.%03llu s ago", (unsigned long long)row->age_us / 1000000,
                    (unsigned long long)row->age_us / 1000 % 1000);
    else
        words_ago(out, row->age_us);
}

static void draw_time(struct plan *plan, unsigned i)
{
    const struct svg_row *row = &plan->life->rows[i];
    struct text when, before;
    if (plan->break_y[i] > 0) {
        struct text silence;
        text_init(&silence);
        text_add(&silence, "(");
        words_duration(&silence, plan->life->rows[i - 1].age_us - row->age_us);
        text_add(&silence, ")");
        svg_text(plan->out, MARGIN + 16, plan->break_y[i] + 4, "dim", "start",
                 text_string(&silence));
        svg_break(plan->out, plan->band_x[SVG_HERE], plan->break_y[i]);
        svg_break(plan->out, plan->band_x[SVG_THERE] + BAND_WIDTH, plan->break_y[i]);
        text_free(&silence);
    }
    text_init(&when);
    add_moment(&when, row);
    text_init(&before);
    if (i)
        add_moment(&before, &plan->life->rows[i - 1]);
    if (strcmp(text_string(&when), text_string(&before)) != 0)
        svg_text(plan->out, MARGIN, plan->row_y[i] + (row->kind == SVG_PACKET ? 4 : 0),
                 row->kind == SVG_NOW ? "bold" : "dim", "start", text_string(&when));
    text_free(&when);
    text_free(&before);
}

/* ---- what stands above and below ---- */

static double draw_above(struct plan *plan, const struct catch *catch,
                         const struct findings *findings)
{
    const struct facts *f = plan->f;
    struct text t;
    double y = MARGIN + 12;
    unsigned columns = (unsigned)((plan->width - 2 * MARGIN) / SVG_CHARACTER);
    text_init(&t);
    text_add(&t, "Connection ");
    catch_add_id(catch, &t, f);
    text_printf(&t, ": %s", fact_state_name(f->state));
    if (fact_known(f->state_us)) {
        text_add(&t, f->at_least == FACT_YES ? " for at least " : " for ");
        words_duration(&t, f->state_us);
    }
    svg_text(plan->out, MARGIN, y, "head", "start", text_string(&t));
    y += 22;
    text_clear(&t);
    if (findings->cnt) {
        const struct finding *first = &findings->all[0];
        text_printf(&t, "%s (%s, %s): %s.", first->code, first->class,
                    first->certain ? "certain" : "inferred", text_string(&first->sentence));
        if (first->remedy.len) {
            text_add(&t, " Fix: ");
            text_add_len(&t, first->remedy.at, strcspn(first->remedy.at, "\n"));
        }
    } else {
        text_add(&t, "Nothing is wrong with it.");
    }
    y += svg_wrapped(plan->out, MARGIN, y, "", "start", columns, text_string(&t)) * SVG_LINE;
    text_free(&t);
    return y;
}

static void draw_head(struct plan *plan, enum svg_side side, double y)
{
    const struct lastack_tuple *tuple = &plan->f->tuple;
    struct text end;
    double x = plan->band_x[side] + BAND_WIDTH / 2.0;
    text_init(&end);
    if (side == SVG_HERE)
        words_end(&end, &tuple->local, tuple->local_port);
    else
        words_end(&end, &tuple->remote, tuple->remote_port);
    svg_text(plan->out, x, y, "bold", "middle",
             side == SVG_HERE ? "this end"
             : plan->peer     ? "the other end"
                              : "the other end (deduced)");
    svg_text(plan->out, x, y + SVG_LINE, "", "middle", text_string(&end));
    text_free(&end);
}

static double draw_below(struct plan *plan, double y)
{
    const struct svg_life *life = plan->life;
    unsigned columns = (unsigned)((plan->width - 2 * MARGIN) / SVG_CHARACTER) - 4;
    for (unsigned i = 0; i < life->process_cnt; i++) {
        char letter[2] = {(char)('A' + i), 0};
        svg_text(plan->out, MARGIN, y, "bold", "start", letter);
        y += svg_wrapped(plan->out, MARGIN + 20, y, "", "start", columns,
                         text_string(&life->processes[i].words)) *
                 SVG_LINE +
             2;
    }
    if (life->process_more) {
        char more[64];
        snprintf(more, sizeof more, "and %u more that are not drawn", life->process_more);
        svg_text(plan->out, MARGIN + 20, y, "dim", "start", more);
        y += SVG_LINE + 2;
    }
    return y;
}

/* Samples in a row with their words. */
static double draw_legend(struct plan *plan, double y)
{
    double x = MARGIN;
    svg_box(plan->out, x, y - 10, 22, 12, "s estab");
    svg_text(plan->out, x + 28, y, "dim", "start", "state, as seen");
    x += 150;
    svg_box(plan->out, x, y - 10, 22, 12, "s estab");
    svg_box(plan->out, x, y - 10, 22, 12, "hatch");
    svg_text(plan->out, x + 28, y, "dim", "start", "deduced");
    x += 104;
    svg_line(plan->out, x + 6, y - 11, x + 6, y + 3, "life");
    svg_text(plan->out, x + 16, y, "dim", "start", "a process holds it");
    x += 160;
    svg_cross(plan->out, x + 6, y - 4);
    svg_text(plan->out, x + 18, y, "dim", "start", "and lets go");
    x += 118;
    svg_dot(plan->out, x + 6, y - 4, 3.5, "dot");
    svg_text(plan->out, x + 16, y, "dim", "start", "a call");
    x += 80;
    svg_break(plan->out, x + 8, y - 4);
    svg_text(plan->out, x + 24, y, "dim", "start", "time left out");
    return y + SVG_LINE;
}

/* ---- the whole ---- */

static void draw_chart(struct plan *plan)
{
    for (enum svg_side side = SVG_HERE; side < SVG_SIDE_CNT; side++) {
        draw_head(plan, side, plan->top - 40);
        draw_band(plan, side);
    }
    if (plan->life->torn)
        svg_text(plan->out, MARGIN, plan->top + 6, "dim", "start", "(earlier)");
    for (unsigned i = 0; i < plan->life->process_cnt; i++)
        draw_life(plan, i);
    for (unsigned i = 0; i < plan->life->row_cnt; i++) {
        draw_time(plan, i);
        if (plan->life->rows[i].kind == SVG_PACKET)
            draw_packet(plan, i);
        else
            draw_call(plan, i);
    }
    svg_line(plan->out, MARGIN, plan->bottom, plan->width - MARGIN, plan->bottom, "grid");
}

static bool draw(struct text *file, const struct catch *catch, const struct facts *one,
                 const struct findings *findings)
{
    struct svg_life life;
    struct text body, title;
    struct plan plan = {.out = &body, .life = &life, .f = one};
    text_init(&body);
    text_init(&title);
    if (one->peer_id)
        plan.peer = facts_list_find_in(&catch->list, one->stack, one->peer_id);
    svg_life_tell(&life, &catch->list, one, plan.peer);
    plan_columns(&plan);
    double y = draw_above(&plan, catch, findings);
    plan_rows(&plan, y + 54);
    draw_chart(&plan);
    y = draw_below(&plan, plan.bottom + 24);
    y = draw_legend(&plan, y + 12);
    text_add(&title, "lastack why ");
    catch_add_id(catch, &title, one);
    svg_open(file, (unsigned)plan.width, (unsigned)y + MARGIN, text_string(&title));
    text_add(file, text_string(&body));
    svg_close(file);
    bool good = !file->failed && !body.failed;
    svg_life_free(&life);
    text_free(&body);
    text_free(&title);
    return good;
}

int svg_write(const char *command, const char *path, const struct catch *catch,
              const struct facts *one, const struct findings *findings)
{
    struct text file;
    FILE *out = NULL;
    text_init(&file);
    if (one->state == LASTACK_LISTEN) {
        complain(command, "a listener has no life to draw: give the ID of a connection");
        return EXIT_USAGE;
    }
    errno = 0;
    bool good = draw(&file, catch, one, findings);
    if (good) {
        out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
        good = out && fputs(text_string(&file), out) >= 0 && fflush(out) == 0;
    }
    if (out && out != stdout && fclose(out) != 0)
        good = false;
    if (!good)
        complain(command, "the picture could not be written to %s: %s", path,
                 errno ? strerror(errno) : "no memory");
    text_free(&file);
    return good ? EXIT_DONE : EXIT_USAGE;
}
