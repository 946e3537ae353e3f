/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * story [FILE.pcapng]
 *
 * The story of ./demo where neither TUN nor system call interception is to be had: two stacks
 * joined by a link in memory, on each of them simulated processes, all in this one process and
 * on a clock of its own. Every number shown is asked of the stack, none is made up.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lastack.h"

#define SECOND UINT64_C(1000000000)
#define PORT 8080
#define LINK_DELAY_NS 100000
#define PARENT 100
#define CHILD 101
#define CLIENT 200

static const char server_address[] = "10.77.0.2", client_address[] = "10.77.0.1";

/* All of the world; every function gets it by name. */
struct world {
    lastack *server, *client;
    uint64_t now_ns;
    uint64_t record_cursor; /* records of the server that are told already */
    FILE *capture;          /* packets at the server's end of the link; NULL: none */
    bool colour;
};

static void fail(const char *what, long long got)
{
    fprintf(stderr, "story: %s: %lld. This should not happen: please report it.\n", what, got);
    exit(EXIT_FAILURE);
}

static void say(const struct world *world, const char *style, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (world->colour)
        printf("\033[%sm", style);
    vprintf(format, args);
    puts(world->colour ? "\033[0m" : "");
    va_end(args);
}
#define headline(world, ...) (putchar('\n'), say(world, "1;36", __VA_ARGS__))
#define tell(world, ...) say(world, "0", __VA_ARGS__)
#define command(world, ...) say(world, "1", __VA_ARGS__)

/* ---- pcapng (draft-ietf-opsawg-pcapng): sections, one interface, packets with comments */

static void put32(FILE *file, uint32_t value)
{
    fwrite(&value, sizeof(value), 1, file);
}

static void put_padded(FILE *file, const void *bytes, size_t len)
{
    fwrite(bytes, 1, len, file);
    fwrite("\0\0\0", 1, (4 - len % 4) % 4, file);
}

static void capture_open(struct world *world, const char *path)
{
    world->capture = fopen(path, "wb");
    if (!world->capture) {
        fprintf(stderr, "story: %s: %s; the story is told without a capture file\n", path,
                strerror(errno));
        return;
    }
    /* Section header: byte order, version 1.0, length unknown. */
    put32(world->capture, 0x0a0d0d0a), put32(world->capture, 28);
    put32(world->capture, 0x1a2b3c4d), put32(world->capture, 1);
    put32(world->capture, UINT32_MAX), put32(world->capture, UINT32_MAX);
    put32(world->capture, 28);
    /* Interface: raw IP (101), whole packets, times in nanoseconds (if_tsresol 9). */
    put32(world->capture, 1), put32(world->capture, 32);
    put32(world->capture, 101), put32(world->capture, 65535);
    put32(world->capture, 9 | 1 << 16), put_padded(world->capture, "\x09", 1);
    put32(world->capture, 0), put32(world->capture, 32);
}

static void capture_packet(struct world *world, const struct lastack_frame *frame,
                           const char *comment)
{
    FILE *file = world->capture;
    uint32_t text_len = (uint32_t)strlen(comment);
    uint32_t text_room = text_len ? 4 + (text_len + 3) / 4 * 4 + 4 : 0;
    uint32_t len = 32 + (frame->len + 3) / 4 * 4 + text_room;
    uint8_t packet[65536];
    size_t at = 0;

    if (!file)
        return;
    for (uint32_t i = 0; i < frame->iov_cnt; at += frame->iov[i++].iov_len)
        memcpy(packet + at, frame->iov[i].iov_base, frame->iov[i].iov_len);
    put32(file, 6), put32(file, len), put32(file, 0);
    put32(file, (uint32_t)(world->now_ns >> 32)), put32(file, (uint32_t)world->now_ns);
    put32(file, frame->len), put32(file, frame->len);
    put_padded(file, packet, frame->len);
    if (text_len) {
        put32(file, 1 | text_len << 16);
        put_padded(file, comment, text_len);
        put32(file, 0);
    }
    put32(file, len);
}

