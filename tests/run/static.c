/* SPDX-License-Identifier: BSD-2-Clause */
/* Client and server in one, linked statically: sends 300000 bytes through a child and back. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOTAL 300000

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* The child sends back all it gets, then ends. */
static void echo(int listener)
{
    char data[4096];
    ssize_t len;
    int fd = accept(listener, NULL, NULL);

    if (fd < 0)
        fail("accept");
    while ((len = read(fd, data, sizeof data)) > 0)
        for (ssize_t done = 0, n; done < len; done += n)
            if ((n = write(fd, data + done, (size_t)(len - done))) <= 0)
                fail("write");
    _exit(len < 0);
}

static void sender(int fd)
{
    static char data[TOTAL];

    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (char)(i % 253);
    for (size_t done = 0; done < TOTAL;) {
        ssize_t n = write(fd, data + done, TOTAL - done);

        if (n <= 0)
            fail("write");
        done += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    _exit(0);
}

static size_t receive(int fd)
{
    static char data[8192];
    size_t total = 0;
    ssize_t len;

    while ((len = read(fd, data, sizeof data)) > 0)
        for (ssize_t i = 0; i < len; i++, total++)
            if (data[i] != (char)(total % 253)) {
                fprintf(stderr, "byte %zu is wrong\n", total);
                exit(1);
            }
    if (len < 0)
        fail("read");
    return total;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), status;
    size_t total;

    if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, 4) || getsockname(listener, (struct sockaddr *)&address, &len))
        fail("listen");
    if (fork() == 0)
        echo(listener);
    close(listener);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    if (fork() == 0)
        sender(fd);
    total = receive(fd);
    while (wait(&status) > 0)
        if (status != 0)
            return 1;
    printf("%zu bytes there and back\n", total);
    return total != TOTAL;
}
