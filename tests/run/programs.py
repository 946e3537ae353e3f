# SPDX-License-Identifier: BSD-2-Clause
"""Real programs on the stack's own loopback: client and server in one `lastack run`, in TAP.

    programs.py LASTACK STATIC [NAME...]     STATIC: tests/run/static.c, linked statically
"""
import os
import sys

from attach import Failure, check, equal, main, need

LASTACK, STATIC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PYTHON = sys.executable


def pattern(size):
    """Bytes that show displacement."""
    block = bytes(range(251))
    return (block * (size // len(block) + 1))[:size]


def site(ground, size=3_000_000):
    """A folder with one file to serve."""
    os.mkdir(ground.path("site"))
    with open(ground.path("site/file"), "wb") as file:
        file.write(pattern(size))
    return size


def same_file(ground, name, size):
    """A fetched file is what was served."""
    with open(ground.path(name), "rb") as file:
        check(file.read() == pattern(size), f"{name} is not what was served")


def python_http_server_and_curl(ground):
    """http.server hands out a file, curl takes it, several times."""
    need("curl")
    size = site(ground)
    ground.script(f"""
        {PYTHON} -m http.server 8000 --directory site >server.log 2>&1 &
        server=$!
        curl -sS --retry 50 --retry-connrefused --retry-delay 1 --retry-max-time 30 \
            -o got1 http://127.0.0.1:8000/file
        for n in 2 3 4; do curl -sS -o got$n http://127.0.0.1:8000/file; done
        curl -sS http://127.0.0.1:8000/nothing | grep -q 404
        kill $server
        wait $server || true""")
    for number in range(1, 5):
        same_file(ground, f"got{number}", size)


FORKING = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
server = Server(("127.0.0.1", 7000), Handler)
print("listens", flush=True)
server.serve_forever()
"""

FORKING_CLIENT = """
import socket, threading
def talk(number):
    with socket.create_connection(("127.0.0.1", 7000)) as s, s.makefile("rwb") as f:
        for turn in range(20):
            f.write(b"turn %d of client %d\\n" % (turn, number)); f.flush()
            answer = f.readline()
            assert answer == b"TURN %d OF CLIENT %d\\n" % (turn, number), answer
        s.shutdown(socket.SHUT_WR)
        assert f.read() == b""
        done.append(number)
done = []
threads = [threading.Thread(target=talk, args=(n,)) for n in range(12)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(done), "clients were served")
"""


def python_forking_tcp_server(ground):
    """Twelve clients at once, one child each; half-close ends every conversation."""
    ground.write("server.py", FORKING)
    ground.write("client.py", FORKING_CLIENT)
    out = ground.script(f"""
        {PYTHON} server.py >server.log 2>&1 &
        server=$!
        until grep -q listens server.log; do sleep 0.05; done
        {PYTHON} client.py
        kill $server
        wait $server || true""")
    equal(out, "12 clients were served\n", "the client says")


ASYNC = """
import asyncio
async def serve(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()
async def talk(number):
    reader, writer = await asyncio.open_connection("127.0.0.1", 7001)
    sent = bytes([number]) * 300000
    writer.write(sent)
    writer.write_eof()
    got = await reader.read(-1)
    writer.close()
    return got == sent
async def refused():
    try:
        await asyncio.open_connection("127.0.0.1", 7999)
    except ConnectionRefusedError:
        return True
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 7001)
    print(all(await asyncio.gather(*(talk(n) for n in range(30)))), await refused())
    server.close()
asyncio.run(main())
"""


def python_asyncio(ground):
    """Non-blocking everything, edge cases of connect included."""
    status, out, err = ground.run([PYTHON, "-c", ASYNC])
    equal((status, out), (0, "True True\n"), f"asyncio ({err})")


NGINX = """
daemon off; master_process on; worker_processes 2; pid {dir}/nginx.pid;
error_log {dir}/error.log; {user}
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; tcp_nopush on; keepalive_timeout 30;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{ listen 127.0.0.1:8081; root {dir}/site; }}
    server {{ listen 127.0.0.1:8082; location / {{ proxy_pass http://127.0.0.1:8081; }} }}
}}
"""


def nginx_with_two_workers(ground):
    """sendfile, keep-alive, a proxy in front of it, forty new connections; a clean end."""
    need("nginx", "curl")
    size = site(ground)
    user = "user root;" if os.getuid() == 0 else ""
    config = ground.write("nginx.conf", NGINX.format(dir=ground.scratch, user=user))
    ground.script(f"""
        nginx -p {ground.scratch} -c {config} &
        server=$!
        curl -sS --retry 50 --retry-connrefused --retry-delay 1 --retry-max-time 30 \
            -o got1 http://127.0.0.1:8081/file
        curl -sS -o got2 http://127.0.0.1:8082/file
        curl -sS -o got3 http://127.0.0.1:8081/file -o got4 http://127.0.0.1:8081/file
        for n in $(seq 40); do
            curl -sS -o /dev/null -w '%{{http_code}}\\n' -r 0-99 http://127.0.0.1:8082/file
        done >codes
        kill -QUIT $server
        wait $server""")
    for number in range(1, 5):
        same_file(ground, f"got{number}", size)
    equal(ground.read("codes"), "206\n" * 40, "forty ranges")
    for line in ground.read("error.log").splitlines():
        if "[alert]" in line or "[emerg]" in line or "[crit]" in line:
            raise Failure(line)


def redis_and_its_benchmark(ground):
    """Every command of the quick benchmark, with pipelining, and values that are kept."""
    need("redis-server", "redis-benchmark", "redis-cli")
    out = ground.script("""
        redis-server --port 6390 --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
        server=$!
        until redis-cli -p 6390 ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
        redis-benchmark -p 6390 -n 3000 -c 20 -q -t ping,set,get,lpush >bench.log 2>&1
        redis-benchmark -p 6390 -n 6000 -c 10 -P 16 -q -t set,get >>bench.log 2>&1
        redis-cli -p 6390 set word "$(seq -s- 2000)" >/dev/null
        redis-cli -p 6390 strlen word
        redis-cli -p 6390 shutdown nosave || true
        wait $server""", limit_s=120)
    equal(int(out), len("-".join(str(n) for n in range(1, 2001))), "length of the value")
    text = ground.read("bench.log")
    check(text.count("requests per second") == 7, f"not all benchmarks ran:\n{text}")


def static_binary(ground):
    """A program without a dynamic linker: nothing could be preloaded into it."""
    if not os.path.exists(STATIC):
        need("a static C library")
    status, out, err = ground.run([STATIC])
    equal((status, out), (0, "300000 bytes there and back\n"), f"the static program ({err})")


def busybox(ground):
    """httpd and wget of the static busybox."""
    need("busybox")
    size = site(ground, 500_000)
    ground.script("""
        busybox httpd -f -p 127.0.0.1:8083 -h site &
        server=$!
        until busybox wget -q -O got http://127.0.0.1:8083/file 2>/dev/null; do sleep 0.1; done
        kill $server
        wait $server || true""")
    same_file(ground, "got", size)


if __name__ == "__main__":
    main([python_http_server_and_curl, python_forking_tcp_server, python_asyncio,
          nginx_with_two_workers, redis_and_its_benchmark, static_binary, busybox],
         sys.argv[3:], LASTACK)
