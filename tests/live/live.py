# SPDX-License-Identifier: BSD-2-Clause
"""The doctor on living programs that have a fault, in TAP.

    live.py kernel|plain|watched|own LASTACK FAULTS [--stay] [NAME...]

All scenarios run at once, each in a network namespace of its own (kernel; plain: looked at without
BPF; watched: with `lastack watch`) or under `lastack run` (own), and `lastack why --json` looks at all of them until it has said of each what it must, and of
nobody else anything. --stay: leave them running afterwards, to look around.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from play import Play, command_alone, end_politely, look, namespaces_here
from scenarios import PLAIN, PROGRAMS, SCENARIOS, page, with_history

LIMIT_S = 240       # until all must be said: of an unanswered end that takes a minute
QUIET_S, QUIET_LOOKS = 3, 3  # so long, and so often, nothing else may be said
HERE = os.path.dirname(os.path.abspath(__file__))
SERIOUS = ("attention", "problem")
# What a recorder makes of a guess.
RECORDED = {"end-consumed": ("end-seen", "dup-holds", "last-close-missing", "heir-holds")}


def classes_of(path):
    """Code -> class, as finding.def has them."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    names = dict(re.findall(r'^FINDING_CLASS\((\w+), "([\w-]+)"', text, re.M))
    rows = re.findall(r'^FINDING\(\w+, "([\w-]+)", (\w+)', text, re.M)
    return {code: names[name] for code, name in rows}


CLASSES = classes_of(os.path.join(HERE, "../../src/doctor/finding.def"))


# ---- judging ----

def words_of(finding):
    """All that it says about who, and what to do."""
    return " ".join([finding["sentence"], *finding["evidence"], *finding["remedy"]])


def names_role(play, words, role):
    """The process of this role is named, and its descriptor if it has one."""
    pid = play.processes.get(role)
    if not re.search(rf"\bprocess {pid}\b", words):
        return False
    sockets = play.sockets.get(role)
    if not sockets or sockets[0]["fd"] < 0:
        return True
    return any(re.search(rf"\bdescriptor {one['fd']}\b", words) for one in sockets)


def is_about(play, finding, role):
    """True if it is about a socket of this role; where cookies are not told, by its addresses."""
    for one in play.sockets.get(role, []):
        if one["cookie"] and not play.own:
            if finding["id"] == one["cookie"]:
                return True
        elif (finding.get("local"), finding.get("peer")) in (one["tuple"], (None, None)):
            return True
    return not role


def same_news(wanted, finding, recorder):
    """What is said, and how surely. Somebody's `lastack watch` on this machine may know more."""
    if recorder and finding["code"] in RECORDED.get(wanted.code, ()):
        return finding["severity"] in SERIOUS and finding["class"] == CLASSES[finding["code"]]
    return (finding["code"] == wanted.code and finding["severity"] == wanted.severity
            and finding["certain"] == wanted.certain and finding["class"] == CLASSES[wanted.code])


def fits(play, wanted, finding, recorder):
    """True if `finding` is the one that is wanted, in every respect."""
    blames = wanted.blames
    if blames is None:
        blames = (wanted.about,) if wanted.about else ()
    return (same_news(wanted, finding, recorder)
            and (not wanted.state or finding["state"] == wanted.state)
            and is_about(play, finding, wanted.about)
            and all(names_role(play, words_of(finding), role) for role in blames))


def short(finding):
    """For a person who repairs."""
    sure = "certain" if finding["certain"] else "inferred"
    return (f"{finding['stack']}/{finding['id']} {finding['state']} {finding['code']} "
            f"({finding['class']}, {finding['severity']}, {sure}): {finding['sentence']}")


def wanted_of(world, scenario):
    """What must be said of it."""
    if world == "own" and scenario.own is not None:
        return scenario.own
    if world == "plain" and scenario.name in PLAIN:
        return PLAIN[scenario.name]
    return with_history(scenario) if world == "watched" else scenario.findings


def judge(play, findings, recorder):
    """What is missing in this look, and what should not have been said."""
    rest, missing = list(findings), []
    for want in play.wanted:
        found = [f for f in rest if fits(play, want, f, recorder)]
        if len(found) < want.count:
            missing.append(f"{want} ({len(found)} of them)")
        rest = [f for f in rest if f not in found]
    play.missing = missing
    serious = [f for f in rest if f["severity"] in SERIOUS]
    if play.missing:
        return [short(f) for f in rest]
    play.strays += [short(f) for f in serious]
    return []


def settled(play):
    """True when there is nothing to wait for."""
    if play.strays or play.child.poll() is not None:
        return True
    return (play.ready_at is not None and not play.missing and play.looks >= QUIET_LOOKS
            and time.monotonic() - play.ready_at >= QUIET_S)


