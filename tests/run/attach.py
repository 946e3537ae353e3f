# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of `lastack run` share: TAP, a scratch folder, processes that always end."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIMIT_S = 60


class Skip(Exception):
    """This case cannot be made here."""


class Failure(Exception):
    """The case failed; the text says how."""


def check(condition, text):
    """Raise unless it holds."""
    if not condition:
        raise Failure(text)


def equal(got, want, what):
    """Raise unless both are the same."""
    if got != want:
        raise Failure(f"{what}: {got!r} instead of {want!r}")


def need(*programs):
    """Skip unless all of them are installed."""
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")


def wait_for(what, condition, limit_s=LIMIT_S):
    """Look until it holds; its value is returned."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {limit_s} s in vain for {what}")
        time.sleep(0.02)


class Ground:
    """One case's surroundings: scratch folder, stack directory, children."""

    def __init__(self, lastack):
        self.lastack = lastack
        self.scratch = tempfile.mkdtemp(prefix="lastack-run-")
        os.mkdir(os.path.join(self.scratch, "stacks"), 0o700)
        os.chmod(self.scratch, 0o755)
        self.environment = dict(os.environ, LASTACK_DIR=os.path.join(self.scratch, "stacks"))
        self.children = []

    def path(self, name):
        """A file in the scratch folder."""
        return os.path.join(self.scratch, name)

    def write(self, name, text):
        """A file with this content."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        """What a file holds now, or nothing."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def command(self, options, program):
        """`lastack run OPTIONS -- PROGRAM`"""
        return [self.lastack, "run", *options, "--", *program]

    def run(self, program, options=(), limit_s=LIMIT_S, **more):
        """Run to the end. Returns status, output, complaints."""
        return self.plain(self.command(options, program), limit_s, **more)

    def plain(self, command, limit_s=LIMIT_S, **more):
        """Run a command on the kernel."""
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.environment, cwd=self.scratch,
                                 **more)
        self.children.append(child)
        try:
            out, err = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGTERM)
            try:
                out, err = child.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                out = err = b""
            raise Failure(f"{command} did not end in {limit_s} s\n{out.decode(errors='replace')}"
                          f"\n{err.decode(errors='replace')}") from None
        return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def script(self, text, options=(), limit_s=LIMIT_S):
        """A shell script under `lastack run`; it must succeed. Returns its output."""
        status, out, err = self.run(["sh", "-eu", "-c", text], options, limit_s)
        check(status == 0, f"status {status}\n{out}\n{err}")
        return out

    def start(self, program, options=(), log="log"):
        """Start under `lastack run`, in the background."""
        return self.start_plain(self.command(options, program), log)

    def start_plain(self, command, log="log"):
        """Start on the kernel, in the background."""
        with open(self.path(log), "wb") as file:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                     env=self.environment, cwd=self.scratch,
                                     start_new_session=True)
        self.children.append(child)
        return child

    def ask(self, *words):
        """A lastack command; returns its output."""
        status, out, err = self.plain([self.lastack, *words])
        check(status == 0, f"lastack {' '.join(words)}: status {status}\n{out}\n{err}")
        return out

    def sockets(self, *words):
        """What `lastack ss --json` lists of our stacks."""
        found = json.loads(self.ask("ss", "--json", *words))
        found = found if isinstance(found, list) else found["sockets"]
        return [entry for entry in found if not entry["stack"].startswith("kernel")]

    def supervisor(self, front):
        """The process id of the supervisor under a `lastack run`."""
        def child():
            with open(f"/proc/{front.pid}/task/{front.pid}/children", encoding="ascii") as file:
                return [int(word) for word in file.read().split()]
        return wait_for("the supervisor", child)[0]

    def close(self):
        """End what still runs, remove what was written."""
        for child in self.children:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                if child.poll() is not None:
                    break
                child.send_signal(number)
                try:
                    child.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    pass
        shutil.rmtree(self.scratch, ignore_errors=True)


def cannot_attach(lastack):
    """Why nothing can run under `lastack run` here, or an empty string."""
    done = subprocess.run([lastack, "run", "--name", f"probe{os.getpid()}", "--", "true"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=LIMIT_S, check=False)
    text = done.stderr.decode(errors="replace")
    return done.returncode == 125 and "seccomp" in text


def main(cases, arguments, lastack):
    """Run the cases whose name contains one of the arguments; exits."""
    chosen = [case for case in cases
              if not arguments or any(word in case.__name__ for word in arguments)]
    if cannot_attach(lastack):
        print("1..0 # SKIP no seccomp user notification here")
        sys.exit(0)
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, case in enumerate(chosen, 1):
        ground = Ground(lastack)
        verdict, note = "ok", ""
        try:
            case(ground)
        except Skip as reason:
            note = f" # SKIP {reason}"
        except (Failure, OSError, ValueError, KeyError, subprocess.SubprocessError) as fault:
            verdict, failed = "not ok", failed + 1
            for line in f"{type(fault).__name__}: {fault}".splitlines():
                print("# " + line)
        finally:
            ground.close()
        name = case.__name__.replace("_", " ")
        print(f"{verdict} {number} - {name}{note}", flush=True)
    sys.exit(1 if failed else 0)
