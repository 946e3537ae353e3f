# SPDX-License-Identifier: BSD-2-Clause
"""Real programs over TUN, the other end on the kernel's TCP, in a network namespace, in TAP.

    tun.py LASTACK STATIC [NAME...]
"""
import os
import shutil
import subprocess
import sys

from attach import Failure, check, equal, main, need, wait_for
from programs import ASYNC, FORKING, FORKING_CLIENT, NGINX, PYTHON, same_file, site

LASTACK, STATIC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DEVICE, KERNEL, OURS = "runtest0", "10.84.0.1", "10.84.0.2"
TUN = ["--tun", DEVICE, "--address", OURS + "/24"]


def inside_own_net():
    """Start again in a network namespace; returns only there."""
    if os.environ.get("RUN_TEST_NET") == "own":
        # without it getaddrinfo() puts IPv6 first
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    for way in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if shutil.which("unshare") and os.path.exists("/dev/net/tun") and subprocess.run(
                way + ["sh", "-c", "ip link set lo up && ip tuntap add dev x0 mode tun"],
                stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.environ["RUN_TEST_NET"] = "own"
            os.execvp(way[0], way + [sys.executable] + sys.argv)
    print("1..0 # SKIP no network namespace with TUN here")
    sys.exit(0)


def listens(ground, log, word="listens"):
    """The server has said so."""
    wait_for(f"the server ({log})", lambda: word in ground.read(log))


def curl(ground, url, to, *options):
    """Fetch from the kernel's side."""
    status, _, err = ground.plain(["curl", "-sS", "--retry", "30", "--retry-all-errors",
                                   "--retry-delay", "1", "-o", to, *options, url])
    equal(status, 0, f"curl {url} ({err.strip()})")


def stop(child):
    """TERM, and it must go."""
    child.terminate()
    try:
        child.wait(timeout=20)
    except subprocess.TimeoutExpired:
        raise Failure("lastack run does not end") from None


def python_http_server(ground):
    """http.server on lastack, curl on the kernel; the kernel's address was set up by lastack."""
    need("curl")
    size = site(ground)
    server = ground.start([PYTHON, "-m", "http.server", "8000", "--directory", "site"], TUN)
    for number in range(3):
        curl(ground, f"http://{OURS}:8000/file", f"got{number}")
        same_file(ground, f"got{number}", size)
    stop(server)


def curl_as_client(ground):
    """curl on lastack fetches from a server on the kernel."""
    need("curl")
    size = site(ground)
    server = ground.start_plain([PYTHON, "-m", "http.server", "8000", "--bind", "0.0.0.0",
                                 "--directory", "site"], "server.log")
    ground.script(f"""
        curl -sS --retry 30 --retry-connrefused --retry-delay 1 -o got http://{KERNEL}:8000/file
        curl -sS -o got2 http://{KERNEL}:8000/file http://{KERNEL}:8000/file -o got3
        ! curl -sS http://{KERNEL}:8009/ 2>refused
        grep -qi refused refused || grep -qi connect refused""", TUN)
    for name in ("got", "got2", "got3"):
        same_file(ground, name, size)
    server.terminate()


def forking_tcp_server(ground):
    """ForkingTCPServer on lastack, twelve clients on the kernel."""
    ground.write("server.py", FORKING.replace("127.0.0.1", "0.0.0.0"))
    server = ground.start([PYTHON, "server.py"], TUN, "server.log")
    listens(ground, "server.log")
    status, out, err = ground.plain([PYTHON, "-c", FORKING_CLIENT.replace("127.0.0.1", OURS)])
    equal((status, out), (0, "12 clients were served\n"), f"the clients ({err})")
    stop(server)


def asyncio_as_client(ground):
    """Thirty connections at once from lastack to the kernel; one is refused."""
    half = ASYNC.index("async def talk"), ASYNC.index("async def main")
    serve = ASYNC[:half[0]] + """
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 7001)
    print("listens", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
    talk = "import asyncio\n" + ASYNC[half[0]:half[1]].replace("127.0.0.1", KERNEL) + """
async def main():
    print(all(await asyncio.gather(*(talk(n) for n in range(30)))), await refused())
asyncio.run(main())
"""
    server = ground.start_plain([PYTHON, "-c", serve], "server.log")
    listens(ground, "server.log")
    status, out, err = ground.run([PYTHON, "-c", talk], TUN)
    equal((status, out), (0, "True True\n"), f"the clients ({err})")
    server.terminate()


def nginx_with_two_workers(ground):
    """nginx on lastack, curl on the kernel: sendfile, keep-alive, a proxy."""
    need("nginx", "curl")
    size = site(ground)
    user = "user root;" if os.getuid() == 0 else ""
    text = NGINX.format(dir=ground.scratch, user=user).replace("listen 127.0.0.1:8082",
                                                               "listen 8082")
    server = ground.start(["nginx", "-p", ground.scratch, "-c", ground.write("n.conf", text)], TUN)
    curl(ground, f"http://{OURS}:8082/file", "got1")
    curl(ground, f"http://{OURS}:8082/file", "got2", f"http://{OURS}:8082/file", "-o", "got3")
    for name in ("got1", "got2", "got3"):
        same_file(ground, name, size)
    stop(server)
    for line in ground.read("error.log").splitlines():
        check("[alert]" not in line and "[emerg]" not in line and "[crit]" not in line, line)


def redis_and_its_benchmark(ground):
    """redis on lastack, its benchmark on the kernel."""
    need("redis-server", "redis-benchmark")
    server = ground.start(["redis-server", "--port", "6390", "--bind", "0.0.0.0", "--save", "",
                           "--appendonly", "no", "--protected-mode", "no"], TUN, "redis.log")
    listens(ground, "redis.log", "Ready to accept connections")
    status, out, err = ground.plain(["redis-benchmark", "-h", OURS, "-p", "6390", "-n", "3000",
                                     "-c", "20", "-q", "-t", "ping,set,get,lpush"])
    equal(status, 0, f"redis-benchmark ({err})")
    status, more, err = ground.plain(["redis-benchmark", "-h", OURS, "-p", "6390", "-n", "6000",
                                      "-c", "10", "-P", "16", "-q", "-t", "set,get"])
    equal(status, 0, f"redis-benchmark, pipelined ({err})")
    equal((out + more).count("requests per second"), 7, f"results in {out + more}")
    stop(server)


def static_busybox(ground):
    """A static server on lastack, another client on the kernel."""
    need("busybox", "curl")
    size = site(ground, 500_000)
    server = ground.start(["busybox", "httpd", "-f", "-p", "8083", "-h", "site"], TUN)
    curl(ground, f"http://{OURS}:8083/file", "got")
    same_file(ground, "got", size)
    stop(server)


RESET = """
import socket, struct
c = socket.create_connection(("{ours}", 7400))
c.sendall(b"x" * 1000)
c.recv(1)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
c.close()
"""


def reset_by_the_kernel(ground):
    """A reset from outside is ECONNRESET inside, once, after the data."""
    server = ground.start([PYTHON, "-c", """
import socket, time
l = socket.create_server(("0.0.0.0", 7400))
print("listens", flush=True)
s, _ = l.accept()
s.sendall(b"y")
n = 0
try:
    while (d := s.recv(100)):
        n += len(d); time.sleep(0.01)
    print("end", n, flush=True)
except ConnectionResetError:
    print("reset", n, s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), flush=True)
