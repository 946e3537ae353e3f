/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of an interop scenario.
 *
 *     peer ROLE SCENARIO ADDRESS PORT [--bytes N] [--congestion NAME] [--tun NAME --local A]
 *          [--impair N]
 *
 * ROLE is client or server; ADDRESS is the server's. A server prints "listening" when clients
 * may come. Both print one line at the end: bytes and FNV-1a of what was sent and of what was
 * received over all connections in order, and how the stream ended.
 */
#include "call.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    fprintf(stderr, "usage: peer client|server SCENARIO ADDRESS PORT [--bytes N]\n"
                    "            [--congestion NAME] [--tun NAME --local ADDRESS]\n"
                    "            [--impair N]\n"
                    "scenarios:");
    for (const struct scenario *item = scenarios; item->name; item++)
        fprintf(stderr, " %s", item->name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct call_options options = {0};
    struct scene scene = {.bytes = 1 << 20};
    const struct scenario *item = scenarios;

    if (argc < 5 || (argc - 5) % 2 != 0)
        return usage();
    while (item->name && strcmp(item->name, argv[2]) != 0)
        item++;
    scene.client = strcmp(argv[1], "client") == 0;
    if (!item->name || (!scene.client && strcmp(argv[1], "server") != 0))
        return usage();
    scene.address = argv[3];
    scene.port = atoi(argv[4]);
    for (int i = 5; i < argc; i += 2) {
        if (strcmp(argv[i], "--bytes") == 0)
            scene.bytes = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--congestion") == 0)
            options.congestion = argv[i + 1];
        else if (strcmp(argv[i], "--tun") == 0)
            options.tun = argv[i + 1];
        else if (strcmp(argv[i], "--local") == 0)
            options.address = argv[i + 1];
        else if (strcmp(argv[i], "--impair") == 0)
            options.impair = (unsigned)atoi(argv[i + 1]);
        else
            return usage();
    }
    if (call_begin(&options) < 0)
        return 3;
    return scene_play(&scene, item);
}
