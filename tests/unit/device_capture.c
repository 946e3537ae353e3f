/* SPDX-License-Identifier: BSD-2-Clause */
/* device/capture.c: the file is well-formed, and each packet tells the edges that belong to it. */
#include "device/capture.h"
#include "device_world.h"

#define EPOCH_NS 1700000000000000000u
#define PACKET_MAX 200

struct packet {
    uint64_t time_ns;
    uint32_t interface, len, flags;
    char comment[2100];
};

struct file {
    int fd;
    uint8_t *bytes;
    size_t len;
    struct packet packets[PACKET_MAX];
    size_t packet_cnt;
    unsigned section_cnt, interface_cnt;
};

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static void read_options(struct packet *packet, const uint8_t *p, const uint8_t *end)
{
    for (;;) {
        uint16_t code, len;
        REQUIRE(end - p >= 4);
        memcpy(&code, p, 2);
        memcpy(&len, p + 2, 2);
        if (code == 0)
            return;
        REQUIRE(end - p >= 4 + len);
        if (code == 1)
            memcpy(packet->comment, p + 4, MIN(len, sizeof packet->comment - 1));
        if (code == 2)
            packet->flags = get32(p + 4);
        p += 4 + (len + 3) / 4 * 4;
    }
}

/* Take the file apart; every block must be whole and told twice how long it is. */
static void file_read(struct file *file)
{
    off_t len = lseek(file->fd, 0, SEEK_END);
    REQUIRE(len > 0);
    file->len = (size_t)len;
    file->bytes = malloc(file->len);
    REQUIRE(file->bytes != NULL);
    REQUIRE_EQ(pread(file->fd, file->bytes, file->len, 0), len);
    for (size_t at = 0; at < file->len;) {
        const uint8_t *block = file->bytes + at;
        REQUIRE(file->len - at >= 12);
        uint32_t total = get32(block + 4);
        REQUIRE(total % 4 == 0 && total >= 12 && total <= file->len - at);
        CHECK_EQ(get32(block + total - 4), total);
        file->section_cnt += get32(block) == 0x0a0d0d0a;
        file->interface_cnt += get32(block) == 1;
        if (get32(block) == 6) {
            REQUIRE(file->packet_cnt < PACKET_MAX);
            struct packet *packet = &file->packets[file->packet_cnt++];
            packet->interface = get32(block + 8);
            packet->time_ns = (uint64_t)get32(block + 12) << 32 | get32(block + 16);
            packet->len = get32(block + 20);
            REQUIRE(28 + packet->len <= total);
            read_options(packet, block + 28 + (packet->len + 3) / 4 * 4, block + total - 4);
        }
        at += total;
    }
}

static struct file *file_open(struct capture *capture)
{
    char path[] = "/tmp/lastack-unit-capture-XXXXXX";
    struct file *file = calloc(1, sizeof *file);
    REQUIRE(file != NULL);
    file->fd = mkstemp(path);
    REQUIRE(file->fd >= 0);
    unlink(path);
    REQUIRE_EQ(capture_open_fd(capture, file->fd, EPOCH_NS), 0);
    return file;
}

static void file_free(struct file *file)
{
    close(file->fd);
    free(file->bytes);
    free(file);
}

/* How many packets have `words` in their comment, in the given direction. */
static unsigned told(const struct file *file, enum capture_direction direction, const char *words)
{
    unsigned cnt = 0;
    for (size_t i = 0; i < file->packet_cnt; i++) {
        const struct packet *packet = &file->packets[i];
        if (packet->flags == (direction == CAPTURE_IN ? 1u : 2u) && strstr(packet->comment, words))
            cnt++;
    }
    if (cnt == 0)
        for (size_t i = 0; i < file->packet_cnt; i++)
            test_note("%zu: flags %u: %s", i, file->packets[i].flags, file->packets[i].comment);
    return cnt;
}

/* Both ways until nothing moves, with a capture at the server. `damage`: client packets have a
 * bit flipped. */
static void move(struct world *world, struct capture *capture, bool damage)
{
    struct lastack_frame frames[8];
    uint8_t copy[2000];
    size_t cnt, total;
    do {
        total = 0;
        cnt = lastack_tx(world->stack[0], frames, 8, world->now_ns);
        total += cnt;
        for (size_t i = 0; i < cnt; i++) {
            frames[i].interface = world->pair.interface[1];
            if (damage) {
                size_t at = 0;
                for (uint32_t k = 0; k < frames[i].iov_cnt; at += frames[i].iov[k++].iov_len)
                    memcpy(copy + at, frames[i].iov[k].iov_base, frames[i].iov[k].iov_len);
                copy[at - 1] ^= 1;
                frames[i].iov_cnt = 1;
                frames[i].iov[0] = (struct iovec){copy, at};
            }
            lastack_rx(world->stack[1], &frames[i], 1, world->now_ns);
            capture_frame(capture, world->stack[1], &frames[i], CAPTURE_IN, world->now_ns);
        }
        cnt = lastack_tx(world->stack[1], frames, 8, world->now_ns);
        total += cnt;
        for (size_t i = 0; i < cnt; i++) {
            capture_frame(capture, world->stack[1], &frames[i], CAPTURE_OUT, world->now_ns);
            frames[i].interface = world->pair.interface[0];
            lastack_rx(world->stack[0], &frames[i], 1, world->now_ns);
        }
    } while (total > 0);
}

