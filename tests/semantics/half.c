/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Half-closed connections, each way: the other half has no limit of data, and the end of
 * stream is seen once, last, and for ever.
 */
#include "trace.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define BULK (1 << 20)

/* One process sends BULK bytes while the other takes them: no deadlock on full buffers. */
static void bulk(const char *step, int from, int to)
{
    static char data[65536];
    pid_t child = branch();
    long got = 0;
    ssize_t len;

    if (child == 0) {
        for (long left = BULK; left > 0; left -= len)
            if ((len = send(from, data, left < 65536 ? (size_t)left : 65536, MSG_NOSIGNAL)) <= 0)
                _exit(1);
        _exit(0);
    }
    while (got < BULK && await(to, POLLIN) && (len = recv(to, data, sizeof(data), 0)) > 0)
        got += len;
    ended(child);
    say(step, "%ld bytes", got);
}

static void case_client_first(void)
{
    int client, server;

    pair(&client, &server);
    sends("request", client, "request");
    result("client's half", shutdown(client, SHUT_WR));
    sees_len("server", server, 7);
    sees("server at the end", server);
    bulk("server to client", server, client);
    result("server's half", shutdown(server, SHUT_WR));
    sees("client at the end", client);
    ready("client's flags", client, POLLHUP);
    ready("server's flags", server, POLLHUP);
}

static void case_server_first(void)
{
    int client, server;

    pair(&client, &server);
    sends("greeting", server, "greeting");
    result("server's half", shutdown(server, SHUT_WR));
    sees_len("client", client, 8);
    sees("client at the end", client);
    bulk("client to server", client, server);
    result("client closes", close(client));
    sees("server at the end", server);
    result("server closes", close(server));
}

static void case_end_stays(void)
{
    int client, server;

    pair(&client, &server);
    shutdown(client, SHUT_WR);
    sees("first", server);
    sees("second", server);
    sees("third", server);
    sends("server sends", server, "x");
    sees("fourth", server);
    sees("client", client);
}

/* The end is the last thing: data queued before it comes first. */
static void case_end_after_data(void)
{
    int client, server;

    pair(&client, &server);
    sends("send", client, "last words");
    shutdown(client, SHUT_WR);
    ready("flags", server, POLLIN | POLLRDHUP);
    sees_len("first", server, 5);
    flags("flags between", server);
    sees_len("second", server, 5);
    sees("end", server);
}

/* As `nc -N` and inetd servers do: read to the end, then answer, then close. */
static void case_answer_after_end(void)
{
    int listening = listener(4), client;
    pid_t child = branch();

    if (child == 0) {
        char data[64];
        int server = accept_from(listening);

        while (recv(server, data, sizeof(data), 0) > 0)
            ;
        send(server, "answer", 6, MSG_NOSIGNAL);
        _exit(0);
    }
    client = client_of(listening);
    close(listening);
    sends("question", client, "question");
    shutdown(client, SHUT_WR);
    done("server", child);
    sees_len("answer", client, 6);
    sees("end", client);
}

/* Closing after the peer's half: nothing is lost on the way, no reset. */
static void case_close_in_close_wait(void)
{
    int client, server;

    pair(&client, &server);
    shutdown(client, SHUT_WR);
    sees("server", server);
    sends("server sends", server, "last");
    result("server closes", close(server));
    sees("client", client);
    sees("client at the end", client);
    so_error("client's SO_ERROR", client);
}

/* Half-closed by us, then the peer sends for long, and then resets. */
static void case_reset_while_half(void)
{
    int client, server;

    pair(&client, &server);
    shutdown(client, SHUT_WR);
    sees("server", server);
    sends("server sends", server, "some");
    sees("client", client);
    linger(server, 1, 0);
    close(server);
    ready("client's flags", client, POLLERR | POLLHUP);
    sees("client again", client);
    sees("client at the end", client);
}

static void case_states(void)
{
    int client, server;

    pair(&client, &server);
    result("established (1)", tcp_state(client));
    shutdown(client, SHUT_WR);
    await(server, POLLRDHUP);
    result("close-wait (8)", tcp_state(server));
    sends("server sends", server, "x");
    sees("client", client);
    result("fin-wait-2 (5)", tcp_state(client));
    shutdown(server, SHUT_WR);
    await(client, POLLHUP);
    await(server, POLLHUP);
    result("over (7), client", tcp_state(client));
    result("over (7), server", tcp_state(server));
}

static const struct semantics_case cases[] = {
    {"client-first", case_client_first},
    {"server-first", case_server_first},
    {"end-stays", case_end_stays},
    {"end-after-data", case_end_after_data},
    {"answer-after-end", case_answer_after_end},
    {"close-in-close-wait", case_close_in_close_wait},
    {"reset-while-half", case_reset_while_half},
    {"states", case_states},
    {NULL, NULL},
};

const struct semantics_group group_half = {"half-close", cases};
