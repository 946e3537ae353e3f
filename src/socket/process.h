/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes and their descriptor tables: references to files. */
#ifndef LASTACK_SOCKET_PROCESS_H
#define LASTACK_SOCKET_PROCESS_H

#include "socket/socket.h"

struct descriptor {
    struct file *file; /* NULL: free */
    uint32_t since_ms;
    uint8_t origin; /* enum lastack_origin */
    bool close_on_exec;
};

struct lastack_process {
    lastack *stack;
    struct list link;
    uint32_t pid, acting_pid;
    char name[16];
    struct descriptor *table;
    uint32_t table_len; /* a multiple of 64 */
    uint32_t open_cnt;
    uint64_t *used; /* one bit per descriptor */
    uint64_t *full; /* one bit per word of used */
};

struct lastack_message {
    lastack *stack;
    struct list link;
    struct file *file;
    uint32_t pid, since_ms;
};

/* Calls made for `process` from here on are recorded under it. */
void process_acts(lastack_process *process, int fd);
/* The file behind fd; NULL: EBADF. */
struct file *process_file(const lastack_process *process, int fd);
/* The same for a socket: NULL and *error = -EBADF or -ENOTSOCK. */
struct socket *process_socket(lastack_process *process, int fd, int *error);
/* Lowest free descriptor from `low` on refers to `file` (one reference more), or -EMFILE. */
int descriptor_open(lastack_process *process, struct file *file, int low,
                    enum lastack_origin origin, bool close_on_exec);
/* Drop a descriptor. Returns 0, or -EINPROGRESS as lastack_close. */
int descriptor_close(lastack_process *process, int fd, enum lastack_cause cause);
/* Drop a reference that is no descriptor any more. */
int file_put(lastack *stack, struct file *file, enum lastack_cause cause);

#endif
