# SPDX-License-Identifier: BSD-2-Clause
"""The pages of docs/findings are true, in TAP: the program with the fault that a page shows gets the
page's finding, the repaired one does not.

    pages.py LASTACK ROOT [PAGE...]

Each block of code is put into its frame (tests/findings/frame), which makes a whole program of it.
All run at once, each in a network namespace of its own, and `lastack why` looks at all of them.
"""
import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../live"))
from blocks import ENDS, frame_of, page_blocks, program_of  # noqa: E402
from live import recorder_start  # noqa: E402
from pairs import ADVICE, PAIRS  # noqa: E402
from play import Play, command_alone, end_politely, look, namespaces_here  # noqa: E402

LIMIT_S = 600  # of a machine that is busy with other things; else it takes half a minute
QUIET_S, QUIET_LOOKS = 3, 3  # a repaired program is clean so long, and as long as its twin was not yet
SERIOUS = ("attention", "problem")
TOOLS = {"go": "go", "java": "javac", "js": "node"}
PYTHON = "/usr/bin/python3"
PEER = f"{HERE}/frame/peer.py"


def blocks_without_pair(root):
    """Blocks of the pages that no pair runs, and pairs of blocks that are not there."""
    told = set(ADVICE)
    for pair in PAIRS:
        told |= {(pair.page, pair.language, n) for n in (pair.failing, pair.repaired) if n is not None}
    there = set()
    for name in sorted(os.listdir(f"{root}/docs/findings")):
        page, counts = name.removesuffix(".md"), {}
        for kind, _ in page_blocks(root, page):
            there.add((page, kind, counts.setdefault(kind, 0)))
            counts[kind] += 1
    return sorted(there ^ told)


class Program:
    """One of the two of a pair: made, started, looked at."""

    def __init__(self, pair, word, number, root, scratch):
        self.pair, self.word = pair, word
        self.play, self.command, self.fault = None, None, ""
        self.heard, self.found_s, self.clean_at, self.looks = [], None, None, 0
        self.name = f"{pair.frame or pair.page} {pair.language} {word}"
        blocks = [code for kind, code in page_blocks(root, pair.page) if kind == pair.language]
        block = blocks[number] if number is not None else ""
        self.text = program_of(frame_of(pair.frame or pair.page, pair.language), block, word)
        self.folder = os.path.join(scratch, f"{pair.page}-{self.name}".replace(" ", "-"))
        self.code = pair.code or pair.page
        self.codes = {self.code, pair.recorded or self.code}
        self.done = False

    def make(self):
        """Compile it, if that is done with its language. What went wrong is its fault."""
        os.mkdir(self.folder)
        source = f"{self.folder}/main.{ENDS[self.pair.language]}"
        with open(source, "w", encoding="utf-8") as file:
            file.write(self.text)
        made = f"{self.folder}/{self.pair.page[:12]}"
        make, self.command = {
            "c": (["cc", "-g", "-O1", "-Wall", "-Wno-unused-label", "-Wno-unused-variable",
                   "-Wno-unused-but-set-variable", "-Wno-unused-function", "-Werror", "-pthread",
                   f"-I{HERE}/frame", *(["-DREPAIRED"] if self.word == "repaired" else []),
                   source, "-o", made, *(["-luring"] if self.pair.needs.endswith("uring.h") else [])],
                  [made]),
            "python": (None, [PYTHON, source]),
            "go": (["go", "build", "-o", made, source], [made]),
            "java": (["javac", "-d", self.folder, source], ["java", "-Xshare:auto", "-cp", self.folder, "Main"]),
            "js": (None, ["node", source]),
        }[self.pair.language]
        if make:
            done = subprocess.run(make, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT, check=False,
                                  env=dict(os.environ, GOFLAGS="-mod=mod", GO111MODULE="off"))
            self.fault = done.stdout if done.returncode else ""
        if self.pair.page == "unread-data" and self.pair.language != "c":
            size = "170000" if self.pair.language == "js" else "100000" # more than the language reads ahead
            self.command = [PYTHON, PEER, "server", size, *self.command]

    def start(self):
        """Run it in a network namespace of its own."""
        self.play = Play(None, command_alone(self.command))

    def stop(self):
        """It hears of no end of its input."""
        if self.play and self.play.child.poll() is None:
            os.killpg(self.play.child.pid, signal.SIGKILL)
        if self.play:
            self.play.stop()

    def hear(self, findings, now):
        """What one look says of it."""
        play = self.play
        mine = [f for f in findings if f["stack"] == play.stack]
        self.heard = [f"{f['code']} ({f['severity']}): {f['sentence']}" for f in mine]
        self.looks += 1
        codes = {f["code"] for f in mine}
        wrong = {f["code"] for f in mine if f["severity"] in SERIOUS} - set(self.pair.besides)
        if self.codes & codes and self.found_s is None:
            self.found_s = now - play.ready_at
        if wrong or self.codes & codes:
            self.clean_at, self.looks = None, 0
        elif self.clean_at is None:
            self.clean_at = now

    def is_clean(self, twin, now):
        """As long as its twin needed to be found, nothing is said of it."""
        wait_s = max(QUIET_S, (twin.found_s if twin else 12) + 1)
        return self.clean_at is not None and now - self.clean_at >= wait_s and self.looks >= QUIET_LOOKS


