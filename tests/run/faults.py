# SPDX-License-Identifier: BSD-2-Clause
"""`lastack run` with wrong input, sudden deaths, signals and many connections, in TAP.

    faults.py LASTACK [NAME...]
"""
import os
import pwd
import re
import resource
import signal
import socket
import subprocess
import sys
import time

from attach import Skip, check, equal, main, wait_for

LASTACK = os.path.abspath(sys.argv[1])
PYTHON = sys.executable


def says(result, status, *words):
    """Exit status and words of the complaint."""
    equal(result[0], status, f"exit status ({result[2].strip()})")
    for word in words:
        check(word in result[2], f"{word!r} is not in the complaint: {result[2]!r}")


# ---- wrong input ----

def program_missing(ground):
    """127, and which one."""
    says(ground.run(["no-such-program"]), 127, "no-such-program", "PATH")
    says(ground.run(["/no/such/program"]), 127, "/no/such/program")


def program_that_cannot_run(ground):
    """126."""
    says(ground.run([ground.write("text", "just text")]), 126, "Permission denied")


def options_that_are_wrong(ground):
    """125 and a sentence each."""
    says(ground.plain([LASTACK, "run"]), 125, "no program")
    says(ground.plain([LASTACK, "run", "--frobnicate", "true"]), 125, "frobnicate")
    says(ground.run(["true"], ["--tun", "x0"]), 125, "--address")
    says(ground.run(["true"], ["--tun", "x0", "--address", "10.0.0.1"]), 125, "A.B.C.D/PREFIX")
    says(ground.run(["true"], ["--address", "10.0.0.1/24"]), 125, "--tun")
    says(ground.run(["true"], ["--name", "no/slash"]), 125, "no/slash")
    says(ground.run(["true"], ["--grace", "long"]), 125, "long")
    says(ground.run(["true"], ["--capture", "/no/such/dir/x.pcapng"]), 125, "/no/such/dir")
    equal(ground.plain([LASTACK, "run", "--help"])[0], 0, "--help")


def as_nobody():
    """Drop all privileges; for a child."""
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def reachable_by_nobody():
    """Skip unless an unprivileged user can be made to run the program."""
    if os.getuid() != 0:
        raise Skip("no network namespace with TUN here")
    done = subprocess.run([LASTACK, "run", "--help"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, preexec_fn=as_nobody, check=False)
    if done.returncode != 0:
        raise Skip("no network namespace with TUN here")


def tun_without_privilege(ground):
    """The message names the way out."""
    reachable_by_nobody()
    os.chmod(ground.environment["LASTACK_DIR"], 0o777)
    ground.environment["LASTACK_DIR"] += "/of-nobody"
    says(ground.run(["true"], ["--tun", "nobody0", "--address", "10.99.0.1/24"],
                    preexec_fn=as_nobody), 125, "tun", "without --tun no privilege is needed")


def without_any_privilege(ground):
    """Loopback needs none."""
    reachable_by_nobody()
    os.chmod(ground.environment["LASTACK_DIR"], 0o777)
    ground.environment["LASTACK_DIR"] += "/of-nobody"
    status, out, err = ground.run(["python3", "-c", PAIR], preexec_fn=as_nobody)
    equal((status, out), (0, "good\n"), f"a pair of sockets ({err})")


PAIR = """
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
s, _ = l.accept()
c.sendall(b"good")
print(s.recv(9).decode())
"""


def name_that_is_taken(ground):
    """A given name must be free; a derived one gets a number."""
    first = ground.start(["sleep", "60"], ["--name", "taken"])
    wait_for("the first", lambda: os.path.exists(ground.path("stacks/taken.sock")))
    says(ground.run(["true"], ["--name", "taken"]), 125, "taken", "running already")
    first.terminate()
    first.wait(timeout=10)
    says(ground.run(["true"], ["--name", "taken"]), 0)
    ground.start(["sleep", "60"], log="log2")
    wait_for("sleep", lambda: os.path.exists(ground.path("stacks/sleep.sock")))
    ground.start(["sleep", "60"], log="log3")
    wait_for("sleep-2", lambda: os.path.exists(ground.path("stacks/sleep-2.sock")))


def refuses(path):
    """Nobody listens at a UNIX socket: its owner is gone, not only killed."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def name_of_a_stack_that_died(ground):
    """The file that a killed supervisor leaves does not block its name."""
    first = ground.start(["sleep", "60"], ["--name", "dead"])
    wait_for("the first", lambda: os.path.exists(ground.path("stacks/dead.sock")))
    os.kill(ground.supervisor(first), signal.SIGKILL)
    equal(first.wait(timeout=10), 125, "exit status")
    check("supervisor died" in ground.read("log"), "no word about the dead supervisor")
    check(os.path.exists(ground.path("stacks/dead.sock")), "who removed the file?")
    wait_for("its death", lambda: refuses(ground.path("stacks/dead.sock")))
    says(ground.run(["true"], ["--name", "dead"]), 0)


# A filter that forbids pidfd_getfd(2), as containers without SYS_PTRACE do, then the command.
FORBID = """
import ctypes, os, struct, sys
def op(code, yes, no, k):
    return struct.pack("HBBI", code, yes, no, k)
code = ctypes.create_string_buffer(op(0x20, 0, 0, 0) + op(0x15, 0, 1, 438) +
                                   op(0x06, 0, 0, 0x00050001) + op(0x06, 0, 0, 0x7fff0000))
class Program(ctypes.Structure):
    _fields_ = [("cnt", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(code))), 0, 0) != 0:
    sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def looking_forbidden(ground):
    """Where the program may not be looked into: a sentence, and the child that waits is gone."""
    mark = f"{os.getpid()}.25"
    status, _, err = ground.plain([PYTHON, "-c", FORBID, LASTACK, "run", "--", "sleep", mark])
    equal(status, 125, "exit status")
    check("SYS_PTRACE" in err, f"no way out is named: {err}")

    def gone():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if mark.encode() in f.read() and int(pid) != os.getpid():
                        return False
            except OSError:
                pass
        return True
    wait_for("the child's end", gone)


