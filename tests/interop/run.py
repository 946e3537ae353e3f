# SPDX-License-Identifier: BSD-2-Clause
"""Interop with the Linux kernel: every scenario with lastack as client and as server, in TAP.

    run.py kernel CAPTURE PEER             kernel against kernel: proves the scenarios
    run.py attached CAPTURE PEER LASTACK   PEER on the kernel, PEER under `lastack run`
    run.py library CAPTURE PEER OTHER      PEER on the kernel, OTHER is the library's program

Everything happens in a network name space that this script makes, over a TUN device in it.
Both ends sum what they send and receive; the packets on the device are captured and judged
by tshark. --only NAME (repeatable) limits the scenarios, --keep FOLDER keeps the captures.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

from capture import Capture

DEVICE, KERNEL, OURS = "interop0", "10.83.0.1", "10.83.0.2"
LIMIT_S = 120
MB = 1000 * 1000
# scenario: (bytes, how the client's stream ends, how the server's does)
SCENARIOS = {
    "bulk-up": (100 * MB, "eof", "eof"),
    "bulk-down": (100 * MB, "eof", "eof"),
    "bulk-both": (5 * MB, "eof", "eof"),
    "small": (0, "eof", "eof"),
    "half-client": (2 * MB, "eof", "eof"),
    "half-server": (2 * MB, "eof", "eof"),
    "both-close": (0, "eof", "eof"),
    "reset-client": (0, "closed", "ECONNRESET"),
    "reset-server": (0, "ECONNRESET", "closed"),
    "linger-client": (0, "closed", "ECONNRESET"),
    "linger-server": (0, "ECONNRESET", "closed"),
    "zero-client": (12 * MB, "eof", "eof"),
    "zero-server": (12 * MB, "eof", "eof"),
    "killed-client": (0, "killed", "eof"),
    "killed-server": (0, "eof", "killed"),
    "killed-unread-client": (0, "killed", "ECONNRESET"),
    "killed-unread-server": (0, "ECONNRESET", "killed"),
    "many": (0, "eof", "eof"),
    "turns": (0, "closed", "eof"),
    "refused": (0, "ECONNREFUSED", "eof"),
    "unaccepted": (0, "ECONNRESET", "closed"),
}
# With the library the device loses, doubles and swaps packets, too: 2 % of each, both ways.
LOSSY = {
    "lossy bulk-up": (3 * MB, "eof", "eof"),
    "lossy bulk-down": (3 * MB, "eof", "eof"),
    "lossy bulk-both": (MB, "eof", "eof"),
    "lossy half-client": (MB, "eof", "eof"),
    "lossy half-server": (MB, "eof", "eof"),
    "lossy both-close": (0, "eof", "eof"),
}


def sudden(name):
    """Scenarios in which an end goes before it has taken everything."""
    return name.startswith(("reset", "linger", "killed"))


class Tap:
    """A TAP report."""

    def __init__(self, planned):
        self.number = self.failed = 0
        print(f"1..{planned}", flush=True)

    def verdict(self, name, faults, note=""):
        """One test; its faults become comments."""
        self.number += 1
        self.failed += bool(faults)
        for fault in faults:
            for line in str(fault).splitlines():
                print("# " + line)
        print(f"{'not ok' if faults else 'ok'} {self.number} - {name}{note}", flush=True)

    def skip(self, name, reason):
        """A test that could not be made."""
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)


def skip_all(reason):
    """There is no ground to stand on here."""
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


# ---- the ground ----

def inside_own_net():
    """Start again in a network name space; returns only there."""
    if os.environ.get("INTEROP_NET") == "own":
        return
    if not shutil.which("unshare") or not shutil.which("ip"):
        skip_all("unshare or ip is not installed")
    ways = [["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]]
    for way in ways:
        if subprocess.run(way + ["true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.environ["INTEROP_NET"] = "own"
            os.execvp(way[0], way + [sys.executable] + sys.argv)
    skip_all("no network namespace with TUN here")


def ip(*words):
    """Run ip; True if it went well."""
    return subprocess.run(["ip", *words], stderr=subprocess.PIPE, check=False).returncode == 0


def lay_ground(tun):
    """The loopback, and the TUN device with the kernel's address on it."""
    ip("link", "set", "lo", "up")
    if not tun:
        return
    if not os.path.exists("/dev/net/tun"):
        skip_all("no network namespace with TUN here")
    if not (ip("tuntap", "add", "dev", DEVICE, "mode", "tun")
            and ip("addr", "add", KERNEL + "/24", "dev", DEVICE)
            and ip("link", "set", DEVICE, "up")):
        skip_all("no network namespace with TUN here")
    # Router solicitations are no part of this.
    subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{DEVICE}.disable_ipv6=1"],
                   stderr=subprocess.DEVNULL, check=False)


# ---- the two ends ----

class End:
    """One running peer program."""

    def __init__(self, command):
        self.command = command
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def listens(self):
        """Wait until a server says so."""
        return self.process.stdout.readline().strip() == "listening"

    def result(self):
        """{'sent': ..., 'received': ..., 'end': ..., 'trouble': ...}, faults."""
        try:
            out, errors = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, errors = self.process.communicate()
            errors += "\nno end within the limit"
        words = dict(word.split("=", 1) for line in out.splitlines() if line.startswith("sent=")
                     for word in line.split())
        faults = []
        # 137: a program that a supervisor saw die of SIGKILL.
        fine = (0,) if words.get("end") != "killed" else (0, -9, 137)
        if self.process.returncode not in fine or not words:
            faults.append(f"{' '.join(self.command)}: status {self.process.returncode}, "
                          f"{words}: {errors.strip()[-1500:]}")
        return words, faults


