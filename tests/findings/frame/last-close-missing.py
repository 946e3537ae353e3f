# SPDX-License-Identifier: BSD-2-Clause
import os
import select
import socket
import subprocess
import sys

clients = []


def serve(conn):
    while conn.recv(4096):
        pass


listener = socket.create_server(("127.0.0.1", 0))
subprocess.run([sys.executable, os.environ["PEER"], "client", str(listener.getsockname()[1])], check=True)
for _ in range(1):
    pass
    # PAGE
os.wait()
print("ready", flush=True)
select.epoll().poll()
