# SPDX-License-Identifier: BSD-2-Clause
"""Same program, two stacks: compare traces of the semantics program, report in TAP.

    run.py native PROGRAM                    the kernel's trace against expected.trace
    run.py attached PROGRAM LASTACK          under `lastack run` against the kernel's trace
                                             of the same machine and differences.list
    run.py library PROGRAM LIBRARY_PROGRAM   the library's trace against the kernel's and
                                             library.list; cases that need processes are left out
    run.py propose PROGRAM LASTACK [GROUP]   print what differs and is not listed, in the
                                             form of differences.list, for review
    run.py propose-library PROGRAM LIBRARY_PROGRAM [GROUP]   the same for library.list

A difference is allowed only if differences.list has it with both results; an entry that no
longer differs, or differs in another way, fails as well.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ABSENT = "(no such line)"
GROUP_LIMIT_S = 240


def lines_of(name):
    """A file of this folder without comments and empty lines."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]


def trace_of(text):
    """{'GROUP CASE STEP': result} in order; a repeated key would hide a result."""
    trace = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if not colon or key in trace:
            raise SystemExit(f"Bail out! a trace with an unusable line: {line}")
        trace[key] = value
    return trace


def of_group(trace, group):
    """The lines of one group."""
    return {key: value for key, value in trace.items() if key.split(" ", 1)[0] == group}


def execute(command):
    """(trace, complaint): the complaint is empty when the command ended as it should."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=GROUP_LIMIT_S, check=False)
        out, errors, status = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        out, errors, status = late.stdout or b"", late.stderr or b"", "no end"
    complaint = "" if status == 0 else f"status {status}: {errors.decode(errors='replace')[-600:]}"
    return trace_of(out.decode(errors="replace")), complaint


def groups_of(program):
    """Group names in their order."""
    listed = subprocess.run([program, "--list"], stdout=subprocess.PIPE, check=True, text=True)
    return list(dict.fromkeys(line.split("/")[0] for line in listed.stdout.split()))


def attached_command(lastack, program, group):
    """A group under `lastack run`, on a stack with a name of its own."""
    return [lastack, "run", "--name", f"semantics-{os.getpid()}", "--", program, group]


class Tap:
    """A TAP report."""

    def __init__(self, planned):
        self.number = self.failed = 0
        print(f"1..{planned}", flush=True)

    def verdict(self, name, faults):
        """One test; its faults become comments."""
        self.number += 1
        self.failed += bool(faults)
        for fault in faults:
            for line in str(fault).splitlines():
                print("# " + line)
        print(f"{'not ok' if faults else 'ok'} {self.number} - {name}", flush=True)

    def skip(self, name, reason):
        """A test that could not be made."""
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)


def differing(left, right):
    """[(key, left, right)] where two traces differ, in the order of the left one."""
    keys = list(left) + [key for key in right if key not in left]
    return [(key, left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys
            if left.get(key) != right.get(key)]


def listed_differences(name):
    """{key: (native, attached, why)}; every entry names its rule and reason."""
    listed = {}
    for line in lines_of(name):
        fields = [field.strip() for field in line.split(" | ")]
        if len(fields) != 5 or not all(fields) or fields[0] in listed:
            raise SystemExit(f"Bail out! {name}: not an entry: {line}")
        key, native, attached, rule, why = fields
        listed[key] = (native, attached, f"{rule}: {why}")
    return listed


def native(program):
    """The kernel against the committed trace."""
    expected = trace_of("\n".join(lines_of("expected.trace")))
    groups = groups_of(program)
    tap = Tap(len(groups) + 1)
    for group in groups:
        trace, complaint = execute([program, "--own-net", group])
        faults = [f"{key}: expected {want}, got {got}"
                  for key, want, got in differing(of_group(expected, group), trace)]
        tap.verdict(f"{group}: {len(trace)} lines", faults + ([complaint] if complaint else []))
    tap.verdict(f"expected.trace has 190 checks or more and no unknown group ({len(expected)})",
                [key for key in expected if key.split(" ", 1)[0] not in groups]
                + (["too few"] if len(expected) < 190 else []))
    return tap.failed


def attach_faults(group, plain, attached, listed):
    """What is wrong with a group's attached trace."""
    faults = []
    for key, want, got in differing(plain, attached):
        if key not in listed:
            faults.append(f"{key}: the kernel says {want}, lastack {got}, not listed")
        elif listed[key][:2] != (want, got):
            faults.append(f"{key}: listed as {listed[key][0]} against {listed[key][1]}, "
                          f"but it is {want} against {got}")
    real = {key for key, _, _ in differing(plain, attached)}
    faults += [f"{key}: listed, but there is no difference" for key in of_group(listed, group)
               if key not in real]
    return faults


