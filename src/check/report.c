/* SPDX-License-Identifier: BSD-2-Clause */
/* The report for machines: JSON, and JUnit's XML, in which every kind of leak is a failed test. */
#include <string.h>
#include <sys/wait.h>

#include "check/check.h"
#include "doctor/words.h"

#define JSON_VERSION 1

/* ---- pieces ---- */

void check_add_site(struct text *out, const struct fact_site *site)
{
    if (!site)
        return;
    if (site->function[0])
        text_add_shown(out, site->function);
    if (site->file[0]) {
        text_add(out, site->function[0] ? " " : "");
        text_add_shown(out, site->file);
        if (site->line)
            text_printf(out, ":%u", site->line);
    } else if (site->module[0]) {
        text_add(out, site->function[0] ? " (" : "(");
        text_add_shown(out, site->module);
        text_add(out, ")");
    }
}

/* The line of a stack behind the one of its place; NULL: none that has a name. */
static const char *caller_of(const struct fact_site *site)
{
    const char *at = site->stack ? site->stack : "";
    size_t len = strlen(site->function);
    while (len && *at && (strncmp(at, site->function, len) != 0 || at[len] != ' '))
        at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n');
    at += strcspn(at, "\n");
    return len && *at && at[1] && at[1] != '?' ? at + 1 : NULL;
}

void check_add_site_called(struct text *out, const struct fact_site *site)
{
    const char *caller = site ? caller_of(site) : NULL;
    struct text raw;
    check_add_site(out, site);
    if (!caller || strcmp(site->function, "main") == 0)
        return;
    text_init(&raw);
    text_add_len(&raw, caller, strcspn(caller, "\n"));
    text_add(out, ", called by ");
    text_add_shown(out, text_string(&raw));
    text_free(&raw);
}

/* In single quotes where a shell would take it apart. */
void check_add_command(struct text *out, char **program)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";
    for (char **word = program; *word; word++) {
        text_add(out, word > program ? " " : "");
        if (**word && (*word)[strspn(*word, plain)] == 0) {
            text_add(out, *word);
            continue;
        }
        text_add(out, "'");
        for (const char *c = *word; *c; c++)
            text_add_len(out, *c == '\'' ? "'\\''" : c, *c == '\'' ? 4 : 1);
        text_add(out, "'");
    }
}

static void add_pair(struct text *out, const struct lastack_tuple *t)
{
    words_end(out, &t->local, t->local_port);
    text_add(out, " <-> ");
    words_end(out, &t->remote, t->remote_port);
}

/* The line that starts at *at, without its newline; moves *at behind it. False: there is none. */
static bool next_line(const char **at, struct text *line)
{
    size_t len = strcspn(*at, "\n");
    text_clear(line);
    if (!**at)
        return false;
    text_add_len(line, *at, len);
    *at += len + ((*at)[len] == '\n');
    return true;
}

/* ---- JSON ---- */

static void json_lines(struct text *out, const char *key, const char *lines)
{
    struct text line;
    text_init(&line);
    text_printf(out, ",\"%s\":[", key);
    for (bool first = true; next_line(&lines, &line); first = false) {
        text_add(out, first ? "" : ",");
        text_add_json(out, text_string(&line));
    }
    text_add(out, "]");
    text_free(&line);
}

static void json_leak(struct text *out, const struct check_leak *leak)
{
    struct text pair;
    text_printf(
        out,
        "{\"code\":\"%s\",\"class\":\"%s\",\"severity\":\"%s\",\"certain\":%s,\"count\":%llu,"
        "\"alive\":%s,\"other_end_too\":%llu,\"sentence\":",
        leak->code, finding_class_of(leak->code), severity_name(leak->severity),
        leak->certain ? "true" : "false", (unsigned long long)leak->cnt,
        leak->alive ? "true" : "false", (unsigned long long)leak->other_end_cnt);
    text_add_json(out, text_string(&leak->sentence));
    json_lines(out, "evidence", text_string(&leak->evidence));
    json_lines(out, "remedy", text_string(&leak->remedy));
    text_add(out, ",\"examples\":[");
    text_init(&pair);
    for (uint32_t i = 0; i < leak->example_cnt; i++) {
        text_clear(&pair);
        add_pair(&pair, &leak->examples[i]);
        text_add(out, i ? "," : "");
        text_add_json(out, text_string(&pair));
    }
    text_free(&pair);
    text_add(out, "],\"facts\":");
    facts_encode_in(out, &leak->list, leak_facts(leak));
    text_add(out, "}");
}

