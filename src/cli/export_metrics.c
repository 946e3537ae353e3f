/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts and findings as numbers in the text format of Prometheus. Label sets are bounded: states,
 * codes, severities are known; of programs and stacks the most frequent keep their names. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/export.h"
#include "lastack.h"

#define NAME_LEN      32
#define KEEP_MAX      (EXPORT_STACK_MAX > EXPORT_PROGRAM_MAX ? EXPORT_STACK_MAX : EXPORT_PROGRAM_MAX)
#define LOG_CHUNK_MAX (64u << 20)

/* ---- the format ---- */

static void head(struct text *out, const char *name, const char *type, const char *help)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: what a stranger wrote is made visible, then escaped as the format wants it. */
static void add_value(struct text *out, const char *raw)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, raw);
    text_add(out, "\"");
    for (const char *c = text_string(&shown); *c; c++) {
        if (*c == '"' || *c == '\\')
            text_add(out, "\\");
        text_add_len(out, c, 1);
    }
    text_add(out, "\"");
    text_free(&shown);
}

static void add_seconds(struct text *out, uint64_t us)
{
    text_printf(out, "%llu.%06llu\n", (unsigned long long)us / 1000000,
                (unsigned long long)us % 1000000);
}

static void single(struct text *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    head(out, name, type, help);
    text_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* ---- the most frequent names ---- */

struct keep {
    char names[KEEP_MAX][NAME_LEN];
    uint32_t counts[KEEP_MAX];
    unsigned cnt;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void keep_offer(struct keep *keep, unsigned max, const char *name, uint32_t count)
{
    unsigned at = keep->cnt;
    if (keep->cnt < max) {
        keep->cnt++;
    } else {
        at = 0;
        for (unsigned i = 1; i < max; i++)
            if (keep->counts[i] < keep->counts[at])
                at = i;
        if (keep->counts[at] >= count)
            return;
    }
    keep->counts[at] = count;
    memset(keep->names[at], 0, NAME_LEN);
    memcpy(keep->names[at], name, strnlen(name, NAME_LEN - 1));
}

/* Sorts `names`. */
static void keep_most(struct keep *keep, const char **names, uint32_t cnt, unsigned max)
{
    keep->cnt = 0;
    qsort(names, cnt, sizeof *names, compare_names);
    for (uint32_t i = 0, run; i < cnt; i += run) {
        for (run = 1; i + run < cnt && strcmp(names[i], names[i + run]) == 0;)
            run++;
        keep_offer(keep, max, names[i], run);
    }
}

static const char *keep_name(const struct keep *keep, const char *name)
{
    for (unsigned i = 0; i < keep->cnt; i++)
        if (strcmp(keep->names[i], name) == 0)
            return keep->names[i];
    return "other";
}

/* ---- connections ---- */

struct stack_row {
    const char *name;
    uint32_t states[LASTACK_STATE_CNT];
};

static struct stack_row *row_of(struct stack_row *rows, unsigned *cnt, const char *name)
{
    unsigned at = 0;
    while (at < *cnt && strcmp(rows[at].name, name) != 0)
        at++;
    if (at == *cnt)
        rows[(*cnt)++] = (struct stack_row){.name = name};
    return &rows[at];
}

/* Namespaces without a name come and go with their containers: their numbers would be ever new
 * series. */
static const char *stack_label(const struct facts *f)
{
    const char *at = strchr(f->stack, '@');
    bool unnamed = f->source == FACT_SOURCE_KERNEL && at && at[1] &&
                   strspn(at + 1, "0123456789") == strlen(at + 1);
    return unnamed ? KERNEL_STACK "@unnamed" : f->stack;
}

static void put_connections(struct text *out, const struct facts_list *list)
{
    static struct keep keep;
    static struct stack_row rows[EXPORT_STACK_MAX + 1];
    unsigned row_cnt = 0;
    const char **names = malloc((list->cnt + 1u) * sizeof *names);
    if (!names)
        return;
    for (uint32_t i = 0; i < list->cnt; i++)
        names[i] = stack_label(&list->all[i]);
    keep_most(&keep, names, list->cnt, EXPORT_STACK_MAX);
    free(names);
    for (uint32_t i = 0; i < list->cnt; i++) {
        const struct facts *f = &list->all[i];
        row_of(rows, &row_cnt, keep_name(&keep, stack_label(f)))->states[f->state]++;
    }
    head(out, "lastack_connections", "gauge",
         "Sockets by stack (kernel, kernel@NAME of a named network namespace, kernel@unnamed, or a stack "
         "of lastack) and TCP state.");
    for (unsigned i = 0; i < row_cnt; i++)
        for (unsigned s = 0; s < LASTACK_STATE_CNT; s++) {
            /* The kernel's TIME-WAIT entries are not looked at: no number is better than 0. */
            if (s == LASTACK_TIME_WAIT && !rows[i].states[s])
                continue;
            text_add(out, "lastack_connections{stack=");
            add_value(out, rows[i].name);
            text_printf(out, ",state=\"%s\"} %u\n", fact_state_name((enum lastack_state)s),
                        rows[i].states[s]);
        }
}

/* ---- findings ---- */

struct cell {
    const char *code, *program;
    enum severity severity;
};

static int compare_cells(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    int c = strcmp(x->code, y->code);
    c = c ? c : (int)x->severity - (int)y->severity;
    return c ? c : strcmp(x->program, y->program);
}

static const char *program_of(const struct facts *f)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].program[0])
            return f->holders[i].program;
    return "none";
}

