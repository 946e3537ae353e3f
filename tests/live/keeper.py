# SPDX-License-Identifier: BSD-2-Clause
"""keeper.py MODE: connections that Python keeps, by the protocol of stage.h.

    cycle     an object without close(): it waits for a collection that does not come
    subprocess  a child was started with pass_fds, and has the connection for as long as it lives
"""
import gc
import os
import select
import socket
import subprocess
import sys


def say(line):
    """One line to the driver."""
    os.write(1, (line + "\n").encode())


def told(role, connection):
    """Who and what it is."""
    here, there = (":".join(map(str, name)) for name in (connection.getsockname(),
                                                         connection.getpeername()))
    say(f"socket {role} {os.getpid()} {connection.fileno()} 0 {here} {there}")


def pair():
    """A connection: the server's end, and a client that said something and ended its half."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    connection, _ = listener.accept()
    told("keeper", connection)
    told("client", client)
    client.sendall(b"hello")
    client.shutdown(socket.SHUT_WR)
    return listener, connection, client


class Session:
    """Knows itself: only the collector can end it."""

    def __init__(self, connection):
        self.connection, self.me = connection, self


def keep_cycle():
    """Read to the end, forgotten in a cycle."""
    gc.disable()
    listener, connection, client = pair()
    while connection.recv(100):
        pass
    Session(connection)
    del connection
    return listener, client


def keep_subprocess():
    """Closed here, kept by a program that got it."""
    listener, connection, client = pair()
    os.set_inheritable(connection.fileno(), True)
    heir = subprocess.Popen(["sleep", "100000"], close_fds=False)
    say(f"process heir {heir.pid}")
    while connection.recv(100):
        pass
    connection.close()
    return listener, client, heir


def main():
    """Until standard input ends."""
    kept = {"cycle": keep_cycle, "subprocess": keep_subprocess}[sys.argv[1]]()
    say("ready")
    select.select([sys.stdin], [], [])
    for thing in kept:
        if isinstance(thing, subprocess.Popen):
            thing.kill()
            thing.wait()


if __name__ == "__main__":
    main()
