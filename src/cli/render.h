/* SPDX-License-Identifier: BSD-2-Clause */
/* The one renderer: tables, wrapped paragraphs and colour, as wide as the terminal. On a pipe there
 * is no colour and no wrapping, so that one thing is one line. */
#ifndef LASTACK_CLI_RENDER_H
#define LASTACK_CLI_RENDER_H

#include <stdbool.h>
#include <stdio.h>

#include "doctor/facts.h"
#include "doctor/rules.h"
#include "doctor/text.h"

struct screen {
    FILE *file;
    bool colour;
    unsigned width;  /* columns; 0: no limit */
    unsigned height; /* lines; 0: no limit */
};

/* Looks at the terminal, COLUMNS, NO_COLOR and TERM. */
void screen_init(struct screen *screen, FILE *file);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_YELLOW, STYLE_GREEN, STYLE_CYAN };
/* `text` in a style, without newline. */
void screen_put(const struct screen *screen, enum style style, const char *text);
/* The same around what is written in between. */
void screen_begin(const struct screen *screen, enum style style);
void screen_end(const struct screen *screen, enum style style);
/* A paragraph: `first` before its first line, as many blanks before the others. */
void screen_paragraph(const struct screen *screen, const char *first, const char *text);
/* The rest of a paragraph whose line has `at` columns already. */
void screen_flow(const struct screen *screen, unsigned at, unsigned indent, const char *text);
/* Every line of `lines` as a paragraph. */
void screen_lines(const struct screen *screen, const char *first, const char *lines);

enum style severity_style(enum severity severity);
enum style state_style(enum lastack_state state);

/* ---- tables ---- */

struct table {
    unsigned column_cnt;
    const char *const *heads;
    const bool *right;  /* columns that are flushed right */
    struct text *cells; /* row by row */
    enum style *styles; /* of each row's first cell */
    unsigned row_cnt, row_cap;
    bool failed;
};

void table_init(struct table *table, unsigned column_cnt, const char *const *heads,
                const bool *right);
void table_free(struct table *table);
/* The cells of a new row, empty, to be filled with text_add; NULL: out of memory. */
struct text *table_row(struct table *table, enum style first_style);
/* The last column goes to lines of its own where it does not fit. */
void table_print(const struct table *table, const struct screen *screen, bool with_head);

/* ---- widths ---- */

/* Columns of a text whose controls are escaped already. */
unsigned text_columns(const char *text, size_t len);
/* How many bytes of `text` fit into `columns`, whole characters only; `used` gets their columns. */
size_t text_fit(const char *text, unsigned columns, unsigned *used);

/* "12s", "3m20s", "2h05m", "4d03h"; "?" unknown, "-" never. */
void text_add_age(struct text *out, uint64_t us);

#endif
