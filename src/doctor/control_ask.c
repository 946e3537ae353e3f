/* SPDX-License-Identifier: BSD-2-Clause */
/* The asking end: find stacks, send one line, wait for one line. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "doctor/control.h"
#include "doctor/control_text.h"
#include "doctor/json.h"

#define ASK_TIMEOUT_MS  5000
#define FIND_TIMEOUT_MS 200
/* Of one that sends without an end. */
#define REPLY_TIMEOUT_MS 60000
#define REPLY_MAX        (1u << 30) /* bytes: a million connections */

/* A stack that is stopped accepts nobody: its queue fills, and then connect() would wait for ever.
 * SO_SNDTIMEO bounds that wait, too; -EAGAIN then. */
static int dial(const char *dir, const char *name, int timeout_ms)
{
    const struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                                    .tv_usec = timeout_ms % 1000 * 1000};
    struct sockaddr_un address;
    if (!control_address(&address, dir, name))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* ---- finding ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_listed(char names[][CONTROL_NAME_LEN], int cnt, const char *name)
{
    for (int i = 0; i < cnt; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* NAME of "NAME.sock". */
static bool name_of_file(const char *file, char name[CONTROL_NAME_LEN])
{
    size_t len = strlen(file);
    if (len <= 5 || len - 5 >= CONTROL_NAME_LEN || strcmp(file + len - 5, ".sock") != 0)
        return false;
    memcpy(name, file, len - 5);
    name[len - 5] = 0;
    return control_name_valid(name);
}

static int find_in(const char *dir, char names[][CONTROL_NAME_LEN], int cnt, int max)
{
    char name[CONTROL_NAME_LEN];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && cnt < max && (e = readdir(d));) {
        if (!name_of_file(e->d_name, name) || is_listed(names, cnt, name))
            continue;
        int fd = dial(dir, name, FIND_TIMEOUT_MS);
        if (fd < 0 && fd != -EAGAIN) /* busy or stopped: it is there all the same */
            continue;
        if (fd >= 0)
            close(fd);
        memcpy(names[cnt++], name, sizeof name);
    }
    if (d)
        closedir(d);
    return cnt;
}

int control_find(char names[][CONTROL_NAME_LEN], int max, char why[CONTROL_WHY_LEN])
{
    char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN], sentence[CONTROL_WHY_LEN];
    int cnt = 0, dir_cnt = control_dirs(dirs);
    why[0] = 0;
    for (int i = 0; i < dir_cnt; i++) {
        int result = control_dir_check(dirs[i], sentence);
        if (result == 0)
            cnt = find_in(dirs[i], names, cnt, max);
        else if (result != -ENOENT)
            snprintf(why, CONTROL_WHY_LEN, "%s", sentence);
    }
    if (!why[0] && geteuid() != 0 && !getenv("LASTACK_DIR") && access("/run/lastack", F_OK) == 0)
        snprintf(why, CONTROL_WHY_LEN, "stacks that root runs are seen by root only");
    qsort(names, (size_t)cnt, CONTROL_NAME_LEN, compare_names);
    return cnt;
}

/* ---- asking ---- */

