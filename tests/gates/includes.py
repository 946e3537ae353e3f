# SPDX-License-Identifier: BSD-2-Clause
"""Includes go only down the list of folders; the engine includes nothing that tells time
or makes system calls; examples know the public header alone."""
import re

from gate import ROOT, Gate, Scratch, bites, text_of, tree_files

ORDER = ["base", "wire", "tcp", "stack", "socket", "device", "doctor", "lines", "kernel", "check", "run", "cli"]
ENGINE = ORDER[:5]
ENGINE_NEVER = {"time.h", "unistd.h", "pthread.h", "threads.h", "signal.h", "sys/time.h",
                "sys/mman.h", "sys/syscall.h", "sys/random.h", "stdatomic.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]', re.M)


def faults_of(path, text):
    """Every arrow of one file that points the wrong way."""
    parts = path.split("/")
    faults = []
    for quote, name in INCLUDE.findall(text):
        if parts[0] == "src" and len(parts) > 2 and parts[1] in ORDER:
            if quote == "<":
                if parts[1] in ENGINE and name in ENGINE_NEVER:
                    faults.append(f"{path}: the engine must not include <{name}>")
                continue
            target = name.split("/")[0]
            if name == "lastack.h":
                continue
            if target not in ORDER or "/" not in name:
                faults.append(f'{path}: "{name}" is not written from src/')
            elif ORDER.index(target) > ORDER.index(parts[1]):
                faults.append(f'{path}: {parts[1]} must not include "{name}"')
        elif parts[0] == "src":
            faults.append(f"{path}: is in no folder of the list")
        elif parts[0] == "include" and quote == '"':
            faults.append(f'{path}: the public header must not include "{name}"')
        elif parts[0] == "examples" and quote == '"' and name != "lastack.h":
            faults.append(f'{path}: an example must not include "{name}"')
    return faults


def tree_faults(root):
    """All faults of a tree."""
    faults = []
    for path in tree_files(root):
        if path.startswith(("src/", "include/", "examples/")) and path.endswith((".c", ".h")):
            faults += faults_of(path, text_of(path, root) or "")
    return faults


def main():
    gate = Gate()
    gate.verdict("includes go only down", tree_faults(ROOT))
    known = {p.split("/")[1] for p in tree_files() if p.startswith("src/") and p.count("/") > 1}
    gate.verdict("every folder of src has its place in the list",
                 [f"src/{name} is not in the list" for name in sorted(known - set(ORDER))])
    wrong = {
        "src/base/up.c": '#include "tcp/connection.h"\n',
        "src/tcp/side.c": '#include "connection.h"\n',
        "src/stack/clock.c": "#include <time.h>\n",
        "src/other/new.c": '#include "lastack.h"\n',
        "src/doctor/run.c": '#  include "run/supervisor.h"\n',
        "include/lastack.h": '#include "base/list.h"\n',
        "examples/inside.c": '#include "socket/socket.h"\n',
        "src/cli/fine.c": '#include "base/list.h"\n#include "lastack.h"\n#include <time.h>\n',
    }
    with Scratch(wrong) as root:
        faults = tree_faults(root)
    expected = [p for p in wrong if p != "src/cli/fine.c"]
    gate.verdict("the gate bites", bites(faults, *expected))
    gate.verdict("the gate lets a good file through",
                 [f for f in faults if "fine.c" in f])
    gate.done()


if __name__ == "__main__":
    main()
