#!/usr/bin/env python3
# A command for Penstock: answers each message in upper case.
import struct
import sys

frames, replies = sys.stdin.buffer, sys.stdout.buffer

while head := frames.read(4):                   # the end: Penstock hangs up
    payload = frames.read(*struct.unpack(">I", head))
    reply = payload.upper()
    replies.write(struct.pack(">I", len(reply)) + reply)
    replies.flush()                             # or the client waits for ever
