/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that end their connections, and programs that do not: one for each word on the command line.
 * Lines marked with LINE:NAME are those that a report must name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracer.h"

#define NOT_INLINE __attribute__((noinline))

static struct sockaddr_in address;
static int listener;
static volatile int sink; /* so that no call is a tail call */

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    _exit(99);
}

static void listen_here(void)
{
    socklen_t len = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    must(listen(listener, 4096) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
}

static NOT_INLINE int client_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect"); /* LINE:connect */
    sink++;
    return fd;
}

static NOT_INLINE int server_accept(void)
{
    int fd = accept(listener, NULL, NULL); /* LINE:accept */
    must(fd >= 0, "accept");
    sink++;
    return fd;
}

static NOT_INLINE void conversation_end(int fd)
{
    close(fd); /* LINE:close */
    sink++;
}

static void send_all(int fd, const char *text)
{
    must(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send");
}

/* Until the end of the stream. */
static void drain(int fd)
{
    char bytes[256];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        sink++;
}

/* Until the peer's FIN is there, without reading it. */
static void await_end(int fd)
{
    struct pollfd p = {fd, POLLRDHUP, 0};
    must(poll(&p, 1, 20000) == 1, "poll");
}

static void reap(int wanted)
{
    int status;
    must(wait(&status) > 0, "wait");
    must(wanted < 0 || status == wanted, "status of child");
}

/* ---- programs that end everything ---- */

static void run_clean(void)
{
    for (int i = 0; i < 3; i++) {
        int client = client_open(), server = server_accept();
        send_all(client, "hello");
        conversation_end(client);
        drain(server);
        conversation_end(server);
    }
}

static void run_clean_shutdown(void)
{
    int client = client_open(), server = server_accept();
    shutdown(client, SHUT_WR);
    drain(server);
    shutdown(server, SHUT_RDWR);
    drain(client);
    conversation_end(server);
    conversation_end(client);
}

/* A child exits with an inherited copy; the parent goes on and ends the connection. */
static void run_clean_fork(void)
{
    int client = client_open(), server = server_accept();
    if (fork() == 0)
        _exit(0);
    reap(0);
    conversation_end(client);
    drain(server);
    conversation_end(server);
}

/* The same, but the child lives longer than the parent's close, and closes, too. */
static void run_clean_heir(void)
{
    int go[2], client = client_open(), server = server_accept();
    char byte;
    must(pipe(go) == 0, "pipe");
    if (fork() == 0) {
        close(go[1]);
        must(read(go[0], &byte, 1) == 0, "read");
        conversation_end(client);
        conversation_end(server);
        _exit(0);
    }
    conversation_end(client);
    conversation_end(server);
    close(go[1]);
    reap(0);
}

/* What connects to nobody is no connection. */
static void run_clean_refused(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), slow = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd p = {slow, POLLOUT, 0};
    close(listener);
    must(connect(fd, (struct sockaddr *)&address, sizeof address) != 0, "connect to nobody");
    must(connect(slow, (struct sockaddr *)&address, sizeof address) != 0, "connect to nobody");
    poll(&p, 1, 1000);
    must(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket"); /* never connected */
}

/* UDP, a listener, and sockets of the local kind. */
static void run_clean_others(void)
{
    int pair[2], udp = socket(AF_INET, SOCK_DGRAM, 0);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    must(connect(udp, (struct sockaddr *)&address, sizeof address) == 0, "connect");
}

/* Close-on-exec is a way to close. */
static void run_clean_exec(void)
{
    int client = client_open(), server = server_accept();
    fcntl(client, F_SETFD, FD_CLOEXEC);
    fcntl(server, F_SETFD, FD_CLOEXEC);
    execl("/bin/true", "true", (char *)NULL);
}

/* As inetd: the connection is the standard input and output of a program. */
static void run_clean_inetd(void)
{
    int client = client_open(), server = server_accept();
    if (fork() == 0) {
        dup2(server, 0);
        dup2(server, 1);
        close(server);
        close(client);
        execl("/bin/cat", "cat", (char *)NULL);
        _exit(98);
    }
    conversation_end(server);
    send_all(client, "through");
    shutdown(client, SHUT_WR);
    drain(client);
    conversation_end(client);
    reap(0);
}

/* A process that shares the table of descriptors ends: they stay. */
static int sharer(void *arg)
{
    (void)arg;
    return 0;
}

static void run_clean_shared_table(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int client = client_open(), server = server_accept();
    must(clone(sharer, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL) > 0, "clone");
    reap(0);
    conversation_end(client);
    conversation_end(server);
}

/* One descriptor on its way through an AF_UNIX socket. */
static void send_fd(int over, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr out = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&out);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    must(sendmsg(over, &out, 0) == 1, "sendmsg");
}

