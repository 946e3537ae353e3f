/* SPDX-License-Identifier: BSD-2-Clause */
/* A build without BPF has no recorder, and says so. */
#include <errno.h>
#include <string.h>

#include "kernel/bpf_object.h"
#include "kernel/recorder.h"

int facts_add_history(struct facts_list *list, bool *running, char *why, size_t why_len)
{
    (void)list, (void)why, (void)why_len;
    *running = false;
    return 0;
}

int recorder_open(struct recorder **recorder, const struct recorder_options *options,
                  struct text *unseen, char *why, size_t why_len)
{
    (void)recorder, (void)options, (void)unseen;
    kernel_bpf_allowed(why, why_len);
    return -ENOSYS;
}

void recorder_close(struct recorder *recorder)
{
    (void)recorder;
}

int recorder_poll(struct recorder *recorder, int timeout_ms, recorder_tell *tell, void *arg)
{
    (void)recorder, (void)timeout_ms, (void)tell, (void)arg;
    return -ENOSYS;
}

void recorder_count(const struct recorder *recorder, struct recorder_counts *counts)
{
    (void)recorder;
    memset(counts, 0, sizeof *counts);
}
