/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts from a real stack: processes that fork, close and read, on virtual time, and what the rules
 * make of it. Client and server live in one stack and talk over its loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "doctor/ladder.h"
#include "doctor/rules.h"
#include "doctor/sources/stack.h"
#include "doctor/text.h"
#include "lastack.h"
#include "test.h"

#define MS   UINT64_C(1000000)
#define PORT 8080

struct world {
    lastack *stack;
    lastack_process *client, *server;
    int listener, in, out; /* listener and in: of the server; out: of the client */
    uint64_t now_ns;
    struct facts_list list;
    struct findings findings;
};

static void run(struct world *w, uint64_t ms)
{
    struct lastack_frame frames[16];
    for (uint64_t end_ns = w->now_ns + ms * MS; w->now_ns < end_ns;) {
        w->now_ns += ms > 1000 ? 100 * MS : MS;
        lastack_tick(w->stack, w->now_ns);
        while (lastack_tx(w->stack, frames, 16, w->now_ns) == 16)
            ;
    }
}

/* One connection from client to server, accepted, with a request in it. */
static void begin(struct world *w)
{
    struct lastack_config config;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    *w = (struct world){.now_ns = 1000 * MS};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    lastack_config_init(&config);
    config.seed[0] = 7;
    config.record_len = 1024;
    w->stack = lastack_create(&config, w->now_ns);
    REQUIRE(w->stack);
    w->server = lastack_process_create(w->stack, 100, "server");
    w->client = lastack_process_create(w->stack, 200, "client");
    w->listener = lastack_socket(w->server, AF_INET, SOCK_STREAM, 0);
    REQUIRE_EQ(lastack_bind(w->server, w->listener, (struct sockaddr *)&to, sizeof to), 0);
    REQUIRE_EQ(lastack_listen(w->server, w->listener, 4), 0);
    w->out = lastack_socket(w->client, AF_INET, SOCK_STREAM, 0);
    REQUIRE_EQ(lastack_connect(w->client, w->out, (struct sockaddr *)&to, sizeof to), -EINPROGRESS);
    run(w, 10);
    CHECK_EQ(lastack_send(w->client, w->out, "hello", 5, 0), 5);
    run(w, 10);
}

static void begin_accepted(struct world *w)
{
    begin(w);
    w->in = lastack_accept(w->server, w->listener, NULL, NULL, 0);
    REQUIRE(w->in >= 0);
}

static void read_all(lastack_process *process, int fd)
{
    char bytes[64];
    ssize_t len;
    while ((len = lastack_recv(process, fd, bytes, sizeof bytes, 0)) > 0)
        ;
    CHECK_EQ(len, 0);
}

/* Facts and findings of this moment; the record of the server's end (or of the client's). */
static const struct facts *look(struct world *w, bool server_end)
{
    const struct facts_stack_options options = {.name = "test"};
    const struct facts *found = NULL;
    findings_free(&w->findings);
    facts_list_free(&w->list);
    facts_from_stack(&w->list, w->stack, w->now_ns, &options);
    diagnose(&w->findings, &w->list, NULL);
    for (uint32_t i = 0; i < w->list.cnt; i++) {
        const struct facts *f = &w->list.all[i];
        if (f->state != LASTACK_LISTEN && f->id && (f->tuple.local_port == PORT) == server_end)
            found = f;
    }
    return found;
}

static const struct finding *finding_about(const struct world *w, const struct facts *facts)
{
    for (uint32_t i = 0; i < w->findings.cnt; i++)
        if (w->findings.all[i].about == facts)
            return &w->findings.all[i];
    return NULL;
}

static void finish(struct world *w)
{
    findings_free(&w->findings);
    facts_list_free(&w->list);
    lastack_destroy(w->stack);
}

TEST(healthy_connection_yields_nothing)
{
    struct world w;
    begin_accepted(&w);
    run(&w, 600000);
    const struct facts *f = look(&w, true);
    REQUIRE(f);
    CHECK_EQ(f->state, LASTACK_ESTABLISHED);
    CHECK_EQ(f->receive_queue, 5);
    CHECK_EQ(f->references, 1);
    REQUIRE(f->holder_cnt == 1);
    CHECK_EQ(f->holders[0].pid, 100);
    CHECK_EQ(f->holders[0].fd, w.in);
    CHECK_STR(f->holders[0].program, "server");
    CHECK_EQ(f->holders[0].origin, FACT_ORIGIN_ACCEPT);
    CHECK_EQ(f->fin_in_us, FACT_NEVER);
    CHECK_EQ(f->eof_read_us, FACT_NEVER);
    CHECK_EQ(w.findings.cnt, 0);
    const struct facts *other = look(&w, false);
    REQUIRE(other);
    uint64_t peer_id = other->peer_id;
    f = look(&w, true);
    CHECK_EQ(facts_list_find(&w.list, peer_id), f);
    finish(&w);
}

