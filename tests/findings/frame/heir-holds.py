# SPDX-License-Identifier: BSD-2-Clause
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys


def work(job):
    while job:
        signal.pause()


job = 1000
if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    subprocess.run([sys.executable, os.environ["PEER"], "client", str(listener.getsockname()[1])],
                   check=True)
    # PAGE
    print("ready", flush=True)
    select.epoll().poll()
