/* SPDX-License-Identifier: BSD-2-Clause */
/* In whose hands a process is, by the path of its control group. Private. */
#ifndef LASTACK_KERNEL_CONTAINER_H
#define LASTACK_KERNEL_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

/* From the text of /proc/PID/cgroup: "docker:ID", "podman:ID", "containerd:ID", "crio:ID",
 * "pod:UID/ID", "lxc:NAME", "systemd:UNIT"; IDs are cut to 12 digits. False and "": none of these. */
bool container_name(const char *cgroup, char *out, size_t out_len);

#endif
