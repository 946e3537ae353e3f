/* SPDX-License-Identifier: BSD-2-Clause */
/* A program whose stack is looked at: it waits in read(), under as many frames of descend() as it is
 * told to. Built in many ways; lines_test.c finds the lines by their marks. */
#include <stdio.h>
#include <unistd.h>

static inline __attribute__((always_inline)) long conn_read(int fd)
{
    char bytes[64];
    long got = read(fd, bytes, sizeof bytes); /* mark: read */
    __asm__ volatile("" : : "r"(bytes) : "memory");
    return got;
}

static __attribute__((noinline)) long serve(int fd, long sum)
{
    long got = conn_read(fd); /* mark: serve */
    __asm__ volatile("" : "+r"(sum), "+r"(got));
    return sum + got;
}

static __attribute__((noinline)) long descend(int depth, int fd)
{
    long below = depth > 0 ? descend(depth - 1, fd) : serve(fd, depth); /* mark: descend */
    __asm__ volatile("" : "+r"(below));
    return below + depth;
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? argv[1][0] - '0' : 0;
    puts("ready");
    fflush(stdout);
    long result = descend(depth, STDIN_FILENO); /* mark: main */
    __asm__ volatile("" : "+r"(result));
    return result == 0 ? 0 : 1;
}
