/* SPDX-License-Identifier: BSD-2-Clause */
/* The key=value flags of the adapter. */
#ifndef TESTS_PACKETDRILL_FLAGS_H
#define TESTS_PACKETDRILL_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lastack.h"

struct flags {
    struct lastack_config config;
    struct lastack_address local;
    uint32_t mtu;
    uint8_t local_prefix_len;
    bool local_set;          /* else: taken from the first bind or inbound packet */
    bool strict;             /* packets that nobody asked for are a fault at the end */
    bool fork_at_accept;     /* a child process inherits every descriptor at each accept */
    uint64_t child_exit_ms;  /* after the fork; 0: never */
};

/* Parse `text` (NULL: none) over the defaults. False, with the reason in `error`. */
bool flags_parse(struct flags *out, const char *text, char *error, size_t error_len);

#endif
