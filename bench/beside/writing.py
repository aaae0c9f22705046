"""Measures writes in turns, on collections of their own, and counts the statements of one request."""

import re
import time
from statistics import median

from database import for_pgbench
from load import Round
from seed import call, column, alias, INDEXED
from writes import SEEDED

COLLECTIONS = {
    "posts": [
        column("title", "string"), column("slug", "string"), column("status", "string", **INDEXED),
        column("word_count", "integer"), alias("comments", "o2m"), alias("tags", "m2m"),
    ],
    "posts_comments": [column("post", "integer", **INDEXED), column("text", "string")],
    "posts_tags": [column("posts_id", "integer", **INDEXED), column("tags_id", "integer", **INDEXED)],
}
RELATIONS = [
    {"collection": "posts_comments", "field": "post", "related_collection": "posts", "meta": {"one_field": "comments"},
     "schema": {"on_delete": "SET NULL"}},
    {"collection": "posts_tags", "field": "posts_id", "related_collection": "posts",
     "meta": {"one_field": "tags", "junction_field": "tags_id"}, "schema": {"on_delete": "CASCADE"}},
    {"collection": "posts_tags", "field": "tags_id", "related_collection": "tags",
     "meta": {"junction_field": "posts_id"}, "schema": {"on_delete": "CASCADE"}},
]
ROWS = f"""
INSERT INTO posts (title, slug, status, word_count) SELECT 'Title ' || n, 'post-' || n, 'draft', n % 3000
FROM generate_series(1, {SEEDED}) n;
VACUUM ANALYZE posts;
"""
DRAINED = ("SELECT coalesce((SELECT max(position) FROM eventus.events) <= (SELECT min(least(c.low_water, r.position)) "
           "FROM eventus.consumers c, eventus.relay r), true)")
MOST_RATE = 6000  # deletes a second that are prepared for
PATIENCE = 30  # seconds that the backlog may take


def seed_writes(database, base, token):
    for name, fields in COLLECTIONS.items():
        call(base, token, "/collections", {"collection": name, "schema": {}, "meta": {}, "fields": fields})
    for relation in RELATIONS:
        call(base, token, "/relations", relation)
    for statement in ROWS.split(";"):
        if statement.strip():
            database.psql(statement)


class Writing:
    """One run of the writes; `sides` are the original (if there is one) and Eventus in one process."""

    def __init__(self, arguments, database, load, report, sides):
        self.arguments, self.database, self.load, self.report, self.sides = arguments, database, load, report, sides
        self.spare = 10_000_000
        self.drains = {}

    def ours(self):
        return next(side for side in self.sides if side.name == "all in one")

    def measure(self, shape):
        plan = self.plan(shape) if shape.has_plan else None
        counted = {side.name: self.statements(side, shape) for side in self.sides} if not shape.slow else {}
        # Round 0 warms up; what takes seconds for one answer is measured once.
        for number in [1] if shape.slow else range(self.arguments.rounds + 1):
            seconds = self.arguments.seconds if number else min(2, self.arguments.seconds)
            for side in self.sides:
                result = self.turn(side, shape, seconds)
                if number and result:
                    self.report.add(shape, side.name, result)
            if plan and number:
                self.report.add(shape, "plan", self.load.pgbench(*plan, seconds))
            elif plan:
                self.load.pgbench(*plan, seconds)
            if plan:
                self.drain()
        self.report.notes[shape.name] = self.told(shape, counted)

    def told(self, shape, counted):
        said = [f"{name}: {count} statements" for name, count in counted.items()]
        if shape.statements and counted:
            holds = counted["all in one"] <= shape.statements
            said.append(f"at most {shape.statements}: {'holds' if holds else 'MISSED'}")
        drains = self.drains.get(shape.name, [])
        if drains:
            slowest = "more than 30 s: MISSED" if None in drains else f"{max(drains):.1f} s"
            said.append(f"backlog drained within {slowest}")
        return "; ".join(said)

    def turn(self, side, shape, seconds):
        first = self.prepare(MOST_RATE * (seconds + 1)) if shape.eats else 1
        if shape.slow:
            result = self.one_by_one(side, shape, seconds)
        else:
            result = self.load.wrk(side, shape, seconds, shape.script(first))
        self.settle(side)
        if side.name != "original":
            self.drains.setdefault(shape.name, []).append(self.drain())
        return result

    def settle(self, side):
        """A server goes on with what it was sent when nobody waits for it any more: that is not the next one's to pay."""
        end = time.time() + 4 * PATIENCE
        while time.time() < end:
            before = self.load.taken(side)
            time.sleep(0.5)
            if sum(self.load.taken(side)[:2]) - sum(before[:2]) < 0.5 * (side.idle + self.database.idle + 0.1):
                return

    def prepare(self, count):
        """Items to delete, each once; the first of their keys."""
        first = self.spare
        self.spare += count
        self.database.psql(f"INSERT INTO posts (id, title, slug, status, word_count) SELECT n, 'gone', 'g', 'draft', 1 "
                           f"FROM generate_series({first}, {self.spare - 1}) n;")
        return first

    def one_by_one(self, side, shape, seconds):
        """At least one request, one after the other."""
        before, begun, times = self.load.taken(side), time.time(), []
        while not times or time.time() - begun < seconds:
            first = time.time()
            method, path, body = shape.once(1)
            call(side.base, side.token, path, body, method=method, timeout=900)
            times.append(1000 * (time.time() - first))
        after, passed = self.load.taken(side), time.time() - begun
        each = 1000 / len(times)
        return Round(rate=len(times) / passed, p50=median(times), p99=max(times),
                     cpu=max(after[0] - before[0] - side.idle * passed, 0) * each,
                     postgres=max(after[1] - before[1] - self.database.idle * passed, 0) * each)

    def drain(self):
        """Seconds until every event has reached every consumer, or nothing."""
        begun = time.time()
        while self.database.psql(DRAINED) != "t":
            if time.time() - begun > PATIENCE:
                return None
            time.sleep(0.1)
        return time.time() - begun

    def plan(self, shape):
        """The statement that Eventus sends for a shape, for pgbench: with keys of its own for the events."""
        side = self.ours()
        method, path, body = shape.once(1)
        sql, values = self.database.statement(lambda: call(side.base, side.token, path, body, method=method), "posts")
        return for_pgbench(*fresh_keys(sql, values))

    def statements(self, side, shape):
        """The fewest statements that one request took, of several: polls that come between count once or twice at most."""
        def act():
            method, path, body = shape.once(self.prepare(1) if shape.eats else 1)
            call(side.base, side.token, path, body, method=method)

        act()
        return min(self.database.count(act, "posts") for _ in range(6))


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def fresh_keys(sql, values):
    """A UUID that was made for the statement (of an event, of a request) is another one each time; so is each of a list."""
    kept = {}
    for number, value in values.items():
        if value is not None and re.fullmatch(UUID, value) and value[14] == "7":
            made = "gen_random_uuid()"
        elif value is not None and re.fullmatch(r"\{" + UUID + "(," + UUID + r")*\}", value):
            made = f"(SELECT array_agg(gen_random_uuid()) FROM generate_series(1, {value.count(',') + 1}))"
        else:
            kept[number] = value
            continue
        sql = re.sub(rf"\${number}(?!\d)", made, sql)
    return sql, kept