def standard_descriptors_closed(ground):
    """As cron and ssh -n start programs: it runs, its sockets work, and it finds them closed."""
    program = ("import os, socket; l = socket.create_server((\"127.0.0.1\", 7301)); "
               "socket.create_connection(l.getsockname()); os._exit(4 + os.path.exists(\"/proc/self/fd/0\"))")
    for closed in ("0<&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"):
        status, _, _ = ground.plain(
            ["sh", "-c", f"exec {LASTACK} run -- {PYTHON} -c '{program}' {closed}"])
        check(status in (4, 5), f"exit status with {closed}: {status}")


def port_in_use(ground):
    """Two servers in one stack: the second is told so. Two stacks: both may."""
    server = """
import socket, sys, time
try:
    s = socket.socket(); s.bind(("127.0.0.1", 7100)); s.listen(1)
    print("listens", flush=True); time.sleep(60)
except OSError as e:
    print("errno", e.errno, flush=True)
"""
    out = ground.script(f"""{PYTHON} -c '{server}' >first & p=$!
        until grep -q listens first; do sleep 0.05; done
        {PYTHON} -c '{server}'; kill $p""")
    equal(out, "errno 98\n", "the second bind says")


def inside_itself(ground):
    """A second listener for system calls is refused by the kernel: say so."""
    status, _, err = ground.run([LASTACK, "run", "--name", "inner", "--", "true"])
    equal(status, 125, f"exit status ({err})")
    check("inside" in err and "seccomp" in err, err)


# ---- endings of the program ----

def exit_status_is_passed_on(ground):
    """Numbers as they are, signals as 128 + N."""
    equal(ground.run(["sh", "-c", "exit 7"])[0], 7, "exit 7")
    equal(ground.run(["sh", "-c", "kill -9 $$"])[0], 137, "killed")
    equal(ground.run(["sh", "-c", "kill -TERM $$"])[0], 143, "terminated")


def signals_are_handed_on(ground):
    """TERM and INT sent to `lastack run` reach the program once; so does Ctrl-C."""
    counter = ground.write("count.py", """
import signal, sys, time
got = []
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(s, lambda n, f: got.append(n))
print("ready", flush=True)
end = time.monotonic() + 20
while time.monotonic() < end and signal.SIGUSR1 not in got:
    time.sleep(0.01)
print([int(n) for n in got], flush=True)
""")
    child = ground.start([PYTHON, counter])
    wait_for("the program", lambda: "ready" in ground.read("log"))
    child.send_signal(signal.SIGTERM)
    wait_for("rest", lambda: time.sleep(0.3) or True)
    os.killpg(child.pid, signal.SIGINT)  # as the terminal does it, but with a sender
    wait_for("rest", lambda: time.sleep(0.3) or True)
    child.send_signal(signal.SIGUSR1)
    equal(child.wait(timeout=20), 0, "exit status")
    found = re.search(r"\[(.*)\]", ground.read("log")).group(1).split(", ")
    equal(found[0], "15", "the first")
    equal(found.count("15"), 1, "how often TERM came")
    equal(found[-1], "10", "the last")


