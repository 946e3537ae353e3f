/* SPDX-License-Identifier: BSD-2-Clause */
/* The only event loop. */
#ifndef LASTACK_RUN_LOOP_H
#define LASTACK_RUN_LOOP_H

struct supervisor;

/* Watch notify, signals, TUN. 0 or -errno. */
int loop_prepare(struct supervisor *s);
/* Until the programs are gone and their connections have ended. */
void loop_run(struct supervisor *s);

#endif
