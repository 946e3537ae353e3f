/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack explain: the page of a finding's code, for a terminal. */
#include "cli/explain.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/render.h"
#include "doctor/rules.h"

#define COLUMN_MAX 4

enum { KEY_JSON = 256, KEY_MARKDOWN };

struct explain_options {
    bool json, markdown;
    const char *code;
};

static error_t take_option(int key, char *arg, struct argp_state *state)
{
    struct explain_options *o = state->input;
    switch (key) {
    case KEY_JSON:
        o->json = true;
        return 0;
    case KEY_MARKDOWN:
        o->markdown = true;
        return 0;
    case ARGP_KEY_ARG:
        if (o->code)
            argp_error(state, "one code at a time");
        o->code = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"markdown", KEY_MARKDOWN, NULL, 0, "The page as it was written", 0},
    {"json", KEY_JSON, NULL, 0, "As JSON", 0},
    {0},
};

static const char doc[] =
    "Explain a code of a finding: its cause, how to see it by hand, a program that has the fault "
    "and the repaired one, and when it is said. Without CODE: all codes."
    "\v"
    "Examples:\n"
    "  lastack explain                  the codes, one line each\n"
    "  lastack explain heir-holds       one of them\n"
    "  lastack explain shared           a class of them\n"
    "\n"
    "Exit status: 0 done, 1 there is no such code, 2 wrong usage.";

/* ---- what there is ---- */

static const struct entry {
    const char *code, *class, *line;
} entries[] = {
#define FINDING_CLASS(name, code, line) {code, "", line},
#define FINDING(name, code, class, line) {code, #class, line},
#include "doctor/finding.def"
};

#define ENTRY_CNT (sizeof entries / sizeof entries[0])

static const struct page *find_page(const char *name)
{
    for (unsigned i = 0; i < page_cnt; i++)
        if (strcmp(pages[i].name, name) == 0)
            return &pages[i];
    return NULL;
}

static bool print_list(void)
{
    static const char *const heads[] = {"Code", "Meaning"};
    static const bool right[] = {false, false};
    struct screen screen;
    struct table table;
    screen_init(&screen, stdout);
    table_init(&table, 2, heads, right);
    for (size_t i = 0; i < ENTRY_CNT; i++) {
        struct text *cells = table_row(&table, entries[i].class[0] ? STYLE_PLAIN : STYLE_BOLD);
        if (!cells)
            break;
        text_printf(&cells[0], "%s", entries[i].code);
        text_printf(&cells[1], "%s%s", entries[i].class[0] ? "" : "class: ", entries[i].line);
    }
    bool good = !table.failed;
    table_print(&table, &screen, true);
    table_free(&table);
    return good;
}

static void add_json(struct text *out, const char *code, const char *line, const char *page)
{
    const char *class = finding_class_of(code);
    text_add(out, "{\"code\":");
    text_add_json(out, code);
    text_add(out, ",\"class\":");
    text_add_json(out, class ? class : code);
    text_add(out, ",\"line\":");
    text_add_json(out, line);
    if (page) {
        text_add(out, ",\"page\":");
        text_add_json(out, page);
    }
    text_add(out, "}");
}

static bool print_json(const char *code)
{
    struct text out;
    text_init(&out);
    text_add(&out, code ? "" : "[");
    for (size_t i = 0; i < ENTRY_CNT; i++) {
        const struct page *page = find_page(entries[i].code);
        if (code && strcmp(entries[i].code, code) != 0)
            continue;
        text_add(&out, !code && i ? ",\n" : "");
        add_json(&out, entries[i].code, entries[i].line, code && page ? page->text : NULL);
    }
    text_add(&out, code ? "\n" : "]\n");
    bool good = !out.failed && fputs(text_string(&out), stdout) >= 0;
    text_free(&out);
    return good;
}

/* ---- Markdown on a terminal ---- */

/* Words of a line without its marks: [text](link) is text, `code` is code, stars are left out. */
static void add_plain(struct text *out, const char *at, size_t len)
{
    for (const char *end = at + len; at < end; at++) {
        const char *tick = *at == '`' ? memchr(at + 1, '`', (size_t)(end - at - 1)) : NULL;
        if (tick) {
            text_add_len(out, at + 1, (size_t)(tick - at - 1));
            at = tick;
            continue;
        }
        if (*at == '*')
            continue;
        const char *close = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
        const char *last = close && close + 1 < end && close[1] == '('
                               ? memchr(close, ')', (size_t)(end - close))
                               : NULL;
        if (last) {
            add_plain(out, at + 1, (size_t)(close - at - 1));
            at = last;
            continue;
        }
        text_add_len(out, at, 1);
    }
}

struct reader {
    const struct screen *screen;
    const char *at;
    struct text paragraph;
};

/* The next line's length; NULL at the end. */
static const char *line_next(struct reader *r, size_t *len)
{
    const char *line = r->at;
    if (!*line)
        return NULL;
    *len = strcspn(line, "\n");
    r->at += *len + (line[*len] == '\n');
    return line;
}