void check_report_json(struct text *out, const struct check_report *report, char **program)
{
    text_printf(out, "{\"version\":%d,\"program\":[", JSON_VERSION);
    for (char **word = program; *word; word++) {
        text_add(out, word > program ? "," : "");
        text_add_json(out, *word);
    }
    text_printf(
        out,
        "],\"status\":%d,\"signal\":%d,\"processes\":%llu,\"connections\":%llu,\"leaked\":%llu,"
        "\"suppressed\":%llu,\"ignored\":%llu,\"killed\":%llu,\"complete\":%s,\"leaks\":[",
        check_status(report->status), WIFSIGNALED(report->status) ? WTERMSIG(report->status) : 0,
        (unsigned long long)report->process_cnt, (unsigned long long)report->connection_cnt,
        (unsigned long long)report->leaked_cnt, (unsigned long long)report->suppressed_cnt,
        (unsigned long long)report->ignored_cnt, (unsigned long long)report->killed_cnt,
        report->blind || report->failed ? "false" : "true");
    for (uint32_t i = 0; i < report->leak_cnt; i++) {
        text_add(out, i ? "," : "");
        json_leak(out, report->leaks[i]);
    }
    text_add(out, "]");
    json_lines(out, "notes", text_string(&report->notes));
    text_add(out, "}\n");
}

/* ---- JUnit ---- */

static void xml_lines(struct text *out, const char *head, const char *lines)
{
    struct text line;
    text_init(&line);
    while (next_line(&lines, &line)) {
        text_add(out, head);
        text_add_xml(out, text_string(&line));
        text_add(out, "\n");
    }
    text_free(&line);
}

static void xml_leak(struct text *out, const struct check_leak *leak)
{
    const struct fact_site *born = leak_born_at(leak);
    struct text name, pair;
    text_init(&name);
    text_init(&pair);
    check_add_site(&name, born);
    text_printf(out, "  <testcase classname=\"lastack.check\" name=\"%s", leak->code);
    text_add(out, name.len ? ": born at " : "");
    text_add_xml(out, text_string(&name));
    if (born && born->file[0]) {
        text_add(out, "\" file=\"");
        text_add_xml(out, born->file);
        text_printf(out, "\" line=\"%u", born->line);
    }
    text_printf(out, "\">\n    <failure type=\"%s\" message=\"", leak->code);
    text_printf(out, "%llu %s not ended: ", (unsigned long long)leak->cnt,
                leak->cnt == 1 ? "connection was" : "connections were");
    text_add_xml(out, text_string(&leak->sentence));
    text_add(out, "\">\n");
    xml_lines(out, "", text_string(&leak->evidence));
    if (born && born->stack)
        xml_lines(out, "born: ", born->stack);
    xml_lines(out, "change: ", text_string(&leak->remedy));
    for (uint32_t i = 0; i < leak->example_cnt; i++) {
        text_clear(&pair);
        add_pair(&pair, &leak->examples[i]);
        xml_lines(out, "example: ", text_string(&pair));
    }
    text_add(out, "    </failure>\n  </testcase>\n");
    text_free(&name);
    text_free(&pair);
}

void check_report_junit(struct text *out, const struct check_report *report, char **program)
{
    struct text command;
    text_init(&command);
    check_add_command(&command, program);
    text_printf(out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<testsuite name=\"lastack check\" tests=\"%u\" failures=\"%u\" errors=\"%d\">\n"
                "  <properties>\n    <property name=\"program\" value=\"",
                report->leak_cnt ? report->leak_cnt : 1, report->leak_cnt,
                !report->leak_cnt && (report->blind || report->failed));
    text_add_xml(out, text_string(&command));
    text_printf(out, "\"/>\n    <property name=\"connections\" value=\"%llu\"/>\n  </properties>\n",
                (unsigned long long)report->connection_cnt);
    for (uint32_t i = 0; i < report->leak_cnt; i++)
        xml_leak(out, report->leaks[i]);
    if (!report->leak_cnt) {
        text_add(out, "  <testcase classname=\"lastack.check\" name=\"every connection is ended\"");
        text_add(out,
                 report->blind || report->failed
                     ? "><error message=\"not all processes could be looked at\"/></testcase>\n"
                     : "/>\n");
    }
    if (report->notes.len) {
        text_add(out, "  <system-out>\n");
        xml_lines(out, "", text_string(&report->notes));
        text_add(out, "  </system-out>\n");
    }
    text_add(out, "</testsuite>\n");
    text_free(&command);
}
