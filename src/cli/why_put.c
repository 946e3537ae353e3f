/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocks of text of lastack why. */
#include <ctype.h>
#include <string.h>

#include "cli/why.h"
#include "doctor/words.h"

static void add_where(struct text *out, const struct facts *f)
{
    const char *at = strchr(f->stack, '@');
    if (f->source == FACT_SOURCE_KERNEL && at) {
        text_add(out, ", in network namespace ");
        text_add_shown(out, at + 1);
    }
    if (f->container[0]) {
        text_add(out, ", container ");
        text_add_shown(out, f->container);
    }
}

void why_put_head(const struct screen *screen, const char *first, const struct catch *catch,
                  const struct facts *f)
{
    struct text id, rest;
    text_init(&id);
    text_init(&rest);
    catch_add_id(catch, &id, f);
    words_end(&rest, &f->tuple.local, f->tuple.local_port);
    if (f->state != LASTACK_LISTEN) {
        text_add(&rest, " <-> ");
        words_end(&rest, &f->tuple.remote, f->tuple.remote_port);
    }
    text_printf(&rest, "  %s", fact_state_name(f->state));
    if (fact_known(f->state_us)) {
        text_add(&rest, f->at_least == FACT_YES ? " for at least " : " for ");
        words_duration(&rest, f->state_us);
    }
    add_where(&rest, f);
    fputs(first, screen->file);
    screen_put(screen, STYLE_BOLD, text_string(&id));
    fputs("  ", screen->file);
    unsigned indent = text_columns(first, strspn(first, " ")) + 2;
    screen_flow(screen, text_columns(first, strlen(first)) + (unsigned)id.len + 2, indent,
                text_string(&rest));
    text_free(&id);
    text_free(&rest);
}

void why_put_code(const struct screen *screen, const struct finding *finding)
{
    char word[16];
    snprintf(word, sizeof word, "%s", severity_name(finding->severity));
    for (char *c = word; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    screen_put(screen, severity_style(finding->severity), word);
    fputc(' ', screen->file);
    screen_put(screen, STYLE_BOLD, finding->code);
    fprintf(screen->file, " (%s, %s)", finding->class,
            finding->certain ? "certain" : "inferred");
}

unsigned why_code_columns(const struct finding *finding)
{
    return (unsigned)(strlen(severity_name(finding->severity)) + strlen(finding->code) +
                      strlen(finding->class)) +
           (finding->certain ? 13 : 14);
}

void why_put_sentence(const struct screen *screen, const char *first,
                      const struct finding *finding)
{
    struct text t;
    text_init(&t);
    text_add(&t, text_string(&finding->sentence));
    if (t.len && islower((unsigned char)t.at[0]))
        t.at[0] = (char)toupper((unsigned char)t.at[0]);
    text_add(&t, ".");
    screen_paragraph(screen, first, text_string(&t));
    text_free(&t);
}

/* Lines with a head before the first one and as many blanks before the others; where there are
 * several, each has its dash. */
static void put_headed(const struct screen *screen, const char *head, const char *lines)
{
    const char *end = strchr(lines, '\n');
    bool several = end && end[1];
    char first[32], others[32];
    snprintf(first, sizeof first, "%s%s", head, several ? "- " : "");
    snprintf(others, sizeof others, "%*s- ", (int)strlen(head), "");
    for (bool begun = false; *lines; begun = true) {
        size_t len = strcspn(lines, "\n");
        struct text line;
        text_init(&line);
        text_add_len(&line, lines, len);
        screen_paragraph(screen, begun ? others : first, text_string(&line));
        text_free(&line);
        lines += len + (lines[len] == '\n');
    }
}

static void put_company(const struct screen *screen, const struct finding *finding)
{
    struct text line;
    char first[80];
    text_init(&line);
    text_printf(&line, "%s.", text_string(&finding->sentence));
    snprintf(first, sizeof first, "  Also %s: ", finding->code);
    screen_paragraph(screen, first, text_string(&line));
    text_free(&line);
}

static void put_also(const struct screen *screen, const struct finding_group *g)
{
    for (uint32_t i = 1; i < g->finding_cnt; i++)
        put_company(screen, &g->first[i]);
    if (g->flood.code)
        put_company(screen, &g->flood);
}

void why_put_group(const struct screen *screen, const struct catch *catch,
                   const struct finding_group *g, const struct group_change *change)
{
    struct text words, places, end;
    text_init(&words);
    text_init(&places);
    text_init(&end);
    why_count_words(&words, g, change);
    why_put_code(screen, g->first);
    if (g->record_cnt > 1) {
        fputs(": ", screen->file);
        screen_begin(screen, STYLE_BOLD);
        screen_flow(screen, why_code_columns(g->first) + 2, 2, text_string(&words));
        screen_end(screen, STYLE_BOLD);
    } else {
        fputc('\n', screen->file);
    }
    why_put_head(screen, g->record_cnt > 1 ? "  for example " : "  ", catch, g->first->about);
    why_put_sentence(screen, "  ", g->first);
    put_also(screen, g);
    why_places(&places, &catch->list, g->first->about);
    put_headed(screen, "  Source: ", text_string(&places));
    put_headed(screen, "  Fix: ", text_string(&g->first->remedy));
    why_end_group(&end, catch, g);
    if (end.len)
        screen_paragraph(screen, "  End: ", text_string(&end));
    text_free(&words);
    text_free(&places);
    text_free(&end);
}
