# SPDX-License-Identifier: BSD-2-Clause
"""A Python program that forgets a descriptor: what detach() gives away is nobody's."""
import socket

server = socket.create_server(("127.0.0.1", 0))


def forget():
    client = socket.create_connection(server.getsockname())  # LINE:python
    client.detach()


forget()
accepted, _ = server.accept()
accepted.close()
