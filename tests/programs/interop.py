#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A client of another make, with nothing but Python's own library.

    interop.py echo ADDRESS FRAME_PORT LINE_PORT
    interop.py json FILE        is every line of a log a JSON object?
"""
import json
import socket
import struct
import sys
import threading


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError("the connection ended")
        data += more
    return data


def read_frame(sock):
    (n,) = struct.unpack(">I", read_exactly(sock, 4))
    return read_exactly(sock, n)


def connect(address, port):
    return socket.create_connection((address, int(port)), timeout=30)


def frames(address, port):
    with connect(address, port) as sock:
        for size in (1, 2, 255, 256, 65536, 1 << 20):
            payload = bytes(i & 255 for i in range(size))
            sock.sendall(struct.pack(">I", size) + payload)
            assert read_frame(sock) == payload, size
        for i in range(1000):
            text = b"message %d" % i
            sock.sendall(struct.pack(">I", len(text)) + text)
        for i in range(1000):
            assert read_frame(sock) == b"message %d" % i


def lines(address, port):
    with connect(address, port) as sock, sock.makefile("rwb") as stream:
        for text in (b"", b"x", "gr\u00fc\u00dfe".encode(), b"y" * 100000):
            stream.write(text + b"\r\n")
            stream.flush()
            assert stream.readline() == text + b"\n", text[:20]


def errors(address, frame_port, line_port):
    with connect(address, frame_port) as sock:
        sock.sendall(struct.pack(">I", 0))
        assert read_frame(sock) == b"ERR malformed"
        assert sock.recv(1) == b""
    with connect(address, frame_port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_frame(sock) == b"ERR too large"
        assert sock.recv(1) == b""
    with connect(address, line_port) as sock:
        sock.sendall(b"z" * (1 << 20) + b"zz")
        assert sock.makefile("rb").read() == b"ERR too large\n"


def echo(address, frame_port, line_port):
    # Many at a time, as a program with threads would.
    failures = []

    def run(what, *args):
        try:
            what(*args)
        except Exception as error:
            failures.append(f"{what.__name__}: {error!r}")

    threads = []
    for _ in range(4):
        threads += [
            threading.Thread(target=run, args=(frames, address, frame_port)),
            threading.Thread(target=run, args=(lines, address, line_port)),
            threading.Thread(target=run, args=(errors, address, frame_port,
                                               line_port)),
        ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("\n".join(failures))
    print("python: ok")


def check_json(path):
    n = 0
    with open(path, "rb") as log:
        for line in log:
            fields = json.loads(line)
            for key in ("time", "level", "pid", "role", "event"):
                assert key in fields, (key, line)
            n += 1
    assert n > 0, "an empty log"
    print(n)


if __name__ == "__main__":
    if sys.argv[1:2] == ["echo"] and len(sys.argv) == 5:
        echo(*sys.argv[2:])
    elif sys.argv[1:2] == ["json"] and len(sys.argv) == 3:
        check_json(sys.argv[2])
    else:
        sys.exit(__doc__)
