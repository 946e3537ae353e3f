/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forking-server PORT [--repaired]
 *
 * A server as in the text books, on plain POSIX sockets, with the classic mistake: after
 * fork() both parent and child have the accepted descriptor; the child reads to the end of
 * the stream and closes its own, the parent never closes. So no FIN leaves, and the connection
 * stays in CLOSE_WAIT for as long as the parent lives.
 *
 * With --repaired the child calls shutdown() before close(): a shutdown acts on the socket
 * itself, whoever else still holds it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("bind");
    if (listen(fd, 16) < 0)
        die("listen");
    return fd;
}

/* Answer every piece of text, until the client has no more to say. */
static void serve(int fd, bool repaired)
{
    char text[512] = "you said: ";
    const size_t head = strlen(text);
    ssize_t len;

    while ((len = read(fd, text + head, sizeof(text) - head)) > 0)
        if (write(fd, text, head + (size_t)len) < 0)
            break;
    printf("server: child %d read the end of the stream, %s\n", (int)getpid(),
           repaired ? "shuts down and closes" : "closes its descriptor");
    if (repaired)
        shutdown(fd, SHUT_RDWR); /* the one line that makes the difference */
    close(fd);
    exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    bool repaired = argc == 3 && strcmp(argv[2], "--repaired") == 0;
    long port = argc >= 2 ? strtol(argv[1], NULL, 10) : 0;

    if (port < 1 || port > 65535 || argc > 3 || (argc == 3 && !repaired)) {
        fprintf(stderr, "usage: forking-server PORT [--repaired]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGCHLD, SIG_IGN); /* children leave nothing behind */
    int listener = listen_on((uint16_t)port);
    printf("server: process %d listens on port %ld\n", (int)getpid(), port);

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0 && errno == EINTR)
            continue;
        if (fd < 0)
            die("accept");
        pid_t child = fork();

        if (child < 0)
            die("fork");
        if (child == 0) {
            close(listener);
            serve(fd, repaired);
        }
        printf("server: accepted a connection as descriptor %d, child %d takes it\n", fd,
               (int)child);
        /* Here a close(fd) is missing. It is the mistake of this program. */
    }
}
