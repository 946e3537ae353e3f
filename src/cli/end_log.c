/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of what was ended: a line of JSON for each connection. What cannot be logged is not done. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/end.h"

void end_log_path(char *path, size_t len)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    path[0] = 0;
    if (geteuid() == 0 && access("/var/log", W_OK) == 0)
        snprintf(path, len, "/var/log/lastack-end.log");
    else if (state && state[0] == '/')
        snprintf(path, len, "%s/lastack/end.log", state);
    else if (home && home[0] == '/')
        snprintf(path, len, "%s/.local/state/lastack/end.log", home);
}

/* The folders above `path` that are not there, closed to others. */
static void make_folders(const char *path)
{
    char part[512];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0700); /* if it fails, opening the log says why */
        *slash = '/';
    }
}

static int open_log(const char *path)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                  0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -ENOTSUP;
    }
    return fd;
}

static void complain_open(const char *command, const char *path, int error)
{
    static const char tail[] = "; nothing is done without one (--log FILE, --no-log)";
    char words[160];
    if (error == ENOTSUP || error == ELOOP)
        snprintf(words, sizeof words, " is %s%s",
                 error == ELOOP ? "a symbolic link" : "no ordinary file", tail);
    else
        snprintf(words, sizeof words, ": %s%s", strerror(error), tail);
    complain_shown(command, "the log ", path[0] ? path : "(no HOME, no place)", words);
}

bool end_log_open(struct end_log *log, const char *command, const char *path)
{
    *log = (struct end_log){.fd = -1};
    if (path)
        snprintf(log->path, sizeof log->path, "%s", path);
    else
        end_log_path(log->path, sizeof log->path);
    if (!path && log->path[0])
        make_folders(log->path);
    log->fd = log->path[0] ? open_log(log->path) : -ENOENT;
    if (log->fd >= 0)
        return true;
    if (command)
        complain_open(command, log->path, -log->fd);
    log->fd = -1;
    return false;
}

void end_log_close(struct end_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

/* Takes over `line`. */
static bool add_line(struct end_log *log, const char *command, struct text *line)
{
    text_add(line, "\n");
    errno = ENOMEM;
    ssize_t len = line->failed ? -1 : write(log->fd, line->at, line->len);
    bool good = len >= 0 && (size_t)len == line->len;
    if (!good && !log->failed)
        complain(command, "the log cannot be written (%s); nothing more is done. Not logged: %s",
                 len >= 0 ? strerror(ENOSPC) : strerror(errno), text_string(line));
    log->failed = !good;
    text_free(line);
    return good;
}

bool end_log_begin(struct end_log *log, const char *command, uint32_t cnt)
{
    struct text line;
    if (!log->path[0])
        return true;
    text_init(&line);
    text_add(&line, "{");
    end_add_json_stamp(&line);
    text_printf(&line, "\"begin\":%u}", cnt);
    return add_line(log, command, &line);
}

bool end_log_add(struct end_log *log, const char *command, const struct end_item *item)
{
    struct text line;
    if (!log->path[0])
        return true;
    text_init(&line);
    end_add_json(&line, item, true);
    return add_line(log, command, &line);
}