def cannot_attach(lastack):
    """Why nothing can run under `lastack run` here, or an empty string."""
    done = subprocess.run([lastack, "run", "--", "true"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60,
                          check=False)
    text = done.stderr.decode(errors="replace").strip()
    if done.returncode == 125 and ("seccomp" in text or "notification" in text):
        return "no seccomp user notification here"
    return ""


def attached(program, lastack):
    """`lastack run` against the kernel."""
    listed, groups = listed_differences("differences.list"), groups_of(program)
    reason = cannot_attach(lastack)
    tap = Tap(len(groups) + 1)
    for group in groups:
        if reason:
            tap.skip(group, reason)
            continue
        plain, complaint = execute([program, "--own-net", group])
        trace, attached_complaint = execute(attached_command(lastack, program, group))
        faults = [text for text in (complaint, attached_complaint) if text]
        faults += attach_faults(group, plain, trace, listed)
        known = len(of_group(listed, group))
        tap.verdict(f"{group}: {len(plain)} lines, {known} listed differences", faults)
    tap.verdict("differences.list names only groups that are there",
                [key for key in listed if key.split(" ", 1)[0] not in groups])
    return tap.failed


def library_traces(program, library_program, group):
    """(kernel's, library's, complaints) without the cases that one process cannot do."""
    plain, complaint = execute([program, "--own-net", group])
    trace, library_complaint = execute([library_program, group])
    lacking = {key.rsplit(" ", 1)[0] + " " for key, value in trace.items()
               if key.endswith(" end") and value.startswith("needs ")}

    def kept(lines):
        return {key: value for key, value in lines.items() if not key.startswith(tuple(lacking))}
    return kept(plain), kept(trace), [text for text in (complaint, library_complaint) if text]


def library(program, library_program):
    """The library against the kernel."""
    listed, groups = listed_differences("library.list"), groups_of(library_program)
    tap, checked = Tap(len(groups) + 1), 0
    for group in groups:
        plain, trace, faults = library_traces(program, library_program, group)
        faults += attach_faults(group, plain, trace, listed)
        checked += len(plain)
        known = len(of_group(listed, group))
        tap.verdict(f"{group}: {len(plain)} lines, {known} listed differences", faults)
    tap.verdict(f"600 lines or more were compared ({checked})", [] if checked >= 600 else ["no"])
    return tap.failed


def propose(name, program, other, only):
    """For the reviewer: unlisted differences as entries."""
    listed = listed_differences(name)
    for group in only or groups_of(program if name == "differences.list" else other):
        if name == "differences.list":
            plain, _ = execute([program, "--own-net", group])
            trace, complaint = execute(attached_command(other, program, group))
        else:
            plain, trace, complaint = library_traces(program, other, group)
        if complaint:
            print(f"# {group}: {complaint}")
        for key, want, got in differing(plain, trace):
            if listed.get(key, ())[:2] != (want, got):
                print(f"{key} | {want} | {got} | ? | ?", flush=True)
    return 0


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    if command == "native":
        return native(arguments[0])
    if command == "attached":
        return attached(arguments[0], arguments[1])
    if command == "library":
        return library(arguments[0], arguments[1])
    name = "differences.list" if command == "propose" else "library.list"
    return propose(name, arguments[0], arguments[1], arguments[2:])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
