/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces: found by the links of processes and the names of ip netns, entered by a thread
 * of its own, which nobody misses when it ends in another world. */
#include "kernel/namespaces.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/diag.h"
#include "kernel/process.h"

#define SPACE_MAX 400 /* each takes two descriptors of ours */

static struct scan_space *space_find(const struct scan *scan, uint64_t inode)
{
    for (uint32_t i = 0; i < scan->space_cnt; i++)
        if (scan->spaces[i].inode == inode)
            return &scan->spaces[i];
    return NULL;
}

static struct scan_space *space_add(struct scan *scan, uint64_t inode)
{
    if (scan->space_cnt >= SPACE_MAX) {
        scan->cut = true;
        return NULL;
    }
    struct scan_space *all = realloc(scan->spaces, (scan->space_cnt + 1) * sizeof *all);
    if (!all) {
        scan->failed = true;
        return NULL;
    }
    scan->spaces = all;
    struct scan_space *space = &all[scan->space_cnt++];
    *space = (struct scan_space){.inode = inode, .fd = -1, .diag = -1};
    snprintf(space->name, sizeof space->name, "%llu", (unsigned long long)inode);
    return space;
}

/* ---- found by a process ---- */

/* Denied: the kernel's own threads and the dead have none of their own. */
static void find_denied(struct scan *scan, int proc, uint32_t pid)
{
    struct process_stat stat;
    char path[32];
    snprintf(path, sizeof path, "%u/stat", pid);
    if (process_stat(proc, path, &stat) && !(stat.flags & PROCESS_FLAG_KERNEL) &&
        !strchr("ZX", stat.state))
        scan->spaceless++;
}

/* Descends into each namespace that a process lives in; most live in ours. */
static void find_by_processes(struct scan *scan, char *buffer)
{
    struct process_numbers numbers;
    char path[32], target[48];
    uint32_t pid;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    numbers_begin(&numbers, proc < 0 ? -errno : proc, buffer);
    while (numbers_next(&numbers, &pid)) {
        snprintf(path, sizeof path, "%u/ns/net", pid);
        ssize_t len = readlinkat(proc, path, target, sizeof target - 1);
        if (len < 0 && (errno == EACCES || errno == EPERM))
            find_denied(scan, proc, pid);
        if (len <= 5)
            continue;
        target[len] = '\0';
        uint64_t inode = strtoull(target + 5, NULL, 10); /* "net:[N]" */
        if (space_find(scan, inode))
            continue;
        struct scan_space *space = space_add(scan, inode);
        if (space)
            space->fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        scan->few_files |= space && space->fd < 0 && process_is_short(errno);
    }
    numbers_end(&numbers);
}

/* ---- found by a name ---- */

/* Names go into ids ("kernel@NAME/4097"): plain ones only. */
static bool name_fits(const char *name, size_t size)
{
    if (strlen(name) >= size)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
            return false;
    return true;
}

static void find_by_names(struct scan *scan, const char *folder, dev_t device)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    struct stat look;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (fstat(fd, &look) != 0 || look.st_dev != device) { /* a name that is left over */
            close(fd);
            continue;
        }
        struct scan_space *space = space_find(scan, look.st_ino);
        if (!space)
            space = space_add(scan, look.st_ino);
        if (space && name_fits(entry->d_name, sizeof space->name))
            snprintf(space->name, sizeof space->name, "%s", entry->d_name);
        if (space && space->fd < 0 && !space->here)
            space->fd = fd;
        else
            close(fd);
    }
    if (dir)
        closedir(dir);
}

/* ---- entered ---- */

static void ports_read(struct scan_space *space)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned low, high;
    if (file && fscanf(file, "%u %u", &low, &high) == 2 && low <= high && high <= UINT16_MAX) {
        space->port_low = (uint16_t)low;
        space->port_high = (uint16_t)high;
    }
    if (file)
        fclose(file);
}

/* The number of TCP sockets, or of time-wait entries, in a line of sockstat. */
static unsigned long sockstat_cnt(const char *line, const char *word)
{
    const char *at = strstr(line, word);
    return at ? strtoul(at + strlen(word), NULL, 10) : 0;
}

