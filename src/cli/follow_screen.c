/* SPDX-License-Identifier: BSD-2-Clause */
/* What --follow shows. */
#include "cli/follow_screen.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doctor/words.h"

/* ---- which groups, in which order ---- */

static const char *program_of(const struct finding_group *g)
{
    const struct facts *f = g->first->about;
    return f->holder_cnt ? f->holders[0].program : "";
}

static unsigned service_of(const struct facts *f)
{
    unsigned local = f->tuple.local_port, remote = f->tuple.remote_port;
    if (f->passive == FACT_MAYBE)
        return remote && remote < local ? remote : local;
    return f->passive == FACT_NO ? remote : local;
}

/* The text that the filter looks at. */
static bool passes(const struct follow_view *view, const struct finding_group *g)
{
    const struct facts *f = g->first->about;
    struct text all;
    if (!view->filter[0])
        return true;
    text_init(&all);
    text_printf(&all, "%s %s %s %s ", g->first->code, g->first->class,
                fact_state_name(f->state), severity_name(g->first->severity));
    text_add_shown(&all, f->stack);
    for (uint32_t i = 0; i < f->holder_cnt && i < 16; i++) {
        text_add(&all, " ");
        text_add_shown(&all, f->holders[i].program);
        text_printf(&all, " %u", f->holders[i].pid);
    }
    text_add(&all, " ");
    words_end(&all, &f->tuple.local, f->tuple.local_port);
    text_add(&all, " ");
    words_end(&all, &f->tuple.remote, f->tuple.remote_port);
    bool good = strcasestr(text_string(&all), view->filter) != NULL;
    text_free(&all);
    return good;
}

static int compare_numbers(uint64_t x, uint64_t y)
{
    return x > y ? -1 : x < y;
}

static int compare_shown(const void *a, const void *b, void *argument)
{
    const struct follow_view *view = argument;
    uint32_t at_x = *(const uint32_t *)a, at_y = *(const uint32_t *)b;
    const struct finding_group *x = &view->look->groups.all[at_x], *y = &view->look->groups.all[at_y];
    uint64_t age_x = fact_known(x->oldest_us) ? x->oldest_us : 0;
    uint64_t age_y = fact_known(y->oldest_us) ? y->oldest_us : 0;
    int c = 0;
    if (view->order == FOLLOW_COUNT)
        c = compare_numbers(x->record_cnt, y->record_cnt);
    else if (view->order == FOLLOW_AGE)
        c = compare_numbers(age_x, age_y);
    else if (view->order == FOLLOW_PROGRAM)
        c = strcmp(program_of(x), program_of(y));
    return c ? c : at_x < at_y ? -1 : at_x > at_y;
}

void follow_arrange(struct follow_view *view)
{
    const struct finding_groups *groups = view->look ? &view->look->groups : NULL;
    free(view->shown);
    view->shown_cnt = 0;
    view->shown = groups ? malloc((groups->cnt + 1u) * sizeof *view->shown) : NULL;
    for (uint32_t i = 0; view->shown && i < groups->cnt; i++)
        if (passes(view, &groups->all[i]))
            view->shown[view->shown_cnt++] = i;
    if (view->shown_cnt)
        qsort_r(view->shown, view->shown_cnt, sizeof *view->shown, compare_shown, view);
    for (uint32_t i = 0; i < view->shown_cnt; i++)
        if (groups->all[view->shown[i]].key == view->selected_key)
            view->selected = i;
    follow_move(view, 0);
}

const struct finding_group *follow_group(const struct follow_view *view)
{
    return view->selected < view->shown_cnt ? &view->look->groups.all[view->shown[view->selected]]
                                            : NULL;
}

void follow_move(struct follow_view *view, int64_t by)
{
    int64_t to = (int64_t)view->selected + by, last = (int64_t)view->shown_cnt - 1;
    to = to > last ? last : to;
    view->selected = to < 0 ? 0 : (uint32_t)to;
    const struct finding_group *g = follow_group(view);
    /* Before anything was chosen the cursor stays on the first one, whoever that is. */
    if (g && (by || view->selected_key))
        view->selected_key = g->key;
}

/* ---- a page ---- */

struct page {
    struct text *out;
    unsigned width, height, row, column;
    bool colour;
};

