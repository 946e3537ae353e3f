/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept about each connection for those who ask later why it is still there: the stamps,
 * the flight recorder, the operator's ending, the supervisor's notes. */
#include <errno.h>

#include "cells/harness.h"

static struct lastack_info info_of(const struct world *w)
{
    struct lastack_info info;

    if (!world_info(w, &info)) {
        FAIL("no entry");
        test_leave();
    }
    return info;
}

TEST(stamps_of_a_whole_life)
{
    struct world w;
    struct lastack_info info;
    uint64_t born, data_out, data_in, fin_in, eof, fin_out;
    uint32_t first;

    world_open(&w);
    world_established(&w, true);
    born = w.now_ns;
    info = info_of(&w);
    CHECK_EQ(info.born_ns, born);
    CHECK_EQ(info.state_since_ns, born);
    CHECK(info.passive);
    CHECK(!info.unaccepted);
    CHECK_EQ(info.references, 1);
    CHECK_EQ(info.fin_in_ns | info.fin_out_ns | info.eof_read_ns | info.close_ns, 0);
    CHECK_EQ(info.data_in_ns | info.data_out_ns, 0);
    world_advance(&w, SECOND);
    data_out = w.now_ns;
    CHECK_EQ(world_send(&w, 10), 10);
    CHECK_EQ(info_of(&w).send_queue, 10);
    CHECK_EQ(info_of(&w).bytes_out, 0);
    w.now_ns += WORLD_RTT;
    peer_ack(&w);
    CHECK_EQ(info_of(&w).bytes_out, 10);
    world_advance(&w, SECOND);
    data_in = w.now_ns;
    first = w.rcv_nxt;
    peer_data(&w, 20);
    CHECK_EQ(info_of(&w).receive_queue, 20);
    CHECK_EQ(info_of(&w).bytes_in, 20);
    world_advance(&w, SECOND);
    fin_in = w.now_ns;
    peer_fin(&w);
    CHECK_EQ(info_of(&w).receive_queue, 20); /* the FIN is no byte */
    world_advance(&w, SECOND);
    CHECK_EQ(world_recv_at(&w, first, 100), 20);
    CHECK_EQ(info_of(&w).eof_read_ns, 0);
    world_advance(&w, SECOND);
    eof = w.now_ns;
    CHECK_EQ(world_recv_at(&w, 0, 100), 0);
    world_advance(&w, SECOND);
    CHECK_EQ(world_recv_at(&w, 0, 100), 0); /* the first one counts */
    world_advance(&w, SECOND);
    fin_out = w.now_ns;
    world_close_fd(&w);
    world_advance(&w, 100 * MS);
    info = info_of(&w);
    CHECK_EQ(info.state, LASTACK_LAST_ACK);
    CHECK_EQ(info.born_ns, born);
    CHECK_EQ(info.data_out_ns, data_out);
    CHECK_EQ(info.data_in_ns, data_in);
    CHECK_EQ(info.fin_in_ns, fin_in);
    CHECK_EQ(info.eof_read_ns, eof);
    CHECK_EQ(info.fin_out_ns, fin_out);
    CHECK_EQ(info.close_ns, fin_out);
    CHECK_EQ(info.state_since_ns, fin_out);
    CHECK_EQ(info.close_pid, 100);
    CHECK_EQ(info.close_left, 0);
    CHECK(info.orphan);
    world_close(&w);
}

TEST(born_when_the_syn_leaves)
{
    struct world w;
    uint64_t born;

    world_open(&w);
    born = w.now_ns;
    world_syn_sent(&w);
    CHECK_EQ(info_of(&w).born_ns, born);
    CHECK_EQ(info_of(&w).timer, LASTACK_TIMER_RETRANSMIT);
    CHECK_EQ(info_of(&w).timer_ns, born + WORLD_RTO);
    CHECK(!info_of(&w).passive);
    world_close(&w);
}

/* RFC 6298 2.2: the handshake is the first sample, on both sides. 2.3: the next ones. */
TEST(the_round_trip_is_measured)
{
    for (unsigned passive = 0; passive < 2; passive++) {
        struct world w;
        struct lastack_info info;

        world_open(&w);
        world_established(&w, passive);
        info = info_of(&w);
        CHECK_GE(info.srtt_us, WORLD_RTT / 1000 - 1000); /* a half-open entry counts in ms */
        CHECK_LE(info.srtt_us, WORLD_RTT / 1000 + 1000);
        CHECK_EQ(info.rttvar_us, info.srtt_us / 2);
        CHECK_EQ(world_send(&w, 5), 5);
        w.now_ns += 90 * MS;
        peer_ack(&w); /* a slower one counts for an eighth: 10 + 80 / 8 */
        info = info_of(&w);
        CHECK_GE(info.srtt_us, 19000);
        CHECK_LE(info.srtt_us, 21000);
        CHECK_EQ(info.rto_ms, WORLD_RTO / MS);
        world_close(&w);
    }
}