/* The sender of a message ends before it is received. */
static void run_clean_message(void)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr in = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes};
    int pair[2], server;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    if (fork() == 0) {
        send_fd(pair[0], client_open());
        _exit(0); /* with its own copy open, and another on its way */
    }
    server = server_accept();
    reap(0);
    must(recvmsg(pair[1], &in, 0) == 1 && CMSG_FIRSTHDR(&in), "recvmsg");
    memcpy(&byte, CMSG_DATA(CMSG_FIRSTHDR(&in)), 1); /* a small number */
    conversation_end(byte);
    conversation_end(server);
}

/* Another thread than the first calls exec. */
static void *exec_true(void *arg)
{
    (void)arg;
    execl("/bin/true", "true", (char *)NULL);
    return NULL;
}

static void run_clean_thread_exec(void)
{
    pthread_t thread;
    run_clean();
    must(pthread_create(&thread, NULL, exec_true, NULL) == 0, "pthread_create");
    for (;;)
        pause();
}

static void *one_thread(void *arg)
{
    int *fds = arg;
    for (int i = 0; i < 20; i++) {
        fds[0] = client_open();
        drain(fds[0]);
        conversation_end(fds[0]);
    }
    return NULL;
}

static void run_clean_threads(void)
{
    pthread_t threads[4];
    int fds[4];
    for (int i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, one_thread, &fds[i]) == 0, "pthread_create");
    for (int i = 0; i < 80; i++)
        conversation_end(server_accept());
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* Forks as if there were no tomorrow; every child makes and ends a connection. */
static NOT_INLINE void forks(int depth)
{
    for (int i = 0; i < 3 && depth; i++)
        if (fork() == 0) {
            conversation_end(client_open());
            forks(depth - 1);
            while (wait(NULL) > 0)
                sink++;
            _exit(0);
        }
}

static void run_clean_forks(void)
{
    forks(5);
    for (int i = 0; i < 3 + 9 + 27 + 81 + 243; i++)
        conversation_end(server_accept());
    while (wait(NULL) > 0)
        sink++;
}

static void many(int cnt)
{
    for (int i = 0; i < cnt; i++) {
        int client = client_open(), server = server_accept();
        conversation_end(client);
        conversation_end(server);
    }
}

static void run_clean_many(void)
{
    many(5000);
}

/* ---- programs that do not ---- */

/* One of three takes the path on which the close was forgotten. */
static NOT_INLINE void serve(int server, bool fails)
{
    char bytes[16];
    if (recv(server, bytes, sizeof bytes, 0) <= 0 || fails)
        return;
    conversation_end(server);
}

static void run_error_path(void)
{
    for (int i = 0; i < 3; i++) {
        int client = client_open(), server = server_accept();
        send_all(client, "hello");
        serve(server, i == 1);
        conversation_end(client);
        if (i == 1)
            await_end(server);
    }
}

/* The end was read, and nobody closed. */
static void run_end_read(void)
{
    int client = client_open(), server = server_accept();
    conversation_end(client);
    drain(server);
}

/* The end came long ago, and nobody read it. */
static void run_end_unread(void)
{
    int client = client_open(), server = server_accept();
    struct pollfd never = {-1, 0, 0};
    conversation_end(client);
    await_end(server);
    poll(&never, 1, 1300); /* the age of what nobody reads is what it is about */
}

/* All descriptors are closed; one more travels, and nobody will ever receive it. */
static void run_message(void)
{
    int pair[2], client = client_open(), server = server_accept();
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    send_fd(pair[0], server);
    conversation_end(server);
    conversation_end(client);
}

/* The same; the sender has gone long before, and left the end of it to its parent. */
static void run_message_of_child(void)
{
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    if (fork() == 0) {
        int client = client_open();
        send_fd(pair[0], client);
        conversation_end(client);
        _exit(0);
    }
    conversation_end(server_accept());
    reap(0);
}

/* In a network namespace of its own: the end came long ago, and nobody read what was before it. */
static void elsewhere(bool reads)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    struct pollfd never = {-1, 0, 0};
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        _exit(96);
    close(listener);
    memset(&address, 0, sizeof address);
    listen_here();
    must(ioctl(listener, SIOCSIFFLAGS, &lo) == 0, "lo up");
    int client = client_open(), server = server_accept();
    if (fork() == 0)
        _exit(0); /* with a copy, which is none of its business */
    reap(0);
    send_all(client, "hello");
    conversation_end(client);
    await_end(server);
    if (reads)
        drain(server);
    else
        poll(&never, 1, 1300); /* as in run_end_unread() */
}