class Ends:
    """Command lines of the kernel's end and of ours."""

    def __init__(self, kind, peer, other):
        self.kind, self.peer, self.other = kind, peer, other

    def kernel(self, words, congestion):
        """A peer on the kernel's sockets."""
        return [self.peer, *words, "--congestion", congestion]

    def ours(self, words, lossy=False):
        """A peer on lastack."""
        if self.kind == "kernel":
            return [self.peer, *words]
        if self.kind == "library":
            return [self.other, *words, "--tun", DEVICE, "--local", OURS,
                    "--impair", "20" if lossy else "0"]
        return [self.other, "run", "--tun", DEVICE, "--address", OURS + "/24", "--",
                self.peer, *words]


def judge(name, client, server):
    """Faults of a scenario, from what both ends say."""
    size, client_end, server_end = (SCENARIOS | LOSSY)[name]
    faults = []
    for end, want, who in ((client, client_end, "client"), (server, server_end, "server")):
        if end.get("end") != want:
            faults.append(f"{who}: its stream ended with {end.get('end')}, expected {want}")
        if end.get("trouble") != "none":
            faults.append(f"{who}: trouble: {end.get('trouble')}")
    if not sudden(name):
        if client.get("sent") != server.get("received"):
            faults.append(f"client sent {client.get('sent')}, server received "
                          f"{server.get('received')}")
        if server.get("sent") != client.get("received"):
            faults.append(f"server sent {server.get('sent')}, client received "
                          f"{client.get('received')}")
    moved = sum(int(end.get("received", "0:").split(":")[0]) for end in (client, server))
    if moved < size:
        faults.append(f"only {moved} bytes of {size} moved")
    return faults


def play(ends, name, role, number):
    """One scenario with lastack in `role`. Returns faults."""
    local = ends.kind == "kernel"
    server_address = "127.0.0.1" if local else (OURS if role == "server" else KERNEL)
    size = (SCENARIOS | LOSSY)[name][0] or 1
    tail = [name.split()[-1], server_address, str(20000 + 2 * number), "--bytes", str(size)]
    congestion = "cubic" if number % 2 else "reno"
    lossy = name.startswith("lossy")
    if role == "server":
        commands = (ends.kernel(["client", *tail], congestion), ends.ours(["server", *tail], lossy))
    else:
        commands = (ends.ours(["client", *tail], lossy), ends.kernel(["server", *tail], congestion))
    server = End(commands[1])
    if not server.listens():
        _, faults = server.result()
        return faults or ["the server did not listen"]
    client = End(commands[0])
    client_words, faults = client.result()
    server_words, server_faults = server.result()
    return faults + server_faults + judge(name, client_words, server_words)


def zero_window_faults(name, role, capture):
    """In the zero window scenarios the window must have been shut on the wire."""
    if not name.startswith("zero-"):
        return []
    reader = OURS if name == "zero-" + role else KERNEL
    return [] if capture.zero_windows(reader) else [f"{reader} never shut its window"]


def judge_bites(tap, ends, folder):
    """The kernel leaves checksums on its loopback undone: the judge must object to them."""
    what = "the judge of packets objects to wrong checksums"
    if not shutil.which("tshark"):
        tap.skip(what, "tshark is not installed")
        return
    capture = Capture("lo", os.path.join(folder, "bites.pcap"), True)
    faults = play(ends, "small", "server", 100)
    capture.stop()
    if not capture.faults():
        faults.append(f"it found nothing in {capture.packet_cnt} packets")
    tap.verdict(what, faults)


def run_all(ends, names, folder):
    """All scenarios in both roles."""
    roles = ["client", "server"] if ends.kind != "kernel" else ["server"]
    judged = ends.kind != "kernel" and shutil.which("tshark") is not None
    tap = Tap(len(names) * len(roles) + len(roles))
    for role in roles:
        packet_cnt, packet_faults = 0, []
        for i, name in enumerate(names):
            capture = Capture(DEVICE, os.path.join(folder, f"{name.replace(' ', '-')}-{role}.pcap"), judged)
            faults = play(ends, name, role, i * 2 + (role == "client"))
            capture.stop()
            if judged:
                faults += zero_window_faults(name, role, capture)
                packet_faults += [f"{name}: {fault}" for fault in capture.faults(KERNEL)]
                packet_cnt += capture.packet_cnt
            capture.remove()
            tap.verdict(f"{name}, lastack is the {role}" if ends.kind != "kernel" else name, faults)
        what = f"no malformed packet and no bad checksum, lastack is the {role}"
        if judged:
            tap.verdict(what, packet_faults, f" ({packet_cnt} packets)")
        elif ends.kind == "kernel":
            judge_bites(tap, ends, folder)
        else:
            tap.skip(what, "tshark is not installed")
    return tap.failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["kernel", "attached", "library"])
    parser.add_argument("capture")
    parser.add_argument("peer")
    parser.add_argument("other", nargs="?")
    parser.add_argument("--only", action="append", choices=SCENARIOS | LOSSY)
    parser.add_argument("--keep")
    options = parser.parse_args()
    inside_own_net()
    lay_ground(options.kind != "kernel")
    Capture.program = os.path.abspath(options.capture)
    ends = Ends(options.kind, os.path.abspath(options.peer),
                options.other and os.path.abspath(options.other))
    names = options.only or list(SCENARIOS) + (list(LOSSY) if options.kind == "library" else [])
    if options.keep:
        Capture.keep = True
        return run_all(ends, names, options.keep)
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        return run_all(ends, names, folder)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
