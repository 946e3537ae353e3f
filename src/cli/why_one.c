/* SPDX-License-Identifier: BSD-2-Clause */
/* The story of one connection. */
#include <string.h>

#include "cli/why.h"
#include "doctor/story.h"
#include "doctor/words.h"

static void put_title(const struct screen *screen, const char *title)
{
    fputc('\n', screen->file);
    screen_put(screen, STYLE_BOLD, title);
    fputc('\n', screen->file);
}

/* Events that made the trouble often lie milliseconds apart. */
static void put_event(const struct screen *screen, const struct story_event *event)
{
    char first[40];
    struct text when;
    text_init(&when);
    if (event->age_us < 120 * 1000000ull)
        text_printf(&when, "%llu.%03llu s ago", (unsigned long long)event->age_us / 1000000,
                    (unsigned long long)event->age_us / 1000 % 1000);
    else
        words_ago(&when, event->age_us);
    snprintf(first, sizeof first, "  %16s  ", text_string(&when));
    screen_paragraph(screen, first, text_string(&event->text));
    text_free(&when);
}

static void put_story(const struct screen *screen, const struct facts *f)
{
    struct story story;
    story_tell(&story, f);
    if (story.event_cnt)
        put_title(screen, f->at_least == FACT_YES
                              ? "What happened (without a recorder: times are the latest possible)"
                              : "What happened");
    for (unsigned i = 0; i < story.event_cnt; i++)
        put_event(screen, &story.events[i]);
    put_title(screen, "Now");
    screen_lines(screen, "  ", text_string(&story.now));
    story_free(&story);
}

/* ---- who would notice ---- */

static void add_events(struct text *out, uint32_t events)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{0x001, "IN"}, {0x002, "PRI"}, {0x004, "OUT"}, {0x2000, "RDHUP"}};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(events & names[i].bit))
            continue;
        text_printf(out, "%s%s", any ? "," : "", names[i].name);
        any = true;
    }
    text_add(out, any ? "" : "nothing");
}

static void add_epoll(struct text *out, const struct fact_watch *w)
{
    if (w->fd >= 0)
        text_printf(out, " by epoll %d", w->fd);
    else
        text_add(out, " by epoll");
    text_add(out, " for ");
    add_events(out, w->events);
    text_add(out, w->edge == FACT_YES ? ", edge-triggered" : "");
    text_add(out, w->spent == FACT_YES ? ", one-shot and spent: not armed again" : "");
    if (w->waited == FACT_YES)
        text_add(out, "; a thread waits in epoll_wait()");
    else if (w->waited == FACT_NO)
        text_add(out, "; no thread waits in epoll_wait()");
    if (w->object[0]) {
        text_add(out, "; its data points at ");
        text_add_shown(out, w->object);
    }
}

static void add_watch(struct text *out, const struct facts_list *list, const struct fact_watch *w)
{
    if (w->pid != FACT_NO_PID)
        text_printf(out, "process %u", w->pid);
    else
        text_add(out, "an unknown process");
    if (w->tid && w->tid != w->pid)
        text_printf(out, ", thread %u,", w->tid);
    switch (w->kind) {
    case FACT_WATCH_EPOLL:
        text_add(out, " watches it");
        add_epoll(out, w);
        break;
    case FACT_WATCH_POLL:
        text_add(out, " waits for it in poll() or select()");
        break;
    case FACT_WATCH_CALL:
        text_add(out, " is blocked in a call on it");
        break;
    case FACT_WATCH_RING:
        text_add(out, " has an io_uring request on it");
        break;
    default:
        text_add(out, " watches it");
    }
    if (w->doing_text[0]) {
        text_add(out, "; its thread is in ");
        text_add_shown(out, w->doing_text);
        text_add(out, "()");
    }
    if (w->doing_at) {
        text_add(out, " at ");
        why_place(out, list, w->doing_at);
    }
}

static void put_watches(const struct screen *screen, const struct facts_list *list,
                        const struct facts *f)
{
    if (f->state == LASTACK_LISTEN || (!f->watch_cnt && f->watchers_known != FACT_YES))
        return;
    put_title(screen, "Who would notice if something came");
    for (uint32_t i = 0; i < f->watch_cnt; i++) {
        struct text line;
        text_init(&line);
        add_watch(&line, list, &f->watches[i]);
        screen_paragraph(screen, "  ", text_string(&line));
        text_free(&line);
    }
    if (!f->watch_cnt)
        fputs("  nobody: no poller has it, and no thread waits in a call on it\n", screen->file);
}