def reason_not(pair, recorder):
    """Why a pair cannot run here, or ""."""
    tool = TOOLS.get(pair.language)
    if tool and not shutil.which(tool):
        return f"{tool} is not installed"
    if pair.needs == "requests" and subprocess.run(
            [PYTHON, "-c", "import requests"], stderr=subprocess.DEVNULL, check=False).returncode:
        return "python3-requests is not installed"
    if pair.needs.startswith("/") and not os.path.exists(pair.needs):
        return f"{os.path.basename(pair.needs)} is not installed"
    return recorder if pair.history and isinstance(recorder, str) else ""


def checked(lastack, program):
    """Those that only `lastack check` can tell: does it, of the failing one alone?"""
    done = subprocess.run([lastack, "check", "--json", "--", *program.command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    said = f'"code":"{program.code}"' in (done.stdout + done.stderr).replace(" ", "")
    good = (done.returncode == 1 and said) if program.word == "failing" else done.returncode == 0
    return "" if good else f"exit status {done.returncode}\n{done.stdout}{done.stderr}"


def watch(pairs, lastack, directory):
    """Look until all is said; pairs are lists [failing, repaired]."""
    end = time.monotonic() + LIMIT_S
    waiting = [p for pair in pairs for p in pair]
    while waiting and time.monotonic() < end:
        begun = time.monotonic()
        found = look(lastack, directory, "--stack", "kernel")["findings"]
        for program in waiting:
            if program.play.ready_at is not None and program.play.ready_at < begun:
                program.hear(found, time.monotonic())
        for pair in pairs:
            settle(pair, time.monotonic())
        waiting = [p for p in waiting if not p.done and p.play.child.poll() is None]
        time.sleep(max(0.0, 0.5 - (time.monotonic() - begun)))


def settle(pair, now):
    """Who has nothing more to show."""
    failing = next((p for p in pair if p.word == "failing"), None)
    for program in pair:
        if program.word == "failing":
            program.done = program.found_s is not None
        elif not failing or failing.done:
            program.done = program.is_clean(failing, now)


# ---- TAP

class Tap:
    """Lines and their numbers."""
    def __init__(self):
        self.cnt = self.failed = 0

    def say(self, name, good, faults=(), skip=""):
        self.cnt += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.cnt} - {name}" + (f" # SKIP {skip}" if skip else ""))
        for line in faults if not good else ():
            print("\n".join("#   " + part for part in str(line).splitlines()))
        sys.stdout.flush()


def tell(tap, program):
    """The verdict on one that ran."""
    if program.play and program.play.child.poll() == 77:
        tap.say(program.name, True, skip=" ".join(program.play.errors[-1:]))
        return
    what = f"{program.name}: {program.code if program.word == 'failing' else 'nothing'}"
    faults = [program.fault]
    if program.play:
        faults += [f"ready: {program.play.ready_at is not None}", *program.heard, *program.play.errors]
    tap.say(what, program.done and not program.fault, faults)


def programs_of(pair, root, scratch):
    """Its one or two. A frame without a block fails."""
    words = [("failing", pair.failing)] if pair.repaired is None else \
        [("failing", pair.failing), ("repaired", pair.repaired)]
    return [Program(pair, word, number, root, scratch) for word, number in words]


def run(tap, lastack, root, chosen, scratch, recorder):
    """Make, start, look, tell."""
    reasons = {id(pair): reason_not(pair, recorder) for pair in chosen}
    for pair in chosen:
        if reasons[id(pair)]:
            tap.say(f"{pair.page} {pair.language}", True, skip=reasons[id(pair)])
    made = [programs_of(pair, root, scratch) for pair in chosen if not reasons[id(pair)]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(Program.make, [p for pair in made for p in pair]))
    for program in [p for pair in made for p in pair if p.pair.check and not p.fault]:
        program.fault = checked(lastack, program)
        program.done = not program.fault
    pairs = [pair for pair in made if not pair[0].pair.check and not any(p.fault for p in pair)]
    try:
        programs = [p for pair in pairs for p in pair]
        for program in sorted(programs, key=lambda p: not p.pair.alone):
            program.start()
            while program.pair.alone and program.play.ready_at is None and program.play.child.poll() is None:
                time.sleep(0.05)
        watch(pairs, lastack, scratch)
    finally:
        for program in (p for pair in pairs for p in pair):
            program.stop()
    for program in (p for pair in made for p in pair):
        tell(tap, program)


def main():
    """TAP of all, or of the pages named."""
    end_politely()
    lastack, root, names = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
    tap = Tap()
    if os.getuid() != 0 or not namespaces_here():
        print("1..0 # SKIP no network namespace here")
        return
    chosen = [pair for pair in PAIRS if not names or pair.page in names]
    scratch = tempfile.mkdtemp(prefix="lastack-pages-")
    os.mkdir(f"{scratch}/bin")
    os.symlink(shutil.which("sleep"), f"{scratch}/bin/convert")
    os.environ.update(PATH=f"{scratch}/bin:{os.environ['PATH']}", PEER=PEER)
    recorder = recorder_start(lastack, scratch) if any(p.history for p in chosen) else ""
    try:
        wrong = blocks_without_pair(root)
        tap.say("every block of code in the pages is run", not wrong, wrong)
        run(tap, lastack, root, chosen, scratch, recorder)
    finally:
        if isinstance(recorder, subprocess.Popen):
            recorder.terminate()
            recorder.wait()
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"1..{tap.cnt}")
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
