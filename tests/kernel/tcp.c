/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of a connection itself: states, queues without their FIN, ages, timers, windows. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "scene.h"

static void ends_close(struct ends e)
{
    if (e.client >= 0)
        close(e.client);
    if (e.server >= 0)
        close(e.server);
}

/* ---- the receive queue and the end of the stream ---- */

SCENE(an_end_that_waits_is_no_byte)
{
    struct ends e = ends_make();
    shutdown(e.client, SHUT_WR);
    wait_readable(e.server);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->source, FACT_SOURCE_KERNEL);
    CHECK_STR(f->stack, "kernel");
    CHECK_EQ(f->inode, inode_of(e.server));
    CHECK_EQ(f->state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(f->receive_queue, 0);
    CHECK_EQ(f->fin_consumed, FACT_NO);
    CHECK_EQ(f->eof_read_us, FACT_NEVER);
    CHECK(fact_known(f->fin_in_us));
    CHECK_EQ(f->fin_out_us, FACT_NEVER);
    CHECK_EQ(f->at_least, FACT_YES);
    CHECK_EQ(f->shut_wr, FACT_NO);
    CHECK_EQ(f->bytes_in, 0);
    ends_close(e);
}

SCENE(data_before_the_end_is_counted_alone)
{
    struct ends e = ends_make();
    REQUIRE_EQ(send(e.client, "12345", 5, 0), 5);
    shutdown(e.client, SHUT_WR);
    LOOK_UNTIL(s, facts_of(s, e.server)->state == LASTACK_CLOSE_WAIT);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->receive_queue, 5);
    CHECK_EQ(f->fin_consumed, FACT_NO);
    CHECK_EQ(f->bytes_in, 5);
    CHECK(fact_known(f->data_in_us));
    CHECK_EQ(f->data_out_us, FACT_NEVER);
    CHECK_LE(f->data_in_us, f->born_us);
    ends_close(e);
}

SCENE(an_end_that_was_read_is_consumed)
{
    struct ends e = ends_make();
    char c;
    shutdown(e.client, SHUT_WR);
    REQUIRE_EQ(recv(e.server, &c, 1, 0), 0);
    look(s);
    const struct facts *f = facts_of(s, e.server);
    CHECK_EQ(f->receive_queue, 0);
    CHECK_EQ(f->fin_consumed, FACT_YES);
    CHECK_EQ(f->eof_read_us, FACT_UNKNOWN); /* a receive of exactly the last bytes looks the same */
    ends_close(e);
}

SCENE(a_connection_at_rest_has_no_end)
{
    struct ends e = ends_make();
    look(s);
    const struct facts *f = facts_of(s, e.server), *peer = facts_of(s, e.client);
    CHECK_EQ(f->state, LASTACK_ESTABLISHED);
    CHECK_EQ(f->fin_in_us, FACT_NEVER);
    CHECK_EQ(f->eof_read_us, FACT_NEVER);
    CHECK_EQ(f->fin_consumed, FACT_NO);
    CHECK_EQ(f->timer, LASTACK_TIMER_NONE);
    CHECK_EQ(f->timer_us, FACT_NEVER);
    CHECK_EQ(f->keepalive, FACT_NO);
    CHECK_EQ(f->unaccepted, FACT_NO);
    CHECK_EQ(f->orphan, FACT_NO);
    CHECK_EQ(f->peer_id, peer->id);
    CHECK_EQ(peer->peer_id, f->id);
    CHECK(f->receive_window > 0 && fact_known(f->receive_window));
    CHECK(f->send_window > 0 && fact_known(f->send_window));
    CHECK_EQ(f->netns, peer->netns);
    ends_close(e);
}

/* ---- our own FIN ---- */

SCENE(a_half_that_we_closed_and_hold)
{
    struct ends e = ends_make();
    shutdown(e.client, SHUT_WR);
    LOOK_UNTIL(s, facts_of(s, e.client)->state == LASTACK_FIN_WAIT_2);
    const struct facts *f = facts_of(s, e.client);
    CHECK_EQ(f->orphan, FACT_NO);
    CHECK_EQ(f->shut_wr, FACT_YES);
    CHECK_EQ(f->shut_rd, FACT_NO);
    CHECK_EQ(f->fin_acked, FACT_YES);
    CHECK_EQ(f->fin_in_us, FACT_NEVER);
    CHECK(fact_known(f->fin_out_us));
    CHECK_EQ(f->send_queue, 0);
    CHECK_EQ(f->timer, LASTACK_TIMER_NONE);
    CHECK_EQ(f->holder_cnt, 1);
    ends_close(e);
}

