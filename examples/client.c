/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client ADDRESS PORT [TEXT]
 *
 * Says one thing, hears the answer, ends its half of the conversation, and waits until the
 * other side ends the other half. Plain POSIX sockets.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *text = argc == 4 ? argv[3] : "hello";
    char answer[512];
    ssize_t len;

    if (argc < 3 || argc > 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr, "usage: client ADDRESS PORT [TEXT]\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
    setvbuf(stdout, NULL, _IOLBF, 0);

    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        die("client: socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("client: connect");
    printf("client: connected; says \"%s\"\n", text);
    if (write(fd, text, strlen(text)) < 0)
        die("client: write");
    for (size_t heard = 0, all = strlen(text) + strlen("you said: "); heard < all;) {
        len = read(fd, answer, sizeof(answer) - 1);
        if (len <= 0)
            break;
        answer[len] = '\0';
        printf("client: hears \"%s\"\n", answer);
        heard += (size_t)len;
    }
    if (shutdown(fd, SHUT_WR) < 0)
        die("client: shutdown");
    double since = seconds();

    printf("client: has no more to say (its FIN is out), waits for the server to end too\n");
    do
        len = read(fd, answer, sizeof(answer));
    while (len > 0);
    if (len < 0)
        die("client: read");
    printf("client: end of stream, after %.1f s\n", seconds() - since);
    close(fd);
    return EXIT_SUCCESS;
}
