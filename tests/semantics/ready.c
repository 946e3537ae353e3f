/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readiness under poll and select: which flags a socket shows in which situation.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <unistd.h>

static void case_life(void)
{
    int listening = listener(4), client = tcp(), server;
    struct sockaddr_in address = name_of(listening);

    flags("listening", listening);
    if (connect_to(client, &address) < 0)
        broken("connect");
    ready("connection waits", listening, POLLIN);
    server = accept(listening, NULL, NULL);
    flags("none waits", listening);
    flags("connected", client);
    flags("accepted", server);
    sends("peer sends", client, "x");
    ready("data", server, POLLIN);
    sees("receive", server);
    flags("data read", server);
    shutdown(client, SHUT_WR);
    ready("peer's end", server, POLLIN | POLLRDHUP);
    sees("receive end", server);
    flags("end read", server);
    flags("own end", client);
    shutdown(server, SHUT_WR);
    ready("both ends, here", server, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    ready("both ends, there", client, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static void case_fresh(void)
{
    struct sockaddr_in address = any_local();
    int fd = tcp();

    flags("new", fd);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        broken("bind");
    flags("bound", fd);
}

static void case_reset(void)
{
    int client, server;

    pair(&client, &server);
    linger(server, 1, 0);
    close(server);
    ready("reset", client, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    so_error("SO_ERROR", client);
    flags("error taken", client);
    sees("receive", client);
}

static void case_reset_with_data(void)
{
    int client, server;

    pair(&client, &server);
    sends("peer sends", server, "before");
    await(client, POLLIN);
    linger(server, 1, 0);
    close(server);
    ready("reset", client, POLLERR | POLLHUP);
    sees("receive", client);
    sees("receive again", client);
}

static void case_full(void)
{
    int client, server;

    pair(&client, &server);
    yes_no("some was taken", fill(server) > 0);
    flags("full", server);
    result("send", send(server, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    shutdown(server, SHUT_WR);
    await(client, POLLIN);
    ready("not full but ended", server, POLLOUT);
    close(server);
    /* Read all: the end comes after what was queued. */
    for (char data[65536]; await(client, POLLIN) && recv(client, data, sizeof(data), 0) > 0;)
        ;
    sees("peer at the end", client);
}

static void case_room_again(void)
{
    char data[65536];
    int client, server;
    pid_t child;

    pair(&client, &server);
    fill(server);
    flags("full", server);
    child = branch();
    if (child == 0) {
        struct pollfd item = {.fd = server, .events = POLLOUT};

        close(client);
        result("poll for room", poll(&item, 1, semantics_wait_ms));
        say("flags", "%s", flags_text(item.revents));
        _exit(0);
    }
    close(server);
    while (await(client, POLLIN) && recv(client, data, sizeof(data), 0) > 0)
        ;
    done("child", child);
}

static void case_select(void)
{
    int client, server;
    fd_set read_set, write_set, except_set;
    struct timeval now = {0};

    pair(&client, &server);
    sends("peer sends", client, "x");
    await(server, POLLIN);
    FD_ZERO(&read_set);
    FD_ZERO(&write_set);
    FD_ZERO(&except_set);
    FD_SET(server, &read_set);
    FD_SET(client, &read_set);
    FD_SET(server, &write_set);
    FD_SET(server, &except_set);
    result("select", select(server > client ? server + 1 : client + 1, &read_set, &write_set,
                            &except_set, &now));
    yes_no("readable", FD_ISSET(server, &read_set));
    yes_no("other readable", FD_ISSET(client, &read_set));
    yes_no("writable", FD_ISSET(server, &write_set));
    yes_no("exceptional", FD_ISSET(server, &except_set));
}

static void case_poll_waits(void)
{
    int client, server;
    struct pollfd item;
    pid_t child;

    pair(&client, &server);
    child = branch();
    if (child == 0) {
        item = (struct pollfd){.fd = server, .events = POLLIN | POLLRDHUP};
        result("poll", poll(&item, 1, -1));
        say("flags", "%s", flags_text(item.revents));
        _exit(0);
    }
    await_asleep(child);
    send(client, "x", 1, 0);
    done("child", child);
    child = branch();
    if (child == 0) {
        item = (struct pollfd){.fd = server, .events = POLLRDHUP};
        result("poll for the end", poll(&item, 1, -1));
        say("flags at the end", "%s", flags_text(item.revents));
        _exit(0);
    }
    await_asleep(child);
    shutdown(client, SHUT_WR);
    done("second child", child);
}

/* Every process that waits on a shared socket hears of it. */
static void case_two_pollers(void)
{
    int client, server, heard = 0;
    pid_t child[2];

    pair(&client, &server);
    for (int i = 0; i < 2; i++) {
        child[i] = branch();
        if (child[i] == 0) {
            struct pollfd item = {.fd = server, .events = POLLIN};

            _exit(poll(&item, 1, 3 * semantics_wait_ms) == 1 ? 0 : 1);
        }
        await_asleep(child[i]);
    }
    send(client, "x", 1, 0);
    for (int i = 0; i < 2; i++) {
        done(i ? "second" : "first", child[i]);
        heard++;
    }
    result("ended", heard);
    sees("receive", server);
}

static void case_only_asked(void)
{
    int client, server;
    struct pollfd item;

    pair(&client, &server);
    send(client, "x", 1, 0);
    await(server, POLLIN);
    item = (struct pollfd){.fd = server, .events = 0};
    result("poll for nothing", poll(&item, 1, 0));
    item = (struct pollfd){.fd = server, .events = POLLOUT};
    poll(&item, 1, 0);
    say("poll for room", "%s", flags_text(item.revents));
    linger(client, 1, 0);
    close(client);
    await(server, POLLERR | POLLHUP);
    item = (struct pollfd){.fd = server, .events = 0};
    poll(&item, 1, 0);
    say("poll for nothing after reset", "%s", flags_text(item.revents));
}

static volatile sig_atomic_t io_signals;

static void on_io(int number)
{
    (void)number;
    io_signals++;
}

static void case_sigio(void)
{
    struct sigaction action = {.sa_handler = on_io};
    int client, server;

    pair(&client, &server);
    sigaction(SIGIO, &action, NULL);
    result("F_SETOWN", fcntl(server, F_SETOWN, getpid()));
    result("O_ASYNC", fcntl(server, F_SETFL, O_ASYNC | O_NONBLOCK));
    send(client, "x", 1, 0);
    for (int waited_ms = 0; !io_signals && waited_ms < semantics_wait_ms; waited_ms++)
        poll(NULL, 0, 1);
    yes_no("SIGIO came", io_signals > 0);
    sees("receive", server);
}

static const struct semantics_case cases[] = {
    {"life", case_life},
    {"fresh", case_fresh},
    {"reset", case_reset},
    {"reset-with-data", case_reset_with_data},
    {"full", case_full},
    {"room-again", case_room_again},
    {"select", case_select},
    {"poll-waits", case_poll_waits},
    {"two-pollers", case_two_pollers},
    {"only-asked", case_only_asked},
    {"sigio", case_sigio},
    {NULL, NULL},
};

const struct semantics_group group_ready = {"ready", cases};
