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
            Finding(why, role, why_severity or severity, **more)]


def shut(role, writer, code, severity):
    """A reader that does not read has shut the window of a writer; neither will move."""
    return [Finding("window-shut", role, "attention"), Finding("nobody-watches", role, "attention"),
            Finding(code, writer, severity, blames=())]


def dead():
    """The connection is over, its descriptor is not."""
    return [Finding("dead-descriptor", "keeper", "attention")]


def heir(role="keeper", keeper="keeper"):
    """Named: who made and closed it, who still holds it."""
    return [Finding("heir-holds", role, blames=(keeper, "closer"))]


def hidden(code, severity="problem"):
    """No descriptor; the process behind the reference is named."""
    return [Finding(code, "closed", severity, blames=("keeper",))]


SCENARIOS = [
    # A: its owner does not close
    Scenario("end-ignored", "A1", [deaf()], [seen()]),
    Scenario("end-ignored-in-loop", "A1", [deaf()], [seen()]),
    Scenario("error-path", "A6", [deaf()], [seen()]),
    Scenario("answer-not-drained", "A2", unread("unread-data", "nobody-watches")),
    Scenario("greeting-abandoned", "A5", unread("unread-data", "nobody-watches")),
    Scenario("pool-idle", "A3",
             [Finding("pool-idle", "pooled", "note", certain=False, count=4)]),
    Scenario("pool-grows", "A2", [Finding("unread-end", "", blames=("keeper",), count=101),
                                  Finding("nobody-watches", "", count=101)]),
    Scenario("half-open-mode", "A7", [deaf()], [seen()]),
    Scenario("shut-not-closed", "A8", dead()),
    Scenario("reset-not-closed", "A8", dead()),
    Scenario("keepalive-killed", "A8", dead(), NO_FILTER),
    Scenario("equal-leaks", "A1", [deaf("", count=200)], [seen("", count=200)]),
    Scenario("strange-name", "A1", [deaf()], [seen()]),
    # B: nobody looks
    Scenario("interest-off", "B1", unread("unread-data", "no-read-interest")),
    Scenario("one-shot", "B2", unread("unread-end", "one-shot-spent")),
    Scenario("edge-not-drained", "B3", unread("unread-data", "edge-missed", certain=False)),
    Scenario("not-in-poller", "B4", unread("unread-end", "nobody-watches")),
    Scenario("loop-in-lock", "B5", unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("loop-asleep", "B5", unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("loop-in-call", "B5", unread("unread-data", "loop-busy", why_severity="attention")),
    Scenario("owner-busy", "B6", unread("unread-end", "nobody-watches", severity="attention")),
    Scenario("hangup-spin", "B7", [deaf()], [seen()]),
    Scenario("stopped", "B5", unread("unread-data", "nobody-watches")
             + [Finding("holder-stuck", "keeper")]),
    Scenario("reader-away", "B4", shut("keeper", "client", "zero-window", "attention")),
    Scenario("idle-watched", "healthy"),
    Scenario("idle-blocked", "healthy"),
    # C: never accepted
    Scenario("never-accepted", "C1", [Finding("never-accepted", "", blames=("listener",),
                                              state="CLOSE-WAIT")]),
    Scenario("accept-stopped", "C1", [Finding("accept-waits", "", "attention",
                                              blames=("listener",), state="ESTAB")]),
    Scenario("queue-full", "C1", [Finding("accept-queue-full", "listener"),
                                  Finding("accept-waits", "", "attention", blames=("listener",),
                                          count=2, state="ESTAB")]),
    Scenario("no-descriptors", "C2", [Finding("accept-no-descriptors", "listener"),
                                      Finding("accept-waits", "", "attention", state="ESTAB")]),
    Scenario("accept-loop", "healthy"),
    # D: closed, not by everybody
    Scenario("parent-keeps", "D3", [deaf(severity="problem"),
                                    Finding("holder-stuck", "keeper", certain=False)],
             [Finding("last-close-missing", "keeper"),
              Finding("holder-stuck", "keeper", certain=False)]),
    Scenario("both-keep", "D3", unread("unread-end", "nobody-watches", role="parent")
             + [Finding("many-holders", "parent", "note", blames=())]),
    Scenario("fork-heir", "D1", heir()),
    Scenario("exec-heir", "D2", heir("keeper-fd")),
    Scenario("forking-server", "healthy"),
    Scenario("dup-left", "D4", [deaf()], [Finding("dup-holds", "keeper")]),
    Scenario("dup-both", "D4", [deaf(blames=("keeper", "copy")),
                                Finding("dup-holds", "keeper", "note")]),
    Scenario("message-in-flight", "D5", [Finding("held-by-message", "passed", blames=()),
                                         Finding("holder-stuck", "passed", blames=())]),
    Scenario("message-kept", "D5", heir()),
    Scenario("closed-under-recv", "D8", hidden("closed-but-busy"), NO_THREAD),
    Scenario("closed-under-poll", "D8", hidden("closed-but-busy"), NO_THREAD),
    Scenario("closed-under-select", "D8", hidden("closed-but-busy"), NO_THREAD),
    Scenario("mapped", "D", hidden("held-by-mapping"), NO_MAP),
    Scenario("thread-table", "D", [deaf()], NO_THREAD),
    Scenario("zombie-leader", "D", [deaf()], NO_THREAD),
    Scenario("ring-file", "D6", hidden("held-by-ring"), NO_RING),
    Scenario("ring-request", "D7", hidden("closed-but-busy", "attention"), NO_RING),
    # E: half-closes and relays
    Scenario("half-close-sends", "E2", [Finding("half-close", "sender", "healthy", blames=())]),
    Scenario("half-close-rests", "E2", [deaf("rester")]),
    Scenario("relay-pair", "E1", [Finding("relay-pair", "left", "note", certain=False),
                                  deaf("origin")]),
    # F: other states
    Scenario("half-kept-peer-gone", "F1", [Finding("fin-wait-held", "keeper", "attention")],
             NO_FILTER),
    Scenario("half-kept-peer-here", "F1", [deaf("peer"), Finding("fin-wait-held", "keeper", "note")]),
    Scenario("half-left-to-timer", "F2", unread("unread-data", "nobody-watches", "server")
             + [Finding("fin-wait-orphan", "client", "note", blames=())]),
    Scenario("writer-blocked", "F6", shut("reader", "writer", "zero-window", "attention")),
    Scenario("fin-behind-held", "F3", shut("reader", "writer", "fin-behind-zero-window", "problem")),
    Scenario("fin-behind-orphan", "F3", shut("reader", "writer", "fin-behind-zero-window", "note")),
    Scenario("last-ack-behind", "F3", shut("reader", "writer", "fin-behind-zero-window", "note")),
    Scenario("data-unanswered", "F4", [Finding("fin-unanswered", "sender", "note", False)],
             NO_FILTER),
    Scenario("fin-unanswered", "F4", [Finding("fin-unanswered", "sender", "note", False, blames=())],
             NO_FILTER),
    Scenario("fin-unanswered-held", "F4", [Finding("fin-unanswered", "sender", "note", False)],
             NO_FILTER),
    Scenario("both-close", "healthy"),
    # other languages
    Scenario("node-half-open", "A7", [deaf()], [seen()]),
    Scenario("node-paused", "B1", unread("unread-end", "nobody-watches")),
    Scenario("python-cycle", "A9", [deaf()], [seen()]),
    Scenario("python-subprocess", "D2", [Finding("heir-holds", "keeper", blames=("keeper", "heir"))]),
    Scenario("java-deferred", "A10", dead()),
]

# Scenarios that are not in `faults`: what must be installed, and the command.
PROGRAMS = {
    "node-half-open": ("node", ["node", "node.js", "half-open"]),
    "node-paused": ("node", ["node", "node.js", "paused"]),
    "python-cycle": ("/usr/bin/python3", ["/usr/bin/python3", "keeper.py", "cycle"]),
    "python-subprocess": ("/usr/bin/python3", ["/usr/bin/python3", "keeper.py", "subprocess"]),
    "java-deferred": ("javac", ["java", "Deferred.java"]),
}
