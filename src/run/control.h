/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers for `lastack ss`, `lastack why` and `lastack end`. */
#ifndef LASTACK_RUN_CONTROL_H
#define LASTACK_RUN_CONTROL_H

#include <stdint.h>

struct supervisor;
struct control_client;

/* Serve as options.name. 0, or -errno after a message. */
int control_start(struct supervisor *s);
void control_stop(struct supervisor *s);
/* Somebody connects. */
void control_accept(struct supervisor *s);
/* A client has sent something, or can take more. */
void control_event(struct supervisor *s, struct control_client *client, uint32_t events);

#endif
