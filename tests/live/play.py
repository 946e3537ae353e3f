# SPDX-License-Identifier: BSD-2-Clause
"""One scenario that runs: in a network namespace of its own, or under `lastack run`; and what
`lastack why` says of all that run at this moment."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

PRCTL, PR_SET_PDEATHSIG = ctypes.CDLL(None).prctl, 1
LOOPBACK = 'ip link set lo up && exec "$@"'


def command_alone(command):
    """The command, in a network namespace of its own with a loopback."""
    return ["unshare", "-n", "--", "sh", "-c", LOOPBACK, "sh", *command]


def die_with_parent():
    """In a child before exec: whatever becomes of us, it shall not stay."""
    PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_politely():
    """A signal to end runs what is to be done at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


def namespaces_here():
    """True if such a namespace can be made."""
    return subprocess.run(command_alone(["true"]), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


class Play:
    """A program that keeps to the protocol of stage.h. `stack` is where `lastack why` sees it."""

    def __init__(self, scenario, command, own=None):
        self.scenario, self.own = scenario, own
        self.sockets, self.processes = {}, {}
        self.ready_at, self.looks, self.verdict = None, 0, None
        self.missing, self.strays = [], []
        self.errors = []
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, errors="replace",
                                      start_new_session=True, preexec_fn=die_with_parent)
        self.stack = own
        self.readers = [threading.Thread(target=self.hear, daemon=True),
                        threading.Thread(target=self.hear_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def hear(self):
        """Collect what the players say."""
        for line in self.child.stdout:
            words = line.split()
            if not words:
                continue
            if words[0] == "socket":
                role, pid, fd, cookie, here, there = words[1:]
                self.sockets.setdefault(role, []).append(
                    {"pid": int(pid), "fd": int(fd), "cookie": int(cookie),
                     "tuple": (here, there)})
                self.processes.setdefault(role, int(pid))
            elif words[0] == "process":
                self.processes[words[1]] = int(words[2])
            elif words[0] == "ready":
                if not self.own:
                    number = os.stat(f"/proc/{self.child.pid}/ns/net").st_ino
                    self.stack = f"kernel@{number}"
                self.ready_at = time.monotonic()

    def hear_errors(self):
        """Its complaints are shown if it fails."""
        for line in self.child.stderr:
            self.errors.append(line.rstrip())

    def stop(self):
        """The end of standard input is the end; whoever does not hear it is killed."""
        try:
            self.child.stdin.close()
            self.child.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.errors.append("it did not end with its standard input")
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        for reader in self.readers:
            reader.join(5)
        self.child.stdout.close()
        self.child.stderr.close()


def look(lastack, directory, *arguments):
    """Everything that is said of everything, as JSON."""
    done = subprocess.run([lastack, "why", "--all", "--json", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          env=dict(os.environ, LASTACK_DIR=directory), timeout=300)
    if done.returncode not in (0, 1):
        sys.exit(f"Bail out! lastack why: {done.returncode}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)