/* The server's new state edges, as a packet's comment. */
static void edges(struct world *world, char *out, size_t room)
{
    struct lastack_record record;
    size_t len = 0;

    out[0] = '\0';
    while (lastack_record_next(world->server, &world->record_cursor, &record))
        if (record.kind == LASTACK_RECORD_EDGE && len < room - 1)
            len += (size_t)snprintf(out + len, room - len, "%s%s -> %s (%s)", len ? "; " : "",
                                    lastack_state_name(record.from),
                                    lastack_state_name(record.to),
                                    lastack_cause_name(record.cause));
}

/* ---- the link and the clock */

/* Carry what one stack owes to the other; true if there was anything. */
static bool carry(struct world *world, lastack *from, lastack *to)
{
    struct lastack_frame frame;
    char comment[512];
    bool any = false;

    while (lastack_tx(from, &frame, 1, world->now_ns) == 1) {
        any = true;
        frame.interface = 1;
        if (from == world->server) {
            edges(world, comment, sizeof(comment));
            capture_packet(world, &frame, comment);
        }
        world->now_ns += LINK_DELAY_NS;
        lastack_rx(to, &frame, 1, world->now_ns);
        if (to == world->server) {
            edges(world, comment, sizeof(comment));
            capture_packet(world, &frame, comment);
        }
    }
    return any;
}

/* Let `span_ns` pass, with everything that is due in it. */
static void pass(struct world *world, uint64_t span_ns)
{
    uint64_t end_ns = world->now_ns + span_ns;

    for (;;) {
        lastack_tick(world->server, world->now_ns);
        lastack_tick(world->client, world->now_ns);
        bool any = carry(world, world->client, world->server);

        if (carry(world, world->server, world->client) || any)
            continue;
        uint64_t due = lastack_deadline(world->server), other = lastack_deadline(world->client);

        due = due < other ? due : other;
        if (due > end_ns)
            break;
        world->now_ns = due > world->now_ns ? due : world->now_ns + 1;
    }
    if (world->now_ns < end_ns)
        world->now_ns = end_ns;
    lastack_tick(world->server, world->now_ns);
    lastack_tick(world->client, world->now_ns);
}

static lastack *stack_new(const char *address, uint64_t seed, uint64_t now_ns)
{
    struct lastack_interface interface = {
        .name = "link", .link = LASTACK_LINK_IP, .mtu = 1500, .prefix_len = 24};
    struct lastack_config config;

    lastack_config_init(&config);
    config.seed[0] = seed; /* the story is the same every time; a real program asks getrandom(2) */
    lastack_address_parse(&interface.address, address);
    lastack *stack = lastack_create(&config, now_ns);

    if (!stack || lastack_interface_add(stack, &interface) != 1)
        fail("no stack", errno);
    return stack;
}

/* ---- what `lastack ss` and `lastack why` show, for this small world */

static double ago(const struct world *world, uint64_t then_ns)
{
    return (double)(world->now_ns - then_ns) / (double)SECOND;
}

static const char *ends(const struct lastack_address *address, uint16_t port, char *out)
{
    char text[LASTACK_ADDRESS_TEXT];

    sprintf(out, "%s:%u", lastack_address_text(address, text), port);
    return out;
}

static void show_table(const struct world *world)
{
    struct lastack_holder holder;
    struct lastack_info info;
    char local[64], remote[64];
    uint64_t cursor = 0;

    printf("    %-11s %6s %6s  %-18s %-18s %6s  %s\n", "State", "Recv-Q", "Send-Q", "Local", "Peer",
           "Age", "Holders");
    while (lastack_info_next(world->server, &cursor, &info)) {
        uint64_t holder_cursor = 0;

        printf("    %-11s %6u %6u  %-18s %-18s %5.1fs ", lastack_state_name(info.state),
               info.receive_queue, info.send_queue,
               ends(&info.tuple.local, info.tuple.local_port, local),
               info.tuple.remote_port ? ends(&info.tuple.remote, info.tuple.remote_port, remote)
                                      : "*",
               ago(world, info.state_since_ns));
        while (info.socket_id &&
               lastack_holder_next(world->server, info.socket_id, &holder_cursor, &holder))
            printf(" %s(%u) fd %d", holder.name, holder.pid, holder.fd);
        putchar('\n');
    }
}

