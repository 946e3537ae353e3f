/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

struct leg {
    int fd;
    struct leg *other;
};

#define deadline_set(leg, tenths) (deadline_start((leg)->fd, tenths), deadline_start((leg)->other->fd, tenths))

/* PAGE */

int main(void)
{
    char buf[64];
    int outside = bind_here(4), inside;
    client_was_here();
    inside = bind_here(4);
    if (spawn() == 0) { /* the origin, which never ends its half */
        wait_end(accept(inside, NULL, NULL));
        rest();
    }
    struct leg a = {accept(outside, NULL, NULL), NULL}, b = {dial(), &a};
    a.other = &b;
    for (ssize_t n; (n = recv(a.fd, buf, sizeof buf, 0)) > 0;)
        send(b.fd, buf, (size_t)n, 0);
    on_eof(&a);
    ready();
    recv(b.fd, buf, sizeof buf, 0);
    rest();
}