static void put_cells(struct text *out, struct cell *cells, uint32_t cnt)
{
    qsort(cells, cnt, sizeof *cells, compare_cells);
    head(out, "lastack_findings", "gauge",
         "Connections with this finding, by severity and by the program that holds them.");
    for (uint32_t i = 0, run; i < cnt; i += run) {
        for (run = 1; i + run < cnt && compare_cells(&cells[i], &cells[i + run]) == 0;)
            run++;
        text_printf(out, "lastack_findings{code=\"%s\",severity=\"%s\",program=", cells[i].code,
                    severity_name(cells[i].severity));
        add_value(out, cells[i].program);
        text_printf(out, "} %u\n", run);
    }
}

static void put_findings(struct text *out, const struct findings *findings)
{
    static struct keep keep;
    const uint32_t cnt = findings->cnt;
    const char **names = malloc((cnt + 1u) * sizeof *names);
    struct cell *cells = malloc((cnt + 1u) * sizeof *cells);
    if (names && cells) {
        for (uint32_t i = 0; i < cnt; i++)
            names[i] = program_of(findings->all[i].about);
        keep_most(&keep, names, cnt, EXPORT_PROGRAM_MAX);
        for (uint32_t i = 0; i < cnt; i++)
            cells[i] = (struct cell){findings->all[i].code,
                                     keep_name(&keep, program_of(findings->all[i].about)),
                                     findings->all[i].severity};
        put_cells(out, cells, cnt);
    }
    free(names);
    free(cells);
}

static void put_oldest(struct text *out, const struct findings *findings)
{
    const struct finding_kind *kind;
    head(out, "lastack_finding_oldest_seconds", "gauge",
         "Time in its state of the oldest connection with this finding.");
    for (unsigned k = 0; (kind = finding_kind_at(k)); k++) {
        uint64_t oldest_us = FACT_NEVER;
        for (uint32_t i = 0; i < findings->cnt; i++) {
            uint64_t us = findings->all[i].about->state_us;
            if (fact_known(us) && (oldest_us == FACT_NEVER || us > oldest_us) &&
                strcmp(findings->all[i].code, kind->code) == 0)
                oldest_us = us;
        }
        if (oldest_us == FACT_NEVER)
            continue;
        text_printf(out, "lastack_finding_oldest_seconds{code=\"%s\"} ", kind->code);
        add_seconds(out, oldest_us);
    }
}

