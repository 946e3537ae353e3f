/* SPDX-License-Identifier: BSD-2-Clause */
/* Network namespaces: found by the links of processes and the names of ip netns, entered by a thread
 * of its own, which nobody misses when it ends in another world. */
#include "kernel/namespaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/diag.h"

static struct scan_space *space_add(struct scan *scan)
{
    struct scan_space *all = realloc(scan->spaces, (scan->space_cnt + 1) * sizeof *all);
    if (!all) {
        scan->failed = true;
        return NULL;
    }
    scan->spaces = all;
    struct scan_space *space = &all[scan->space_cnt++];
    *space = (struct scan_space){.diag = -1};
    return space;
}

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

int namespaces_look(struct scan *scan, char *why, size_t why_len)
{
    struct stat own;
    struct scan_space *space = space_add(scan);
    if (!space)
        return -ENOMEM;
    space->here = true;
    if (stat("/proc/self/ns/net", &own) == 0)
        space->inode = own.st_ino;
    ports_read(space);
    space->diag = diag_open();
    if (space->diag < 0)
        snprintf(why, why_len, "the kernel cannot be asked for its sockets (sock_diag: %s)",
                 strerror(-space->diag));
    return space->diag < 0 ? space->diag : 0;
}
