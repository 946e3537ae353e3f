/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

struct conn {
    int fd;
    const char *host;
};

/* A name server that does not answer. */
static int slow(const char *host, void *service, void *hints, struct addrinfo **ai)
{
    (void)host, (void)service, (void)hints, (void)ai;
    rest();
    return 0;
}
#define getaddrinfo(host, service, hints, ai) slow(host, service, hints, ai)

static inline void *resolve(void *argument)
{
    struct conn *c = argument;
    struct addrinfo *ai;
    getaddrinfo(c->host, NULL, NULL, &ai);
    return NULL;
}

static inline void worker_submit(void *(*job)(void *), struct conn *c)
{
    start_thread(job, c);
}

/* PAGE */

int main(void)
{
    int listener = bind_here(4), poller = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {0}};
    char buf[64];
    client_was_here();
    client_was_here();
    struct conn first = {accept(listener, NULL, NULL), "slow.example"};
    struct conn second = {accept(listener, NULL, NULL), "other.example"};
    event.data.ptr = &second;
    epoll_ctl(poller, EPOLL_CTL_ADD, second.fd, &event);
    wait_end(second.fd);
    ready();
    on_request(&first);
    close(first.fd);
    for (;;) {
        epoll_wait(poller, &event, 1, -1);
        if (recv(second.fd, buf, sizeof buf, 0) == 0)
            close(second.fd);
    }
}
