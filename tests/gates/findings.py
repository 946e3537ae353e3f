# SPDX-License-Identifier: BSD-2-Clause
"""Every code of a finding has its page, every page its code, and the index names all of them."""
import os
import re

from gate import ROOT, Gate, Scratch, bites, text_of

CODE = re.compile(r'^FINDING(?:_CLASS)?\(\w+,\s*"([a-z-]+)"', re.M)
PAGES = "docs/findings"


def faults_of(root):
    """Codes without page, pages without code, pages without their own name, gaps in the index."""
    codes = CODE.findall(text_of("src/doctor/finding.def", root))
    faults = [f"{code} is there twice" for code in set(codes) if codes.count(code) > 1]
    pages = {name[:-3] for name in os.listdir(f"{root}/{PAGES}") if name.endswith(".md")}
    pages.discard("README")
    index = text_of(f"{PAGES}/README.md", root)
    faults += [f"{code} has no page" for code in codes if code not in pages]
    faults += [f"{page}.md explains no code" for page in sorted(pages) if page not in codes]
    faults += [f"the index lacks {page}" for page in sorted(pages) if f"]({page}.md)" not in index]
    for page in sorted(pages):
        text = text_of(f"{PAGES}/{page}.md", root)
        if not text.startswith(f"# {page}: "):
            faults.append(f"{page}.md does not begin with its own name")
        if text.count("```") % 2:
            faults.append(f"{page}.md has an open fence")
        if "**When it is said.**" not in text:
            faults.append(f"{page}.md does not say when it is said")
    return faults


def main():
    gate = Gate()
    gate.verdict("codes and pages fit", faults_of(ROOT))
    wrong = {
        "src/doctor/finding.def": 'FINDING_CLASS(A, "a", "x")\nFINDING(B, "b", A, "x")\n'
                                  'FINDING(C, "c", A, "x")\nFINDING(C, "c", A, "x")\n',
        f"{PAGES}/README.md": "[a](a.md) [d](d.md)\n",
        f"{PAGES}/a.md": "# a: good\n**When it is said.**\n", f"{PAGES}/c.md": "# x: bad\n```\n",
        f"{PAGES}/d.md": "# d: of nothing\n**When it is said.**\n",
    }
    with Scratch(wrong) as root:
        faults = faults_of(root)
    gate.verdict("the gate bites", bites(faults, "b has no page", "d.md explains", "c is there twice",
                                         "lacks c", "c.md does not begin", "c.md has an open",
                                         "c.md does not say")
                 + [fault for fault in faults if fault.startswith("a")])
    gate.done()


if __name__ == "__main__":
    main()
