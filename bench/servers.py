# SPDX-License-Identifier: ISC
"""The servers that are measured: how each is started, spoken to and ended."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ADDRESS = "127.0.0.1"
SERVER_CPU = 0
PAYLOAD = 64            # bytes that peers who echo nothing reply with
PEER_CONNS_MAX = 12000  # that each peer is told to be ready for

# Flushes once for all that it has read: as quick as Python gets.
PYTHON_ECHO = """\
import os
import struct
rest = b""
while data := os.read(0, 65536):
    data = rest + data
    at = 0
    while len(data) - at >= 4:
        end = at + 4 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        at = end
    os.write(1, data[:at])
    rest = data[at:]
"""


def free_ports(n):
    """Ports that nobody listens on right now."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind((ADDRESS, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def bind_to(cpu):
    """What a child does to stay on one CPU, and out of the way of Ctrl-C."""
    def prepare():
        os.sched_setaffinity(0, {cpu})
        os.setpgid(0, 0)
    return prepare


def exit_on_signals():
    """So that what has been started is ended."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, lambda *_: sys.exit(1))


def connect(port, patience=30):
    until = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection((ADDRESS, port), timeout=10)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


class Server:
    """A running server.  exchanges: name of an exchange -> the words for
    penstock-bench that have it, the address among them."""

    running = []

    def __init__(self, name, argv, ports, cpu=SERVER_CPU):
        self.name = name
        self.exchanges = {}
        self.conns_max = PEER_CONNS_MAX
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, stdout=self.log,
                                        stderr=self.log,
                                        stdin=subprocess.DEVNULL,
                                        preexec_fn=bind_to(cpu))
        self.running.append(self)
        try:
            for port in ports:
                connect(port).close()
        except OSError as error:
            self.end()
            self.log.seek(0)
            raise SystemExit(f"{name} does not start: {error}\n"
                             + self.log.read().decode(errors="replace"))

    @property
    def pid(self):
        return self.process.pid

    def speak(self, exchange, port, *words):
        self.exchanges[exchange] = [*words, f"{ADDRESS}:{port}"]

    def end(self):
        self.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Build:
    """What has been built, and a directory for what servers need."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.bench = os.path.join(self.path, "penstock-bench")
        self.penstock = os.path.join(self.path, "penstock")
        self.floor = os.path.join(self.path, "bench", "floor")
        self.dir = tempfile.mkdtemp(prefix="penstock-bench-")
        os.chmod(self.dir, 0o755)
        self.has_http = self.takes_http()

    def close(self):
        """However it came to that: nothing is left."""
        for server in list(Server.running):
            server.end()
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def takes_http(self):
        """Whether this Penstock knows the protocol yet."""
        path = self.write("http.conf", 'listeners = ( { name = "http"; address'
                          ' = "127.0.0.1:1"; protocol = "http"; handler ='
                          ' "echo"; } );\n')
        return subprocess.run([self.penstock, "-t", "-c", path],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL,
                              check=False).returncode == 0

    def penstock_conf(self, workers, listeners, ports):
        """listeners: what they speak, and who answers."""
        echo = self.write("echo.py", PYTHON_ECHO)
        # Executors may read the build where nobody else may.
        user = 'user = "root";\n' if os.geteuid() == 0 else ""
        text = f"""workers = {workers};
{user}pid_file = "{self.dir}/penstock.pid";
max_connections = 110000;
log = {{ file = "{self.dir}/penstock.log"; level = "warn"; }};
"""
        if ("frame", "module") in listeners:
            text += f"""handlers = (
  {{ name = "module"; type = "module"; threads = 1;
    module = "{self.path}/bench/bench_module.so"; }},
  {{ name = "command"; type = "command"; pipeline = 16; processes = 1;
    command = [ "{self.path}/examples/echo_command" ]; }},
  {{ name = "python"; type = "command"; pipeline = 16; processes = 1;
    command = [ "python3", "{echo}" ]; }} );
"""
        text += "listeners = (\n" + ",\n".join(
            f'  {{ name = "l{i}"; address = "{ADDRESS}:{port}"; '
            f'protocol = "{wire}"; handler = "{handler}"; pipeline = 64; '
            "max_connections = 110000; idle_timeout = 600.0; }"
            for i, ((wire, handler), port) in enumerate(zip(listeners, ports)))
        return text + ");\n"

    def start_penstock(self, workers=1, cpu=SERVER_CPU, under=(),
                       handlers=("module", "command", "python")):
        listeners = [(wire, "echo") for wire in ("frame", "line")]
        if self.has_http:
            listeners.append(("http", "echo"))
        listeners += [("frame", handler) for handler in handlers]
        ports = free_ports(len(listeners))
        conf = self.write("penstock.conf",
                          self.penstock_conf(workers, listeners, ports))
        server = Server("penstock", [*under, self.penstock, "-c", conf], ports,
                        cpu)
        for (wire, handler), port in zip(listeners, ports):
            server.speak(wire if handler == "echo" else handler, port, "-w",
                         wire)
        return server

    def start_floor(self, wire, processes=1, cpu=SERVER_CPU, under=()):
        port = free_ports(1)[0]
        server = Server("floor", [*under, self.floor, "-n", str(processes),
                                  wire, ADDRESS, str(port)], [port], cpu)
        server.speak(wire, port, "-w", wire)
        return server