static void page_style(struct page *page, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "",    [STYLE_BOLD] = "\033[1m",    [STYLE_DIM] = "\033[2m",
        [STYLE_RED] = "\033[31m", [STYLE_YELLOW] = "\033[33m", [STYLE_GREEN] = "\033[32m",
        [STYLE_CYAN] = "\033[36m",
    };
    if (page->colour)
        text_add(page->out, codes[style]);
}

static void page_plain(struct page *page)
{
    if (page->colour)
        text_add(page->out, "\033[0m");
}

/* As much of `text` as `columns` have room for, with ~ where it was cut. Returns its columns. */
static unsigned add_cut(struct text *out, const char *text, unsigned columns)
{
    unsigned whole = text_columns(text, strlen(text));
    if (whole <= columns) {
        text_add(out, text);
        return whole;
    }
    if (!columns)
        return 0;
    unsigned used = 0;
    size_t len = text_fit(text, columns - 1, &used);
    text_add_len(out, text, len);
    text_add(out, "~");
    return used + 1;
}

/* A cell of `width` columns, 0: the rest of the line; a blank before it unless it is the first. */
static void page_cell(struct page *page, enum style style, const char *text, unsigned width,
                      bool right)
{
    if (page->column && page->column < page->width) {
        text_add(page->out, " ");
        page->column++;
    }
    unsigned room = page->width - page->column;
    unsigned room_cell = width && width < room ? width : room;
    unsigned columns = text_columns(text, strlen(text));
    unsigned pad = columns < room_cell ? room_cell - columns : 0;
    if (right && width)
        text_printf(page->out, "%*s", (int)pad, "");
    page_style(page, style);
    unsigned used = add_cut(page->out, text, room_cell);
    page_plain(page);
    if (!right && width)
        text_printf(page->out, "%*s", (int)pad, "");
    page->column += width ? room_cell : used;
}

static void page_next(struct page *page)
{
    text_add(page->out, "\033[K");
    page->row++;
    page->column = 0;
    if (page->row < page->height)
        text_add(page->out, "\r\n");
}

static void page_line(struct page *page, enum style style, const char *text)
{
    if (page->row >= page->height)
        return;
    page_cell(page, style, text, 0, false);
    page_next(page);
}

/* Text with newlines, from line `skip` on, down to row `end`. */
static void page_lines(struct page *page, const char *lines, unsigned skip, unsigned end)
{
    while (*lines && page->row < end) {
        size_t len = strcspn(lines, "\n");
        if (skip) {
            skip--;
        } else {
            struct text line;
            text_init(&line);
            text_add_len(&line, lines, len);
            page_line(page, STYLE_PLAIN, text_string(&line));
            text_free(&line);
        }
        lines += len + (lines[len] == '\n');
    }
}

static void page_fill(struct page *page, unsigned end)
{
    while (page->row < end)
        page_next(page);
}

/* ---- parts ---- */

static void draw_title(const struct follow_view *view, struct page *page)
{
    struct text t;
    text_init(&t);
    text_add(&t, "lastack why");
    if (view->look) {
        const struct findings *findings = &view->look->findings;
        unsigned problems = why_count(findings, SEVERITY_PROBLEM);
        unsigned looks = why_count(findings, SEVERITY_ATTENTION);
        text_printf(&t, "  %s  %u %s, %u to look at, of %u", view->look->moment, problems,
                    problems == 1 ? "problem" : "problems", looks, view->look->catch.list.cnt);
    }
    if (view->paused)
        text_add(&t, "  PAUSED");
    else if (view->look && page->width >= 76) {
        text_add(&t, "  every ");
        words_duration(&t, view->pause_us);
    }
    page_line(page, STYLE_BOLD, text_string(&t));
    text_free(&t);
}

static void draw_heads(const struct follow_view *view, struct page *page)
{
    static const char *const by[FOLLOW_ORDER_CNT] = {"worst first", "by count", "by age",
                                                     "by program"};
    char finding[40];
    snprintf(finding, sizeof finding, "Finding (%s)", by[view->order]);
    page_cell(page, STYLE_DIM, "", 1, false);
    page_cell(page, STYLE_DIM, "Count", 7, true);
    if (page->width >= 50)
        page_cell(page, STYLE_DIM, "/min", 6, true);
    if (page->width >= 60)
        page_cell(page, STYLE_DIM, "Oldest", 7, true);
    page_cell(page, STYLE_DIM, finding, page->width >= 60 ? 24 : 18, false);
    if (page->width >= 90)
        page_cell(page, STYLE_DIM, "State", 11, false);
    if (page->width >= 76)
        page_cell(page, STYLE_DIM, "Port", 8, false);
    page_cell(page, STYLE_DIM, "Program", 0, false);
    page_next(page);
}

