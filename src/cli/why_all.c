/* SPDX-License-Identifier: BSD-2-Clause */
/* All findings on one screen: the worst groups, as many as the terminal is high. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/why.h"

#define SHORT_MIN 5 /* lines that blocks leave to groups behind them */

__attribute__((format(printf, 2, 3))) static void put_sentence(const struct screen *screen,
                                                               const char *format, ...)
{
    struct text line;
    va_list args;
    text_init(&line);
    va_start(args, format);
    text_vprintf(&line, format, args);
    va_end(args);
    screen_paragraph(screen, "", text_string(&line));
    text_free(&line);
}

static void put_summary(const struct screen *screen, const struct catch *catch,
                        const struct findings *findings, bool all)
{
    static const char *const words[SEVERITY_CNT][2] = {
        [SEVERITY_PROBLEM] = {"will not end unless something is changed",
                              "will not end unless something is changed"},
        [SEVERITY_ATTENTION] = {"needs a look: it may be stuck, or meant so",
                                "need a look: they may be stuck, or meant so"},
        [SEVERITY_NOTE] = {"ends by itself, or its cause is at the other end",
                           "end by themselves, or their cause is at the other end"},
        [SEVERITY_HEALTHY] = {"looks odd and is healthy", "look odd and are healthy"},
    };
    unsigned hidden = 0;
    for (int s = SEVERITY_PROBLEM; s >= 0; s--) {
        unsigned cnt = why_count(findings, (enum severity)s);
        if (cnt && (all || s >= SEVERITY_ATTENTION))
            put_sentence(screen, "%u %s %s.", cnt, cnt == 1 ? "connection" : "connections",
                         words[s][cnt != 1]);
        else
            hidden += cnt;
    }
    if (why_status(findings) == EXIT_DONE)
        put_sentence(screen, "Nothing is wrong (looked at: %u).", catch->list.cnt);
    if (hidden)
        put_sentence(screen, "%u more that need nothing: lastack why --all shows them.", hidden);
    catch_put_unseen(catch, screen);
}

/* What a writer writes to a screen like `like`, as text. */
struct page {
    char *text;
    size_t len;
    struct screen screen;
};

static bool page_open(struct page *page, const struct screen *like)
{
    page->text = NULL;
    page->screen = *like;
    page->screen.file = open_memstream(&page->text, &page->len);
    return page->screen.file != NULL;
}

/* Returns its lines. */
static unsigned page_close(struct page *page)
{
    unsigned lines = 0;
    fclose(page->screen.file);
    for (const char *c = page->text; c && *c; c++)
        lines += *c == '\n';
    return lines;
}

/* Blocks until the screen is full; `tail` lines are kept free, and some for a line each of those
 * that follow. Returns how many groups were told. */
static uint32_t put_groups(const struct screen *screen, const struct catch *catch,
                           const struct finding_groups *groups, unsigned *used)
{
    for (uint32_t i = 0; i < groups->cnt; i++) {
        uint32_t left = groups->cnt - i - 1;
        struct page page;
        if (!page_open(&page, screen))
            return i;
        why_put_group(&page.screen, catch, &groups->all[i], NULL);
        fputc('\n', page.screen.file);
        unsigned lines = page_close(&page) + *used;
        bool fits = i == 0 || !screen->height ||
                    lines + (left < SHORT_MIN ? left : SHORT_MIN) <= screen->height;
        if (fits && page.text)
            fputs(page.text, screen->file);
        free(page.text);
        if (!fits)
            return i;
        *used = lines;
    }
    return groups->cnt;
}

/* "PROBLEM unread-end (unread, certain): 25 connections of python3, as 875441" */
static void put_short(const struct screen *screen, const struct catch *catch,
                      const struct finding_group *g)
{
    const struct facts *f = g->first->about;
    struct text rest;
    unsigned columns;
    text_init(&rest);
    text_printf(&rest, ": %u", g->record_cnt);
    if (f->holder_cnt && f->holders[0].program[0]) {
        text_add(&rest, " of ");
        text_add_shown(&rest, f->holders[0].program);
    }
    text_add(&rest, g->record_cnt > 1 ? ", as " : ", ");
    catch_add_id(catch, &rest, f);
    why_put_code(screen, g->first);
    unsigned head = why_code_columns(g->first);
    size_t len =
        text_fit(text_string(&rest), screen->width > head ? screen->width - head : 0, &columns);
    fprintf(screen->file, "%.*s\n", (int)len, text_string(&rest));
    text_free(&rest);
}

static void put_left_out(const struct screen *screen, const struct finding_groups *groups,
                         uint32_t told)
{
    unsigned connections = 0, left = groups->cnt - told;
    for (uint32_t i = told; i < groups->cnt; i++)
        connections += groups->all[i].record_cnt;
    if (left)
        put_sentence(screen, "and %u more %s (%u %s): lastack why | less shows them.", left,
                     left == 1 ? "finding" : "findings", connections,
                     connections == 1 ? "connection" : "connections");
}

/* What has no room as a block has a line, as long as there is room for lines. */
static void put_all(const struct screen *screen, const struct catch *catch,
                    const struct finding_groups *groups, unsigned tail)
{
    unsigned used = tail;
    uint32_t told = put_groups(screen, catch, groups, &used);
    bool any = told < groups->cnt;
    for (; told < groups->cnt; told++, used++) {
        unsigned more = told + 1 < groups->cnt; /* a line for "and more" */
        if (used + 1 + 1 + more > screen->height)
            break;
        put_short(screen, catch, &groups->all[told]);
    }
    put_left_out(screen, groups, told);
    if (any)
        fputc('\n', screen->file);
}

bool why_tell_all(const struct why_options *o, const struct catch *catch,
                  const struct findings *findings)
{
    struct finding_groups groups;
    struct screen screen;
    struct page tail;
    screen_init(&screen, stdout);
    if (o->all)
        screen.height = 0;
    if (!page_open(&tail, &screen))
        return false;
    put_summary(&tail.screen, catch, findings, o->all);
    /* The shell's prompt needs a line, too. */
    unsigned tail_lines = page_close(&tail) + 1;
    bool good =
        findings_group(&groups, findings, o->all ? SEVERITY_HEALTHY : SEVERITY_ATTENTION);
    if (good) {
        put_all(&screen, catch, &groups, tail_lines);
        fputs(tail.text ? tail.text : "", stdout);
        finding_groups_free(&groups);
    }
    free(tail.text);
    return good;
}
