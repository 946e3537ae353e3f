# SPDX-License-Identifier: BSD-2-Clause
"""terminal.py WIDTH PROGRAM ARGUMENT...: run it on a terminal of that width, print what it wrote."""
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
out = b''
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    out += piece
os.waitpid(pid, 0)
sys.stdout.write(out.decode().replace('\r\n', '\n'))
