/* SPDX-License-Identifier: BSD-2-Clause */
/* Complaints, and facts from where a command was told to look. */
#include "cli/cli.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/render.h"
#include "kernel/recorder.h"
#include "lastack.h"

const char cli_version[] = "lastack " LASTACK_VERSION;

static struct text *complaints;

void complain_into(struct text *collected)
{
    complaints = collected;
}

void complain(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (complaints) {
        text_vprintf(complaints, format, args);
        text_add(complaints, "\n");
    } else {
        fflush(stdout);
        fprintf(stderr, "%s: ", command);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
    }
    va_end(args);
}

void cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = cli_version;
    if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
        exit(EXIT_USAGE);
}

/* A name with whatever a stranger put into it, for a complaint. */
void complain_shown(const char *command, const char *head, const char *raw, const char *tail)
{
    struct text shown;
    text_init(&shown);
    text_add_shown(&shown, raw);
    complain(command, "%s%s%s", head, text_string(&shown), tail);
    text_free(&shown);
}

/* ---- what was seen ---- */

static bool is_kernel(const char *stack)
{
    size_t len = strlen(KERNEL_STACK);
    return strncmp(stack, KERNEL_STACK, len) == 0 && (stack[len] == 0 || stack[len] == '@');
}

static void catch_add_name(struct catch *catch, const char *name)
{
    int at = 0;
    if (is_kernel(name))
        name = KERNEL_STACK;
    while (at < catch->stack_cnt && strcmp(catch->names[at], name) != 0)
        at++;
    if (at == catch->stack_cnt && at < STACK_MAX)
        snprintf(catch->names[catch->stack_cnt++], CONTROL_NAME_LEN, "%s", name);
}

static void catch_add_unseen(struct catch *catch, const char *sentence)
{
    size_t len = strlen(sentence);
    if (!len)
        return;
    text_add(&catch->unseen, sentence);
    if (sentence[len - 1] != '\n')
        text_add(&catch->unseen, "\n");
}

/* ---- the kernel ---- */

static int ask_kernel(struct catch *catch, const char *command, const struct look *look)
{
    struct kernel_view view;
    char why[CONTROL_WHY_LEN] = "";
    kernel_view_init(&view);
    int result = facts_from_kernel(&catch->list, &look->kernel, &view, why, sizeof why);
    catch_add_unseen(catch, text_string(&view.unseen));
    kernel_view_free(&view);
    if (result < 0) {
        complain_shown(command, "the kernel's connections cannot be read: ",
                       *why ? why : strerror(-result), "");
        return EXIT_USAGE;
    }
    catch_add_name(catch, KERNEL_STACK);
    if (!look->no_history &&
        (result = facts_add_history(&catch->list, &catch->recorder, why, sizeof why)) < 0)
        catch_add_unseen(catch, *why ? why : strerror(-result));
    return EXIT_DONE;
}

/* ---- stacks of ours ---- */

static int ask_one(struct catch *catch, const char *command, const char *name)
{
    char why[CONTROL_WHY_LEN];
    uint32_t from = catch->list.cnt;
    int result = control_ask_facts(name, &catch->list, why);
    for (uint32_t i = from; i < catch->list.cnt; i++)
        snprintf(catch->list.all[i].stack, sizeof catch->list.all[i].stack, "%.*s",
                 (int)sizeof catch->list.all[i].stack - 1, name);
    if (result == 0) {
        catch_add_name(catch, name);
        return EXIT_DONE;
    }
    if (command)
        complain_shown(command, "", why, "");
    else
        catch_add_unseen(catch, why);
    return EXIT_USAGE;
}

static int ask_all(struct catch *catch, const char *command, const struct look *look)
{
    char names[STACK_MAX][CONTROL_NAME_LEN], why[CONTROL_WHY_LEN];
    int status = ask_kernel(catch, command, look);
    int cnt = control_find(names, STACK_MAX, why);
    /* One that does not answer is no reason to hide the others. */
    for (int i = 0; i < cnt; i++)
        if (ask_one(catch, NULL, names[i]) == EXIT_DONE)
            status = EXIT_DONE;
    catch_add_unseen(catch, why);
    return status;
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
    return result < 0 ? EXIT_USAGE : EXIT_DONE;
}

int catch_look(struct catch *catch, const char *command, const struct look *look)
{
    int status;
    memset(catch, 0, sizeof *catch);
    facts_list_init(&catch->list);
    text_init(&catch->unseen);
    if (!complaints)
        progress_start(command);
    if (look->file)
        status = read_file(catch, command, look->file);
    else if (look->stack && is_kernel(look->stack))
        status = ask_kernel(catch, command, look);
    else
        status = look->stack ? ask_one(catch, command, look->stack)
                             : ask_all(catch, command, look);
    progress_stop();
    for (uint32_t i = 0; i < catch->list.cnt; i++)
        if (i == 0 || strcmp(catch->list.all[i].stack, catch->list.all[i - 1].stack) != 0)
            catch_add_name(catch, catch->list.all[i].stack);
    if (catch->list.failed) {
        complain(command, "no memory for all facts");
        status = EXIT_USAGE;
    }
    facts_list_relate(&catch->list);
    return status;
}

int catch_fill(struct catch *catch, const char *command, const char *name, const char *file)
{
    struct look look = {.stack = name, .file = file};
    return catch_look(catch, command, &look);
}

void catch_free(struct catch *catch)
{
    facts_list_free(&catch->list);
    text_free(&catch->unseen);
}

void catch_put_unseen(const struct catch *catch, const struct screen *screen)
{
    struct text shown;
    if (!catch->unseen.len)
        return;
    text_init(&shown);
    text_add(&shown, "Not seen: ");
    for (const char *line = text_string(&catch->unseen); *line;) {
        size_t len = strcspn(line, "\n");
        struct text raw;
        text_init(&raw);
        text_add_len(&raw, line, len);
        text_add_shown(&shown, text_string(&raw));
        text_free(&raw);
        line += len + (line[len] == '\n');
        text_add(&shown, *line ? "; " : "");
    }
    screen_begin(screen, STYLE_DIM);
    screen_paragraph(screen, "", text_string(&shown));
    screen_end(screen, STYLE_DIM);
    text_free(&shown);
}
