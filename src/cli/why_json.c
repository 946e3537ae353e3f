/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings, groups and stories as JSON: docs/JSON.md says what every key means. */
#include "cli/why_json.h"

#include <string.h>
#include <time.h>

#include "doctor/control.h"
#include "doctor/story.h"

#define VERSION 1

/* Lines as an array of strings. */
static void add_lines(struct text *out, const char *lines)
{
    text_add(out, "[");
    for (bool first = true; *lines; first = false) {
        size_t len = strcspn(lines, "\n");
        struct text line;
        text_init(&line);
        text_add_len(&line, lines, len);
        text_add(out, first ? "" : ",");
        text_add_json(out, text_string(&line));
        text_free(&line);
        lines += len + (lines[len] == '\n');
    }
    text_add(out, "]");
}

static void add_age(struct text *out, uint64_t us)
{
    if (us == FACT_UNKNOWN)
        text_add(out, "\"unknown\"");
    else if (us == FACT_NEVER)
        text_add(out, "null");
    else
        text_printf(out, "%llu", (unsigned long long)us);
}

/* A text that was built for it, and its key; frees it. */
static void add_member(struct text *out, const char *key, struct text *value)
{
    text_printf(out, ",\"%s\":", key);
    if (value->len)
        text_add_json(out, text_string(value));
    else
        text_add(out, "null");
    text_free(value);
}

/* ---- findings ---- */

static void add_judgement(struct text *out, const struct finding *finding)
{
    text_printf(out, "\"code\":\"%s\",\"class\":\"%s\",\"severity\":\"%s\",\"certain\":%s",
                finding->code, finding->class, severity_name(finding->severity),
                finding->certain ? "true" : "false");
    text_add(out, ",\"sentence\":");
    text_add_json(out, text_string(&finding->sentence));
    text_add(out, ",\"remedy\":");
    add_lines(out, text_string(&finding->remedy));
}

static void add_finding(struct text *out, const struct finding *finding)
{
    text_add(out, "{\"stack\":");
    text_add_json(out, finding->about->stack);
    text_printf(out, ",\"id\":%llu,\"state\":", (unsigned long long)finding->about->id);
    text_add_json(out, fact_state_name(finding->about->state));
    text_add(out, ",");
    add_judgement(out, finding);
    text_add(out, ",\"evidence\":");
    add_lines(out, text_string(&finding->evidence));
    if (finding->end_how < 0)
        text_add(out, ",\"end\":null}");
    else
        text_printf(out, ",\"end\":\"%s\"}", control_how_name(finding->end_how));
}

static void add_findings(struct text *out, const struct findings *findings)
{
    text_add(out, "\"findings\":[");
    for (uint32_t i = 0; i < findings->cnt; i++) {
        text_add(out, i ? ",\n" : "");
        add_finding(out, &findings->all[i]);
    }
    text_add(out, "]");
}

/* ---- groups ---- */

static void add_full_id(struct text *out, const struct facts *f)
{
    struct text id;
    text_init(&id);
    text_printf(&id, "%s/%llu", f->stack, (unsigned long long)f->id);
    text_add_json(out, text_string(&id));
    text_free(&id);
}

static void add_group(struct text *out, const struct catch *catch, const struct finding_group *g,
                      const struct group_change *change)
{
    const struct facts *f = g->first->about;
    struct text places, end;
    text_add(out, "{");
    add_judgement(out, g->first);
    text_printf(out, ",\"count\":%u,\"last_minute\":", g->record_cnt);
    add_age(out, g->minute_known ? g->minute_cnt : FACT_UNKNOWN);
    if (change && change->known)
        text_printf(out, ",\"per_minute\":%lld", (long long)change->per_minute);
    if (g->flood.code) {
        text_add(out, ",\"flood\":");
        text_add_json(out, text_string(&g->flood.sentence));
    }
    text_add(out, ",\"oldest_us\":");
    add_age(out, g->oldest_us);
    text_add(out, ",\"state\":");
    text_add_json(out, fact_state_name(f->state));
    text_add(out, ",\"also\":[");
    for (uint32_t i = 1; i < g->finding_cnt; i++)
        text_printf(out, "%s\"%s\"", i > 1 ? "," : "", g->first[i].code);
    text_add(out, "],\"example\":");
    add_full_id(out, f);
    text_add(out, ",\"members\":[");
    for (uint32_t i = 0; i < g->record_cnt && i < GROUP_ID_MAX; i++) {
        text_add(out, i ? "," : "");
        add_full_id(out, g->members[i]);
    }
    text_add(out, "],\"source\":");
    text_init(&places);
    why_places(&places, &catch->list, f);
    add_lines(out, text_string(&places));
    text_free(&places);
    text_init(&end);
    why_end_group(&end, catch, g);
    add_member(out, "end_command", &end);
    text_add(out, "}");
}

