# SPDX-License-Identifier: BSD-2-Clause
"""json_test.py LASTACK SOURCE: what the program writes as JSON is what docs/why.schema.json promises,
and the pages name every key."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from gate import Gate

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
         "integer": int}
PATIENCE_S = 30
ROOT = {}


def is_type(value, name):
    """JSON's types; true is no integer."""
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def faults_of(value, schema, where="$"):
    """The part of JSON Schema that the description uses."""
    if "$ref" in schema:
        return faults_of(value, ROOT["definitions"][schema["$ref"].rsplit("/", 1)[1]], where)
    if "oneOf" in schema:
        tries = [faults_of(value, one, where) for one in schema["oneOf"]]
        return [] if sum(not t for t in tries) == 1 else [f"{where}: is not one of them"] + tries[0]
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(is_type(value, name) for name in names):
        return [f"{where}: {value!r} is not {' or '.join(names)}"]
    faults = []
    if "enum" in schema and value not in schema["enum"]:
        faults.append(f"{where}: {value!r} is not among {schema['enum']}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        faults.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if is_type(value, "integer") and value < schema.get("minimum", value):
        faults.append(f"{where}: {value} is too small")
    if isinstance(value, list):
        faults += [f"{where}: too few"] if len(value) < schema.get("minItems", 0) else []
        for at, item in enumerate(value):
            faults += faults_of(item, schema.get("items", {}), f"{where}[{at}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        faults += [f"{where}: no {key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            if key in properties:
                faults += faults_of(item, properties[key], f"{where}.{key}")
            elif schema.get("additionalProperties", True) is False:
                faults.append(f"{where}: an unknown key {key}")
    return faults


def ask(lastack, *args):
    """(object, exit status)."""
    done = subprocess.run([lastack, "why", "--json", *args], capture_output=True, check=False)
    return (json.loads(done.stdout) if done.stdout else None), done.returncode


def kind(name):
    """One of the objects of the schema."""
    return ROOT["definitions"][name]


def file_faults(lastack, path):
    """All, and each connection, of one file of facts."""
    seen, status = ask(lastack, "--facts", path)
    faults = faults_of(seen, kind("all"))
    attention = seen["summary"]["problem"] + seen["summary"]["attention"]
    if status != (1 if attention else 0):
        faults.append(f"exit status {status} with {attention} that need attention")
    if sum(g["count"] for g in seen["groups"]) != len({(f["stack"], f["id"]) for f in seen["findings"]}):
        faults.append("the groups do not hold every connection once")
    for stack, number in sorted({(f["stack"], f["id"]) for f in seen["findings"] if f["id"]}):
        one, _ = ask(lastack, f"{stack}/{number}" if stack else str(number), "--facts", path)
        faults += faults_of(one, kind("one")) if one else [f"nothing about {stack}/{number}"]
    return faults


def follow_faults(lastack, path):
    """Lines of --follow."""
    args = [lastack, "why", "--follow", "--json", "--every", "50ms", "--facts", path]
    lines, deadline = [], time.monotonic() + PATIENCE_S
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as program:
        while len(lines) < 3 and time.monotonic() < deadline:
            lines.append(program.stdout.readline())
        program.kill()
    looks = [json.loads(line) for line in lines]
    return [fault for look in looks for fault in faults_of(look, kind("look"))]


def many_faults(lastack, source):
    """25,000 leaks are one group."""
    with open(f"{source}/tests/doctor/facts/shared-classic.json", encoding="utf-8") as file:
        found = json.load(file)
    records = found["facts"] if isinstance(found, dict) else found
    leak = next(r for r in records if r["state"] == "CLOSE-WAIT")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([dict(leak, id=n, socket_id=n, remote_port=n % 60000 + 1024)
                   for n in range(1, 25001)], file)
        file.flush()
        seen, _ = ask(lastack, "--facts", file.name)
        words = subprocess.run([lastack, "why", "--facts", file.name], capture_output=True,
                               text=True, check=False).stdout
    groups = [(g["code"], g["count"]) for g in seen["groups"]]
    faults = [] if groups == [("last-close-missing", 25000)] else [str(groups)]
    if words.count("PROBLEM") != 1 or "25,000 connections" not in words or words.count("\n") > 15:
        faults.append(words[:2000])
    return faults


def keys_of(schema):
    """Every key that the schema names."""
    for key, value in schema.get("properties", {}).items():
        yield key
        yield from keys_of(value)
    for value in schema.get("definitions", {}).values():
        yield from keys_of(value)


def main():
    gate, lastack, source = Gate(), sys.argv[1], sys.argv[2]
    with open(source + "/docs/why.schema.json", encoding="utf-8") as file:
        ROOT.update(json.load(file))
    paths = sorted(glob.glob(source + "/tests/doctor/facts/*.json"))
    for path in paths:
        gate.verdict(os.path.basename(path), file_faults(lastack, path))
    gate.verdict("there were facts", [] if len(paths) > 30 else [str(paths)])
    gate.verdict("--follow writes a line for each look", follow_faults(lastack, paths[0]))
    gate.verdict("25,000 leaks are one block", many_faults(lastack, source))
    with open(source + "/docs/JSON.md", encoding="utf-8") as file:
        page = file.read()
    gate.verdict("the page names every key",
                 [key for key in sorted(set(keys_of(ROOT))) if f"`{key}`" not in page])
    wrong = {"version": 2, "taken_at": "now", "recorder": 1, "unseen": [3], "summary": {},
             "groups": [{"code": "X"}], "more": 1}
    found = "\n".join(faults_of(wrong, kind("all")))
    gate.verdict("the test bites", [word for word in ("version", "taken_at", "recorder", "unseen[0]",
                                                      "no looked_at", "code", "more", "no findings")
                                    if word not in found])
    gate.done()


if __name__ == "__main__":
    main()
