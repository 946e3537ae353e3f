# SPDX-License-Identifier: BSD-2-Clause
"""end.py LASTACK: `lastack end` on live connections of the kernel, in a network namespace of its own:
what it plans, what it does with --yes, what both sides really see, what it refuses, what it logs, and
the unattended guard."""
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

LASTACK = os.path.abspath(sys.argv[1])
NO_NAMESPACE = "no network namespace of one's own here"


class Tap:
    """Checks and their numbers."""
    def __init__(self):
        self.cnt = self.failed = 0

    def check(self, name, good, said=""):
        self.cnt += 1
        print(f"{'ok' if good else 'not ok'} {self.cnt} - {name}", flush=True)
        if not good:
            self.failed += 1
            for line in str(said).splitlines():
                print("# " + line)

    def says(self, name, got, *words):
        self.check(name, all(w in got for w in words),
                   "\n".join([f"not said: {w}" for w in words if w not in got] + [got]))

    def done(self):
        print(f"1..{self.cnt}")
        sys.exit(1 if self.failed else 0)


tap = Tap()


def enter_namespace():
    """Once more, in a namespace of our own."""
    if "LASTACK_TEST_NETNS" in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    env = {**os.environ, "LASTACK_TEST_NETNS": "1"}
    for unshare in (["unshare", "-n"], ["unshare", "-Urn"]):
        if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], env)
    print(f"1..0 # SKIP {NO_NAMESPACE}")
    sys.exit(0)


def cookie(sock):
    """The kernel's number of a socket (SO_COOKIE)."""
    return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, 57, 8))[0]


class Pair:
    """An accepted connection; `owner` is the accepted end, `peer` the other one."""
    def __init__(self, listener, accept=True):
        self.peer = socket.create_connection(listener.getsockname())
        self.owner = listener.accept()[0] if accept else None

    def half_close(self):
        """The owner sits in CLOSE-WAIT, has read the end, and does not close."""
        self.peer.shutdown(socket.SHUT_WR)
        assert self.owner.recv(1) == b""
        return self

    def target(self):
        """An end that no other connection has."""
        return "%s:%d" % self.peer.getsockname()

    def ids(self):
        """(cookie of the owner, cookie of the peer)"""
        return cookie(self.owner), cookie(self.peer)

    def close(self):
        for s in (self.peer, self.owner):
            if s:
                s.close()


class Keeper:
    """Another process, which holds the peers: with both ends in one process we look like a proxy."""
    def __init__(self):
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.ours.close()
            kept = []
            while (got := socket.recv_fds(theirs, 1, 8))[0]:
                kept += got[1]
                theirs.send(b"x")
            os._exit(0)
        theirs.close()

    def take(self, pair):
        socket.send_fds(self.ours, [b"x"], [pair.peer.fileno()])
        self.ours.recv(1)
        pair.peer.close()
        return pair

    def stop(self):
        self.ours.close()
        os.waitpid(self.pid, 0)


def leak(listener, cnt):
    """Connections whose owners do not close; what keeps their peers."""
    keeper = Keeper()
    return [keeper.take(Pair(listener).half_close()) for _ in range(cnt)], keeper


def listen():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(16)
    return s


def end(*words, log="--no-log", **more):
    """(status, all that it said, with single blanks)"""
    args = [LASTACK, "end", "--stack", "kernel", "--here", "--no-bpf", *words]
    if log and "--yes" in words:
        args += log.split(" ", 1)
    done = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False, **more)
    return done.returncode, re.sub(" +", " ", done.stdout)