SCENE(an_orphan_that_waits_for_its_peer)
{
    struct ends e = ends_make();
    look(s);
    uint64_t server = facts_of(s, e.server)->id;
    close(e.client);
    LOOK_UNTIL(s, facts_id(s, server)->peer_id &&
                      facts_id(s, facts_id(s, server)->peer_id)->state == LASTACK_FIN_WAIT_2);
    const struct facts *f = facts_id(s, facts_id(s, server)->peer_id);
    CHECK_EQ(f->orphan, FACT_YES);
    CHECK_EQ(f->unaccepted, FACT_NO);
    CHECK_EQ(f->holder_cnt, 0);
    CHECK_EQ(f->references, 0);
    CHECK_EQ(f->holders_known, FACT_YES);
    CHECK_EQ(f->timer, LASTACK_TIMER_FIN_WAIT);
    CHECK(fact_known(f->timer_us));
    CHECK(fact_known(f->state_us));
    CHECK_LE(f->state_us, 60000000);
    CHECK_EQ(f->fin_acked, FACT_YES);
    e.client = -1;
    ends_close(e);
}

/* So long orphans of this namespace wait for their peer: 60 s unless somebody says otherwise. */
static void orphans_wait(const char *seconds)
{
    int fd = open("/proc/sys/net/ipv4/tcp_fin_timeout", O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    REQUIRE_EQ(write(fd, seconds, strlen(seconds)), strlen(seconds));
    close(fd);
}

static void gone_scene(struct scene *s, bool called)
{
    int listener = listen_on(AF_INET, 4);
    struct ends e = ends_of(listener), alive = ends_of(listener);
    int stays = called ? e.server : e.client;
    orphans_wait("1");
    shutdown(called ? alive.client : alive.server, SHUT_WR);
    close(called ? e.client : e.server);
    wait_readable(stays);
    LOOK_UNTIL(s, facts_of(s, stays)->peer_end == FACT_PEER_GONE);
    orphans_wait("60");
    CHECK_EQ(facts_of(s, stays)->state, LASTACK_CLOSE_WAIT);
    CHECK_EQ(facts_of(s, stays)->peer_id, 0);
    CHECK_EQ(facts_of(s, alive.server)->peer_end, FACT_PEER_HERE);
    CHECK_EQ(facts_of(s, alive.client)->peer_end, FACT_PEER_HERE);
    int error = 0;
    socklen_t len = sizeof error;
    struct pollfd end = {.fd = stays};
    shutdown(stays, SHUT_WR); /* is answered by a reset, and not by an acknowledgment */
    REQUIRE_EQ(poll(&end, 1, 20000), 1);
    REQUIRE_EQ(getsockopt(stays, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    CHECK_EQ(error, ECONNRESET);
    close(stays);
    close(listener);
    ends_close(alive);
}

SCENE(a_caller_that_is_gone)
{
    gone_scene(s, true);
}

SCENE(a_callee_that_is_gone)
{
    gone_scene(s, false);
}

SCENE(the_other_end_is_here_or_an_orphan)
{
    struct ends e = ends_make();
    look(s);
    CHECK_EQ(facts_of(s, e.server)->peer_end, FACT_PEER_HERE);
    shutdown(e.client, SHUT_WR);
    wait_readable(e.server);
    look(s);
    CHECK_EQ(facts_of(s, e.server)->peer_end, FACT_PEER_HERE);
    close(e.client);
    look(s);
    CHECK_EQ(facts_of(s, e.server)->peer_end, FACT_PEER_ORPHAN);
    close(e.server);
}

/* Under another name it would still be there. */
SCENE(an_end_with_another_name_is_not_gone)
{
    int listener = listen_on(AF_INET, 4), other = listen_on(AF_INET, 4);
    struct ends e = ends_of(listener);
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    REQUIRE_EQ(getsockname(e.client, (struct sockaddr *)&name, &len), 0);
    orphans_wait("1");
    close(e.client);
    wait_readable(e.server);
    LOOK_UNTIL(s, facts_of(s, e.server)->peer_end == FACT_PEER_GONE);
    orphans_wait("60");
    int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    REQUIRE_EQ(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    REQUIRE_EQ(bind(again, (struct sockaddr *)&name, sizeof name), 0);
    REQUIRE_EQ(getsockname(other, (struct sockaddr *)&name, &len), 0);
    REQUIRE_EQ(connect(again, (struct sockaddr *)&name, sizeof name), 0);
    look(s); /* as if it had been redirected to `listener` */
    CHECK_EQ(facts_of(s, e.server)->peer_end, FACT_PEER_UNKNOWN);
    close(again);
    close(e.server);
    close(listener);
    close(other);
}

/* A FIN behind data that the peer does not read, of a holder and of an orphan. */
SCENE(a_fin_behind_a_shut_window)
{
    struct ends e = ends_make();
    fill(e.client);
    shutdown(e.client, SHUT_WR);
    LOOK_UNTIL(s, facts_of(s, e.client)->timer == LASTACK_TIMER_PROBE);
    const struct facts *f = facts_of(s, e.client), *peer = facts_of(s, e.server);
    uint64_t id = f->id;
    CHECK_EQ(f->state, LASTACK_FIN_WAIT_1);
    CHECK_EQ(f->fin_acked, FACT_NO);
    CHECK_EQ(f->shut_wr, FACT_YES);
    CHECK_GT(f->send_queue, 0);
    CHECK_EQ(f->send_unsent, f->send_queue); /* neither counts the FIN */
    CHECK_LT(f->send_window, f->send_queue);
    LOOK_UNTIL(s, facts_of(s, e.client)->probes > 0); /* though the peer answers them */
    f = facts_of(s, e.client);
    peer = facts_of(s, e.server);
    CHECK(fact_known(f->timer_us));
    CHECK_EQ(peer->state, LASTACK_ESTABLISHED);
    CHECK_GT(peer->receive_queue, 0);
    CHECK_EQ(peer->fin_in_us, FACT_NEVER);
    uint64_t queue = f->send_queue;
    close(e.client);
    LOOK_UNTIL(s, facts_id(s, id)->orphan == FACT_YES);
    CHECK_GT(facts_id(s, id)->send_queue, 0); /* a probe may have taken some */
    CHECK_LE(facts_id(s, id)->send_queue, queue);
    CHECK_EQ(facts_id(s, id)->holder_cnt, 0);
    e.client = -1;
    ends_close(e);
}

SCENE(bytes_that_wait_for_a_reader)
{
    struct ends e = ends_make();
    fill(e.client);
    LOOK_UNTIL(s, facts_of(s, e.client)->timer == LASTACK_TIMER_PROBE &&
                      facts_of(s, e.client)->moved == FACT_NO); /* a probe may find a little room */
    const struct facts *f = facts_of(s, e.client), *peer = facts_of(s, e.server);
    CHECK_EQ(f->state, LASTACK_ESTABLISHED);
    CHECK_GT(f->send_queue, 0);
    CHECK_EQ(f->bytes_out, peer->bytes_in);
    CHECK_EQ(peer->receive_queue, peer->bytes_in);
    CHECK_EQ(f->keepalive, FACT_MAYBE); /* one timer hides the other */
    ends_close(e);
}

SCENE(keepalive_shows_by_its_timer)
{
    struct ends e = ends_make();
    int on = 1;
    REQUIRE_EQ(setsockopt(e.server, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
    look(s);
    CHECK_EQ(facts_of(s, e.server)->keepalive, FACT_YES);
    CHECK_EQ(facts_of(s, e.server)->timer, LASTACK_TIMER_KEEPALIVE);
    CHECK_EQ(facts_of(s, e.client)->keepalive, FACT_NO);
    ends_close(e);
}

/* ---- two looks ---- */

static void keep_sending(struct child *self, void *arg)
{
    int fd = *(int *)arg;
    child_ready(self);
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
        usleep(2000);
}

SCENE(a_half_close_that_works_moves)
{
    struct ends busy = ends_make(), idle = ends_make();
    shutdown(busy.client, SHUT_WR);
    shutdown(idle.client, SHUT_WR);
    struct child child = child_begin(keep_sending, &busy.server);
    LOOK_UNTIL(s, facts_of(s, busy.server)->moved == FACT_YES &&
                      facts_of(s, idle.client)->moved == FACT_NO); /* its FIN is acknowledged */
    CHECK_EQ(facts_of(s, busy.client)->moved, FACT_YES); /* from either end */
    CHECK_EQ(facts_of(s, idle.server)->moved, FACT_NO);
    child_end(&child);
    ends_close(busy);
    ends_close(idle);
}

/* ---- listeners ---- */

SCENE(who_waits_in_a_queue_belongs_to_nobody)
{
    int listener = listen_on(AF_INET, 5), other = listen_on(AF_INET, 5);
    int came = connect_to(listener), left = connect_to(listener);
    look(s);
    uint64_t waits = facts_of(s, came)->peer_id, never = facts_of(s, left)->peer_id;
    REQUIRE_EQ(send(left, "bye", 3, 0), 3);
    close(left);
    LOOK_UNTIL(s, facts_id(s, never)->state == LASTACK_CLOSE_WAIT);
    const struct facts *f = facts_id(s, waits), *gone = facts_id(s, never);
    const struct facts *l = facts_of(s, listener);
    CHECK_EQ(l->state, LASTACK_LISTEN);
    CHECK_EQ(l->receive_queue, 2);
    CHECK_EQ(l->send_queue, 5);
    CHECK_EQ(l->overflows, 0);
    CHECK_EQ(l->holder_cnt, 1);
    CHECK_EQ(f->unaccepted, FACT_YES);
    CHECK_EQ(f->passive, FACT_YES);
    CHECK_EQ(f->socket_id, 0);
    CHECK_EQ(f->references, 0);
    CHECK_EQ(f->holder_cnt, 0);
    CHECK_EQ(f->listener_id, l->id);
    CHECK_EQ(gone->unaccepted, FACT_YES);
    CHECK_EQ(gone->receive_queue, 3);
    CHECK_EQ(gone->listener_id, l->id);
    CHECK_EQ(facts_of(s, other)->receive_queue, 0);
    close(came);
    close(listener);
    close(other);
}

SCENE(a_full_queue_turns_others_away)
{
    int listener = listen_on(AF_INET, 0), first = connect_to(listener);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port_of(listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int more[4];
    for (int i = 0; i < 4; i++) {
        more[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(more[i], (struct sockaddr *)&to, sizeof to);
    }
    LOOK_UNTIL(s, facts_of(s, listener)->overflows > 0);
    CHECK(fact_known(facts_of(s, listener)->overflows));
    CHECK_GT(facts_of(s, listener)->receive_queue, facts_of(s, listener)->send_queue);
    for (int i = 0; i < 4; i++)
        close(more[i]);
    close(first);
    close(listener);
}

SCENE(who_called_and_who_was_called)
{
    int listener = listen_on(AF_INET, 5);
    struct ends e = ends_of(listener);
    look(s);
    CHECK_EQ(facts_of(s, e.server)->passive, FACT_YES);
    CHECK_EQ(facts_of(s, e.client)->passive, FACT_NO);
    close(listener);
    look(s);
    CHECK_EQ(facts_of(s, e.client)->state, LASTACK_ESTABLISHED);
    CHECK_NE(facts_of(s, e.client)->passive, FACT_YES);
    ends_close(e);
}

/* ---- both families ---- */

SCENE(one_form_for_both_families)
{
    int listener = listen_on(AF_INET6, 5);
    struct ends mapped = ends_of(listener); /* IPv4 at an AF_INET6 socket */
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port_of(listener)),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), waits = connect_to(listener);
    char text[LASTACK_ADDRESS_TEXT];
    REQUIRE_EQ(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    look(s);
    const struct facts *f = facts_of(s, mapped.server), *six = facts_of(s, client);
    CHECK_STR(lastack_address_text(&f->tuple.local, text), "127.0.0.1");
    CHECK_STR(lastack_address_text(&six->tuple.remote, text), "::1");
    CHECK_EQ(f->tuple.local_port, port_of(listener));
    CHECK_EQ(f->peer_id, cookie_of(mapped.client));
    CHECK(facts_of(s, waits)->peer_id != 0);
    CHECK_EQ(facts_id(s, facts_of(s, waits)->peer_id)->listener_id, cookie_of(listener));
    CHECK_EQ(facts_id(s, six->peer_id)->listener_id, cookie_of(listener));
    ends_close(mapped);
    close(client);
    close(waits);
    close(listener);
}

/* ---- what the dump does not show ---- */

/* Over for the kernel, not for the program: what came before the end can still be read. */
SCENE(a_dead_connection_that_brought_something)
{
    struct ends e = ends_make();
    char c;
    shutdown(e.client, SHUT_WR);
    REQUIRE_EQ(recv(e.server, &c, 1, 0), 0);
    REQUIRE_EQ(send(e.server, "hello", 5, 0), 5);
    close(e.server);
    LOOK_UNTIL(s, facts_list_find(&s->list, cookie_of(e.client)) &&
                      facts_of(s, e.client)->state == LASTACK_CLOSED);
    CHECK_EQ(facts_of(s, e.client)->receive_queue, 5);
    close(e.client);
}

/* What lives elsewhere is not of this namespace when it is dead, either. */
SCENE(a_dead_connection_of_another_namespace)
{
    struct ends e = {0};
    struct linger at_once = {1, 0};
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    REQUIRE(here >= 0);
    REQUIRE_EQ(unshare(CLONE_NEWNET), 0);
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE_EQ(ioctl(any, SIOCSIFFLAGS, &lo), 0);
    e = ends_make();
    REQUIRE_EQ(setns(here, CLONE_NEWNET), 0);
    REQUIRE_EQ(setsockopt(e.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(e.client);
    look(s);
    CHECK(!facts_list_find(&s->list, cookie_of(e.server)));
    close(e.server);
    close(any);
    close(here);
}

SCENE(a_dead_connection_with_a_descriptor)
{
    struct ends reset = ends_make(), done = ends_make();
    struct linger at_once = {1, 0};
    int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = port_of(done.server);
    char c;
    REQUIRE_EQ(setsockopt(reset.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(reset.client);
    shutdown(done.server, SHUT_WR); /* both ends are done, one descriptor stays */
    REQUIRE_EQ(recv(done.client, &c, 1, 0), 0);
    close(done.client);
    LOOK_UNTIL(s, facts_list_find(&s->list, cookie_of(done.server)) &&
                      facts_of(s, done.server)->state == LASTACK_CLOSED &&
                      facts_list_find(&s->list, cookie_of(reset.server)) &&
                      facts_of(s, reset.server)->state == LASTACK_CLOSED);
    const struct facts *f = facts_of(s, done.server);
    CHECK_EQ(f->inode, inode_of(done.server));
    CHECK_EQ(f->tuple.local_port, port);
    CHECK_EQ(f->holder_cnt, 1);
    CHECK_EQ(f->holders[0].pid, getpid());
    CHECK_EQ(f->holders[0].fd, done.server);
    CHECK_EQ(f->error, 0);
    CHECK(fact_known(f->state_us)); /* dead for a second at least, and nobody has closed it */
    CHECK_GE(f->state_us, 1000000);
    CHECK_NE(facts_of(s, reset.server)->error, 0); /* it waits for the program */
    CHECK(!facts_list_find(&s->list, cookie_of(fresh)));
    int error = 0;
    socklen_t len = sizeof error;
    REQUIRE_EQ(getsockopt(reset.server, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    CHECK_EQ(error, ECONNRESET); /* looking has not taken it away */
    close(done.server);
    close(reset.server);
    close(fresh);
}

SCENE(what_is_no_connection)
{
    struct ends e = ends_make();
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons(9)};
    int others[4 * 8]; /* several, for what lies in memory is not the same behind each */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int type = i % 4 < 2 ? SOCK_RAW : SOCK_DGRAM;
        others[i] = socket(AF_INET, type | SOCK_CLOEXEC, type == SOCK_RAW ? IPPROTO_TCP : 0);
        REQUIRE(others[i] >= 0);
        if (i % 2)
            REQUIRE_EQ(connect(others[i], (struct sockaddr *)&to, sizeof to), 0);
    }
    look(s);
    CHECK_EQ(facts_of(s, e.server)->holder_cnt, 1);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!facts_list_find(&s->list, cookie_of(others[i])));
    for (uint32_t i = 0; i < s->list.cnt; i++)
        for (uint32_t h = 0; h < s->list.all[i].holder_cnt; h++)
            for (size_t o = 0; o < sizeof others / sizeof others[0]; o++)
                CHECK(s->list.all[i].holders[h].pid != (uint32_t)getpid() ||
                      s->list.all[i].holders[h].fd != others[o]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        close(others[i]);
    ends_close(e);
}

/* ---- what is asked for ---- */

static unsigned cnt_of_state(const struct scene *s, enum lastack_state state)
{
    unsigned cnt = 0;
    for (uint32_t i = 0; i < s->list.cnt; i++)
        cnt += s->list.all[i].state == state;
    return cnt;
}

static void *close_soon(void *arg)
{
    usleep(300000); /* after it is met, before it is looked at again: sooner or later is as good */
    close(*(int *)arg);
    return NULL;
}

SCENE(a_dead_connection_that_is_closed_in_time)
{
    struct ends e = ends_make();
    struct linger reset = {1, 0};
    uint64_t id = cookie_of(e.server);
    pthread_t thread;
    REQUIRE_EQ(setsockopt(e.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(e.client);
    wait_readable(e.server);
    REQUIRE_EQ(pthread_create(&thread, NULL, close_soon, &e.server), 0);
    look(s);
    pthread_join(thread, NULL);
    CHECK(!facts_list_find(&s->list, id));
}

SCENE(options_narrow_it)
{
    int listener = listen_on(AF_INET, 5);
    struct ends e = ends_of(listener), other = ends_make();
    shutdown(e.client, SHUT_WR);
    wait_readable(e.server);
    s->options.port = port_of(listener);
    look(s);
    CHECK_EQ(s->list.cnt, 3);
    s->options.port = 0;
    s->options.states = 1u << LASTACK_CLOSE_WAIT;
    look(s);
    CHECK_GE(s->list.cnt, 1);
    CHECK_EQ(cnt_of_state(s, LASTACK_CLOSE_WAIT), s->list.cnt);
    s->options.states = 0;
    s->options.id = cookie_of(e.server);
    look(s);
    CHECK_EQ(s->list.cnt, 3); /* its peer and its listener come with it */
    CHECK(facts_list_find(&s->list, cookie_of(listener)) != NULL);
    CHECK(!facts_list_find(&s->list, cookie_of(other.client)));
    s->options.id = 0;
    s->options.pid = (uint32_t)getpid();
    look(s);
    CHECK_EQ(facts_of(s, other.client)->holder_cnt, 1);
    s->options.pid = 1;
    look(s);
    CHECK(!facts_list_find(&s->list, cookie_of(other.client)));
    ends_close(e);
    ends_close(other);
    close(listener);
}

SCENE_BY_PROC(less_is_looked_at_if_less_is_asked)
{
    struct ends e = ends_make();
    s->options.no_details = true;
    look(s);
    CHECK_EQ(facts_of(s, e.server)->holder_cnt, 1);
    CHECK_EQ(facts_of(s, e.server)->watchers_known, FACT_MAYBE);
    s->options.no_holders = true;
    look(s);
    CHECK_EQ(facts_of(s, e.server)->holder_cnt, 0);
    CHECK_EQ(facts_of(s, e.server)->holders_known, FACT_NO);
    ends_close(e);
}

SCENE_BY_PROC(time_wait_only_if_asked)
{
    struct ends e = ends_make();
    char c;
    close(e.client);
    REQUIRE_EQ(recv(e.server, &c, 1, 0), 0);
    close(e.server);
    look(s);
    CHECK_EQ(cnt_of_state(s, LASTACK_TIME_WAIT), 0);
    s->options.states = 1u << LASTACK_TIME_WAIT;
    LOOK_UNTIL(s, s->list.cnt > 0);
    CHECK_EQ(s->list.all[0].state, LASTACK_TIME_WAIT);
    CHECK_EQ(s->list.all[0].id, 0);
    CHECK_EQ(s->list.all[0].timer, LASTACK_TIMER_TIME_WAIT);
    CHECK_LE(s->list.all[0].timer_us, 60000000);
}

TEST_MAIN()