/* ---- places ---- */

static void put_places(const struct screen *screen, const struct facts_list *list,
                       const struct facts *f)
{
    struct text lines;
    text_init(&lines);
    why_places(&lines, list, f);
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        struct text place;
        text_init(&place);
        if (why_place(&place, list, f->holders[i].doing_at)) {
            words_process(&lines, f->holders[i].pid, f->holders[i].program);
            text_printf(&lines, " is now at %s\n", text_string(&place));
        }
        text_free(&place);
    }
    if (lines.len) {
        put_title(screen, "Where in the source");
        screen_lines(screen, "  ", text_string(&lines));
    }
    text_free(&lines);
}

/* ---- the other end ---- */

/* Nothing answers for it but a RST. */
static void put_gone(const struct screen *screen, const struct facts *f)
{
    struct text line;
    text_init(&line);
    text_add(&line, "is gone: nothing has ");
    words_end(&line, &f->tuple.remote, f->tuple.remote_port);
    text_add(&line, " any more; whatever is sent there is answered by a RST");
    screen_paragraph(screen, "  ", text_string(&line));
    text_free(&line);
}

static void put_peer(const struct screen *screen, const struct catch *catch, const struct facts *f)
{
    const struct facts *peer = facts_list_peer(&catch->list, f);
    if (!peer && f->peer_end != FACT_PEER_GONE)
        return;
    put_title(screen, "The other end, on this machine");
    if (!peer) {
        put_gone(screen, f);
        return;
    }
    why_put_head(screen, "  ", catch, peer);
    for (uint32_t i = 0; i < peer->holder_cnt; i++) {
        struct text line;
        text_init(&line);
        words_holder(&line, peer, &peer->holders[i], false);
        screen_paragraph(screen, "  ", text_string(&line));
        text_free(&line);
    }
    if (f->peer_end == FACT_PEER_ORPHAN)
        fputs("  no program holds it: it was closed, and only waits for the end from here\n",
              screen->file);
    else if (!peer->holder_cnt)
        fputs("  no process is known to hold it\n", screen->file);
}

/* ---- why ---- */

/* What the sentence has not said. The closes and holders of a shared connection are in it. */
static void put_evidence(const struct screen *screen, const struct finding *finding)
{
    if (!finding->evidence.len || finding->class == CLASS_SHARED)
        return;
    fputs("  Evidence:\n", screen->file);
    screen_lines(screen, "    - ", text_string(&finding->evidence));
}

static void put_findings(const struct screen *screen, const struct findings *findings)
{
    bool any = false;
    for (uint32_t i = 0; i < findings->cnt; i++) {
        fputs("  ", screen->file);
        why_put_code(screen, &findings->all[i]);
        fputs(":\n", screen->file);
        why_put_sentence(screen, "    ", &findings->all[i]);
        any = any || findings->all[i].remedy.len;
    }
    put_evidence(screen, &findings->all[0]);
    if (any)
        fputs("  What to change:\n", screen->file);
    for (uint32_t i = 0; i < findings->cnt; i++)
        screen_lines(screen, "    - ", text_string(&findings->all[i].remedy));
}

static void put_next(const struct screen *screen, const struct catch *catch,
                     const struct finding *finding)
{
    struct text end;
    text_init(&end);
    why_end_one(&end, catch, finding);
    fprintf(screen->file, "  More about it: lastack explain %s\n", finding->code);
    if (end.len)
        fprintf(screen->file, "  To end it now: %s\n", text_string(&end));
    text_free(&end);
}

bool why_tell_one(const struct catch *catch, const struct facts *f, const struct findings *findings)
{
    struct screen screen;
    screen_init(&screen, stdout);
    why_put_head(&screen, "", catch, f);
    put_story(&screen, f);
    put_watches(&screen, &catch->list, f);
    put_places(&screen, &catch->list, f);
    put_peer(&screen, catch, f);
    put_title(&screen, "Why");
    if (findings->cnt) {
        put_findings(&screen, findings);
        put_next(&screen, catch, &findings->all[0]);
    } else {
        fputs("  Nothing is wrong with it.\n", stdout);
    }
    catch_put_unseen(catch, &screen);
    return true;
}
