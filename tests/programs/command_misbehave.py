#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""
command_misbehave.py [--every N] [--tagged] [--metadata] [--reply-metadata]
    [--ready] [--by-name] [--start-ms MS] DEED [ARGUMENT]

A command for tests that echoes, but for each N-th request (the first is 1;
default 1) does this instead.  With --by-name it opens /dev/stdin and /dev/stdout
and closes what it was given.

    echo                nothing else
    exit [STATUS]       leaves (1)
    kill [SIGNAL]       dies of a signal (SEGV)
    hang                never answers, and ignores TERM
    hold                answers when there is a file "release"
    sleep MS            answers later
    gate                answers "wait NAME" when the file NAME is there, and all
                        else at once
    stop                stops itself (SIGSTOP)
    close               closes stdout and goes on reading
    deaf                answers, closes stdin and waits
    half                writes half a frame, then goes on as if it were whole
    half-exit           writes half a frame and leaves
    too-much            writes two replies to one request
    huge                writes a length of 4 GiB and no payload
    print TEXT          writes a text that is no frame
    junk-exit           writes a line of text instead of a frame, and leaves
    wrong-tag           replies to a request that nobody made (with --tagged)
    big N               replies with N bytes
    empty               replies with an empty frame
    flood [N]           writes N lines (10000) to stderr, and answers
    long-line [N]       writes a line of N bytes (1000000) to stderr; answers
    bad-bytes           writes NUL and escape sequences to stderr, and answers
    complain            writes the message to stderr, and answers
    orphan [FILE]       forks a child that holds everything open, ignores TERM
                        and outlives this; its pid goes to FILE; then answers
    orphan-exit [FILE]  the same, and leaves
    orphan-group [FILE] the same in a session of its own, and answers
    orphan-group-exit [FILE]
                        the same in a session of its own, and leaves
    orphan-group-last [FILE]
                        the same, but answers before it leaves
    facts               replies with the metadata (with --metadata)
    say                 says the message of its reply, which is the metadata
                        (with --metadata and --reply-metadata)
    pid                 replies with its process id
    env NAME            replies with a variable of the environment
    cwd                 replies with its working directory
    limits              replies with RLIMIT_NOFILE and RLIMIT_AS

These are done at the start, before any request:

    early               writes a frame before it is asked
    early-text          writes "ok" after the frame that says it is ready
    never-ready         does not say that it is ready, and waits
    die-at-start        leaves with status 1
    exec-fails          takes the exit status 127 of a shell

    linger              at the end of stdin does not leave, and ignores TERM