TEST(the_classic_leak)
{
    struct world w;
    begin_accepted(&w);
    lastack_process *child = lastack_fork(w.server, 101);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 20);
    read_all(child, w.in);
    run(&w, 20);
    CHECK_EQ(lastack_close(child, w.in), 0);
    run(&w, 500);
    CHECK(!finding_about(&w, look(&w, true))); /* a moment to make the missing call */
    run(&w, 12000);
    const struct facts *f = look(&w, true);
    REQUIRE(f);
    CHECK_EQ(f->state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(f->references, 1);
    CHECK_EQ(f->close_cnt, 1);
    CHECK_EQ(f->closes[0].pid, 101);
    CHECK_EQ(f->closes[0].fd, w.in);
    CHECK_EQ(f->closes[0].left, 1);
    CHECK_EQ(f->closes[0].kind, FACT_CALL_CLOSE);
    CHECK_EQ(f->close_all, FACT_YES);
    CHECK(f->fin_in_us >= f->eof_read_us && f->eof_read_us >= f->closes[0].age_us);
    const struct finding *finding = finding_about(&w, f);
    REQUIRE(finding);
    CHECK_STR(finding->class, CLASS_SHARED);
    CHECK(finding->certain);
    CHECK_EQ(finding->end_how, SHUT_WR);
    CHECK(strstr(text_string(&finding->sentence),
                 "then process 101 (server) closed its descriptor") != NULL);
    CHECK(strstr(text_string(&finding->sentence), "process 100 (server) still holds") != NULL);
    /* What it advises must help. */
    CHECK_EQ(lastack_end(w.stack, f->id, finding->end_how), 0);
    run(&w, 100);
    f = look(&w, true);
    CHECK(!f || f->state == LASTACK_CLOSED);
    lastack_exit(child);
    finish(&w);
}

TEST(a_process_that_exits_is_named)
{
    struct world w;
    begin_accepted(&w);
    lastack_process *child = lastack_fork(w.server, 101);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 20);
    read_all(child, w.in);
    lastack_exit(child);
    run(&w, 2000);
    const struct facts *f = look(&w, true);
    REQUIRE(f && f->close_cnt == 1);
    CHECK_EQ(f->closes[0].kind, FACT_CALL_EXIT);
    const struct finding *finding = finding_about(&w, f);
    REQUIRE(finding);
    CHECK_STR(finding->class, CLASS_SHARED);
    finish(&w);
}

TEST(unread_then_deaf)
{
    struct world w;
    begin_accepted(&w);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 2000);
    const struct facts *f = look(&w, true);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_UNREAD);
    read_all(w.server, w.in);
    f = look(&w, true);
    CHECK(!finding_about(&w, f)); /* read a moment ago: time to close */
    run(&w, 2000);
    f = look(&w, true);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_DEAF);
    CHECK(!finding_about(&w, f)->certain); /* its request is not answered: an answer may come */
    run(&w, 60000);
    f = look(&w, true);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_DEAF);
    CHECK(finding_about(&w, f)->certain);
    CHECK_EQ(lastack_close(w.server, w.in), 0);
    run(&w, 2000);
    f = look(&w, true);
    CHECK(!f || !finding_about(&w, f));
    finish(&w);
}

TEST(a_half_close_that_works)
{
    struct world w;
    begin_accepted(&w);
    CHECK_EQ(lastack_shutdown(w.client, w.out, SHUT_WR), 0);
    run(&w, 3000);
    read_all(w.server, w.in);
    CHECK_EQ(lastack_send(w.server, w.in, "answer", 6, 0), 6);
    run(&w, 2000);
    const struct facts *f = look(&w, true);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_WORKING);
    f = look(&w, false);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_WORKING);
    CHECK_EQ(f->fin_out_by.kind, FACT_CALL_SHUT_WR);
    CHECK_EQ(f->fin_out_by.pid, 200);
    CHECK_EQ(f->fin_acked, FACT_YES);
    finish(&w);
}

TEST(unaccepted_and_orphan)
{
    struct world w;
    begin(&w);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 3000);
    const struct facts *f = look(&w, true);
    REQUIRE(f);
    CHECK_EQ(f->unaccepted, FACT_YES);
    CHECK_EQ(f->references, 0);
    CHECK(facts_list_find(&w.list, f->listener_id) != NULL);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_UNACCEPTED);
    f = look(&w, false);
    REQUIRE(f);
    CHECK_EQ(f->orphan, FACT_YES);
    CHECK_EQ(f->timer, LASTACK_TIMER_FIN_WAIT);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_ORPHAN);
    finish(&w);
}