def why(target):
    return subprocess.run([LASTACK, "why", "--stack", "kernel", "--here", str(target)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout


def error_of(call):
    """The errno of a call that must fail; 0 if it did not."""
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


def wait_until(what):
    """Poll for at most 60 s."""
    until = time.monotonic() + 60
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def found(pair):
    """The same pair, when something speaks against its owner: it had its time to close."""
    wait_until(lambda: "speaks against it" not in end(pair.ids()[0])[1])
    return pair


def said_path(said, path):
    """The states that were seen, but for FIN-WAIT-1, which may be too short to be seen."""
    return path in said.replace("-> FIN-WAIT-1 ", "").replace("-> ", "")


def is_open(pair):
    """The owner's end still has a connection."""
    return struct.unpack("B", pair.owner.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0] != 7


# ---- one connection

def plan_and_deed(listener, scratch):
    pair = Pair(listener).half_close()
    owner, _ = pair.ids()
    found(pair)
    status, said = end(owner)
    tap.says("without --yes it plans", said, "1. wr", "shutdown(SHUT_WR) through a copy of descriptor",
             f"process {os.getpid()}", "the owner:", "EPIPE", "the peer:", "2. rst", "SOCK_DESTROY",
             "Nothing has been done yet. To do it:", f"{owner} --yes")
    tap.check("and a plan is a success", status == 0, said)
    status, said = end(owner, "--yes", "--dry-run")
    tap.check("--dry-run wins over --yes", status == 0 and "Nothing has been done yet" in said
              and is_open(pair), said)
    log = f"{scratch}/end.log"
    status, said = end(owner, "--yes", log=f"--log {log}")
    tap.says("--yes ends it", said, "CLOSE-WAIT -> LAST-ACK -> closed (wr)",
             "keeps descriptor", "open until it closes it")
    tap.check("and that is a success", status == 0, said)
    tap.check("the peer reads the end of the stream, no reset", pair.peer.recv(1) == b"")
    tap.check("the owner gets EPIPE", error_of(lambda: pair.owner.send(b"x")) == 32)
    lines = [json.loads(line) for line in open(log, encoding="utf-8")]
    tap.check("the log has it", len(lines) == 3 and lines[0]["begin"] == 1 and lines[2]["id"] == owner
              and lines[2]["outcome"] == "ended" and lines[2]["steps"] == [{"how": "wr", "errno": 0}]
              and lines[2]["holders"][0]["pid"] == os.getpid(), lines)
    tap.check("and had it before it was touched", lines[1]["id"] == owner
              and lines[1]["about_to"] == ["wr", "rst"] and "outcome" not in lines[1], lines)
    tap.check("the log is closed to others", os.stat(log).st_mode & 0o777 == 0o600)
    status, said = end(owner, "--yes")
    tap.check("a second time there is nothing", status == 1, said)
    pair.close()


def by_address(listener):
    for _ in range(8):
        pair = Pair(listener)
        status, said = end(pair.target(), "--json")
        if "may be any of" not in said:
            break  # a dead descriptor somewhere may have had the same address
        pair.close()
    tap.check("an address means the end that has it", status == 0 and
              json.loads(said)["connections"][0]["id"] == pair.ids()[1], said)
    pair.close()
    status, said = end("%s:%d" % listener.getsockname())
    tap.check("no connection at an address", status == 1 and "there is no connection" in said, said)


def the_whole_ladder(listener):
    pair = Pair(listener)
    owner, _ = pair.ids()
    status, said = end(owner, "--yes", "--wait", "1s", "--max", "rdwr")
    tap.check("--max rdwr: told, not reset", status == 0 and said_path(said, "ESTAB FIN-WAIT-2 (wr, rdwr)")
              and "the peer has still to close its half" in said, said)
    tap.check("the peer sees a FIN", pair.peer.recv(1) == b"")
    tap.check("the owner reads the end", pair.owner.recv(1) == b"")
    pair.close()
    pair = Pair(listener)
    status, said = end(pair.ids()[0], "--yes", "--wait", "1s")
    tap.check("auto: politer steps first, then a reset", status == 0
              and said_path(said, "ESTAB FIN-WAIT-2 closed (wr, rdwr, rst)"), said)
    tap.check("the peer reads the end before it is reset", pair.peer.recv(1) == b"")
    tap.check("and cannot send any more", error_of(lambda: pair.peer.send(b"x")) in (32, 104))
    pair.close()


def a_polite_peer(listener):
    pair = Pair(listener)
    def peer():
        pair.peer.recv(1)
        pair.peer.send(b"last words")
        pair.peer.close()
    thread = threading.Thread(target=peer)
    thread.start()
    status, said = end(pair.ids()[0], "--yes", "--wait", "60s")
    thread.join()
    tap.check("a peer that closes when it reads the end: wr is enough",
              status == 0 and "(wr)" in said and "rdwr" not in said.split("\n")[0], said)
    tap.check("and the owner reads its last words", pair.owner.recv(99) == b"last words")
    pair.close()


def one_step(listener):
    for how, peer_error in (("wr", 0), ("rdwr", 0), ("rst", 104)):
        pair = Pair(listener)
        status, said = end(pair.ids()[0], "--yes", "--how", how, "--wait", "1s")
        tap.check(f"--how {how} alone", status == 0 and f"({how})" in said
                  and error_of(lambda: pair.peer.recv(1)) == peer_error, said)
        pair.close()


def nobody_has_it(listener):
    pair = Pair(listener, accept=False)
    # Both ends are ours, and the peer's own end has a descriptor: the other one is meant.
    listing = subprocess.run([LASTACK, "ss", "--stack", "kernel", "--here", "--json", "--all"],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    port = pair.peer.getsockname()[1]
    queued = [f["id"] for f in json.loads(listing) if f["remote_port"] == port]
    if len(queued) != 1:
        tap.check("the queued connection is listed", False, listing)
        return
    status, said = end(queued[0])
    tap.says("in the accept queue: only a reset", said, "1. rst", "accept() may still return it")
    status, said = end(queued[0], "--yes", "--how", "rdwr")
    tap.check("a shutdown is refused there", status == 1 and "only --how rst" in said, said)
    status, said = end(queued[0], "--yes", "--max", "rdwr")
    tap.check("--max rdwr forbids the only way", status == 1 and "--max forbids" in said, said)
    status, said = end(queued[0], "--yes")
    tap.check("rst ends it", status == 0 and "closed (rst)" in said, said)
    tap.check("and the peer is reset", error_of(lambda: pair.peer.recv(1)) == 104)
    pair.owner = listener.accept()[0]
    pair.close()


# ---- what is refused

def refusals(listener):
    status, said = end(cookie(listener), "--yes")
    tap.check("a listener is refused", status == 1 and "is a listener" in said, said)
    pair = Pair(listener).half_close()
    owner, _ = pair.ids()
    stop = threading.Event()
    def talk():
        while not stop.is_set():
            pair.owner.send(b"x")
            pair.peer.recv(1)
            stop.wait(0.02)
    thread = threading.Thread(target=talk)
    thread.start()
    wait_until(lambda: "HEALTHY" in why(owner))
    status, said = end(owner, "--yes")
    tap.check("a half-close that moves is refused", status == 1
              and "half-closed on purpose" in said and is_open(pair), said)
    status, said = end("--state", "close-wait", "--yes")
    tap.check("filters pass it over", status == 0 and "passed over" in said and is_open(pair), said)
    status, said = end(owner, "--force")
    tap.check("--force plans it all the same", status == 0 and "1. wr" in said, said)
    stop.set()
    thread.join()
    status, said = end(owner, "--force", "--yes")
    tap.check("--force ends it", status == 0 and "closed (wr)" in said, said)
    pair.close()


def seldom(listener):
    """A half-close that answers now and then: without history no filter and no name ends it."""
    pair = Pair(listener).half_close()
    owner, port = pair.ids()[0], listener.getsockname()[1]
    stop = threading.Event()
    def talk():
        while not stop.wait(0.3):
            pair.owner.send(b"x" * 40)
    thread = threading.Thread(target=talk)
    pair.owner.send(b"x")
    thread.start()
    said = []
    for words in (("--state", "close-wait"), ("--finding", "deaf"), ()) * 2:
        said.append(end("--port", port, "--json", *words)[1])
    tap.check("a half-close that answers now and then is in no plan",
              all('"connections":[]' in s for s in said), "\n".join(said))
    status, name_said = end(owner, "--yes")
    tap.check("nor ended by name", status == 1 and "--force" in name_said and is_open(pair), name_said)
    status, peer_said = end(pair.ids()[1], "--yes")
    tap.check("nor from the other end", status == 1 and "--force" in peer_said and is_open(pair), peer_said)
    stop.set()
    thread.join()
    pair.close()


def logs_that_cannot_be(listener, scratch):
    pair = found(Pair(listener).half_close())
    owner, _ = pair.ids()
    os.symlink(f"{scratch}/elsewhere", f"{scratch}/link")
    os.mkfifo(f"{scratch}/fifo")
    for name, word in (("link", "is a symbolic link"), ("fifo", ""), (".", ""),
                       ("no/such/folder", "No such file")):
        status, said = end(owner, "--yes", log=f"--log {scratch}/{name}")
        tap.check(f"a log that is {name}: nothing is done", status == 1 and is_open(pair)
                  and "nothing is done without one" in said and word in said, said)
    status, said = end(owner, "--yes", log=f"--log {scratch}/full",
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    tap.check("a log that is full: nothing is done", status == 1 and is_open(pair)
              and "the log cannot be written" in said, said)
    tap.check("nothing was made behind the link", not os.path.exists(f"{scratch}/elsewhere"))
    pair.close()


def records(path):
    """(the lines of a log that are JSON, the others)"""
    good, bad = [], []
    for line in open(path, encoding="utf-8"):
        try:
            good.append(json.loads(line))
        except ValueError:
            bad.append(line)
    return good, bad


def a_log_that_runs_full(listener, scratch):
    log, port = f"{scratch}/small.log", listener.getsockname()[1]
    leaks, keeper = leak(listener, 3)
    of_id = {cookie(pair.owner): pair for pair in leaks}
    plan = lambda: json.loads(end("--json", "--finding", "deaf", "--port", port)[1])["connections"]
    wait_until(lambda: len(plan()) == 3)
    def act(room):
        limit = (os.path.getsize(log) if os.path.exists(log) else 0) + room
        return end("--finding", "deaf", "--port", port, "--yes", log=f"--log {log}",
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    status, said = act(80)  # the beginning, and a piece of the first line
    tap.check("a log that is full after its beginning: nothing is touched", status == 1
              and all(is_open(p) for p in leaks) and said.count("cannot be written") == 1
              and said.count("(not touched)") == 3 and "not logged" not in said, said)
    good, bad = records(log)
    tap.check("a line was cut off", len(good) == 1 and "begin" in good[0] and len(bad) == 1, bad)
    status, said = act(1 << 20)
    good, bad = records(log)
    tap.check("the next line begins anew", status == 0 and len(bad) == 1 and len(good) == 8, (good, bad))
    tap.check("all are ended then", not any(is_open(p) for p in leaks), said)
    intents = [line for line in open(log, encoding="utf-8") if "about_to" in line]
    tap.check("each has a line before and one after", sorted(of_id)
              == sorted(json.loads(line)["id"] for line in intents)
              == sorted(r["id"] for r in good if "outcome" in r), good)
    for pair in leaks:
        pair.close()
    keeper.stop()
    # Room for the beginning and one and a half of the lines before.
    os.remove(log)
    leaks, keeper = leak(listener, 3)
    of_id = {cookie(pair.owner): pair for pair in leaks}
    wait_until(lambda: len(plan()) == 3)
    status, said = act(len(json.dumps(good[0])) + len(intents[0]) * 3 // 2)
    good, bad = records(log)
    ended = [number for number, pair in of_id.items() if not is_open(pair)]
    tap.check("a log that runs full: only what it has is touched", status == 1 and len(ended) == 1
              and ended == [r["id"] for r in good if "about_to" in r], (ended, good, said))
    tap.check("what came of it is said instead", re.findall(r'not logged: .*"id":(\d+).*"outcome"', said)
              == [str(number) for number in ended] and said.count("(not touched)") == 2, said)
    status, said = act(1 << 20)
    good, bad = records(log)
    tap.check("later the others are", status == 0 and len(bad) == 1 and sorted(of_id)
              == sorted(r["id"] for r in good if "about_to" in r), (good, bad))
    for pair in leaks:
        pair.close()
    keeper.stop()


# ---- many

def filters(listener):
    healthy = Pair(listener)
    leaks, keeper = leak(listener, 5)
    port = listener.getsockname()[1]
    def fits(*words):
        status, said = end("--json", "--port", port, *words)
        return len(json.loads(said)["connections"]) if status == 0 else said
    tap.check("leaks are found", wait_until(lambda: fits("--finding", "deaf") == 5),
              fits("--finding", "deaf"))
    tap.check("--older: none is", fits("--finding", "deaf", "--older", "1h") == 0)
    tap.check("--limit", fits("--finding", "deaf", "--limit", "2") == 2)
    tap.check("--program", fits("--finding", "deaf", "--program", "python*") == 5)
    tap.check("--program of another", fits("--finding", "deaf", "--program", "nginx") == 0)
    tap.check("--pid", fits("--finding", "deaf", "--pid", os.getpid()) == 5)
    tap.check("another finding", fits("--finding", "unread") == 0)
    tap.check("a port alone means what needs attention", fits() == 5, fits())
    status, said = end("--finding", "deaf", "--port", port)
    tap.says("many are a table", said, "Steps", "wr, rst", "5 connections would be ended",
             f"--finding deaf --port {port} --yes")
    status, said = end("--finding", "deaf", "--port", port, "--yes")
    tap.check("all of them end", status == 0 and "5 ended" in said
              and not any(is_open(p) for p in leaks), said)
    tap.check("the healthy one does not", is_open(healthy))
    status, said = end("--finding", "deaf", "--port", port, "--yes")
    tap.check("then none fits", status == 0 and "No connection fits" in said, said)
    for pair in [healthy, *leaks]:
        pair.close()
    keeper.stop()


# ---- the guard

class Guard:
    """A running guard and what it says."""
    def __init__(self, policy, *words, **more):
        args = [LASTACK, "end", "--stack", "kernel", "--here", "--no-bpf", "--policy", policy,
                "--watch", "--every", "1s", *words]
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, **more)
        self.said = ""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.said += line

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        wait_until(lambda: "since the last summary" in self.said)
        return status


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def policies(listener, scratch):
    path = f"{scratch}/policy"
    write(path, "# all is well\n\nend finding=nonsense\n")
    status, said = end("--policy", path)
    tap.check("a bad line: file, line, sentence", status == 2
              and f'{path}:3: there is no finding "nonsense"' in said, said)
    os.chmod(path, 0o666)
    status, said = end("--policy", path)
    tap.check("a policy that everybody may write is none", status == 2 and "chmod o-w" in said, said)
    os.chmod(path, 0o644)
    leaks, keeper = leak(listener, 3)
    write(path, "keep port=22\nend finding=deaf older=0s max=wr\n")
    wait_until(lambda: "Now 3 would be ended" in end("--policy", path)[1])
    status, said = end("--policy", path)
    tap.says("without --watch it shows what it would do", said, "would end", "line 2",
             "Now 3 would be ended")
    tap.check("and does nothing", status == 0 and all(is_open(p) for p in leaks))
    status, said = end("--policy", path, "--yes")
    tap.check("it acts with --watch only", status == 2, said)
    guard = Guard(path, "--dry-run")
    tap.check("a dry run says what it would do", wait_until(lambda: guard.said.count("would end") == 3),
              guard.said)
    tap.check("and does nothing at all", guard.stop() == 0 and all(is_open(p) for p in leaks),
              guard.said)
    for pair in leaks:
        pair.close()
    keeper.stop()


def a_guard_at_work(listener, scratch):
    path, log = f"{scratch}/policy", f"{scratch}/guard.log"
    leaks, keeper = leak(listener, 5)
    healthy = Pair(listener)
    open_cnt = lambda: sum(is_open(p) for p in leaks)
    write(path, "end finding=deaf older=0s max=wr limit=2/h\n")
    guard = Guard(path, "--log", log)
    tap.check("the limit is reached", wait_until(lambda: open_cnt() == 3), guard.said)
    time.sleep(2.5)  # two more looks, in which nothing may happen
    tap.check("and kept", open_cnt() == 3, guard.said)
    write(path, "end nonsense\n")
    guard.process.send_signal(signal.SIGHUP)
    tap.check("a bad policy is not taken", wait_until(lambda: "the old rules stay" in guard.said),
              guard.said)
    write(path, "end finding=deaf older=0s max=wr limit=100/min\n")
    guard.process.send_signal(signal.SIGHUP)
    tap.check("a good one is", wait_until(lambda: open_cnt() == 0), guard.said)
    tap.check("it ends in order, with a summary", guard.stop() == 0
              and "5 ended" in guard.said, guard.said)
    lines = [json.loads(line) for line in open(log, encoding="utf-8")]
    deeds = [line for line in lines if "outcome" in line]
    tap.check("the log has each once, with its rule", len(deeds) == 5
              and sorted(d["id"] for d in deeds) == sorted(cookie(p.owner) for p in leaks)
              and all(d["rule"] == 1 for d in deeds), lines)
    tap.check("the healthy one was not touched", is_open(healthy))
    for pair in [healthy, *leaks]:
        pair.close()
    keeper.stop()


def a_guard_without_a_log(listener, scratch, room):
    path = f"{scratch}/policy"
    leaks, keeper = leak(listener, 1)
    write(path, "end finding=deaf older=0s max=wr\n")
    guard = Guard(path, "--log", f"{scratch}/never{room}",
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    tap.check(f"a log that is full after {room} bytes is said", wait_until(lambda: "the log cannot be written" in guard.said),
              guard.said)
    time.sleep(2.5)
    tap.check("once, and nothing is done", guard.said.count("cannot be written") == 1
              and is_open(leaks[0]), guard.said)
    tap.check("and it lives on", guard.process.poll() is None and guard.stop() == 0)
    leaks[0].close()
    keeper.stop()


def main():
    enter_namespace()
    listener = listen()
    with tempfile.TemporaryDirectory() as scratch:
        plan_and_deed(listener, scratch)
        by_address(listener)
        the_whole_ladder(listener)
        a_polite_peer(listener)
        one_step(listener)
        nobody_has_it(listener)
        refusals(listener)
        seldom(listener)
        logs_that_cannot_be(listener, scratch)
        a_log_that_runs_full(listener, scratch)
        filters(listener)
        policies(listener, scratch)
        a_guard_at_work(listener, scratch)
        a_guard_without_a_log(listener, scratch, 0)
        a_guard_without_a_log(listener, scratch, 80)
    tap.done()


if __name__ == "__main__":
    main()
