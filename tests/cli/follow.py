# SPDX-License-Identifier: BSD-2-Clause
"""follow.py LASTACK FACTS: the live view on a terminal of our own: keys, sizes, signals, and the
terminal as it was at every end."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from gate import Gate
from screen import Screen

WHITE = {"NO_COLOR": "1"}


class World:
    """A file of facts that changes under the view."""

    def __init__(self, lastack, facts):
        self.lastack, self.facts = lastack, facts
        self.folder = tempfile.TemporaryDirectory(prefix="lastack-follow-")
        self.path = self.folder.name + "/facts.json"

    def records(self, name, stack="web"):
        """Of one recorded file, as one stack."""
        with open(f"{self.facts}/{name}.json", encoding="utf-8") as file:
            found = json.load(file)
        return [dict(r, stack=stack) for r in (found["facts"] if isinstance(found, dict) else found)]

    def put(self, records):
        """Replace what is there."""
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(records, file)
        os.rename(self.path + ".new", self.path)

    def put_three(self):
        """Three findings of three programs."""
        self.put(self.records("shared-classic", "a") + self.records("deaf-two", "b") +
                 self.records("unread-data", "c"))

    def view(self, width=80, height=24, env=None, every="50ms"):
        """The view on its terminal."""
        args = [self.lastack, "why", "--follow", "--every", every, "--facts", self.path]
        return Screen(args, width, height, WHITE if env is None else env)


def chosen(text):
    """The row with the cursor."""
    return next((row for row in text.splitlines() if row.startswith(">")), "")


def quit_view(view, *statuses):
    """Press q: what is wrong with the end."""
    view.keys("q")
    got = view.end()
    return view.restored() + ([] if got in (statuses or (1,)) else [f"exit status {got}"])


def seen(view, *words):
    """Words that do not come."""
    return [] if view.shows(*words) else [f"does not show {words}:"] + view.text().splitlines()


def test_keys(gate, world):
    """One after the other, as a person would."""
    world.put_three()
    view = world.view()
    gate.verdict("the list", seen(view, "last-close-missing", "end-seen", "unread-data", "proxy on c",
                                  "every", "? help"))
    first = chosen(view.text())
    view.keys("j")
    gate.verdict("j chooses the next", [] if view.until(
        lambda t: chosen(t) not in ("", first)) else [view.text()])
    view.keys("k\x1b[B\x1b[A")
    gate.verdict("k and arrows", [] if view.until(lambda t: chosen(t) == first) else [view.text()])
    view.keys("\r")
    gate.verdict("Enter shows details", seen(view, "Fix:", "(deaf, certain)", "Enter back"))
    view.keys("\r")
    gate.verdict("and goes back", seen(view, "worst first"))
    for words in ("by count", "by age", "by program", "worst first"):
        view.keys("s")
        gate.verdict(f"s sorts {words}", seen(view, words))
    view.keys("fproxx\x7fy\r")
    gate.verdict("f filters", seen(view, "filter: proxy", "unread-data") + (
        [view.text()] if "end-seen" in view.text() else []))
    view.keys("fzzz\r")
    gate.verdict("a filter that nothing passes", seen(view, "No finding passes the filter"))
    view.keys("f\x1b")
    gate.verdict("Esc drops the filter", seen(view, "end-seen"))
    view.keys("e")
    gate.verdict("e shows how to end it", seen(view, "To end: lastack end c/7", "--yes"))
    view.keys("?")
    gate.verdict("? helps", seen(view, "Ctrl-C"))
    view.keys("x")
    gate.verdict("any key leaves the help", seen(view, "end-seen"))
    gate.verdict("q quits", quit_view(view))


def test_pause(gate, world):
    """Space stops the looks."""
    world.put_three()
    view = world.view()
    faults = seen(view, "end-seen")
    view.keys(" ")
    faults += seen(view, "PAUSED")
    world.put(world.records("working", "d"))
    view.keys("?")
    faults += seen(view, "Ctrl-C")
    view.keys("?")
    faults += seen(view, "PAUSED", "end-seen")
    view.keys(" ")
    faults += seen(view, "Nothing is wrong.")
    gate.verdict("space pauses, and goes on", faults + quit_view(view, 0))


def test_sizes(gate, world):
    """From small to large, and in between."""
    world.put_three()
    for width, height in ((40, 10), (80, 24), (200, 60), (10, 3), (1, 1)):
        view = world.view(width, height)
        faults = seen(view, "last-close") if width >= 40 else []
        view.keys("j\r\r?xe")
        # Where nothing can be seen, q may come before the first look.
        gate.verdict(f"{width} columns, {height} rows",
                     faults + (quit_view(view) if width >= 40 else quit_view(view, 1, 2)))
    view = world.view()
    faults = seen(view, "last-close-missing")
    for width, height in ((40, 10), (120, 30), (60, 8), (80, 24)):
        view.resize(width, height)
        if not view.settles("lastack why", "q quit", "end-seen"):
            faults += [f"no page of {width} columns, {height} rows:", *view.text().splitlines()]
    gate.verdict("it follows the window", faults + quit_view(view))


def test_ends(gate, world):
    """Every end gives the terminal back."""
    world.put_three()
    for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP),
                           (signal.SIGINT, 1), (signal.SIGSEGV, -signal.SIGSEGV),
                           (signal.SIGABRT, -signal.SIGABRT)):
        view = world.view()
        faults = seen(view, "end-seen")
        view.kill(number)
        got = view.end()
        faults += view.restored() + ([] if got == status else [f"wait status {got}"])
        gate.verdict(f"{number.name} restores the terminal", faults)
    view = world.view()
    faults = seen(view, "end-seen")
    view.keys("\x03")
    got = view.end()
    gate.verdict("Ctrl-C quits", faults + view.restored() + ([] if got == 1 else [str(got)]))


def test_stop(gate, world):
    """Ctrl-Z, and fg."""
    world.put_three()
    view = world.view()
    faults = seen(view, "end-seen")
    view.kill(signal.SIGTSTP)
    deadline, stopped = time.monotonic() + 30, False
    while not stopped and time.monotonic() < deadline:
        view.pump(0.05)
        pid, status = os.waitpid(view.pid, os.WNOHANG | os.WUNTRACED)
        stopped = pid != 0 and os.WIFSTOPPED(status)
    while view.pump(0.05) and view.other_page and time.monotonic() < deadline:
        pass
    faults += view.restored() + ([] if stopped else ["it does not stop"])
    view.kill(signal.SIGCONT)
    faults += [] if view.until(lambda t: view.other_page and "end-seen" in t) else ["it does not go on"]
    gate.verdict("it stops and goes on as other programs", faults + quit_view(view))


def test_growth(gate, world):
    """More of the same between two looks."""
    leak = [r for r in world.records("shared-classic") if r["state"] == "CLOSE-WAIT"][0]
    world.put([leak])
    view = world.view()
    faults = seen(view, "last-close-missing", ":8080")
    # Growth is told from the second second on.
    faults += [] if view.until(lambda t: chosen(t).split()[2:3] == ["0"]) else [view.text()]
    world.put([dict(leak, id=n, socket_id=n) for n in range(1, 25001)])
    faults += [] if view.until(lambda t: chosen(t).split()[1:2] == ["25000"]
                               and chosen(t).split()[2].startswith("+")) else [view.text()]
    if view.text().count("last-close-missing") != 1:
        faults.append("more than one row")
    gate.verdict("growth is told, 25,000 are one row", faults + quit_view(view))


def test_strangers(gate, world):
    """Names with controls, in other scripts, longer than the line."""
    records = world.records("shared-classic")
    for name in ("evil\x1b[2J\x1b]0;x\x07\r\n", "日本語サーバー日本語", "é" * 15,
                 "a\u0301" * 7, "\udcff\udcfe".encode("utf-8", "surrogatepass").decode("latin-1")):
        for record in records:
            for holder in record.get("holders", []):
                holder["program"] = name
        world.put(records)
        for width in (40, 61, 80):
            view = world.view(width, 12)
            faults = seen(view, "last-close")
            view.keys("\r")
            faults += seen(view, "Enter back")
            if b"\x1b[2J" in view.raw or b"\x07" in view.raw:
                faults.append("a stranger's control reached the terminal")
            gate.verdict(f"{name!a} in {width} columns", faults + quit_view(view))


def test_trouble(gate, world):
    """What cannot be read is said, and looked at again."""
    world.put_three()
    view = world.view()
    faults = seen(view, "end-seen")
    os.unlink(world.path)
    faults += seen(view, "No such file")
    world.put_three()
    faults += seen(view, "end-seen")
    gate.verdict("trouble is said, and goes away", faults + quit_view(view))


def test_colours(gate, world):
    """Only where they are wanted."""
    world.put_three()
    for env, coloured in (({}, True), (WHITE, False)):
        env = {"NO_COLOR": "", **env}
        view = world.view(env=env)
        faults = seen(view, "end-seen")
        if (b"\x1b[31m" in view.raw) != coloured:
            faults.append(repr(view.raw[:2000]))
        gate.verdict("colours" if coloured else "no colours", faults + quit_view(view))
    view = world.view(env={"TERM": "dumb"})
    gate.verdict("a dumb terminal", [] if view.end() == 2 and b"needs a terminal" in view.raw
                 else [repr(view.raw)])
    done = subprocess.run([world.lastack, "why", "--follow", "--facts", world.path],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    gate.verdict("no terminal: a sentence", [] if done.returncode == 2 and
                 "--json writes a line" not in done.stdout and "needs a terminal" in done.stderr
                 else [done.stderr])


def test_progress(gate, world):
    """Not the live view: a look that takes long says on a terminal that it is at it."""
    fifo = world.folder.name + "/fifo"
    os.mkfifo(fifo)
    view = Screen([world.lastack, "why", "--facts", fifo], env=WHITE)
    deadline = time.monotonic() + 30
    while b"still looking" not in view.raw and time.monotonic() < deadline:
        view.pump(0.2)
    faults = [] if b"still looking" in view.raw else ["no sign of life"]
    with open(f"{world.facts}/shared-classic.json", "rb") as known, open(fifo, "wb") as file:
        file.write(known.read())
    got = view.end()
    faults += [] if got == 1 else [f"exit status {got}"]
    if b"\x1b[K" not in view.raw or b"PROBLEM" not in view.raw.split(b"\x1b[K")[-1]:
        faults.append(repr(view.raw))
    gate.verdict("a look that takes long shows a sign of life", faults)


def main():
    gate = Gate()
    world = World(os.path.realpath(sys.argv[1]), sys.argv[2])
    for test in (test_keys, test_pause, test_sizes, test_ends, test_stop, test_growth,
                 test_strangers, test_trouble, test_colours, test_progress):
        test(gate, world)
    world.folder.cleanup()
    gate.done()


if __name__ == "__main__":
    main()