"""], TUN, "server.log")
    listens(ground, "server.log")
    equal(ground.plain([PYTHON, "-c", RESET.format(ours=OURS)])[0], 0, "the client")
    equal(server.wait(timeout=30), 0, "exit status")
    said = ground.read("server.log").split("\n")[1]
    check(said.startswith("reset ") and said.endswith(" 0"), f"the server says {said!r}")


def capture_of_a_conversation(ground):
    """--capture writes a pcapng file that tshark reads, with state edges as comments."""
    need("curl", "tshark")
    site(ground, 100_000)
    server = ground.start([PYTHON, "-m", "http.server", "8000", "--directory", "site"],
                          TUN + ["--capture", "web.pcapng"])
    curl(ground, f"http://{OURS}:8000/file", "got")
    stop(server)
    status, out, err = ground.plain(["tshark", "-r", "web.pcapng", "-T", "fields", "-e",
                                     "frame.comment", "-e", "tcp.flags", "-e", "_ws.malformed"])
    equal(status, 0, f"tshark ({err})")
    check("ESTAB -> " in out, f"no edge is told:\n{out[:2000]}")


def unread_program(ground):
    """A program that does not read closes the window: the sender's bytes stay on its side."""
    server = ground.start([PYTHON, "-c", """
import socket, sys, time
l = socket.create_server(("0.0.0.0", 7401))
print("listens", flush=True)
s, _ = l.accept()
time.sleep(3)
n = 0
while (d := s.recv(1 << 16)): n += len(d)
print("read", n, flush=True)
"""], TUN, "server.log")
    listens(ground, "server.log")
    total = 8_000_000
    status, out, err = ground.plain([PYTHON, "-c", f"""
import socket, time
c = socket.create_connection(("{OURS}", 7401))
c.setblocking(False)
n = 0
end = time.monotonic() + 1.5
while time.monotonic() < end and n < {total}:
    try: n += c.send(bytes(min(1 << 16, {total} - n)))
    except BlockingIOError: time.sleep(0.01)
print("stopped" if n < {total} else "all gone")
c.setblocking(True)
c.sendall(bytes({total} - n))
"""])
    equal((status, out), (0, "stopped\n"), f"the sender ({err})")
    equal(server.wait(timeout=30), 0, "exit status")
    check(f"read {total}" in ground.read("server.log"), ground.read("server.log"))


if __name__ == "__main__":
    inside_own_net()
    main([python_http_server, curl_as_client, forking_tcp_server, asyncio_as_client,
          nginx_with_two_workers, redis_and_its_benchmark, static_busybox, reset_by_the_kernel,
          capture_of_a_conversation, unread_program], sys.argv[3:], LASTACK)
