/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References: a socket lives as long as anyone holds it, and a close is a close of the
 * connection only when it is the last (SEMANTICS: close, references left 0 or more).
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

static void case_dup(void)
{
    int client, server, copy;

    pair(&client, &server);
    copy = dup(server);
    result("close first", close(server));
    sends("send by copy", copy, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    sends("peer sends", client, "y");
    sees("copy receives", copy);
    result("close last", close(copy));
    sees("peer at the end", client);
}

static void case_dup2_over(void)
{
    int client_a, server_a, client_b, server_b;

    pair(&client_a, &server_a);
    pair(&client_b, &server_b);
    yes_no("dup2 returns target", dup2(server_a, server_b) == server_b);
    sees("peer of the one dropped", client_b);
    sends("send by the number", server_b, "a");
    sees("peer of the one kept", client_a);
    result("close original", close(server_a));
    sends("send again", server_b, "b");
    sees("peer again", client_a);
    result("close target", close(server_b));
    sees("peer at the end", client_a);
}

static void case_dup2_self(void)
{
    int client, server;

    pair(&client, &server);
    yes_no("dup2 onto itself", dup2(server, server) == server);
    sends("send", server, "x");
    sees("peer", client);
    close(server);
    sees("peer at the end", client);
}

static void case_dup2_over_listener(void)
{
    int client, server, listening = listener(4);
    struct sockaddr_in address = name_of(listening);

    pair(&client, &server);
    yes_no("dup2 over listener", dup2(server, listening) == listening);
    result("connect to it", connect_to(tcp(), &address));
    sends("its number sends", listening, "x");
    sees("peer", client);
}

static void case_dup_flags(void)
{
    int client, server, copy;

    pair(&client, &server);
    copy = fcntl(server, F_DUPFD_CLOEXEC, 100);
    yes_no("F_DUPFD_CLOEXEC at or above 100", copy >= 100);
    result("its close-on-exec", fcntl(copy, F_GETFD));
    result("close-on-exec of the original", fcntl(server, F_GETFD));
    nonblocking(copy);
    yes_no("O_NONBLOCK shared", fcntl(server, F_GETFL) & O_NONBLOCK);
    copy = dup3(server, 200, O_CLOEXEC);
    result("dup3", copy);
    result("its close-on-exec too", fcntl(copy, F_GETFD));
    result("dup3 onto itself", dup3(server, server, 0));
    result("dup of a closed one", dup(250));
}

static void case_dup_before_connect(void)
{
    int listening = listener(4), fd = tcp(), copy = dup(fd), server;
    struct sockaddr_in address = name_of(listening);

    result("connect by copy", connect_to(copy, &address));
    server = accept_from(listening);
    close(copy);
    sends("send by original", fd, "x");
    sees("server", server);
    sends("server sends", server, "y");
    sees("original receives", fd);
}

static void case_dup_listener(void)
{
    int listening = listener(4), copy = dup(listening), client, server;

    close(listening);
    client = client_of(copy);
    server = accept_from(copy);
    sends("server sends", server, "x");
    sees("client", client);
}

static void case_fork_child_closes(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        _exit(close(server) == 0 ? 0 : 1);
    done("child", child);
    sends("parent sends", server, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    close(server);
    sees("peer at the end", client);
}

static void case_fork_parent_closes(void)
{
    int client, server, turn = turn_make();
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        turn_wait(turn);
        sends("child sends", server, "from child");
        sees("child receives", server);
        _exit(0);
    }
    close(server);
    sends("peer sends", client, "to child");
    turn_give(turn);
    done("child", child);
    sees("peer", client);
    sees("peer at the end", client);
}

static void case_fork_one_stream(void)
{
    int client, server, turn = turn_make();
    pid_t child;

    pair(&client, &server);
    sends("peer sends", client, "onetwo");
    child = branch();
    if (child == 0) {
        sees_len("child receives", server, 3);
        turn_give(turn);
        _exit(0);
    }
    turn_wait(turn);
    sees_len("parent receives", server, 3);
    done("child", child);
}

static void case_fork_child_shuts(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        _exit(shutdown(server, SHUT_WR) == 0 && close(server) == 0 ? 0 : 1);
    done("child", child);
    sees("peer", client);
    sends("parent sends", server, "x");
    sends("peer still sends", client, "late");
    sees("parent receives", server);
}

/* The classic repair of a forking server: the FIN leaves although the parent holds on. */
static void case_fork_child_repairs(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        _exit(shutdown(server, SHUT_RDWR) == 0 && close(server) == 0 ? 0 : 1);
    done("child", child);
    sees("peer", client);
    sees("parent", server);
    result("peer closes", close(client));
    result("parent closes", close(server));
}

/* The classic leak: the child closes, the parent still holds, and the connection stays. */
static void case_fork_leak(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    result("client ends", shutdown(client, SHUT_WR));
    child = branch();
    if (child == 0) {
        sees("child reads", server);
        _exit(close(server) == 0 ? 0 : 1);
    }
    done("child", child);
    result("state held by the parent (8 is CLOSE_WAIT)", tcp_state(server));
    sends("parent can still send", server, "x");
    sees("client", client);
    sees_now("client, no end yet", client);
    close(server);
    sees("client at the end", client);
}

static void case_kill(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        for (;;)
            pause();
    close(server);
    kill(child, SIGKILL);
    done("child", child);
    sees("peer", client);
}

static void case_kill_unread(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    sends("peer sends", client, "never read");
    await(server, POLLIN);
    child = branch();
    if (child == 0)
        for (;;)
            pause();
    close(server);
    kill(child, SIGKILL);
    done("child", child);
    sees("peer", client);
}

static void case_kill_one_of_two(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0)
        for (;;)
            pause();
    kill(child, SIGKILL);
    done("child", child);
    sends("parent sends", server, "x");
    sees("peer", client);
    sees_now("peer, nothing else", client);
    close(server);
    sees("peer at the end", client);
}