def daemons_are_waited_for(ground):
    """The stack lives until the last process under it is gone."""
    began = time.monotonic()
    status, out, _ = ground.run(
        ["sh", "-c", f"setsid {PYTHON} -c '{SLOW}' </dev/null >late 2>&1 & exit 3"])
    equal((status, out), (3, ""), "the program")
    check(time.monotonic() - began > 0.9, "it did not wait")
    equal(ground.read("late"), "good\n", "the daemon says")


SLOW = 'import time; time.sleep(1)\n' + PAIR.replace("'", '"')


def supervisor_that_dies(ground):
    """Reads say the end, writes say EPIPE, new sockets ENOSYS; nothing hangs."""
    code = """
import errno, socket, sys, time
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname()); s, _ = l.accept()
u = socket.socketpair()
print("ready", flush=True)
print(s.recv(9) == b"", flush=True)
try: s.send(b"x")
except OSError as e: print(errno.errorcode[e.errno], flush=True)
try: socket.socket()
except OSError as e: print(errno.errorcode[e.errno], flush=True)
u[0].send(b"others live"); print(u[1].recv(99).decode(), flush=True)
"""
    child = ground.start(["sh", "-c", 'exec "$@" >said', "sh", PYTHON, "-c", code])
    wait_for("the program", lambda: "ready" in ground.read("said"))
    os.kill(ground.supervisor(child), signal.SIGKILL)
    equal(child.wait(timeout=10), 125, "exit status")
    check("supervisor died" in ground.read("log"), "nobody says that the supervisor died")
    wait_for("the program's end", lambda: "others live" in ground.read("said"))
    equal(ground.read("said").splitlines(), ["ready", "True", "EPIPE", "ENOSYS", "others live"], "what the program saw")


# ---- holders ----

HOLD = """
import os, socket, sys, time
l = socket.create_server(("127.0.0.1", 7200))
c = socket.create_connection(l.getsockname())
s, _ = l.accept()
pid = os.fork()
if pid == 0:
    c.close(); l.close()
    print("holder", os.getpid(), s.fileno(), flush=True)
    time.sleep(60)
s.close()
print("parent closed", flush=True)
c.settimeout(30)
print("end of stream" if c.recv(1) == b"" else "data", flush=True)
"""


def holder_that_is_killed(ground):
    """A child holds the socket after the parent's close: no FIN, named; kill -9 ends it."""
    child = ground.start([PYTHON, "-c", HOLD], ["--name", "hold"])
    text = wait_for("both", lambda: "parent closed" in ground.read("log") and
                    "holder" in ground.read("log") and ground.read("log"))
    pid, fd = (int(word) for word in re.search(r"holder (\d+) (\d+)", text).groups())

    def noted():
        for entry in ground.sockets("-p"):
            if entry["state"] == "ESTAB" and entry["passive"] and entry["closes"]:
                return entry
        return None
    entry = wait_for("the account of the close", noted)
    equal([(h["pid"], h["fd"]) for h in entry["holders"]], [(pid, fd)], "who holds it")
    equal(entry["closes"][-1]["left"], 1, "references that stayed")
    check("end of stream" not in ground.read("log"), "a FIN left too early")
    os.kill(pid, signal.SIGKILL)
    wait_for("the FIN", lambda: "end of stream" in ground.read("log"))
    child.wait(timeout=15)


PASSED = """
import array, os, socket, sys, time
l = socket.create_server(("127.0.0.1", 7201))
c = socket.create_connection(l.getsockname())
s, _ = l.accept()
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [s.fileno()])
s.close()
print("in flight", flush=True)
sys.stdin.readline()
_, fds, _, _ = socket.recv_fds(b, 1, 1)
os.write(fds[0], b"passed")
print(c.recv(9).decode(), flush=True)
"""


def descriptor_in_flight(ground):
    """Between send and receive no process has it: a message does."""
    # the program reads a line from a fifo, so that the test decides when it goes on
    os.mkfifo(ground.path("go"))
    child = ground.start(["sh", "-c", 'exec "$1" -c "$2" <go', "sh", PYTHON, PASSED],
                         ["--name", "flight"])
    with open(ground.path("go"), "w", encoding="ascii") as go:
        wait_for("the message", lambda: "in flight" in ground.read("log"))

        def in_message():
            for entry in ground.sockets("-p"):
                if entry["state"] == "ESTAB" and entry["passive"]:
                    return [h["kind"] for h in entry["holders"]] == ["message"]
            return False
        wait_for("a holder of kind message", in_message)
        go.write("\n")
    equal(child.wait(timeout=20), 0, "exit status")
    check("passed" in ground.read("log"), ground.read("log"))


