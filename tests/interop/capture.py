# SPDX-License-Identifier: BSD-2-Clause
"""A capture of the TUN device, judged by tshark as a second dissector."""
import os
import subprocess

FIELDS = ["frame.number", "ip.src", "ip.checksum.status", "tcp.checksum.status",
          "tcp.window_size_value", "tcp.flags.reset", "_ws.malformed", "_ws.expert.message",
          "icmp.checksum.status", "tcp.checksum"]
GOOD = "1"  # tshark's number for a checksum that is right
# Each packet by itself: what tshark thinks of payload and of streams is not asked for.
OPTIONS = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
           "-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
           "-o", "tcp.try_heuristic_first:FALSE", "-d", "tcp.port==1-65535,data"]


class Capture:
    """Packets of one scenario. With `wanted` false it does nothing."""

    keep = False
    program = ""  # of capture.c

    def __init__(self, device, path, wanted):
        self.path, self.process, self.rows, self.packet_cnt = path, None, None, 0
        if not wanted:
            return
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [self.program, device, path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "capturing\n":
            raise SystemExit(f"Bail out! no capture on {device}: {self.process.communicate()[1]}")

    def stop(self):
        """End the capture, and let tshark read it."""
        if not self.process:
            return
        self.process.terminate()
        self.process.communicate()
        command = ["tshark", "-n", "-r", self.path, *OPTIONS, "-T", "fields", "-E",
                   "occurrence=f", "-E", "separator=;"]
        for field in FIELDS:
            command += ["-e", field]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        self.rows = [dict(zip(FIELDS, line.split(";"))) for line in done.stdout.splitlines()]
        self.packet_cnt = len(self.rows)

    def faults(self, kernel=None):
        """Malformed packets and checksums that are not right, a few of them.

        Linux writes ffff where a TCP checksum comes out as 0 (skb_checksum_help): the same
        value in ones' complement, but not RFC 1624's form of it, which tshark demands."""
        if self.packet_cnt < 3:
            return [f"only {self.packet_cnt} packets were captured"]
        faults = []
        for row in self.rows:
            sums = [row[name] for name in FIELDS if name.endswith("checksum.status") and row[name]]
            if row["_ws.malformed"]:
                faults.append(f"packet {row['frame.number']}: malformed: "
                              f"{row['_ws.expert.message']}")
            elif row["ip.src"] == kernel and row["tcp.checksum"] == "0xffff":
                continue
            elif row["ip.src"] and (len(sums) < 2 or any(value != GOOD for value in sums)):
                faults.append(f"packet {row['frame.number']} of {row['ip.src']}: checksums {sums}")
        return faults[:5] + ([f"{len(faults)} such packets"] if len(faults) > 5 else [])

    def zero_windows(self, source):
        """How often `source` has shut its window."""
        return sum(row["ip.src"] == source and row["tcp.window_size_value"] == "0"
                   and row["tcp.flags.reset"] in ("0", "False") for row in self.rows)

    def remove(self):
        """Delete the file, unless captures are kept."""
        if self.process and not self.keep and os.path.exists(self.path):
            os.remove(self.path)
