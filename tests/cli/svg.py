# SPDX-License-Identifier: BSD-2-Clause
"""svg.py LASTACK FACTS: the picture of a connection is XML that stands alone, says what is known, and
no two of its labels lie on each other."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

from gate import Gate

NS = "{http://www.w3.org/2000/svg}"
CHARACTER = 0.602  # columns of a monospaced font, in its size


def draw(lastack, facts, target):
    """The picture as text, or None after a refusal."""
    done = subprocess.run([lastack, "why", target, "--facts", facts, "--svg", "-"],
                          capture_output=True, check=False)
    return done.stdout.decode() if done.returncode == 0 else None


def boxes(root):
    """(left, top, right, bottom, words) of every label."""
    for text in root.iter(NS + "text"):
        size, words = float(text.get("font-size")), "".join(text.itertext())
        width = len(words) * size * CHARACTER
        x, y = float(text.get("x")), float(text.get("y"))
        x -= {"middle": width / 2, "end": width}.get(text.get("text-anchor"), 0)
        yield x, y - size * 0.75, x + width, y + size * 0.2, words


def overlaps(root):
    """Labels that lie on each other or outside of the page."""
    width, height = float(root.get("width")), float(root.get("height"))
    all_boxes, faults = list(boxes(root)), []
    for at, (x1, y1, x2, y2, words) in enumerate(all_boxes):
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            faults.append(f"'{words}' leaves the page")
        for u1, v1, u2, v2, others in all_boxes[at + 1:]:
            if x1 < u2 and u1 < x2 and y1 < v2 and v1 < y2:
                faults.append(f"'{words}' lies on '{others}'")
    return faults


def foreign(picture):
    """References to anything outside of the file."""
    return [url for url in re.findall(r"(?:href|src)=\S+|url\([^)]*\)|https?://[^\"'\s]+", picture)
            if url not in ("url(#hatch)", "http://www.w3.org/2000/svg")]


def whole(gate, lastack, path):
    """All connections of one file."""
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    faults, drawn = [], 0
    for record in found["facts"] if isinstance(found, dict) else found:
        if record.get("state") == "LISTEN" or not record.get("id"):
            continue
        target = f"{record['stack']}/{record['id']}" if record.get("stack") else str(record["id"])
        picture = draw(lastack, path, target)
        if picture is None:
            faults.append(f"{target} is not drawn")
            continue
        drawn += 1
        faults += [f"{target}: {fault}" for fault in overlaps(ET.fromstring(picture))]
        faults += [f"{target}: it needs {url}" for url in foreign(picture)]
        if picture != draw(lastack, path, target):
            faults.append(f"{target}: two pictures of the same facts differ")
    gate.verdict(f"{os.path.basename(path)}: {drawn} pictures without a fault", faults)
    return drawn


def words_of(picture):
    """All labels, as one text."""
    return " ".join(box[4] for box in boxes(ET.fromstring(picture)))


def says(picture, *needles):
    """Needles that are missing."""
    words = words_of(picture) if picture else ""
    return [f"does not say '{needle}': {words}" for needle in needles if needle not in words]


def bands(picture):
    """Classes of state of all bands, from left to right and down."""
    rects = [r for r in ET.fromstring(picture).iter(NS + "rect")
             if (r.get("class") or "").startswith("s ") and float(r.get("width")) > 50]
    rects.sort(key=lambda r: (float(r.get("x")), float(r.get("y"))))
    return [r.get("class")[2:] for r in rects]


def known_lives(gate, lastack, facts):
    """What must be in them."""
    classic = draw(lastack, f"{facts}/shared-classic.json", "7")
    gate.verdict("the classic life has its events", says(
        classic, "SYN", "SYN, ACK", "FIN", "ACK", "close(4): 1 reference left, no FIN",
        "12.000 s ago", "(17 s)", "CLOSE-WAIT", "FIN-WAIT-2", "the other end (deduced)",
        "process 4710 (forking-server) holds descriptor 4", "process 4711 (forking-server) has let go",
        "no timer ends this state", "last-close-missing (shared, certain)", "now"))
    expected = ["open", "open", "estab", "close-wait", "closed", "open", "estab", "fin", "fin"]
    gate.verdict("the states of both ends are in their order",
                 [] if bands(classic) == expected else [str(bands(classic))])
    local = draw(lastack, f"{facts}/waiting-peer-local.json", "7")
    hatched = [r for r in ET.fromstring(local).iter(NS + "rect")
               if r.get("class") == "hatch" and float(r.get("width")) > 50]
    gate.verdict("an end on this machine is not deduced",
                 says(local, "the other end", "process 90 (client)") +
                 (["it is hatched"] if hatched else []))
    gate.verdict("a FIN that cannot leave does not arrive", says(
        draw(lastack, f"{facts}/blocked-held.json", "7"), "FIN, not acknowledged", "ESTAB"))


def recorded_life(gate, lastack):
    """One of the kernel's, with a recorder: calls with their places, at both ends."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "life.json")
    whole(gate, lastack, path)
    gate.verdict("a recorded life has its calls and places", says(
        draw(lastack, path, "127.0.0.1:18091"), "accept() at main()", "forking-server.c:78",
        "shutdown(SHUT_WR) at main()", "client.c:62", "read at serve()", "forking-server.c:52",
        "close(4) at serve()", "left, no FIN", "(client) holds descriptor 3"))