static void run_elsewhere(void)
{
    elsewhere(false);
}

static void run_elsewhere_read(void)
{
    elsewhere(true);
}

static void run_client_open(void)
{
    int client = client_open(), server = server_accept();
    sink = client;
    conversation_end(server);
}

/* A forking server whose child leaves the closing to its exit. */
static void run_child_exit(void)
{
    int client = client_open(), server = server_accept();
    if (fork() == 0) {
        close(client);
        send_all(server, "answer");
        _exit(0);
    }
    conversation_end(server);
    reap(0);
    drain(client);
    conversation_end(client);
}

/* A program that is started keeps the descriptor, and does not know. */
static void run_exec_heir(void)
{
    int client = client_open(), server = server_accept(), go[2];
    must(pipe(go) == 0, "pipe");
    fcntl(client, F_SETFD, FD_CLOEXEC);
    fcntl(go[1], F_SETFD, FD_CLOEXEC);
    if (fork() == 0) {
        dup2(go[0], 0);
        execl("/bin/cat", "cat", (char *)NULL);
        _exit(98);
    }
    conversation_end(server);
    conversation_end(client);
    close(go[1]);
    reap(0);
}

static void run_dup(void)
{
    int client = client_open(), server = server_accept();
    must(dup(server) >= 0, "dup");
    conversation_end(client);
    drain(server);
    conversation_end(server);
}

/* Moved away and back: the number was closed once, and has the connection again. */
static void run_moved_back(void)
{
    int client = client_open(), server = server_accept(), copy = fcntl(server, F_DUPFD, 50);
    conversation_end(client);
    drain(server);
    close(server);
    must(dup2(copy, server) == server, "dup2");
    close(copy);
}

/* connect() that goes on when it has come back. */
static void run_not_blocking(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd p = {fd, POLLOUT, 0};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) /* LINE:not-blocking */
        must(errno == EINPROGRESS && poll(&p, 1, 20000) == 1, "connect");
    conversation_end(server_accept());
}

/* IPv6, and IPv4 in an IPv6 socket: the accepted end stays. */
static void run_family(const char *to, bool both)
{
    struct sockaddr_in6 here = {.sin6_family = AF_INET6}, there;
    socklen_t len = sizeof here;
    int off = 0, client = socket(AF_INET6, SOCK_STREAM, 0);
    close(listener);
    listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0)
        _exit(96);
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (!both)
        inet_pton(AF_INET6, to, &here.sin6_addr);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0)
        _exit(96); /* no IPv6 here */
    must(listen(listener, 10) == 0 && getsockname(listener, (struct sockaddr *)&here, &len) == 0, "listen");
    there = here;
    inet_pton(AF_INET6, to, &there.sin6_addr);
    must(connect(client, (struct sockaddr *)&there, sizeof there) == 0, "connect");
    sink = server_accept();
    conversation_end(client);
    await_end(sink);
}

static void run_ip6(void)
{
    run_family("::1", false);
}

static void run_mapped(void)
{
    run_family("::ffff:127.0.0.1", true);
}

static void *leave_open(void *arg)
{
    (void)arg;
    sink = client_open();
    return NULL;
}

static void run_thread(void)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, leave_open, NULL) == 0, "pthread_create");
    int server = server_accept();
    pthread_join(thread, NULL);
    conversation_end(server);
}

static volatile pid_t acceptor;

static void *accept_one(void *arg)
{
    (void)arg;
    acceptor = gettid();
    conversation_end(server_accept());
    return NULL;
}

/* As LeakSanitizer does it, while a thread sits in accept(). */
static void run_own_tracer(void)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, accept_one, NULL) == 0, "pthread_create");
    while (!acceptor || thread_state(acceptor) != 'S')
        sched_yield();
    pid_t threads[2] = {getpid(), acceptor};
    must(stop_and_go(threads, 2), "own tracer");
    sink = client_open();
    pthread_join(thread, NULL);
}

/* The first thread ends before the last. */
static void *exit_later(void *arg)
{
    pthread_t *first = arg;
    pthread_join(*first, NULL);
    exit(0);
}

static void run_first_thread_gone(void)
{
    static pthread_t first;
    pthread_t thread;
    int client = client_open();
    conversation_end(server_accept());
    sink = client;
    first = pthread_self();
    must(pthread_create(&thread, NULL, exit_later, &first) == 0, "pthread_create");
    pthread_exit(NULL);
}

static void run_many_leaks(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 400; i++) {
        int client = client_open(), server = server_accept();
        if (i % 4)
            conversation_end(server);
        conversation_end(client);
    }
}

static void run_both_ends(void)
{
    int client = client_open(), server = server_accept();
    sink = client + server;
}

