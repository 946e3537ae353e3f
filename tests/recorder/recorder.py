# SPDX-License-Identifier: BSD-2-Clause
"""The recorder on programs whose connections have a history, in TAP: recorder.py LASTACK STORIES

One recorder with source lines runs; each story is told once, and what `lastack ss` and `lastack why`
know of it afterwards must be what happened.
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

LASTACK, STORIES = sys.argv[1:3]
OFFSET_S = 86400 # of the time namespace
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stories.c")
LIMIT_S = 60
CASES = []
LIBC = ctypes.CDLL(None, use_errno=True)
# Why a machine may refuse; a program that its kernel finds wrong is no such reason.
NOT_HERE = ["built without BPF", "without privilege", "refuses BPF even to root", "locked down",
            "no type information"]
LINUX = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
if LINUX < (6, 1):
    NOT_HERE.append("too old")


class Failure(Exception):
    """The text says how."""


class Skip(Exception):
    """The text says why."""


def case(function):
    CASES.append(function)
    return function


def needs_reads():
    """The tracepoint of receives came with Linux 6.3."""
    if LINUX < (6, 3):
        raise Skip("reads of the end cannot be recorded here")


def expect(condition, what):
    if not condition:
        raise Failure(what)


def equal(got, want, what):
    expect(got == want, f"{what}: {got!r}, not {want!r}")


# ---- programs ----

def read_line(stream, limit_s=LIMIT_S):
    """A line of a pipe, or a failure: nothing here may wait for ever."""
    line, end = b"", time.monotonic() + limit_s
    while not line.endswith(b"\n"):
        if not select.select([stream], [], [], max(0, end - time.monotonic()))[0]:
            raise Failure(f"no line within {limit_s} s, only {line!r}")
        byte = os.read(stream.fileno(), 1)
        if not byte:
            raise Failure(f"the program ended: {line!r}")
        line += byte
    return line.decode()


def end_with_parent():
    """A test that is killed leaves no recorder (PR_SET_PDEATHSIG)."""
    LIBC.prctl(1, signal.SIGINT)


class Recorder:
    """lastack watch; ready when it says that it records."""
    living = None

    def __init__(self, *options):
        self.program = subprocess.Popen([LASTACK, "watch", *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=end_with_parent)
        self.words = ""
        while "recording" not in self.words:
            try:
                self.words += read_line(self.program.stderr)
            except Failure:
                self.end(False)
                raise
            if "recorder runs already" in self.words:
                self.end(False)
                raise Skip("another recorder runs")
            if any(reason in self.words for reason in NOT_HERE):
                self.end(False)
                raise Skip("no BPF tracepoints here")

        Recorder.living = self

    def end(self, must=True):
        """Ends as by Ctrl-C; its last words."""
        Recorder.living = None
        self.program.send_signal(signal.SIGINT)
        out, words = self.program.communicate(timeout=LIMIT_S)
        if must:
            equal(self.program.returncode, 0, "exit status of the recorder")
        return out.decode(), words.decode()


class Story:
    """One of stories.c, told to its end, and still there."""

    def __init__(self, name, port=0, command=None):
        self.program = subprocess.Popen(command or [STORIES, name, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.program.pid
        self.port = int(read_line(self.program.stdout))
        expect(read_line(self.program.stdout) == "ready\n", "the story came to its end")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stdin.close()
        self.program.wait(LIMIT_S)
        self.program.stdout.close()

    def facts(self, condition=lambda f: True):
        """Facts of the server's sockets, when there are some of which the condition holds."""
        end = time.monotonic() + LIMIT_S
        while True:
            done = subprocess.run([LASTACK, "ss", "--all", "--json", "--stack", "kernel", "--port", str(self.port)],
                                  stdout=subprocess.PIPE, check=True, timeout=LIMIT_S)
            found = [f for f in json.loads(done.stdout)
                     if f["local_port"] == self.port and f["state"] != "LISTEN" and condition(f)]
            if found:
                return found
            expect(time.monotonic() < end, "no socket has it: " + done.stdout.decode()[:3000])
            time.sleep(0.05)

    def fact(self, condition=lambda f: True):
        found = self.facts(condition)
        equal(len(found), 1, "sockets of this kind")
        return found[0]


