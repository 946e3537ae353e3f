/* SPDX-License-Identifier: BSD-2-Clause */
/* All findings on one screen: the worst groups, as many as the terminal is high. */
#include <stdlib.h>
#include <string.h>

#include "cli/why.h"

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
            fprintf(screen->file, "%u %s %s.\n", cnt, cnt == 1 ? "connection" : "connections",
                    words[s][cnt != 1]);
        else
            hidden += cnt;
    }
    if (why_status(findings) == EXIT_DONE)
        fprintf(screen->file, "Nothing is wrong (looked at: %u).\n", catch->list.cnt);
    if (hidden)
        fprintf(screen->file, "%u more that need nothing: lastack why --all shows them.\n", hidden);
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

/* Blocks until the screen is full; `tail` lines are kept free. Returns how many groups were told. */
static uint32_t put_groups(const struct screen *screen, const struct catch *catch,
                           const struct finding_groups *groups, unsigned tail)
{
    unsigned used = tail;
    for (uint32_t i = 0; i < groups->cnt; i++) {
        struct page page;
        if (!page_open(&page, screen))
            return i;
        why_put_group(&page.screen, catch, &groups->all[i], NULL);
        fputc('\n', page.screen.file);
        used += page_close(&page);
        /* One more line is needed to say what is left out. */
        bool fits = i == 0 || !screen->height || used + (i + 1 < groups->cnt) <= screen->height;
        if (fits && page.text)
            fputs(page.text, screen->file);
        free(page.text);
        if (!fits)
            return i;
    }
    return groups->cnt;
}

static void put_left_out(const struct screen *screen, const struct finding_groups *groups,
                         uint32_t told)
{
    unsigned connections = 0, left = groups->cnt - told;
    for (uint32_t i = told; i < groups->cnt; i++)
        connections += groups->all[i].record_cnt;
    if (left)
        fprintf(screen->file,
                "%u more %s (%u %s) did not fit: lastack why | less shows all.\n", left,
                left == 1 ? "finding" : "findings", connections,
                connections == 1 ? "connection" : "connections");
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
        uint32_t told = put_groups(&screen, catch, &groups, tail_lines);
        put_left_out(&screen, &groups, told);
        fputs(tail.text ? tail.text : "", stdout);
        finding_groups_free(&groups);
    }
    free(tail.text);
    return good;
}
