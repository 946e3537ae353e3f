/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References over execve: what close-on-exec closes and what comes along.
 */
#include "trace.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <unistd.h>

static void case_kept(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        become("write", server, 0, 0);
    close(server);
    done("child", child);
    sees("peer", client);
    sees("peer at the end", client);
}

/* With close-on-exec, exec alone is the last close: the program that runs on has it no more. */
static void case_closed(void)
{
    int client, server, ready_turn = turn_make(), go_turn = turn_make();
    pid_t child;

    pair(&client, &server);
    fcntl(server, F_SETFD, FD_CLOEXEC);
    fcntl(client, F_SETFD, FD_CLOEXEC);
    child = branch();
    if (child == 0) {
        fcntl(ready_turn, F_SETFD, 0);
        fcntl(go_turn, F_SETFD, 0);
        become("look", server, ready_turn, go_turn);
    }
    close(server);
    turn_wait(ready_turn);
    sees("peer while the program runs", client);
    turn_give(go_turn);
    done("child", child);
}

static void case_one_of_two(void)
{
    int client, server, copy, ready_turn = turn_make(), go_turn = turn_make();
    pid_t child;

    pair(&client, &server);
    copy = fcntl(server, F_DUPFD_CLOEXEC, 0);
    child = branch();
    if (child == 0) {
        fcntl(ready_turn, F_SETFD, 0);
        fcntl(go_turn, F_SETFD, 0);
        become("look", copy, ready_turn, go_turn);
    }
    close(copy);
    turn_wait(ready_turn);
    sends("parent sends", server, "x");
    sees("peer", client);
    close(server);
    turn_give(go_turn);
    done("child", child);
    sees("peer at the end", client);
}

static void case_from_socket_call(void)
{
    int listening, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    result("close-on-exec", fcntl(fd, F_GETFD));
    yes_no("O_NONBLOCK", fcntl(fd, F_GETFL) & O_NONBLOCK);
    yes_no("read and write", (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
    listening = tcp();
    result("without, close-on-exec", fcntl(listening, F_GETFD));
    yes_no("without, O_NONBLOCK", fcntl(listening, F_GETFL) & O_NONBLOCK);
}

static void case_listener(void)
{
    int listening = listener(4), client = client_of(listening);
    pid_t child = branch();

    if (child == 0)
        become("accept", listening, 0, 0);
    close(listening);
    done("child", child);
    sees_len("client", client, 19);
    sees("client at the end", client);
}

static void case_listener_closed(void)
{
    int listening = listener(4), ready_turn = turn_make(), go_turn = turn_make();
    struct sockaddr_in address = name_of(listening);
    pid_t child;

    fcntl(listening, F_SETFD, FD_CLOEXEC);
    child = branch();
    if (child == 0) {
        fcntl(ready_turn, F_SETFD, 0);
        fcntl(go_turn, F_SETFD, 0);
        become("look", listening, ready_turn, go_turn);
    }
    close(listening);
    turn_wait(ready_turn);
    result("connect while the program runs", connect_to(tcp(), &address));
    turn_give(go_turn);
    done("child", child);
}

/* The socket is the same one after exec: its names, its state, its peer. */
static void case_same_socket(void)
{
    int client, server, ready_turn = turn_make(), go_turn = turn_make();
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        fcntl(ready_turn, F_SETFD, 0);
        fcntl(go_turn, F_SETFD, 0);
        become("names", server, ready_turn, go_turn);
    }
    turn_wait(ready_turn);
    sees("peer sees the helper's end", client);
    sends("peer sends", client, "answer");
    turn_give(go_turn);
    done("child", child);
    sends("parent's send is ended too", server, "x");
}

static void case_spawn(void)
{
    int client, server;
    char number[16], *argv[] = {(char[]){"semantics"}, (char[]){"--helper"}, (char[]){"write"},
                                (char[]){"exec"},      (char[]){"spawn"},    number,
                                (char[]){"0"},         (char[]){"0"},        NULL};
    int spawned;
    pid_t child;

    pair(&client, &server);
    number[0] = (char)('0' + server % 10);
    number[1] = '\0';
    if (server > 9)
        broken("a descriptor below 10");
    spawned = posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ);
    if (spawned == 0)
        done("child", child);
    result("posix_spawn", spawned);
    close(server);
    sees("peer", client);
    sees("peer at the end", client);
}

static const struct semantics_case cases[] = {
    {"kept", case_kept},
    {"closed", case_closed},
    {"one-of-two", case_one_of_two},
    {"from-socket-call", case_from_socket_call},
    {"listener", case_listener},
    {"listener-closed", case_listener_closed},
    {"same-socket", case_same_socket},
    {"spawn", case_spawn},
    {NULL, NULL},
};

const struct semantics_group group_exec = {"exec", cases};
