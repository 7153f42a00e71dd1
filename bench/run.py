#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""How fast Penstock is, against the floor and whichever peers are installed.

Every figure is the median of rounds in which the servers take turns, each bound
to the first CPU and the load to the second one; a ratio is the median of the
rounds' own ratios.  What counts is messages for each second of the server's CPU:
throughput would tell as much of the client as of the server.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import statistics
import subprocess
import sys

import servers

CLIENT_CPU = 1
CONNS_PER_PROCESS = 12500


class Run:
    def __init__(self, args):
        self.args = args
        self.build = servers.Build(args.build)
        self.peers = servers.installed_peers()
        self.sections = []

    def wants(self, name):
        return fnmatch.fnmatch(name, self.args.only)

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def bench(self, server, exchange, *words, while_idle=None):
        """One run of penstock-bench: its results."""
        argv = [self.build.bench, "-j", "-P", str(server.pid), *words,
                *server.exchanges[exchange]]
        with subprocess.Popen(argv, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              preexec_fn=servers.bind_to(CLIENT_CPU)) as load:
            said = load.stderr.readline()
            if while_idle is not None:
                while_idle()
            out, rest = load.communicate()
        if not out:
            raise SystemExit(f"{' '.join(argv)}:\n{said}{rest}")
        result = json.loads(out)
        if not result["clean"]:
            self.say(f"{server.name}, {exchange}: {result['wrong']}")
        return result

    def rounds(self, pairs, *words):
        """Results of all rounds: name -> list.  pairs: of server and
        exchange."""
        results = {}
        for i in range(self.args.rounds):
            turn = i % len(pairs)
            for server, exchange in pairs[turn:] + pairs[:turn]:
                key = (server.name if exchange in ("frame", "line", "http")
                       else exchange)
                results.setdefault(key, []).append(self.bench(
                    server, exchange, "-d", str(self.args.seconds),
                    "--warmup", "0.3", *words))
        return results

    def section(self, title, text, head, rows):
        lines = [f"## {title}", "", text, "",
                 "| " + " | ".join(head) + " |",
                 "| " + " | ".join("---" for _ in head) + " |"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        self.sections.append("\n".join(lines) + "\n")
        print(self.sections[-1], flush=True)


def median(results, pick):
    return statistics.median(pick(result) for result in results)


def ratios(results, others, pick):
    """Of each round, in order."""
    return sorted(pick(a) / pick(b) for a, b in zip(results, others))


def cpu_rate(result):
    return result["server"]["messages_per_cpu_s"]


def cpu_us(result):
    return 1e6 / cpu_rate(result)


def latency(quantile):
    return lambda result: result["latency_us"][quantile]


def spread(values):
    return f"{values[0]:.2f} to {values[-1]:.2f}"


# name, exchange, size, depth
EXCHANGES = (
    ("frame-64-1", "frame", 64, 1),
    ("frame-64-16", "frame", 64, 16),
    ("frame-16k-1", "frame", 16384, 1),
    ("line-64-1", "line", 64, 1),
    ("line-64-16", "line", 64, 16),
    ("http-64-1", "http", 64, 1),
    ("http-64-16", "http", 64, 16),
)


def measure_exchanges(run, penstock, floors, peers):
    rows = []
    for name, exchange, size, depth in EXCHANGES:
        if not run.wants(name):
            continue
        pairs = [(server, exchange)
                 for server in [penstock, floors[exchange], *peers]
                 if exchange in server.exchanges]
        # Peers that echo nothing have one size of reply.
        if size != servers.PAYLOAD:
            pairs = [(server, exchange) for server, exchange in pairs
                     if "raw" not in server.exchanges[exchange]]
        run.say(name)
        results = run.rounds(pairs, "-c", "1000", "-p", str(depth), "-s",
                             str(size))
        for who, of_who in results.items():
            compared = ratios(of_who, results["floor"], cpu_rate)
            rows.append([
                f"{exchange} {size} B, pipeline {depth}", who,
                f"{median(of_who, cpu_rate):,.0f}",
                f"**{statistics.median(compared):.2f}**", spread(compared),
                f"{median(of_who, lambda r: r['messages_per_s']):,.0f}",
                *(f"{median(of_who, latency(q)):,.0f}"
                  for q in ("p50", "p99", "p99_9"))])
    if rows:
        run.section(
            "Messages", "1,000 connections, as fast as the replies come. Peers "
            "that do not speak an exchange do what is most like it: memcached "
            "gets a value, redis is told ECHO, nginx and HAProxy return a "
            "fixed text, of 64 bytes each.",
            ["exchange", "server", "messages per CPU second", "of the floor",
             "rounds", "messages per second", "p50 us", "p99 us", "p99.9 us"],
            rows)


def measure_growth(run, penstock, floors):
    if not run.wants("growth"):
        return
    pairs = [(penstock, "frame"), (floors["frame"], "frame")]
    few = many = None
    for conns in (64, 10000):
        run.say(f"growth, {conns}")
        few, many = many, run.rounds(pairs, "-c", str(conns))
    rows = []
    growth = {}
    for who in ("penstock", "floor"):
        growth[who] = ratios(many[who], few[who], cpu_us)
        rows.append([who, f"{median(few[who], cpu_us):.2f}",
                     f"{median(many[who], cpu_us):.2f}",
                     f"{statistics.median(growth[who]):.2f}"])
    own = (statistics.median(growth["penstock"])
           / statistics.median(growth["floor"]))
    rows.append(["penstock over floor", "", "", f"**{own:.2f}**"])
    run.section("Growth", "Frames of 64 bytes, pipeline 1: microseconds of the "
                "server's CPU for each message, with so many connections "
                "active.", ["server", "64", "10,000", "growth"], rows)


def measure_latency(run, penstock, floors):
    if not run.wants("latency"):
        return
    pairs = [(penstock, "frame"), (floors["frame"], "frame")]
    run.say("latency")
    full = run.rounds(pairs, "-c", "1000")
    rate = int(median(full["penstock"], lambda r: r["messages_per_s"]) / 2)
    paced = run.rounds(pairs, "-c", "1000", "-r", str(rate))
    rows = [[who, *(f"{median(paced[who], latency(q)):,.0f}"
                    for q in ("p50", "p99", "p99_9", "max"))]
            for who in ("penstock", "floor")]
    compared = ratios(paced["penstock"], paced["floor"], latency("p99"))
    rows.append(["penstock over floor", "",
                 f"**{statistics.median(compared):.2f}**", "", ""])
    run.section("Latency at half of the rate", f"Frames of 64 bytes on 1,000 "
                f"connections, {rate:,} messages a second, each counted from "
                "when it should have left; microseconds.",
                ["server", "p50", "p99", "p99.9", "max"], rows)


def measure_handlers(run, penstock):
    if not run.wants("handlers"):
        return
    exchanges = ("frame", "module", "command", "python")
    rows = []
    for depth in (1, 16):
        run.say(f"handlers, {depth}")
        results = run.rounds([(penstock, each) for each in exchanges],
                             "-c", "1000", "-p", str(depth))
        for exchange in exchanges[1:]:
            compared = ratios(results[exchange], results["penstock"], cpu_rate)
            rows.append([
                f"{exchange}, pipeline {depth}",
                f"{median(results[exchange], cpu_rate):,.0f}",
                f"**{statistics.median(compared):.2f}**", spread(compared),
                f"{median(results[exchange], lambda r: r['messages_per_s']):,.0f}",
                f"{median(results[exchange], latency('p99')):,.0f}"])
    run.section("Handlers", "Frames of 64 bytes on 1,000 connections, answered "
                "by a module with one thread, by a command in C and by one in "
                "Python, against the handler echo. The CPU time is that of all "
                "processes.",
                ["handler", "messages per CPU second", "of echo", "rounds",
                 "messages per second", "p99 us"], rows)


def slab_kib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"^Slab:\s+(\d+)", file.read(), re.M).group(1))