def line_of(mark):
    with open(SOURCE, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            if f"/* mark: {mark} */" in line:
                return number
    raise Failure(f"no mark {mark}")


def at(site, function, mark):
    """The place is the marked line of this function."""
    expect(site and site.get("file", "").endswith("stories.c"), f"a place in stories.c for {mark}: {site}")
    equal((site["function"], site["line"]), (function, line_of(mark)), f"place of {mark}")


def known(value):
    return isinstance(value, int)


def close_of(fact, kind):
    found = [c for c in fact.get("closes", []) if c["kind"] == kind]
    expect(found, f"a close by {kind}: {fact.get('closes')}")
    return found[-1]


# ---- with lines ----

@case
def born_read_and_closed_elsewhere():
    needs_reads()
    with Story("leak") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        at(fact.get("born_at"), "conn_accept", "accept")
        expect(f"serve_accept" in fact["born_at"]["stack"], "the caller of the inlined call is on the stack")
        at(fact.get("eof_read_at"), "conn_read", "read")
        at(fact.get("sibling_close_at"), "conn_close", "close")
        equal((fact["sibling_cnt"], fact["sibling_closed_cnt"]), (10, 9), "siblings")
        expect(known(fact["sibling_linger_us"]), "how long others took from their end to their close")
        expect(fact["answered"] is False, "nothing was sent after the end")
        equal(fact["eof_read_pid"], story.pid, "who read the end")
        expect(known(fact["born_us"]) and fact["born_us"] >= fact["fin_in_us"] >= fact["eof_read_us"],
               f"ages in their order: {fact}")
        expect(not fact.get("at_least"), "the ages are exact")
        expect(fact["passive"] is True, "it came in")
        equal(fact.get("creator_pid"), story.pid, "who accepted it")


@case
def why_tells_the_lines():
    needs_reads()
    with Story("leak") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        deadline = time.monotonic() + 2 * LIMIT_S
        while True: # the rules give the program some time
            done = subprocess.run([LASTACK, "why", "--stack", "kernel", str(fact["id"])], stdout=subprocess.PIPE,
                                  timeout=LIMIT_S, check=False)
            if b"end-seen (deaf, certain)" in done.stdout or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        words = done.stdout.decode()
        expect("end-seen (deaf, certain)" in words, words)
        for mark in ("accept", "read", "close"):
            expect(f"stories.c:{line_of(mark)}" in words, f"the line of {mark}: {words}")
        equal(done.returncode, 1, "exit status")


def finding_of(fact, code):
    """What `why` says of it, when it says this."""
    end = time.monotonic() + LIMIT_S
    while True:
        done = subprocess.run([LASTACK, "why", "--all", "--json", "--stack", "kernel", str(fact["id"])], stdout=subprocess.PIPE,
                              timeout=LIMIT_S, check=False)
        found = [f for f in json.loads(done.stdout)["findings"] if f["code"] == code and f["id"] == fact["id"]]
        if found:
            return found[0]
        expect(time.monotonic() < end, done.stdout.decode()[:3000])
        time.sleep(0.1)


@case
def a_request_that_may_be_at_work():
    needs_reads()
    with Story("at-work") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT" and known(f["eof_read_us"]))
        expect(fact["answered"] is False, "nothing was sent after the end")
        finding = finding_of(fact, "end-seen")
        planned = subprocess.run([LASTACK, "end", "--stack", "kernel", "--port", str(story.port), "--state", "close-wait", "--json"],
                                 stdout=subprocess.PIPE, timeout=LIMIT_S, check=True)
        if story.fact(lambda f: f["state"] == "CLOSE-WAIT")["eof_read_us"] < 60000000: # or the machine is too slow to tell
            equal((finding["severity"], finding["certain"]), ("attention", False), "not sure yet")
            equal(json.loads(planned.stdout)["connections"], [], "it is not to be ended")


@case
def an_answer_in_the_same_tick():
    needs_reads()
    with Story("answered") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT" and known(f["eof_read_us"]))
        expect(fact["answered"] is True, f"bytes are counted, whatever their stamps: {fact}")
        finding = finding_of(fact, "end-seen")
        equal((finding["severity"], finding["certain"]), ("attention", False), "a half-close that rests may be meant")


@case
def an_end_that_nobody_read():
    with Story("unread") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        expect(known(fact["fin_in_us"]) and not fact.get("at_least"), "the FIN's age is exact")
        equal(fact["eof_read_us"], None, "eof_read_us")


@case
def the_last_bytes_exactly():
    needs_reads()
    with Story("exactly") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        equal(fact["eof_read_us"], None, "eof_read_us: no receive returned 0")


@case
def what_splice_reads_is_not_seen():
    with Story("splices") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        equal(fact["eof_read_us"], "unknown", "eof_read_us")


@case
def an_heir_by_fork():
    with Story("forked") as story:
        fact = story.fact(lambda f: f.get("closes"))
        close = close_of(fact, "close")
        equal((close["pid"], close["left"]), (story.pid, 1), "who closed, and what stayed")
        at(close.get("at"), "conn_close", "close")


@case
def an_exit_that_left_references():
    with Story("exited") as story:
        close = close_of(story.fact(lambda f: f.get("closes")), "exit")
        expect(close["left"] == 1 and close["pid"] != story.pid, close)


@case
def close_on_exec():
    with Story("executed") as story:
        close = close_of(story.fact(lambda f: f.get("closes")), "exec")
        expect(close["left"] == 1 and close["pid"] != story.pid and close["fd"] >= 0, close)


@case
def a_descriptor_overwritten():
    with Story("dupped") as story:
        close = close_of(story.fact(lambda f: f.get("closes")), "dup-over")
        equal((close["pid"], close["left"]), (story.pid, 1), "who, and what stayed")


@case
def a_range_closed():
    with Story("ranged") as story:
        close = close_of(story.fact(lambda f: f.get("closes")), "close")
        equal((close["pid"], close["left"]), (story.pid, 1), "who, and what stayed")


@case
def a_debugger_that_looks_is_nobody():
    """pidfd_getfd and close are not the program's."""
    with Story("unread") as story:
        pidfd = os.pidfd_open(story.pid)
        for fd in range(3, 10):
            copy = LIBC.syscall(438, pidfd, fd, 0)
            if copy >= 0:
                os.close(copy)
        os.close(pidfd)
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        expect(not fact.get("closes"), fact.get("closes"))


@case
def an_operator_ends_it():
    with Story("unread") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        subprocess.run([LASTACK, "end", "--yes", "--how", "wr", "--force", str(fact["id"])], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT_S)
        fact = story.fact()
        equal(fact.get("fin_out_by", {}).get("kind"), "operator", "by whom the FIN left")


@case
def a_shutdown():
    with Story("shut") as story:
        fact = story.fact(lambda f: f["state"] == "FIN-WAIT-2")
        call = fact["fin_out_by"]
        equal((call["kind"], call["pid"]), ("shut-wr", story.pid), "by whom the FIN left")
        at(call.get("at"), "shut", "shutdown")
        expect(not fact.get("closes") and known(fact["fin_out_us"]), fact)


@case
def a_dead_descriptor_has_a_name():
    with Story("dead") as story:
        facts = [f for f in story.facts(lambda f: True) if f["state"] not in ("TIME-WAIT",)]
        fact = facts[0]
        equal(fact["state"], "UNCONN", "state")
        expect(fact["remote_port"] != 0 and known(fact["born_us"]), f"ends and birth: {fact}")
        at(fact.get("born_at"), "conn_accept", "accept")


@case
def workers_are_one_place():
    needs_reads()
    with Story("workers") as story:
        facts = story.facts(lambda f: f["state"] == "CLOSE-WAIT")
        equal(len(facts), 20, "leaked")
        for fact in facts:
            at(fact.get("born_at"), "conn_accept", "accept")
            at(fact.get("eof_read_at"), "conn_read", "read")
            equal((fact["sibling_cnt"], fact["sibling_closed_cnt"]),
                  (facts[0]["sibling_cnt"], facts[0]["sibling_closed_cnt"]), "siblings, seen from each")
        expect(facts[0]["sibling_cnt"] - facts[0]["sibling_closed_cnt"] >= 20, "all of them are counted")


INTERPRETED = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
kept = server.accept()[0]
for _ in range(9):
    other = socket.create_connection(server.getsockname())
    server.accept()[0].close()
    other.close()
print(server.getsockname()[1], flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


@case
def an_interpreter_is_no_place_of_one_program():
    with Story("interpreted", command=[sys.executable, "-c", INTERPRETED]) as story:
        fact = story.fact(lambda f: f["state"] == "ESTAB" and f.get("born_at"))
        expect(not known(fact.get("sibling_cnt")) and not known(fact.get("sibling_closed_cnt")),
               f"a vote of all programs of the interpreter: {fact}")
        expect(not fact.get("sibling_close_at"), f"a place of all programs: {fact}")


@case
def a_worker_that_is_gone():
    with Story("brief") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        at(fact.get("born_at"), "conn_accept", "accept")
        expect(fact["creator_pid"] != story.pid and fact.get("creator_alive") is False, fact)
        expect(close_of(fact, "exit")["left"] == 1, fact)


@case
def a_second_recorder_is_refused():
    done = subprocess.run([LASTACK, "watch"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT_S,
                          check=False)
    equal(done.returncode, 2, "exit status")
    expect(b"a recorder runs already" in done.stderr, done.stderr)


# ---- a recorder of one's own ----

def numbers(words):
    """Of "recorded: 3 sockets remembered, 20 born, ..."."""
    last = words[words.rindex("recorded: ") + 10:]
    return {rest.strip(): int(number) for number, rest in
            (part.strip().split(" ", 1) for part in last.split(","))}


def ten_thousand():
    """None is lost, none is left."""
    recorder = Recorder()
    with Story("churn"):
        pass
    words = recorder.end()[1]
    count = numbers(words)
    expect(count["born"] >= 20000 and count["FINs received"] >= 10000, words)
    expect("lost" not in words, words)


def memory_that_is_full():
    """What finds no room is counted, and what did is told right."""
    recorder = Recorder("--sockets", "2")
    with Story("workers"):
        pass
    words = recorder.end()[1]
    expect("more --sockets" in words, words)


def events():
    """One JSON object for each, in order, and only of the port that was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recorder = Recorder("--json", "--lines", "--port", str(port))
    mine, end = [], time.monotonic() + LIMIT_S

    def read_until(word):
        while not mine or mine[-1]["event"] != word:
            expect(time.monotonic() < end, f"{word} within {LIMIT_S} s: {mine}")
            event = json.loads(read_line(recorder.program.stdout))
            expect(f":{port}" in event["local"] + event["remote"], f"of the port that was asked for: {event}")
            if event["local"].endswith(f":{port}"):
                mine.append(event)

    with Story("forked", port) as story:
        read_until("close") # while it lives: whose stack it was can be looked up
    read_until("gone")
    recorder.end()
    what = [e["event"] for e in mine]
    equal(what[:3], ["born", "accepted", "close"], "events")
    equal((mine[2]["call"], mine[2]["left"], mine[2]["pid"]), ("close", 1, story.pid), "the close")
    at(mine[1].get("at"), "conn_accept", "accept")
    at(mine[2].get("at"), "conn_close", "close")


def events_of_one_port():
    with Story("leak") as other:
        recorder = Recorder("--events", "--port", "1")
        with Story("leak"):
            pass
        out = recorder.end()[0]
        equal(out, "", f"events of other ports than 1 (mine was {other.port})")


def lines_of_some_only():
    """Where a stack is not wanted, the rest is recorded all the same."""
    needs_reads()
    for options in (["--pid", "1"], ["--port", "1"], ["--sample", "1/1000000"]):
        recorder = Recorder("--lines", *options)
        with Story("leak") as story:
            fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        recorder.end()
        expect(not fact.get("born_at") and not fact.get("eof_read_at"), f"{options}: {fact}")
        expect(known(fact["eof_read_us"]) and not fact.get("at_least"), f"{options}: {fact}")


def without_calls():
    """Last closes and ends read are seen, others are not, and nothing is said of them."""
    recorder = Recorder("--no-calls")
    with Story("forked") as story:
        fact = story.fact(lambda f: f["state"] == "ESTAB")
        equal((fact.get("closes") or [], fact.get("close_all")), ([], "unknown"), "closes")
        expect(known(fact["born_us"]) and not fact.get("at_least"), fact)
    recorder.end()


def older_than_the_recorder():
    """Only what is known is said."""
    with Story("unread") as story:
        recorder = Recorder()
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        recorder.end()
        expect(fact["eof_read_us"] in (None, "unknown"), fact)
        expect(fact.get("at_least") is True, f"ages are lower bounds: {fact}")


def a_time_namespace():
    """Its clock is a day ahead of the kernel's: ages are right all the same."""
    moved = ["unshare", "-T", "-f", "--monotonic", str(OFFSET_S), "--boottime", str(OFFSET_S)]
    if subprocess.run([*moved, "true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        raise Skip("no time namespace here")
    done = subprocess.run([*moved, sys.executable, __file__, LASTACK, STORIES, "moved"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    equal((done.returncode, done.stdout), (0, "right\n"), f"within the time namespace ({done.stderr})")


def ages_where_we_are():
    """What a_time_namespace runs within."""
    recorder = Recorder()
    with Story("unread") as story:
        fact = story.fact(lambda f: f["state"] == "CLOSE-WAIT")
        for age in ("born_us", "state_us", "fin_in_us"):
            expect(known(fact[age]) and fact[age] < OFFSET_S * 500000, f"{age}: {fact}")
        expect(fact.get("at_least") is not True, f"they come from the recorder: {fact}")
    recorder.end()
    print("right", flush=True)


def it_leaves_nothing():
    recorder = Recorder()
    recorder.end()
    again = Recorder() # at once: what the first one leaves behind must not look like a recorder
    again.end()


def main():
    alone = [ten_thousand, memory_that_is_full, events, events_of_one_port, lines_of_some_only, without_calls,
             older_than_the_recorder, a_time_namespace,
             it_leaves_nothing]
    print(f"1..{len(CASES) + len(alone)}", flush=True)
    number, bad, reason, recorder = 0, 0, None, None
    try:
        recorder = Recorder("--lines")
    except Skip as skip:
        reason = str(skip)
    for run in CASES + alone:
        number += 1
        name = run.__name__.replace("_", " ")
        if run is alone[0] and recorder:
            recorder.end()
            recorder = None
        if reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            continue
        try:
            run()
            print(f"ok {number} - {name}", flush=True)
        except Skip as skip:
            print(f"ok {number} - {name} # SKIP {skip}", flush=True)
        except Exception as failure: # a broken case is a failed one
            bad += 1
            for line in f"{type(failure).__name__}: {failure}".splitlines():
                print(f"# {line}")
            print(f"not ok {number} - {name}", flush=True)
            if run in alone and Recorder.living: # not in the way of the next one
                Recorder.living.end(False)
    return 1 if bad else 0


try:
    if sys.argv[3:] == ["moved"]:
        ages_where_we_are()
        sys.exit(0)
    STATUS = main()
finally:
    if Recorder.living:
        Recorder.living.program.kill()
sys.exit(STATUS)
