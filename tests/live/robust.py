# SPDX-License-Identifier: BSD-2-Clause
"""The doctor among crowds, the dying and the unprivileged: clear output, exit status 0 or 1, bounded
memory, in TAP.

    robust.py [--sockets N] LASTACK FAULTS CROWD [CASE...]     N: 20000 if not said
"""
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

from play import Play, command_alone, end_politely, namespaces_here
from room import Failure, Room, wait_for

ACROSS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "across.py")
SERIOUS = ("attention", "problem")
FIXED_KB, SOCKET_KB = 64 * 1024, 5 # what a look may take: in any case, and for each socket
GROUPS = 3 # at most, for leaks that are all alike; a recorder may know of some what it has lost of others
LOOKS, LOOKS_S = 8, 20
# The peak of a child counts what its parent took before exec: one that is small stands in between.
MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as peak:
    peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""
# The plain leak; a recorder that runs on this machine knows more of it.
LEAK = ("end-consumed", "end-seen")


class Answer:
    """Of one `lastack ...`: status, words; memory at its largest if `through` asks for it."""

    def __init__(self, world, arguments, through=(), **more):
        command = [*through, world.lastack, *arguments]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            self.status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                         env=dict(os.environ, LASTACK_DIR=world.scratch),
                                         check=False, **more).returncode
            self.max_kb = None
            out.seek(0)
            err.seek(0)
            self.text = out.read().decode(errors="replace")
            self.error = err.read().decode(errors="replace")
        self.name = " ".join(["lastack", *arguments])

    def must(self, condition, what):
        """Or all of it is shown."""
        if not condition:
            raise Failure(f"{self.name}: {what}; status {self.status}, {self.max_kb} KB\n"
                          f"{self.text[:1500]}\n{self.error[:1000]}")

    def good(self):
        """It looked and could say."""
        self.must(self.status in (0, 1), "0 or 1 is the answer")
        return self

    def findings(self):
        """Of --json."""
        self.good()
        try:
            return json.loads(self.text)["findings"]
        except (ValueError, KeyError) as error:
            raise Failure(f"{self.name}: not JSON: {error}: {self.text[:300]}") from error


class World:
    """What all cases have."""

    def __init__(self, lastack, faults, crowd, sockets):
        self.scratch = tempfile.mkdtemp(prefix="lastack-robust-")
        os.chmod(self.scratch, 0o755)
        self.lastack = shutil.copy(lastack, f"{self.scratch}/lastack") # within reach of nobody
        self.faults, self.crowd_program, self.sockets = faults, crowd, sockets
        self.plays = []

    def play(self, command):
        """Until it is ready."""
        play = Play(None, command)
        self.plays.append(play)
        wait_for(f"{command} to be ready {play.errors}",
                 lambda: play.ready_at is not None or play.child.poll() is not None, 120)
        if play.ready_at is None:
            raise Failure(f"{command}: {play.errors}")
        return play

    def crowd(self, mode, count):
        """In a namespace of its own."""
        return self.play(command_alone([self.crowd_program, mode, str(count)]))

    def ask(self, *arguments, **more):
        """`lastack ARGUMENTS`."""
        return Answer(self, list(arguments), **more)

    def ask_inside(self, play, *arguments):
        """The same in the namespace of a play, measured: nobody else's sockets count."""
        peak = f"{self.scratch}/peak"
        answer = self.ask(*arguments, "--here", through=[
            "nsenter", "-t", str(play.child.pid), "-n", "--", sys.executable, "-c", MEASURED, peak])
        with open(peak, encoding="ascii") as file:
            answer.max_kb = int(file.read())
        return answer

    def rest(self):
        """End the players."""
        for play in self.plays:
            play.stop()
        self.plays = []


def of(play, findings):
    """Those of this namespace."""
    return [f for f in findings if f["stack"] == play.stack]


def serious(findings):
    """What would worry somebody."""
    return [f["code"] + ": " + f["sentence"] for f in findings if f["severity"] in SERIOUS]


