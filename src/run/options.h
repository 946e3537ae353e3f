/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `lastack run`, as a value. */
#ifndef LASTACK_RUN_OPTIONS_H
#define LASTACK_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "doctor/control.h"
#include "lastack.h"

struct run_options {
    char name[CONTROL_NAME_LEN]; /* of the stack and its control socket */
    bool name_given;
    const char *tun;             /* NULL: loopback only */
    struct lastack_address address;
    uint8_t prefix_len;
    bool address_given;
    struct lastack_address host_address; /* of the kernel's side of the TUN */
    bool host_address_given;
    const char *capture;         /* NULL: none */
    bool close_trace;
    bool verbose;
    uint32_t grace_ms;           /* for connections that are left when the programs are gone */
    uint32_t msl_ms;             /* 0: the default */
    char **program;              /* NULL-terminated */
};

/* Exits with a message on anything wrong (status 125) and after --help. */
void run_options_parse(struct run_options *options, int argc, char **argv);

#endif