def hold(run, server, exchange, conns):
    """What so many connections take that do nothing."""
    processes = -(-conns // CONNS_PER_PROCESS)
    before, during = slab_kib(), []
    result = run.bench(server, exchange, "-c", str(conns), "-t",
                       str(processes), "--idle=1000", "-d", "0.5",
                       while_idle=lambda: during.append(slab_kib()))
    return {
        "user": result["server"]["bytes_per_connection"],
        "kernel": (during[0] - before) * 1024 / conns,
        "per_s": conns / result["connect"]["seconds"],
    }


def start_holder(run, who, wire, conns):
    """A new server each time: what was freed would hide what is taken."""
    processes = 8 if conns > 10000 else 1
    if who == "penstock":
        # Executors that are starting would count as what connections take.
        return run.build.start_penstock(processes, handlers=())
    if who == "floor":
        return run.build.start_floor(wire, processes)
    return servers.PEERS[who][1](run.build)


def measure_memory(run):
    if not run.wants("memory"):
        return
    rows = []
    for wire, others in (("frame", ("memcached", "redis", "go")),
                         ("http", ("nginx", "haproxy"))):
        names = ["penstock"] if wire == "frame" or run.build.has_http else []
        names += ["floor"] + [each for each in others if each in run.peers]
        for conns in (1000, 10000, 100000):
            rates = {}
            for who in names:
                if conns > 10000 and who not in ("penstock", "floor"):
                    continue
                run.say(f"memory, {wire}, {conns}, {who}")
                of_who = []
                for _ in range(min(3, run.args.rounds)):
                    server = start_holder(run, who, wire, conns)
                    if who in run.peers and conns > server.conns_max:
                        server.end()
                        break
                    of_who.append(hold(run, server, wire, conns))
                    server.end()
                if not of_who:
                    continue
                rates[who] = median(of_who, lambda r: r["per_s"])
                rows.append([
                    wire, f"{conns:,}", who,
                    f"**{median(of_who, lambda r: r['user']):,.0f}**",
                    f"{median(of_who, lambda r: r['kernel']):,.0f}",
                    f"{rates[who]:,.0f}",
                    f"{rates[who] / rates.get('floor', rates[who]):.2f}"
                    if who == "floor" else ""])
            if "penstock" in rates:
                for row in rows[-len(rates):]:
                    if row[2] == "penstock":
                        row[6] = f"**{rates['penstock'] / rates['floor']:.2f}**"
    run.section("Connections that do nothing", "Bytes for each: the server's "
                "own (PSS), and of the kernel for both ends (Slab, of the whole "
                "machine). And how fast they were opened; 100,000 by eight "
                "processes on each side.",
                ["wire", "connections", "server", "user bytes",
                 "kernel bytes, both ends", "opened per second",
                 "of the floor"], rows)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        cpuinfo = file.read()
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.M)
    virtual = ", virtual" if re.search(r"\bhypervisor\b", cpuinfo) else ""
    return (f"{os.cpu_count()} CPUs ({model.group(1) if model else 'unknown'}"
            f"{virtual}), {platform.system()} {platform.release()}")