/* The connection that stays; false if none does. */
static bool find_lingering(const struct world *world, struct lastack_info *info)
{
    uint64_t cursor = 0;

    while (lastack_info_next(world->server, &cursor, info))
        if (info->state != LASTACK_LISTEN && info->state != LASTACK_CLOSED)
            return true;
    return false;
}

static void explain(const struct world *world, const struct lastack_info *info)
{
    struct lastack_holder holder;
    char remote[64];
    uint64_t cursor = 0;

    printf("    The peer %s ended its half %.1f s ago: its FIN is in, so the state is %s.\n",
           ends(&info->tuple.remote, info->tuple.remote_port, remote), ago(world, info->fin_in_ns),
           lastack_state_name(info->state));
    if (info->eof_read_ns)
        printf("    A process read that end of stream %.1f s ago.\n",
               ago(world, info->eof_read_ns));
    if (info->close_ns)
        printf("    Process %u closed its descriptor %d %.1f s ago. That dropped the count of\n"
               "    holders from %u to %u, so no FIN left.\n",
               info->close_pid, info->close_fd, ago(world, info->close_ns), info->close_left + 1,
               info->close_left);
    while (lastack_holder_next(world->server, info->socket_id, &cursor, &holder))
        printf("    Process %u (%s) still holds descriptor %d, for %.1f s, and waits in\n"
               "    accept().\n",
               holder.pid, holder.name, holder.fd, ago(world, holder.since_ns));
    puts("    What to change: close the descriptor in the parent after fork(), or call\n"
         "    shutdown(fd, SHUT_RDWR) before close(fd) in the child.");
}

/* ---- the people of the story */

struct cast {
    lastack_process *parent, *child, *client;
    int listener, accepted, talk;
};

static void expect(const char *what, long long got, long long want)
{
    if (got != want)
        fail(what, got);
}

/* The server forks for a client that talks and ends its half. */
static void play_talk(struct world *world, struct cast *cast)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT),
                                  .sin_addr.s_addr = htonl(0x0a4d0002)};
    char text[64];

    cast->talk = lastack_socket(cast->client, AF_INET, SOCK_STREAM, 0);
    expect("connect", lastack_connect(cast->client, cast->talk, (void *)&address, sizeof(address)),
           -EINPROGRESS);
    pass(world, SECOND / 10);
    cast->accepted = lastack_accept(cast->parent, cast->listener, NULL, NULL, 0);
    if (cast->accepted < 0)
        fail("accept", cast->accepted);
    cast->child = lastack_fork(cast->parent, CHILD);
    tell(world, "    server: accepted as descriptor %d, forked child %d", cast->accepted, CHILD);
    expect("send", lastack_send(cast->client, cast->talk, "hello", 5, 0), 5);
    pass(world, SECOND / 10);
    expect("child recv", lastack_recv(cast->child, cast->accepted, text, sizeof(text), 0), 5);
    expect("child send", lastack_send(cast->child, cast->accepted, "you said: hello", 15, 0), 15);
    pass(world, SECOND / 10);
    expect("recv", lastack_recv(cast->client, cast->talk, text, sizeof(text), 0), 15);
    tell(world, "    client: says \"hello\", hears \"you said: hello\"");
    expect("shutdown", lastack_shutdown(cast->client, cast->talk, SHUT_WR), 0);
    tell(world, "    client: has no more to say (its FIN is out), waits for the server to end too");
    pass(world, SECOND / 10);
    expect("child recv", lastack_recv(cast->child, cast->accepted, text, sizeof(text), 0), 0);
}

