/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps of the recorder's programs, and the kernel's types that only they look at. Part of
 * recorder.bpf.c. */
#ifndef LASTACK_KERNEL_BPF_RECORDER_MEMORY_H
#define LASTACK_KERNEL_BPF_RECORDER_MEMORY_H

#include "kernel/bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/recorder_records.h"

/* Set before loading. */
const volatile struct recorder_config config SEC(".rodata.config") = {.sample = 1};

#define SOCKET_MAX 131072
#define STACK_MAX  32768
#define PLACE_MAX  8192

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SOCKET_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u64);
    __type(value, struct recorder_socket);
} lastack_sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, STACK_MAX);
    __type(key, u64);
    __type(value, u32);
} lastack_stacks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, PLACE_MAX);
    __type(key, u64);
    __type(value, struct recorder_place);
} lastack_places SEC(".maps");

/* Only for processes: ids of sites and what they are called. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, u32);
    __type(value, struct recorder_site);
} lastack_sites SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, COUNTER_CNT);
    __type(key, u32);
    __type(value, u64);
} lastack_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct recorder_about);
} lastack_about SEC(".maps");

/* Read by the recorder's process: stacks without a name, and events. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} lastack_news SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} lastack_events SEC(".maps");

/* Closes by exec that is under way: what close-on-exec will take away. */
#define EXEC_MAX 8
struct exec_closes {
    u64 cookie[EXEC_MAX];
    struct recorder_call call[EXEC_MAX];
    u32 cnt;
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, struct exec_closes);
} lastack_execs SEC(".maps");

/* Descriptors that a process took out of another one (pidfd_getfd) to look at them, or to end their
 * connection: debuggers and doctors. Their closes are nobody's. Key: process << 32 | descriptor. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, u64);
    __type(value, u8);
} lastack_borrowed SEC(".maps");
u32 borrowed_ever = 0; /* not static: clang would make it smaller than its type says */

static const struct recorder_socket no_socket;
static const struct recorder_place no_place;
static const struct exec_closes no_closes;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct___layout {
    unsigned long start_code, end_code, start_stack;
    struct file *exe_file;
};
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip;
    unsigned long flags, sp;
};
struct trace_event_raw_sys_enter {
    long id;
    unsigned long args[6];
};
struct trace_event_raw_sys_exit {
    long id, ret;
};
#pragma clang attribute pop

#define PF_EXITING 0x4
#define PF_KTHREAD 0x200000

static __always_inline void count(u32 what)
{
    u64 *value = bpf_map_lookup_elem(&lastack_counts, &what);
    if (value)
        *value += 1;
}

#endif
