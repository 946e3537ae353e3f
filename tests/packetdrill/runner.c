/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs packetdrill scripts on the adapter, each in a process of its own, and reports in TAP.
 *
 *     runner [--so_flags=FLAGS] [--must-fail] [--base=DIR] SCRIPT-OR-DIRECTORY...
 *
 * --must-fail turns the verdict round: a script that passes is a defect of the runner. Such a
 * script says in a line `// error: TEXT` what its failure must contain.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

#define TIME_LIMIT_S 60 /* of real time, for one script: it hangs */

struct paths {
    char **items;
    size_t cnt, space;
};

static const char *so_flags, *base = "", *name_part;
static bool must_fail;

static void paths_add(struct paths *paths, const char *path)
{
    if (paths->cnt == paths->space) {
        paths->space = paths->space ? paths->space * 2 : 64;
        paths->items = realloc(paths->items, paths->space * sizeof(*paths->items));
        if (!paths->items)
            abort();
    }
    paths->items[paths->cnt++] = strdup(path);
}

static bool paths_collect(struct paths *paths, const char *path)
{
    struct stat status;
    struct dirent *entry;
    DIR *directory;
    bool ok = true;

    if (stat(path, &status)) {
        fprintf(stderr, "runner: %s: %s\n", path, strerror(errno));
        return false;
    }
    if (!S_ISDIR(status.st_mode)) {
        paths_add(paths, path);
        return true;
    }
    directory = opendir(path);
    while (directory && (entry = readdir(directory))) {
        char inner[1024];
        size_t len = strlen(entry->d_name);

        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || stat(inner, &status))
            continue;
        if (S_ISDIR(status.st_mode) || (len > 4 && !strcmp(entry->d_name + len - 4, ".pkt")))
            ok &= paths_collect(paths, inner);
    }
    if (directory)
        closedir(directory);
    return ok;
}

static int path_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the child: 0 passed, 1 failed, 2 not loaded; the error goes to `out`. */
static int script_child(const char *path, FILE *out)
{
    static struct script script;
    static struct run run;
    bool loaded = script_load(&script, path), ok = loaded;
    int status;

    if (loaded)
        ok = run_script(&run, &script, so_flags);
    status = ok ? 0 : loaded ? 1 : 2;
    if (!ok)
        fputs(loaded ? run.error : script.error, out);
    fflush(out);
    if (!ok)
        _exit(status); /* threads may be blocked and the stack is as it was */
    script_free(&script);
    return status;
}

/* Run one script in a child process; `error` gets what it says. */
static bool script_run(const char *path, char *error, size_t size)
{
    int fds[2], status = 0;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    if (pipe(fds))
        abort();
    fflush(stdout);
    pid = fork();
    if (!pid) {
        close(fds[0]);
        dup2(fds[1], STDERR_FILENO); /* assertions and sanitizers belong to the report */
        alarm(TIME_LIMIT_S);
        exit(script_child(path, fdopen(fds[1], "w")));
    }
    close(fds[1]);
    while (used + 1 < size && (n = read(fds[0], error + used, size - 1 - used)) > 0)
        used += (size_t)n;
    error[used] = 0;
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && used + 100 < size)
        snprintf(error + used, size - used, "%s%s: ended by signal %d (%s)", used ? "\n" : "", path,
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

/* What the failure must contain: the rest of the line after `// error: `. */
static bool error_is_wanted(const char *path, const char *error)
{
    FILE *file = fopen(path, "r");
    char line[400];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        if (!strncmp(line, "// error: ", 10)) {
            line[strcspn(line, "\n")] = 0;
            found = strstr(error, line + 10) != NULL;
        }
    if (file)
        fclose(file);
    return found;
}

static void print_lines(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        printf("# %.*s\n", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static bool script_report(size_t number, const char *path)
{
    static char error[20000];
    const char *name = path;
    bool ok = script_run(path, error, sizeof(error));

    if (must_fail)
        ok = !ok && error_is_wanted(path, error);
    if (!strncmp(name, base, strlen(base)))
        name += strlen(base);
    printf("%s %zu - %s\n", ok ? "ok" : "not ok", number, *name == '/' ? name + 1 : name);
    if (!ok && must_fail)
        printf("# must fail with the error that its comment names; what came:\n");
    if (!ok)
        print_lines(error[0] ? error : "it passed");
    fflush(stdout);
    return ok;
}

static bool argument(struct paths *paths, const char *text)
{
    if (!strncmp(text, "--so_flags=", 11))
        so_flags = text + 11;
    else if (!strncmp(text, "--base=", 7))
        base = text + 7;
    else if (!strncmp(text, "--only=", 7))
        name_part = text + 7;
    else if (!strcmp(text, "--must-fail"))
        must_fail = true;
    else if (text[0] == '-')
        return false;
    else
        return paths_collect(paths, text);
    return true;
}

int main(int argc, char **argv)
{
    struct paths paths = {0};
    size_t failed_cnt = 0, cnt = 0;

    for (int i = 1; i < argc; i++)
        if (!argument(&paths, argv[i])) {
            fprintf(stderr, "usage: runner [--so_flags=FLAGS] [--must-fail] [--base=DIR] "
                            "[--only=PART-OF-NAME] SCRIPT-OR-DIRECTORY...\n");
            return 2;
        }
    if (paths.cnt)
        qsort(paths.items, paths.cnt, sizeof(*paths.items), path_order);
    for (size_t i = 0; i < paths.cnt; i++)
        if (!name_part || strstr(paths.items[i], name_part)) {
            char *chosen = paths.items[i];

            paths.items[i] = paths.items[cnt];
            paths.items[cnt++] = chosen;
        }
    printf("1..%zu\n", cnt);
    for (size_t i = 0; i < cnt; i++)
        failed_cnt += !script_report(i + 1, paths.items[i]);
    for (size_t i = 0; i < paths.cnt; i++)
        free(paths.items[i]);
    free(paths.items);
    return failed_cnt || !cnt;
}
