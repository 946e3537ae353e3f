# SPDX-License-Identifier: BSD-2-Clause
"""What must be said of each scenario, written from the causes and from docs/findings, never from what
the doctor happens to say. docs/SCENARIOS.md is the same list for readers; a test compares them."""
from dataclasses import dataclass, field

NO_RING = "no io_uring on sockets of a stack of ours"
NO_THREAD = "descriptors there belong to processes; a blocked call ends with its descriptor"
NO_FILTER = "no socket filters and no repair mode there: the peer cannot be made to vanish"
NO_MAP = "no mapping of sockets there"
SNAPSHOT = "there the history is known: the same cause, told with who called what"


@dataclass
class Finding:
    """One finding that must be there. `about`: a role that said "socket", or "" for one that no
    process holds; `blames`: roles whose pid (and descriptor) the words must name."""
    code: str
    about: str
    severity: str = "problem"
    certain: bool = True
    blames: tuple = None
    count: int = 1
    state: str = ""


@dataclass
class Scenario:
    """A name of `faults --list`, or of PROGRAMS. `own`: what is expected under `lastack run`: the
    same if None; a text says why it does not apply. Nothing else of attention or worse may be said of
    any socket of the scenario."""
    name: str
    cause: str
    story: str
    findings: list = field(default_factory=list)
    own: object = None


def deaf(role="keeper", **more):
    """From a snapshot: read past the FIN, not closed; whether a receive returned 0 is not known."""
    return Finding("end-consumed", role, certain=False, **{"severity": "attention", **more})


def seen(role="keeper", **more):
    """The same with a history."""
    return Finding("end-seen", role, **more)


def unread(code, why, role="keeper", severity="problem", why_severity=None, **more):
    """What was not read, and why nobody will."""
    return [Finding(code, role, severity),
            Finding(why, role, why_severity or severity, blames=(), **more)]


def shut(role, writer, code, severity):
    """A reader that does not read has shut the window of a writer; neither will move."""
    return [Finding("window-shut", role, "attention"), Finding("nobody-watches", role, "attention", blames=()),
            Finding(code, writer, severity, blames=())]


def dead():
    """The connection is over, its descriptor is not."""
    return [Finding("dead-descriptor", "keeper", "attention")]


def heir(role="keeper", keeper="keeper", closer="closer", **more):
    """Named: who made and closed it, who still holds it."""
    return [Finding("heir-holds", role, blames=(keeper, closer), **more)]


def hidden(code, severity="problem"):
    """No descriptor; the process behind the reference is named."""
    return [Finding(code, "closed", severity, blames=("keeper",))]


