/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of packetdrill's language: what it takes, what it refuses, and where it says so. */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "script.h"

static struct script script;

static bool parse(const char *text)
{
    script_free(&script);
    memset(&script, 0, sizeof(script));
    return script_parse(&script, "t.pkt", text, strlen(text));
}

static void parse_good(const char *text)
{
    if (!parse(text)) {
        FAIL("refused: %s", script.error);
        test_leave();
    }
}

static void parse_bad(const char *text, const char *error)
{
    if (parse(text))
        FAIL("accepted: %s", text);
    else
        CHECK_STR(script.error, error);
}

static const struct packet_spec *packet(const char *text)
{
    parse_good(text);
    REQUIRE(script.events->is_packet);
    return &script.events->packet;
}

static const struct call_spec *call(const char *text)
{
    parse_good(text);
    REQUIRE(!script.events->is_packet);
    return &script.events->call;
}

TEST(times)
{
    const struct event *event;

    parse_good("0 close(3) = 0\n+.1 close(3) = 0\n* > . 1:1(0)\n0.1~0.25 > . 1:1(0)\n"
               "+1~+2 > . 1:1(0)\n1.5 close(3) = 0");
    event = script.events;
    CHECK_EQ(event->time_kind, TIME_ABSOLUTE);
    CHECK_EQ(event->time_us, 0);
    event = event->next;
    CHECK_EQ(event->time_kind, TIME_RELATIVE);
    CHECK_EQ(event->time_us, 100000);
    CHECK_EQ(event->line, 2);
    event = event->next;
    CHECK_EQ(event->time_kind, TIME_ANY);
    event = event->next;
    CHECK_EQ(event->time_kind, TIME_RANGE);
    CHECK_EQ(event->time_us, 100000);
    CHECK_EQ(event->time_end_us, 250000);
    event = event->next;
    CHECK_EQ(event->time_kind, TIME_RELATIVE_RANGE);
    CHECK_EQ(event->time_end_us, 2000000);
    CHECK_EQ(event->next->time_us, 1500000);
    CHECK(!event->next->next);
}

TEST(segment)
{
    const struct packet_spec *spec = packet("0 > FP. 1:1001(1000) ack 5 win 123 urg 7");

    CHECK(spec->outbound);
    CHECK_EQ(spec->flags, 0x19);
    CHECK_EQ(spec->seq, 1);
    CHECK_EQ(spec->payload_len, 1000);
    CHECK_EQ(spec->ack, 5);
    CHECK_EQ(spec->win, 123);
    CHECK_EQ(spec->urg, 7);
    CHECK_EQ(spec->options_len, 0);
    CHECK(!spec->options_any);
    spec = packet("0 < S 0:0(0) win 65535");
    CHECK(!spec->outbound);
    CHECK_EQ(spec->flags, 2);
    spec = packet("0 > - 1:1(0)");
    CHECK_EQ(spec->flags, 0);
    CHECK_EQ(spec->win, -1);
    spec = packet("0 < 1111 > 8080 UEWR. 4294967295:4294967295(0) win 0");
    CHECK_EQ(spec->flags, 0xf4);
    CHECK_EQ(spec->source_port, 1111);
    CHECK_EQ(spec->destination_port, 8080);
    CHECK_EQ(spec->seq, 4294967295u);
    spec = packet("0 < [ect0] . 1:1(0) ack 1 win 1");
    CHECK_EQ(spec->tos, 2);
    spec = packet("0 > (ttl 64) . 1:1(0) ack 1");
    CHECK_EQ(spec->ttl, 64);
}

