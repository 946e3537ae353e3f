/* SPDX-License-Identifier: BSD-2-Clause */
/* What is to be done, what was done, and what each side sees of it: for people and as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/end.h"
#include "cli/render.h"
#include "doctor/words.h"

#define STORY_MAX 3 /* more connections than these become a table */

const char *end_outcome_name(enum end_outcome outcome)
{
    static const char *const names[END_OUTCOME_CNT] = {"planned", "ended", "ending", "told",
                                                       "failed"};
    return outcome < END_OUTCOME_CNT ? names[outcome] : "?";
}

/* ---- one connection ---- */

static void add_ends(struct text *out, const struct facts *f)
{
    words_end(out, &f->tuple.local, f->tuple.local_port);
    text_add(out, " <-> ");
    words_end(out, &f->tuple.remote, f->tuple.remote_port);
}

/* "7  10.0.0.2:8080 <-> 10.0.0.1:40007  CLOSE-WAIT for 12 s" */
static void put_head(const struct screen *screen, const struct catch *catch, const struct facts *f)
{
    struct text id, rest;
    text_init(&id);
    text_init(&rest);
    catch_add_id(catch, &id, f);
    text_add(&rest, "  ");
    add_ends(&rest, f);
    text_printf(&rest, "  %s", fact_state_name(f->state));
    if (fact_known(f->state_us)) {
        text_add(&rest, f->at_least == FACT_YES ? " for at least " : " for ");
        words_duration(&rest, f->state_us);
    }
    screen_put(screen, STYLE_BOLD, text_string(&id));
    fprintf(screen->file, "%s\n", text_string(&rest));
    text_free(&id);
    text_free(&rest);
}

static void put_finding(const struct screen *screen, const struct finding *finding)
{
    struct text line;
    if (!finding)
        return;
    text_init(&line);
    text_printf(&line, "%s: %s.", finding->code, text_string(&finding->sentence));
    screen_paragraph(screen, "  ", text_string(&line));
    text_free(&line);
}

static void put_step(const struct screen *screen, const struct end_options *o,
                     const struct end_item *item, unsigned at)
{
    const struct facts *f = item->facts;
    const int how = item->ladder.steps[at];
    char first[32];
    struct text line;
    text_init(&line);
    snprintf(first, sizeof first, "  %u. %-5s", at + 1, control_how_name(how));
    if (at > 0) {
        text_add(&line, "if that has not ended it after ");
        words_duration(&line, o->wait_us);
        text_add(&line, ": ");
    }
    ladder_call(&line, f, how);
    screen_paragraph(screen, first, text_string(&line));
    screen_paragraph(screen, "          on the wire: ", ladder_wire(f, how));
    screen_paragraph(screen, "          the owner:   ", ladder_owner(f, how));
    screen_paragraph(screen, "          the peer:    ", ladder_peer(f, how));
    text_free(&line);
}

static void put_refused(const struct screen *screen, const struct catch *catch,
                        const struct end_item *item)
{
    struct text line;
    text_init(&line);
    catch_add_id(catch, &line, item->facts);
    text_printf(&line, " %s.", item->refused);
    screen_paragraph(screen, "", text_string(&line));
    text_free(&line);
}

static void put_story(const struct screen *screen, const struct end_options *o,
                      const struct catch *catch, const struct end_item *item)
{
    put_head(screen, catch, item->facts);
    put_finding(screen, item->finding);
    for (unsigned i = 0; i < item->ladder.cnt; i++)
        put_step(screen, o, item, i);
    fputc('\n', screen->file);
}

/* ---- many connections ---- */

static void add_owner(struct text *out, const struct facts *f)
{
    const struct fact_holder *h = f->holder_cnt ? &f->holders[0] : NULL;
    if (!h) {
        text_add(out, f->unaccepted == FACT_YES ? "(not accepted)" : "(nobody)");
        return;
    }
    text_add_shown(out, h->program[0] ? h->program : "?");
    text_printf(out, " %u", h->pid);
    if (f->holder_cnt > 1)
        text_printf(out, " +%u", f->holder_cnt - 1);
}

static void add_steps(struct text *out, const struct ladder *ladder)
{
    for (unsigned i = 0; i < ladder->cnt; i++)
        text_printf(out, "%s%s", i ? ", " : "", control_how_name(ladder->steps[i]));
}