/* The child is done: the way of the text books, or the repaired one. */
static void play_child_end(struct world *world, struct cast *cast, bool repaired)
{
    tell(world, "    server: child %d read the end of the stream, %s", CHILD,
         repaired ? "shuts down and closes" : "closes its descriptor");
    if (repaired)
        expect("shutdown", lastack_shutdown(cast->child, cast->accepted, SHUT_RDWR), 0);
    expect("close", lastack_close(cast->child, cast->accepted), 0);
    lastack_exit(cast->child);
    cast->child = NULL;
    pass(world, 3 * SECOND);
}

static void listen_on(struct cast *cast)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    cast->listener = lastack_socket(cast->parent, AF_INET, SOCK_STREAM, 0);
    expect("bind", lastack_bind(cast->parent, cast->listener, (void *)&address, sizeof(address)),
           0);
    expect("listen", lastack_listen(cast->parent, cast->listener, 16), 0);
}

static void play_mistake(struct world *world, struct cast *cast)
{
    struct lastack_info info;
    char text[64];

    headline(world, "1. A forking server with the classic mistake");
    tell(world, "   The parent accepts, forks, and forgets to close its copy of the descriptor.\n"
                "   The child serves the client, and closes when the client has ended.");
    play_talk(world, cast);
    play_child_end(world, cast, false);

    headline(world, "2. What is there? (`lastack ss -p`)");
    show_table(world);

    headline(world, "3. Why does it not end? (`lastack why`)");
    if (!find_lingering(world, &info))
        fail("nothing lingers", 0);
    explain(world, &info);

    headline(world, "4. End it (`lastack end %llu --yes`)", (unsigned long long)info.id);
    expect("end", lastack_end(world->server, info.id, SHUT_RDWR), 0);
    pass(world, SECOND);
    expect("end of stream", lastack_recv(cast->client, cast->talk, text, sizeof(text), 0), 0);
    expect("close", lastack_close(cast->client, cast->talk), 0);
    tell(world, "    client: end of stream\n"
                "   FIN, LAST_ACK, CLOSED. No connection is left, only the listener, and the parent's\n"
                "   descriptor with nothing behind it:");
    show_table(world);
}

static void play_repair(struct world *world, struct cast *cast)
{
    struct lastack_info info;
    char text[64];

    headline(world, "   The same server with one more line: the child calls shutdown() first");
    play_talk(world, cast);
    play_child_end(world, cast, true);
    expect("end of stream", lastack_recv(cast->client, cast->talk, text, sizeof(text), 0), 0);
    tell(world, "    client: end of stream");
    expect("close", lastack_close(cast->client, cast->talk), 0);
    show_table(world);
    if (find_lingering(world, &info))
        fail("a connection stays", (long long)info.id);
    tell(world, "   No connection stays behind: a shutdown acts on the socket, whoever else holds it.");
}

int main(int argc, char **argv)
{
    struct world world = {.now_ns = SECOND};
    const char *term = getenv("TERM");
    struct cast cast = {0};

    if (argc > 2) {
        fprintf(stderr, "usage: story [FILE.pcapng]\n");
        return 2;
    }
    world.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb");
    world.server = stack_new(server_address, 1, world.now_ns);
    world.client = stack_new(client_address, 2, world.now_ns);
    if (argc == 2)
        capture_open(&world, argv[1]);
    cast.parent = lastack_process_create(world.server, PARENT, "forking-server");
    cast.client = lastack_process_create(world.client, CLIENT, "client");
    listen_on(&cast);
    play_mistake(&world, &cast);
    play_repair(&world, &cast);
    lastack_exit(cast.parent);
    lastack_exit(cast.client);
    lastack_destroy(world.server);
    lastack_destroy(world.client);
    if (world.capture && fclose(world.capture) != 0)
        perror("story");
    return EXIT_SUCCESS;
}
