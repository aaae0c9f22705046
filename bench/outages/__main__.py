"""The same faults for the original and for Eventus: rows committed, effects delivered. One PostgreSQL, a database each."""

import argparse
import copy
import http.client
import http.server
import json
import os
import re
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "beside"))

from database import Database
from seed import call, column
from sides import Side, Sides, free_port, start

WRITES = 100
WRITERS = 8
# So long a receiver takes for its answer: that of one across a network.
ANSWER = 0.02
# A server is struck when it has answered so many writes, after some seconds at least.
LOADED, BEGUN = 150, 1.5
# Effects may come late: so long is waited for the last of them, and no longer than this without a new one.
LATE, SILENT = 90, 20


def parse():
    parser = argparse.ArgumentParser(prog="bench/run --outages")
    for name in ("work", "pid", "port", "connections", "program", "original"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", default="")
    parser.add_argument("--node", default="node")
    return parser.parse_args()


def say(what):
    print(f"bench: {what}", file=sys.stderr, flush=True)


class Receiver:
    """Takes webhooks at one address while it is up, and remembers which items they were about."""

    def __init__(self):
        self.port, self.server, self.seen, self.guard = free_port(), None, [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.port}/"

    def up(self):
        receiver = self

        class Taking(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                text = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                time.sleep(ANSWER)
                title = re.search(r"(down|term|kill)-\d+-\d+", text)
                with receiver.guard:
                    receiver.seen.append(title.group(0) if title else text)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Taking)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def down(self):
        self.server.shutdown()
        self.server.server_close()

    def of(self, kind):
        with self.guard:
            return [title for title in self.seen if title.startswith(kind)]


class Contender:
    """One side: how it is started, and how it is told to call the receiver."""

    def __init__(self, name, sides, begin, hook):
        self.name, self.sides, self.begin, self.hook, self.side = name, sides, begin, hook, None

    def start(self):
        self.side = self.begin()

    def call(self, path, body=None, **more):
        return call(self.side.base, self.side.token, path, body, **more)

    def end(self, name):
        """Sends a signal, and waits until nothing is left."""
        for child in self.side.children:
            child.send_signal(name)
        for child in self.side.children:
            child.wait(90)


def webhook(contender, receiver):
    contender.call("/webhooks/endpoints", {"url": receiver.url, "events": ["items.create.articles"]})


def flow(contender, receiver):
    """An event hook that makes a request, as its users do it."""
    made = contender.call("/flows", {
        "name": "tell", "status": "active", "trigger": "event", "accountability": "all",
        "options": {"type": "action", "scope": ["items.create"], "collections": ["articles"]},
    })["data"]["id"]
    operation = contender.call("/operations", {
        "flow": made, "name": "request", "key": "request", "type": "request", "position_x": 20, "position_y": 1,
        "options": {"method": "POST", "url": receiver.url, "headers": [], "body": '{"title": "{{$trigger.payload.title}}"}'},
    })["data"]["id"]
    contender.call(f"/flows/{made}", {"operation": operation}, method="PATCH")


class Load(threading.Thread):
    """One writer: items one by one until it is told to stop or nobody answers; what was answered with 200."""

    def __init__(self, contender, kind, number, most):
        super().__init__(daemon=True)
        self.address, self.token = contender.side.base.removeprefix("http://"), contender.side.token
        self.kind, self.number, self.most, self.answered, self.over = kind, number, most, 0, threading.Event()

    def run(self):
        headers = {"authorization": "Bearer " + self.token, "content-type": "application/json"}
        client = http.client.HTTPConnection(self.address, timeout=30)
        for at in range(self.most):
            if self.over.is_set():
                return
            try:
                client.request("POST", "/items/articles", json.dumps({"title": f"{self.kind}-{self.number}-{at}"}), headers)
                answer = client.getresponse()
                answer.read()
                self.answered += answer.status == 200
                if answer.status == 503:
                    return
            except (OSError, http.client.HTTPException):
                return


def committed(contender, kind):
    return int(contender.sides.database.psql(f"SELECT count(*) FROM articles WHERE title LIKE '{kind}-%';"))


def settle(contender, receiver, kind):
    """Rows, effects and those that came more than once, when nothing comes any more."""
    rows, end, last, seen = committed(contender, kind), time.time() + LATE, time.time(), -1
    while time.time() < end and time.time() - last < SILENT:
        titles = receiver.of(kind)
        if len(set(titles)) >= rows:
            break
        if len(titles) != seen:
            seen, last = len(titles), time.time()
        time.sleep(0.2)
    titles = receiver.of(kind)
    return rows, len(set(titles)), len(titles) - len(set(titles))


def unheard(contender, receiver):
    """The receiver is away during some writes, and comes back."""
    receiver.down()
    writer = Load(contender, "down", 0, WRITES)
    writer.run()
    receiver.up()
    return writer.answered, *settle(contender, receiver, "down")


def struck(contender, receiver, kind, name):
    """The server is told to end, or ended, under load, and started again."""
    writers = [Load(contender, kind, number, 100_000) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    end = time.time() + 120
    time.sleep(BEGUN)
    while sum(writer.answered for writer in writers) < LOADED and time.time() < end:
        time.sleep(0.01)
    contender.end(name)
    for writer in writers:
        writer.over.set()
        writer.join(60)
    contender.start()
    return sum(writer.answered for writer in writers), *settle(contender, receiver, kind)


def statements(contender):
    body = [{"title": f"many {n}"} for n in range(100)]
    counted = lambda: contender.sides.database.count(lambda: contender.call("/items/articles", body), "articles")
    return min((time.sleep(0.5), counted())[1] for _ in range(12))


def measure(contender):
    """Everything of one side; nothing of it is left behind."""
    try:
        return measured(contender)
    finally:
        for child in contender.side.children if contender.side else []:
            child.kill()


def measured(contender):
    say(f"{contender.name}: set up")
    receiver = Receiver()
    receiver.up()
    contender.start()
    fields = [column("title", "string")]
    contender.call("/collections", {"collection": "articles", "schema": {}, "meta": {}, "fields": fields})
    contender.hook(contender, receiver)
    # A first effect shows that hook and receiver are connected.
    contender.call("/items/articles", {"title": "down-9-9"})
    end = time.time() + 30
    while not receiver.of("down-9-9"):
        if time.time() > end:
            raise SystemExit(f"bench: {contender.name}: the hook is not heard")
        time.sleep(0.1)
    contender.sides.database.psql("DELETE FROM articles;")
    receiver.seen.clear()
    found = {}
    for name, act in (
        ("down", lambda: unheard(contender, receiver)),
        ("term", lambda: struck(contender, receiver, "term", signal.SIGTERM)),
        ("kill", lambda: struck(contender, receiver, "kill", signal.SIGKILL)),
    ):
        say(f"{contender.name}: {name}")
        found[name] = act()
    say(f"{contender.name}: statements")
    found["statements"] = statements(contender)
    receiver.down()
    return found


def told(result):
    answered, rows, effects, again = result
    lost = f"{effects} of {rows} effects delivered" + (f", {again} twice" if again else "")
    return f"{answered} answers 200, {rows} rows, {lost}"


def main():
    arguments = parse()
    os.environ |= {"EVENTUS_OUTBOUND_ALLOW": "127.0.0.1", "EVENTUS_OUTBOUND_PORTS": "*"}
    token = os.environ["ADMIN_TOKEN"]
    # The fleet that brought PostgreSQL and NATS rests meanwhile.
    os.kill(int(arguments.pid), signal.SIGSTOP)
    try:
        results = []
        for name, hook in (("original", flow), ("all_in_one", webhook)):
            database = Database(arguments.work + "/home")
            database.name = "outages_" + name
            own = copy.copy(arguments)
            own.original = arguments.original if name == "original" else ""
            sides = Patient(own, database, token)
            sides.bootstrap()
            results.append(measure(Contender(name, sides, getattr(sides, name), hook)))
    finally:
        os.kill(int(arguments.pid), signal.SIGCONT)
    original, ours = results
    print(f"| | Directus {version(arguments.original)} | Eventus |\n|---|---|---|")
    for key, name in (("down", f"receiver down during {WRITES} writes"), ("term", f"SIGTERM while {WRITERS} clients write"),
                      ("kill", f"SIGKILL while {WRITERS} clients write")):
        print(f"| {name} | {told(original[key])} | {told(ours[key])} |")
    print(f"| SQL statements for one POST of 100 items, one hook | {original['statements']} | {ours['statements']} |")


class Patient(Sides):
    """Both are waited for by their collection of collections: there are no articles yet."""

    def original(self):
        port = free_port()
        env = self.original_env(port) | {"IMPORT_IP_DENY_LIST": "169.254.169.254"}
        return self.started("original", [self.arguments.node, "node_modules/directus/cli.js", "start"], env, port,
                            self.arguments.original)

    def started(self, name, command, env, port, folder):
        child = start(command, env, f"{self.work}/{name}.log", folder)
        side = Side(name, f"http://127.0.0.1:{port}", self.token, [child.pid], [child])
        try:
            call(side.base, side.token, "/collections", patience=400)
        except BaseException:
            child.kill()
            raise
        return side


def version(folder):
    with open(os.path.join(folder, "node_modules/directus/package.json")) as file:
        return json.load(file)["version"]


if __name__ == "__main__":
    main()