static void put_table(const struct screen *screen, const struct catch *catch,
                      const struct end_items *items)
{
    static const char *const heads[] = {"ID", "State", "Age", "Owner", "Finding", "Steps",
                                        "Connection"};
    static const bool right[] = {true, false, true, false, false, false, false};
    struct table table;
    table_init(&table, 7, heads, right);
    for (uint32_t i = 0; i < items->cnt; i++) {
        const struct end_item *item = &items->all[i];
        struct text *row = item->refused ? NULL : table_row(&table, STYLE_BOLD);
        if (!row)
            continue;
        catch_add_id(catch, &row[0], item->facts);
        text_add(&row[1], fact_state_name(item->facts->state));
        text_add_age(&row[2], item->facts->state_us);
        add_owner(&row[3], item->facts);
        text_add(&row[4], item->code ? item->code : "-");
        add_steps(&row[5], &item->ladder);
        add_ends(&row[6], item->facts);
    }
    table_print(&table, screen, true);
    table_free(&table);
    fputs("\nThe steps, each only where the one before has not ended it:\n", screen->file);
    screen_paragraph(screen, "  wr    ",
                     "shutdown(SHUT_WR) in the owner's name: what is queued and a FIN leave; the owner "
                     "gets EPIPE from send() and reads on; the peer reads the end of the stream");
    screen_paragraph(screen, "  rdwr  ",
                     "shutdown(SHUT_RDWR): the same, and the owner's recv() gives 0");
    screen_paragraph(screen, "  rst   ",
                     "reset: what is queued is lost; the owner gets ECONNABORTED (EPIPE), the peer "
                     "ECONNRESET");
    fputc('\n', screen->file);
}

/* ---- the plan ---- */

/* A word as a shell takes it. */
static void add_quoted(struct text *out, const char *word)
{
    if (*word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-_./:=,@+%") == strlen(word)) {
        text_add(out, word);
        return;
    }
    text_add(out, "'");
    for (; *word; word++)
        if (*word == '\'')
            text_add(out, "'\\''");
        else
            text_add_len(out, word, 1);
    text_add(out, "'");
}

static bool is_dry(const char *word)
{
    return strcmp(word, "-n") == 0 || strcmp(word, "--dry-run") == 0 || strcmp(word, "--yes") == 0 ||
           strcmp(word, "-y") == 0;
}

static void put_how_to_act(const struct screen *screen, int argc, char **argv)
{
    struct text raw, shown;
    text_init(&raw);
    text_init(&shown);
    text_add(&raw, "lastack end");
    for (int i = 1; i < argc; i++) {
        if (is_dry(argv[i]))
            continue;
        text_add(&raw, " ");
        add_quoted(&raw, argv[i]);
    }
    text_add(&raw, " --yes");
    text_add_shown(&shown, text_string(&raw));
    fputs("Nothing has been done yet. To do it:  ", screen->file);
    screen_put(screen, STYLE_BOLD, text_string(&shown));
    fputc('\n', screen->file);
    text_free(&raw);
    text_free(&shown);
}

static void put_passed_over(const struct screen *screen, const struct end_items *items)
{
    if (items->healthy_cnt)
        fprintf(screen->file, "%u more fit and are connections that work, or may: passed over.\n",
                items->healthy_cnt);
    if (items->more_cnt)
        fprintf(screen->file, "%u more fit and are beyond --limit.\n", items->more_cnt);
}

void end_put_plan(const struct end_options *o, const struct catch *catch,
                  const struct end_items *items, int argc, char **argv)
{
    struct screen screen;
    uint32_t cnt = 0;
    screen_init(&screen, stdout);
    for (uint32_t i = 0; i < items->cnt; i++)
        cnt += !items->all[i].refused;
    if (cnt > STORY_MAX)
        put_table(&screen, catch, items);
    for (uint32_t i = 0; i < items->cnt; i++) {
        const struct end_item *item = &items->all[i];
        if (item->refused)
            put_refused(&screen, catch, item);
        else if (cnt <= STORY_MAX)
            put_story(&screen, o, catch, item);
    }
    put_passed_over(&screen, items);
    if (cnt == 0 && !o->target_cnt) {
        fprintf(stdout, "No connection fits (looked at: %u).\n", catch->list.cnt);
        catch_put_unseen(catch, &screen);
    }
    if (cnt > 1)
        fprintf(stdout, "%u connections would be ended. ", cnt);
    if (cnt)
        put_how_to_act(&screen, argc, argv);
}

