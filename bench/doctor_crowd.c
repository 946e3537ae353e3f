/* SPDX-License-Identifier: BSD-2-Clause */
/* Many processes with many sockets: descriptors are bounded per process, so it takes a thousand. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

bool crowd_space_enter(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (unshare(CLONE_NEWNET) != 0) {
        perror("bench-doctor: a network namespace of its own (run it as root)");
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (!up)
        perror("bench-doctor: loopback");
    if (fd >= 0)
        close(fd);
    return up;
}

/* Every maker has an address of its own: ports never run out. */
static struct sockaddr_in address_of(int maker)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7000)};
    a.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)maker);
    return a;
}

static bool sockets_make(int maker, int cnt)
{
    struct sockaddr_in a = address_of(maker);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool ok = bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 16) == 0;
    for (int i = 0; i < cnt / 2 && ok; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        ok = connect(client, (struct sockaddr *)&a, sizeof a) == 0 &&
             accept(listener, NULL, NULL) >= 0;
        if (ok && i % 2)
            ok = shutdown(client, SHUT_WR) == 0;
    }
    close(listener);
    return ok;
}

static _Noreturn void live(int maker, int heirs, int sockets, int ready)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char word = sockets_make(maker, sockets) ? '+' : '-';
    for (int i = 0; i < heirs; i++) {
        int pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
        if (pid < 0)
            word = '-';
    }
    if (write(ready, &word, 1) != 1)
        _exit(1);
    close(ready);
    for (;;)
        pause();
}

bool crowd_make(struct crowd *crowd, int maker_cnt, int heirs, int sockets_each)
{
    int ready[2], there = 0;
    char word = '+';
    *crowd = (struct crowd){calloc((size_t)maker_cnt, sizeof(int)), 0, heirs, sockets_each};
    if (!crowd->makers || pipe(ready) != 0)
        return false;
    for (int i = 0; i < maker_cnt; i++) {
        int pid = fork();
        if (pid == 0) {
            close(ready[0]);
            live(i, heirs, sockets_each, ready[1]);
        }
        if (pid < 0)
            break;
        crowd->makers[crowd->maker_cnt++] = pid;
    }
    close(ready[1]);
    while (there < maker_cnt * (1 + heirs) && word == '+' && read(ready[0], &word, 1) == 1)
        there += word == '+';
    close(ready[0]);
    if (there == maker_cnt * (1 + heirs))
        return true;
    fprintf(stderr, "bench-doctor: %d of %d processes have their sockets: %s\n", there,
            maker_cnt * (1 + heirs), "limits of processes or descriptors?");
    crowd_free(crowd);
    return false;
}

void crowd_free(struct crowd *crowd)
{
    for (int i = 0; i < crowd->maker_cnt; i++)
        kill(crowd->makers[i], SIGKILL);
    for (int i = 0; i < crowd->maker_cnt; i++)
        waitpid(crowd->makers[i], NULL, 0);
    free(crowd->makers);
    *crowd = (struct crowd){0};
}