/* The end that closed waits a minute for the other one. */
TEST(the_other_end_may_be_gone)
{
    struct world w;
    begin_accepted(&w);
    CHECK_EQ(look(&w, true)->peer_end, FACT_PEER_HERE);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 1000);
    const struct facts *f = look(&w, true);
    CHECK_EQ(f->state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(f->peer_end, FACT_PEER_ORPHAN);
    CHECK(strstr(ladder_peer(f, SHUT_WR), "no program holds it"));
    run(&w, 120000);
    f = look(&w, true);
    CHECK_EQ(f->state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(f->peer_id, 0);
    CHECK_EQ(f->peer_end, FACT_PEER_GONE);
    CHECK(strstr(ladder_peer(f, SHUT_WR), "is gone"));
    CHECK(strstr(ladder_wire(f, SHUT_WR), "RST"));
    CHECK_EQ(lastack_shutdown(w.server, w.in, SHUT_WR), 0);
    run(&w, 1000);
    CHECK_EQ(look(&w, true)->error, ECONNRESET);
    finish(&w);
}

TEST(blocked_behind_a_shut_window)
{
    static const char bytes[65536];
    struct world w;
    begin_accepted(&w);
    for (int i = 0; i < 200; i++) {
        lastack_send(w.server, w.in, bytes, sizeof bytes, 0);
        run(&w, 5);
    }
    char drop[64];
    while (lastack_recv(w.server, w.in, drop, sizeof drop, 0) > 0)
        ;
    CHECK_EQ(lastack_close(w.server, w.in), 0);
    run(&w, 8000);
    const struct facts *f = look(&w, true);
    REQUIRE(f);
    CHECK_EQ(f->state, LASTACK_FIN_WAIT_1);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_BLOCKED);
    CHECK(strstr(text_string(&finding_about(&w, f)->evidence), "process 200 (client)") != NULL);
    finish(&w);
}

TEST(a_message_in_flight)
{
    struct world w;
    begin_accepted(&w);
    lastack_message *message = lastack_message_put(w.server, w.in);
    REQUIRE(message);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 100);
    read_all(w.server, w.in);
    CHECK_EQ(lastack_close(w.server, w.in), 0);
    run(&w, 2000);
    const struct facts *f = look(&w, true);
    REQUIRE(f && f->holder_cnt == 1);
    CHECK_EQ(f->holders[0].kind, FACT_HOLDER_MESSAGE);
    REQUIRE(finding_about(&w, f));
    CHECK_STR(finding_about(&w, f)->class, CLASS_SHARED);
    CHECK(strstr(text_string(&finding_about(&w, f)->remedy), "receive that message") != NULL);
    lastack_message_drop(message);
    finish(&w);
}

/* Under a supervisor what only the supervisor reads is left unknown. */
TEST(supervised_facts_claim_nothing)
{
    const struct facts_stack_options options = {.name = "test", .supervised = true};
    struct world w;
    begin_accepted(&w);
    CHECK_EQ(lastack_close(w.client, w.out), 0);
    run(&w, 100);
    read_all(w.server, w.in);
    facts_from_stack(&w.list, w.stack, w.now_ns, &options);
    for (uint32_t i = 0; i < w.list.cnt; i++) {
        const struct facts *f = &w.list.all[i];
        if (f->state != LASTACK_CLOSE_WAIT)
            continue;
        CHECK_EQ(f->eof_read_us, FACT_UNKNOWN);
        CHECK_EQ(f->receive_queue, FACT_UNKNOWN);
        CHECK_EQ(f->references, FACT_UNKNOWN);
        CHECK_EQ(f->holder_cnt, 0);
    }
    finish(&w);
}

/* Sockets in every stage of their life, half-open and time-wait entries: all can be told in JSON.
 */
TEST(every_kind_of_entry_can_be_told)
{
    const struct facts_stack_options options = {.name = "test"};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7300)};
    struct text json;
    struct facts_list again;
    char why[256] = "";
    struct world w;
    begin_accepted(&w);
    int bound = lastack_socket(w.client, AF_INET, SOCK_STREAM, 0);
    REQUIRE_EQ(lastack_bind(w.client, bound, (struct sockaddr *)&at, sizeof at), 0);
    REQUIRE(lastack_socket(w.client, AF_INET, SOCK_STREAM, 0) >= 0);
    int connecting = lastack_socket(w.client, AF_INET, SOCK_STREAM, 0);
    at.sin_port = htons(PORT);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(lastack_connect(w.client, connecting, (struct sockaddr *)&at, sizeof at),
             -EINPROGRESS);
    CHECK_EQ(lastack_shutdown(w.client, w.out, SHUT_RDWR), 0);
    run(&w, 5);
    read_all(w.server, w.in);
    CHECK_EQ(lastack_close(w.server, w.in), 0);
    run(&w, 5);
    facts_from_stack(&w.list, w.stack, w.now_ns, &options);
    CHECK(w.list.cnt >= 6);
    text_init(&json);
    facts_encode(&json, &w.list);
    facts_list_init(&again);
    CHECK_EQ(facts_decode(&again, text_string(&json), why, sizeof why), 0);
    CHECK_STR(why, "");
    CHECK_EQ(again.cnt, w.list.cnt);
    facts_list_free(&again);
    text_free(&json);
    finish(&w);
}

TEST_MAIN()
