# SPDX-License-Identifier: BSD-2-Clause
"""demo.py BUILD: ./demo on each ground tells the whole story, and leaves nothing behind, even
when it is cut short."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from gate import ROOT, Gate

KERNEL = ["kernel's own TCP", r"\$ lastack why --stack kernel", "PROBLEM", "CLOSE-WAIT",
          "forking-server", "accept", "Fix: ", r"\$ lastack end kernel/", "Nothing has been done yet",
          r"\$ lastack end kernel/\d+ --yes"]
STORY = {
    "a": ["Ground a", "classic mistake", "FIN is out", "CLOSE-WAIT", "forking-server",
          r"\$ lastack why", "FIN", "2 to 1", "accept", "shutdown", r"\$ lastack end",
          "client: end of stream", "one more line", "client: end of stream",
          "No connection stays behind"] + KERNEL + ["demo.pcapng", "SYN", "ESTAB -> CLOSE-WAIT",
          "CLOSE-WAIT -> LAST-ACK"],
    "c": ["Ground c", "classic mistake", "FIN is out", "CLOSE-WAIT", "forking-server",
          "FIN is in", "2 to 1", "accept", "shutdown", "lastack end", "client: end of stream",
          "one more line", "client: end of stream", "No connection stays behind"] + KERNEL +
         ["demo.pcapng", "ESTAB -> CLOSE-WAIT", "CLOSE-WAIT -> LAST-ACK"],
}
STORY["b"] = ["Ground b"] + STORY["a"][1:]


def start(build, scratch, ground):
    """The demo, in a session of its own, with its temporary files in `scratch`."""
    env = {**os.environ, "LASTACK_BUILD": build, "TMPDIR": scratch, "NO_COLOR": "1"}
    return subprocess.Popen([f"{ROOT}/demo", "--ground", ground], env=env, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)


def left_behind(scratch):
    """Files and processes that are still there (processes know `scratch` by LASTACK_DIR)."""
    deadline = time.monotonic() + 20
    while True:
        found = [f"left {name} in its temporary folder" for name in os.listdir(scratch)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if scratch.encode() in file.read():
                        found.append(f"left process {pid}")
            except OSError:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def told(ground, words):
    """Parts of the story that are missing, in their order."""
    at, faults = 0, []
    for needle in STORY[ground]:
        found = re.compile(needle).search(words, at)
        if not found:
            faults.append(f"does not say '{needle}' after what came before")
            continue
        at = found.end()
    return faults + (words.splitlines() if faults else [])


def whole(gate, build, ground):
    """From beginning to end. Returns whether this ground is to be had."""
    name = f"ground {ground} tells the whole story"
    with tempfile.TemporaryDirectory(prefix="lastack-demo-test-") as scratch:
        begun = time.monotonic()
        with start(build, scratch, ground) as demo:
            words = demo.communicate()[0]
        print(f"# ground {ground}: {time.monotonic() - begun:.1f} s")
        if "is not to be had here" in words:
            gate.skip(name, f"ground {ground} is not to be had here")
            return False
        faults = told(ground, words)
        if demo.returncode:
            faults = [f"exit code {demo.returncode}"] + words.splitlines()
        gate.verdict(name, faults)
        gate.verdict(f"ground {ground} leaves nothing behind", left_behind(scratch))
    return True


def cut_short(gate, build, ground):
    """A TERM when the connection lingers."""
    with tempfile.TemporaryDirectory(prefix="lastack-demo-test-") as scratch:
        with start(build, scratch, ground) as demo:
            for line in demo.stdout:
                if "What is there?" in line:
                    break
            demo.send_signal(signal.SIGTERM)
            demo.communicate()
        faults = left_behind(scratch)
        if demo.returncode != 143:
            faults.append(f"exit code {demo.returncode}")
        gate.verdict(f"ground {ground}, cut short, leaves nothing behind", faults)


def reader_leaves(gate, build, ground):
    """As in ./demo | head."""
    with tempfile.TemporaryDirectory(prefix="lastack-demo-test-") as scratch:
        with start(build, scratch, ground) as demo:
            for line in demo.stdout:
                if "FIN is out" in line:
                    break
            demo.stdout.close()
            demo.wait()
        gate.verdict(f"ground {ground}, its reader gone, leaves nothing behind",
                     left_behind(scratch))


def main():
    gate, build = Gate(), os.path.abspath(sys.argv[1])
    for ground in "abc":
        if whole(gate, build, ground) and ground != "c":
            cut_short(gate, build, ground)
            reader_leaves(gate, build, ground)
    done = subprocess.run([f"{ROOT}/demo", "--grund"], capture_output=True, text=True, check=False)
    gate.verdict("an unknown option gets a clear word", [] if done.returncode == 2 and
                 "unknown option '--grund'" in done.stderr else [done.stdout + done.stderr])
    gate.done()


if __name__ == "__main__":
    main()
