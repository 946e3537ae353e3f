# SPDX-License-Identifier: BSD-2-Clause
"""Writes the first inputs of each fuzz target: make_corpus.py TARGET FOLDER.

They speak the language of net.c and calls.c: a whole handshake, data, both orders of closing,
resets, fragments, floods, and each kind of call at least once."""
import os
import struct
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def segment(flags, flow=0, mode=0, extra=b"", mood=1, calls=False):
    """One segment of a flow, exact numbers unless the mode says otherwise."""
    what = 0 if calls else mood << 3
    return bytes([what, flow, flags, mode]) + extra


def time_jump(how=0x80, calls=False):
    """To the next deadline by default."""
    return bytes([4 if calls else 3, how])


def handshake(flow=0, calls=False):
    """SYN, ACK of the SYN-ACK."""
    return segment(SYN, flow, calls=calls) + segment(ACK, flow, calls=calls)


def data(length=20, flow=0, mood=1, calls=False):
    """`length` * 5 bytes of payload."""
    return segment(ACK | PSH, flow, 0x40, bytes([length]), mood, calls)


def packets():
    """Name, bytes: for fuzz_packets."""
    seed = {}
    seed["handshake"] = handshake()
    seed["echo"] = handshake() + data() + data(200) + segment(ACK)
    seed["peer-closes"] = handshake() + data() + segment(FIN | ACK) + segment(ACK) + time_jump()
    seed["we-close-late"] = handshake() + segment(FIN | ACK, mood=2) + segment(ACK, mood=2) * 2
    seed["half-close"] = handshake() + data(mood=1) + segment(FIN | ACK, mood=1) + segment(ACK)
    seed["reset"] = handshake() + data() + segment(RST | ACK)
    seed["reset-inexact"] = handshake() + segment(RST, mode=1, extra=b"\x20")
    seed["syn-again"] = handshake() + segment(SYN, mode=2, extra=b"\x01\x00")
    seed["gap"] = handshake() + segment(ACK | PSH, 0, 0x41, b"\x64\x14") + data()
    seed["old"] = handshake() + data() + segment(ACK | PSH, 0, 0x41, b"\xf0\x14")
    seed["flood"] = b"".join(segment(SYN, i % 8 | (i & 1) << 7) for i in range(24))
    seed["flood-then-ack"] = b"".join(segment(SYN, i) + segment(ACK, i) for i in range(8))
    seed["zero-window"] = handshake() + segment(ACK | PSH, 0, 0x50, b"\0\0\xff", 7) + \
        segment(ACK, 0, 0x10, b"\0\0", 7) + time_jump() * 6
    seed["timeouts"] = segment(SYN) + time_jump() * 8
    seed["lost-answer"] = handshake() + data(mood=7) + time_jump() * 20
    seed["icmp"] = segment(SYN) + bytes([4, 40, 3, 1, 0, 0, 0, 0, 0]) + \
        bytes([4, 40, 3, 3, 0, 0, 0, 0, 0]) + bytes([4, 10, 8, 0, 1, 2, 3, 4])
    seed["fragments"] = bytes([5, 0, SYN, 0, 1, 0, 3, 3, 40]) + \
        bytes([5, 0, ACK | PSH, 0x40, 60, 3, 0, 20, 20, 20, 40, 40])
    seed["mirror"] = handshake() + data() + bytes([6]) * 6
    seed["raw"] = bytes([7, 44, 1]) + bytes([0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2,
                                            10, 0, 0, 1]) + bytes(24)
    seed["options"] = segment(SYN, 0, 0x20, bytes([5, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0,
                                                   0, 0, 1, 3, 3, 9])) + segment(ACK)
    seed["hours"] = handshake() + bytes([3, 0x7f]) * 4 + data()
    for name, body in list(seed.items()):
        for flags in (0, 1, 0x4e):
            yield f"{name}-{flags:02x}", bytes([flags]) + body


def call(number, who, *arguments):
    """A socket call of process `who`."""
    return bytes([6, number, who, *arguments])