/* The first directory in which NAME answers. */
static int dial_name(const char *name, char why[CONTROL_WHY_LEN])
{
    char dirs[CONTROL_DIR_MAX][CONTROL_PATH_LEN], sentence[CONTROL_WHY_LEN];
    int dir_cnt = control_name_valid(name) ? control_dirs(dirs) : 0, result = -ENOENT;
    for (int i = 0; i < dir_cnt; i++) {
        if (control_dir_check(dirs[i], sentence) < 0)
            continue;
        int fd = dial(dirs[i], name, ASK_TIMEOUT_MS);
        if (fd >= 0)
            return fd;
        if (fd != -ENOENT)
            result = fd;
    }
    if (result == -ECONNREFUSED)
        snprintf(why, CONTROL_WHY_LEN, "the stack named %s is not running any more", name);
    else if (result == -ENOENT)
        snprintf(why, CONTROL_WHY_LEN, "there is no running stack named %s", name);
    else
        snprintf(why, CONTROL_WHY_LEN, "stack %s: %s", name, strerror(-result));
    return result;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int write_all(int fd, const struct text *line)
{
    for (size_t at = 0; at < line->len;) {
        ssize_t len = send(fd, line->at + at, line->len - at, MSG_NOSIGNAL);
        if (len < 0 && errno != EINTR)
            return -errno;
        at += len > 0 ? (size_t)len : 0;
    }
    return line->failed ? -ENOMEM : 0;
}

/* One line. The timeout is between two pieces of it: a long answer may take long. */
static int read_line(int fd, struct text *line)
{
    char bytes[65536];
    int64_t last_ms = clock_ms(), end_ms = last_ms + REPLY_TIMEOUT_MS;
    while (!line->len || line->at[line->len - 1] != '\n') {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (line->len > REPLY_MAX)
            return -EMSGSIZE;
        if (last_ms > end_ms)
            return -ETIMEDOUT;
        int64_t left_ms = last_ms + ASK_TIMEOUT_MS - clock_ms();
        int ready = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ready < 0 ? -errno : -ETIMEDOUT;
        ssize_t len = read(fd, bytes, sizeof bytes);
        if (len == 0)
            return -ECONNRESET;
        if (len < 0)
            return -errno;
        text_add_len(line, bytes, (size_t)len);
        if (line->failed)
            return -ENOMEM;
        last_ms = clock_ms();
    }
    return 0;
}

/* A reply whose "ok" is not true. */
static int refusal(const struct json *root, char why[CONTROL_WHY_LEN])
{
    uint64_t error = EIO;
    json_get_u64(root, "errno", &error);
    snprintf(why, CONTROL_WHY_LEN, "%s",
             json_get_string(root, "error", "the answer is not understood"));
    return error && error < 4096 ? -(int)error : -EIO;
}

static int ask(const char *name, const struct control_request *request,
               struct json_document **reply, char why[CONTROL_WHY_LEN])
{
    struct text line;
    why[0] = 0;
    *reply = NULL;
    int fd = dial_name(name, why);
    if (fd < 0)
        return fd;
    text_init(&line);
    control_request_format(&line, request);
    int result = write_all(fd, &line);
    text_clear(&line);
    if (result == 0)
        result = read_line(fd, &line);
    close(fd);
    if (result < 0) {
        snprintf(why, CONTROL_WHY_LEN, "stack %s does not answer: %s", name, strerror(-result));
    } else if (!(*reply = json_parse(text_string(&line), line.len, why, CONTROL_WHY_LEN))) {
        result = -EPROTO;
    } else {
        const struct json *root = json_root(*reply), *ok = json_get(root, "ok");
        if (!ok || ok->kind != JSON_TRUE)
            result = refusal(root, why);
    }
    text_free(&line);
    return result;
}

int control_ask_info(const char *name, struct control_info *info, char why[CONTROL_WHY_LEN])
{
    struct control_request request = {.kind = CONTROL_INFO};
    struct json_document *reply;
    int result = ask(name, &request, &reply, why);
    if (result == 0)
        control_info_read(info, json_get(json_root(reply), "info"));
    json_free(reply);
    return result;
}

int control_ask_facts(const char *name, struct facts_list *list, char why[CONTROL_WHY_LEN])
{
    struct control_request request = {.kind = CONTROL_FACTS};
    struct json_document *reply;
    int result = ask(name, &request, &reply, why);
    if (result == 0)
        result = facts_decode_json(list, json_get(json_root(reply), "facts"), why, CONTROL_WHY_LEN);
    json_free(reply);
    return result;
}

int control_ask_end(const char *name, uint64_t id, int how, char why[CONTROL_WHY_LEN])
{
    struct control_request request = {.kind = CONTROL_END, .id = id, .how = how};
    struct json_document *reply;
    int result = ask(name, &request, &reply, why);
    json_free(reply);
    return result;
}
