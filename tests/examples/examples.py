# SPDX-License-Identifier: BSD-2-Clause
"""examples.py BUILD/examples: the examples do what their first comment says."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from gate import ROOT, Gate, text_of

HERE, THERE, DEVICE = "10.9.0.1", "10.9.0.2", "echo0"


def run(*command, timeout=60):
    """(exit code, output)"""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=timeout)
    except subprocess.TimeoutExpired as late:
        return -1, f"took more than {timeout} s: {late.stdout}"
    return done.returncode, done.stdout + done.stderr


def missing(code, words, *needles):
    """Faults of a run that must succeed and say these things in this order."""
    faults = [f"exit code {code}"] + words.splitlines()[-20:] if code else []
    at = 0
    for needle in needles:
        found = re.compile(needle).search(words, at)
        if not found:
            faults.append(f"does not say '{needle}' (any more)")
        else:
            at = found.end()
    return faults


def story(gate, folder):
    """The story, and the capture file that it leaves."""
    with tempfile.TemporaryDirectory(prefix="lastack-story-") as scratch:
        capture = f"{scratch}/story.pcapng"
        gate.verdict("story", missing(
            *run(f"{folder}/story", capture), "CLOSE-WAIT", r"forking-server\(100\) fd",
            "count of\\s+holders from 2 to 1", "waits in\\s+accept", "client: end of stream",
            "one more line", "shuts down and closes", "No connection stays behind"))
        gate.verdict("story: edges in the capture", missing(
            *run(f"{ROOT}/scripts/show-capture", capture), "ESTAB -> CLOSE-WAIT",
            "CLOSE-WAIT -> LAST-ACK"))
        if not shutil.which("tshark"):
            gate.skip("story: tshark finds nothing wrong", "tshark is not installed")
            return
        code, words = run("tshark", "-r", capture, "-o", "tcp.check_checksum:TRUE", "-o",
                          "ip.check_checksum:TRUE", "-Y", "_ws.malformed || tcp.checksum.status"
                          " == Bad || ip.checksum.status == Bad")
        bad = [line for line in words.splitlines() if not line.startswith("Running as")]
        gate.verdict("story: tshark finds nothing wrong", bad if code == 0 else [words])


def plain_pair(gate, folder):
    """The repaired server and the client on the kernel's own TCP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with subprocess.Popen([f"{folder}/forking-server", port, "--repaired"],
                          stdout=subprocess.PIPE, text=True) as server:
        server.stdout.readline()
        result = run(f"{folder}/client", "127.0.0.1", port, "good day", timeout=20)
        server.terminate()
    gate.verdict("the demo's server and client on the kernel's TCP",
                 missing(*result, 'hears "you said: good day"', "end of stream"))


def echo_exchange(size):
    """Send `size` bytes while reading them back; what went wrong."""
    deadline, data = time.monotonic() + 60, os.urandom(size)
    while True:
        try:
            peer = socket.create_connection((THERE, 7), timeout=20)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                return [f"no connection: {error}"]
    with peer:
        sent, heard = 0, bytearray()
        while len(heard) < size:
            if sent < size:
                sent += peer.send(data[sent:sent + 16384])
            if sent - len(heard) > 65536 or sent == size:
                piece = peer.recv(65536)
                if not piece:
                    return [f"end of stream after {len(heard)} of {size} bytes"]
                heard += piece
        peer.shutdown(socket.SHUT_WR)
        rest = peer.recv(1)
    return [] if heard == data and rest == b"" else ["what came back is not what was sent"]


def echo_inside(folder):
    """In a namespace of its own: the device, the echo server, one exchange."""
    for command in (f"ip tuntap add {DEVICE} mode tun", f"ip address add {HERE}/24 dev {DEVICE}",
                    f"ip link set {DEVICE} up"):
        code, words = run(*command.split())
        if code:
            print("cannot:", words)
            return
    with subprocess.Popen([f"{folder}/echo-tun", DEVICE, THERE, "7"]) as server:
        faults = echo_exchange(1 << 20)
        if server.poll() is not None:
            faults.append(f"echo-tun ended with {server.returncode}")
        server.kill()
    print("\n".join(faults) or "good")


def echo(gate, folder):
    """The echo server over TUN, where a namespace is to be had."""
    lines = len(text_of("examples/echo-tun.c").splitlines())
    gate.verdict("echo-tun fits 150 lines", [] if lines <= 150 else [f"{lines} lines"])
    for way in (["unshare", "-n"], ["unshare", "-Urn"]):
        code, words = run(*way, sys.executable, __file__, folder, "--inside", timeout=100)
        if code == 0 and "cannot:" not in words:
            gate.verdict("echo-tun: 1 MB there and back", [] if words.strip() == "good"
                         else words.splitlines())
            return
    if "cannot:" in words or "unshare" in words:
        gate.skip("echo-tun: 1 MB there and back", "no network namespace with TUN here")
    else:
        gate.verdict("echo-tun: 1 MB there and back", words.splitlines() or ["died"])


def main():
    folder = os.path.abspath(sys.argv[1])
    if sys.argv[2:] == ["--inside"]:
        echo_inside(folder)
        return
    gate = Gate()
    gate.verdict("fork-one-process", missing(
        *run(f"{folder}/fork-one-process"), "server's side is CLOSE-WAIT", "nothing happens",
        "no end of stream", "server's side is CLOSE-WAIT", "whatever the count", "Done"))
    story(gate, folder)
    plain_pair(gate, folder)
    echo(gate, folder)
    gate.done()


if __name__ == "__main__":
    main()
