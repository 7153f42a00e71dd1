#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A handler for HTTP: a redirect, cookies, a login and CORS.

    { name = "web"; type = "command"; metadata = true; reply_metadata = true;
      command = [ "python3", "/srv/web.py" ]; }

See penstock-handler(7).
"""
import json
import struct
import sys

FRAMES, REPLIES = sys.stdin.buffer, sys.stdout.buffer
ORIGIN = "https://app.example"


def read_frame():
    head = FRAMES.read(4)
    return FRAMES.read(*struct.unpack(">I", head)) if head else None


def write_frame(payload):
    REPLIES.write(struct.pack(">I", len(payload)) + payload)


def answer(http, body):
    """Return the status, the response fields and the body of the reply."""
    method, path = http["method"], http["path"]
    if method == "OPTIONS":
        return 204, {"Access-Control-Allow-Origin": ORIGIN,
                     "Access-Control-Allow-Methods": "GET, POST",
                     "Access-Control-Allow-Headers": "Content-Type"}, b""
    if method not in ("GET", "HEAD", "POST"):
        return 405, {"Allow": "GET, HEAD, OPTIONS, POST"}, b""
    if path == "/old":
        return 302, {"Location": "/new"}, b""
    if path == "/login":
        return 200, {"Set-Cookie": ["user=ada; Path=/; HttpOnly",
                                    "theme=dark; Path=/"],
                     "Cache-Control": "no-store"}, b"welcome\n"
    if path == "/private" and "Authorization" not in http["fields"]:
        return 401, {"WWW-Authenticate": 'Basic realm="private"'}, b""
    return 200, {"Content-Type": "text/plain",
                 "Access-Control-Allow-Origin": ORIGIN}, body or b"hello\n"


while (facts := read_frame()) is not None:
    status, fields, reply = answer(json.loads(facts)["http"], read_frame())
    write_frame(json.dumps({"status": status, "fields": fields}).encode())
    write_frame(reply)
    REPLIES.flush()
