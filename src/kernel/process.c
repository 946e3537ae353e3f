/* SPDX-License-Identifier: BSD-2-Clause */
/* Files below /proc/PID. */
#include "kernel/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/kernel.h"

#define TEXT_LEN 65536

int process_open(uint32_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%u", pid);
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

ssize_t process_read(int dir, const char *path, char *out, size_t out_len)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    if (fd < 0)
        return -errno;
    while (len + 1 < out_len) {
        ssize_t part = read(fd, out + len, out_len - 1 - len);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        if (part == 0)
            break;
        len += (size_t)part;
    }
    close(fd);
    out[len] = '\0';
    return (ssize_t)len;
}

/* ---- lines ---- */

void process_text_open(struct process_text *text, int dir, const char *path)
{
    *text = (struct process_text){.fd = openat(dir, path, O_RDONLY | O_CLOEXEC)};
    text->buffer = text->fd < 0 ? NULL : malloc(TEXT_LEN + 1);
    text->failed = !text->buffer;
}

/* Move what is left to the front, and fill up. False: nothing more to read. */
static bool text_fill(struct process_text *text)
{
    ssize_t part;
    memmove(text->buffer, text->buffer + text->at, text->len - text->at);
    text->len -= text->at;
    text->at = 0;
    do
        part = read(text->fd, text->buffer + text->len, TEXT_LEN - text->len);
    while (part < 0 && errno == EINTR);
    text->failed = text->failed || part < 0;
    if (part <= 0)
        return false;
    text->len += (size_t)part;
    text->total += (size_t)part;
    return true;
}

char *process_text_line(struct process_text *text)
{
    while (text->buffer) {
        char *line = text->buffer + text->at, *end = memchr(line, '\n', text->len - text->at);
        if (end) {
            *end = '\0';
            text->at = (size_t)(end - text->buffer) + 1;
            return line;
        }
        bool full = text->at == 0 && text->len == TEXT_LEN;
        if (!full && text_fill(text))
            continue;
        if (text->at == text->len)
            return NULL;
        line = text->buffer + text->at;
        text->buffer[text->len] = '\0';
        text->at = text->len;
        return line;
    }
    return NULL;
}

void process_text_close(struct process_text *text)
{
    if (text->fd >= 0)
        close(text->fd);
    free(text->buffer);
}

/* "PID (NAME) S ...": the name may hold any byte, the last parenthesis ends it. */
bool process_stat(int dir, const char *path, struct process_stat *stat)
{
    char text[1024];
    ssize_t len = process_read(dir, path, text, sizeof text);
    char *open = len > 0 ? memchr(text, '(', (size_t)len) : NULL;
    char *end = len > 0 ? memrchr(text, ')', (size_t)len) : NULL;
    unsigned long flags, threads;
    unsigned long long start;
    if (!open || !end || end < open)
        return false;
    memset(stat, 0, sizeof *stat);
    size_t name_len = (size_t)(end - open - 1);
    memcpy(stat->program, open + 1,
           name_len < sizeof stat->program ? name_len : sizeof stat->program - 1);
    if (sscanf(end + 1, " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu %*d %llu",
               &stat->state, &flags, &threads, &start) != 4)
        return false;
    stat->flags = flags;
    stat->threads = (uint32_t)threads;
    stat->start_ticks = start;
    return true;
}

bool kernel_process_look(struct kernel_process *process, uint32_t pid)
{
    struct process_stat stat;
    int dir = process_open(pid);
    bool found = dir >= 0 && process_stat(dir, "stat", &stat);
    if (dir >= 0)
        close(dir);
    memset(process, 0, sizeof *process);
    process->pid = pid;
    if (!found)
        return false;
    process->start_ticks = stat.start_ticks;
    memcpy(process->program, stat.program, sizeof process->program);
    return true;
}

/* ---- directories of numbers ---- */

struct linux_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t len;
    uint8_t type;
    char name[];
};

void numbers_begin(struct process_numbers *numbers, int dir, char *buffer)
{
    *numbers = (struct process_numbers){.dir = dir, .buffer = buffer};
}

static bool to_number(const char *name, uint32_t *number)
{
    uint64_t n = 0;
    if (*name == '\0')
        return false;
    for (; isdigit((unsigned char)*name) && n < UINT32_MAX; name++)
        n = n * 10 + (uint64_t)(*name - '0');
    *number = (uint32_t)n;
    return *name == '\0' && n < UINT32_MAX;
}

bool numbers_next(struct process_numbers *numbers, uint32_t *number)
{
    for (;;) {
        while (numbers->at < numbers->len) {
            const struct linux_entry *e = (const void *)(numbers->buffer + numbers->at);
            numbers->at += e->len;
            numbers->name = e->name;
            if (to_number(e->name, number))
                return true;
        }
        if (numbers->dir < 0) {
            numbers->error = -numbers->dir;
            return false;
        }
        numbers->at = 0;
        numbers->len = syscall(SYS_getdents64, numbers->dir, numbers->buffer, NUMBERS_LEN);
        if (numbers->len <= 0) {
            numbers->error = numbers->len < 0 ? errno : 0;
            numbers->len = 0;
            return false;
        }
    }
}

void numbers_end(struct process_numbers *numbers)
{
    if (numbers->dir >= 0)
        close(numbers->dir);
    numbers->dir = -1;
}

/* ---- time ---- */

uint64_t process_now_ticks(void)
{
    struct timespec now;
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec * per_second / 1000000000u;
}

uint64_t process_ticks_us(uint64_t ticks)
{
    return ticks * 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}
