"""The comparison compared: a proxy that changes answers in five ways, each of which must be found, and nothing else."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from surface import Request, Side


def leaf(value, wanted, change):
    """Changes the first value that fits; the way to it as (holder, name)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in pairs:
        if name == "last_access":
            continue
        if wanted(below):
            value[name] = change(below)
            return True
        if leaf(below, wanted, change):
            return True
    return False


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def a_value(body):
    return leaf(body.get("data"), lambda one: isinstance(one, str) and one, lambda one: one + "x")


def a_row(body):
    rows = body.get("data")
    if isinstance(rows, list) and rows:
        rows.pop()
        return True
    return False


def the_order(body):
    rows = body.get("data")
    if isinstance(rows, list) and len(rows) > 1 and rows[0] != rows[-1]:
        rows[0], rows[-1] = rows[-1], rows[0]
        return True
    return False


def a_number_type(body):
    return leaf(body.get("data"), is_number, str)


# What is changed, how, and the kinds of difference that may be said about it.
SEEDS = {
    "a value": (a_value, {"value"}),
    "a missing row": (a_row, {"rows"}),
    "order": (the_order, {"order"}),
    "status": (None, {"status"}),
    "type of a number": (a_number_type, {"number type"}),
}


class Proxy:
    """Hands requests on; every third answer of 200 that the seed fits is changed. `changed` holds their targets."""

    def __init__(self, side, seed):
        self.side, self.change, self.changed, self.seen = side, SEEDS[seed][0] if seed else None, set(), 0
        self.is_seeding, self.lock = seed is not None, threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Request(self.path, method=self.command, body=body)
                status, text = proxy.through(asked)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_SEARCH = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def through(self, asked):
        answer = self.side.ask(asked)
        status, body = answer.status, answer.json()
        if not self.is_seeding or status != 200 or not isinstance(body, dict):
            return status, answer.text.encode()
        with self.lock:
            self.seen += 1
            if self.seen % 3:
                return status, answer.text.encode()
            if self.change is None:
                status = 403
            elif not self.change(body):
                self.seen -= 1
                return status, answer.text.encode()
            self.changed.add((asked.method, asked.path, json.dumps(asked.body)))
        return status, json.dumps(body, ensure_ascii=False).encode()


def self_test(side, token, requests, verdict, ask_both):
    """Each seed through a proxy of its own, and one proxy that changes nothing. True when all is as it must be."""
    well = True
    for seed, (_, kinds) in [("nothing", (None, set())), *SEEDS.items()]:
        proxy = Proxy(side, None if seed == "nothing" else seed)
        pairs = ask_both(requests, side, Side(proxy.url, token))
        found = {}
        for request, left, right in pairs:
            if verdict_of := verdict.kind(request, left, right):
                found[(request.method, request.target(), json.dumps(request.body))] = verdict_of[0]
        missed = proxy.changed - set(found)
        invented = set(found) - proxy.changed
        named = {kind for target, kind in found.items() if target in proxy.changed}
        right_kind = named <= kinds
        good = not missed and not invented and right_kind and (bool(proxy.changed) or seed == "nothing")
        well = well and good
        print(f"{'caught' if good else 'NOT CAUGHT':<11}{seed}: {len(proxy.changed)} answers changed, "
              f"{len(proxy.changed) - len(missed)} found, {len(invented)} invented, said as {sorted(named)}")
        proxy.server.shutdown()
    return well