def gone_peer(gate, lastack, facts):
    """The band of an other end that is gone ends before now."""
    with open(f"{facts}/shared-classic.json", encoding="utf-8") as file:
        found = json.load(file)
    for record in found["facts"] if isinstance(found, dict) else found:
        if record["id"] == 7:
            record["peer_end"] = "gone"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(found, file)
        file.flush()
        picture = draw(lastack, file.name, "7")
    faults = says(picture, "gone: nothing has this", "FIN-WAIT-2") + overlaps(ET.fromstring(picture))
    faults += [] if bands(picture)[-2:] == ["fin", "closed"] else [str(bands(picture))]
    gate.verdict("the band of an end that is gone ends before now", faults)


def strangers(gate, lastack):
    """Names that would be markup or controls."""
    evil = "<b>&\"'\x1b[2J\u202e\n"
    holder = {"kind": "descriptor", "pid": 7, "fd": 3, "program": evil, "origin": "accept"}
    record = {"id": 7, "socket_id": 1, "stack": "a<b", "local": "10.0.0.1", "local_port": 80,
              "remote": "10.0.0.2", "remote_port": 4000, "state": "CLOSE-WAIT", "references": 1,
              "holders": [holder] * 40, "fin_in_us": 5000000, "state_us": 5000000}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([record], file)
        file.flush()
        picture = draw(lastack, file.name, "7")
    faults = ["not drawn"] if not picture else overlaps(ET.fromstring(picture))
    if picture:
        faults += ["a control character"] if re.search(r"[\x00-\x08\x0b-\x1f]", picture) else []
        faults += says(picture, "<b>&\"'\\x1b[2J")
    gate.verdict("names of strangers are only text", faults)


def main():
    gate, lastack, facts = Gate(), sys.argv[1], sys.argv[2]
    drawn = sum(whole(gate, lastack, path) for path in sorted(glob.glob(facts + "/*.json")))
    gate.verdict("there were lives to draw", [] if drawn > 30 else [f"only {drawn}"])
    known_lives(gate, lastack, facts)
    recorded_life(gate, lastack)
    gone_peer(gate, lastack, facts)
    strangers(gate, lastack)
    done = subprocess.run([lastack, "why", "1", "--facts", f"{facts}/shared-classic.json", "--svg",
                           "-"], capture_output=True, text=True, check=False)
    gate.verdict("a listener has no life", [] if done.returncode == 2 and
                 "a listener has no life" in done.stderr else [done.stderr])
    two = ET.fromstring("<svg xmlns='http://www.w3.org/2000/svg' width='100' height='40'>"
                        "<text x='5' y='20' font-size='11'>one</text>"
                        "<text x='9' y='24' font-size='11'>two</text></svg>")
    gate.verdict("the test bites", [] if overlaps(two) else ["it sees no overlap"])
    gate.done()


if __name__ == "__main__":
    main()