TEST(the_last_close_with_references_left)
{
    struct world w;
    lastack_process *a, *b;
    struct lastack_info info;
    struct lastack_record record;

    world_open(&w);
    world_established(&w, true);
    a = lastack_fork(w.process, 101);
    b = lastack_fork(w.process, 102);
    world_advance(&w, SECOND);
    CHECK_EQ(lastack_close(a, w.fd), 0);
    info = info_of(&w);
    CHECK_EQ(info.close_pid, 101);
    CHECK_EQ(info.close_left, 2);
    CHECK_EQ(info.close_fd, w.fd);
    CHECK_EQ(info.close_ns, w.now_ns);
    world_advance(&w, SECOND);
    lastack_exit(b);
    info = info_of(&w);
    CHECK_EQ(info.close_pid, 102);
    CHECK_EQ(info.close_left, 1);
    CHECK_EQ(info.close_ns, w.now_ns);
    CHECK(!info.orphan);
    REQUIRE(world_record(&w, LASTACK_RECORD_CALL, LASTACK_CAUSE_CLOSE, &record));
    CHECK_EQ(record.pid, 101);
    CHECK_EQ(record.fd, w.fd);
    CHECK_EQ(record.arg, 2);
    CHECK_EQ(record.id, info.id);
    REQUIRE(world_record(&w, LASTACK_RECORD_CALL, LASTACK_CAUSE_EXIT, &record));
    CHECK_EQ(record.pid, 102);
    CHECK_EQ(record.arg, 1);
    world_close(&w);
}

TEST(the_recorder_tells_the_story_of_the_classic_bug)
{
    struct world w;
    struct lastack_record record;
    lastack_process *child;
    uint8_t byte;

    world_open(&w);
    world_established(&w, true);
    child = lastack_fork(w.process, 101);
    world_advance(&w, SECOND);
    peer_fin(&w);
    world_advance(&w, SECOND);
    CHECK_EQ(lastack_recv(child, w.fd, &byte, 1, 0), 0);
    CHECK_EQ(lastack_close(child, w.fd), 0);
    REQUIRE(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_FIN, &record));
    CHECK_EQ(record.from, LASTACK_ESTABLISHED);
    CHECK_EQ(record.to, LASTACK_CLOSE_WAIT);
    CHECK_EQ(record.time_ns, w.now_ns - SECOND);
    CHECK_EQ(record.pid, 0);
    CHECK_EQ(record.tuple.local_port, w.local_port);
    CHECK_EQ(record.tuple.remote_port, w.peer_port);
    REQUIRE(world_record(&w, LASTACK_RECORD_CALL, LASTACK_CAUSE_RECV_EOF, &record));
    CHECK_EQ(record.pid, 101);
    CHECK_EQ(record.time_ns, w.now_ns);
    REQUIRE(world_record(&w, LASTACK_RECORD_CALL, LASTACK_CAUSE_CLOSE, &record));
    CHECK_EQ(record.pid, 101);
    CHECK_EQ(record.arg, 1);
    world_close(&w);
}

TEST(the_recorder_is_a_ring_with_a_gap_that_shows)
{
    struct world w;
    struct lastack_config config;
    struct lastack_record record;
    uint64_t cursor = 0, last = 0;
    unsigned cnt = 0;

    world_config(&config);
    config.record_len = 16;
    world_open_with(&w, &config);
    for (unsigned i = 0; i < 50; i++)
        peer_send(&w, TCP_ACK, 1, 1, 0); /* each one a named drop */
    while (lastack_record_next(w.stack, &cursor, &record)) {
        if (cnt++)
            CHECK_EQ(record.sequence, last + 1);
        last = record.sequence;
        CHECK_EQ(record.kind, LASTACK_RECORD_DROP);
        CHECK_EQ(record.arg, DROP_TCP_NO_LISTENER);
    }
    CHECK_EQ(cnt, 16);
    CHECK_GE(last, 50);
    CHECK(!lastack_record_next(w.stack, &cursor, &record));
    world_close(&w);
}

/* ---- the operator ----------------------------------------------------------- */