static void add_growth(struct text *out, const struct group_change *change)
{
    if (change->known && change->per_minute)
        text_printf(out, "%+lld", (long long)change->per_minute);
    else if (change->known)
        text_add(out, "0");
}

static void draw_group(const struct follow_view *view, struct page *page, uint32_t at)
{
    const struct finding_group *g = &view->look->groups.all[view->shown[at]];
    const struct group_change *change = &view->look->changes[view->shown[at]];
    const struct facts *f = g->first->about;
    struct text count, growth, age, port, program;
    text_init(&count);
    text_init(&growth);
    text_init(&age);
    text_init(&port);
    text_init(&program);
    text_printf(&count, "%u", g->record_cnt);
    add_growth(&growth, change);
    text_add_age(&age, g->oldest_us);
    text_printf(&port, f->passive == FACT_NO ? "to %u" : ":%u", service_of(f));
    text_add_shown(&program, f->holder_cnt ? program_of(g) : "(nobody)");
    if (f->source != FACT_SOURCE_KERNEL || strchr(f->stack, '@')) {
        text_add(&program, " on ");
        text_add_shown(&program, f->stack);
    }
    bool chosen = at == view->selected;
    page_cell(page, STYLE_BOLD, chosen ? ">" : "", 1, false);
    page_cell(page, STYLE_PLAIN, text_string(&count), 7, true);
    if (page->width >= 50)
        page_cell(page, change->per_minute > 0 ? STYLE_RED : STYLE_PLAIN, text_string(&growth), 6,
                  true);
    if (page->width >= 60)
        page_cell(page, STYLE_PLAIN, text_string(&age), 7, true);
    page_cell(page, severity_style(g->first->severity), g->first->code, page->width >= 60 ? 24 : 18,
              false);
    if (page->width >= 90)
        page_cell(page, STYLE_PLAIN, fact_state_name(f->state), 11, false);
    if (page->width >= 76)
        page_cell(page, STYLE_PLAIN, text_string(&port), 8, false);
    page_cell(page, chosen ? STYLE_BOLD : STYLE_PLAIN, text_string(&program), 0, false);
    page_next(page);
    text_free(&count);
    text_free(&growth);
    text_free(&age);
    text_free(&port);
    text_free(&program);
}

/* The whole block of a group, wrapped; the caller frees. */
static char *block_of(const struct follow_view *view, const struct finding_group *g)
{
    struct screen screen = {.width = view->width};
    char *text = NULL;
    size_t len;
    screen.file = open_memstream(&text, &len);
    if (!screen.file)
        return NULL;
    uint32_t place = (uint32_t)(g - view->look->groups.all);
    why_put_group(&screen, &view->look->catch, g, &view->look->changes[place]);
    fclose(screen.file);
    return text;
}

/* Below the list: the end command if it was asked for, else what happened to the chosen group. */
static void draw_below(const struct follow_view *view, struct page *page, unsigned end)
{
    const struct finding_group *g = follow_group(view);
    struct text words;
    char *wrapped = NULL;
    size_t len;
    struct screen screen = {.width = page->width};
    if (!g || page->row + 1 >= end)
        return;
    page_next(page);
    text_init(&words);
    if (view->show_end) {
        why_end_group(&words, &view->look->catch, g);
        if (words.len)
            text_add(&words, " (says what it would do; --yes does it)");
        else
            text_add(&words, "There is nothing to end: only its program, or the peer, can.");
    } else {
        text_add(&words, text_string(&g->first->sentence));
        text_add(&words, ".");
    }
    screen.file = open_memstream(&wrapped, &len);
    if (screen.file) {
        screen_paragraph(&screen, view->show_end ? "To end: " : "  ", text_string(&words));
        fclose(screen.file);
        page_lines(page, wrapped ? wrapped : "", 0, end);
    }
    free(wrapped);
    text_free(&words);
}

