/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shutdown(): the matrix of `how` and state, and what each half means at both ends.
 */
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    int how;
} hows[] = {{"RD", SHUT_RD}, {"WR", SHUT_WR}, {"RDWR", SHUT_RDWR}, {"3", 3}, {"-1", -1}};

#define HOW_CNT (sizeof(hows) / sizeof(hows[0]))

static void case_unconnected(void)
{
    for (size_t i = 0; i < HOW_CNT; i++)
        result(hows[i].name, shutdown(tcp(), hows[i].how));
}

static void case_bound(void)
{
    struct sockaddr_in address = any_local();

    for (size_t i = 0; i < HOW_CNT; i++) {
        int fd = tcp();

        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
            broken("bind");
        result(hows[i].name, shutdown(fd, hows[i].how));
    }
}

static void case_listening(void)
{
    for (size_t i = 0; i < HOW_CNT; i++) {
        char step[40];
        int listening = listener(4), client = tcp();
        struct sockaddr_in address = name_of(listening);

        result(hows[i].name, shutdown(listening, hows[i].how));
        snprintf(step, sizeof(step), "%s, connect after", hows[i].name);
        result(step, connect_to(client, &address));
        close(listening);
    }
}

static void case_connected(void)
{
    for (size_t i = 0; i < HOW_CNT; i++) {
        char step[40];
        int client, server;

        pair(&client, &server);
        result(hows[i].name, shutdown(server, hows[i].how));
        snprintf(step, sizeof(step), "%s again", hows[i].name);
        result(step, shutdown(server, hows[i].how));
    }
}

static void case_after_peers_fin(void)
{
    for (size_t i = 0; i < HOW_CNT; i++) {
        int client, server;

        pair(&client, &server);
        shutdown(client, SHUT_WR);
        await(server, POLLRDHUP);
        result(hows[i].name, shutdown(server, hows[i].how));
    }
}

static void case_after_both_fins(void)
{
    for (size_t i = 0; i < HOW_CNT; i++) {
        int client, server;

        pair(&client, &server);
        shutdown(client, SHUT_WR);
        await(server, POLLRDHUP);
        shutdown(server, SHUT_WR);
        await(client, POLLHUP);
        await(server, POLLHUP);
        result(hows[i].name, shutdown(server, hows[i].how));
    }
}

static void case_after_reset(void)
{
    for (size_t i = 0; i < HOW_CNT; i++) {
        int client, server;

        pair(&client, &server);
        linger(client, 1, 0);
        close(client);
        await(server, POLLHUP);
        result(hows[i].name, shutdown(server, hows[i].how));
    }
}

static void case_bad_descriptor(void)
{
    int ends[2];

    result("closed", shutdown(250, SHUT_WR));
    if (pipe(ends) < 0)
        broken("pipe");
    result("a pipe", shutdown(ends[0], SHUT_WR));
}

static void case_wr(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_WR));
    sees("peer", client);
    ready("peer's flags", client, POLLIN | POLLRDHUP);
    sends("send", server, "x");
    result("write of nothing", send(server, "", 0, MSG_NOSIGNAL));
    sends("peer sends", client, "still here");
    sees("receive", server);
    flags("flags", server);
    close(client);
    sees("receive at the end", server);
    ready("flags at the end", server, POLLHUP);
}

static void case_wr_after_data(void)
{
    static char data[100000];
    int client, server;

    pair(&client, &server);
    result("send", send(server, data, sizeof(data), 0));
    result("shutdown", shutdown(server, SHUT_WR));
    drains("peer", client);
}

static void case_rd(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_RD));
    sees_now("receive", server);
    flags("flags", server);
    sends("send", server, "to peer");
    sees("peer", client);
    flags("peer's flags", client);
    result("shutdown again", shutdown(server, SHUT_RD));
    close(server);
    sees("peer at the end", client);
}

static void case_rd_queued(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", client, "queued");
    await(server, POLLIN);
    result("shutdown", shutdown(server, SHUT_RD));
    sees_now("receive", server);
    sees_now("receive again", server);
}

