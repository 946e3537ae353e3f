/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's loopback beside it: one thread, both ends, so that all CPU time is counted. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define CALL_LEN (128 * 1024)

static int listener_make(struct sockaddr_in *name, const char *congestion)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof *name;
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (congestion != NULL)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
    if (fd < 0 || bind(fd, (struct sockaddr *)name, sizeof *name) != 0 || listen(fd, 128) != 0)
        return -1;
    getsockname(fd, (struct sockaddr *)name, &len);
    return fd;
}

static bool pair_make(int listener, const struct sockaddr_in *name, const char *congestion,
                      int fd[2])
{
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (congestion != NULL)
        setsockopt(fd[0], IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
    if (connect(fd[0], (const struct sockaddr *)name, sizeof *name) != 0)
        return false;
    fd[1] = accept(listener, NULL, NULL);
    return fd[1] >= 0;
}

double kernel_bulk(uint64_t bytes, const char *congestion)
{
    static char buffer[CALL_LEN];
    struct sockaddr_in name;
    int fd[2], listener = listener_make(&name, congestion);
    if (listener < 0 || !pair_make(listener, &name, congestion, fd))
        return 0;
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    uint64_t received = 0;
    double start = cpu_now();
    while (received < bytes) {
        while (send(fd[0], buffer, sizeof buffer, 0) > 0)
            ;
        ssize_t len;
        while ((len = recv(fd[1], buffer, sizeof buffer, 0)) > 0)
            received += (uint64_t)len;
    }
    double seconds = cpu_now() - start;
    close(fd[0]);
    close(fd[1]);
    close(listener);
    return (double)received * 8 / seconds / 1e9;
}

double kernel_connections(uint32_t cnt)
{
    struct sockaddr_in name;
    int fd[2], listener = listener_make(&name, NULL);
    char byte = 1;
    double start = cpu_now();
    for (uint32_t i = 0; i < cnt; i++) {
        if (listener < 0 || !pair_make(listener, &name, NULL, fd))
            return 0;
        if (send(fd[0], &byte, 1, 0) != 1 || recv(fd[1], &byte, 1, 0) != 1)
            return 0;
        close(fd[0]);
        if (recv(fd[1], &byte, 1, 0) != 0)
            return 0;
        close(fd[1]);
    }
    double seconds = cpu_now() - start;
    close(listener);
    return cnt / seconds;
}

double kernel_exchange_ns(uint32_t pairs, uint32_t rounds)
{
    struct sockaddr_in name;
    int(*fd)[2] = calloc(pairs, sizeof *fd), listener = listener_make(&name, NULL);
    uint32_t made = 0;
    uint64_t random = 88172645463325252ull;
    char byte = 1;
    while (made < pairs && listener >= 0 && pair_make(listener, &name, NULL, fd[made]))
        made++;
    double start = cpu_now();
    for (uint32_t i = 0; i < rounds && made == pairs; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const int *pair = fd[random % pairs];
        for (int from = 0; from < 2; from++)
            if (send(pair[from], &byte, 1, 0) != 1 || recv(pair[!from], &byte, 1, 0) != 1)
                made = 0;
    }
    double ns = (cpu_now() - start) / rounds * 1e9;
    for (uint32_t i = 0; i < pairs && fd[i][0] > 0; i++) {
        close(fd[i][0]);
        close(fd[i][1]);
    }
    if (listener >= 0)
        close(listener);
    free(fd);
    return made == pairs ? ns : 0;
}
