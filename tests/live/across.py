# SPDX-License-Identifier: BSD-2-Clause
"""across.py listen|dial ADDRESS: two ends of a connection between hosts, by the protocol of stage.h.

The one who dials says something and ends its half; the one who listens reads to the end and keeps its
descriptor. For each line of standard input it sends a thousand bytes.
"""
import os
import socket
import sys

PORT = 7000


def told(role, connection):
    """Who and what it is."""
    here, there = (":".join(map(str, name)) for name in (connection.getsockname(),
                                                         connection.getpeername()))
    print(f"socket {role} {os.getpid()} {connection.fileno()} 0 {here} {there}", flush=True)


def main():
    """Until standard input ends."""
    address = (sys.argv[2], PORT)
    if sys.argv[1] == "listen":
        listener = socket.create_server(address)
        print("process listener 0", flush=True)
        connection, _ = listener.accept()
        while connection.recv(100):
            pass
        told("keeper", connection)
    else:
        connection = socket.create_connection(address)
        told("client", connection)
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
    print("ready", flush=True)
    for _ in sys.stdin:
        connection.sendall(bytes(1000))


if __name__ == "__main__":
    main()
