/* SPDX-License-Identifier: BSD-2-Clause */
/* What two ends do with each other, written once for both roles and all stacks. */
#ifndef INTEROP_SCENARIO_H
#define INTEROP_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct scene {
    bool client;
    const char *address; /* the server's */
    int port;
    long bytes;          /* how much a bulk scenario moves */
    /* what happened */
    int64_t sent, received;
    uint64_t sent_hash, received_hash;
    const char *end;     /* "eof", an errno's name, "closed", "killed" */
    const char *trouble; /* NULL: went as written */
};

struct scenario {
    const char *name;
    void (*client)(struct scene *scene, int fd);
    void (*server)(struct scene *scene, int fd);
    /* Instead of one connection made beforehand: */
    void (*client_alone)(struct scene *scene);
    void (*server_alone)(struct scene *scene);
};

extern const struct scenario scenarios[]; /* ends with a NULL name */

/* Play one role and print its line. Returns the exit status. */
int scene_play(struct scene *scene, const struct scenario *scenario);

#endif
