/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a policy, and which rule fits. */
#include "doctor/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "doctor/control.h"
#include "doctor/text.h"

#define DEFAULT_OLDER_US 60000000ull
static const struct policy_limit default_limit = {20, 60000000}, default_total = {100, 60000000};

/* ---- where a complaint goes ---- */

struct place {
    const char *name;
    unsigned line;
    char *why;
    size_t why_len;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct place *p, const char *format,
                                                        ...)
{
    va_list args;
    int at = snprintf(p->why, p->why_len, "%s:%u: ", p->name, p->line);
    va_start(args, format);
    if (at >= 0 && (size_t)at < p->why_len)
        vsnprintf(p->why + at, p->why_len - (size_t)at, format, args);
    va_end(args);
    return -EINVAL;
}

/* The same about a word of the file, which may hold any byte. */
static int refuse_word(const struct place *p, const char *head, const char *word, const char *tail)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, word);
    int result = refuse(p, "%s\"%.80s\"%s", head, text_string(&shown), tail);
    text_free(&shown);
    return result;
}

/* ---- values ---- */

static bool number_parse(uint64_t *value, const char *word, uint64_t max, char **end)
{
    if (*word < '0' || *word > '9')
        return false;
    errno = 0;
    *value = strtoull(word, end, 10);
    return errno == 0 && *value <= max;
}

bool policy_duration_parse(uint64_t *us, const char *word)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {{"s", 1000000},         {"sec", 1000000},   {"m", 60000000},
                 {"min", 60000000},      {"h", 3600000000u}, {"d", 86400000000u},
                 {"w", 7 * 86400000000u}};
    char *end;
    if (!number_parse(us, word, 1000000, &end))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0) {
            *us *= units[i].us;
            return true;
        }
    return false;
}

/* "20/min", "5/10s". */
static bool limit_parse(struct policy_limit *limit, const char *word)
{
    uint64_t cnt;
    char *end, unit[16];
    if (!number_parse(&cnt, word, 1000000, &end) || *end != '/' || strlen(end + 1) > 12)
        return false;
    bool digits = end[1] >= '0' && end[1] <= '9';
    snprintf(unit, sizeof unit, "%s%.12s", digits ? "" : "1", end + 1);
    limit->cnt = (uint32_t)cnt;
    return policy_duration_parse(&limit->period_us, unit) && limit->period_us > 0;
}

static bool is_kind(const char *word, size_t len)
{
    const struct finding_kind *kind;
    for (unsigned i = 0; (kind = finding_kind_at(i)); i++)
        if ((strlen(kind->code) == len && memcmp(kind->code, word, len) == 0) ||
            (strlen(kind->class) == len && memcmp(kind->class, word, len) == 0))
            return true;
    return false;
}

static int take_finding(struct policy_rule *rule, const char *value, const struct place *p)
{
    if (strlen(value) >= sizeof rule->finding)
        return refuse(p, "finding= names too many");
    for (const char *at = value;; at++) {
        size_t len = strcspn(at, ",");
        if (!is_kind(at, len))
            return refuse_word(p, "there is no finding ", value,
                               "; lastack explain lists codes and classes");
        at += len;
        if (!*at)
            break;
    }
    snprintf(rule->finding, sizeof rule->finding, "%s", value);
    return 0;
}

