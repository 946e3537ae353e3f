# SPDX-License-Identifier: BSD-2-Clause
"""export.py LASTACK SOURCE: the text format, checked line by line; bounded labels; names of strangers;
the file; the server and those who abuse it; and that dashboard, alerts and the page speak of metrics
that are there."""
import copy
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

LASTACK, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+(?:e[+-]?\d+)?|NaN|[+-]Inf)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')


class Tap:
    """Checks and their numbers."""
    def __init__(self):
        self.cnt = self.failed = 0

    def check(self, name, good, said=""):
        self.cnt += 1
        print(f"{'ok' if good else 'not ok'} {self.cnt} - {name}", flush=True)
        if not good:
            self.failed += 1
            for line in str(said).splitlines()[-60:]:
                print("# " + line)

    def done(self):
        print(f"1..{self.cnt}")
        sys.exit(1 if self.failed else 0)


tap = Tap()


# ---- the format

def labels_of(text):
    """{name: value}, or None if it is not well formed."""
    labels, at = {}, 0
    while text and at < len(text):
        found = LABEL.match(text, at)
        if not found or found.group(1) in labels:
            return None
        labels[found.group(1)] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]),
                                        found.group(2))
        at = found.end()
    return labels


class Page:
    """A page of metrics, and what is wrong with it."""
    def __init__(self, text):
        self.faults, self.types, self.samples = [], {}, {}
        current, closed, helped = None, set(), set()
        if not text.endswith("\n"):
            self.faults.append("the last line has no end")
        for number, line in enumerate(text.split("\n")[:-1], 1):
            if line.startswith("#"):
                word = line.split(" ", 3)
                if len(word) < 4 or word[1] not in ("HELP", "TYPE") or not NAME.match(word[2]):
                    self.faults.append(f"{number}: no HELP or TYPE: {line}")
                elif word[1] == "HELP":
                    if word[2] in helped:
                        self.faults.append(f"{number}: a second HELP of {word[2]}")
                    helped.add(word[2])
                elif word[2] in self.types or word[2] not in helped:
                    self.faults.append(f"{number}: TYPE of {word[2]} again, or before its HELP")
                else:
                    self.types[word[2]] = word[3]
                continue
            found = SAMPLE.match(line)
            labels = labels_of(found.group(2)) if found else None
            if labels is None:
                self.faults.append(f"{number}: no sample: {line}")
                continue
            name, key = found.group(1), (found.group(1), tuple(sorted(labels.items())))
            if name != current:
                if name in closed:
                    self.faults.append(f"{number}: {name} is in two places")
                closed.add(name)
                current = name
            if name not in self.types:
                self.faults.append(f"{number}: {name} has no TYPE")
            elif (self.types[name] == "counter") != name.endswith("_total"):
                self.faults.append(f"{number}: {name} is a {self.types[name]}")
            if key in self.samples:
                self.faults.append(f"{number}: the same sample twice")
            self.samples[key] = float(found.group(3))

    def get(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def rows(self, name):
        return [(dict(labels), value) for (n, labels), value in self.samples.items() if n == name]


def the_checker_bites():
    head = "# HELP a x\n# TYPE a gauge\n"
    bad = ["a 1\n", head + "a 1", head + "a one\n", head + 'a{b="} 1\n', head + 'a{b="c" } 1\n',
           head + "a 1\na 1\n", head + "a_total 1\n", head + 'a{b="\\x"} 1\n', "# TYPE a gauge\na 1\n",
           head.replace("gauge", "counter") + "a 1\n", head + "# HELP b x\n# TYPE b gauge\nb 1\na 1\n"
           + 'b{c="1"} 1\n', head + 'a{b="1",b="2"} 1\n']
    missed = [text for text in bad if not Page(text).faults]
    tap.check("the checker refuses what is no page", not missed, missed)
    good = Page(head + 'a{b="\\"\\\\\\n,}"} 1.5\na{b=""} 2\na 3\n')
    tap.check("and takes what is one", not good.faults and len(good.samples) == 3, good.faults)


def export(*words, **more):
    """(status, output, errors)"""
    done = subprocess.run([LASTACK, "export", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, check=False, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")


# ---- recorded facts

def leak_of(program, number):
    """A record with a certain finding."""
    with open(f"{SOURCE}/tests/doctor/facts/end-seen-places.json", encoding="utf-8") as file:
        record = copy.deepcopy(json.load(file)["facts"][0])
    record.update(id=1000 + number, remote=f"192.0.2.{number % 250 + 1}",
                  remote_port=20000 + number, state_us=60000000 + number)
    record["holders"][0].update(program=program, pid=100 + number)
    return record


def page_of(records, scratch, *words):
    path = f"{scratch}/facts.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file)
    status, text, errors = export("--facts", path, "--log", f"{scratch}/no-log", *words)
    return Page(text), text, f"status {status} {errors}\n{text}"


def numbers(scratch):
    records = [leak_of("web", n) for n in range(30)] + [leak_of("api", n) for n in range(30, 33)]
    page, text, said = page_of(records, scratch)
    tap.check("a page without a fault", not page.faults, page.faults)
    tap.check("connections are counted", page.get("lastack_connections", stack="kernel",
                                                  state="CLOSE-WAIT") == 33, said)
    tap.check("findings by program", page.get("lastack_findings", code="end-seen",
              severity="problem", program="web") == 30 and page.get("lastack_findings",
              code="end-seen", severity="problem", program="api") == 3, said)
    tap.check("the oldest", page.get("lastack_finding_oldest_seconds", code="end-seen") == 60.000032,
              said)
    tap.check("no address and no port of a peer", "192.0.2." not in text and "2000" not in text, text)
    page, text, said = page_of([], scratch)
    tap.check("no connection at all", not page.faults and page.get("lastack_look_success") == 1
              and not page.rows("lastack_findings"), said)


def many_programs(scratch):
    records = [leak_of(f"p{n // 2 % 400}", n) for n in range(800)]
    records += [leak_of("often", n) for n in range(800, 850)]
    page, _, said = page_of(records, scratch)
    rows = page.rows("lastack_findings")
    tap.check("20 programs and other", len({r[0]["program"] for r in rows}) == 21, said)
    tap.check("the most frequent keep their names",
              any(r[0]["program"] == "often" and r[1] == 50 for r in rows), said)
    tap.check("none is lost", sum(r[1] for r in rows if r[0]["code"] == "end-seen") == 850, said)
    records = [dict(leak_of("web", n), stack=f"kernel@{4026531840 + n}") for n in range(300)]
    page, _, said = page_of(records, scratch)
    tap.check("namespaces without a name are one",
              {r[0]["stack"] for r in page.rows("lastack_connections")} == {"kernel@unnamed"}, said)
    records = [dict(leak_of("web", n), stack=f"kernel@n{n}") for n in range(300)]
    page, _, said = page_of(records, scratch)
    rows = page.rows("lastack_connections")
    tap.check("named ones are bounded", len({r[0]["stack"] for r in rows}) == 51
              and sum(r[1] for r in rows) == 300, said)


def strangers(scratch):
    odd = ['a"b', "a\\b", "a\nb", "\x1b[31mred", "a}b 1", "ä", "", "other", "none", "x" * 31]
    page, text, said = page_of([leak_of(program, n) for n, program in enumerate(odd)], scratch)
    tap.check("odd names are labels without a fault", not page.faults, page.faults + [said])
    programs = {r[0]["program"] for r in page.rows("lastack_findings")}
    tap.check("and can be told apart", {'a"b', "a}b 1", "ä", "none", "x" * 31} <= programs, programs)
    tap.check("nothing that a terminal would obey", "\x1b" not in text, said)


def log_counts(scratch):
    log = f"{scratch}/end.log"
    with open(log, "w", encoding="utf-8") as file:
        file.write('{"begin":3}\n{"holders":[{"program":"\\"outcome\\":\\"failed"}],"outcome":"ended"}\n'
                   '{"outcome":"ended"}\n{"outcome":"told"}\nnonsense\n{"outcome":"fai')
    with open(f"{scratch}/facts.json", "w", encoding="utf-8") as file:
        file.write("[]")
    _, text, errors = export("--facts", f"{scratch}/facts.json", "--log", log)
    page = Page(text)
    counts = {r[0]["outcome"]: r[1] for r in page.rows("lastack_end_actions_total")}
    tap.check("what was ended is counted from the log",
              counts == {"ended": 2, "ending": 0, "told": 1, "failed": 0}, f"{counts} {errors}")


# ---- what refers to the metrics

def references():
    status, text, errors = export("--stack", "kernel")
    page = Page(text)
    tap.check("a look at this machine", status == 0 and not page.faults
              and page.get("lastack_look_success") == 1, f"{page.faults} {errors}")
    known = {"lastack_connections": {"stack", "state"},
             "lastack_findings": {"code", "severity", "program"},
             "lastack_finding_oldest_seconds": {"code"}, "lastack_end_actions_total": {"outcome"},
             "lastack_build_info": {"version"}}
    tap.check("the metrics whose labels are known here are all that have labels",
              {n for n, labels in page.samples if labels} <= set(known)
              and set(known) <= set(page.types), page.types)
    for path in ("share/grafana/lastack.json", "share/prometheus/lastack.rules.yml"):
        with open(f"{SOURCE}/{path}", encoding="utf-8") as file:
            text = file.read()
        queries = text
        if path.endswith(".json"):
            board = json.loads(text)
            queries = "\n".join(t["expr"] for p in board["panels"] for t in p["targets"])
            queries += "\n" + board["templating"]["list"][1]["definition"]
        names = set(re.findall(r"\blastack_\w+", queries))
        tap.check(f"{path}: every metric is exported", names and names <= set(page.types),
                  names - set(page.types))
        faults = []
        for name, inside in re.findall(r"\b(lastack_\w+)\{([^}]*)\}", queries):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)) - {"instance"}
            faults += [f"{name} has no label {x}" for x in labels - known.get(name, set())]
        for labels in re.findall(r"\bby \(([^)]*)\)", queries):
            faults += [f"nothing has a label {x.strip()}" for x in labels.split(",") if x.strip()
                       not in {"instance"}.union(*known.values())]
        tap.check(f"{path}: every label is there", not faults, faults)
    with open(f"{SOURCE}/docs/METRICS.md", encoding="utf-8") as file:
        told = set(re.findall(r"\blastack_\w+", file.read()))
    tap.check("docs/METRICS.md tells of each", told == set(page.types), told ^ set(page.types))


def promtool():
    """Prometheus' own tool: the alerts fire on what they are for, the page is as it wants it, and each
    query of the dashboard is one."""
    if not shutil.which("promtool"):
        tap.check("promtool # SKIP promtool is not installed", True)
        return
    def run(*words, text=None):
        done = subprocess.run(["promtool", *words], input=text, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout
    rules = f"{SOURCE}/share/prometheus/lastack.rules.yml"
    for name, words in (("the alerts are rules", ("check", "rules", rules)),
                        ("each alert fires", ("test", "rules", f"{SOURCE}/tests/export/rules_test.yml"))):
        status, said = run(*words)
        tap.check(name, status == 0, said)
    status, said = run("check", "metrics", text=export("--stack", "kernel", "--here")[1])
    tap.check("the page is as Prometheus wants it", status == 0, said)
    with open(f"{SOURCE}/share/grafana/lastack.json", encoding="utf-8") as file:
        queries = [t["expr"] for p in json.load(file)["panels"] for t in p.get("targets", [])]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "board", "rules": [
            {"record": f"panel:{n}", "expr": q} for n, q in enumerate(queries)]}]}, file)
        file.flush()
        status, said = run("check", "rules", file.name)
    tap.check("each query of the dashboard is one", status == 0 and len(queries) > 10, said)