def calls():
    """Name, bytes: for fuzz_calls. Descriptor n is the byte n + 1."""
    shake = handshake(calls=True)
    accept = call(2, 0, 1, 0, 1, 4, 0)
    fork = call(14, 0, 2)
    send, recv = call(5, 0, 2, 50, 1), call(6, 0, 2, 120, 1)
    seed = {}
    seed["accept-close"] = shake + accept + call(8, 0, 2) + segment(ACK, calls=True)
    seed["echo"] = shake + accept + data(calls=True) + recv + send + segment(ACK, calls=True)
    seed["zero-copy"] = shake + accept + data(calls=True) + call(6, 0, 2, 50, 0) + \
        call(5, 0, 2, 50, 0)
    seed["leak"] = shake + accept + fork + segment(FIN | ACK, calls=True) + call(8, 1, 2) + \
        call(6, 0, 2, 10, 1) + call(7, 0, 2, 2) + call(8, 0, 2) + segment(ACK, calls=True)
    seed["shutdown"] = shake + accept + call(7, 0, 2, 1) + segment(ACK, calls=True) + \
        call(5, 0, 2, 9, 1) + segment(FIN | ACK, calls=True) + time_jump(calls=True)
    seed["unread"] = shake + accept + data(calls=True) + call(8, 0, 2)
    seed["linger"] = shake + accept + call(11, 0, 2, 0, 13, 1, 0, 0, 0) + call(8, 0, 2)
    seed["exit"] = shake + accept + fork + call(14, 0, 1) + call(14, 1, 1)
    seed["exec"] = shake + call(3, 0, 1, 0, 1, 4, 1) + call(14, 0, 0)
    seed["message"] = shake + accept + call(12, 0, 2, 0) + call(8, 0, 2) + call(12, 1, 0, 0, 0) + \
        call(12, 0, 1, 0) + call(12, 0, 1, 0, 1)
    seed["connect-out"] = call(0, 1) + call(4, 1, 1, 2, 1, 1) + segment(SYN | ACK, 0, calls=True)
    seed["connect-here"] = call(0, 1) + call(4, 1, 1, 1, 1, 1) + accept + call(5, 1, 1, 60, 1) + \
        recv + call(8, 1, 1) + recv + call(8, 0, 2)
    seed["dup"] = shake + accept + call(10, 0, 2, 3, 0) + call(10, 0, 2, 7, 1) + call(8, 0, 2) + \
        call(8, 0, 3) + call(8, 0, 6)
    seed["epoll"] = shake + call(13, 0, 1, 0, 0, 0, 0, 0, 0, 1) + \
        call(13, 0, 2, 0, 5, 0, 0, 0, 5, 2, 0, 1) + call(13, 0, 2, 0, 0, 0, 0, 0, 0, 3, 3)
    seed["poll"] = shake + accept + call(13, 0, 2, 0xff, 0xff, 0, 0, 0, 0, 0)
    seed["operator"] = shake + accept + b"".join(call(15, 0, 0, how) for how in range(24))
    seed["listener-dies"] = shake + shake + call(8, 0, 1) + call(0, 0) + call(1, 0, 1, 3)
    seed["names"] = shake + accept + call(2, 0, 2, 0, 1, 2) + call(2, 0, 2, 0, 1, 3)
    for name, body in list(seed.items()):
        for flags in (0, 2, 0x5c):
            yield f"{name}-{flags:02x}", bytes([flags]) + body


def wire():
    """Name, bytes: for fuzz_wire; the first byte chooses the parser."""
    ip = bytes([0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1])
    tcp = struct.pack(">HHIIBBHHH", 1000, 80, 1, 0, 0x60, SYN, 65535, 0, 0) + bytes([2, 4, 5, 180])
    echo = bytes([8, 0, 0, 0, 0, 1, 0, 1]) + b"ping"
    yield "syn", b"\0" + ip + tcp
    yield "options", b"\2" + tcp[:12] + b"\xa0" + tcp[13:20] + \
        bytes([2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7])
    yield "echo", b"\3" + echo
    yield "unreachable", b"\3" + bytes([3, 1, 0, 0, 0, 0, 0, 0]) + ip + tcp
    yield "quote", b"\5" + ip + tcp
    yield "sum", b"\6" + bytes(range(70))
    yield "address", b"\x07192.0.2.1"


def main():
    target, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    for name, content in {"packets": packets, "calls": calls, "wire": wire}[target]():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    with open(os.path.join(folder, ".made"), "w", encoding="utf-8"):
        pass


main()
