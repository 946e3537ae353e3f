/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables, wrapped paragraphs and colour. */
#include "cli/render.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 40

void screen_init(struct screen *screen, FILE *file)
{
    struct winsize size = {0};
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM"), *columns = getenv("COLUMNS");
    bool terminal = isatty(fileno(file));
    screen->file = file;
    screen->colour = terminal && !(none && *none) && term && strcmp(term, "dumb") != 0;
    screen->width = screen->height = 0;
    if (terminal) {
        if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col)
            screen->width = size.ws_col;
        else
            screen->width = columns ? (unsigned)strtoul(columns, NULL, 10) : 80;
        screen->height = size.ws_row;
        if (screen->width < WIDTH_MIN)
            screen->width = WIDTH_MIN;
    }
}

void screen_begin(const struct screen *screen, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m",    [STYLE_DIM] = "\033[2m",
        [STYLE_RED] = "\033[31m",  [STYLE_YELLOW] = "\033[33m", [STYLE_GREEN] = "\033[32m",
        [STYLE_CYAN] = "\033[36m",
    };
    if (screen->colour)
        fputs(codes[style], screen->file);
}

void screen_end(const struct screen *screen, enum style style)
{
    if (screen->colour && style != STYLE_PLAIN)
        fputs("\033[0m", screen->file);
}

void screen_put(const struct screen *screen, enum style style, const char *text)
{
    screen_begin(screen, style);
    fputs(text, screen->file);
    screen_end(screen, style);
}

/* ---- widths ---- */

/* Bytes and code point of the character at `text`; what is no UTF-8 counts as one byte. */
static size_t character(const char *text, uint32_t *code)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : c[0] >= 0xc0 ? 2 : 1;
    *code = len == 1 ? c[0] : c[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 1;
        *code = *code << 6 | (c[i] & 0x3f);
    }
    return len;
}

/* Wide are the scripts of East Asia and pictures; marks that stand on others have no width. */
static unsigned character_columns(uint32_t code)
{
    static const struct {
        uint32_t from, to;
        unsigned columns;
    } odd[] = {
        {0x300, 0x36f, 0},     {0x200b, 0x200f, 0},   {0x20d0, 0x20ff, 0},
        {0xfe00, 0xfe0f, 0},   {0xfe20, 0xfe2f, 0},   {0x1100, 0x115f, 2},
        {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
        {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
        {0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2},
    };
    for (size_t i = 0; code >= 0x300 && i < sizeof odd / sizeof odd[0]; i++)
        if (code >= odd[i].from && code <= odd[i].to)
            return odd[i].columns;
    return 1;
}

unsigned text_columns(const char *text, size_t len)
{
    unsigned columns = 0;
    for (size_t at = 0; at < len;) {
        uint32_t code;
        at += character(text + at, &code);
        columns += character_columns(code);
    }
    return columns;
}

size_t text_fit(const char *text, unsigned columns, unsigned *used)
{
    size_t at = 0;
    *used = 0;
    while (text[at]) {
        uint32_t code;
        size_t len = character(text + at, &code);
        unsigned more = character_columns(code);
        if (*used + more > columns)
            break;
        *used += more;
        at += len;
    }
    return at;
}

void screen_flow(const struct screen *screen, unsigned at, unsigned indent, const char *text)
{
    unsigned blanks = 0; /* before the next word */
    while (*text) {
        size_t len = strcspn(text, " ");
        unsigned columns = text_columns(text, len);
        if (blanks && screen->width && at + blanks + columns > screen->width) {
            fprintf(screen->file, "\n%*s", (int)indent, "");
            at = indent;
            blanks = 0;
        }
        fprintf(screen->file, "%*s%.*s", (int)blanks, "", (int)len, text);
        at += blanks + columns;
        text += len;
        blanks = (unsigned)strspn(text, " ");
        text += blanks;
    }
    fputc('\n', screen->file);
}

void screen_paragraph(const struct screen *screen, const char *first, const char *text)
{
    unsigned indent = text_columns(first, strlen(first));
    fputs(first, screen->file);
    screen_flow(screen, indent, indent, text);
}

void screen_lines(const struct screen *screen, const char *first, const char *lines)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        struct text line;
        text_init(&line);
        text_add_len(&line, lines, len);
        screen_paragraph(screen, first, text_string(&line));
        text_free(&line);
        lines += len + (lines[len] == '\n');
    }
}

enum style severity_style(enum severity severity)
{
    static const enum style styles[SEVERITY_CNT] = {STYLE_GREEN, STYLE_CYAN, STYLE_YELLOW,
                                                    STYLE_RED};
    return severity < SEVERITY_CNT ? styles[severity] : STYLE_PLAIN;
}