TEST(capture_tells_the_way_of_a_connection)
{
    struct world world;
    struct capture capture;
    world_init(&world);
    struct file *file = file_open(&capture);
    world_dial(&world);
    move(&world, &capture, false);
    world_accept(&world);
    CHECK_EQ(lastack_close(world.process[0], world.client_fd), 0);
    world.now_ns += 1500 * (uint64_t)MS;
    world_tick(&world);
    move(&world, &capture, false);
    CHECK_EQ(lastack_shutdown(world.process[1], world.server_fd, SHUT_RDWR), 0);
    CHECK_EQ(lastack_close(world.process[1], world.server_fd), 0);
    move(&world, &capture, false);
    CHECK_EQ(capture_close(&capture), 0);

    file_read(file);
    CHECK_EQ(file->section_cnt, 1);
    CHECK_EQ(file->interface_cnt, 1);
    CHECK_GE(file->packet_cnt, 7);
    CHECK_EQ(file->packets[0].time_ns, EPOCH_NS + 1000 * (uint64_t)MS);
    CHECK_EQ(told(file, CAPTURE_IN, "-> ESTAB, caused by the peer's ACK"), 1);
    CHECK_EQ(told(file, CAPTURE_IN, "ESTAB -> CLOSE-WAIT, caused by the peer's FIN"), 1);
    CHECK_EQ(told(file, CAPTURE_OUT, "CLOSE-WAIT -> LAST-ACK, caused by shutdown"), 1);
    CHECK_EQ(told(file, CAPTURE_OUT, "by pid 200"), 1);
    CHECK_EQ(told(file, CAPTURE_IN, "LAST-ACK -> "), 1);
    CHECK_EQ(told(file, CAPTURE_IN, "lastack #"), told(file, CAPTURE_IN, "#"));
    file_free(file);
    world_free(&world);
}

TEST(capture_tells_why_a_packet_is_dropped)
{
    struct world world;
    struct capture capture;
    world_init(&world);
    struct file *file = file_open(&capture);
    world_dial(&world);
    move(&world, &capture, true);
    CHECK_EQ(capture_close(&capture), 0);
    file_read(file);
    CHECK_EQ(file->packet_cnt, 1);
    CHECK_EQ(told(file, CAPTURE_IN, "dropped, tcp-checksum: TCP checksum is wrong."), 1);
    file_free(file);
    world_free(&world);
}

/* A reset by close with unread data is told with the RST. */
TEST(capture_tells_the_call_behind_a_reset)
{
    struct world world;
    struct capture capture;
    world_init(&world);
    struct file *file = file_open(&capture);
    world_dial(&world);
    move(&world, &capture, false);
    world_accept(&world);
    CHECK_EQ(lastack_send(world.process[0], world.client_fd, "unread", 6, 0), 6);
    move(&world, &capture, false);
    CHECK_EQ(lastack_close(world.process[1], world.server_fd), 0);
    move(&world, &capture, false);
    CHECK_EQ(capture_close(&capture), 0);
    file_read(file);
    CHECK_EQ(told(file, CAPTURE_OUT, "caused by close by pid 200"), 1);
    file_free(file);
    world_free(&world);
}

/* The bug this project is about: the child closes, the parent still holds, no FIN leaves. The
 * packet that ends it at last says why none came before. */
TEST(capture_tells_the_close_that_was_not_the_last)
{
    struct world world;
    struct capture capture;
    struct lastack_info info;
    uint64_t cursor = 0, id = 0;
    world_init(&world);
    struct file *file = file_open(&capture);
    world_dial(&world);
    move(&world, &capture, false);
    world_accept(&world);
    lastack_process *child = lastack_fork(world.process[1], 201);
    REQUIRE(child != NULL);
    CHECK_EQ(lastack_close(world.process[0], world.client_fd), 0);
    move(&world, &capture, false);
    CHECK_EQ(lastack_close(child, world.server_fd), 0);
    move(&world, &capture, false);
    world.now_ns += 60000 * (uint64_t)MS;
    world_tick(&world);
    while (lastack_info_next(world.stack[1], &cursor, &info))
        if (info.state == LASTACK_CLOSE_WAIT)
            id = info.id;
    REQUIRE(id != 0);
    CHECK_EQ(lastack_end(world.stack[1], id, SHUT_WR), 0);
    move(&world, &capture, false);
    CHECK_EQ(capture_close(&capture), 0);
    file_read(file);
    CHECK_EQ(told(file, CAPTURE_OUT, "close by pid 201 (fd "), 1);
    CHECK_EQ(told(file, CAPTURE_OUT, "left 1 reference, so no FIN; #"), 1);
    CHECK_EQ(told(file, CAPTURE_OUT, "CLOSE-WAIT -> LAST-ACK, caused by the operator"), 1);
    file_free(file);
    world_free(&world);
}

TEST(capture_open_of_a_path_that_cannot_be)
{
    struct capture capture;
    CHECK_EQ(capture_open(&capture, "/nonexistent/file.pcapng", 0), -ENOENT);
    CHECK_EQ(capture_close(&capture), 0);
}

TEST(capture_keeps_the_first_write_error)
{
    struct world world;
    struct capture capture;
    struct lastack_frame frame = {.len = 1, .iov_cnt = 1, .iov = {{(void *)"E", 1}}};
    int fd[2];
    world_init(&world);
    REQUIRE_EQ(pipe(fd), 0);
    REQUIRE_EQ(capture_open_fd(&capture, fd[1], 0), 0);
    close(fd[0]);
    signal(SIGPIPE, SIG_IGN);
    capture_frame(&capture, world.stack[1], &frame, CAPTURE_IN, 1);
    capture_frame(&capture, world.stack[1], &frame, CAPTURE_IN, 2);
    CHECK_EQ(capture_close(&capture), -EPIPE);
    close(fd[1]);
    world_free(&world);
}

TEST_MAIN()
