/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/recorder_name.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines/lines.h"

struct recorder_names {
    struct lines *lines;
    int stacks, sites;
    struct fact_site all[RECORDER_SITE_MAX]; /* id of the first is 1 */
    bool own[RECORDER_SITE_MAX];             /* the place is the program's, not its runtime's */
    uint32_t cnt;
    uint64_t retry_ns; /* when one more stack without a name may be asked for again */
};

struct recorder_names *recorder_names_open(int stacks, int sites)
{
    struct recorder_names *names = calloc(1, sizeof *names);
    if (!names)
        return NULL;
    names->lines = lines_open();
    names->stacks = stacks;
    names->sites = sites;
    return names;
}

void recorder_names_close(struct recorder_names *names)
{
    if (!names)
        return;
    for (uint32_t i = 0; i < names->cnt; i++)
        free(names->all[i].stack);
    lines_close(names->lines);
    free(names);
}

uint32_t recorder_names_cnt(const struct recorder_names *names)
{
    return names ? names->cnt : 0;
}

/* Of a runtime's place the whole stack has to be the same. */
static bool same_place(const struct fact_site *a, const struct fact_site *b, bool own)
{
    if (!own && strcmp(a->stack ? a->stack : "", b->stack ? b->stack : "") != 0)
        return false;
    return a->line == b->line && strcmp(a->function, b->function) == 0 &&
           strcmp(a->file, b->file) == 0 && strcmp(a->module, b->module) == 0;
}

void recorder_site_put(struct recorder_site *to, const struct fact_site *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to->function, from->function, sizeof to->function);
    memcpy(to->file, from->file, sizeof to->file);
    memcpy(to->module, from->module, sizeof to->module);
    to->line = from->line;
    snprintf(to->stack, sizeof to->stack, "%s", from->stack ? from->stack : "");
    char *last = strrchr(to->stack, '\n'); /* whole lines only */
    if (last)
        last[1] = '\0';
}

void recorder_site_get(struct fact_site *to, const struct recorder_site *from)
{
    memset(to, 0, sizeof *to);
    snprintf(to->function, sizeof to->function, "%.*s", (int)sizeof from->function, from->function);
    snprintf(to->file, sizeof to->file, "%.*s", (int)sizeof from->file, from->file);
    snprintf(to->module, sizeof to->module, "%.*s", (int)sizeof from->module, from->module);
    to->line = from->line;
    to->stack = strndup(from->stack, sizeof from->stack);
}

#define RETRY_EVERY_NS UINT64_C(50000000)

/* Its process is gone already. Another one with the same key may come: it shall send its stack, too,
 * but programs that can never be named must not keep us busy. */
static void ask_again(struct recorder_names *names, __u64 key)
{
    uint64_t now = recorder_now_ns();
    if (now < names->retry_ns)
        return;
    names->retry_ns = now + RETRY_EVERY_NS;
    bpf_map_delete_elem(names->stacks, &key);
}

/* The id of a place, a new one if there is room; takes over `site->stack`. 0: no room. */
static uint32_t place_id(struct recorder_names *names, struct fact_site *site, bool own)
{
    struct recorder_site record;
    for (uint32_t i = 0; i < names->cnt; i++) {
        if (names->own[i] == own && same_place(&names->all[i], site, own)) {
            free(site->stack);
            return i + 1;
        }
    }
    recorder_site_put(&record, site);
    record.runtime = !own;
    uint32_t id = names->cnt + 1;
    if (names->cnt == RECORDER_SITE_MAX ||
        bpf_map_update_elem(names->sites, &id, &record, BPF_ANY) != 0) {
        free(site->stack);
        return 0;
    }
    names->own[names->cnt] = own;
    names->all[names->cnt++] = *site;
    return id;
}

void recorder_names_add(struct recorder_names *names, const struct recorder_stack *stack)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct fact_site site;
    struct lines_snapshot snapshot = {
        .pid = stack->pid,
        .like_pid = stack->parent,
        .layout = {stack->layout.start_code, stack->layout.start_stack, stack->layout.exe_inode},
        .known = 0x1ffff,
        .stack = stack->bytes,
        .stack_len = stack->len <= RECORDER_STACK ? stack->len : 0,
    };
    memcpy(snapshot.reg, stack->reg, sizeof snapshot.reg);
    unsigned cnt = lines_unwind(names->lines, &snapshot, frames);
    __u64 key = stack->key;
    if (cnt == 0) {
        ask_again(names, key);
        return;
    }
    lines_to_site(&site, frames, cnt);
    __u32 id = place_id(names, &site, lines_is_own(&frames[lines_pick(frames, cnt)]));
    if (id)
        bpf_map_update_elem(names->stacks, &key, &id, BPF_ANY);
}

const struct fact_site *recorder_names_find(struct recorder_names *names, uint64_t key)
{
    __u64 wanted = key;
    __u32 id = 0;
    if (!names || key == 0 || bpf_map_lookup_elem(names->stacks, &wanted, &id) != 0 || id == 0 ||
        id > names->cnt)
        return NULL;
    return &names->all[id - 1];
}
