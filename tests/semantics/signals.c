/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals that meet a call which waits: EINTR, restart, stop, kill.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared by parent and child: how many signals the handler has seen. */
static volatile int *handled;

static void on_signal(int number)
{
    (void)number;
    (*handled)++;
}

static void handle(int number, int action_flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = action_flags};

    handled = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (handled == MAP_FAILED)
        broken("mmap");
    sigaction(number, &action, NULL);
}

/* Send `number` until the child has handled `cnt` of them, or has ended. */
static void pester(pid_t child, int number, int cnt)
{
    siginfo_t info;

    for (int waited_ms = 0; waited_ms < semantics_wait_ms && *handled < cnt; waited_ms += 2) {
        info.si_pid = 0;
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
            return;
        kill(child, number);
        poll(NULL, 0, 2);
    }
}

static void case_accept_interrupted(void)
{
    int listening = listener(4), client;
    pid_t child;

    handle(SIGUSR1, 0);
    child = branch();
    if (child == 0) {
        result("accept", accept(listening, NULL, NULL));
        _exit(0);
    }
    await_asleep(child);
    pester(child, SIGUSR1, 1);
    done("child", child);
    client = client_of(listening);
    sends("accept after", accept_from(listening), "x");
    sees("client", client);
}

static void case_accept_restarted(void)
{
    int listening = listener(4), client;
    pid_t child;

    handle(SIGUSR1, SA_RESTART);
    child = branch();
    if (child == 0) {
        int server = opened("accept", accept(listening, NULL, NULL));

        _exit(send(server, "x", 1, 0) == 1 ? 0 : 1);
    }
    await_asleep(child);
    pester(child, SIGUSR1, 3);
    yes_no("three signals handled", *handled >= 3);
    client = client_of(listening);
    done("child", child);
    sees("client", client);
}

static void case_accept_ignored(void)
{
    int listening = listener(4), client;
    pid_t child;

    signal(SIGUSR1, SIG_IGN);
    child = branch();
    if (child == 0) {
        int server = opened("accept", accept(listening, NULL, NULL));

        _exit(send(server, "x", 1, 0) == 1 ? 0 : 1);
    }
    await_asleep(child);
    for (int i = 0; i < 3; i++)
        kill(child, SIGUSR1);
    await_asleep(child);
    client = client_of(listening);
    done("child", child);
    sees("client", client);
}

static void case_accept_alarm(void)
{
    struct itimerval often = {{0, 10000}, {0, 10000}};
    int listening = listener(4);
    pid_t child;

    handle(SIGALRM, 0);
    child = branch();
    if (child == 0) {
        setitimer(ITIMER_REAL, &often, NULL);
        result("accept", accept(listening, NULL, NULL));
        _exit(0);
    }
    done("child", child);
}

static void case_accept_child_ends(void)
{
    int listening = listener(4);
    pid_t child;

    handle(SIGCHLD, 0);
    child = branch();
    if (child == 0) {
        if (fork() == 0) {
            poll(NULL, 0, 100); /* let the parent get into accept; sooner is no harm below */
            _exit(0);
        }
        nonblocking(listening);
        while (*handled == 0) {
            struct pollfd item = {.fd = listening, .events = POLLIN};

            if (poll(&item, 1, semantics_wait_ms) < 0)
                break;
        }
        result("handled", *handled);
        result("accept", accept(listening, NULL, NULL));
        _exit(0);
    }
    done("child", child);
}

static void case_receive_interrupted(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    handle(SIGUSR1, 0);
    child = branch();
    if (child == 0) {
        char byte;

        result("receive", recv(server, &byte, 1, 0));
        _exit(0);
    }
    await_asleep(child);
    pester(child, SIGUSR1, 1);
    done("child", child);
    send(client, "x", 1, 0);
    sees("receive after", server);
}

static void case_receive_restarted(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    handle(SIGUSR1, SA_RESTART);
    child = branch();
    if (child == 0) {
        char byte;

        result("receive", recv(server, &byte, 1, 0));
        _exit(0);
    }
    await_asleep(child);
    pester(child, SIGUSR1, 3);
    send(client, "x", 1, 0);
    done("child", child);
}

static void case_send_interrupted(void)
{
    int client, server;
    pid_t child;

    pair(&client, &server);
    fill(server);
    handle(SIGUSR1, 0);
    child = branch();
    if (child == 0) {
        result("send", send(server, "x", 1, MSG_NOSIGNAL));
        _exit(0);
    }
    await_asleep(child);
    pester(child, SIGUSR1, 1);
    done("child", child);
}

static void case_stopped(void)
{
    int listening = listener(4), client, status = 0;
    pid_t child = branch();

    if (child == 0) {
        int server = opened("accept", accept(listening, NULL, NULL));

        _exit(send(server, "x", 1, 0) == 1 ? 0 : 1);
    }
    await_asleep(child);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    yes_no("stops while it waits", WIFSTOPPED(status));
    kill(child, SIGCONT);
    await_asleep(child);
    client = client_of(listening);
    done("child", child);
    sees("client", client);
}

static void case_terminated(void)
{
    int listening = listener(4);
    struct sockaddr_in address = name_of(listening);
    pid_t child = branch();

    if (child == 0) {
        accept(listening, NULL, NULL);
        _exit(0);
    }
    close(listening);
    await_asleep(child);
    kill(child, SIGTERM);
    done("child", child);
    result("connect after", connect_to(tcp(), &address));
}

/* The calls of one short life; how many failed with another error than `but`. */
static int life(int but)
{
    struct sockaddr_in address = any_local();
    socklen_t len = sizeof(address);
    int failed = 0, fd = -1;

    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        failed += errno != but;
    while (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        failed += errno != but;
    while (listen(fd, 4) < 0)
        failed += errno != but;
    while (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        failed += errno != but;
    while (close(fd) < 0)
        failed += errno != but;
    return failed;
}

static void storm(int action_flags, int but)
{
    struct itimerval often = {{0, 300}, {0, 300}}, off = {{0}, {0}};
    int failed = 0;

    handle(SIGALRM, action_flags);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 200; i++)
        failed += life(but);
    setitimer(ITIMER_REAL, &off, NULL);
    yes_no("signals came", *handled > 0);
    result("calls that failed", failed);
}

/* Calls that do not wait are not interrupted, however many signals there are. */
static void case_storm(void)
{
    storm(SA_RESTART, 0);
}

/* Without SA_RESTART a call may say EINTR (attached it can), but then it has done nothing and
 * can be made again: bind would say EINVAL the second time. */
static void case_storm_interrupting(void)
{
    storm(0, EINTR);
}

static const struct semantics_case cases[] = {
    {"accept-interrupted", case_accept_interrupted},
    {"accept-restarted", case_accept_restarted},
    {"accept-ignored", case_accept_ignored},
    {"accept-alarm", case_accept_alarm},
    {"child-ends", case_accept_child_ends},
    {"receive-interrupted", case_receive_interrupted},
    {"receive-restarted", case_receive_restarted},
    {"send-interrupted", case_send_interrupted},
    {"stopped", case_stopped},
    {"terminated", case_terminated},
    {"storm", case_storm},
    {"storm-interrupting", case_storm_interrupting},
    {NULL, NULL},
};

const struct semantics_group group_signals = {"signals", cases};
