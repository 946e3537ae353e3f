/* SPDX-License-Identifier: BSD-2-Clause */
/* `lastack run`: run an unmodified program on a stack of its own. */
#ifndef LASTACK_RUN_RUN_H
#define LASTACK_RUN_RUN_H

/* argv[0] is "run" or "lastack run". Returns the exit status: that of the program; 125 when
 * lastack itself could not go on, 126 when the program could not be run, 127 when there is none. */
int run_main(int argc, char **argv);

#endif
