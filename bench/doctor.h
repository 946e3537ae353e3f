/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the doctor's bench: a world of sockets and processes, and what things cost in it. */
#ifndef LASTACK_BENCH_DOCTOR_H
#define LASTACK_BENCH_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

/* A network namespace of our own, with loopback; false: not allowed, with a sentence printed. */
bool crowd_space_enter(void);

/* Processes that hold TCP sockets in our namespace and sleep. Half of the connections are half-closed:
 * a quarter of the sockets is in CLOSE_WAIT, a quarter in FIN_WAIT2. */
struct crowd {
    int *makers; /* pids; each has `heirs` forks that hold the same sockets */
    int maker_cnt, heirs, sockets_each;
};
/* All sockets are there when it returns; false: this machine does not bear it. */
bool crowd_make(struct crowd *crowd, int maker_cnt, int heirs, int sockets_each);
void crowd_free(struct crowd *crowd);

/* CPU seconds, user and system, of a command and its children; its output is thrown away. Negative:
 * it could not be run. `status` gets its exit status. */
double command_cpu(const char *const argv[], int *status);
/* CPU seconds of one look for sockets in `states` (bits 1 << enum lastack_state), without holders.
 * `found` gets their number. Negative: refused. */
double poll_cpu(unsigned states, unsigned *found);
/* CPU seconds of one connection's life: connect, accept, a byte both ways, close; both ends. */
double life_cpu(int cnt);

#endif
