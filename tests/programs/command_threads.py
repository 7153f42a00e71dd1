#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""
A tagged command for tests that works on each message in a thread of its own.
It echoes, but for these:

    hang ...            is never answered
    sleep MS ...        is answered later
"""
import struct
import sys
import threading
import time

FRAMES, REPLIES = sys.stdin.buffer, sys.stdout.buffer
LOCK = threading.Lock()


def write_frame(payload):
    with LOCK:
        REPLIES.write(struct.pack(">I", len(payload)) + payload)
        REPLIES.flush()


def handle(tag, payload):
    words = payload.split()
    if words[:1] == [b"hang"]:
        time.sleep(3600)
    if words[:1] == [b"sleep"]:
        time.sleep(int(words[1]) / 1000)
    write_frame(tag + payload)


def main():
    write_frame(b"")
    while True:
        head = FRAMES.read(4)
        if len(head) < 4:
            return
        frame = FRAMES.read(struct.unpack(">I", head)[0])
        threading.Thread(target=handle, args=(frame[:8], frame[8:]),
                         daemon=True).start()


main()