TEST(end_takes_effect_whatever_the_references_and_descriptors_stay)
{
    static const int hows[] = {SHUT_WR, SHUT_RDWR};

    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        lastack_process *child;
        struct lastack_record record;

        world_open(&w);
        world_established(&w, true);
        child = lastack_fork(w.process, 101);
        peer_fin(&w);
        world_forget(&w);
        CHECK_EQ(lastack_end(w.stack, world_id(&w), hows[i]), 0);
        world_collect(&w);
        REQUIRE_EQ(w.sent_cnt, 1);
        CHECK_EQ(world_last(&w)->flags, TCP_FIN | TCP_ACK);
        CHECK_EQ(world_state(&w), LASTACK_LAST_ACK);
        CHECK_EQ(info_of(&w).references, 2);
        REQUIRE(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_OPERATOR, &record));
        CHECK_EQ(record.from, LASTACK_CLOSE_WAIT);
        peer_ack(&w);
        CHECK_EQ(world_state(&w), LASTACK_CLOSED);
        CHECK_EQ(world_send(&w, 1), -EPIPE);
        CHECK_EQ(lastack_close(child, w.fd), 0);
        world_close_fd(&w);
        world_close(&w);
    }
}

TEST(end_errors)
{
    struct world w;

    world_open(&w);
    world_established(&w, true);
    CHECK_EQ(lastack_end(w.stack, 123456789, SHUT_WR), -ENOENT);
    CHECK_EQ(lastack_end(w.stack, 0, SHUT_WR), -ENOENT);
    CHECK_EQ(lastack_end(w.stack, world_id(&w), 77), -EINVAL);
    CHECK_EQ(lastack_end(w.stack, world_id(&w), SHUT_RD), -EINVAL);
    CHECK_EQ(world_state(&w), LASTACK_ESTABLISHED);
    world_close(&w);
}

TEST(end_of_a_connection_in_the_accept_queue)
{
    struct world w;
    struct lastack_usage usage;

    world_open(&w);
    world_listen(&w, 8);
    world_handshake(&w);
    peer_fin(&w);
    world_forget(&w);
    CHECK_EQ(lastack_end(w.stack, world_id(&w), LASTACK_END_RST), 0);
    world_collect(&w);
    CHECK_EQ(world_sent_with(&w, TCP_RST), 1);
    lastack_usage(w.stack, &usage);
    CHECK_LE(usage.unaccepted, 1);
    world_accept(&w); /* the acceptor learns of it */
    CHECK_LE(world_recv_at(&w, 0, 10), 0);
    CHECK_EQ(world_send(&w, 1) < 0, true);
    world_close(&w);
}

/* ---- the supervisor --------------------------------------------------------- */

TEST(a_supervisor_notes_a_close_that_the_kernel_counted)
{
    struct world w;
    struct lastack_info info;
    struct lastack_record record;

    world_open(&w);
    world_established(&w, true);
    world_advance(&w, SECOND);
    CHECK_EQ(lastack_close_note(w.process, w.fd, 4711, 12, 3), 0);
    info = info_of(&w);
    CHECK_EQ(info.close_pid, 4711);
    CHECK_EQ(info.close_fd, 12);
    CHECK_EQ(info.close_left, 3);
    CHECK_EQ(info.close_ns, w.now_ns);
    CHECK_EQ(info.state, LASTACK_ESTABLISHED);
    REQUIRE(world_record(&w, LASTACK_RECORD_CALL, LASTACK_CAUSE_CLOSE, &record));
    CHECK_EQ(record.pid, 4711);
    CHECK_EQ(record.fd, 12);
    CHECK_EQ(record.arg, 3);
    CHECK_EQ(lastack_close_note(w.process, 99, 1, 1, 1), -EBADF);
    world_close(&w);
}

TEST(calls_are_recorded_under_the_pid_the_supervisor_acts_as)
{
    struct world w;
    struct lastack_record record;

    world_open(&w);
    world_established(&w, true);
    lastack_process_act_as(w.process, 555);
    world_shutdown(&w, SHUT_WR);
    REQUIRE(world_record(&w, LASTACK_RECORD_EDGE, LASTACK_CAUSE_SHUT_WR, &record));
    CHECK_EQ(record.pid, 555);
    lastack_process_act_as(w.process, 556);
    world_close_fd(&w);
    CHECK_EQ(info_of(&w).close_pid, 556);
    world_close(&w);
}

TEST(names_are_there_for_every_number)
{
    for (unsigned i = 0; i < LASTACK_STATE_CNT; i++)
        CHECK(lastack_state_name(i) && lastack_state_name(i)[0]);
    CHECK_STR(lastack_state_name(LASTACK_CLOSE_WAIT), "CLOSE-WAIT");
    CHECK_STR(lastack_state_name(LASTACK_ESTABLISHED), "ESTAB");
    for (unsigned i = 0; i < LASTACK_CAUSE_CNT; i++)
        CHECK(lastack_cause_name(i) && lastack_cause_name(i)[0]);
    for (unsigned i = 0; i <= LASTACK_TIMER_LINGER; i++)
        CHECK(lastack_timer_name(i) && lastack_timer_name(i)[0]);
    for (unsigned i = 0; i < DROP_CNT; i++)
        CHECK(lastack_drop_name(i) && lastack_drop_text(i));
    CHECK(lastack_drop_name(DROP_CNT) == NULL);
}

TEST_MAIN()
