# SPDX-License-Identifier: BSD-2-Clause
"""Healthy servers under load: nothing may be said of them, in TAP.

    healthy.py [--own] [--seconds N] LASTACK [NAME...]

nginx (workers, keep-alive, reuseport, an upstream), Redis and PostgreSQL, each in a network namespace
of its own (--own: under a `lastack run` of its own), all at once. `lastack why` looks every second for N seconds (12 if not said; 60 is a good
long run) and once more after they were stopped.
"""
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

from play import end_politely, look, namespaces_here
from room import Failure, OwnRoom, Room, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
SERIOUS = ("attention", "problem")
LOOKS = 5 # at least
PYTHON = sys.executable

NGINX = """
daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_timeout 65; client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    scgi_temp_path {dir}/scgi; uwsgi_temp_path {dir}/uwsgi;
    upstream behind {{ server 127.0.0.1:8001; keepalive 4; }}
    server {{ listen 127.0.0.1:8000 reuseport; root {dir}/site;
        location /through/ {{ proxy_pass http://behind/; proxy_http_version 1.1;
            proxy_set_header Connection ""; }} }}
    server {{ listen 127.0.0.1:8001; root {dir}/site; keepalive_timeout 2; }}
}}
"""


class Nginx:
    """Workers, keep-alive, a proxy with pooled connections to a server that ends them early."""
    needs = ("nginx",)

    def __init__(self, room):
        self.room = room
        os.mkdir(f"{room.scratch}/site")
        os.chmod(room.scratch, 0o755)
        with open(f"{room.scratch}/site/file", "wb") as file:
            file.write(bytes(200_000))
        self.config = f"{room.scratch}/nginx.conf"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(NGINX.format(dir=room.scratch))
        self.server = room.start(["nginx", "-c", self.config])
        wait_for("nginx", lambda: os.path.exists(f"{room.scratch}/nginx.pid")
                 and os.path.getsize(f"{room.scratch}/nginx.pid"))
        self.load = room.start([PYTHON, f"{HERE}/http_load.py", "8000"])

    def stop(self):
        """The browsers leave, then nginx ends."""
        self.load.terminate()
        self.load.wait(60)
        self.room.run(["nginx", "-c", self.config, "-s", "quit"])
        self.server.wait(60)


class Redis:
    """Fifty clients of redis-benchmark, for ever, and one who listens to a channel."""
    needs = ("redis-server", "redis-benchmark", "redis-cli")

    def __init__(self, room):
        self.room = room
        self.server = room.start(["redis-server", "--port", "6379", "--bind", "127.0.0.1",
                                  "--save", "", "--dir", room.scratch])
        wait_for("Redis", lambda: room.good(["redis-cli", "ping"]))
        self.listener = room.start(["redis-cli", "subscribe", "news"])
        self.load = room.start(["nice", "redis-benchmark", "-q", "-l", "-n", "20000", "-t", "set,get",
                                "-r", "1000"])
        self.waves = room.start(["sh", "-c", "while :; do redis-cli get x; done"])

    def stop(self):
        """Clients first."""
        for one in (self.waves, self.load, self.listener):
            one.terminate()
            one.wait(60)
        self.room.good(["redis-cli", "shutdown", "nosave"])
        self.server.wait(60)


def directory_of_postgres():
    """Where its programs are; Debian hides them."""
    if shutil.which("initdb"):
        return os.path.dirname(os.path.realpath(shutil.which("initdb")))
    root = "/usr/lib/postgresql"
    found = sorted(os.listdir(root)) if os.path.isdir(root) else []
    return os.path.join(root, found[-1], "bin") if found else None


