/* SPDX-License-Identifier: BSD-2-Clause */
/* One suppression is a line of words KIND:PATTERN, all of which must match. */
#include "check/suppress.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct suppression {
    struct suppression *next;
    char *path;
    unsigned line_number;
    bool used;
    char text[]; /* the line, words apart by one blank */
};

struct suppressions {
    struct suppression *first, **last;
};

static const char *const kinds[] = {"function", "file", "program", "port", "code"};
#define KIND_CNT (sizeof kinds / sizeof kinds[0])

/* ---- reading ---- */

static bool word_is_good(const char *word, size_t len)
{
    for (size_t i = 0; i < KIND_CNT; i++) {
        size_t kind_len = strlen(kinds[i]);
        if (len > kind_len + 1 && strncmp(word, kinds[i], kind_len) == 0 && word[kind_len] == ':')
            return true;
    }
    return false;
}

/* 1: a suppression, in `out`; 0: an empty line or a remark; -1: wrong, `word` is where. */
static int line_parse(char *line, char *out, const char **word)
{
    char *rest = NULL;
    *out = 0;
    line[strcspn(line, "\r\n")] = 0;
    for (char *w = strtok_r(line, " \t", &rest); w && *w != '#'; w = strtok_r(NULL, " \t", &rest)) {
        *word = w;
        if (!word_is_good(w, strlen(w)))
            return -1;
        strcat(out, *out ? " " : "");
        strcat(out, w);
    }
    return *out != 0;
}

static bool add(struct suppressions *all, const char *path, unsigned number, const char *text)
{
    struct suppression *s = malloc(sizeof *s + strlen(text) + 1);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return false;
    }
    s->next = NULL;
    s->line_number = number;
    s->used = false;
    strcpy(s->text, text);
    *all->last = s;
    all->last = &s->next;
    return true;
}

static bool read_lines(struct suppressions *all, FILE *file, const char *path, char *why,
                       size_t why_len)
{
    char *line = NULL, *text = NULL;
    size_t cap = 0;
    bool good = true;
    for (unsigned number = 1; good && getline(&line, &cap, file) >= 0; number++) {
        const char *word = "";
        char *larger = realloc(text, cap + 1);
        text = larger ? larger : text;
        int result = larger ? line_parse(line, text, &word) : -1;
        if (result > 0 && !add(all, path, number, text))
            result = -1;
        good = result >= 0;
        if (!good)
            snprintf(why, why_len,
                     "%s:%u: \"%s\" is no suppression: function:PATTERN, file:PATTERN, "
                     "program:PATTERN, port:NUMBER and code:CODE are",
                     path, number, word);
    }
    free(line);
    free(text);
    return good;
}

bool suppressions_read(struct suppressions **all, const char *path, char *why, size_t why_len)
{
    if (!*all) {
        *all = calloc(1, sizeof **all);
        if (*all)
            (*all)->last = &(*all)->first;
    }
    FILE *file = *all ? fopen(path, "re") : NULL;
    if (!file) {
        snprintf(why, why_len, "%s: %s", path, strerror(errno));
        return false;
    }
    bool good = read_lines(*all, file, path, why, why_len);
    fclose(file);
    return good;
}

/* ---- matching ---- */

static bool glob(const char *pattern, const char *name)
{
    return *name && fnmatch(pattern, name, 0) == 0;
}

/* A file by its whole name, or by its last part. */
static bool glob_file(const char *pattern, const char *name)
{
    const char *slash = strrchr(name, '/');
    return glob(pattern, name) || (slash && glob(pattern, slash + 1));
}

/* Any frame: "function file:line" or "function (module)", innermost first. */
static bool site_matches(const struct fact_site *site, bool by_file, const char *pattern)
{
    if (!site)
        return false;
    if (by_file ? glob_file(pattern, site->file) || glob_file(pattern, site->module)
                : glob(pattern, site->function))
        return true;
    for (const char *line = site->stack; line && *line;) {
        char frame[256], *place;
        size_t len = strcspn(line, "\n");
        snprintf(frame, sizeof frame, "%.*s", (int)(len < 255 ? len : 255), line);
        line += len + (line[len] == '\n');
        place = strrchr(frame, ' ');
        if (!place)
            continue;
        *place++ = 0;
        char *end = *place == '(' ? strchr(place, ')') : strrchr(place, ':');
        if (end)
            *end = 0;
        if (by_file ? glob_file(pattern, place + (*place == '(')) : glob(pattern, frame))
            return true;
    }
    return false;
}

static bool program_matches(const struct facts *f, const char *pattern)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (glob(pattern, f->holders[i].program))
            return true;
    return glob(pattern, f->creator_program);
}

static bool word_matches(const char *word, const struct check_leak *leak)
{
    const struct facts *f = leak_facts(leak);
    const char *pattern = strchr(word, ':') + 1;
    unsigned long port = strtoul(pattern, NULL, 10);
    switch (pattern - word) {
    case sizeof "function":
        return site_matches(leak_born_at(leak), false, pattern);
    case sizeof "program":
        return program_matches(f, pattern);
    default:
        if (strncmp(word, "file", 4) == 0)
            return site_matches(leak_born_at(leak), true, pattern);
        if (strncmp(word, "port", 4) == 0)
            return port && (f->tuple.local_port == port || f->tuple.remote_port == port);
        return fnmatch(pattern, leak->code, 0) == 0;
    }
}

bool suppressions_match(struct suppressions *all, const struct check_leak *leak)
{
    for (struct suppression *s = all ? all->first : NULL; s; s = s->next) {
        bool matches = true;
        char *copy = strdup(s->text), *rest = NULL;
        for (char *w = copy ? strtok_r(copy, " ", &rest) : NULL; w; w = strtok_r(NULL, " ", &rest))
            matches = matches && word_matches(w, leak);
        matches = matches && copy;
        free(copy);
        if (matches) {
            s->used = true;
            return true;
        }
    }
    return false;
}

void suppressions_add_unused(const struct suppressions *all, struct text *notes)
{
    for (const struct suppression *s = all ? all->first : NULL; s; s = s->next) {
        if (s->used)
            continue;
        text_add(notes, "the suppression \"");
        text_add_shown(notes, s->text);
        text_add(notes, "\" (");
        text_add_shown(notes, s->path);
        text_printf(notes, ":%u) matched nothing; take it out if that is so in every run\n",
                    s->line_number);
    }
}

void suppressions_free(struct suppressions *all)
{
    for (struct suppression *s = all ? all->first : NULL, *next; s; s = next) {
        next = s->next;
        free(s->path);
        free(s);
    }
    free(all);
}
