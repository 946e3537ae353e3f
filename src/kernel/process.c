/* SPDX-License-Identifier: BSD-2-Clause */
/* Files below /proc/PID. */
#include "kernel/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "kernel/kernel.h"

#define TEXT_LEN 65536

bool process_is_short(int error)
{
    return error == EMFILE || error == ENFILE;
}

int kernel_check_proc(char *why, size_t why_len)
{
    struct statfs look;
    struct rlimit limit = {0};
    char self[16] = "";
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = fd < 0 ? errno : 0;
    bool is_proc = fd >= 0 && fstatfs(fd, &look) == 0 && look.f_type == PROC_SUPER_MAGIC;
    bool is_ours = is_proc && readlinkat(fd, "self", self, sizeof self - 1) > 0;
    if (fd >= 0)
        close(fd);
    if (process_is_short(error)) {
        getrlimit(RLIMIT_NOFILE, &limit);
        snprintf(why, why_len, "only %llu open files are allowed, too few to look at processes: "
                 "ulimit -n 1024", (unsigned long long)limit.rlim_cur);
        return -error;
    }
    if (!is_proc || !is_ours) {
        snprintf(why, why_len, "/proc is not mounted%s: no process that holds a connection and no other "
                 "network namespace can be seen (mount -t proc proc /proc)",
                 is_proc ? " for this process namespace" : error ? "" : ", or is no proc");
        return error ? -error : -ENOENT;
    }
    if (strtol(self, NULL, 10) == getpid())
        return 0;
    snprintf(why, why_len, "/proc is that of another process namespace, with other numbers than ours: "
             "mount one of ours (mount -t proc proc /proc), or run lastack outside of this namespace");
    return -EXDEV;
}

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

/* "monotonic           86400         0": seconds, which may be negative, and nanoseconds. */
int64_t process_clock_offset_ns(void)
{
    static int64_t offset_ns;
    static bool known;
    long long seconds = 0, ns = 0;
    FILE *file = known ? NULL : fopen("/proc/self/timens_offsets", "re");
    known = true;
    if (!file)
        return offset_ns;
    if (fscanf(file, "monotonic %lld %lld", &seconds, &ns) == 2)
        offset_ns = seconds * 1000000000 + ns;
    fclose(file);
    return offset_ns;
}

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
