#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""How many instructions a message takes, in user mode, of all processes.

Counted by callgrind over a scripted exchange on one connection, with few and
with many messages: the difference is what the messages took.  No clock has a part
in it but the ticks of the server's timer, so that two runs agree to a per cent or
so, on any machine.
"""

import argparse
import glob
import os
import re
import shutil
import struct
import sys

import servers

PAYLOAD = b"x" * 64


def encode(exchange):
    if exchange == "line":
        return PAYLOAD + b"\n"
    if exchange == "http":
        return (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 64"
                b"\r\n\r\n" + PAYLOAD)
    return struct.pack(">I", len(PAYLOAD)) + PAYLOAD


def exchange_all(port, message, depth, n):
    """Send depth messages at once, n in all, and take the replies."""
    with servers.connect(port) as conn:
        conn.settimeout(60)
        expected = 0
        for _ in range(n // depth):
            conn.sendall(message * depth)
            got = b""
            while got.count(PAYLOAD) < depth or len(got) < expected:
                data = conn.recv(1 << 20)
                if not data:
                    raise SystemExit("the server has closed the connection")
                got += data
            expected = len(got)


def totals(directory):
    """The instructions of all processes that have written theirs."""
    total = 0
    for path in glob.glob(os.path.join(directory, "callgrind.out.*")):
        with open(path, encoding="utf-8") as file:
            found = re.findall(r"^(?:totals|summary): (\d+)", file.read(),
                               re.M)
        total += int(found[-1]) if found else 0
    return total


def count(build, start, exchange, depth, n):
    directory = os.path.join(build.dir, "callgrind")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    server = start(["valgrind", "-q", "--tool=callgrind", "--trace-children=no",
                    f"--callgrind-out-file={directory}/callgrind.out.%p"])
    address = server.exchanges[exchange][-1]
    try:
        exchange_all(int(address.split(":")[1]), encode(exchange), depth, n)
    finally:
        server.end()
    return totals(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=".", help="where it was built")
    parser.add_argument("--messages", type=int, default=16000)
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is missing")
    servers.exit_on_signals()
    build = servers.Build(args.build)
    few, many = 1600, 1600 + args.messages
    print("instructions per message, 64 bytes, one connection:")
    try:
        for exchange in ("frame", "line", "http", "module"):
            for depth in (1, 16):
                for name, start in (
                        ("penstock",
                         lambda under: build.start_penstock(under=under)),
                        ("floor", lambda under, wire=exchange:
                         build.start_floor(wire, under=under))):
                    if exchange == "module" and name == "floor":
                        continue
                    if (exchange == "http" and name == "penstock"
                            and not build.has_http):
                        continue
                    n = (count(build, start, exchange, depth, many)
                         - count(build, start, exchange, depth, few))
                    print(f"{exchange:8} pipeline {depth:2} {name:9}"
                          f"{n / args.messages:8.0f}", flush=True)
    finally:
        build.close()


if __name__ == "__main__":
    sys.exit(main())