def watch(plays, lastack, directory, arguments):
    """Look until all is said."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end and not all(settled(play) for play in plays):
        begun = time.monotonic()
        said = None
        for play in plays:
            if play.ready_at is None or play.ready_at >= begun or settled(play):
                continue
            if play.own:
                said = look(lastack, directory, "--stack", play.own)
            elif not said:
                said = look(lastack, directory, "--stack", "kernel", *arguments)
            play.looks += 1
            play.heard = judge(play, [f for f in said["findings"] if f["stack"] == play.stack],
                               said["recorder"])
        time.sleep(max(0.0, 0.5 - (time.monotonic() - begun)))


# ---- running ----

def recorder_start(lastack, directory):
    """`lastack watch`, when it records; or why that is not possible here."""
    recorder = subprocess.Popen([lastack, "watch", "--lines", "--quiet"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while recorder.poll() is None and not look(lastack, directory, "--here")["recorder"]:
        time.sleep(0.1)
    if recorder.poll() is None:
        return recorder
    words = recorder.stderr.read().decode(errors="replace").strip()
    return "another recorder runs" if "runs already" in words else "no BPF tracepoints here"


def start(scenario, world, lastack, faults, directory):
    """The play, or a reason why it is not played."""
    command = [faults, scenario.name]
    if scenario.name in PROGRAMS:
        needs, command = PROGRAMS[scenario.name]
        if not shutil.which(needs):
            return f"{needs} is not installed"
        command = [os.path.join(HERE, word) if os.path.exists(os.path.join(HERE, word)) else word
                   for word in command]
    if world != "own":
        return Play(scenario, command_alone(command))
    os.environ["LASTACK_DIR"] = directory
    return Play(scenario, [lastack, "run", "--grace", "0", "--name", scenario.name, "--", *command],
                scenario.name)


def tell(number, world, scenario, play):
    """One line of TAP, and what went wrong. True if it is good."""
    name = f"{world}: {scenario.name}: {', '.join(f.code for f in play.wanted) or 'nothing'}"
    good = play.ready_at is not None and not play.missing and not play.strays and play.looks > 0
    print(f"{'' if good else 'not '}ok {number} - {name}")
    if not good:
        print(f"# {world} {scenario.name} ready: {play.ready_at is not None}, looks: {play.looks}")
        for word, lines in (("missing", play.missing), ("said", play.heard[:6]),
                            ("stray", sorted(set(play.strays))[:10]), ("stderr", play.errors)):
            for line in lines:
                print(f"#   {word}: {line}")
    sys.stdout.flush()
    return good


def names_agree(faults):
    """Every scenario that can be played is in the table, and the other way round."""
    listed = set(subprocess.run([faults, "--list"], stdout=subprocess.PIPE, text=True,
                                check=True).stdout.split())
    return sorted(listed ^ ({s.name for s in SCENARIOS} - set(PROGRAMS)))


def main():
    """TAP of all, or of those named."""
    end_politely()
    world, lastack, faults = sys.argv[1], *map(os.path.abspath, sys.argv[2:4])
    words = sys.argv[4:]
    stay = "--stay" in words
    names = [word for word in words if word != "--stay"]
    if world != "own" and (os.getuid() != 0 or not namespaces_here()):
        print("1..0 # SKIP no network namespace here")
        return
    chosen = [s for s in SCENARIOS if not names or s.name in names]
    directory = tempfile.mkdtemp(prefix="lastack-live-")
    plays, reasons, recorder = [], {}, None
    try:
        if world == "watched":
            recorder = recorder_start(lastack, directory)
            if isinstance(recorder, str):
                print(f"1..0 # SKIP {recorder}")
                recorder = None
                return
        for scenario in chosen:
            if world == "own" and isinstance(scenario.own, str):
                continue
            play = start(scenario, world, lastack, faults, directory)
            if isinstance(play, str):
                reasons[scenario.name] = play
            else:
                play.heard, play.wanted = [], wanted_of(world, scenario)
                plays.append(play)
        watch(plays, lastack, directory, ["--no-bpf"] if world == "plain" else [])
        good = report(world, plays, reasons, faults)
        if stay:
            input("They run on; Enter ends them. ")
    finally:
        for play in plays:
            play.stop()
        if recorder:
            recorder.terminate()
            recorder.wait()
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(0 if good else 1)


def page_agrees():
    """docs/SCENARIOS.md is what `scenarios.py` prints."""
    with open(os.path.join(HERE, "../../docs/SCENARIOS.md"), encoding="utf-8") as file:
        return [] if file.read() == page() else ["tests/live/scenarios.py > docs/SCENARIOS.md"]


def report(world, plays, reasons, faults):
    """TAP. True if all is well."""
    print(f"1..{len(plays) + len(reasons) + 1}")
    wrong = names_agree(faults) + page_agrees()
    print(f"{'not ' if wrong else ''}ok 1 - table, programs and page agree {wrong or ''}")
    good, number = not wrong, 2
    for play in plays:
        good = tell(number, world, play.scenario, play) and good
        number += 1
    for name, reason in reasons.items():
        print(f"ok {number} - {world}: {name} # SKIP {reason}")
        number += 1
    return good


if __name__ == "__main__":
    main()