class Postgres:
    """pgbench with lasting connections, and pgbench with one for each transaction."""
    needs = ("pgbench",)

    def __init__(self, room):
        self.room, self.programs = room, directory_of_postgres()
        user = pwd.getpwnam("nobody")
        self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [],
                        "cwd": room.scratch}
        os.chown(room.scratch, user.pw_uid, user.pw_gid)
        self.data = f"{room.scratch}/data"
        self.alone([f"{self.programs}/initdb", "-D", self.data, "-A", "trust", "-U", "tester",
                    "--no-sync", "-E", "UTF8", "--locale", "C"])
        self.server = room.start(self.as_nobody([f"{self.programs}/postgres", "-D", self.data,
                                                 "-h", "127.0.0.1", "-k", room.scratch,
                                                 "-F"]))
        self.to = ["-h", "127.0.0.1", "-U", "tester"]
        wait_for("PostgreSQL", lambda: room.good([f"{self.programs}/pg_isready", *self.to]))
        room.run(["pgbench", *self.to, "-i", "-q", "postgres"])
        self.load = [room.start(["nice", "pgbench", *self.to, "-S", "-c", "4", "-T", "100000",
                                 "postgres"]),
                     room.start(["nice", "pgbench", *self.to, "-C", "-c", "2", "-T", "100000",
                                 "postgres"])]

    def as_nobody(self, command):
        """It refuses to run as root; the room does not let nobody in, so root goes first."""
        user = pwd.getpwnam("nobody")
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                "--pdeathsig", "KILL", "--", *command]

    def alone(self, command):
        """Outside of the room: it needs no network."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, check=False, timeout=120, **self.as_user)
        if done.returncode != 0:
            raise Failure(f"{command[0]}: {done.stdout[-500:]}")

    def stop(self):
        """Clients first, then "fast"."""
        for one in self.load:
            one.send_signal(2)
            one.wait(60)
        self.alone([f"{self.programs}/pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop"])
        self.server.wait(60)


SERVERS = {"nginx": Nginx, "redis": Redis, "postgresql": Postgres}


def where(stack):
    """What to ask for: all namespaces of the kernel at once."""
    return "kernel" if stack.startswith("kernel@") else stack


def looked(lastack, directory, rooms):
    """What is said in all rooms now."""
    return [finding for stack in {where(room.stack) for room in rooms.values()}
            for finding in look(lastack, directory, "--stack", stack)["findings"]]


def lacking(name):
    """The first program that is not there, or None."""
    for need in SERVERS[name].needs:
        if not shutil.which(need):
            return need
    return "postgresql" if name == "postgresql" and not directory_of_postgres() else None


def records(lastack, directory, stack):
    """Sockets that the doctor sees in this room."""
    done = subprocess.run([lastack, "ss", "--all", "--json", "--stack", where(stack)], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=300,
                          env=dict(os.environ, LASTACK_DIR=directory))
    facts = json.loads(done.stdout)
    facts = facts.get("facts", facts) if isinstance(facts, dict) else facts
    return sum(one["stack"] == stack for one in facts)


def serious_of(findings, stack):
    """What must not be said."""
    return [f"{f['state']} {f['code']} ({f['severity']}): {f['sentence']}" for f in findings
            if f["stack"] == stack and f["severity"] in SERIOUS]


def watch(lastack, directory, rooms, seconds, said):
    """Look until the time is over. The number of looks."""
    end, looks = time.monotonic() + seconds, 0
    while time.monotonic() < end or looks < LOOKS:
        begun = time.monotonic()
        findings = looked(lastack, directory, rooms)
        looks += 1
        for name, room in rooms.items():
            said[name] += serious_of(findings, room.stack)
        time.sleep(max(0.0, 1 - (time.monotonic() - begun)))
    return looks


def verdict(number, name, wrong, room=None):
    """One line of TAP, and why."""
    print(f"{'not ' if wrong else ''}ok {number} - {name}")
    for line in sorted(set(wrong))[:10] + (room.logs() if wrong and room else []):
        print(f"#   {line}")
    sys.stdout.flush()


def run_all(lastack, names, seconds, own):
    """TAP of all servers."""
    print(f"1..{2 * len(names)}")
    rooms, servers, said, number = {}, {}, {name: [] for name in names}, 1
    scratch = tempfile.mkdtemp(prefix="lastack-healthy-")
    os.chmod(scratch, 0o755)
    try:
        for name in names:
            if not lacking(name):
                os.mkdir(f"{scratch}/{name}")
                rooms[name] = (OwnRoom(f"{scratch}/{name}", lastack, scratch, name) if own
                               else Room(f"{scratch}/{name}"))
                servers[name] = SERVERS[name](rooms[name])
        looks = watch(lastack, scratch, rooms, seconds, said)
        seen = {name: records(lastack, scratch, room.stack) for name, room in rooms.items()}
        for server in servers.values():
            server.stop()
        findings = looked(lastack, scratch, rooms)
        for name in names:
            if name not in rooms:
                print(f"ok {number} - {name} # SKIP {lacking(name)} is not installed")
                print(f"ok {number + 1} - {name}, stopped # SKIP {lacking(name)} is not installed")
            else:
                few = [] if seen[name] >= 4 and looks else [f"only {seen[name]} sockets were seen"]
                verdict(number, f"{name}: {looks} looks at {seen[name]} sockets, nothing said",
                        said[name] + few, rooms[name])
                verdict(number + 1, f"{name}: stopped, nothing said",
                        serious_of(findings, rooms[name].stack))
            number += 2
    except Failure as failure:
        print(f"Bail out! {failure}")
        for room in rooms.values():
            print("\n".join(f"# {line}" for line in room.logs()))
        sys.exit(1)
    finally:
        for room in rooms.values():
            room.close()
        shutil.rmtree(scratch, ignore_errors=True)


def main():
    """Arguments."""
    words, seconds = sys.argv[1:], 12
    end_politely()
    own = words[0] == "--own"
    words = words[own:]
    if words[0] == "--seconds":
        seconds, words = int(words[1]), words[2:]
    if os.getuid() != 0 or not (own or namespaces_here()):
        print("1..0 # SKIP no network namespace here")
        return
    run_all(os.path.abspath(words[0]), words[1:] or list(SERVERS), seconds, own)


if __name__ == "__main__":
    main()