/* Data after SHUT_RD: the window stays open for it, the connection lives on. */
static void case_rd_late(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_RD));
    sends("peer sends", client, "late");
    sends("send", server, "x");
    sees("peer", client);
    sees("receive", server);
    sees_now("receive again", server);
}

/* Much more than any buffer holds still moves: what nobody can read does not block the peer. */
static void case_rd_never_blocks_wr(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_RD));
    sends("send", server, "one");
    sees("peer", client);
    result("shutdown the rest", shutdown(server, SHUT_WR));
    sees("peer at the end", client);
    close(client);
    result("close", close(server));
}

static void case_rd_then_rdwr(void)
{
    int client, server;

    pair(&client, &server);
    result("RD", shutdown(server, SHUT_RD));
    result("RDWR", shutdown(server, SHUT_RDWR));
    sees("peer", client);
    sends("send", server, "x");
    result("close", close(server));
    result("peer closes", close(client));
}

static void case_rdwr(void)
{
    int client, server;

    pair(&client, &server);
    result("shutdown", shutdown(server, SHUT_RDWR));
    sees("peer", client);
    sees_now("receive", server);
    sends("send", server, "x");
    flags("flags", server);
    result("peer's close", close(client));
    await(server, POLLHUP);
    result("close", close(server));
}

/* Not a close: unread data does not reset until the last descriptor goes. */
static void case_rdwr_unread(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", client, "unread");
    await(server, POLLIN);
    result("shutdown", shutdown(server, SHUT_RDWR));
    sees("peer", client);
    so_error("peer's SO_ERROR", client);
    flags("peer's flags", client);
}

static void case_sigpipe(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    shutdown(server, SHUT_WR);
    child = branch();
    if (child == 0) {
        if (write(server, "x", 1) < 0)
            _exit(1);
        _exit(0);
    }
    done("write without MSG_NOSIGNAL", child);
    signal(SIGPIPE, SIG_IGN);
    result("write with SIGPIPE ignored", write(server, "x", 1));
}

/* A receive that waits is woken by another process's shutdown. */
static void case_wakes_receiver(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        char byte;

        result("blocked receive", recv(server, &byte, 1, 0));
        _exit(0);
    }
    await_asleep(child);
    shutdown(server, SHUT_RD);
    done("child", child);
}

static void case_wakes_accepter(void)
{
    int listening = listener(4);
    pid_t child = branch();

    if (child == 0) {
        result("blocked accept", accept(listening, NULL, NULL));
        _exit(0);
    }
    await_asleep(child);
    shutdown(listening, SHUT_RD);
    done("child", child);
    result("accept after", accept(listening, NULL, NULL));
}

static void case_listens_again(void)
{
    int listening = listener(4), client, server, port = port_of(listening);

    result("RDWR", shutdown(listening, SHUT_RDWR));
    result("listen", listen(listening, 4));
    yes_no("same port", port_of(listening) == port);
    client = client_of(listening);
    server = accept_from(listening);
    sends("send", server, "x");
    sees("client", client);
}

static const struct semantics_case cases[] = {
    {"unconnected", case_unconnected},
    {"bound", case_bound},
    {"listening", case_listening},
    {"connected", case_connected},
    {"after-peers-fin", case_after_peers_fin},
    {"after-both-fins", case_after_both_fins},
    {"after-reset", case_after_reset},
    {"bad-descriptor", case_bad_descriptor},
    {"wr", case_wr},
    {"wr-after-data", case_wr_after_data},
    {"rd", case_rd},
    {"rd-queued", case_rd_queued},
    {"rd-late", case_rd_late},
    {"rd-never-blocks-wr", case_rd_never_blocks_wr},
    {"rd-then-rdwr", case_rd_then_rdwr},
    {"rdwr", case_rdwr},
    {"rdwr-unread", case_rdwr_unread},
    {"sigpipe", case_sigpipe},
    {"wakes-receiver", case_wakes_receiver},
    {"wakes-accepter", case_wakes_accepter},
    {"listens-again", case_listens_again},
    {NULL, NULL},
};

const struct semantics_group group_shutdown = {"shutdown", cases};
