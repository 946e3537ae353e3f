# SPDX-License-Identifier: BSD-2-Clause
"""A way into a running `lastack run`, as nsenter(1) is one into a namespace.

    door.py SOCKET                    inside: starts what is asked for, until a signal ends it
    door.py SOCKET COMMAND...         outside: runs the command inside, hands signals on, ends as it ends
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading


def serve(client):
    """One command, with the descriptors of who asked for it; `client` hears its pid and its status."""
    with client:
        words, descriptors, _, _ = socket.recv_fds(client, 65536, 3)
        try:
            child = subprocess.Popen(json.loads(words), stdin=descriptors[0], stdout=descriptors[1],
                                     stderr=descriptors[2], start_new_session=True)
        except OSError as error:
            client.sendall(f"0\n{error.errno}\n".encode())
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        client.sendall(f"{child.pid}\n".encode())
        client.sendall(f"{child.wait()}\n".encode())


def door(path):
    """Open until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


def knock(path, command):
    """The command's exit status."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        socket.send_fds(client, [json.dumps(command).encode()], [0, 1, 2])
        with client.makefile() as words:
            pid = int(words.readline())
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda which, _: os.kill(pid, which) if pid else None)
            status = int(words.readline())
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if len(sys.argv) == 2:
        door(sys.argv[1])
    sys.exit(knock(sys.argv[1], sys.argv[2:]))