TEST(tcp_options)
{
    static const uint8_t linux_syn[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0,
                                        1, 3, 3, 7};
    static const uint8_t sack[] = {1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    const struct packet_spec *spec =
        packet("0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>");

    CHECK_EQ(spec->options_len, sizeof(linux_syn));
    CHECK_MEM(spec->options, linux_syn, sizeof(linux_syn));
    spec = packet("0 > . 1:1(0) ack 1 <nop,nop,sack 1:2 3:4>");
    CHECK_EQ(spec->options_len, sizeof(sack));
    CHECK_MEM(spec->options, sack, sizeof(sack));
    CHECK(packet("0 > . 1:1(0) ack 1 <...>")->options_any);
}

TEST(icmp)
{
    const struct packet_spec *spec = packet("0 < icmp unreachable frag_needed mtu 1400 [1:11(10)]");

    CHECK(spec->icmp && spec->icmp_error);
    CHECK_EQ(spec->icmp_type, 3);
    CHECK_EQ(spec->icmp_code, 4);
    CHECK_EQ(spec->icmp_mtu, 1400);
    CHECK_EQ(spec->seq, 1);
    CHECK_EQ(spec->payload_len, 10);
    spec = packet("0 < icmp echo_request id 5");
    CHECK(!spec->icmp_error);
    CHECK_EQ(spec->icmp_id, 5);
}

TEST(calls)
{
    const struct call_spec *spec = call("0...0.2 read(4, ..., 1000) = -1 EAGAIN (Try it again)");
    const struct expr *expr;

    CHECK_STR(spec->name, "read");
    CHECK(spec->blocking);
    CHECK_EQ(spec->end_us, 200000);
    CHECK_EQ(spec->arg_cnt, 3);
    CHECK_EQ(spec->args->number, 4);
    CHECK_EQ(spec->args->next->kind, EXPR_ELLIPSIS);
    CHECK_EQ(spec->result->number, -1);
    CHECK_STR(spec->error, "EAGAIN");
    CHECK_STR(spec->note, "Try it again");

    spec = call("0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=5}, 8) = 0");
    expr = spec->args->next->next->next;
    CHECK_EQ(expr->kind, EXPR_STRUCT);
    CHECK_STR(expr->children->next->field, "linger");
    CHECK_EQ(expr->children->next->number, 5);

    spec = call("0 poll([{fd=3, events=POLLIN|POLLOUT, revents=0}], 1, 0) = 0");
    CHECK_EQ(spec->args->kind, EXPR_LIST);
    CHECK_EQ(spec->args->children->kind, EXPR_STRUCT);
    CHECK_EQ(spec->args->children->children->next->kind, EXPR_OR);

    spec = call("0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {..., 20}],\n"
                "     msg_flags=0}, 0) = 30");
    expr = spec->args->next->children->next;
    CHECK_STR(expr->field, "msg_iov");
    CHECK_EQ(expr->kind, EXPR_LIST);
    CHECK_EQ(expr->child_cnt, 2);

    spec = call("0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)");
    CHECK_EQ(spec->result->number, 2);
    CHECK(!spec->error);
    CHECK_EQ(call("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")->arg_cnt, 3);
    CHECK_EQ(call("0 f() = 0")->arg_cnt, 0);
}

TEST(options_and_comments)
{
    parse_good("// a comment\n/* and\n another */ --so_flags=\"iss=5,wscale=0\" --strict_segments\n"
               "--tolerance_usecs=100\n0 close(3) = 0 // end");
    CHECK_STR(script.options->name, "so_flags");
    CHECK_STR(script.options->value, "iss=5,wscale=0");
    CHECK_STR(script.options->next->name, "strict_segments");
    CHECK(!script.options->next->value);
    CHECK_STR(script.options->next->next->value, "100");
    CHECK_EQ(script.events->line, 5);
}

TEST(symbols)
{
    int64_t value;

    REQUIRE(symbol_value("EPOLLRDHUP", &value));
    CHECK_EQ(value, EPOLLRDHUP);
    REQUIRE(symbol_value("SO_LINGER", &value));
    CHECK_EQ(value, SO_LINGER);
    CHECK(!symbol_value("SO_NONSENSE", &value));
    CHECK_STR(symbol_errno(EPIPE), "EPIPE");
}

TEST(errors_name_the_place)
{
    parse_bad("", "t.pkt:1:1: a script without events");
    parse_bad("0 close(3) = 0\n0 bogus", "t.pkt:2:8: expected '(', found 'the end of the script'");
    parse_bad("0 < S 0:0(0)", "t.pkt:1:13: an inbound segment needs its win");
    parse_bad("0 < S 0:5(0) win 1", "t.pkt:1:12: 0:5 is not 0 bytes");
    parse_bad("0 > SX 0:0(0)", "t.pkt:1:5: 'X' is not a TCP flag (FSRP.UEW)");
    parse_bad("0 > SS 0:0(0)", "t.pkt:1:5: TCP flag 'S' twice");
    parse_bad("0 > S 0:0(0) <mss 1460,nop>",
              "t.pkt:1:27: TCP options of 5 bytes: not a multiple of 4");
    parse_bad("0 > S 0:0(0) <mss 65536>", "t.pkt:1:19: 65536 is not between 0 and 65535");
    parse_bad("0 > S 0:0(0) <fast>", "t.pkt:1:15: unknown TCP option 'fast'");
    parse_bad("0 < S 0:0(0) win 1 <...>", "t.pkt:1:21: <...> only goes with outbound packets");
    parse_bad("* close(3) = 0",
              "t.pkt:1:3: '*' and time ranges only go with outbound packets");
    parse_bad("0.2~0.1 > . 1:1(0)", "t.pkt:1:9: the time range is backwards");
    parse_bad("-1 close(3) = 0", "t.pkt:1:1: negative time");
    parse_bad("0 close(3) = -1 NOTHING (x)", "t.pkt:1:17: 'NOTHING' is not the name of an error");
    parse_bad("0 close(3) = -1 EBADF", "t.pkt:1:22: the text of EBADF must follow in parentheses");
    parse_bad("0 `ls`", "t.pkt:1:3: shell commands are not run here");
    parse_bad("0 %{ x }%", "t.pkt:1:3: code blocks are not run here");
    parse_bad("/* never closed", "t.pkt:1:16: a comment without its end");
    parse_bad("0 f(\"x) = 0", "t.pkt:1:5: a string without its closing quote");
    parse_bad("0 < icmp bogus [1:1(0)]", "t.pkt:1:10: unknown ICMP type 'bogus'");
    parse_bad("0 < icmp unreachable bogus [1:1(0)]", "t.pkt:1:22: unknown ICMP code 'bogus'");
    parse_bad("0 f(3 4) = 0", "t.pkt:1:7: expected ')', found '4'");
}

TEST_MAIN()