/* Lines for the list: what is high enough also tells of the chosen one. */
unsigned follow_page(const struct follow_view *view)
{
    unsigned lines = view->height > 3 ? view->height - 3 : 1;
    unsigned below = lines >= 12 ? 6 : lines >= 6 ? 3 : view->show_end && lines > 3 ? 3 : 0;
    return lines - below;
}

static void draw_list(struct follow_view *view, struct page *page, unsigned end)
{
    unsigned rows = follow_page(view);
    if (view->selected < view->top)
        view->top = view->selected;
    if (view->selected >= view->top + rows)
        view->top = view->selected - rows + 1;
    if (view->top + rows > view->shown_cnt)
        view->top = view->shown_cnt > rows ? view->shown_cnt - rows : 0;
    for (unsigned i = 0; i < rows && view->top + i < view->shown_cnt && page->row < end; i++)
        draw_group(view, page, view->top + i);
    if (view->shown_cnt) {
        draw_below(view, page, end);
        return;
    }
    if (!view->look)
        page_line(page, STYLE_DIM, "  Looking ...");
    else if (view->look->trouble.len)
        page_lines(page, text_string(&view->look->trouble), 0, end);
    else if (view->look->groups.cnt)
        page_line(page, STYLE_PLAIN, "  No finding passes the filter (f changes it).");
    else
        page_line(page, STYLE_GREEN, "  Nothing is wrong.");
}

static const char help[] =
    "  j k arrows  choose a finding\n"
    "  g G         the first, the last\n"
    "  Enter       its details, and back\n"
    "  s           sort: worst, count, age,\n"
    "              program\n"
    "  f           filter: a program, code,\n"
    "              state, address, process\n"
    "  e           how to end them\n"
    "  space, r    pause; look now\n"
    "  q, Ctrl-C   quit\n"
    "\n"
    "  /min is the growth over the last minute, or since it was opened.\n"
    "  A look costs what it costs: there is always a pause of 20 times that.\n";

static void draw_foot(const struct follow_view *view, struct page *page)
{
    struct text t;
    page_fill(page, page->height - 1);
    text_init(&t);
    if (view->mode == FOLLOW_INPUT)
        text_printf(&t, "filter: %s_   (Enter takes it, Esc drops it)", view->filter);
    else if (view->mode == FOLLOW_DETAIL)
        text_add(&t, "Enter back  j/k scroll  e end  q quit");
    else if (view->filter[0])
        text_printf(&t, "? help  q quit  f filter: %s", view->filter);
    else
        text_add(&t, page->width >= 76
                         ? "q quit  j/k choose  Enter details  s sort  f filter  e end  ? help"
                         : "q quit  Enter details  ? help");
    if (view->look && view->look->catch.unseen.len && view->mode == FOLLOW_LIST) {
        text_add(&t, "  Not seen: ");
        const char *unseen = text_string(&view->look->catch.unseen);
        struct text raw;
        text_init(&raw);
        text_add_len(&raw, unseen, strcspn(unseen, "\n"));
        text_add_shown(&t, text_string(&raw));
        text_free(&raw);
    }
    page_line(page, STYLE_DIM, text_string(&t));
    text_free(&t);
}

void follow_draw(struct follow_view *view, struct text *out)
{
    struct page page = {.out = out,
                        .width = view->width,
                        .height = view->height,
                        .colour = view->colour};
    const struct finding_group *g = follow_group(view);
    text_add(out, "\033[H");
    draw_title(view, &page);
    if (view->mode == FOLLOW_HELP) {
        page_lines(&page, help, 0, page.height - 1);
    } else if (view->mode == FOLLOW_DETAIL && g) {
        char *block = block_of(view, g);
        unsigned lines = 0, room = page.height > 2 ? page.height - 2 : 1;
        for (const char *c = block; c && *c; c++)
            lines += *c == '\n';
        if (view->scroll + room > lines)
            view->scroll = lines > room ? lines - room : 0;
        page_lines(&page, block ? block : "", view->scroll, page.height - 1);
        free(block);
    } else if (page.height > 2) {
        draw_heads(view, &page);
        draw_list(view, &page, page.height - 1);
    }
    draw_foot(view, &page);
}
