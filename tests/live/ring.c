/* SPDX-License-Identifier: BSD-2-Clause */
/* D, with io_uring: a ring holds what the program closed. */
#include "stage.h"

#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring_open(struct io_uring_params *params)
{
    memset(params, 0, sizeof *params);
    int ring = (int)syscall(__NR_io_uring_setup, 4, params);
    check(ring >= 0, "io_uring_setup");
    return ring;
}

/* Registered as a file of the ring, then closed. */
static void ring_file(int listener)
{
    struct io_uring_params params;
    int ring = ring_open(&params), fd = take(listener);
    check(syscall(__NR_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) == 0,
          "io_uring_register");
    read_to_end(fd);
    say_socket("closed", fd);
    say_process("keeper", getpid());
    close(fd);
    ready();
    rest();
}

static void *ring_map(int ring, size_t len, off_t what)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);
    check(memory != MAP_FAILED, "mmap");
    return memory;
}

/* One receive, submitted by hand. */
static void ring_receive(int ring, const struct io_uring_params *params, int fd)
{
    static char bytes[64];
    const struct io_sqring_offsets *at = &params->sq_off;
    char *queue = ring_map(ring, at->array + params->sq_entries * sizeof(unsigned),
                           IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry =
        ring_map(ring, params->sq_entries * sizeof *entry, IORING_OFF_SQES);
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_RECV, .fd = fd, .len = sizeof bytes};
    entry->addr = (unsigned long)bytes;
    ((unsigned *)(queue + at->array))[0] = 0;
    __atomic_store_n((unsigned *)(queue + at->tail), 1, __ATOMIC_RELEASE);
    check(syscall(__NR_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1, "io_uring_enter");
}

/* A receive is under way, and the descriptor is closed beneath it. */
static void ring_request(int listener)
{
    struct io_uring_params params;
    int ring = ring_open(&params), fd = take(listener);
    read_some(fd, 5);
    ring_receive(ring, &params, fd);
    say_socket("closed", fd);
    say_process("keeper", getpid());
    close(fd);
    ready();
    rest();
}

const struct scenario scenarios_ring[] = {
    {"ring-file", ring_file, client_polite, 0},
    {"ring-request", ring_request, client_waits, 0},
    {NULL, NULL, NULL, 0},
};