def many_sockets(world):
    """Thousands, every fourth a leak: one piece of news, all counted, in bounded memory."""
    leaks = world.sockets // 4
    play = world.crowd("leak", world.sockets // 2)
    def all_said():
        answer = world.ask_inside(play, "why", "--stack", "kernel", "--json")
        world.last = answer
        found = [f for f in answer.findings() if f["state"] == "CLOSE-WAIT" and f["severity"] in SERIOUS]
        return len({f["id"] for f in found}) == leaks
    wait_for(f"{leaks} findings", all_said)
    seen = json.loads(world.last.text)["summary"]["looked_at"]
    world.last.must(world.sockets <= seen < world.sockets + 100, f"looked at {seen}")
    bound = FIXED_KB + seen * SOCKET_KB
    world.last.must(world.last.max_kb < bound, f"more than {bound} KB")
    groups = json.loads(world.last.text)["groups"]
    world.last.must(len(groups) <= GROUPS and sum(g["count"] for g in groups) >= leaks,
                    f"{leaks} leaks are not counted in {GROUPS} groups")
    text = world.ask_inside(play, "why", "--stack", "kernel", "--program", "crowd").good()
    text.must(text.status == 1, "1, for there are leaks")
    text.must(text.max_kb < bound, f"more than {bound} KB")
    text.must(text.text.count("\n") < 40, "too many lines for a person")
    print(f"# {seen} sockets: {world.last.max_kb} KB with JSON, {text.max_kb} KB without")


def many_healthy(world):
    """A quarter as many, nothing wrong: nothing is said."""
    play = world.crowd("idle", world.sockets // 8)
    for _ in range(3):
        wrong = serious(of(play, world.ask("why", "--stack", "kernel", "--json").findings()))
        if wrong:
            raise Failure(f"{len(wrong)}: {wrong[:3]}")


def looks_at(world, play, *arguments):
    """Many looks at what comes and goes; fewer on a machine that is busy."""
    end = time.monotonic() + LOOKS_S
    for turn in range(LOOKS):
        if turn >= 2 and time.monotonic() > end:
            break
        answer = world.ask("why", "--json", "--stack", "kernel", *arguments)
        wrong = serious(of(play, answer.findings()))
        answer.must(not wrong, f"healthy sockets are blamed: {wrong[:3]}")


def sockets_vanish(world):
    """While it looks, connections come and go."""
    play = world.crowd("churn", 12)
    looks_at(world, play)
    looks_at(world, play, "--no-bpf")


def numbers_come_again(world):
    """While it looks, processes die and others are born with their numbers."""
    play = world.crowd("storm", 12)
    looks_at(world, play)
    looks_at(world, play, "--no-bpf")


def processes_end(world):
    """While it looks, whole crowds are killed."""
    for turn in range(3):
        world.crowd("idle", 1500)
        lookers = [subprocess.Popen([world.lastack, "why", "--stack", "kernel", "--json"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for _ in range(2)]
        world.rest()
        for looker in lookers:
            error = looker.communicate(timeout=120)[1]
            if looker.returncode not in (0, 1):
                raise Failure(f"turn {turn}: status {looker.returncode}: {error}")


def without_bpf(world):
    """The plain leak is found with sock_diag and /proc alone."""
    play = world.play(command_alone([world.faults, "end-ignored"]))
    wait_for("the finding", lambda: any(
        f["code"] in LEAK for f in of(play, world.ask(
            "why", "--no-bpf", "--json", "--stack", "kernel").findings())))


def as_nobody(world):
    """Own processes only, and it says what it could not see."""
    user = pwd.getpwnam("nobody")
    play = world.play(command_alone([world.faults, "end-ignored"]))
    who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    for arguments in (["why", "--stack", "kernel"], ["ss", "-p", "--stack", "kernel"],
                      ["why", "--stack", "kernel", "--json"]):
        answer = world.ask(*arguments, **who).good()
        answer.must("root" in answer.text + answer.error or "privilege" in answer.text + answer.error,
                    "it does not say what it could not see")
    wrong = serious(of(play, world.ask("why", "--stack", "kernel", "--json", **who).findings()))
    if wrong:
        raise Failure(f"blamed without being seen: {wrong}")


def namespace_with_name(world):
    """A finding elsewhere says where."""
    name = f"live-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        world.play(["ip", "netns", "exec", name, world.faults, "end-ignored"])
        wait_for(f"a finding of kernel@{name}", lambda: any(
            f["stack"] == f"kernel@{name}" and f["code"] in LEAK for f in world.ask(
                "why", "--json", "--stack", "kernel").findings()))
        here = world.ask("why", "--json", "--stack", "kernel", "--here").findings()
        if any(f["stack"] != "kernel" for f in here):
            raise Failure("--here looks elsewhere")
        world.rest()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    world.ask("why", "--stack", "kernel").good()


def both_ends_and_a_cut(world):
    """Ends in two namespaces name each other; when the link is cut, data is told to be unanswered."""
    rooms = []
    try:
        for side in ("a", "b"):
            os.mkdir(f"{world.scratch}/{side}")
            rooms.append(Room(f"{world.scratch}/{side}"))
        here, there = rooms
        here.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns",
                  str(there.holder.pid)])
        for room, address in ((here, "10.77.0.1/24"), (there, "10.77.0.2/24")):
            room.run(["ip", "address", "add", address, "dev", "v0"])
            room.run(["ip", "link", "set", "v0", "up"])
        server = Play(None, here.inside([sys.executable, ACROSS, "listen", "10.77.0.1"]))
        world.plays.append(server)
        wait_for("the listener", lambda: "listener" in server.processes)
        world.play(there.inside([sys.executable, ACROSS, "dial", "10.77.0.1"]))
        wait_for("a finding that names the other end", lambda: any(
            f["stack"] == there.stack and f["code"] == "fin-wait-held" and f["severity"] == "note"
            and here.stack in " ".join(f["evidence"])
            for f in world.ask("why", "--all", "--json", "--stack", "kernel").findings()))
        there.run(["ip", "link", "set", "v0", "down"])
        server.child.stdin.write("go\n")
        server.child.stdin.flush()
        wait_for("a finding about the cut", lambda: any(
            f["stack"] == here.stack and f["code"] == "fin-unanswered" for f in world.ask(
                "why", "--all", "--json", "--stack", "kernel").findings()))
    finally:
        world.rest()
        for room in rooms:
            room.close()


def no_room_for_words(world):
    """A full disk is said, not overlooked."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([world.lastack, "ss", "--stack", "kernel", "--all"],
                              stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                              check=False, timeout=120)
    if done.returncode != 2 or not done.stderr:
        raise Failure(f"/dev/full: status {done.returncode}, {done.stderr}")


def few_descriptors(world):
    """With eight descriptors it says so, or manages."""
    done = subprocess.run(["sh", "-c", 'ulimit -n 8; exec "$0" why --stack kernel', world.lastack],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, timeout=120)
    if done.returncode not in (0, 1, 2) or done.returncode == 2 and not done.stderr:
        raise Failure(f"status {done.returncode}, {done.stderr}")


CASES = (many_sockets, many_healthy, sockets_vanish, numbers_come_again, processes_end, without_bpf,
         as_nobody, namespace_with_name, both_ends_and_a_cut, no_room_for_words, few_descriptors)


def main():
    """TAP of all, or of those named."""
    words, sockets = sys.argv[1:], 20000
    end_politely()
    if words[0] == "--sockets":
        sockets, words = int(words[1]), words[2:]
    if os.getuid() != 0 or not namespaces_here():
        print("1..0 # SKIP no network namespace here")
        return
    world = World(*map(os.path.abspath, words[:3]), sockets)
    cases = [case for case in CASES if not words[3:] or case.__name__ in words[3:]]
    print(f"1..{len(cases)}")
    failed = False
    try:
        for number, case in enumerate(cases, 1):
            try:
                case(world)
                print(f"ok {number} - {case.__name__}: {case.__doc__}", flush=True)
            except (Failure, OSError, subprocess.SubprocessError) as error:
                failed = True
                print(f"not ok {number} - {case.__name__}: {case.__doc__}")
                print("\n".join(f"# {line}" for line in str(error).splitlines()), flush=True)
            world.rest()
    finally:
        world.rest()
        shutil.rmtree(world.scratch, ignore_errors=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
