# SPDX-License-Identifier: BSD-2-Clause
"""A program on a terminal of our own: what it writes becomes rows of characters, keys go in."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata

PATIENCE_S = 30
CODE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\r|\n|\x1b.|[^\x1b\r\n]+")


class Screen:
    """As much of a terminal as the live view uses, and no more: anything else is a fault."""

    def __init__(self, args, width=80, height=24, env=None):
        self.width, self.height = width, height
        self.faults, self.page_faults, self.raw, self.rest = [], [], b"", ""
        self.settled = True
        self.other_page = self.cursor_hidden = False
        self.clear()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.execve(args[0], args, {**os.environ, "TERM": "xterm", **(env or {})})
        self.before = termios.tcgetattr(self.fd)

    def clear(self):
        """Blank rows, the cursor at the top."""
        self.rows, self.x, self.y = [""] * self.height, 0, 0

    def resize(self, width, height):
        """As a window manager would. Pages of the old size may still be under way: what does not
        fit counts again from settles() on."""
        self.width, self.height, self.settled = width, height, False
        self.clear()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def settles(self, *words):
        """Wait for a page of the new size with these words: it fits, its foot is the last row."""
        self.settled = self.until(lambda text: all(word in text for word in words) and
                                  not self.page_faults and self.rows[-1] != "")
        return self.settled

    def page_begins(self):
        """What did not fit on the last page."""
        self.faults += self.page_faults if self.settled else []
        self.page_faults = []

    def feed(self, words):
        """Bytes of the program."""
        for match in CODE.finditer(words):
            code, word = match.group(2), match.group(0)
            if word == "\r":
                self.x = 0
            elif word == "\n":
                self.y += 1
            elif code == "H":
                self.page_begins()
                self.x = self.y = 0
            elif code == "K":
                if self.y < self.height:
                    self.rows[self.y] = self.rows[self.y][:self.x]
            elif code in ("h", "l") and match.group(1) in ("?1049", "?25"):
                if match.group(1) == "?1049":
                    self.other_page = code == "h"
                else:
                    self.cursor_hidden = code == "l"
            elif code == "m":
                continue
            elif word[0] == "\x1b":
                self.faults.append(f"an unknown sequence {word!r}")
            else:
                self.put(word)

    def put(self, word):
        """Characters at the cursor."""
        if not self.other_page:
            return
        if self.y >= self.height:
            self.page_faults.append(f"wrote below the last row: {word!r}")
            return
        # Rows hold a character for each column: a wide one has a blank behind it that is not there.
        cells = "".join(c + ("\0" if unicodedata.east_asian_width(c) in "WF" else "")
                        for c in word if not unicodedata.combining(c))
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[:self.x] + cells + row[self.x + len(cells):]
        self.x += len(cells)
        if self.x > self.width:
            self.page_faults.append(f"wrote {self.x} columns into {self.width}: {self.rows[self.y]!r}")

    def pump(self, seconds):
        """Take what the program writes; False at its end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += piece
        text = self.rest + piece.decode("utf-8", "surrogateescape")
        # A sequence may be cut in two.
        cut = text.rfind("\x1b")
        if cut >= 0 and not re.match(r"\x1b\[[?0-9;]*[A-Za-z]", text[cut:]):
            text, self.rest = text[:cut], text[cut:]
        else:
            self.rest = ""
        self.feed(text)
        return bool(piece)

    def text(self):
        """The page as one string."""
        return "\n".join(row.rstrip() for row in self.rows).replace("\0", "")

    def until(self, condition):
        """Wait for a page on which condition(text) holds; False if there is none."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if condition(self.text()):
                return True
            if not self.pump(0.2):
                return condition(self.text())
        return False

    def shows(self, *words):
        """Wait for all these words on one page."""
        return self.until(lambda text: all(word in text for word in words))

    def keys(self, keys):
        """Press keys."""
        os.write(self.fd, keys.encode())

    def kill(self, number=signal.SIGTERM):
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self):
        """Wait for its end; its wait status. A negative one: it would not end."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.pump(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while select.select([self.fd], [], [], 0.05)[0] and self.pump(0):
                    pass
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return -99

    def restored(self):
        """What the program left undone at its end."""
        faults = self.faults + self.page_faults
        if self.other_page:
            faults.append("the other page is still shown")
        if self.cursor_hidden:
            faults.append("the cursor is still hidden")
        if termios.tcgetattr(self.fd) != self.before:
            faults.append("the terminal's settings have changed")
        return faults
