/* SPDX-License-Identifier: BSD-2-Clause */
/* The log of what was ended: for each connection a line of JSON before it is touched and one that tells
 * what came of it. What cannot be logged is not done. */
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
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
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

/* ---- records ---- */

/* False: a record was cut off, by us or by who wrote before us. */
static bool ends_whole(int fd)
{
    struct stat st;
    char last = '\n';
    return fstat(fd, &st) < 0 || st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 ||
           last == '\n';
}

/* 0 or an errno. */
static int write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, at, len);
        if (done == 0 || (done < 0 && errno != EINTR))
            return done == 0 ? ENOSPC : errno;
        at += done > 0 ? done : 0;
        len -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* A line of its own, whatever stands before it. */
static int write_record(int fd, const struct text *record)
{
    struct text line;
    text_init(&line);
    text_add(&line, ends_whole(fd) ? "" : "\n");
    text_add(&line, text_string(record));
    text_add(&line, "\n");
    int error = record->failed || line.failed ? ENOMEM : write_all(fd, line.at, line.len);
    text_free(&line);
    return error;
}

/* Takes over `record`. `deed`: it tells what was done; if the log cannot, the complaint does. */
static bool add_record(struct end_log *log, const char *command, struct text *record, bool deed)
{
    int error = write_record(log->fd, record);
    if (error && !log->failed && (deed || !log->quiet))
        complain(command, "the log cannot be written (%s); nothing more is done", strerror(error));
    if (error && deed)
        complain(command, "not logged: %s", text_string(record));
    log->failed = log->failed || error;
    text_free(record);
    return !error;
}

bool end_log_begin(struct end_log *log, const char *command, uint32_t cnt)
{
    struct text record;
    if (!log->path[0])
        return true;
    text_init(&record);
    text_add(&record, "{");
    end_add_json_stamp(&record);
    text_printf(&record, "\"begin\":%u}", cnt);
    return add_record(log, command, &record, false);
}

bool end_log_intent(struct end_log *log, const char *command, const struct end_item *item)
{
    struct text record;
    if (!log->path[0])
        return true;
    text_init(&record);
    end_add_json_intent(&record, item);
    return add_record(log, command, &record, false);
}

bool end_log_add(struct end_log *log, const char *command, const struct end_item *item)
{
    struct text record;
    if (!log->path[0])
        return true;
    text_init(&record);
    end_add_json(&record, item, true);
    return add_record(log, command, &record, true);
}
