# SPDX-License-Identifier: BSD-2-Clause
"""The other side of a frame in another language: peer.py client PORT, peer.py origin, or peer.py server SIZE COMMAND...

origin: says its port, accepts one connection, and never ends it.
client: says something to a port of this machine and leaves; returns when it is gone.
server: answers each request with an error and a body of this size, ends its half, and waits for the
other one; runs COMMAND with its port as the last word.
"""
import select
import socket
import subprocess
import sys
import threading

def answer(conn, body):
    """One request. What comes after it is waited for, whatever it is."""
    try:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 500 Sorry\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(65536):
            pass
    except OSError:
        pass
    conn.close()


def serve(listener, body):
    """For ever."""
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=answer, args=(conn, body), daemon=True).start()


def main():
    """One of the two."""
    if sys.argv[1] == "client":
        with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as conn:
            conn.sendall(b"how do you do?")
        return
    listener = socket.create_server(("127.0.0.1", 0))
    if sys.argv[1] == "origin":
        print(listener.getsockname()[1], flush=True)
        conn, _ = listener.accept()
        while conn.recv(65536):
            pass
        select.epoll().poll()
    threading.Thread(target=serve, args=(listener, b"x" * int(sys.argv[2])), daemon=True).start()
    subprocess.run([*sys.argv[3:], str(listener.getsockname()[1])], check=True)


main()
