# SPDX-License-Identifier: BSD-2-Clause
"""A network namespace to put programs into; they end with it."""
import os
import signal
import subprocess
import sys
import time

from play import command_alone, die_with_parent

LIMIT_S = 60


class Failure(Exception):
    """The text says how."""


def wait_for(what, condition, limit_s=LIMIT_S):
    """Look until it holds."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {limit_s} s in vain for {what}")
        time.sleep(0.05)


class Room:
    """`stack` is how `lastack why` calls it from outside."""

    def __init__(self, scratch):
        self.scratch, self.programs = scratch, []
        self.holder = subprocess.Popen(command_alone(["sh", "-c", "echo; exec sleep 1000000"]),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       preexec_fn=die_with_parent)
        self.holder.stdout.readline()
        self.stack = f"kernel@{os.stat(f'/proc/{self.holder.pid}/ns/net').st_ino}"

    def inside(self, command):
        """The command, in this room."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "--", *command]

    def start(self, command, **more):
        """In the background; its words go to a log."""
        with open(os.path.join(self.scratch, f"log{len(self.programs)}"), "wb") as log:
            program = subprocess.Popen(self.inside(command), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       preexec_fn=die_with_parent, **more)
        self.programs.append(program)
        return program

    def run(self, command, **more):
        """To its end; must succeed."""
        done = subprocess.run(self.inside(command), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S * 2,
                              check=False, **more)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.returncode}: {done.stdout[-500:]}")
        return done.stdout

    def good(self, command):
        """True if it succeeds."""
        return subprocess.run(self.inside(command), stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def logs(self):
        """The last words of all."""
        words = []
        for number in range(len(self.programs)):
            with open(os.path.join(self.scratch, f"log{number}"), encoding="utf-8",
                      errors="replace") as log:
                words += log.read().splitlines()[-5:]
        return words

    def close(self):
        """End all that was started here."""
        for program in self.programs:
            try:
                os.killpg(program.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            program.wait()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class OwnRoom(Room):
    """The same under `lastack run`."""

    def __init__(self, scratch, lastack, directory, name):
        self.scratch, self.programs, self.stack = scratch, [], name
        self.door = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "door.py"),
                     os.path.join(scratch, "door")]
        self.holder = subprocess.Popen([lastack, "run", "--grace", "0", "--name", name, "--", *self.door],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       preexec_fn=die_with_parent,
                                       env=dict(os.environ, LASTACK_DIR=directory))
        wait_for("lastack run", lambda: os.path.exists(self.door[-1]))

    def inside(self, command):
        """The command, in this room."""
        return [*self.door, *command]

    def close(self):
        """The first signal ends the door, the next one what is left."""
        end = time.monotonic() + LIMIT_S
        while self.holder.poll() is None and time.monotonic() < end:
            self.holder.terminate()
            time.sleep(0.2)
        super().close()
