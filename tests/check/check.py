# SPDX-License-Identifier: BSD-2-Clause
"""`lastack check` on programs that end their connections, and on programs that do not, in TAP.

    check.py LASTACK SUBJECT SUBJECT.C lines|no-lines [NAME...]
"""
import json
import os
import pty
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree

LASTACK, SUBJECT, SOURCE = (os.path.abspath(a) for a in sys.argv[1:4])
WITH_LINES = sys.argv[4] == "lines"
LEAKY_PY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaky.py")
PATIENCE_S = 120


class Skip(Exception):
    """Cannot run here, and why."""


def check(good, what):
    """Fail with a sentence."""
    if not good:
        raise AssertionError(what)


def equal(got, wanted, what):
    """The same value."""
    check(got == wanted, f"{what}: {got!r}, not {wanted!r}")


class Ground:
    """A folder of its own, and what runs in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="lastack-check-")

    def path(self, name):
        """Of a file here."""
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        """A file; its path."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def run(self, program, options=(), **more):
        """Status, output, errors of `lastack check OPTIONS -- PROGRAM`."""
        return plain([LASTACK, "check", *options, "--", *program], **more)

    def subject(self, name, options=(), **more):
        """The report (JSON) on one of subject.c's programs, and the exit status."""
        return self.report([SUBJECT, name], options, **more)

    def report(self, program, options=(), **more):
        """The same of any program."""
        path = self.path("report.json")
        if os.path.exists(path):
            os.unlink(path)
        status, out, err = self.run(program, ["--json", "-o", path, *options], **more)
        check(os.path.exists(path), f"no report; status {status}: {out}{err}")
        with open(path, encoding="utf-8") as file:
            return json.load(file), status


def plain(command, **more):
    """Status, output, errors of a command."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                          **{"stdin": subprocess.DEVNULL, **more})
    return done.returncode, done.stdout, done.stderr


def line_of(mark, path=SOURCE):
    """The number of the line that is marked LINE:mark."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if re.search(f"LINE:{mark}( |$)", line):
                return number
    raise AssertionError(f"no line is marked {mark}")


def near(site, function, mark):
    """A place is this line (an optimizer may put it one off)."""
    if not WITH_LINES:
        return
    check(isinstance(site, dict), f"no place: {site!r}")
    equal(site["function"], function, "function")
    check(site["file"].endswith("subject.c"), f"file {site['file']}")
    check(abs(site["line"] - line_of(mark)) <= 1, f"line {site['line']}, not {line_of(mark)}")


def only_leak(report, code, count=1):
    """The one leak of a report."""
    equal([(leak["code"], leak["count"]) for leak in report["leaks"]], [(code, count)], "leaks")
    equal(report["leaked"], count, "number of leaked connections")
    return report["leaks"][0]


# ---- nothing leaks ----

CLEAN = {"clean": 6, "clean-shutdown": 2, "clean-fork": 2, "clean-heir": 2, "clean-refused": 0,
         "clean-others": 0, "clean-exec": 2, "clean-inetd": 2, "clean-shared-table": 2,
         "clean-message": 2, "clean-thread-exec": 6, "clean-threads": 160, "clean-forks": 726}


def clean_program(name):
    """A test for a program that ends everything."""
    def test(ground):
        report, status = ground.subject(name)
        equal(report["leaks"], [], "leaks")
        equal(status, 0, "exit status")
        equal(report["connections"], CLEAN[name], "connections")
        equal(report["complete"], True, "complete")
        equal(report["notes"], [], "notes")
    test.__name__ = name.replace("-", "_")
    return test


def forks_are_counted(ground):
    """Every process of a tree that grows quickly."""
    report, _ = ground.subject("clean-forks")
    equal(report["processes"], 1 + 3 + 9 + 27 + 81 + 243, "processes")


def ten_thousand(ground):
    """Ends of 5,000 connections."""
    report, status = ground.subject("clean-many")
    equal((report["connections"], report["leaked"], status), (10000, 0, 0), "connections")