# ---- the file

def textfile(scratch):
    folder = f"{scratch}/collector"
    os.mkdir(folder)
    path = f"{folder}/lastack.prom"
    with open(path, "w", encoding="utf-8") as file:
        file.write("old")
    status, text, errors = export("--stack", "kernel", "--here", "--textfile", path)
    with open(path, encoding="utf-8") as file:
        page = Page(file.read())
    tap.check("--textfile", status == 0 and not text and not page.faults
              and page.get("lastack_look_success") == 1, errors)
    tap.check("others may read it", os.stat(path).st_mode & 0o777 == 0o644)
    tap.check("nothing is left beside it", os.listdir(folder) == ["lastack.prom"], os.listdir(folder))
    with open(path, "w", encoding="utf-8") as file:
        file.write("old")
    status, _, errors = export("--stack", "kernel", "--here", "--textfile", path, preexec_fn=lambda:
                               resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    with open(path, encoding="utf-8") as file:
        tap.check("a full disk leaves the old one", status == 1 and file.read() == "old"
                  and os.listdir(folder) == ["lastack.prom"], f"{status} {errors}")
    for place, make in (("fifo", os.mkfifo), ("link", lambda at: os.symlink("real", at))):
        make(f"{folder}/{place}")
        before = os.lstat(f"{folder}/{place}")
        status, _, errors = export("--stack", "kernel", "--here", "--textfile", f"{folder}/{place}")
        tap.check(f"--textfile leaves a {place} alone", status == 1 and "no regular file" in errors
                  and os.lstat(f"{folder}/{place}").st_ino == before.st_ino, errors)
        os.unlink(f"{folder}/{place}")
    status, _, errors = export("--stack", "kernel", "--here", "--textfile", f"{folder}/no/such")
    tap.check("a folder that is not there", status == 1 and "No such file" in errors, errors)
    process = subprocess.Popen([LASTACK, "export", "--stack", "kernel", "--here", "--textfile", path,
                                "--every", "1s"], stdin=subprocess.DEVNULL)
    inodes = set()
    until = time.monotonic() + 60
    while len(inodes) < 3 and time.monotonic() < until:
        inodes.add((os.stat(path).st_mtime_ns, os.stat(path).st_ino))
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    tap.check("--every writes it again and again", process.wait(60) == 0 and len(inodes) >= 3, inodes)


# ---- the server

class Server:
    """A running server on a port of its own."""
    def __init__(self, *words, where=("--stack", "kernel", "--here"), at="127.0.0.1:0"):
        self.process = subprocess.Popen(
            [LASTACK, "export", *where, "--listen", at, *words],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.words = self.process.stderr.readline()
        self.port = int(re.search(r":(\d+)/metrics", self.words).group(1))

    def dial(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return s

    def talk(self, request):
        """Everything that it answers to some bytes, until it closes."""
        with self.dial() as s:
            s.sendall(request)
            return self.read(s)

    @staticmethod
    def read(s):
        got = b""
        try:
            while chunk := s.recv(65536):
                got += chunk
        except ConnectionResetError:
            got += b"(reset)"
        return got

    def get(self, path="/metrics", method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def manners(server):
    status, headers, text = server.get()
    page = Page(text)
    tap.check("GET /metrics", status == 200 and not page.faults, page.faults)
    tap.check("its type is that of the format",
              headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", headers)
    tap.check("GET /metrics?x=y", server.get("/metrics?x=y")[0] == 200)
    status, headers, text = server.get(method="HEAD")
    tap.check("HEAD", status == 200 and text == "" and int(headers["Content-Length"]) > 100, headers)
    status, _, text = server.get("/")
    tap.check("GET /", status == 200 and "/metrics" in text, text)
    tap.check("another page", server.get("/etc/passwd")[0] == 404)
    tap.check("POST", server.get(method="POST")[0] == 405)
    tap.check("a request in pieces", in_pieces(server).startswith(b"HTTP/1.1 200 OK\r\n"))
    looks = Page(server.get()[2]).get("lastack_looks_total")
    for _ in range(50):
        server.get()
    tap.check("50 scrapes are no 50 looks", Page(server.get()[2]).get("lastack_looks_total") == looks)


def in_pieces(server):
    with server.dial() as s:
        for piece in (b"GE", b"T /metr", b"ics HTTP/1.1\r", b"\nHost: x\r\n", b"\r", b"\n"):
            s.sendall(piece)
            time.sleep(0.02)
        return server.read(s)


def abuse(server):
    cases = {
        "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        "no version": (b"GET /metrics\r\n\r\n", b"400"),
        "another version": (b"GET /metrics HTTP/9.9\r\n\r\n", b"400"),
        "no path": (b"GET  HTTP/1.1\r\n\r\n", b"400"),
        "a path of another kind": (b"GET http://x/metrics HTTP/1.1\r\n\r\n", b"400"),
        "too many words": (b"GET /metrics HTTP/1.1 x\r\n\r\n", b"400"),
        "only ends of lines": (b"\r\n\r\n", b"400"),
        "NUL": (b"GET /metrics\0 HTTP/1.1\r\n\r\n", b"400"),
        "a header of 4 KB and more": (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 10000, b"431"),
        "a body nobody asked for": (b"GET /metrics HTTP/1.1\r\n\r\n" + b"x" * 3000, b"200"),
        "two requests at once": (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"200"),
    }
    for name, (request, status) in cases.items():
        answer = server.talk(request)
        tap.check(f"{name}: {status.decode()}", answer.startswith(b"HTTP/1.1 " + status), answer[:200])
    flood = server.dial()
    try:
        for _ in range(2000):
            flood.sendall(b"a" * 65536)
    except OSError:
        pass
    flood.close()
    tap.check("who never stops sending is cut off", server.get()[0] == 200)
    before = server.fds()
    crowd = [server.dial() for _ in range(300)]
    for s in crowd[::3]:
        s.sendall(b"GET /metrics HT")
    tap.check("300 who say nothing keep nobody out", server.get()[0] == 200)
    tap.check("and have 32 places at most", server.fds() <= before + 33, server.fds())
    slow = crowd[-1]
    slow.settimeout(60)
    try:
        gone = slow.recv(1) == b""
    except ConnectionResetError:
        gone = True
    tap.check("who says nothing is dropped", gone)
    for s in crowd:
        s.close()
    gone = [server.dial() for _ in range(40)]
    for s in gone:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        s.close()
    tap.check("who asks and resets does no harm", server.get()[0] == 200)
    until = time.monotonic() + 60
    while server.fds() > before and time.monotonic() < until:
        time.sleep(0.05)
    tap.check("no descriptor is left", server.fds() <= before, server.fds())


def slow_look(scratch):
    """A look that takes longer than a client's deadline: its records come by a pipe of ours."""
    fifo = f"{scratch}/slow"
    os.mkfifo(fifo)
    server = Server("--every", "1s", where=("--facts", fifo))
    early, first = server.dial(), server.dial()
    first.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    with open(fifo, "w", encoding="utf-8") as records:  # the look has begun
        early.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        late = [server.dial() for _ in range(10)]
        for client in late:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        time.sleep(5.5)
        records.write("[]")
    answers = [server.read(client) for client in (first, early, *late)]
    tap.check("who waited for a long look is served, and no look follows for it",
              all(b" 200 OK" in a and b"\nlastack_looks_total 1\n" in a for a in answers), answers)
    for client in (first, early, *late):
        client.close()
    tap.check("it ends in order after a long look", server.stop() == 0)


def serving():
    server = Server("--every", "30s")
    manners(server)
    abuse(server)
    status, _, errors = export("--listen", f"127.0.0.1:{server.port}")
    tap.check("a port that is taken", status == 2 and "Address already in use" in errors, errors)
    tap.check("it ends in order", server.stop() == 0)
    lone = Server(where=("--facts", "/dev/null"), at="0")
    tap.check("a port alone is of the loopback", lone.words.startswith("lastack export: serving http://127.0.0.1:"),
              lone.words)
    lone.stop()
    for where in ("", "x", "localhost:1", "1.2.3.4", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999",
                  "[::1:80", "a" * 300 + ":80"):
        status, _, errors = export("--listen", where)
        if status != 2 or ("--listen takes an address" not in errors and "cannot listen" not in errors):
            tap.check(f"--listen {where[:40]} is refused", False, f"{status} {errors}")
            return
    tap.check("bad addresses are refused", True)
    tap.check("wrong usage", [export(*w)[0] for w in (["x"], ["--every", "5s"], ["--every", "0s"],
              ["--listen", ":0", "--textfile", "x"])] == [2, 2, 2, 2])


def main():
    the_checker_bites()
    with tempfile.TemporaryDirectory() as scratch:
        numbers(scratch)
        many_programs(scratch)
        strangers(scratch)
        log_counts(scratch)
        references()
        promtool()
        textfile(scratch)
        serving()
        slow_look(scratch)
    tap.done()


if __name__ == "__main__":
    main()