/* ---- the deed ---- */

static const char *wait_words(const struct end_item *item)
{
    switch (item->last) {
    case LASTACK_LAST_ACK:
    case LASTACK_FIN_WAIT_1:
    case LASTACK_CLOSING:
        return "our FIN waits for the peer's acknowledgment; retransmission ends it if there is none";
    case LASTACK_FIN_WAIT_2:
        return item->outcome == END_ENDING
                   ? "our FIN is acknowledged and its owner has closed it: a timer ends it"
                   : "our FIN is acknowledged; the peer has still to close its half (--how rst would "
                     "not wait)";
    default:
        return NULL;
    }
}

static void put_keepers(const struct screen *screen, const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        struct text line;
        text_init(&line);
        words_process(&line, f->holders[i].pid, f->holders[i].program);
        text_add(&line, " keeps ");
        words_holding(&line, &f->holders[i]);
        text_add(&line, " open until it closes it");
        screen_paragraph(screen, "             ", text_string(&line));
        text_free(&line);
    }
}

void end_put_result(const struct catch *catch, const struct end_item *item, bool brief)
{
    struct screen screen;
    struct text head;
    const struct facts *f = item->facts;
    const int how = item->step_cnt ? item->ladder.steps[item->step_cnt - 1] : LASTACK_END_RST;
    screen_init(&screen, stdout);
    text_init(&head);
    catch_add_id(catch, &head, f);
    text_printf(&head, "  %s%s", fact_state_name(f->state), text_string(&item->path));
    for (unsigned i = 0; i < item->step_cnt; i++)
        text_printf(&head, "%s%s%s", i ? ", " : "  (", control_how_name(item->ladder.steps[i]),
                    item->results[i] ? " failed" : "");
    text_add(&head, item->step_cnt ? ")" : "  (not touched)");
    screen_paragraph(&screen, "", text_string(&head));
    text_free(&head);
    screen_lines(&screen, "  ", text_string(&item->why));
    if (!brief && item->outcome != END_FAILED && item->step_cnt) {
        if (item->outcome != END_ENDED && wait_words(item))
            screen_paragraph(&screen, "  Still: ", wait_words(item));
        screen_paragraph(&screen, "  This side: ", ladder_owner(f, how));
        put_keepers(&screen, f);
        screen_paragraph(&screen, "  The peer:  ", ladder_peer(f, how));
    }
    fflush(stdout);
}

void end_put_summary(const struct end_items *items, const char *log)
{
    uint32_t cnt[END_OUTCOME_CNT] = {0}, refused = 0;
    struct text shown;
    for (uint32_t i = 0; i < items->cnt; i++)
        if (items->all[i].refused)
            refused++;
        else
            cnt[items->all[i].outcome]++;
    text_init(&shown);
    printf("%u ended", cnt[END_ENDED]);
    if (cnt[END_ENDING])
        printf(", %u on the way", cnt[END_ENDING]);
    if (cnt[END_TOLD])
        printf(", %u told to end, which wait for the other side or their owner", cnt[END_TOLD]);
    if (cnt[END_FAILED] + cnt[END_PLANNED])
        printf(", %u not ended", cnt[END_FAILED] + cnt[END_PLANNED]);
    if (refused)
        printf(", %u refused", refused);
    text_add_shown(&shown, log);
    printf("%s%s.\n", *log ? "; logged in " : "", text_string(&shown));
    text_free(&shown);
}

/* ---- JSON ---- */

