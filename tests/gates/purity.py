# SPDX-License-Identifier: BSD-2-Clause
"""purity.py ENGINE.a COMPILER...: what the engine's object files call, and what they keep.
No system call, no clock, no allocation but where objects are born, no writable globals."""
import os
import re
import subprocess
import sys

from gate import Gate, Scratch, bites

ALLOWED = {
    "memcpy", "memset", "memcmp", "bcmp", "memmove", "memchr", "strlen", "strnlen",
    "strcmp", "strncmp", "strncpy", "strchr", "strtol", "strtoul", "snprintf", "__errno_location",
    "__assert_fail", "__assert_fail_base", "abort",
    "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_", "__cpu_model", "__cpu_indicator_init",
}
# The constructors of the public header set errno, and slabs are taken there: where things
# are born, not where bytes flow.
ALLOCATION = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "free"}
ALLOCATORS = {
    "base_pool.c.o",     # slabs
    "base_recorder.c.o", # its ring, once
    "tcp_flow.c.o",      # the table of flows, which grows by a segment as connections are born
    "stack_stack.c.o",   # a stack is born: room to gather headers in
    "stack_fragment.c.o", # a stack is born: the table of packets in reassembly
    "socket_lastack.c.o", # a stack is born
    "socket_process.c.o", # a process is born; its table of descriptors grows
}
READ_ONLY_DATA = re.compile(r"\.data\.rel\.ro|\.init_array|\.fini_array")


def run(*command):
    """A tool's output."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def short(member):
    """lib.a.p/src_base_pool.c.o -> base_pool.c.o"""
    return re.sub(r"^src_", "", os.path.basename(member))


def symbols(archive):
    """(member, kind, name) of every symbol."""
    for line in run("nm", "-A", "-P", archive).splitlines():
        found = re.match(r".*[\[:]([^\[\]:]+\.o)\]?:? (\S+) (\S)\b", line)
        if found:
            yield short(found.group(1)), found.group(3), found.group(2)


def call_faults(archive, allocators):
    """Names from outside that are not on the list."""
    all_symbols = list(symbols(archive))
    inside = {name for _, kind, name in all_symbols if kind not in "Uwv"}
    faults = []
    for member, kind, name in all_symbols:
        if kind not in "Uwv" or name in inside or name in ALLOWED:
            continue
        if name in ALLOCATION and member in allocators:
            continue
        faults.append(f"{member} calls {name}")
    return sorted(set(faults))


def data_faults(archive):
    """Objects in sections that can be written while the engine runs."""
    member, faults = "?", []
    for line in run("objdump", "-t", archive).splitlines():
        found = re.match(r"(\S+\.o):\s+file format", line)
        if found:
            member = short(found.group(1))
            continue
        found = re.match(r"[0-9a-f]+ .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
        if not found or int(found.group(2), 16) == 0:
            continue
        section, name = found.group(1), found.group(3)
        if READ_ONLY_DATA.match(section):
            continue
        if section == "*COM*" or re.match(r"\.(data|bss|tdata|tbss)\b", section):
            faults.append(f"{member} keeps {name} in {section}")
    return faults


WRONG = """
#include <stdlib.h>
#include <time.h>
static int counter;
static _Thread_local int per_thread;
int table[4] = {1, 2, 3, 4};
static const char *const names[] = {"a", "b"};
const char *wrong(int i);
const char *wrong(int i) {
    counter += i + (int)time(0); per_thread++; table[i & 3]++;
    return counter ? names[i & 1] : malloc(9);
}
"""


def self_test(gate, compiler):
    """The gate must see each fault of a wrong object, and must not see a fault in const data."""
    with Scratch({"src_tcp_wrong.c": WRONG}) as folder:
        source, archive = os.path.join(folder, "src_tcp_wrong.c"), os.path.join(folder, "x.a")
        subprocess.run([*compiler, "-O0", "-fPIC", "-c", source, "-o", source + ".o"], check=True)
        subprocess.run(["ar", "crs", archive, source + ".o"], check=True)
        faults = call_faults(archive, ALLOCATORS) + data_faults(archive)
    gate.verdict("the gate bites", bites(faults, "calls time", "calls malloc", "keeps counter",
                                         "keeps per_thread", "keeps table"))
    gate.verdict("constant tables are no state", [f for f in faults if "names" in f])


def main():
    archive, compiler = sys.argv[1], sys.argv[2:]
    gate = Gate()
    members = {member for member, _, _ in symbols(archive)}
    gate.verdict("the engine has object files", [] if len(members) > 5 else [
        f"only {len(members)} found in {archive}"])
    gate.verdict("no system call, clock or allocation", call_faults(archive, ALLOCATORS))
    gate.verdict("no writable data", data_faults(archive))
    gate.verdict("every file that may allocate is there", [
        f"{name} is gone" for name in sorted(ALLOCATORS - members)])
    self_test(gate, compiler)
    gate.done()


if __name__ == "__main__":
    main()
