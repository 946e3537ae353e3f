# SPDX-License-Identifier: BSD-2-Clause
"""symbols.py LIBRARY.so LIBRARY.a: both export what lastack.h declares, and nothing else."""
import re
import subprocess
import sys

from gate import Gate, bites, text_of


def declared():
    """Names with LASTACK_API in the public header."""
    text = re.sub(r"/\*.*?\*/", "", text_of("include/lastack.h"), flags=re.S)
    return set(re.findall(r"LASTACK_API\b[^;(]*?\b(lastack_\w+)\s*\(", text))


def exported(*nm):
    """Defined global names."""
    out = subprocess.run(["nm", "-P", *nm], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in out.splitlines() if len(line.split()) >= 2}


def strangers(names):
    """Names that do not belong outside."""
    return [f"{name} is visible outside" for name in sorted(names)
            if not name.startswith("lastack_")]


def missing(names, wanted):
    """Declared, not there."""
    return [f"{name} is declared in lastack.h and not there" for name in sorted(wanted - names)]


def extra(names, wanted):
    """There, not declared."""
    return [f"{name} is exported and not in lastack.h" for name in sorted(names - wanted)
            if name.startswith("lastack_")]


def main():
    gate, wanted = Gate(), declared()
    gate.verdict("the header declares calls", [] if len(wanted) > 50 else [f"only {wanted}"])
    for what, nm in (("shared", ["-D", "--defined-only", sys.argv[1]]),
                     ("static", ["-g", "--defined-only", sys.argv[2]])):
        names = exported(*nm)
        gate.verdict(f"{what}: only lastack_* is visible", strangers(names))
        gate.verdict(f"{what}: nothing beyond the header", extra(names, wanted))
        gate.verdict(f"{what}: all that the header declares", missing(names, wanted))
    gate.verdict("the gate bites", bites(
        strangers({"tcp_input", "lastack_rx"}) + missing(set(), {"lastack_tx"})
        + extra({"lastack_inner"}, set()), "tcp_input", "lastack_tx", "lastack_inner"))
    gate.done()


if __name__ == "__main__":
    main()
