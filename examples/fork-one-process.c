/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork-one-process
 *
 * A forking server, its child and a client, all in one process on one stack: sockets belong
 * to simulated processes, lastack_fork() copies their descriptors as fork(2) would, and the
 * packets go over the stack's own loopback. No privilege, no thread, no clock.
 *
 * It shows the rule that everything here is about: a close() that is not the last one sends
 * nothing; shutdown() acts whatever the count.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lastack.h"

#define PORT 8080

static uint64_t now_ns = 1000000000; /* any clock will do */

/* Let everything happen that can happen without waiting. */
static void settle(lastack *stack)
{
    struct lastack_frame frames[16];

    now_ns += 1000000;
    lastack_tick(stack, now_ns);
    while (lastack_tx(stack, frames, 16, now_ns) > 0)
        ; /* nothing leaves: all of it is loopback */
}

static void expect(const char *what, long long got, long long want)
{
    printf("  %-52s -> %lld\n", what, got);
    if (got != want) {
        fprintf(stderr, "fork-one-process: %s gave %lld instead of %lld\n", what, got, want);
        exit(EXIT_FAILURE);
    }
}

static const char *state_of(lastack *stack, lastack_process *process, int fd)
{
    uint64_t cursor = 0, id = lastack_socket_id(process, fd);
    struct lastack_info info;

    while (lastack_info_next(stack, &cursor, &info))
        if (info.socket_id == id)
            return lastack_state_name(info.state);
    return "gone";
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct lastack_config config;
    char text[64];

    lastack_config_init(&config);
    config.seed[0] = 42; /* a real program asks getrandom(2) */
    lastack *stack = lastack_create(&config, now_ns);
    lastack_process *server = lastack_process_create(stack, 100, "server");
    lastack_process *client = lastack_process_create(stack, 200, "client");

    if (!stack || !server || !client)
        return EXIT_FAILURE;

    puts("The server listens, the client connects.");
    int listener = lastack_socket(server, AF_INET, SOCK_STREAM, 0);
    expect("server: bind", lastack_bind(server, listener, (void *)&address, sizeof(address)), 0);
    expect("server: listen", lastack_listen(server, listener, 8), 0);
    int talk = lastack_socket(client, AF_INET, SOCK_STREAM, 0);
    expect("client: connect (-EINPROGRESS: no call ever waits)",
           lastack_connect(client, talk, (void *)&address, sizeof(address)), -EINPROGRESS);
    settle(stack);
    int fd = lastack_accept(server, listener, NULL, NULL, 0);
    if (fd < 0)
        return EXIT_FAILURE;

    puts("The server forks: two processes hold the connection now.");
    lastack_process *child = lastack_fork(server, 101);
    expect("client: send \"hello\"", lastack_send(client, talk, "hello", 5, 0), 5);
    settle(stack);
    expect("child: recv", lastack_recv(child, fd, text, sizeof(text), 0), 5);

    puts("The client ends its half.");
    expect("client: shutdown(SHUT_WR)", lastack_shutdown(client, talk, SHUT_WR), 0);
    settle(stack);
    expect("child: recv (end of stream)", lastack_recv(child, fd, text, sizeof(text), 0), 0);
    printf("  the server's side is %s\n", state_of(stack, server, fd));

    puts("The child closes, but its parent still holds the connection: nothing happens.");
    expect("child: close", lastack_close(child, fd), 0);
    settle(stack);
    expect("client: recv (-EAGAIN: no end of stream)",
           lastack_recv(client, talk, text, sizeof(text), 0), -EAGAIN);
    printf("  the server's side is %s\n", state_of(stack, server, fd));

    puts("The parent calls shutdown: that acts on the socket, whatever the count.");
    expect("server: shutdown(SHUT_WR)", lastack_shutdown(server, fd, SHUT_WR), 0);
    settle(stack);
    expect("client: recv (end of stream)", lastack_recv(client, talk, text, sizeof(text), 0), 0);

    lastack_exit(child);
    lastack_exit(server);
    lastack_exit(client);
    lastack_destroy(stack);
    puts("Done.");
    return EXIT_SUCCESS;
}
