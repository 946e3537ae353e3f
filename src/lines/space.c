/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc says about the memory of a process. */
#include "lines/space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "lines/perf_map.h"

#define MAP_MAX 65536 /* mappings of one process; the kernel's own limit by default */

uint64_t space_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Field `number` (from 1, as in proc(5)) of /proc/PID/stat, where `rest` begins with field 3. */
static uint64_t stat_field(const char *rest, int number)
{
    for (int at = 3; at < number && rest; at++) {
        rest = strchr(rest, ' ');
        rest += rest != NULL;
    }
    return rest ? strtoull(rest, NULL, 10) : 0;
}

bool space_identify(uint32_t pid, uint64_t *start_ticks, struct lines_layout *layout)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    char *rest = strrchr(text, ')'); /* a program's name may hold anything, even this */
    if (!rest || rest[1] != ' ' || rest[2] == 'Z' || rest[2] == 'X')
        return false; /* a zombie has no memory any more */
    *start_ticks = stat_field(rest + 2, 22);
    layout->start_code = stat_field(rest + 2, 26);
    layout->start_stack = stat_field(rest + 2, 28);
    struct stat exe;
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/exe", pid);
    layout->exe_inode = stat(path, &exe) == 0 ? exe.st_ino : 0;
    return true;
}

/* One line of /proc/PID/maps; false unless it is executable. */
static bool parse_mapping(char *line, struct mapping *mapping)
{
    unsigned major_nr, minor_nr;
    char rights[5];
    int path_at = 0;
    memset(mapping, 0, sizeof *mapping);
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
               &mapping->start, &mapping->end, rights, &mapping->offset, &major_nr, &minor_nr,
               &mapping->inode, &path_at) < 7 ||
        rights[2] != 'x')
        return false;
    mapping->device = makedev(major_nr, minor_nr);
    line[strcspn(line, "\n")] = '\0';
    mapping->path = strdup(path_at ? line + path_at : "");
    return mapping->path != NULL;
}

static bool add_mapping(struct space *space, const struct mapping *mapping)
{
    uint32_t cnt = space->map_cnt;
    if ((cnt & (cnt - 1)) == 0) { /* room doubles at every power of two */
        struct mapping *maps = realloc(space->maps, (cnt ? 2 * cnt : 1) * sizeof *maps);
        if (!maps)
            return false;
        space->maps = maps;
    }
    space->maps[space->map_cnt++] = *mapping;
    return true;
}

/* The program's path; "" if it is not to be had. */
static void read_exe(uint32_t pid, char *exe, size_t exe_len)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/exe", pid);
    ssize_t len = readlink(path, exe, exe_len - 1);
    exe[len > 0 ? len : 0] = '\0';
}

bool space_read(struct space *space, uint32_t pid)
{
    char path[40], exe[PATH_MAX], *line = NULL;
    size_t cap = 0;
    struct mapping mapping;
    memset(space, 0, sizeof *space);
    if (!space_identify(pid, &space->start_ticks, &space->layout))
        return false;
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/maps", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    read_exe(pid, exe, sizeof exe);
    space->pid = pid;
    space->read_ms = space_clock_ms();
    while (space->map_cnt < MAP_MAX && getline(&line, &cap, file) > 0) {
        if (!parse_mapping(line, &mapping))
            continue;
        mapping.program = mapping.inode && (mapping.inode == space->layout.exe_inode ||
                                            strcmp(mapping.path, exe) == 0);
        if (!add_mapping(space, &mapping)) {
            free(mapping.path);
            break;
        }
    }
    free(line);
    fclose(file);
    if (space->map_cnt)
        return true;
    space_clear(space);
    return false; /* a kernel thread, or one that ends just now */
}

void space_clear(struct space *space)
{
    for (uint32_t i = 0; i < space->map_cnt; i++)
        free(space->maps[i].path);
    free(space->maps);
    perf_map_free(space->perf);
    memset(space, 0, sizeof *space);
}

struct mapping *space_find(const struct space *space, uint64_t address)
{
    uint32_t low = 0, high = space->map_cnt;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (space->maps[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < space->map_cnt && space->maps[low].start <= address;
    return found ? &space->maps[low] : NULL;
}

/* `fd` if it is a regular file (and the one that is wanted, unless `inode` is 0), else -1. */
static int keep_regular(int fd, uint64_t inode)
{
    struct stat look;
    if (fd < 0)
        return -1;
    if (fstat(fd, &look) == 0 && S_ISREG(look.st_mode) && (inode == 0 || look.st_ino == inode))
        return fd;
    close(fd);
    return -1;
}

int space_open_path(uint32_t pid, const char *path)
{
    char root[40];
    snprintf(root, sizeof root, "/proc/%" PRIu32 "/root", pid);
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return -1;
    /* Symbolic links of a stranger's file system must not lead into ours; a pipe must not hold us. */
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    close(root_fd);
    return keep_regular(fd, 0);
}

int space_open_mapping(const struct space *space, const struct mapping *mapping)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/map_files/%" PRIx64 "-%" PRIx64, space->pid,
             mapping->start, mapping->end);
    int fd = keep_regular(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0);
    if (fd < 0 && mapping->program) {
        snprintf(path, sizeof path, "/proc/%" PRIu32 "/exe", space->pid);
        fd = keep_regular(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), 0);
    }
    if (fd >= 0)
        return fd;
    fd = space_open_path(space->pid, mapping->path);
    return keep_regular(fd, mapping->inode);
}