/* What a signal kills had no chance; unless it had let its peer wait for long. */
static void run_killed(void)
{
    int client = client_open(), server = server_accept();
    sink = client + server;
    raise(SIGTERM);
}

/* A daemon stays, and holds what it was born with. */
static void run_daemon(void)
{
    int client = client_open(), server = server_accept();
    if (fork() == 0) {
        struct pollfd never = {-1, 0, 0};
        setsid();
        close(client);
        poll(&never, 1, 30000);
        _exit(0);
    }
    conversation_end(server);
    conversation_end(client);
}

/* A daemon that still has to accept after the check is over: says so on descriptor 1. */
static void run_daemon_works(void)
{
    int told[2];
    char byte;
    must(pipe(told) == 0, "pipe");
    if (fork() == 0) {
        struct pollfd p = {listener, POLLIN, 0};
        setsid();
        printf("%d %d\n", ntohs(address.sin_port), (int)getpid());
        fflush(stdout);
        close(1);
        close(2);
        must(write(told[1], "", 1) == 1, "write");
        if (poll(&p, 1, 30000) == 1) {
            int server = server_accept();
            send_all(server, "still here");
            conversation_end(server);
        }
        _exit(0);
    }
    must(read(told[0], &byte, 1) == 1, "read");
}

static void on_signal(int signal)
{
    _exit(signal == SIGUSR1 ? 41 : 42);
}

/* Ends with 41 once it hears SIGUSR1. */
static void run_signal(void)
{
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, on_signal);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static volatile sig_atomic_t terms;

static void on_count(int signal)
{
    if (signal == SIGIO)
        _exit(40 + terms);
    terms++;
}

/* Ends with 40 and the number of times that SIGTERM or SIGINT came, once it hears SIGIO. */
static void run_signal_count(void)
{
    signal(SIGTERM, on_count);
    signal(SIGINT, on_count);
    signal(SIGIO, on_count);
    puts("ready");
    fflush(stdout);
    for (int told = 0;;) {
        if (told < terms) {
            told = terms;
            puts("heard");
            fflush(stdout);
        }
        poll(NULL, 0, 20);
    }
}

/* Its memory and descriptors are nobody's business. */
static void run_hidden(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    sink = client_open();
    conversation_end(server_accept());
}

static void run_exit7(void)
{
    exit(7);
}

static void run_exit7_leak(void)
{
    sink = client_open();
    conversation_end(server_accept());
    exit(7);
}

static void run_segv(void)
{
    raise(SIGSEGV);
}

static const struct {
    const char *name;
    void (*run)(void);
} subjects[] = {
    {"clean", run_clean},
    {"clean-shutdown", run_clean_shutdown},
    {"clean-fork", run_clean_fork},
    {"clean-heir", run_clean_heir},
    {"clean-refused", run_clean_refused},
    {"clean-others", run_clean_others},
    {"clean-exec", run_clean_exec},
    {"clean-inetd", run_clean_inetd},
    {"clean-shared-table", run_clean_shared_table},
    {"clean-message", run_clean_message},
    {"clean-thread-exec", run_clean_thread_exec},
    {"clean-threads", run_clean_threads},
    {"clean-forks", run_clean_forks},
    {"clean-many", run_clean_many},
    {"error-path", run_error_path},
    {"end-read", run_end_read},
    {"end-unread", run_end_unread},
    {"client-open", run_client_open},
    {"message", run_message},
    {"message-of-child", run_message_of_child},
    {"elsewhere", run_elsewhere},
    {"elsewhere-read", run_elsewhere_read},
    {"child-exit", run_child_exit},
    {"exec-heir", run_exec_heir},
    {"dup", run_dup},
    {"moved-back", run_moved_back},
    {"not-blocking", run_not_blocking},
    {"ip6", run_ip6},
    {"mapped", run_mapped},
    {"thread", run_thread},
    {"own-tracer", run_own_tracer},
    {"first-thread-gone", run_first_thread_gone},
    {"many-leaks", run_many_leaks},
    {"both-ends", run_both_ends},
    {"killed", run_killed},
    {"daemon", run_daemon},
    {"daemon-works", run_daemon_works},
    {"signal", run_signal},
    {"signal-count", run_signal_count},
    {"hidden", run_hidden},
    {"exit7", run_exit7},
    {"exit7-leak", run_exit7_leak},
    {"segv", run_segv},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof subjects / sizeof subjects[0]; i++)
        if (strcmp(subjects[i].name, argv[1]) == 0) {
            listen_here();
            subjects[i].run();
            return 0;
        }
    fprintf(stderr, "usage: subject NAME\n");
    return 97;
}
