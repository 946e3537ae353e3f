/* SPDX-License-Identifier: BSD-2-Clause */
/* From a BPF object within this program to one that the kernel has accepted, or one sentence that
 * says why not. Built without BPF (meson option `bpf`), the sentence says so. */
#ifndef LASTACK_KERNEL_BPF_OBJECT_H
#define LASTACK_KERNEL_BPF_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

/* The image of bpf/NAME.bpf.c. */
#define KERNEL_BPF_IMAGE(name) extern const char lastack_bpf_##name[], lastack_bpf_##name##_end[]

struct bpf_object; /* of libbpf */

/* Whether there is any use in trying: false, with a sentence in `why`, if the program was built
 * without BPF or the environment has LASTACK_NO_BPF (not empty, not 0). */
bool kernel_bpf_allowed(char *why, size_t why_len);

/* Open the object between `start` and `end` (maps and read-only data may then be adjusted), as
 * KERNEL_BPF_OPEN(recorder, why, sizeof why). NULL with a sentence in `why`. bpf_object__close ends it. */
struct bpf_object *kernel_bpf_open(const char *name, const char *start, const char *end, char *why,
                                   size_t why_len);
#define KERNEL_BPF_OPEN(name, why, why_len) \
    kernel_bpf_open(#name, lastack_bpf_##name, lastack_bpf_##name##_end, why, why_len)

/* Have the kernel check and load it. 0, or -errno with a sentence in `why`. What libbpf would print
 * goes nowhere, but with LASTACK_BPF_LOG in the environment, to standard error. */
int kernel_bpf_load(struct bpf_object *object, char *why, size_t why_len);

/* The sentence for a refusal that came later (attach, iterate): `what` was refused with `error`. */
void kernel_bpf_refused(const char *what, int error, char *why, size_t why_len);

#endif