/* ---- about ourselves ---- */

static uint64_t count_lines(const struct text *text)
{
    uint64_t cnt = 0;
    for (const char *c = text_string(text); (c = strchr(c, '\n')); c++)
        cnt++;
    return cnt;
}

static void put_cost(struct text *out, const struct export_cost *cost)
{
    single(out, "lastack_looks_total", "counter", "Looks at all connections since the start.",
           cost->looks);
    single(out, "lastack_look_failures_total", "counter", "Looks that failed.", cost->failures);
    head(out, "lastack_look_seconds", "gauge", "How long the last look took.");
    text_add(out, "lastack_look_seconds ");
    add_seconds(out, cost->last_us);
    head(out, "lastack_cpu_seconds_total", "counter", "CPU time that this exporter has used.");
    text_add(out, "lastack_cpu_seconds_total ");
    add_seconds(out, cost->cpu_us);
}

static void put_ends(struct text *out, const struct export_log *log)
{
    head(out, "lastack_end_actions_total", "counter",
         "Connections that lastack end was asked to end, by outcome, from its log.");
    for (unsigned i = END_ENDED; i < END_OUTCOME_CNT; i++)
        text_printf(out, "lastack_end_actions_total{outcome=\"%s\"} %llu\n",
                    end_outcome_name((enum end_outcome)i), (unsigned long long)log->outcomes[i]);
}

void export_metrics(struct text *out, const struct catch *catch, const struct findings *findings,
                    const struct export_log *log, const struct export_cost *cost)
{
    head(out, "lastack_build_info", "gauge", "The version of lastack.");
    text_add(out, "lastack_build_info{version=\"" LASTACK_VERSION "\"} 1\n");
    single(out, "lastack_look_success", "gauge", "1 if the last look succeeded.", catch != NULL);
    if (catch) {
        put_connections(out, &catch->list);
        put_findings(out, findings);
        put_oldest(out, findings);
        single(out, "lastack_recorder_running", "gauge",
               "1 if lastack watch runs and its history is used.", catch->recorder);
        single(out, "lastack_unseen", "gauge",
               "Kinds of things that could not be seen, for lack of rights or of kernel features.",
               count_lines(&catch->unseen));
    }
    put_ends(out, log);
    put_cost(out, cost);
}

/* ---- the log of `lastack end` ---- */

static void count_line(struct export_log *log, const char *line)
{
    static const char key[] = "\"outcome\":\"";
    const char *at = strstr(line, key); /* within a string its quotes would be escaped */
    for (unsigned i = 0; at && i < END_OUTCOME_CNT; i++) {
        const char *name = end_outcome_name((enum end_outcome)i);
        if (strncmp(at + strlen(key), name, strlen(name)) == 0)
            log->outcomes[i]++;
    }
}

/* Lines that are whole; the rest is read the next time. */
static void count_lines_from(struct export_log *log, int fd)
{
    struct text bytes;
    char chunk[65536];
    ssize_t len;
    text_init(&bytes);
    while (bytes.len < LOG_CHUNK_MAX &&
           (len = pread(fd, chunk, sizeof chunk, log->offset + (off_t)bytes.len)) > 0)
        text_add_len(&bytes, chunk, (size_t)len);
    char *line = bytes.at;
    for (char *end; line && (end = memchr(line, '\n', bytes.len - (size_t)(line - bytes.at)));
         line = end + 1) {
        *end = 0;
        count_line(log, line);
    }
    log->offset += line ? line - bytes.at : 0;
    text_free(&bytes);
}

void export_log_read(struct export_log *log)
{
    struct stat st;
    int fd = log->path[0] ? open(log->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                          : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (st.st_dev != log->device || st.st_ino != log->inode || st.st_size < log->offset) {
            /* A new file: the counts go on, it is the same history. */
            log->device = st.st_dev;
            log->inode = st.st_ino;
            log->offset = 0;
        }
        count_lines_from(log, fd);
    }
    close(fd);
}
