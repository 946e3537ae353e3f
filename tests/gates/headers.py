# SPDX-License-Identifier: BSD-2-Clause
"""Every header compiles alone, twice in a row, with gcc and with clang; lastack.h also as
strict C11 and as C++. Those of BPF programs (src/kernel/bpf) with BPF's compiler alone."""
import os
import shutil
import subprocess

from gate import ROOT, Gate, Scratch, bites, tree_files

C17 = ["-x", "c", "-std=gnu17", "-D_GNU_SOURCE="]
# A header that is nothing but inline functions need not use them all.
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]


BPF = "src/kernel/bpf/"


def faults_of(compiler, header, language, root=ROOT):
    """What the compiler says about a file that includes nothing else."""
    name = header.split("/", 1)[1]
    source = f'#include "{name}"\n#include "{name}"\nextern int headers_c;\n'
    done = subprocess.run(
        [compiler, *language, *STRICT, "-I", f"{root}/include", "-I", f"{root}/src",
         "-I", f"{root}/tests", "-I", f"{root}/{os.path.dirname(header)}", "-fsyntax-only", "-"],
        input=source, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    words = done.stderr.strip().splitlines() or ["failed without a word"]
    return [f"{header}: {line}" for line in words[:6]]


def main():
    gate = Gate()
    headers = [p for p in tree_files() if p.endswith(".h")
               and p.startswith(("include/", "src/", "tests/")) and not p.startswith(BPF)]
    for compiler in ("gcc", "clang"):
        if not shutil.which(compiler):
            gate.skip(f"{compiler}: every header alone", f"{compiler} is not installed")
            continue
        faults = [f for h in headers for f in faults_of(compiler, h, C17)]
        gate.verdict(f"{compiler}: every header alone", faults)
        gate.verdict(f"{compiler}: lastack.h as C11", faults_of(
            compiler, "include/lastack.h", ["-x", "c", "-std=c11", "-D_DEFAULT_SOURCE",
                                            "-Wpedantic"]))
    cxx = next((c for c in ("clang", "g++") if shutil.which(c)), None)
    if shutil.which("clang"):
        faults = [f for h in tree_files() if h.startswith(BPF) and h.endswith(".h")
                  for f in faults_of("clang", h, ["-target", "bpf", *C17])]
        gate.verdict("BPF: every header alone", faults)
    if cxx:
        gate.verdict("lastack.h as C++", faults_of(cxx, "include/lastack.h",
                                                   ["-x", "c++", "-std=c++17"]))
    else:
        gate.skip("lastack.h as C++", "no C++ compiler is installed")
    with Scratch({"src/base/needy.h": "static inline uint32_t f(uint32_t x) { return x; }\n",
                  "src/base/twice.h": "struct twice { int x; };\n"}) as root:
        faults = [f for h in ("src/base/needy.h", "src/base/twice.h")
                  for f in faults_of("gcc" if shutil.which("gcc") else "cc", h, C17, root)]
    gate.verdict("the gate bites", bites(faults, "needy.h", "twice.h"))
    gate.done()


if __name__ == "__main__":
    main()
