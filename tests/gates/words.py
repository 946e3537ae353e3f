# SPDX-License-Identifier: BSD-2-Clause
"""Nothing of one developer's machine, no promise in place of a deed."""
import re

from gate import ROOT, Gate, Scratch, bites, text_of, tree_files

# Written so that this file does not find itself.
MACHINE = re.compile(r"(?<![\w.])/(?:wor[k]|hom[e]|roo[t]|User[s])/\w|/tm[p]/lastac[k]/")
LATER = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")


def faults_of(root, pattern, what):
    """Lines of the tree with words that do not belong there."""
    faults = []
    for path in tree_files(root):
        for number, line in enumerate((text_of(path, root) or "").splitlines(), 1):
            if pattern.search(line):
                faults.append(f"{path}:{number}: {what}: {line.strip()[:80]}")
    return faults


def main():
    gate = Gate()
    gate.verdict("no path of one machine", faults_of(ROOT, MACHINE, "a machine's path"))
    gate.verdict("nothing is put off", faults_of(ROOT, LATER, "put off"))
    wrong = {"a.c": "/* TOD" + "O: later */\n", "b.md": "see /hom" + "e/me/notes\n",
             "c.c": "int x; /* XX" + "X */\n", "d.sh": "mktemp x.XXXXXX\n"}
    with Scratch(wrong) as root:
        faults = faults_of(root, MACHINE, "path") + faults_of(root, LATER, "later")
    gate.verdict("the gate bites", bites(faults, "a.c", "b.md", "c.c")
                 + [f for f in faults if f.startswith("d.sh")])
    gate.done()


if __name__ == "__main__":
    main()