def report(run):
    versions = [servers.first_line([run.build.penstock, "-V"]), "the floor: "
                + servers.first_line(["cc", "--version"])]
    versions += [servers.first_line(servers.PEERS[peer][2])
                 for peer in run.peers]
    missing = sorted(set(servers.PEERS) - set(run.peers))
    text = f"""# How fast it is

Made by `make bench` on {datetime.date.today()}. Run it again by that: it measures
against the peers that are installed, {run.args.rounds} rounds of {run.args.seconds:g} s each.

{__doc__.split(chr(10), 2)[2].strip()}

- machine: {machine()}
""" + "".join(f"- {version}\n" for version in versions)
    if missing:
        text += f"- not installed: {', '.join(missing)}\n"
    if not run.build.has_http:
        text += "- this Penstock does not speak HTTP\n"
    return text + "\n" + "\n".join(run.sections)


def start_peers(run):
    """Those that start."""
    peers = []
    for name in run.peers:
        try:
            peers.append(servers.PEERS[name][1](run.build))
        except SystemExit as error:
            run.say(error)
    run.peers = [peer.name for peer in peers]
    return peers


def measure(run):
    penstock = run.build.start_penstock()
    floors = {wire: run.build.start_floor(wire)
              for wire in ("frame", "line", "http")}
    peers = start_peers(run)
    measure_exchanges(run, penstock, floors, peers)
    measure_growth(run, penstock, floors)
    measure_latency(run, penstock, floors)
    measure_handlers(run, penstock)
    for server in [penstock, *floors.values(), *peers]:
        server.end()
    measure_memory(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=".", help="where it was built")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--only", default="*", help="a pattern: frame-64-1, "
                        "growth, latency, handlers, memory, ...")
    parser.add_argument("--out", help="a file for the report")
    servers.exit_on_signals()
    run = Run(parser.parse_args())
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("this needs two CPUs: one for each side")
    try:
        measure(run)
    finally:
        run.build.close()
    if run.args.out:
        with open(run.args.out, "w", encoding="utf-8") as file:
            file.write(report(run))


if __name__ == "__main__":
    main()
