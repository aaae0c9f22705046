"""The way of events from the log through the bus to the consumers: how fast, how soon, and that nothing is lost."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "beside"))

from database import Database
from figures import Report, buckets, quantile
from servers import Fleet, Nats, Receiver, until

# Writers of the last phase that hold their positions open, and those of them that go through the API.
WRITERS, BY_API = 32, 8

# One transaction of a writer over SQL: as the service appends, behind the locks of the items, last in the transaction; some
# versions of one hot item and some new ones, then a pause with the positions open. One of twenty is rolled back.
APPEND = """\\set hot random(1, 1000)
\\set count random(1, 399)
\\set roll random(1, 20)
\\set pause random(0, 500)
BEGIN;
WITH head AS (
  INSERT INTO eventus.heads AS head (collection, key, version) VALUES ('hot', :hot::text, 1)
  ON CONFLICT (collection, key) DO UPDATE SET version = head.version + 1 RETURNING key, version
), change AS (
  SELECT 'items.update' AS name, key, version FROM head
  UNION ALL SELECT 'items.create', gen_random_uuid()::text, 1 FROM generate_series(1, :count)
)
INSERT INTO eventus.events (id, name, collection, key, version, payload)
SELECT gen_random_uuid(), name, 'hot', key, version, json_build_object('text', repeat('x', 200)) FROM change;
\\sleep :pause ms
\\if :roll = 1
ROLLBACK;
\\else
COMMIT;
\\endif
"""

ACTIVITY = "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(a::text, 0)), 0) FROM eventus.activity a"
EFFECTS = ("SELECT (SELECT count(*) FROM eventus.hook_runs) || ' hook runs, ' || "
           "(SELECT count(*) FROM eventus.webhook_deliveries) || ' deliveries'")


def parse():
    parser = argparse.ArgumentParser(prog="bench/run --spine")
    for name in ("work", "pid", "port", "connections", "program", "clients"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000)
    return parser.parse_args()


def say(what):
    print(f"bench: {what}", file=sys.stderr, flush=True)


class Spine:
    """One run."""

    def __init__(self, arguments):
        self.arguments, self.report = arguments, Report()
        self.backlog = max(arguments.events // 5, 1_000)
        # The fleet that brought PostgreSQL rests meanwhile.
        os.kill(int(arguments.pid), signal.SIGSTOP)
        self.database = Database(arguments.work + "/home")
        self.database.name = "spine"
        self.database.create()
        self.nats = Nats(arguments.work, os.environ["EVENTUS_BIN"] + "/nats-server")
        self.fleet = Fleet(arguments, self.database, self.nats)
        self.receiver = Receiver()

    def ask(self, sql):
        return self.database.psql(sql + ";")

    def number(self, sql):
        return int(self.ask(sql))

    def client(self, *words):
        done = subprocess.run([self.arguments.clients, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bench: {words[0]}: {done.stderr}")
        return json.loads(done.stdout)

    def head(self):
        return self.number("SELECT max(position) FROM eventus.events")

    def relayed(self, head, seconds=900):
        """How long until the bus has acknowledged everything up to there, by the relay's mark in PostgreSQL."""
        begun = time.time()
        until("the relay", lambda: self.number("SELECT position FROM eventus.relay") >= head, seconds)
        return time.time() - begun

    def applied(self, head, seconds=1_800):
        begun = time.time()
        until("consumers", lambda: self.number("SELECT min(low_water) FROM eventus.consumers") >= head, seconds)
        return time.time() - begun

    def refilled(self, count, seconds=900):
        """How long until the stream holds so many messages."""
        begun = time.time()
        until("the stream", lambda: self.nats.messages() >= count, seconds)
        return time.time() - begun

    def taken(self, seconds=1_800):
        """How long until every consumer has acknowledged everything in the stream."""

        def ask():
            stream = self.nats.stream() or {"state": {}}
            consumers = stream.get("consumer_detail") or []
            idle = [c for c in consumers if not c["num_pending"] and not c["num_ack_pending"]]
            return len(consumers) == 4 and len(idle) == 4

        begun = time.time()
        until("consumers", ask, seconds)
        return time.time() - begun

    def start(self):
        self.nats.start()
        self.limit()
        self.fleet.relay.start()
        self.fleet.workers.start()
        self.delivered = 0
        title = {"field": "title", "type": "string"}
        words = {"field": "words", "type": "integer"}
        slug = {"field": "slug", "type": "string", "schema": {"is_unique": True}}
        for name, fields in (("paced", [title, words]), ("filled", [title, words, slug]), ("told", [title])):
            self.fleet.call("POST", "/collections", {"collection": name, "schema": {}, "fields": fields})
        address = f"http://127.0.0.1:{self.receiver.port}/"
        self.fleet.call("POST", "/webhooks/endpoints", {"url": address, "events": ["items.create.told"]})

    def limit(self):
        """What the server takes of a client that does nothing else."""
        self.bare = self.client("limit", self.nats.url, 50_000 if self.backlog > 10_000 else 5_000)["rate"]

    def latency(self):
        say(f"{self.arguments.rate} changes a second for {self.arguments.seconds} s")
        relay, workers = self.fleet.relay, self.fleet.workers
        self.client("pace", self.fleet.port, self.arguments.rate, 2)
        self.applied(self.head())
        was = relay.metrics(), workers.metrics()
        paced = self.client("pace", self.fleet.port, self.arguments.rate, self.arguments.seconds)
        self.applied(self.head())
        now = relay.metrics(), workers.metrics()
        self.report.none("changes that were refused", paced["refused"], f"{paced['changes']:,} in {paced['seconds']:.1f} s")
        acked = [buckets(text, "eventus_relay_seconds") for text in (was[0], now[0])]
        note = "append to acknowledgement, by the relay's clock"
        self.report.at_most("commit -> JetStream ack, p50", quantile(*acked, 0.5), 3, "ms", note)
        self.report.at_most("commit -> JetStream ack, p99", quantile(*acked, 0.99), 25, "ms", note)
        for name in ("analytics", "hooks", "webhooks"):
            done = [buckets(text, "eventus_consumer_delay_seconds", f'"{name}"') for text in (was[1], now[1])]
            note = f"p50 {quantile(*done, 0.5):.1f} ms"
            self.report.at_most(f"commit -> applied by {name}, p99", quantile(*done, 0.99), 50, "ms", note)

    def drain(self):
        say(f"a backlog of {self.backlog:,} events")
        self.fleet.workers.stop()
        self.nats.stop()
        filled = self.client("fill", self.fleet.port, self.backlog, 4, 0)
        self.report.stated("appended by creates of 1,000", filled["events"] / filled["seconds"], "/s", "NATS was away")
        head = self.head()
        left = head - self.number("SELECT position FROM eventus.relay")
        self.nats.start()
        self.report.at_least("relay alone, a backlog", left / self.relayed(head), 15_000, "/s",
                             f"from the start of nats-server; bare publishing: {self.bare:,.0f}/s")
        begun = time.time()
        self.fleet.workers.start()
        self.applied(head)
        self.report.at_least("all consumers, the same backlog", left / (time.time() - begun), 6_000, "/s",
                             "from the start of their process")

    def sums(self):
        """Checksums of analytics, live and counted anew from the log, and of activity."""
        begun = time.time()
        result = {}
        for line in self.fleet.command("consumers", "rebuild", "analytics", "--wait").splitlines():
            result = json.loads(line)
        told = result["result"] if isinstance(result["result"], dict) else json.loads(result["result"])
        return told, self.ask(ACTIVITY), told["events"] / (time.time() - begun)

    def wiped(self):
        say("the stream's store is wiped")
        analytics, activity, _ = self.sums()
        self.fleet.workers.stop()
        self.nats.stop()
        self.nats.wipe()
        count = self.number("SELECT count(*) FROM eventus.events")
        self.nats.start()
        self.report.at_least("relay alone, after the store was wiped", count / self.refilled(count), 15_000, "/s",
                             f"{count:,} events, from the start of nats-server")
        begun = time.time()
        self.fleet.workers.start()
        self.taken()
        self.report.at_least("all consumers, through the new stream", count / (time.time() - begun), 6_000, "/s",
                             "they know its events")
        again, activity_now, rate = self.sums()
        self.report.at_least("analytics, counted anew from the log", rate, 6_000, "/s")
        sums = {analytics["checksum_before"], analytics["checksum"], again["checksum_before"], again["checksum"]}
        self.report.none("checksums of analytics that differ", len(sums) - 1, "live and anew, before and after")
        self.report.equal("activity before and after", activity, activity_now)

    def always(self):
        say("sync_interval: always")
        self.fleet.workers.stop()
        self.nats.stop()
        self.nats.wipe()
        self.nats.start(always=True)
        begun = time.time()
        count = self.number("SELECT count(*) FROM eventus.events")
        # At a twentieth of the speed a long log would take for ever: half a minute says as much.
        while self.nats.messages() < count and time.time() < begun + 30:
            time.sleep(0.1)
        rate = self.nats.messages() / (time.time() - begun)
        self.report.at_least("relay alone, sync_interval: always", rate, 2_000, "/s", "each answer is on the disk")
        self.refilled(count, 1_800)
        self.report.stated("bare publishing, sync_interval: always",
                           self.client("limit", self.nats.url, 20_000 if self.backlog > 10_000 else 2_000)["rate"], "/s")
        self.nats.stop()
        self.nats.start()
        self.fleet.workers.start()
        self.taken()

    def republished(self):
        """`relay reset` purges, makes the server forget the ids and publishes everything again, under another source."""
        told = min(self.backlog // 10, 2_000)
        items = [{"title": f"told {n}"} for n in range(told)]
        for first in range(0, told, 500):
            self.fleet.call("POST", "/items/told?fields=id", items[first:first + 500])
        self.applied(self.head())
        until("webhooks", lambda: len(self.receiver.ids) >= told, 300)
        before, analytics = self.ask(EFFECTS), self.sums()[0]["checksum_before"]
        self.fleet.stop()
        say("everything is published again")
        self.fleet.command("relay", "reset")
        count = self.number("SELECT count(*) FROM eventus.events")
        got = self.receiver.got
        self.fleet.relay.start()
        self.fleet.workers.start()
        self.refilled(count)
        self.taken()
        # What they would do again is due at once.
        time.sleep(3)
        again = self.sums()[0]
        self.report.equal("effects after everything came again", before, self.ask(EFFECTS), f"{count:,} events; {before}")
        self.report.none("webhooks received twice", self.receiver.got - got, f"{told:,} were told once")
        self.report.equal("counts after everything came again", analytics, again["checksum_before"])

    def late(self):
        """Writers that hold positions open, over SQL and through the API, while the relay follows."""
        events = self.arguments.events
        say(f"{events:,} events of {WRITERS} writers with pauses before the commit")
        script, share = self.arguments.work + "/append.sql", events * 4 // 5
        with open(script, "w") as file:
            file.write(APPEND)
        writers = WRITERS - BY_API
        each = max(share // (writers * 200), 2)
        command = [self.database.bin + "/pgbench", "-h", self.database.socket, "-U", self.database.user, "-n", "-j", "1",
                   "-c", str(writers), "-t", str(each), "-f", script, self.database.name]
        first = self.number("SELECT count(*) FROM eventus.events")
        taken = self.head()
        begun = time.time()
        by_sql = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        filled = self.client("fill", self.fleet.port, events - share, BY_API, 500)
        said = by_sql.communicate()[1]
        if by_sql.returncode:
            raise SystemExit(f"bench: pgbench: {said}")
        took = time.time() - begun
        head = self.head()
        self.relayed(head)
        count = self.number("SELECT count(*) FROM eventus.events") - first
        self.report.stated("events of writers with pauses", count, "", f"{count / took:,.0f}/s; {head - taken - count:,} positions rolled "
                           f"back, {filled['refused']} requests refused by the database")
        self.compare()
        self.applied(self.head())

    def compare(self):
        """The whole stream beside the whole log."""
        files = [self.arguments.work + "/" + name for name in ("stream.lines", "log.lines")]
        self.client("stream", self.nats.url, "EVENTS", files[0])
        with open(files[1], "w") as file:
            file.write(self.ask("COPY (SELECT position, id FROM eventus.events ORDER BY position) TO STDOUT (DELIMITER ' ')") + "\n")
        stream, log = ([line.split()[0] + line.split()[1] for line in open(name)] for name in files)
        held = set(stream)
        self.report.none("positions that the relay skipped", len([line for line in log if line not in held]), f"of {len(log):,}")
        self.report.none("messages twice or of nobody", len(stream) - len(held) + len(held - set(log)))
        self.report.equal("the stream, message by message, and the log", stream == log, True)

    def run(self):
        try:
            self.start()
            for phase in (self.latency, self.drain, self.wiped, self.always, self.republished, self.late):
                phase()
        finally:
            self.report.show()
            self.fleet.stop()
            self.nats.stop()
            shutil.rmtree(self.nats.folder, ignore_errors=True)
            os.kill(int(self.arguments.pid), signal.SIGCONT)


if __name__ == "__main__":
    Spine(parse()).run()