#
# Peers.  Each is measured with what it does that is most like an echo; the
# exchange is the same size, and of one process or thread.
#

def reply_length(port, request):
    """How many bytes a peer replies with."""
    with connect(port) as conn:
        conn.sendall(request)
        conn.settimeout(0.3)
        length = 0
        try:
            while data := conn.recv(65536):
                length += len(data)
        except TimeoutError:
            pass
    if length == 0:
        raise SystemExit(f"no reply to {request!r}")
    return length


def speak_raw(server, exchange, port, request):
    text = request.decode().replace("\r", "\\r").replace("\n", "\\n")
    server.speak(exchange, port, "-w", "raw", "--request", text,
                 "--reply-bytes", str(reply_length(port, request)))


HTTP_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def start_nginx(build):
    port = free_ports(1)[0]
    conf = build.write("nginx.conf", f"""{'user root;' if os.geteuid() == 0
                                         else ''}
daemon off; worker_processes 1; pid {build.dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections {PEER_CONNS_MAX + 100}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {build.dir}/1; proxy_temp_path {build.dir}/2;
  fastcgi_temp_path {build.dir}/3; uwsgi_temp_path {build.dir}/4;
  scgi_temp_path {build.dir}/5;
  server {{ listen {ADDRESS}:{port} backlog=4096;
    location / {{ return 200 "{'x' * PAYLOAD}"; }} }}
}}
""")
    server = Server("nginx", ["nginx", "-p", build.dir, "-c", conf], [port])
    speak_raw(server, "http", port, HTTP_GET)
    return server


def start_haproxy(build):
    # It wants two descriptors for each connection, even without a backend.
    conns = min(PEER_CONNS_MAX,
                resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)
    port = free_ports(1)[0]
    conf = build.write("haproxy.cfg", f"""global
  nbthread 1
  maxconn {conns}
defaults
  mode http
  timeout client 600s
  timeout http-keep-alive 600s
frontend f
  bind {ADDRESS}:{port} backlog 4096
  http-request return status 200 content-type text/plain string {'x' * PAYLOAD}
""")
    server = Server("haproxy", ["haproxy", "-db", "-f", conf], [port])
    server.conns_max = conns
    speak_raw(server, "http", port, HTTP_GET)
    return server


def start_memcached(build):
    del build
    port = free_ports(1)[0]
    user = ["-u", "root"] if os.geteuid() == 0 else []
    server = Server("memcached", [
        "memcached", *user, "-t", "1", "-U", "0", "-l", ADDRESS, "-p",
        str(port), "-c", str(PEER_CONNS_MAX), "-b", "4096"], [port])
    with connect(port) as conn:
        conn.sendall(b"set k 0 0 %d\r\n%s\r\n" % (PAYLOAD, b"x" * PAYLOAD))
        conn.recv(100)
    speak_raw(server, "frame", port, b"get k\r\n")
    return server


def start_redis(build):
    port = free_ports(1)[0]
    server = Server("redis", [
        "redis-server", "--bind", ADDRESS, "--port", str(port), "--save", "",
        "--dir", build.dir, "--maxclients", str(PEER_CONNS_MAX),
        "--tcp-backlog", "4096"], [port])
    speak_raw(server, "frame", port, b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" %
              (PAYLOAD, b"x" * PAYLOAD))
    return server


def start_go(build):
    """Goroutine per connection, with the frames of Penstock."""
    port = free_ports(1)[0]
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "peer_echo.go")
    program = os.path.join(build.dir, "peer_echo")
    subprocess.run(["go", "build", "-o", program, source], check=True,
                   cwd=build.dir)
    server = Server("go", ["env", "GOMAXPROCS=1", program,
                           f"{ADDRESS}:{port}"], [port])
    server.speak("frame", port)
    return server


PEERS = {
    "nginx": ("nginx", start_nginx, ["nginx", "-v"]),
    "haproxy": ("haproxy", start_haproxy, ["haproxy", "-v"]),
    "memcached": ("memcached", start_memcached, ["memcached", "-V"]),
    "redis": ("redis-server", start_redis, ["redis-server", "--version"]),
    "go": ("go", start_go, ["go", "version"]),
}


def installed_peers():
    return [name for name, (program, _, _) in PEERS.items()
            if shutil.which(program)]


def first_line(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace").split("\n")[0].strip()