static void case_kill_listener(void)
{
    int listening = listener(4);
    struct sockaddr_in address = name_of(listening);
    int waiting = client_of(listening);
    pid_t child = branch();

    if (child == 0)
        for (;;)
            pause();
    close(listening);
    result("connect while the child holds", connect_to(tcp(), &address));
    kill(child, SIGKILL);
    done("child", child);
    sees("connection nobody accepted", waiting);
    result("connect after", connect_to(tcp(), &address));
}

static void case_exit(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        sends("child sends", server, "bye");
        _exit(7);
    }
    close(server);
    done("child", child);
    sees("peer", client);
    sees("peer at the end", client);
}

static void case_listener_in_child(void)
{
    int listening = listener(4), client, turn = turn_make(), back = turn_make();
    struct sockaddr_in address = name_of(listening);
    pid_t child = branch();

    if (child == 0) {
        int server;

        turn_wait(turn);
        server = accept_from(listening);
        sends("child sends", server, "served");
        turn_give(back);
        turn_wait(turn);
        _exit(0);
    }
    close(listening);
    client = tcp();
    result("connect", connect_to(client, &address));
    turn_give(turn);
    turn_wait(back);
    sees("client", client);
    turn_give(turn);
    done("child", child);
    sees("client at the end", client);
    result("connect after", connect_to(tcp(), &address));
}

static void case_connect_in_child(void)
{
    int listening = listener(4), fd = tcp(), server;
    struct sockaddr_in address = name_of(listening);
    pid_t child = branch();

    if (child == 0)
        _exit(connect_to(fd, &address) == 0 ? 0 : 1);
    done("child", child);
    server = accept_from(listening);
    sends("parent sends", fd, "x");
    sees("server", server);
    result("connect again", connect_to(fd, &address));
    close(fd);
    sees("server at the end", server);
}

/* A generation further: the grandchild's reference counts too. */
static void case_grandchild(void)
{
    int client, server, turn = turn_make(), ready_turn = turn_make();
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        if (fork() == 0) {
            close(client);
            turn_give(ready_turn);
            turn_wait(turn);
            sends("grandchild sends", server, "x");
            turn_give(ready_turn);
            _exit(0);
        }
        _exit(0);
    }
    done("child", child);
    turn_wait(ready_turn);
    result("parent closes", close(server));
    turn_give(turn);
    turn_wait(ready_turn);
    sees("peer", client);
    sees("peer at the end", client);
}

/* An epoll set watches, it does not hold. */
static void case_epoll_holds_nothing(void)
{
    int client, server, set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    pair(&client, &server);
    result("add", epoll_ctl(set, EPOLL_CTL_ADD, server, &event));
    result("close", close(server));
    sees("peer", client);
    result("events", epoll_wait(set, &event, 1, 0));
}

static const struct semantics_case cases[] = {
    {"dup", case_dup},
    {"dup2-over", case_dup2_over},
    {"dup2-self", case_dup2_self},
    {"dup2-over-listener", case_dup2_over_listener},
    {"dup-flags", case_dup_flags},
    {"dup-before-connect", case_dup_before_connect},
    {"dup-listener", case_dup_listener},
    {"fork-child-closes", case_fork_child_closes},
    {"fork-parent-closes", case_fork_parent_closes},
    {"fork-one-stream", case_fork_one_stream},
    {"fork-child-shuts", case_fork_child_shuts},
    {"fork-child-repairs", case_fork_child_repairs},
    {"fork-leak", case_fork_leak},
    {"kill", case_kill},
    {"kill-unread", case_kill_unread},
    {"kill-one-of-two", case_kill_one_of_two},
    {"kill-listener", case_kill_listener},
    {"exit", case_exit},
    {"listener-in-child", case_listener_in_child},
    {"connect-in-child", case_connect_in_child},
    {"grandchild", case_grandchild},
    {"epoll-holds-nothing", case_epoll_holds_nothing},
    {NULL, NULL},
};

const struct semantics_group group_refs = {"refs", cases};
