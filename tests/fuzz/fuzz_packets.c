/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: packets and time into a stack with a listener whose program accepts, reads,
 * answers and closes in a fixed way. The input's first byte chooses options of the stack. */
#include <errno.h>
#include <sys/socket.h>

#include "world.h"

/* The program: takes what comes, answers a little, closes at the end of stream. */
static void serve(struct fuzz *f, unsigned mood)
{
    static uint8_t buffer[4096];
    lastack_process *p = f->proc[0];
    while (lastack_accept(p, 0, NULL, NULL, SOCK_NONBLOCK) >= 0)
        ;
    for (int fd = 1; fd < 16 && mood % 4; fd++) {
        ssize_t got = lastack_recv(p, fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0)
            lastack_send(p, fd, buffer, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got == 0 && mood % 4 == 1)
            lastack_shutdown(p, fd, SHUT_WR);
        else if (got == 0 || (got < 0 && got != -EAGAIN && got != -EBADF))
            lastack_close(p, fd);
        else if (got > 0 && mood == 7)
            lastack_send(p, fd, buffer, sizeof buffer, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f;
    fuzz_begin(&f, data, size);
    for (unsigned i = 0; f.in.len && i < 2000; i++) {
        uint8_t what = take_u8(&f.in);
        switch (what & 7) {
        case 0:
        case 1:
        case 2:
            fuzz_segment(&f);
            break;
        case 3:
            fuzz_time(&f);
            break;
        case 4:
            fuzz_icmp(&f);
            break;
        case 5:
            fuzz_fragment(&f);
            break;
        case 6:
            fuzz_reflect(&f);
            break;
        default:
            fuzz_raw(&f);
            break;
        }
        fuzz_pump(&f);
        serve(&f, what >> 3 & 7);
        fuzz_pump(&f);
        if (i % 8 == 0)
            fuzz_audit(&f);
    }
    fuzz_end(&f);
    return 0;
}
