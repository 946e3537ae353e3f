/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding stacks and connections, and complaints when there are none. */
#include "cli/cli.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lastack.h"

const char cli_version[] = "lastack " LASTACK_VERSION;

void complain(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "%s: ", command);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = cli_version;
    if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
        exit(EXIT_USAGE);
}

/* ---- stacks ---- */

static int complain_no_stack(const char *command, const char *why)
{
    complain(command, "no stack is running%s%s%s. Start a program on one: lastack run -- PROGRAM",
             *why ? " that can be seen from here (" : "", why, *why ? ")" : "");
    return EXIT_NO_STACK;
}

/* A name with whatever a stranger put into it, for a complaint. */
static void complain_shown(const char *command, const char *head, const char *raw, const char *tail)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, raw);
    complain(command, "%s%s%s", head, text_string(&shown), tail);
    text_free(&shown);
}

static int ask_one(struct catch *catch, const char *command, const char *name)
{
    char why[CONTROL_WHY_LEN];
    uint32_t from = catch->list.cnt;
    int result = control_ask_facts(name, &catch->list, why);
    for (uint32_t i = from; i < catch->list.cnt; i++)
        snprintf(catch->list.all[i].stack, sizeof catch->list.all[i].stack, "%s", name);
    if (result == 0) {
        snprintf(catch->names[catch->stack_cnt++], CONTROL_NAME_LEN, "%s", name);
        return EXIT_DONE;
    }
    complain_shown(command, "", why, "");
    return EXIT_NO_STACK;
}

static int ask_all(struct catch *catch, const char *command)
{
    char names[STACK_MAX][CONTROL_NAME_LEN], why[CONTROL_WHY_LEN];
    int status = EXIT_DONE, cnt = control_find(names, STACK_MAX, why);
    if (cnt == 0)
        return complain_no_stack(command, why);
    /* One that does not answer is no reason to hide the others. */
    for (int i = 0; i < cnt; i++)
        status = ask_one(catch, command, names[i]) == EXIT_DONE ? status : EXIT_NO_STACK;
    return catch->stack_cnt ? EXIT_DONE : status;
}

/* ---- recorded facts ---- */

static int read_file(struct catch *catch, const char *command, const char *path)
{
    char bytes[65536], why[CONTROL_WHY_LEN];
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    struct text all;
    text_init(&all);
    for (size_t len; file && (len = fread(bytes, 1, sizeof bytes, file)) > 0;)
        text_add_len(&all, bytes, len);
    int result = file && !ferror(file) ? 0 : -errno;
    if (file && file != stdin)
        fclose(file);
    if (result < 0)
        complain(command, "%s: %s", path, strerror(-result));
    else if ((result = facts_decode(&catch->list, text_string(&all), why, sizeof why)) < 0)
        complain(command, "%s holds no facts as \"lastack ss --all --json\" writes them: %s", path,
                 why);
    text_free(&all);
    return result < 0 ? EXIT_NOT_DONE : EXIT_DONE;
}

/* The names of the stacks in recorded facts. */
static void collect_names(struct catch *catch)
{
    for (uint32_t i = 0; i < catch->list.cnt; i++) {
        const char *name = catch->list.all[i].stack;
        int at = 0;
        while (at < catch->stack_cnt && strcmp(catch->names[at], name) != 0)
            at++;
        if (at == catch->stack_cnt && at < STACK_MAX)
            snprintf(catch->names[catch->stack_cnt++], CONTROL_NAME_LEN, "%s", name);
    }
}

int catch_fill(struct catch *catch, const char *command, const char *name, const char *file)
{
    int status;
    memset(catch, 0, sizeof *catch);
    facts_list_init(&catch->list);
    if (file) {
        status = read_file(catch, command, file);
        collect_names(catch);
    } else {
        status = name ? ask_one(catch, command, name) : ask_all(catch, command);
    }
    if (catch->list.failed) {
        complain(command, "no memory for all facts");
        status = EXIT_NOT_DONE;
    }
    return status;
}

void catch_free(struct catch *catch)
{
    facts_list_free(&catch->list);
}

/* ---- ids ---- */

void catch_add_id(const struct catch *catch, struct text *out, const struct facts *facts)
{
    if (facts->id == 0) {
        text_add(out, "-");
        return;
    }
    if (catch->stack_cnt > 1) {
        text_add_shown(out, facts->stack);
        text_add(out, "/");
    }
    text_printf(out, "%llu", (unsigned long long)facts->id);
}

bool target_parse(const char *target, char name[CONTROL_NAME_LEN], uint64_t *id)
{
    const char *slash = strchr(target, '/'), *digits = slash ? slash + 1 : target;
    size_t name_len = slash ? (size_t)(slash - target) : 0;
    if (*digits < '0' || *digits > '9' || name_len >= CONTROL_NAME_LEN || (slash && !name_len))
        return false;
    char *end;
    errno = 0;
    *id = strtoull(digits, &end, 10);
    memcpy(name, target, name_len);
    name[name_len] = 0;
    return *end == 0 && errno == 0 && *id != 0;
}

static void complain_ambiguous(const struct catch *catch, const char *command, uint64_t id)
{
    struct text which;
    text_init(&which);
    for (uint32_t i = 0; i < catch->list.cnt; i++) {
        if (catch->list.all[i].id != id)
            continue;
        text_add(&which, which.len ? " or " : "");
        catch_add_id(catch, &which, &catch->list.all[i]);
    }
    complain(command, "several stacks have a connection %llu: say %s", (unsigned long long)id,
             text_string(&which));
    text_free(&which);
}

const struct facts *catch_find(const struct catch *catch, const char *command, const char *target)
{
    char name[CONTROL_NAME_LEN];
    const struct facts *found = NULL;
    uint64_t id;
    if (!target_parse(target, name, &id)) {
        complain_shown(command, "\"", target,
                       "\" is no id of a connection (7, or web/7); lastack ss --all shows them");
        return NULL;
    }
    for (uint32_t i = 0; i < catch->list.cnt; i++) {
        const struct facts *f = &catch->list.all[i];
        if (f->id != id || (*name && strcmp(f->stack, name) != 0))
            continue;
        if (found) {
            complain_ambiguous(catch, command, id);
            return NULL;
        }
        found = f;
    }
    if (!found)
        complain_shown(command, "there is no connection ", target,
                       " (any more); lastack ss --all shows those that are there");
    return found;
}