static bool starts(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static void put_paragraph(struct reader *r)
{
    if (r->paragraph.len)
        screen_paragraph(r->screen, starts(text_string(&r->paragraph), "- ") ? "  " : "",
                         text_string(&r->paragraph));
    text_clear(&r->paragraph);
}

static void put_heading(struct reader *r, const char *line, size_t len)
{
    struct text heading;
    size_t marks = strspn(line, "# ");
    text_init(&heading);
    add_plain(&heading, line + marks, len - marks);
    screen_put(r->screen, STYLE_BOLD, text_string(&heading));
    fputc('\n', r->screen->file);
    text_free(&heading);
}

/* From behind the opening fence to the closing one. Two in a row are a fault and its repair. */
static void put_code(struct reader *r)
{
    const char *line;
    size_t len;
    while ((line = line_next(r, &len)) && !starts(line, "```"))
        fprintf(r->screen->file, "%s%.*s\n", len ? "    " : "", (int)len, line);
    if (starts(r->at, "```"))
        fprintf(r->screen->file, "\n  repaired:\n\n");
}

static void add_cells(struct text *cells, const char *line, size_t len)
{
    const char *end = line + len;
    unsigned column = 0;
    for (const char *at = line + 1; at < end && column < COLUMN_MAX; column++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        size_t cell_len = (size_t)((bar ? bar : end) - at);
        size_t blanks = strspn(at, " ");
        if (blanks < cell_len)
            add_plain(&cells[column], at + blanks, cell_len - blanks);
        at += cell_len + 1;
    }
}

static void put_table(struct reader *r, const char *first, size_t len)
{
    static const bool right[COLUMN_MAX];
    struct text heads[COLUMN_MAX] = {0};
    const char *head_words[COLUMN_MAX];
    struct table table;
    add_cells(heads, first, len);
    unsigned column_cnt = 0;
    while (column_cnt < COLUMN_MAX && heads[column_cnt].len) {
        head_words[column_cnt] = text_string(&heads[column_cnt]);
        column_cnt++;
    }
    table_init(&table, column_cnt, head_words, right);
    for (const char *line; starts(r->at, "|") && (line = line_next(r, &len));) {
        struct text row[COLUMN_MAX] = {0}, *cells;
        if (starts(line, "|-"))
            continue;
        add_cells(row, line, len);
        cells = table_row(&table, STYLE_PLAIN);
        for (unsigned i = 0; i < COLUMN_MAX; i++) {
            if (cells && i < column_cnt)
                text_add(&cells[i], text_string(&row[i]));
            text_free(&row[i]);
        }
    }
    table_print(&table, r->screen, true);
    table_free(&table);
    for (unsigned i = 0; i < COLUMN_MAX; i++)
        text_free(&heads[i]);
}

static void put_page(const struct page *page)
{
    struct screen screen;
    struct reader r = {.screen = &screen, .at = page->text};
    const char *line;
    size_t len;
    screen_init(&screen, stdout);
    while ((line = line_next(&r, &len))) {
        bool item = starts(line, "- "), mark = starts(line, "#") || starts(line, "```");
        if (len == 0 || mark || item || *line == '|')
            put_paragraph(&r);
        if (len == 0) {
            fputc('\n', stdout);
        } else if (starts(line, "```")) {
            put_code(&r);
        } else if (starts(line, "#")) {
            put_heading(&r, line, len);
        } else if (*line == '|') {
            put_table(&r, line, len);
        } else {
            text_add(&r.paragraph, r.paragraph.len ? " " : "");
            add_plain(&r.paragraph, line, len);
        }
    }
    put_paragraph(&r);
    text_free(&r.paragraph);
}

/* ---- the command ---- */

static int explain_one(const struct explain_options *o, const char *command)
{
    const struct page *page = find_page(o->code);
    struct text shown;
    if (page && o->json)
        return print_json(o->code) ? EXIT_DONE : EXIT_NOT_DONE;
    if (page && o->markdown)
        return fputs(page->text, stdout) >= 0 ? EXIT_DONE : EXIT_NOT_DONE;
    if (page) {
        put_page(page);
        return EXIT_DONE;
    }
    text_init(&shown);
    text_add_shown(&shown, o->code);
    complain(command, "there is no code \"%s\"; lastack explain lists them", text_string(&shown));
    text_free(&shown);
    return EXIT_NOT_DONE;
}

int explain_main(int argc, char **argv)
{
    static const struct argp argp = {options, take_option, "[CODE]", doc, NULL, NULL, NULL};
    struct explain_options o = {0};
    cli_parse(&argp, argc, argv, &o);
    if (o.code)
        return explain_one(&o, argv[0]);
    return (o.json ? print_json(NULL) : print_list()) ? EXIT_DONE : EXIT_NOT_DONE;
}