SCENARIOS = [
    # A: its owner does not close
    Scenario("end-ignored", "A1", "A server reads until recv() returns 0 and goes to sleep.",
             [deaf()]),
    Scenario("end-ignored-in-loop", "A1",
             "The same in an epoll loop that goes on; the descriptor was taken out and forgotten.",
             [deaf()]),
    Scenario("error-path", "A6",
             "Two of three connections are closed; the third took the path of an error.",
             [deaf()]),
    Scenario("answer-not-drained", "A2",
             "A client reads 10 of 1000 bytes of an answer and turns to something else.",
             unread("unread-data", "nobody-watches")),
    Scenario("greeting-abandoned", "A5",
             "A client's own timeout: the greeting is never read, the descriptor never closed.",
             unread("unread-data", "nobody-watches")),
    Scenario("pool-idle", "A3",
             "Four connections of a client's pool, used to the last byte, ended by the server.",
             [Finding("pool-idle", "pooled", "note", certain=False, count=4)]),
    Scenario("pool-reset", "A3", "The same pool, ended by resets that no call has met yet.",
             [Finding("pool-idle", "pooled", "note", certain=False, count=4)],
             [Finding("dead-descriptor", "pooled", "attention", count=4)]),
    Scenario("pool-grows", "A2",
             "A new connection for each request, none closed: more than a pool would keep.",
             [Finding("unread-end", "", blames=("keeper",), count=101),
              Finding("nobody-watches", "", count=101)],
             [Finding("unread-end", "", blames=("keeper",), count=101, certain=False),
              Finding("nobody-watches", "", count=101, certain=False)]),
    Scenario("half-open-mode", "A7",
             "After the end the loop asks for nothing more, and nobody ends our half.",
             [deaf()]),
    Scenario("shut-not-closed", "A8",
             "shutdown() of both halves, no close(): the connection ends, the descriptor stays.",
             dead()),
    Scenario("reset-not-closed", "A8", "The peer resets; the descriptor stays.",
             dead()),
    Scenario("keepalive-killed", "A8",
             "The peer vanishes, keep-alive ends the connection; the descriptor stays.",
             dead(),
             NO_FILTER),
    Scenario("equal-leaks", "A1", "200 connections that one process leaks in the same way.",
             [deaf("", count=200)]),
    Scenario("strange-name", "A1",
             "The program's name has an escape sequence, a line feed, quotes and a wrong byte.",
             [deaf()]),
    # B: nobody looks
    Scenario("interest-off", "B1",
             "Back-pressure: reading was switched off in epoll, and never on again.",
             unread("unread-data", "no-read-interest")),
    Scenario("one-shot", "B2", "EPOLLONESHOT fired and was not armed again.",
             unread("unread-end", "one-shot-spent"),
             [Finding("unread-end", "keeper", certain=False),
              Finding("one-shot-spent", "keeper", certain=False, blames=())]),
    Scenario("edge-not-drained", "B3", "Edge-triggered, and one byte too few was read.",
             unread("unread-data", "edge-missed", certain=False)),
    Scenario("not-in-poller", "B4", "The loop runs, this connection is not in it.",
             unread("unread-end", "nobody-watches"),
             [deaf()]),
    Scenario("loop-in-lock", "B5", "The thread of the loop waits for a lock that is never free.",
             unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("loop-asleep", "B5", "The thread of the loop sleeps.",
             unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("loop-in-call", "B5",
             "The thread of the loop waits for a name server that does not answer.",
             unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("owner-busy", "B6", "The owner computes for a client that has left.",
             unread("unread-end", "nobody-watches", severity="attention"),
             [deaf()]),
    Scenario("hangup-spin", "B7",
             "Each round says readable, each recv() returns 0, the loop starts again: a core is burnt.",
             [deaf()]),
    Scenario("stopped", "B5", "The holder was stopped by a signal.",
             unread("unread-data", "nobody-watches") + [Finding("holder-stuck", "keeper")]),
    Scenario("reader-away", "B4",
             "A server that does not read has shut the window of a client that still talks.",
             shut("keeper", "client", "zero-window", "attention")),
    Scenario("idle-watched", "healthy", "A quiet client of a server that waits in epoll."),
    Scenario("idle-blocked", "healthy", "A quiet client of a worker that is blocked in recv()."),
    # C: never accepted
    Scenario("never-accepted", "C1",
             "The loop that accepts has stopped; the client came, talked and left.",
             [Finding("never-accepted", "", blames=("listener",), state="CLOSE-WAIT")]),
    Scenario("accept-stopped", "C1", "The same, and the client waits for an answer.",
             [Finding("accept-waits", "", "attention", blames=("listener",), state="ESTAB")]),
    Scenario("queue-full", "C1", "Room for one (and one more) in the queue, and a third knocks.",
             [Finding("accept-queue-full", "listener"),
              Finding("accept-waits", "", "attention", blames=("listener",), count=2, state="ESTAB")]),
    Scenario("no-descriptors", "C2", "accept() says EMFILE.",
             [Finding("accept-no-descriptors", "listener"),
              Finding("accept-waits", "", "attention", state="ESTAB")]),
    Scenario("accept-loop", "healthy", "A server inside accept(), all that came were served."),
    # D: closed, not by everybody
    Scenario("parent-keeps", "D3",
             "The classic: the forked child serves, closes and ends; the parent keeps its copy.",
             [deaf(severity="problem"), Finding("holder-stuck", "keeper", certain=False)],
             [Finding("last-close-missing", "keeper"),
              Finding("holder-stuck", "keeper", certain=False)]),
    Scenario("both-keep", "D3", "Parent and child hold it, neither reads.",
             unread("unread-end", "nobody-watches", role="parent")
             + [Finding("many-holders", "parent", "note", blames=())],
             [deaf("parent", blames=("parent", "child")),
              Finding("many-holders", "parent", "note", blames=())]),
    Scenario("fork-heir", "D1",
             "A child that was forked for something else inherits it; its owner closes.",
             heir()),
    Scenario("exec-heir", "D2", "No close-on-exec: `sleep` inherits it; its owner closes.",
             heir("keeper-fd")),
    Scenario("forking-server", "healthy",
             "The parent has closed its copy, the child waits for its client."),
    Scenario("dup-left", "D4", "One descriptor closed, its copy forgotten.",
             [deaf()],
             [Finding("dup-holds", "keeper")]),
    Scenario("dup-both", "D4", "Two descriptors in one process, neither closed.",
             [deaf(blames=("keeper", "copy")), Finding("dup-holds", "keeper", "note")]),
    Scenario("message-in-flight", "D5",
             "Passed over AF_UNIX (SCM_RIGHTS), closed by the sender, never received.",
             [Finding("held-by-message", "passed", blames=()),
              Finding("holder-stuck", "passed", blames=())]),
    Scenario("message-kept", "D5", "Passed, received, and forgotten by the receiver.",
             heir()),
    Scenario("closed-under-recv", "D8",
             "Closed while another thread is blocked in recv(): no FIN leaves.",
             hidden("closed-but-busy"),
             NO_THREAD),
    Scenario("closed-under-poll", "D8", "The same with poll().",
             hidden("closed-but-busy"),
             NO_THREAD),
    Scenario("closed-under-select", "D8", "The same with select().",
             hidden("closed-but-busy"),
             NO_THREAD),
    Scenario("mapped", "D", "Mapped with mmap(), closed, not unmapped.",
             hidden("held-by-mapping"),
             NO_MAP),
    Scenario("thread-table", "D",
             "A thread with a descriptor table of its own still has what the others closed.",
             [deaf()],
             NO_THREAD),
    Scenario("zombie-leader", "D",
             "The first thread has ended, the process goes on and holds it.",
             [deaf()],
             NO_THREAD),
    Scenario("ring-file", "D6", "Registered with an io_uring, then closed.",
             hidden("held-by-ring"),
             NO_RING),
    Scenario("ring-request", "D7",
             "An io_uring receive is under way on a closed descriptor: no FIN leaves.",
             hidden("closed-but-busy", "attention"),
             NO_RING),
    # E: half-closes and relays
    Scenario("half-close-sends", "E2", "The client has ended its half, the server still sends.",
             [Finding("half-close", "sender", "healthy", blames=())]),
    Scenario("half-close-rests", "E2",
             "The server answered after the client's end, and does nothing more.",
             [deaf("rester")]),
    Scenario("relay-pair", "E1", "A proxy passed the end on; the origin never ends its half.",
             [Finding("relay-pair", "left", "note", certain=False), deaf("origin")]),
    # F: other states
    Scenario("half-kept-peer-gone", "F1",
             "We shut down our half and keep the descriptor; the peer vanished without a word.",
             [Finding("fin-wait-held", "keeper", "attention")],
             NO_FILTER),
    Scenario("half-kept-peer-here", "F1",
             "The same, and the peer is here: it has read our end and stays.",
             [deaf("peer"), Finding("fin-wait-held", "keeper", "note")]),
    Scenario("half-left-to-timer", "F2",
             "The client closed; its half waits for a server that does not read.",
             unread("unread-data", "nobody-watches", "server")
             + [Finding("fin-wait-orphan", "client", "note", blames=())]),
    Scenario("writer-blocked", "F6", "A writer in send(), a reader that does not read.",
             shut("reader", "writer", "zero-window", "attention")),
    Scenario("fin-behind-held", "F3",
             "The same, and the writer has shut down: its FIN waits behind the data.",
             shut("reader", "writer", "fin-behind-zero-window", "problem")),
    Scenario("fin-behind-orphan", "F3", "The same, and the writer has closed.",
             shut("reader", "writer", "fin-behind-zero-window", "note")),
    Scenario("last-ack-behind", "F3",
             "The reader ended its half and does not read; the writer closed.",
             shut("reader", "writer", "fin-behind-zero-window", "note")),
    Scenario("data-unanswered", "F4",
             "The peer's host is gone; our data is sent again and again.",
             [Finding("fin-unanswered", "sender", "note", False)],
             NO_FILTER),
    Scenario("fin-unanswered", "F4",
             "The peer's host is gone, we closed; our FIN is sent again and again.",
             [Finding("fin-unanswered", "sender", "note", False, blames=())],
             NO_FILTER),
    Scenario("fin-unanswered-held", "F4", "The same with shutdown(), the descriptor is kept.",
             [Finding("fin-unanswered", "sender", "note", False)],
             NO_FILTER),
    Scenario("both-close", "healthy", "Both ends closed."),
    # other languages
    Scenario("node-half-open", "A7", "Node, `allowHalfOpen`, no end().",
             [deaf()]),
    Scenario("node-paused", "B1", "Node, pause() without resume().",
             unread("unread-data", "nobody-watches")),
    Scenario("python-cycle", "A9",
             "Python, no close(): the object waits in a cycle for a collector that is off.",
             [deaf()]),
    Scenario("python-subprocess", "D2",
             "Python, a subprocess with `close_fds=False` has inherited it.",
             [Finding("heir-holds", "keeper", blames=("keeper", "heir"))]),
    Scenario("java-deferred", "A10",
             "Java NIO, a registered channel was closed, and no select() follows.",
             dead()),
]

# What a recorder knows better than "end-seen (problem, certain)".
WATCHED = {
    "hangup-spin": seen(severity="attention"),
    "half-close-rests": seen("rester", severity="attention", certain=False),
    "parent-keeps": Finding("last-close-missing", "keeper"),
    "dup-left": Finding("dup-holds", "keeper"),
    "thread-table": Finding("dup-holds", "keeper"),
}


def with_history(scenario):
    """The same findings, if `lastack watch` has seen it all: no guess about who read the end."""
    return [f if f.code != "end-consumed" else WATCHED.get(scenario.name) or
            seen(f.about, blames=f.blames, count=f.count) for f in scenario.findings]


# What is expected of the kernel's sockets without BPF, where it is less.
PLAIN = {
    "ring-request": [],
    **dict.fromkeys(("fork-heir", "message-kept"), [deaf()]),
    "exec-heir": [deaf("keeper-fd", blames=("keeper",))],
    "python-subprocess": [deaf(blames=("heir",))],
}

# Scenarios that are not in `faults`: what must be installed, and the command.
PROGRAMS = {
    "node-half-open": ("node", ["node", "node.js", "half-open"]),
    "node-paused": ("node", ["node", "node.js", "paused"]),
    "python-cycle": ("/usr/bin/python3", ["/usr/bin/python3", "keeper.py", "cycle"]),
    "python-subprocess": ("/usr/bin/python3", ["/usr/bin/python3", "keeper.py", "subprocess"]),
    "java-deferred": ("javac", ["java", "Deferred.java"]),
}


# ---- the page for readers ----

HEAD = """# Scenarios: the doctor on living programs

Each line is a small program that has the fault (`tests/live`), brought into its situation by waiting for each
other, never by time. All run at once, each in a network namespace of its own, and again under `lastack run`; `lastack why
--json` must name the cause, its class, how sure and how serious it is, and who holds the connection; **nothing of
*attention* or *problem* may be said of any other socket of the scenario**. Lines without a code are healthy: nothing may be said.

```
build/tests/live/faults --list                                    # the programs in C
python3 tests/live/live.py kernel build/lastack build/tests/live/faults one-shot --stay
python3 tests/live/live.py own build/lastack build/tests/live/faults relay-pair
python3 tests/live/healthy.py --seconds 60 build/lastack          # nginx, Redis, PostgreSQL under load
python3 tests/live/healthy.py --own --seconds 60 build/lastack    # the same under lastack run
python3 tests/live/robust.py --sockets 100000 build/lastack build/tests/live/faults build/tests/live/crowd
```

The cause is the letter of research on some hundred real issues: A its owner does not close, B nobody looks at it, C never accepted, D closed
but not by everybody who holds it, E proxies and half-closes, F what is on the wire. *(i)* is inferred, all else is certain.

**Under `lastack run`** a program's socket is one end of an AF_UNIX pair. Who holds it and who watches it is seen there as on the kernel's
sockets; that a receive returned 0 leaves no trace in it. So *end-consumed* stands for all that read to the last byte, whether the
program has read the end after it or not.

Where the holder may be at work for others (*loop-asleep*, *loop-in-call*, *owner-busy*, *node-paused*) a busy healthy server looks the same: for
the first minute it is attention, inferred, and the table has what is said afterwards.

| scenario | cause | what the program does | the kernel's sockets | under `lastack run` |
|---|---|---|---|---|
"""

PLAIN_HEAD = """
## Without BPF

`lastack why --no-bpf` (and where BPF does not load) must still say all of that from sock_diag and /proc alone, except:

| scenario | what is left |
|---|---|
"""


def told(findings):
    """A cell: codes and severities."""
    if not findings:
        return "nothing"
    return ", ".join(f"{f.count}&#215; " * (f.count > 1) + f"{f.code} ({f.severity})"
                     + " *(i)*" * (not f.certain) for f in findings)


def page():
    """docs/SCENARIOS.md."""
    rows = []
    for s in SCENARIOS:
        own = s.own if isinstance(s.own, str) else "the same" if s.own is None else told(s.own)
        if isinstance(s.own, str):
            own = f"*{own}*"
        rows.append(f"| {s.name} | {s.cause} | {s.story} | {told(s.findings)} | {own} |\n")
    return HEAD + "".join(rows) + PLAIN_HEAD + "".join(
        f"| {name} | {told(findings)} |\n" for name, findings in PLAIN.items())


if __name__ == "__main__":
    print(page(), end="")
