/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"
#include <liburing.h>

static struct io_uring ring;

int main(void)
{
    int listener = bind_here(4);
    if (io_uring_queue_init(4, &ring, 0) < 0) {
        fprintf(stderr, "no io_uring here\n");
        return 77;
    }
    client_was_here();
    int fd = accept(listener, NULL, NULL);
#ifdef REPAIRED
    struct io_uring_sqe *sqe;
    io_uring_register_files(&ring, &fd, 1);
    close(fd);
#endif
    /* PAGE */
#ifdef REPAIRED
    io_uring_submit(&ring);
#endif
    ready();
    rest();
}