static int take_states(struct policy_rule *rule, char *value, const struct place *p)
{
    char *save;
    for (char *word = strtok_r(value, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        unsigned s = 0;
        while (s < LASTACK_STATE_CNT &&
               strcasecmp(word, fact_state_name((enum lastack_state)s)) != 0)
            s++;
        if (s == LASTACK_STATE_CNT)
            return refuse_word(p, "there is no state ", word, "; those of ss are known");
        rule->states |= 1u << s;
    }
    return rule->states ? 0 : refuse(p, "state= names none");
}

static int take_name(char *to, size_t len, const char *key, const char *value,
                     const struct place *p)
{
    if (!*value || strlen(value) >= len)
        return refuse(p, "%s= takes a name of 1 to %zu bytes", key, len - 1);
    snprintf(to, len, "%s", value);
    return 0;
}

/* ---- lines ---- */

/* What `end` rules have and `keep` rules do not. */
static int take_ending(struct policy_rule *rule, const char *key, const char *value,
                       const struct place *p)
{
    if (rule->keep)
        return refuse(p, "%s= belongs to rules that end", key);
    if (strcmp(key, "older") == 0)
        return policy_duration_parse(&rule->older_us, value)
                   ? 0
                   : refuse_word(p, "older= takes a time like 90s, 10m, 2h or 1d, not ", value, "");
    if (strcmp(key, "limit") == 0)
        return limit_parse(&rule->limit, value)
                   ? 0
                   : refuse_word(p, "limit= takes a number and a time like 20/min, not ", value, "");
    rule->max = control_how_parse(value);
    return rule->max >= 0 ? 0 : refuse_word(p, "max= takes wr, rdwr or rst, not ", value, "");
}

static int take_key(struct policy_rule *rule, const char *key, char *value, const struct place *p)
{
    uint64_t port;
    char *end;
    if (strcmp(key, "finding") == 0)
        return take_finding(rule, value, p);
    if (strcmp(key, "program") == 0)
        return take_name(rule->program, sizeof rule->program, key, value, p);
    if (strcmp(key, "stack") == 0)
        return take_name(rule->stack, sizeof rule->stack, key, value, p);
    if (strcmp(key, "state") == 0)
        return take_states(rule, value, p);
    if (strcmp(key, "port") == 0) {
        if (!number_parse(&port, value, 65535, &end) || *end || port == 0)
            return refuse_word(p, "port= takes a number from 1 to 65535, not ", value, "");
        rule->port = (uint16_t)port;
        return 0;
    }
    if (strcmp(key, "older") == 0 || strcmp(key, "limit") == 0 || strcmp(key, "max") == 0)
        return take_ending(rule, key, value, p);
    return refuse_word(p, "there is no key ", key,
                       "; known are finding, program, stack, state, port, older, max, limit");
}

/* The words behind "end" or "keep": each key once. */
static int take_words(struct policy_rule *rule, char *save, const struct place *p)
{
    unsigned cnt = 0;
    const char *seen[8];
    for (char *word; (word = strtok_r(NULL, " \t", &save)); cnt++) {
        char *equals = strchr(word, '=');
        if (!equals)
            return refuse_word(p, "", word, " is not of the form key=value");
        *equals = 0;
        for (unsigned i = 0; i < cnt; i++)
            if (strcmp(seen[i], word) == 0)
                return refuse_word(p, "", word, " is said twice");
        int result = take_key(rule, word, equals + 1, p);
        if (result < 0)
            return result;
        seen[cnt] = word; /* no more than there are keys, or one would be said twice */
    }
    if (cnt == 0)
        return refuse(p, "%s what? Say for instance port=22", rule->keep ? "keep" : "end");
    if (!rule->keep && !rule->finding[0])
        return refuse(p, "a rule that ends must name a finding (finding=end-seen): age or port alone "
                         "is no reason to end a connection");
    return 0;
}

static int take_rule(struct policy *policy, bool keep, char *save, const struct place *p)
{
    struct policy_rule rule = {.keep = keep,
                               .line = p->line,
                               .older_us = DEFAULT_OLDER_US,
                               .max = SHUT_RDWR,
                               .limit = default_limit};
    int result = take_words(&rule, save, p);
    if (result < 0)
        return result;
    if (policy->rule_cnt == POLICY_RULE_MAX)
        return refuse(p, "more than %d rules", POLICY_RULE_MAX);
    struct policy_rule *rules =
        realloc(policy->rules, (policy->rule_cnt + 1) * sizeof *policy->rules);
    if (!rules)
        return -ENOMEM;
    policy->rules = rules;
    policy->rules[policy->rule_cnt++] = rule;
    return 0;
}

static int take_total(struct policy *policy, char *save, const struct place *p)
{
    const char *word = strtok_r(NULL, " \t", &save);
    if (word && strncmp(word, "limit=", 6) == 0 && limit_parse(&policy->total, word + 6) &&
        !strtok_r(NULL, " \t", &save))
        return 0;
    return refuse(p, "total takes one limit, like: total limit=100/min");
}

static int take_line(struct policy *policy, char *line, const struct place *p)
{
    char *save;
    char *comment = strchr(line, '#');
    if (comment)
        *comment = 0;
    const char *verb = strtok_r(line, " \t", &save);
    if (!verb)
        return 0;
    if (strcmp(verb, "total") == 0)
        return take_total(policy, save, p);
    bool keep = strcmp(verb, "keep") == 0;
    if (keep || strcmp(verb, "end") == 0)
        return take_rule(policy, keep, save, p);
    return refuse_word(p, "a line begins with end, keep or total, not with ", verb, "");
}

int policy_parse(struct policy *policy, const char *name, const char *text, size_t len, char *why,
                 size_t why_len)
{
    struct place p = {name, 0, why, why_len};
    char line[POLICY_LINE_MAX];
    int result = 0;
    *policy = (struct policy){.total = default_total};
    for (size_t at = 0; at < len && result == 0;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - text) - at : len - at;
        p.line++;
        if (line_len >= sizeof line || memchr(text + at, 0, line_len)) {
            result = refuse(&p, line_len >= sizeof line ? "the line is too long"
                                                        : "there is a NUL byte in it: is it text?");
            break;
        }
        memcpy(line, text + at, line_len);
        line[line_len] = 0;
        if (line_len && line[line_len - 1] == '\r')
            line[line_len - 1] = 0;
        result = take_line(policy, line, &p);
        at += line_len + 1;
    }
    if (result == -ENOMEM)
        snprintf(why, why_len, "no memory for the rules of %s", name);
    if (result < 0)
        policy_free(policy);
    return result;
}