static void add_json_who(struct text *out, const struct facts *f)
{
    struct text end;
    text_init(&end);
    text_add(out, "\"stack\":");
    text_add_json(out, f->stack);
    text_printf(out, ",\"id\":%llu,\"local\":", (unsigned long long)f->id);
    words_end(&end, &f->tuple.local, f->tuple.local_port);
    text_add_json(out, text_string(&end));
    text_clear(&end);
    words_end(&end, &f->tuple.remote, f->tuple.remote_port);
    text_add(out, ",\"remote\":");
    text_add_json(out, text_string(&end));
    text_free(&end);
    text_printf(out, ",\"state\":\"%s\",\"state_us\":", fact_state_name(f->state));
    if (fact_known(f->state_us))
        text_printf(out, "%llu", (unsigned long long)f->state_us);
    else
        text_add(out, "\"unknown\"");
    text_add(out, ",\"holders\":[");
    for (uint32_t i = 0; i < f->holder_cnt; i++) {
        text_printf(out, "%s{\"kind\":\"%s\",\"pid\":%u,\"fd\":%d,\"program\":", i ? "," : "",
                    fact_holder_kind_name(f->holders[i].kind), f->holders[i].pid,
                    f->holders[i].fd);
        text_add_json(out, f->holders[i].program);
        text_add(out, "}");
    }
    text_add(out, "]");
}

static void add_json_step(struct text *out, const struct end_item *item, unsigned at, bool plan)
{
    struct text call;
    const int how = item->ladder.steps[at];
    text_printf(out, "%s{\"how\":\"%s\"", at ? "," : "", control_how_name(how));
    if (at < item->step_cnt) {
        text_printf(out, ",\"errno\":%d}", -item->results[at]);
        return;
    }
    if (plan) {
        text_init(&call);
        ladder_call(&call, item->facts, how);
        text_add(out, ",\"call\":");
        text_add_json(out, text_string(&call));
        text_free(&call);
        text_printf(out, ",\"wire\":\"%s\",\"owner\":\"%s\",\"peer\":\"%s\"",
                    ladder_wire(item->facts, how), ladder_owner(item->facts, how),
                    ladder_peer(item->facts, how));
    }
    text_add(out, "}");
}

void end_add_json_stamp(struct text *out)
{
    char stamp[40] = "";
    struct tm tm;
    time_t now = time(NULL);
    if (gmtime_r(&now, &tm))
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    text_printf(out, "\"time\":\"%s\",\"uid\":%u,", stamp, (unsigned)getuid());
}

static void add_json_why(struct text *out, const struct end_item *item)
{
    text_printf(out, item->code ? ",\"finding\":\"%s\"" : ",\"finding\":null", item->code);
    if (item->rule_line)
        text_printf(out, ",\"rule\":%u", item->rule_line);
}

void end_add_json_intent(struct text *out, const struct end_item *item)
{
    text_add(out, "{");
    end_add_json_stamp(out);
    add_json_who(out, item->facts);
    add_json_why(out, item);
    text_add(out, ",\"about_to\":[");
    for (unsigned i = 0; i < item->ladder.cnt; i++)
        text_printf(out, "%s\"%s\"", i ? "," : "", control_how_name(item->ladder.steps[i]));
    text_add(out, "]}");
}

void end_add_json(struct text *out, const struct end_item *item, bool log)
{
    bool planned = item->outcome == END_PLANNED;
    text_add(out, "{");
    if (log)
        end_add_json_stamp(out);
    add_json_who(out, item->facts);
    add_json_why(out, item);
    if (item->refused) {
        text_add(out, ",\"refused\":");
        text_add_json(out, item->refused);
    }
    text_add(out, ",\"steps\":[");
    for (unsigned i = 0; i < (planned ? item->ladder.cnt : item->step_cnt); i++)
        add_json_step(out, item, i, planned);
    text_printf(out, "],\"outcome\":\"%s\"",
                item->refused ? "refused" : end_outcome_name(item->outcome));
    if (!planned) {
        text_add(out, ",\"state_now\":");
        text_add_json(out, item->last == LASTACK_CLOSED ? "closed" : fact_state_name(item->last));
        text_add(out, ",\"said\":");
        text_add_json(out, text_string(&item->why));
    }
    text_add(out, "}");
}

void end_put_json(const struct end_items *items, bool done)
{
    struct text out;
    text_init(&out);
    text_printf(&out, "{\"done\":%s,\"connections\":[", done ? "true" : "false");
    for (uint32_t i = 0; i < items->cnt; i++) {
        text_add(&out, i ? ",\n" : "");
        end_add_json(&out, &items->all[i], false);
    }
    text_printf(&out, "],\"healthy_passed_over\":%u,\"beyond_limit\":%u}\n", items->healthy_cnt,
                items->more_cnt);
    fputs(text_string(&out), stdout);
    text_free(&out);
}