"""
import os
import resource
import signal
import struct
import sys
import time

FRAMES, REPLIES = sys.stdin.buffer, sys.stdout.buffer
if "--by-name" in sys.argv:
    FRAMES = open("/dev/stdin", "rb")  # pylint: disable=consider-using-with
    REPLIES = open("/dev/stdout", "wb")  # pylint: disable=consider-using-with
    os.close(0)
    os.close(1)


class Options:
    every, tagged, metadata, ready, start_ms = 1, False, False, False, 0
    reply_metadata = by_name = False
    deed, argument = "echo", None

    def __init__(self, args):
        while args and args[0].startswith("--"):
            name = args.pop(0)[2:].replace("-", "_")
            if name in ("every", "start_ms"):
                setattr(self, name, int(args.pop(0)))
            else:
                setattr(self, name, True)
        if args:
            self.deed = args.pop(0)
        if args:
            self.argument = args.pop(0)


def read_frame():
    head = FRAMES.read(4)
    if len(head) < 4:
        return None
    return FRAMES.read(struct.unpack(">I", head)[0])


def write_raw(data):
    REPLIES.write(data)
    REPLIES.flush()


def write_frame(payload):
    write_raw(struct.pack(">I", len(payload)) + payload)


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(3600)


def orphan(file, new_session=False):
    awaited, begun = os.pipe()
    pid = os.fork()
    if pid > 0:
        # Until then, it could be ended together with us.
        os.close(begun)
        os.read(awaited, 1)
        os.close(awaited)
        if file:
            # The file is there only with the whole number in it.
            with open(file + ".new", "w") as stream:
                stream.write("%d\n" % pid)
            os.rename(file + ".new", file)
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if new_session:
        os.setsid()
    os.close(awaited)
    os.close(begun)
    hang()


class Command:
    def __init__(self, options):
        self.options = options
        self.tag = b""
        self.facts = b""

    def reply(self, payload, said=b""):
        if self.options.reply_metadata:
            write_frame(said)
        write_frame(self.tag + payload)

    def misbehave(self, payload):
        deed = self.options.deed.replace("-", "_")
        method = getattr(self, "do_" + deed, None)
        if method is None:
            self.reply(payload)
        else:
            method(payload, self.options.argument)

    def do_exit(self, payload, status):
        os._exit(int(status or 1))

    def do_kill(self, payload, name):
        # No core, whatever the limits are.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), getattr(signal, "SIG" + (name or "SEGV")))

    def do_hang(self, payload, argument):
        hang()

    def do_hold(self, payload, argument):
        while not os.path.exists("release"):
            time.sleep(0.005)
        self.reply(payload)

    def do_sleep(self, payload, ms):
        time.sleep(int(ms) / 1000)
        self.reply(payload)

    def do_gate(self, payload, argument):
        words = payload.split()
        if words[0] == b"wait":
            while not os.path.exists(words[1]):
                time.sleep(0.01)
        self.reply(payload)

    def do_stop(self, payload, argument):
        os.kill(os.getpid(), signal.SIGSTOP)
        self.reply(payload)

    def do_close(self, payload, argument):
        os.close(1)
        while FRAMES.read(1):
            pass
        os._exit(0)

    def do_deaf(self, payload, argument):
        self.reply(payload)
        os.close(0)
        hang()

    def do_half(self, payload, argument):
        frame = self.tag + payload
        write_raw(struct.pack(">I", len(frame)) + frame[:len(frame) // 2])

    def do_half_exit(self, payload, argument):
        self.do_half(payload, argument)
        os._exit(0)

    def do_too_much(self, payload, argument):
        self.reply(payload)
        self.reply(payload)

    def do_huge(self, payload, argument):
        write_raw(b"\xff\xff\xff\xff")

    def do_early_text(self, payload, argument):
        hang()

    def do_print(self, payload, text):
        write_raw(text.encode() + b"\n")

    def do_junk_exit(self, payload, argument):
        write_raw(b"Hello, world\n")
        os._exit(0)

    def do_wrong_tag(self, payload, argument):
        write_frame(b"\xff" * 8 + payload)

    def do_big(self, payload, size):
        self.reply(b"x" * int(size))

    def do_empty(self, payload, argument):
        self.reply(b"")

    def do_flood(self, payload, lines):
        for i in range(int(lines or 10000)):
            sys.stderr.write("line %d of a flood\n" % i)
        sys.stderr.flush()
        self.reply(payload)

    def do_long_line(self, payload, size):
        sys.stderr.write("x" * int(size or 1000000) + "\n")
        sys.stderr.flush()
        self.reply(payload)

    def do_bad_bytes(self, payload, argument):
        os.write(2, b"\x00\x1b[31mred\xff\xfe\r\nlevel=error event=forged\n")
        self.reply(payload)

    def do_complain(self, payload, argument):
        os.write(2, payload + b"\n")
        self.reply(payload)

    def do_orphan(self, payload, file):
        orphan(file)
        self.reply(payload)

    def do_orphan_exit(self, payload, file):
        orphan(file)
        os._exit(0)

    def do_orphan_group(self, payload, file):
        orphan(file, new_session=True)
        self.reply(payload)

    def do_orphan_group_exit(self, payload, file):
        orphan(file, new_session=True)
        os._exit(5)

    def do_orphan_group_last(self, payload, file):
        orphan(file, new_session=True)
        self.reply(payload)
        os._exit(5)

    def do_facts(self, payload, argument):
        self.reply(self.facts)

    def do_say(self, payload, argument):
        self.reply(self.facts, payload)

    def do_pid(self, payload, argument):
        self.reply(b"%d" % os.getpid())

    def do_env(self, payload, name):
        self.reply(os.environb.get(name.encode(), b"(not set)"))

    def do_cwd(self, payload, argument):
        self.reply(os.getcwdb())

    def do_limits(self, payload, argument):
        self.reply(b"nofile=%d as=%d" % (
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            resource.getrlimit(resource.RLIMIT_AS)[0]))

    def begin(self):
        time.sleep(self.options.start_ms / 1000)
        if self.options.deed == "die-at-start":
            sys.exit(1)
        if self.options.deed == "exec-fails":
            sys.exit(127)
        if self.options.deed == "never-ready":
            hang()
        if self.options.deed == "early-text":
            write_raw(b"\0\0\0\0ok\n")
        elif self.options.ready:
            write_frame(b"")
        if self.options.deed == "early":
            write_frame(b"nobody asked")

    def next_request(self):
        if self.options.metadata:
            self.facts = read_frame()
        payload = read_frame()
        if payload is not None and self.options.tagged:
            self.tag, payload = payload[:8], payload[8:]
        return payload

    def run(self):
        count = 0
        self.begin()
        while (payload := self.next_request()) is not None:
            count += 1
            if count % self.options.every == 0:
                self.misbehave(payload)
            else:
                self.reply(payload)
        if self.options.deed == "linger":
            hang()


Command(Options(sys.argv[1:])).run()
