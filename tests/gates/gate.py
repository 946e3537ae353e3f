# SPDX-License-Identifier: BSD-2-Clause
"""What the gates share: the tree's files, and TAP lines for their verdicts."""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODE = (".c", ".h", ".def", ".py", ".sh", ".build")


class Gate:
    """Collects verdicts; prints TAP; exits."""

    def __init__(self):
        self.lines, self.failed_cnt = [], 0

    def verdict(self, name, faults):
        """One case: passes if `faults` (a list of sentences) is empty."""
        self.lines.append((name, list(faults), None))

    def skip(self, name, reason):
        self.lines.append((name, [], reason))

    def done(self):
        print(f"1..{len(self.lines)}")
        for number, (name, faults, reason) in enumerate(self.lines, 1):
            for fault in faults:
                print(f"# {fault}")
            tail = f" # SKIP {reason}" if reason else ""
            print(f"{'not ok' if faults else 'ok'} {number} - {name}{tail}")
            self.failed_cnt += bool(faults)
        sys.exit(1 if self.failed_cnt else 0)


def bites(faults, *needles):
    """The opposite verdict: faults that a deliberately wrong input must have caused."""
    text = "\n".join(faults)
    return [f"no fault was found about '{needle}' in a wrong input" for needle in needles
            if needle not in text]


def tree_files(root=ROOT):
    """Paths of the tree, relative to root: what git has, or all but build folders."""
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True,
                             check=False)
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.decode().split("\0")
        return sorted(n for n in names if n and os.path.isfile(os.path.join(root, n)))
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", "__pycache__")
                      and not f.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(found)


def text_of(path, root=ROOT):
    """The file's text, or None if it is not text."""
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        return None


class Scratch:
    """A tree of made-up files, for the tests of the gates themselves."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lastack-gate-")
        for path, text in self.files.items():
            full = os.path.join(self.folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        return self.folder.name

    def __exit__(self, *_):
        self.folder.cleanup()