enum style state_style(enum lastack_state state)
{
    switch (state) {
    case LASTACK_CLOSE_WAIT:
        return STYLE_YELLOW;
    case LASTACK_ESTABLISHED:
        return STYLE_GREEN;
    case LASTACK_LISTEN:
        return STYLE_CYAN;
    case LASTACK_TIME_WAIT:
        return STYLE_DIM;
    default:
        return STYLE_PLAIN;
    }
}

/* ---- tables ---- */

void table_init(struct table *table, unsigned column_cnt, const char *const *heads,
                const bool *right)
{
    memset(table, 0, sizeof *table);
    table->column_cnt = column_cnt;
    table->heads = heads;
    table->right = right;
}

void table_free(struct table *table)
{
    for (unsigned i = 0; i < table->row_cnt * table->column_cnt; i++)
        text_free(&table->cells[i]);
    free(table->cells);
    free(table->styles);
    memset(table, 0, sizeof *table);
}

struct text *table_row(struct table *table, enum style first_style)
{
    if (table->row_cnt == table->row_cap) {
        unsigned cap = table->row_cap ? table->row_cap * 2 : 32;
        struct text *cells = realloc(table->cells, cap * table->column_cnt * sizeof *cells);
        if (cells)
            table->cells = cells;
        enum style *styles = realloc(table->styles, cap * sizeof *styles);
        if (styles)
            table->styles = styles;
        if (!cells || !styles) {
            table->failed = true;
            return NULL;
        }
        table->row_cap = cap;
    }
    struct text *row = &table->cells[table->row_cnt * table->column_cnt];
    for (unsigned i = 0; i < table->column_cnt; i++)
        text_init(&row[i]);
    table->styles[table->row_cnt++] = first_style;
    return row;
}

static unsigned cell_columns(const struct table *table, unsigned row, unsigned column)
{
    const struct text *cell = &table->cells[row * table->column_cnt + column];
    return text_columns(text_string(cell), cell->len);
}

static unsigned column_width(const struct table *table, unsigned column)
{
    unsigned width = (unsigned)strlen(table->heads[column]);
    for (unsigned row = 0; row < table->row_cnt; row++)
        if (cell_columns(table, row, column) > width)
            width = cell_columns(table, row, column);
    return width;
}

static void put_cell(const struct table *table, const struct screen *screen, unsigned column,
                     unsigned width, enum style style, const char *text)
{
    bool last = column + 1 == table->column_cnt;
    int pad = (int)(width - text_columns(text, strlen(text)));
    if (table->right[column])
        fprintf(screen->file, "%*s", pad, "");
    screen_put(screen, style, text);
    if (!table->right[column] && !last)
        fprintf(screen->file, "%*s", pad, "");
    fputs(last ? "\n" : "  ", screen->file);
}

/* The last cell below its row, wrapped. */
static void put_below(const struct screen *screen, const char *text)
{
    fputc('\n', screen->file);
    if (*text)
        screen_paragraph(screen, "    ", text);
}

void table_print(const struct table *table, const struct screen *screen, bool with_head)
{
    unsigned widths[16] = {0}, line = 0, last = table->column_cnt - 1;
    for (unsigned c = 0; c < table->column_cnt; c++) {
        widths[c] = column_width(table, c);
        line += widths[c] + (c ? 2 : 0);
    }
    /* The last column is the one of free text, if it is not flushed right. */
    bool below = screen->width && line > screen->width && !table->right[last];
    for (unsigned c = 0; with_head && c < table->column_cnt; c++) {
        if (below && c == last)
            fputc('\n', screen->file);
        else
            put_cell(table, screen, c, widths[c], STYLE_BOLD, table->heads[c]);
    }
    for (unsigned row = 0; row < table->row_cnt; row++) {
        for (unsigned c = 0; c < table->column_cnt; c++) {
            const char *text = text_string(&table->cells[row * table->column_cnt + c]);
            if (below && c == last)
                put_below(screen, text);
            else
                put_cell(table, screen, c, widths[c], c ? STYLE_PLAIN : table->styles[row], text);
        }
    }
}

void text_add_age(struct text *out, uint64_t us)
{
    unsigned long long s = us / 1000000;
    if (us == FACT_NEVER)
        text_add(out, "-");
    else if (us == FACT_UNKNOWN)
        text_add(out, "?");
    else if (s < 1)
        text_printf(out, "%llums", (unsigned long long)(us / 1000));
    else if (s < 120)
        text_printf(out, "%llus", s);
    else if (s < 7200)
        text_printf(out, "%llum%02llus", s / 60, s % 60);
    else if (s < 172800)
        text_printf(out, "%lluh%02llum", s / 3600, s / 60 % 60);
    else
        text_printf(out, "%llud%02lluh", s / 86400, s / 3600 % 24);
}
