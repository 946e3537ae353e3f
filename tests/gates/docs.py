# SPDX-License-Identifier: BSD-2-Clause
"""What the pages name must be there: links in every page; functions, paths and tests in docs/ and
in the theory pages of src/.

    `name()`              a function or macro of the tree
    `src/tcp/flow.h`      a file or folder, from the root or from the page's own folder
    `sockets/close.c:x`   TEST(x) in tests/sockets/close.c
    `close/x.pkt`         tests/packetdrill/scripts/close/x.pkt
    `cells:EVENT`         an event of tests/cells/event.def
    `semantics:refs/dup`  the case "dup" of tests/semantics/refs.c
"""
import os
import re

from gate import ROOT, Gate, Scratch, bites, text_of, tree_files

CODE = ("include/", "src/", "tests/", "bench/", "examples/")
TOP = CODE + ("docs/", "man/", "scripts/")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
CALL = re.compile(r"(\w+)\(\)$")
DEFINED = re.compile(r"\b([A-Za-z_]\w*)\(")
# Calls of Linux and of the programs that the pages speak of.
SYSTEM = {"accept", "bind", "close", "connect", "dup", "dup2", "epoll_ctl", "epoll_wait", "exec",
          "exit", "fcntl", "fork", "getrandom", "listen", "poll", "read", "recv", "select", "send",
          "shutdown", "socket", "write"}


def functions_of(root, files):
    """Every name that stands before a parenthesis in C or Python."""
    names = set(SYSTEM)
    for path in files:
        if path.startswith(CODE) and path.endswith((".c", ".h", ".def", ".py")):
            names.update(DEFINED.findall(text_of(path, root) or ""))
    return names


def test_is_there(root, span):
    """True, False, or None if the span names no test."""
    kind, _, name = span.partition(":")
    if re.fullmatch(r"[\w-]+/[\w-]+\.c:\w+", span):
        text = text_of("tests/" + kind, root) if os.path.exists(f"{root}/tests/{kind}") else ""
        return bool(re.search(rf"\bTEST\({re.escape(name)}\)", text or ""))
    if re.fullmatch(r"[\w-]+/[\w-]+\.pkt", span):
        return os.path.exists(f"{root}/tests/packetdrill/scripts/{span}")
    if re.fullmatch(r"cells:\w+", span):
        text = text_of("tests/cells/event.def", root)
        return bool(re.search(rf"^[A-Z_]+\({name}\b", text, re.M))
    if re.fullmatch(r"semantics:\w+/[\w-]+", span):
        group, _, case = name.partition("/")
        path = f"tests/semantics/{group}.c"
        return os.path.exists(f"{root}/{path}") and f'{{"{case}",' in text_of(path, root)
    return None


def path_is_there(root, page, span):
    """The same for paths; build/ is made later, a part in capitals stands for any name."""
    if "/" not in span or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", span):
        return None
    if re.search(r"(^|/)[A-Z]+(/|$)", span):
        return None
    here = os.path.join(os.path.dirname(page), span)
    if span.startswith(TOP) or re.search(r"\.(c|h|def|py|md|sh|pkt|json|list)$", span):
        return any(os.path.exists(os.path.join(root, p)) for p in (span, here, "src/" + span))
    return None


def page_faults(root, page, text, functions):
    """Names in one page that are nowhere."""
    faults = []
    for span in sorted(set(SPAN.findall(FENCE.sub("", text)))):
        call = CALL.match(span)
        if call and call.group(1) not in functions:
            faults.append(f"{page}: there is no function {span}")
        elif test_is_there(root, span) is False:
            faults.append(f"{page}: there is no test {span}")
        elif test_is_there(root, span) is None and path_is_there(root, page, span) is False:
            faults.append(f"{page}: there is no {span}")
    return faults


def link_faults(root, page, text):
    """Links that lead nowhere."""
    return [f"{page}: the link to {link} leads nowhere"
            for link in sorted(set(LINK.findall(FENCE.sub("", text))))
            if not re.match(r"\w+:", link)
            and not os.path.exists(os.path.join(root, os.path.dirname(page), link))]


def tree_faults(root):
    """(names, links) over a tree."""
    files = tree_files(root)
    functions = functions_of(root, files)
    names, links = [], []
    for page in (p for p in files if p.endswith(".md")):
        text = text_of(page, root)
        links += link_faults(root, page, text)
        if re.match(r"docs/[\w-]+\.md$|src/\w+/README\.md$", page):
            names += page_faults(root, page, text, functions)
    return names, links


def main():
    gate = Gate()
    names, links = tree_faults(ROOT)
    gate.verdict("every name in the pages is there", names)
    gate.verdict("every link leads somewhere", links)
    wrong = {
        "docs/A.md": "`gone()` `here()` `src/no.c` `src/x/here.c` `here.c` [x](B.md) [y](A.md)\n"
                     "`s/t.c:lost` `s/t.c:kept` `a/no.pkt` `cells:NO` `cells:YES`\n"
                     "`semantics:g/no` `semantics:g/yes` `include/none/` `src/ANY/x.c`\n```\n`far()`\n```\n",
        "src/x/here.c": "int here(void)\n",
        "src/x/README.md": "`here.c` `x/away.c`\n",
        "tests/s/t.c": "TEST(kept)\n",
        "tests/semantics/g.c": '    {"yes", yes},\n',
        "tests/cells/event.def": "CALL(YES, 0)\n",
    }
    with Scratch(wrong) as root:
        names, links = tree_faults(root)
    found = names + links
    gate.verdict("the gate bites", bites(found, "gone()", "src/no.c", "B.md", "s/t.c:lost",
                                         "a/no.pkt", "cells:NO", "semantics:g/no",
                                         "include/none/", "x/away.c"))
    good = (" here()", "here.c", "A.md leads", "kept", "YES", "yes", "far()", "ANY")
    gate.verdict("the gate lets good names through",
                 [f for f in found if any(name in f for name in good)])
    gate.done()


if __name__ == "__main__":
    main()