/* /proc/net is that of the first thread's namespace, and we are another thread. */
static bool is_empty(void)
{
    static const char *const files[] = {"/proc/thread-self/net/sockstat",
                                        "/proc/thread-self/net/sockstat6"};
    unsigned long cnt = 0;
    bool known = false;
    char line[256];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(files[i], "re");
        while (file && fgets(line, sizeof line, file)) {
            if (strncmp(line, "TCP", 3) != 0)
                continue;
            known = true;
            cnt += sockstat_cnt(line, " inuse ") + sockstat_cnt(line, " tw ");
        }
        if (file)
            fclose(file);
    }
    return known && cnt == 0;
}

static void fin_wait_read(struct scan_space *space)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_fin_timeout", "re");
    unsigned seconds;
    if (file && fscanf(file, "%u", &seconds) == 1 && seconds < UINT32_MAX / 1000)
        space->fin_wait_ms = seconds * 1000;
    if (file)
        fclose(file);
}

/* No interface lets loopback addresses through. */
static bool is_local_only(void)
{
    DIR *dir = opendir("/proc/sys/net/ipv4/conf");
    const struct dirent *entry;
    char path[300], text[16];
    bool only = dir != NULL;
    while (only && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/route_localnet", entry->d_name);
        only = process_read(dirfd(dir), path, text, sizeof text) > 0 && text[0] == '0';
    }
    if (dir)
        closedir(dir);
    return only;
}

/* What is asked once from inside; the socket stays in its namespace whoever uses it. */
static void space_enter(struct scan_space *space)
{
    space->diag = diag_open();
    ports_read(space);
    fin_wait_read(space);
    space->empty = is_empty();
    space->local_only = !space->empty && is_local_only();
}

static void *spaces_enter(void *arg)
{
    struct scan *scan = arg;
    for (uint32_t i = 0; i < scan->space_cnt; i++) {
        struct scan_space *space = &scan->spaces[i];
        if (space->here)
            continue;
        if (space->fd >= 0 && setns(space->fd, CLONE_NEWNET) == 0)
            space_enter(space);
        scan->few_files |= process_is_short(-space->diag);
    }
    return NULL;
}

static void others_look(struct scan *scan, dev_t device)
{
    static const char *const folders[] = {"/run/docker/netns", "/run/netns"};
    char *buffer = malloc(NUMBERS_LEN);
    pthread_t thread;
    if (!buffer) {
        scan->failed = true;
        return;
    }
    find_by_processes(scan, buffer);
    free(buffer);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        find_by_names(scan, folders[i], device);
    if (scan->space_cnt > 1 && pthread_create(&thread, NULL, spaces_enter, scan) == 0)
        pthread_join(thread, NULL);
    for (uint32_t i = 0; i < scan->space_cnt; i++)
        scan->unseen_spaces += !scan->spaces[i].here && scan->spaces[i].diag < 0;
}

/* Everybody may ask, so what refuses is no lack of rights. */
static void say_refused(int error, char *why, size_t why_len)
{
    const char *hint = process_is_short(error) ? "allow more: ulimit -n 1024"
                       : error == EPROTONOSUPPORT
                           ? "the kernel has no sock_diag: CONFIG_INET_DIAG"
                           : "a filter of system calls (a sandbox, seccomp) may forbid netlink: run "
                             "lastack outside of it";
    snprintf(why, why_len, "the kernel cannot be asked for its sockets (sock_diag: %s); %s",
             strerror(error), hint);
}

int namespaces_look(struct scan *scan, char *why, size_t why_len)
{
    struct stat own;
    bool known = stat("/proc/self/ns/net", &own) == 0;
    struct scan_space *space = space_add(scan, known ? own.st_ino : 0);
    if (!space)
        return -ENOMEM;
    space->here = true;
    space_enter(space);
    if (space->diag < 0) {
        say_refused(-space->diag, why, why_len);
        return space->diag;
    }
    if (known && !scan->options->here_only)
        others_look(scan, own.st_dev);
    return 0;
}
