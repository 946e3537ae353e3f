/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings and stories as JSON. */
#include "cli/why_json.h"

#include <string.h>

#include "doctor/control.h"
#include "doctor/story.h"

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

static void add_finding(struct text *out, const struct finding *finding)
{
    text_add(out, "{\"stack\":");
    text_add_json(out, finding->about->stack);
    text_printf(out, ",\"id\":%llu,\"state\":", (unsigned long long)finding->about->id);
    text_add_json(out, fact_state_name(finding->about->state));
    text_printf(out,
                ",\"code\":\"%s\",\"class\":\"%s\",\"severity\":\"%s\",\"certain\":%s,\"sentence\":",
                finding->code, finding->class, severity_name(finding->severity),
                finding->certain ? "true" : "false");
    text_add_json(out, text_string(&finding->sentence));
    text_add(out, ",\"evidence\":");
    add_lines(out, text_string(&finding->evidence));
    text_add(out, ",\"remedy\":");
    add_lines(out, text_string(&finding->remedy));
    if (finding->end_how < 0)
        text_add(out, ",\"end\":null}");
    else
        text_printf(out, ",\"end\":\"%s\"}", control_how_name(finding->end_how));
}

static void add_story(struct text *out, const struct facts_list *list,
                      const struct facts *facts)
{
    struct story story;
    story_tell(&story, facts);
    text_add(out, "\"facts\":");
    facts_encode_in(out, list, facts);
    text_add(out, ",\n\"story\":[");
    for (unsigned i = 0; i < story.event_cnt; i++) {
        text_printf(out, "%s{\"age_us\":%llu,\"text\":", i ? "," : "",
                    (unsigned long long)story.events[i].age_us);
        text_add_json(out, text_string(&story.events[i].text));
        text_add(out, "}");
    }
    text_add(out, "],\n\"now\":");
    add_lines(out, text_string(&story.now));
    text_add(out, ",\n");
    story_free(&story);
}

bool why_print_json(FILE *file, const struct facts_list *list, const struct facts *one,
                    const struct findings *findings)
{
    struct text out;
    text_init(&out);
    text_add(&out, "{");
    if (one)
        add_story(&out, list, one);
    text_add(&out, "\"findings\":[");
    for (uint32_t i = 0; i < findings->cnt; i++) {
        text_add(&out, i ? ",\n" : "");
        add_finding(&out, &findings->all[i]);
    }
    text_add(&out, "]}\n");
    bool good = !out.failed && fputs(text_string(&out), file) >= 0;
    text_free(&out);
    return good;
}