void policy_free(struct policy *policy)
{
    free(policy->rules);
    memset(policy, 0, sizeof *policy);
}

/* ---- which rule fits ---- */

static bool is_held_by(const struct facts *f, const char *pattern)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (fnmatch(pattern, f->holders[i].program, 0) == 0)
            return true;
    return false;
}

static bool fits_place(const struct policy_rule *rule, const struct facts *f)
{
    return (!rule->states || rule->states & 1u << f->state) &&
           (!rule->port || f->tuple.local_port == rule->port ||
            f->tuple.remote_port == rule->port) &&
           (!rule->stack[0] || fnmatch(rule->stack, f->stack, 0) == 0) &&
           (!rule->program[0] || is_held_by(f, rule->program));
}

/* The finding that a rule speaks of; NULL: none of them. A rule without: the first. */
static const char *fits_finding(const struct policy_rule *rule, const struct finding *findings,
                                uint32_t cnt)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (!rule->finding[0] || text_is_among(rule->finding, findings[i].code) ||
            text_is_among(rule->finding, findings[i].class))
            return findings[i].code;
    return NULL;
}

static bool may_be_touched(const struct facts *f, const struct finding *findings, uint32_t cnt,
                           const struct rules_options *options)
{
    if (f->id == 0 || f->state == LASTACK_LISTEN || f->state == LASTACK_CLOSED ||
        f->state == LASTACK_TIME_WAIT || rules_half_close_works(f, options))
        return false;
    for (uint32_t i = 0; i < cnt; i++)
        if (findings[i].severity == SEVERITY_HEALTHY || findings[i].may_work)
            return false;
    return true;
}

const struct policy_rule *policy_rule_for(const struct policy *policy, const struct facts *f,
                                          const struct finding *findings, uint32_t finding_cnt,
                                          const struct rules_options *options, const char **code)
{
    if (!may_be_touched(f, findings, finding_cnt, options))
        return NULL;
    for (unsigned i = 0; i < policy->rule_cnt; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        uint64_t rest_us = facts_rest_us(f);
        bool old = rule->keep || (fact_known(rest_us) && rest_us >= rule->older_us);
        if (old && fits_place(rule, f) && (*code = fits_finding(rule, findings, finding_cnt)))
            return rule;
    }
    return NULL;
}
