/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/recorder_maps.h"

#include <bpf/bpf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/process.h"

uint64_t recorder_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)(now.tv_sec * INT64_C(1000000000) + now.tv_nsec - process_clock_offset_ns());
}

uint64_t recorder_process_ticks(uint32_t pid)
{
    struct process_stat stat;
    int dir = pid ? process_open(pid) : -1;
    bool there = dir >= 0 && process_stat(dir, "stat", &stat) && stat.state != 'Z';
    if (dir >= 0)
        close(dir);
    return there ? stat.start_ticks : 0;
}

/* Its process is there; or it is out of our sight, in another pid namespace, and spoke just now. What
 * a recorder leaves behind is gone a moment after its process. */
static bool is_alive(const struct recorder_about *about)
{
    if (about->magic != RECORDER_MAGIC)
        return false;
    if (recorder_process_ticks(about->pid) == about->process_ticks)
        return true;
    return about->inner && recorder_now_ns() - about->alive_ns < RECORDER_SILENCE_NS;
}

static int open_map(uint32_t id, const char *name, size_t value_len)
{
    struct bpf_map_info info = {.id = 0};
    __u32 info_len = sizeof info;
    int fd = bpf_map_get_fd_by_id(id);
    if (fd < 0)
        return -1;
    if (bpf_obj_get_info_by_fd(fd, &info, &info_len) == 0 && strcmp(info.name, name) == 0 &&
        info.value_size == value_len)
        return fd;
    close(fd);
    return -1;
}

/* Open the maps that `about` names. */
static bool open_all(struct recorder_maps *maps)
{
    const struct recorder_about *about = &maps->about;
    maps->sockets = open_map(about->sockets, RECORDER_SOCKETS, sizeof(struct recorder_socket));
    if (maps->sockets < 0)
        return false;
    maps->stacks = open_map(about->stacks, RECORDER_STACKS, sizeof(__u32));
    maps->places = open_map(about->places, RECORDER_PLACES, sizeof(struct recorder_place));
    maps->sites = open_map(about->sites, RECORDER_SITES, sizeof(struct recorder_site));
    return true;
}

bool recorder_maps_find(struct recorder_maps *maps, uint32_t not_id)
{
    __u32 id = 0, first = 0;
    memset(maps, 0, sizeof *maps);
    maps->sockets = maps->stacks = maps->places = maps->sites = -1;
    while (bpf_map_get_next_id(id, &id) == 0) {
        int fd = id == not_id ? -1 : open_map(id, RECORDER_ABOUT, sizeof maps->about);
        if (fd < 0)
            continue;
        bool found = bpf_map_lookup_elem(fd, &first, &maps->about) == 0 && is_alive(&maps->about);
        close(fd);
        if (found && open_all(maps)) {
            maps->about_id = id;
            return true;
        }
    }
    return false;
}

void recorder_maps_close(struct recorder_maps *maps)
{
    const int all[] = {maps->sockets, maps->stacks, maps->places, maps->sites};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] >= 0)
            close(all[i]);
}