def silence_and_a_word(ground):
    """One line if nothing leaked; none with --quiet."""
    status, out, err = ground.run([SUBJECT, "clean"])
    equal((status, out), (0, ""), "status and output")
    equal(err, "lastack check: no connection leaked (6 accepted or connected, in 1 process)\n", "errors")
    equal(ground.run([SUBJECT, "clean"], ["--quiet"]), (0, "", ""), "with --quiet")


def from_outside(ground):
    """A connection that was there before the program is none of its business."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    report, status = ground.report(["/bin/cat", "/dev/null"], stdin=client)
    equal((report["leaks"], status), ([], 0), "leaks")
    client.close()
    server.close()


# ---- leaks ----

def error_path(ground):
    """One of three is forgotten: the line of its birth, and where the others are closed."""
    report, status = ground.subject("error-path")
    leak = only_leak(report, "open-at-exit")
    equal(status, 1, "exit status")
    facts = leak["facts"]
    near(facts.get("born_at"), "server_accept", "accept")
    near(facts.get("sibling_close_at"), "conversation_end", "close")
    if WITH_LINES:
        equal((facts["sibling_cnt"], facts["sibling_closed_cnt"]), (2, 2), "siblings")
    equal(facts["state"], "CLOSE-WAIT", "state")
    equal(facts["holders"][0]["origin"], "accept", "origin")


def end_read(ground):
    """The end of the stream was read, and nobody closed."""
    leak = only_leak(ground.subject("end-read")[0], "end-consumed")
    near(leak["facts"].get("born_at"), "server_accept", "accept")


def end_unread(ground):
    """The end came long before the exit."""
    leak = only_leak(ground.subject("end-unread")[0], "unread-end")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    equal(leak["certain"], True, "certain")


def client_open(ground):
    """The end that connected."""
    leak = only_leak(ground.subject("client-open")[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "client_open", "connect")


def child_exit(ground):
    """A child leaves the closing of what it inherited to its exit."""
    leak = only_leak(ground.subject("child-exit")[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    holder = leak["facts"]["holders"][0]
    equal(holder["origin"], "fork", "origin")
    check(holder["pid"] != leak["facts"]["creator_pid"], "the child is the holder")
    near(leak["facts"]["closes"][0]["at"], "conversation_end", "close")


def exec_heir(ground):
    """A program that was started kept the descriptor; its birth is known all the same."""
    leak = only_leak(ground.subject("exec-heir")[0], "heir-holds")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    holder = leak["facts"]["holders"][0]
    equal((holder["program"], holder["origin"]), ("cat", "exec"), "holder")


def dup(ground):
    """The second descriptor stayed."""
    leak = only_leak(ground.subject("dup")[0], "dup-holds")
    near(leak["facts"].get("born_at"), "server_accept", "accept")


def moved_back(ground):
    """A connection that was moved away from its number and back is open."""
    report, status = ground.subject("moved-back")
    leak = only_leak(report, "dup-holds")
    equal((status, report["connections"]), (1, 2), "exit status, connections")
    near(leak["facts"].get("born_at"), "server_accept", "accept")


def not_blocking(ground):
    """Born where connect() was called, not where it was waited for."""
    leak = only_leak(ground.subject("not-blocking")[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "run_not_blocking", "not-blocking")


def families(ground):
    """IPv6, and IPv4 in a socket of IPv6."""
    for name, local in (("ip6", "[::1]:"), ("mapped", "127.0.0.1:")):
        status, _, _ = plain([SUBJECT, name])
        if status == 96:
            continue # no IPv6 here
        leak = only_leak(ground.subject(name)[0], "open-at-exit")
        check(leak["examples"][0].startswith(local), leak["examples"])
        near(leak["facts"].get("born_at"), "server_accept", "accept")
        equal(leak["facts"]["fin_consumed"], False, "the FIN that nobody read")


def thread(ground):
    """Born in a thread that is gone."""
    leak = only_leak(ground.subject("thread")[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "client_open", "connect")
    if WITH_LINES:
        check("leave_open" in leak["facts"]["born_at"]["stack"], "its caller is in the stack")


def first_thread_gone(ground):
    """The thread that is asked in /proc has ended before the others."""
    leak = only_leak(ground.subject("first-thread-gone")[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "client_open", "connect")


def own_tracer(ground):
    """A program that stops its own threads with ptrace, as LeakSanitizer does, can do so."""
    report, status = ground.subject("own-tracer")
    leak = only_leak(report, "open-at-exit")
    near(leak["facts"].get("born_at"), "client_open", "connect")
    equal((status, report["processes"], report["notes"]), (1, 1, []), "status, processes, notes")


def many_leaks(ground):
    """A hundred that are alike are one (or two, where it took so long that some count as unread)."""
    report, _ = ground.subject("many-leaks")
    equal(report["leaked"], 100, "leaked")
    check(len(report["leaks"]) <= 2, "groups")
    leak = report["leaks"][-1]
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    near(leak["facts"].get("sibling_close_at"), "conversation_end", "close")
    if WITH_LINES:
        equal(leak["facts"]["sibling_closed_cnt"], 300, "siblings that were closed")


def both_ends(ground):
    """One connection, reported once."""
    leak = only_leak(ground.subject("both-ends")[0], "open-at-exit")
    equal(leak["other_end_too"], 1, "other ends")


def daemon(ground):
    """What outlives the program, and holds."""
    report, status = ground.subject("daemon", ["--kill", "--grace", "1.5"])
    leak = only_leak(report, "unread-end")
    equal((leak["alive"], status), (True, 1), "alive, status")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    check("still ran" in report["notes"][0] and "killed" in report["notes"][0], report["notes"])


def gone(pid):
    """True once there is no such process (or only its remains)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def await_that(condition, what):
    """Poll with patience."""
    for _ in range(PATIENCE_S * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def daemons_are_killed(ground):
    """--kill leaves nobody."""
    report, _ = ground.subject("daemon", ["--kill", "--grace", "0"])
    pid = report["leaks"][0]["facts"]["holders"][0]["pid"]
    await_that(lambda: gone(pid), f"{pid} lives")


def daemons_go_on(ground):
    """Without --kill a daemon works as before: calls that the filter stops have an answer."""
    status, out, err = ground.run([SUBJECT, "daemon-works"], ["--grace", "0"])
    equal(status, 0, f"status ({err})")
    port, pid = (int(word) for word in out.split())
    check("still ran" in err, err)
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    equal(client.recv(100), b"still here", "what the daemon says")
    client.close()
    await_that(lambda: gone(pid), f"{pid} lives")


def message(ground):
    """The last reference is a message that nobody receives: only the exit dropped it."""
    leak = only_leak(ground.subject("message")[0], "held-by-message")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    near(leak["facts"]["closes"][0]["at"], "conversation_end", "close")
    equal((leak["facts"]["holders"][0]["kind"], leak["facts"]["state"]), ("message", "CLOSE-WAIT"), "holder, state")
    leak = only_leak(ground.subject("message-of-child")[0], "held-by-message")
    near(leak["facts"].get("born_at"), "client_open", "connect")
    only_leak(ground.subject("message", ["--fast"])[0], "held-by-message")


def elsewhere(ground):
    """In another network namespace it is seen, too, what was read."""
    for name, code in (("elsewhere", "unread-data"), ("elsewhere-read", "end-consumed")):
        if plain([SUBJECT, name])[0] == 96:
            raise Skip("no network namespace of one's own here")
        leak = only_leak(ground.subject(name)[0], code)
        near(leak["facts"].get("born_at"), "server_accept", "accept")
        equal(leak["facts"]["receive_queue"], 0 if name.endswith("read") else 5, "bytes that were not read")


def elsewhere_as_nobody(ground):
    """The same, where the namespace belongs to a user namespace of the program's."""
    status, out, err = as_nobody(ground, "elsewhere")
    if status == 96:
        raise Skip("no network namespace of one's own here")
    equal(status, 1, f"status ({err})")
    only_leak(json.loads(out), "unread-data")


def fast(ground):
    """Without a look at close(): the same leaks, less about them."""
    leak = only_leak(ground.subject("error-path", ["--fast"])[0], "open-at-exit")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    equal(leak["facts"].get("sibling_close_at"), None, "where siblings are closed")


def python_program(ground):
    """The line is one of the program, not of the interpreter, nor of its library."""
    leak = only_leak(ground.report([sys.executable, LEAKY_PY])[0], "open-at-exit")
    check(leak["facts"]["holders"][0]["program"].startswith("python"), "holder")
    if (3, 11) <= sys.version_info < (3, 14) and sys.implementation.name == "cpython":
        born = leak["facts"]["born_at"]
        equal((born["function"], os.path.basename(born["file"]), born["line"]),
              ("forget", "leaky.py", line_of("python", LEAKY_PY)), "place")
        check("create_connection " in born["stack"], "the library is in the stack")
        check("<module> " in born["stack"], "its caller is in the stack")


# ---- what does not count ----

def killed(ground):
    """Who is killed had no chance; --killed insists."""
    report, status = ground.subject("killed")
    equal((report["leaks"], report["killed"], status), ([], 2, 128 + signal.SIGTERM), "killed")
    check("--killed" in report["notes"][0], report["notes"])
    report, status = ground.subject("killed", ["--killed"])
    only_leak(report, "open-at-exit")
    equal(status, 128 + signal.SIGTERM, "status")


def ignore_open(ground):
    """--ignore-open-at-exit: what was in use until the exit, but not what had lingered."""
    report, status = ground.subject("client-open", ["--ignore-open-at-exit"])
    equal((report["leaks"], report["ignored"], status), ([], 1, 0), "client-open")
    report, status = ground.subject("end-unread", ["--ignore-open-at-exit"])
    only_leak(report, "unread-end")


def suppressions(ground):
    """By function, file, program, port and code; what matches nothing is noted."""
    for line in ("function:server_accept", "function:run_end_*", "file:subject.c", "file:*/subject.c",
                 "program:check-subj*", "code:unread-*", "code:unread-end  file:subject.c # known"):
        if not WITH_LINES and re.search("function|file", line):
            continue
        path = ground.write("known", f"# known leaks\n\n{line}\n")
        report, status = ground.subject("end-unread", ["--suppress", path])
        equal((report["leaks"], report["suppressed"], status), ([], 1, 0), line)
        equal(report["notes"], [], "notes")
    path = ground.write("known", "function:other\ncode:unread-end port:1\n")
    report, status = ground.subject("end-unread", ["--suppress", path])
    only_leak(report, "unread-end")
    equal(len(report["notes"]), 2, "notes of what matched nothing")
    check("known:1" in report["notes"][0] and "known:2" in report["notes"][1], report["notes"])


# ---- statuses ----

def statuses(ground):
    """The program's own comes first."""
    equal(ground.run(["/bin/true"])[0], 0, "true")
    equal(ground.run([SUBJECT, "exit7"])[0], 7, "exit 7")
    equal(ground.run([SUBJECT, "exit7-leak"])[0], 7, "exit 7 with a leak")
    equal(ground.run([SUBJECT, "segv"])[0], 128 + signal.SIGSEGV, "killed")
    equal(ground.run([SUBJECT, "client-open"])[0], 1, "leak")
    equal(ground.run([SUBJECT, "client-open"], ["--exit-code", "33"])[0], 33, "--exit-code 33")
    equal(ground.run([SUBJECT, "client-open"], ["--exit-code", "0"])[0], 0, "--exit-code 0")


def killed_in_exec(ground):
    """A damaged program: the kernel kills who begins to run it."""
    path = ground.path("damaged")
    shutil.copy(SUBJECT, path)
    with open(path, "r+b") as file:
        head = bytearray(file.read(4096))
        at, size, count = (int.from_bytes(head[o:o + n], "little") for o, n in ((32, 8), (54, 2), (56, 2)))
        loads = [o for o in range(at, at + size * count, size) if head[o:o + 4] == b"\1\0\0\0"]
        head[loads[-1] + 16:loads[-1] + 24] = (0x7fffffff0000 << 12).to_bytes(8, "little") # its address
        file.seek(0)
        file.write(head)
    killer = -plain([path, "exit7"])[0]
    check(killer > 0, f"the kernel runs it: {killer}")
    status, _, err = ground.run([path, "exit7"])
    equal(status, 128 + killer, f"status ({err})")
    check("before its first instruction" in err, err)


def wrong_usage(ground):
    """2, or what a shell says of programs that cannot be run; a sentence each."""
    def says(result, status, word):
        equal(result[0], status, f"status of {result[2]!r}")
        check(word in result[2], f"{word!r} is not in {result[2]!r}")
    says(plain([LASTACK, "check"]), 2, "which program")
    says(ground.run(["true"], ["--frobnicate"]), 2, "frobnicate")
    says(ground.run(["true"], ["--grace", "long"]), 2, "long")
    says(ground.run(["true"], ["--exit-code", "256"]), 2, "256")
    says(ground.run(["true"], ["-o", "/no/such/folder/file"]), 2, "/no/such/folder/file")
    says(ground.run(["true"], ["--junit", "/no/such/folder/file"]), 2, "/no/such/folder/file")
    says(ground.run(["true"], ["--suppress", "/no/such/file"]), 2, "/no/such/file")
    path = ground.write("known", "function:fine\nnonsense\n")
    says(ground.run(["true"], ["--suppress", path]), 2, "known:2")
    says(ground.run(["no-such-program"]), 127, "PATH")
    says(ground.run(["/no/such/program"]), 127, "/no/such/program")
    says(ground.run([ground.write("text", "text")]), 126, "Permission denied")
    equal(plain([LASTACK, "check", "--help"])[0], 0, "--help")


def nested(ground):
    """Who is traced cannot be traced again, and that is not "clean"."""
    status, _, err = ground.run([LASTACK, "check", "--", "/bin/true"])
    equal(status, 2, "status")
    check("under a tracer already" in err, err)


def signals_are_handed_on(ground):
    """What is sent to lastack check is meant for the program."""
    for number, wanted in ((signal.SIGUSR1, 41), (signal.SIGTERM, 42)):
        with subprocess.Popen([LASTACK, "check", "--", SUBJECT, "signal"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            equal(process.stdout.readline(), b"ready\n", "first line")
            process.send_signal(number)
            equal(process.wait(PATIENCE_S), wanted, f"status after {number}")
    del ground


def signals_to_the_group(ground):
    """What is sent to the process group reaches the program by itself, and is not handed on."""
    del ground
    for group in (True, False):
        with subprocess.Popen([LASTACK, "check", "-q", "--", SUBJECT, "signal-count"], stdout=subprocess.PIPE,
                              start_new_session=True) as process:
            equal(process.stdout.readline(), b"ready\n", "first line")
            for _ in range(5):
                (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
                equal(process.stdout.readline(), b"heard\n", "answer")
            process.send_signal(signal.SIGIO) # behind a second SIGTERM, if there were one
            equal(process.wait(PATIENCE_S), 45, "40 and the number of signals")


def signals_of_a_terminal(ground):
    """Ctrl-C reaches the program once, and nothing that lastack check needs."""
    del ground
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(LASTACK, [LASTACK, "check", "--", SUBJECT, "signal-count"])
    with open(terminal, "r+b", buffering=0) as screen:
        said = b""

        def await_word(word, times):
            nonlocal said
            while said.count(word) < times:
                more = screen.read(1000)
                check(more, f"{word} after {said}")
                said += more
        await_word(b"ready", 1)
        for times in range(1, 4):
            screen.write(b"\x03")
            await_word(b"heard", times)
        os.kill(pid, signal.SIGIO)
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 43, "40 and the number of signals")


def signals_after_the_end(ground):
    """When the program is over, a signal ends the waiting for what it left, and hits nobody else."""
    script = "sleep 1000 >/dev/null 2>&1 & echo $! $$; exit 7"
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen([LASTACK, "check", "--kill", "--grace", "1000", "--", "/bin/sh", "-c", script],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            left, program = (int(word) for word in process.stdout.readline().split())
            await_that(lambda pid=program: not os.path.exists(f"/proc/{pid}"), "the program's end")
            process.send_signal(number)
            err = process.stderr.read().decode()
            equal(process.wait(PATIENCE_S), 7, f"status ({err})")
        check("still ran" in err, err)
        await_that(lambda pid=left: gone(pid), f"{left} lives")
    del ground


def killed_check(ground):
    """If lastack check is killed, so is all that it watched."""
    del ground
    with subprocess.Popen([LASTACK, "check", "--", "/bin/sh", "-c", "echo $$; exec sleep 1000"],
                          stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        await_that(lambda: gone(pid), f"{pid} lives")


def standard_files(ground):
    """Input and output are the program's."""
    status, out, err = plain([LASTACK, "check", "-q", "--", "/bin/cat"], input="through\n", stdin=None)
    equal((status, out, err), (0, "through\n", ""), "cat")
    del ground


def standard_files_closed(ground):
    """Closed ones are closed for the program, too, and the report goes where it was sent."""
    report, status = ground.report(["/bin/sh", "-c", f"readlink /proc/$$/fd/0 /proc/$$/fd/2; exec {SUBJECT} client-open"],
                                   stdin=None, preexec_fn=lambda: (os.close(0), os.close(2)))
    only_leak(report, "open-at-exit")
    equal(status, 1, "status")
    path = ground.path("open")
    script = f"""for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && echo $n >>{path}; done; true"""
    equal(ground.run(["/bin/sh", "-c", script], ["-q"], stdin=None,
                     preexec_fn=lambda: (os.close(0), os.close(1), os.close(2)))[0], 0, "status")
    check(not os.path.exists(path), "none is open")


def stopping(ground):
    """SIGSTOP and SIGCONT do to a watched process what they do to others."""
    script = "sleep 1000 & p=$!; kill -STOP $p; echo $p; read x; kill -CONT $p; kill $p; wait $p; exit 5"
    with subprocess.Popen([LASTACK, "check", "-q", "--", "/bin/sh", "-c", script],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())

        def state():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        await_that(lambda: state() in "tT", "it stops")
        process.stdin.write(b"\n")
        process.stdin.flush()
        equal(process.wait(PATIENCE_S), 5, "status")
    del ground


# ---- reports ----

def report_for_people(ground):
    """What a reader needs, in words."""
    status, _, err = ground.run([SUBJECT, "error-path"])
    equal(status, 1, "status")
    for words in ("1 connection was not ended (of 6 accepted or connected, in 1 process)", "open-at-exit: 1 connection", "born ",
                  "which ", "lastack explain open-at-exit"):
        check(words in err, f"{words!r} is not in {err}")
    if WITH_LINES:
        check(re.search(r"born +server_accept \S*subject\.c:\d+\n +from +run_error_path \S*subject\.c:\d+\n"
                        r" +from +main ", err), err)
        check("2 of 2 others that were born there were closed, at conversation_end" in err, err)


def report_to_file(ground):
    """--output takes it all."""
    path = ground.path("report")
    status, out, err = ground.run([SUBJECT, "client-open"], ["--output", path])
    equal((status, out, err), (1, "", ""), "output and errors")
    with open(path, encoding="utf-8") as file:
        check("open-at-exit" in file.read(), "report")


def junit(ground):
    """Well-formed; a failure for every kind of leak, one success without."""
    path = ground.path("leaks.xml")
    nasty = "<&\"'\x01\x1b[31m\xff"
    for name, failures in (("clean", 0), ("error-path", 1)):
        status, _, _ = ground.run(["/bin/sh", "-c", f"exec {SUBJECT} {name}", nasty], ["-q", "--junit", path])
        equal(status, failures, name)
        suite = xml.etree.ElementTree.parse(path).getroot()
        equal((suite.tag, suite.get("tests"), suite.get("failures")), ("testsuite", "1", str(failures)), name)
        equal(len(suite.findall("testcase/failure")), failures, "failures")
    case = suite.find("testcase")
    check(case.get("name").startswith("open-at-exit"), case.get("name"))
    if WITH_LINES:
        equal(case.get("line") is not None and case.get("file").endswith("subject.c"), True, "place")


def names_of_strangers(ground):
    """Control characters of a program's name reach no terminal and no JSON raw."""
    path = ground.path("a\x1b[31mb\nc")
    shutil.copy(SUBJECT, path)
    status, _, err = ground.run([path, "client-open"])
    equal(status, 1, "status")
    check("\x1b" not in err, repr(err))
    check("a\\x1b[31mb\\x0ac" in err, err)
    report, _ = ground.report([path, "client-open"])
    equal(report["leaks"][0]["facts"]["holders"][0]["program"], "a\x1b[31mb\nc", "name in JSON")


def as_nobody(ground, name):
    """Status, output, errors of a check of one of subject.c's programs, with no privilege."""
    user = pwd.getpwnam("nobody")
    os.chmod(ground.folder, 0o755)
    lastack, subject = ground.path("lastack"), ground.path("subject")
    shutil.copy(LASTACK, lastack)
    shutil.copy(SUBJECT, subject)
    ids = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    return plain([lastack, "check", "--json", "-o", "-", "--", subject, name], cwd="/", **ids)


def without_privileges(ground):
    """As nobody."""
    status, out, err = as_nobody(ground, "error-path")
    equal(status, 1, f"status ({err})")
    leak = only_leak(json.loads(out), "open-at-exit")
    near(leak["facts"].get("born_at"), "server_accept", "accept")
    near(leak["facts"].get("sibling_close_at"), "conversation_end", "close")


def what_may_not_be_seen(ground):
    """A process with connections that hides itself: 2, and never "clean"."""
    status, out, err = as_nobody(ground, "hidden")
    report = json.loads(out)
    equal((status, report["complete"]), (2, False), f"status ({err})")
    check("could not be looked at" in report["notes"][0], report["notes"])


TESTS = [clean_program(name) for name in CLEAN] + [
    forks_are_counted, ten_thousand, silence_and_a_word, from_outside, error_path, end_read, end_unread,
    client_open, child_exit, exec_heir, dup, moved_back, not_blocking, families, thread, first_thread_gone, own_tracer, many_leaks, both_ends, daemon,
    daemons_are_killed, daemons_go_on, message,
    elsewhere, elsewhere_as_nobody, fast, python_program, killed, ignore_open, suppressions, statuses,
    killed_in_exec, wrong_usage, nested, signals_are_handed_on, signals_to_the_group, signals_of_a_terminal, signals_after_the_end, killed_check,
    standard_files, standard_files_closed, stopping, report_for_people, report_to_file, junit, names_of_strangers, without_privileges,
    what_may_not_be_seen]


def is_allowed():
    """False: no program can be traced here."""
    status, _, err = plain([LASTACK, "check", "--", "/bin/true"])
    return not (status == 2 and "is not allowed here" in err)


def main():
    """All tests, or those that are named."""
    wanted = [t for t in TESTS if not sys.argv[5:] or t.__name__ in sys.argv[5:]]
    allowed = is_allowed()
    failed = 0
    print(f"1..{len(wanted)}")
    for number, test in enumerate(wanted, 1):
        ground = Ground()
        try:
            if not allowed:
                raise Skip("ptrace or seccomp is not allowed here")
            test(ground)
            print(f"ok {number} - {test.__name__}", flush=True)
        except Skip as skip:
            print(f"ok {number} - {test.__name__} # SKIP {skip}", flush=True)
        except Exception: # pylint: disable=broad-except
            failed += 1
            print("# " + traceback.format_exc().replace("\n", "\n# "))
            print(f"not ok {number} - {test.__name__}", flush=True)
        shutil.rmtree(ground.folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