# ---- many ----

MANY = """
import socket, sys, threading, time
l = socket.create_server(("127.0.0.1", 7300), backlog=64)
def serve():
    for _ in range(2000):
        s, _ = l.accept()
        s.sendall(s.recv(64)); s.close()
t = threading.Thread(target=serve); t.start()
for n in range(2000):
    with socket.create_connection(("127.0.0.1", 7300)) as c:
        c.sendall(b"%d" % n)
        assert c.recv(64) == b"%d" % n
t.join()
print("done", flush=True)
time.sleep(60)
"""


def two_thousand_connections(ground):
    """No descriptor and no socket stays behind in the supervisor."""
    child = ground.start([PYTHON, "-c", MANY], ["--name", "many", "--msl", "0.1"])
    supervisor = ground.supervisor(child)
    wait_for("the control socket", lambda: os.path.exists(ground.path("stacks/many.sock")))
    wait_for("2000 connections", lambda: "done" in ground.read("log"), 120)

    def quiet():
        return [entry["state"] for entry in ground.sockets("-a")] == ["LISTEN"]
    wait_for("all connections to be gone", quiet)
    names = [os.readlink(f"/proc/{supervisor}/fd/{fd}")
             for fd in os.listdir(f"/proc/{supervisor}/fd")]
    sockets = [name for name in names if name.startswith("socket:")]
    pidfds = [name for name in names if "pidfd" in name]
    # the listener's B, the control socket, perhaps one session of it and the netlink socket
    check(len(sockets) <= 4, f"{len(sockets)} sockets stay in the supervisor")
    check(len(names) - len(pidfds) < 30, f"{len(names)} descriptors stay: {names}")


PREFORK = """
import os, signal, socket
l = socket.create_server(("127.0.0.1", 7304), backlog=128)
kids = []
for k in range(4):
    pid = os.fork()
    if pid == 0:
        count = 0
        def leave(n, f):
            os.write(1, b"served\\n" if count else b"idle\\n")
            os._exit(0)
        signal.signal(signal.SIGTERM, leave)
        while True:
            s, _ = l.accept()
            s.sendall(s.recv(100)); s.close()
            count += 1
    kids.append(pid)
for n in range(400):
    with socket.create_connection(("127.0.0.1", 7304)) as c:
        c.sendall(b"%d" % n)
        assert c.recv(100) == b"%d" % n and c.recv(1) == b""
for pid in kids:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
"""


def four_processes_accept(ground):
    """Blocking accepters of one listener share the work, and TERM reaches those that wait."""
    status, out, err = ground.run([PYTHON, "-c", PREFORK])
    equal((status, out), (0, "served\n" * 4), f"the processes ({err})")


OPEN = """
import socket
l = socket.create_server(("127.0.0.1", 7305), backlog=512)
ends = []
for n in range(1500):
    c = socket.create_connection(("127.0.0.1", 7305)); s, _ = l.accept()
    ends.append((c, s))
for c, s in ends: c.sendall(b"x" * 100)
assert all(len(s.recv(100)) == 100 for c, s in ends)
for c, s in ends: c.close()
assert all(s.recv(1) == b"" for c, s in ends)
print("good")
"""


