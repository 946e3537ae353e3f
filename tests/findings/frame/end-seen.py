# SPDX-License-Identifier: BSD-2-Clause
import os
import select
import socket
import subprocess
import sys

kept = []


def serve(conn):
    pass
    # PAGE


def handle(conn):
    while conn.fileno() >= 0 and kept.count(conn) < 3:
        kept.append(conn)
        serve(conn)


def work(data):
    return data


listener = socket.create_server(("127.0.0.1", 0))
subprocess.run([sys.executable, os.environ["PEER"], "client", str(listener.getsockname()[1])], check=True)
handle(listener.accept()[0])
print("ready", flush=True)
poller = select.epoll()
poller.poll()
