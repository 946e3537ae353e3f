/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

int main(void)
{
    int fd, listener = bind_here(64), reserve = -1;
    pid_t client;
    struct rlimit few = {32, 32};
#ifdef REPAIRED
    reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
#endif
    check(setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
    if ((client = spawn()) == 0) {
        char byte;
        close(listener); /* a second holder could accept */
        fd = dial();
        _exit(recv(fd, &byte, 1, 0) < 0);
    }
    while (dup(0) >= 0)
        ;
    for (int told = 0;; usleep(20000)) {
        if (!told && (told = 1))
            ready();
        /* PAGE */
    }
    (void)reserve;
}