def many_at_once(ground):
    """Fifteen hundred connections open at the same time."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    status, out, err = ground.run([PYTHON, "-c", OPEN])
    equal((status, out), (0, "good\n"), f"the program ({err})")


def no_descriptor_left(ground):
    """The supervisor's own limit is EMFILE for accept; the connection waits, nothing is lost."""
    limit = 1000  # of the supervisor, with what it keeps for itself
    code = """
import socket
l = socket.create_server(("127.0.0.1", 7306), backlog=64)
ends = []
try:
    while True:
        c = socket.create_connection(("127.0.0.1", 7306)); ends.append(c)
        s, _ = l.accept(); ends.append(s)
except OSError as e:
    print("errno", e.errno)
c.sendall(b"still here")
for n in range(20): ends.pop(0).close()
s, _ = l.accept()
print(s.recv(99).decode())
"""
    status, out, err = ground.run(
        [PYTHON, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    equal((status, out), (0, "errno 24\nstill here\n"), f"the program ({err})")


def silent_clients(ground):
    """Who connects to the control socket and says nothing shuts nobody out."""
    ground.start([PYTHON, "-c", "import time; print('up', flush=True); time.sleep(600)"],
                 ["--name", "beset"])
    path = ground.path("stacks/beset.sock")
    wait_for("the control socket", lambda: os.path.exists(path))
    clients = []
    for _ in range(100):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.settimeout(20)
        clients.append(client)
        if len(clients) % 20 == 0:
            ground.sockets("-a")
    ended = sum(1 for client in clients[:40] if client.recv(1) == b"")
    equal(ended, 40, "the oldest are hung up")
    for client in clients:
        client.close()


PIPES = """
i=0
while [ $i -lt 300 ]; do true | cat; i=$((i + 1)); done
ls /proc/$$/fd | wc -l
"""


def shell_that_forks(ground):
    """No close of any descriptor is lost to a SIGCHLD."""
    before = ground.script("true | cat; ls /proc/$$/fd | wc -l")
    equal(ground.script(PIPES), before, "descriptors of the shell afterwards")


STORM = """
import os, signal, socket, threading
signal.signal(signal.SIGALRM, lambda n, f: hits.append(1))
signal.siginterrupt(signal.SIGALRM, False)
hits = []
l = socket.create_server(("127.0.0.1", 7301), backlog=64)
pid = os.fork()
if pid == 0:
    for _ in range(100):
        s, _ = l.accept()
        data = b""
        while (part := s.recv(4096)):
            data += part
        s.sendall(data); s.shutdown(socket.SHUT_WR); s.close()
    os._exit(0)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for n in range(100):
    sent = bytes([n]) * 20000
    while True:
        c = socket.socket()
        try:
            c.connect(("127.0.0.1", 7301))
            break
        except ConnectionRefusedError:
            c.close()
    c.sendall(sent); c.shutdown(socket.SHUT_WR)
    got = b""
    while (part := c.recv(4096)):
        got += part
    assert got == sent, (n, len(got))
    c.close()
signal.setitimer(signal.ITIMER_REAL, 0)
assert os.waitpid(pid, 0)[1] == 0
print("good" if len(hits) > 10 else "no signals")
"""


def signal_storm(ground):
    """Two thousand signals in a second: every byte and every end arrives."""
    status, out, err = ground.run([PYTHON, "-c", STORM], limit_s=120)
    equal((status, out), (0, "good\n"), f"the program ({err})")


def child_ends_while_accept_waits(ground):
    """SIGCHLD and alarm reach a thread that waits in accept."""
    code = """
import os, signal, socket
l = socket.create_server(("127.0.0.1", 7302))
class Rung(Exception): pass
def ring(n, f): raise Rung
signal.signal(signal.SIGCHLD, ring)
if os.fork() == 0: os._exit(0)
try: l.accept()
except Rung: print("child")
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try: l.accept()
except Rung: print("alarm")
"""
    status, out, err = ground.run([PYTHON, "-c", code])
    equal((status, out), (0, "child\nalarm\n"), f"the program ({err})")


def orphans_finish(ground):
    """What was written before the end still arrives; then `lastack run` leaves."""
    began = time.monotonic()
    out = ground.script(f"""
        {PYTHON} -c '
import socket, time
l = socket.create_server(("127.0.0.1", 7303))
print("listens", flush=True)
s, _ = l.accept()
time.sleep(1)
n = 0
while (d := s.recv(65536)): n += len(d)
print(n, flush=True)' >sink &
        until grep -q listens sink; do sleep 0.05; done
        {PYTHON} -c '
import socket
c = socket.create_connection(("127.0.0.1", 7303))
c.sendall(bytes(700000))'
        wait
        cat sink""")
    equal(out, "listens\n700000\n", "the reader says")
    check(time.monotonic() - began < 9, "it took too long to leave")


if __name__ == "__main__":
    main([program_missing, program_that_cannot_run, options_that_are_wrong, tun_without_privilege,
          without_any_privilege, name_that_is_taken, name_of_a_stack_that_died, looking_forbidden,
          standard_descriptors_closed, port_in_use,
          inside_itself, exit_status_is_passed_on, signals_are_handed_on, daemons_are_waited_for,
          supervisor_that_dies, holder_that_is_killed, descriptor_in_flight,
          two_thousand_connections, four_processes_accept, many_at_once, no_descriptor_left,
          silent_clients, shell_that_forks, signal_storm, child_ends_while_accept_waits, orphans_finish],
         sys.argv[2:], LASTACK)