/* ---- the whole ---- */

static void add_top(struct text *out, const struct catch *catch)
{
    char moment[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    text_printf(out, "{\"version\":%d,\"taken_at\":\"%s\",\"recorder\":%s,\"unseen\":", VERSION,
                moment, catch->recorder ? "true" : "false");
    add_lines(out, text_string(&catch->unseen));
}

static void add_summary(struct text *out, const struct catch *catch,
                        const struct findings *findings)
{
    text_printf(out, ",\n\"summary\":{\"looked_at\":%u", catch->list.cnt);
    for (int s = SEVERITY_PROBLEM; s >= 0; s--)
        text_printf(out, ",\"%s\":%u", severity_name((enum severity)s),
                    why_count(findings, (enum severity)s));
    text_add(out, "}");
}

bool why_json_groups(struct text *out, const struct catch *catch, const struct findings *findings,
                     const struct finding_groups *groups, const struct group_change *changes)
{
    add_top(out, catch);
    add_summary(out, catch, findings);
    text_add(out, ",\n\"groups\":[");
    for (uint32_t i = 0; i < groups->cnt; i++) {
        text_add(out, i ? ",\n" : "");
        add_group(out, catch, &groups->all[i], changes ? &changes[i] : NULL);
    }
    text_add(out, "]");
    return !out->failed;
}

static bool write_out(FILE *file, struct text *out)
{
    bool good = !out->failed && fputs(text_string(out), file) >= 0;
    text_free(out);
    return good;
}

bool why_json_all(FILE *file, const struct catch *catch, const struct findings *findings)
{
    struct finding_groups groups;
    struct text out;
    if (!findings_group(&groups, findings, SEVERITY_HEALTHY))
        return false;
    text_init(&out);
    why_json_groups(&out, catch, findings, &groups, NULL);
    text_add(&out, ",\n");
    add_findings(&out, findings);
    text_add(&out, "}\n");
    finding_groups_free(&groups);
    return write_out(file, &out);
}

static void add_story(struct text *out, const struct facts *facts)
{
    struct story story;
    story_tell(&story, facts);
    text_add(out, "\"story\":[");
    for (unsigned i = 0; i < story.event_cnt; i++) {
        text_printf(out, "%s{\"age_us\":%llu,\"text\":", i ? "," : "",
                    (unsigned long long)story.events[i].age_us);
        text_add_json(out, text_string(&story.events[i].text));
        text_add(out, "}");
    }
    text_add(out, "],\n\"now\":");
    add_lines(out, text_string(&story.now));
    story_free(&story);
}

bool why_json_one(FILE *file, const struct catch *catch, const struct facts *one,
                  const struct findings *findings)
{
    const struct facts *peer =
        one->peer_id ? facts_list_find_in(&catch->list, one->stack, one->peer_id) : NULL;
    struct text out, places;
    text_init(&out);
    text_init(&places);
    add_top(&out, catch);
    text_add(&out, ",\n\"facts\":");
    facts_encode_in(&out, &catch->list, one);
    text_add(&out, ",\n\"peer\":");
    if (peer)
        facts_encode_in(&out, &catch->list, peer);
    else
        text_add(&out, "null");
    text_add(&out, ",\n");
    add_story(&out, one);
    text_add(&out, ",\n\"source\":");
    why_places(&places, &catch->list, one);
    add_lines(&out, text_string(&places));
    text_add(&out, ",\n");
    add_findings(&out, findings);
    text_add(&out, "}\n");
    text_free(&places);
    return write_out(file, &out);
}
