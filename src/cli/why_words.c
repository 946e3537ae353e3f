/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings and groups in words: counts, places in the source, commands that end them. */
#include <ctype.h>
#include <string.h>

#include "cli/why.h"
#include "doctor/words.h"

/* "25,000" */
static void add_count(struct text *out, uint64_t cnt)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)cnt);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            text_add(out, ",");
        text_add_len(out, &digits[i], 1);
    }
}

void why_count_words(struct text *out, const struct finding_group *g,
                     const struct group_change *change)
{
    add_count(out, g->record_cnt);
    text_add(out, g->record_cnt == 1 ? " connection" : " connections");
    if (change && change->known && change->per_minute)
        text_printf(out, ", %+lld a minute", (long long)change->per_minute);
    else if (g->minute_known && g->minute_cnt && g->minute_cnt < g->record_cnt) {
        text_add(out, ", ");
        add_count(out, g->minute_cnt);
        text_add(out, " of them in the last minute");
    }
    if (g->record_cnt > 1 && fact_known(g->oldest_us)) {
        text_add(out, ", the oldest for ");
        words_duration(out, g->oldest_us);
    }
}

/* ---- places ---- */

bool why_place(struct text *out, const struct facts_list *list, fact_site_id id)
{
    return words_place(out, facts_site(list, id), " ");
}

/* One line "HEAD PLACE" if the place is known. */
static bool add_place(struct text *out, const struct facts_list *list, const char *head,
                      fact_site_id id)
{
    struct text place;
    text_init(&place);
    bool known = why_place(&place, list, id);
    if (known)
        text_printf(out, "%s %s", head, text_string(&place));
    text_free(&place);
    return known;
}

static void add_siblings(struct text *out, const struct facts_list *list, const struct facts *f)
{
    if (!add_place(out, list, "others from there are closed at", f->sibling_close_at))
        return;
    if (fact_known(f->sibling_cnt) && fact_known(f->sibling_closed_cnt) && f->sibling_cnt) {
        text_add(out, " (");
        add_count(out, f->sibling_closed_cnt);
        text_add(out, " of ");
        add_count(out, f->sibling_cnt);
        text_add(out, ")");
    }
    text_add(out, "\n");
}

void why_places(struct text *out, const struct facts_list *list, const struct facts *f)
{
    static const char *const born[] = {"opened at", "accepted at"};
    if (add_place(out, list, born[f->passive == FACT_YES], f->born_at))
        text_add(out, "\n");
    if (add_place(out, list, "its end was read at", f->eof_read_at))
        text_add(out, "\n");
    for (uint32_t i = 0; i < f->close_cnt; i++) {
        struct text head;
        text_init(&head);
        text_printf(&head, "process %u closed its descriptor at", f->closes[i].pid);
        if (add_place(out, list, text_string(&head), f->closes[i].at))
            text_add(out, "\n");
        text_free(&head);
    }
    if (add_place(out, list, "its FIN was sent from", f->fin_out_by.at))
        text_add(out, "\n");
    add_siblings(out, list, f);
}

/* ---- how to end it ---- */

void why_end_one(struct text *out, const struct catch *catch, const struct finding *finding)
{
    if (finding->end_how < 0 || finding->about->id == 0 || finding->may_work)
        return;
    text_add(out, "lastack end ");
    catch_add_id(catch, out, finding->about);
}

/* A name that a shell takes as it is. */
static bool is_plain(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_.+-", *c))
            return false;
    return name[0] != 0 && name[0] != '-';
}

void why_end_group(struct text *out, const struct catch *catch, const struct finding_group *g)
{
    const struct facts *f = g->first->about;
    if (g->record_cnt == 1) {
        why_end_one(out, catch, g->first);
        return;
    }
    if (g->first->end_how < 0 || g->first->may_work)
        return;
    text_printf(out, "lastack end --finding %s", g->first->code);
    text_printf(out, " --state %s", fact_state_name(f->state));
    if (f->holder_cnt && is_plain(f->holders[0].program))
        text_printf(out, " --program %s", f->holders[0].program);
    unsigned port = f->passive == FACT_NO ? f->tuple.remote_port : f->tuple.local_port;
    if (f->passive != FACT_MAYBE && port)
        text_printf(out, " --port %u", port);
}
