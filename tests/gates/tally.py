# SPDX-License-Identifier: BSD-2-Clause
"""What ./check counts: made-up logs of programs that pass, fail, crash, hang and lie."""
import json
import os
import subprocess

from gate import ROOT, Gate, Scratch

# name, output, Meson's verdict, exit code, (passed, failed, skipped)
PROGRAMS = [
    ("good", "1..2\nok 1 - a\nok 2 - b\n", "OK", 0, (2, 0, 0)),
    ("fails", "1..2\n# why\nnot ok 1 - a\nok 2 - b\n", "ERROR", 1, (1, 1, 0)),
    ("skip-listed", "1..2\nok 1 - a # SKIP cc is not installed\nok 2 - b\n", "OK", 0, (1, 0, 1)),
    ("skip-unlisted", "1..1\nok 1 - a # SKIP no wish\n", "OK", 0, (0, 1, 0)),
    ("skip-nothing-said", "1..1\nok 1 - a # SKIP\n", "OK", 0, (0, 1, 0)),
    ("skip-all-unlisted", "1..0 # SKIP no wish\n", "SKIP", 0, (0, 1, 0)),
    ("skip-all-listed", "1..0 # SKIP cc is not installed\n", "SKIP", 0, (0, 0, 1)),
    ("crash", "1..3\nok 1 - a\n# crashed in b\n", "ERROR", -6, (1, 1, 0)),
    ("crash-at-end", "1..1\nok 1 - a\n", "ERROR", -11, (1, 1, 0)),
    ("no-plan", "ok 1 - a\n", "ERROR", 0, (1, 1, 0)),
    ("silent", "", "ERROR", 1, (0, 1, 0)),
    ("silent-but-content", "", "OK", 0, (0, 1, 0)),
    ("timeout", "1..1\nok 1 - a\n", "TIMEOUT", -15, (1, 1, 0)),
    ("one-too-many", "1..1\nok 1 - a\nok 2 - b\n", "ERROR", 0, (2, 1, 0)),
    ("bail", "1..1\nBail out! no disk\n", "ERROR", 0, (0, 1, 0)),
    ("todo", "1..1\nnot ok 1 - a # TO" "DO\n", "OK", 0, (0, 1, 0)),
    ("todo-that-passes", "1..1\nok 1 - a # TO" "DO\n", "OK", 0, (0, 1, 0)),
    ("plan-last", "ok 1 - a\nok 2 - b\n1..2\n", "OK", 0, (2, 0, 0)),
    ("no-name", "1..1\nok\n", "OK", 0, (1, 0, 0)),
]


def judge(names):
    """(exit code, last line) of the summary over these programs."""
    entries = [{"name": f"lastack:x / {name}", "stdout": out, "result": result,
                "returncode": code, "duration": 0.1, "suite": ["lastack:x"],
                "command": [f"b/{name}"]}
               for name, out, result, code, _ in PROGRAMS if name in names]
    tests = [{"name": name, "protocol": "tap"} for name in names]
    with Scratch({"skips.list": "# comment\n* is not installed\n",
                  "b/meson-logs/testlog.json": "\n".join(json.dumps(e) for e in entries),
                  "b/meson-info/intro-tests.json": json.dumps(tests)}) as folder:
        done = subprocess.run([os.path.join(ROOT, "scripts/summary"), "skips.list", "gcc=b"],
                              cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout.splitlines() or [done.stderr])[-1]


def main():
    gate = Gate()
    for name, _, _, _, (passed, failed, skipped) in PROGRAMS:
        want = (1 if failed or not passed else 0,
                f"{passed} passed, {failed} failed, {skipped} skipped")
        got = judge([name])
        gate.verdict(f"counts {name}", [] if got == want else [f"{got} instead of {want}"])
    everything = [name for name, *_ in PROGRAMS]
    sums = [sum(p[4][i] for p in PROGRAMS) for i in range(3)]
    want = (1, f"{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped")
    got = judge(everything)
    gate.verdict("adds up", [] if got == want else [f"{got} instead of {want}"])
    got = judge(["good", "never-ran"])
    gate.verdict("a program without a log is a failure",
                 [] if got == (1, "2 passed, 1 failed, 0 skipped") else [str(got)])
    got = judge([])
    gate.verdict("no test at all is a failure", [] if got == (1, "0 passed, 1 failed, 0 skipped")
                 else [str(got)])
    gate.done()


if __name__ == "__main__":
    main()
