# SPDX-License-Identifier: ISC
"""A collector of traces for tests: takes OTLP over HTTP in JSON, and holds it to
the published names and forms (opentelemetry-proto, trace/v1 and collector/v1).

    collector.py ADDRESS DIRECTORY

Each span becomes a line of DIRECTORY/spans; what is wrong with a request becomes
one of DIRECTORY/mistakes.  While DIRECTORY/slow is there, nothing is answered;
while DIRECTORY/drip is there, an answer comes a byte at a time and has no end; and
while DIRECTORY/refuse is there, all is answered 503.
"""
import http.server
import json
import os
import re
import sys
import time

NAMES = {
    "request": {"resourceSpans": "list"},
    "resourceSpans": {"resource": "resource", "scopeSpans": "list",
                      "schemaUrl": str},
    "resource": {"attributes": "list", "droppedAttributesCount": int},
    "scopeSpans": {"scope": "scope", "spans": "list", "schemaUrl": str},
    "scope": {"name": str, "version": str, "attributes": "list",
              "droppedAttributesCount": int},
    "spans": {"traceId": "id32", "spanId": "id16", "traceState": str,
              "parentSpanId": "id16", "flags": int, "name": str, "kind": int,
              "startTimeUnixNano": "u64", "endTimeUnixNano": "u64",
              "attributes": "list", "droppedAttributesCount": int,
              "events": "list", "droppedEventsCount": int, "links": "list",
              "droppedLinksCount": int, "status": "status"},
    "events": {"timeUnixNano": "u64", "name": str, "attributes": "list",
               "droppedAttributesCount": int},
    "status": {"message": str, "code": int},
    "attributes": {"key": str, "value": "value"},
    "value": {"stringValue": str, "boolValue": bool, "intValue": "u64",
              "doubleValue": float, "arrayValue": dict, "kvlistValue": dict,
              "bytesValue": str},
}
REQUIRED = {
    "request": {"resourceSpans"},
    "spans": {"traceId", "spanId", "name", "kind", "startTimeUnixNano",
              "endTimeUnixNano"},
    "events": {"timeUnixNano", "name"},
    "attributes": {"key", "value"},
}


def check_id(value, digits):
    return (isinstance(value, str) and len(value) == digits and
            re.fullmatch("[0-9a-f]+", value) and value.strip("0") != "")


def check(kind, value, path, mistakes):
    """Note what is wrong with a message of a kind."""
    if not isinstance(value, dict):
        mistakes.append(f"{path} is no object")
        return
    for name in REQUIRED.get(kind, set()) - value.keys():
        mistakes.append(f"{path} has no {name}")
    if kind == "value" and len(value) != 1:
        mistakes.append(f"{path} has {len(value)} values")
    for name, member in value.items():
        here = f"{path}.{name}"
        form = NAMES[kind].get(name)
        if form is None:
            mistakes.append(f"{here} is not known")
        elif form == "list":
            for one in member:
                check(name, one, here, mistakes)
        elif form in ("id32", "id16"):
            if not check_id(member, int(form[2:])):
                mistakes.append(f"{here} is {member}")
        elif form == "u64":
            if not (isinstance(member, str) and member.isdigit() and
                    int(member) < 1 << 64):
                mistakes.append(f"{here} is {member}")
        elif isinstance(form, str):
            check(form, member, here, mistakes)
        elif not isinstance(member, form):
            mistakes.append(f"{here} is {member}")


def check_span(span, mistakes):
    """What the forms of the members do not tell."""
    if not 0 <= span["kind"] <= 5:
        mistakes.append(f"kind is {span['kind']}")
    begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    if begin > end or abs(time.time() - end / 1e9) > 600:
        mistakes.append(f"from {begin} to {end}")
    for event in span.get("events", []):
        if not begin <= int(event["timeUnixNano"]) <= end:
            mistakes.append(f"an event outside of {begin} to {end}")
    if not 0 <= span.get("status", {}).get("code", 0) <= 2:
        mistakes.append(f"status is {span['status']}")


def spans_of(whole):
    for resource in whole["resourceSpans"]:
        facts = resource["resource"]["attributes"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield facts, span


def plain(attributes):
    return {one["key"]: next(iter(one["value"].values()))
            for one in attributes}


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory = "."

    def path_of(self, name):
        return os.path.join(self.directory, name)

    def note(self, name, lines):
        with open(self.path_of(name), "a", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in lines)

    def take(self, body):
        mistakes = []
        if self.path != "/v1/traces":
            mistakes.append(f"path is {self.path}")
        if self.headers["Content-Type"] != "application/json":
            mistakes.append(f"type is {self.headers['Content-Type']}")
        whole = json.loads(body)
        check("request", whole, "", mistakes)
        if not mistakes:
            for _, span in spans_of(whole):
                check_span(span, mistakes)
        if mistakes:
            self.note("mistakes", mistakes)
            return
        lines = []
        for facts, span in spans_of(whole):
            span["resource"] = plain(facts)
            span["attributes"] = plain(span["attributes"])
            lines.append(json.dumps(span, sort_keys=True,
                                    separators=(",", ":")))
        self.note("spans", lines)

    def drip(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while os.path.exists(self.path_of("drip")):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)
        self.close_connection = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        while os.path.exists(self.path_of("slow")):
            time.sleep(0.02)
        if os.path.exists(self.path_of("drip")):
            self.drip()
            return
        code = 503 if os.path.exists(self.path_of("refuse")) else 200
        if code == 200:
            self.take(body)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    Collector.directory = sys.argv[2]
    server = http.server.ThreadingHTTPServer((host, int(port)), Collector)
    open(os.path.join(sys.argv[2], "listening"), "w").close()
    server.serve_forever()


main()
