"""Eventus, the original and pgbench side by side: one run, one PostgreSQL, one data set, in turns."""

import argparse
import json
import os
import re
import signal
import sys
import time

from database import Database, for_pgbench
from load import Load
from report import Report
from seed import call, mark, seed
from shapes import SHAPES
from sides import Sides
from writes import WRITES
from writing import Writing, seed_writes

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = "77"


def parse():
    parser = argparse.ArgumentParser(prog="bench/run --beside")
    for name in ("work", "pid", "port", "program"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--original", default="", help="folder where directus 11.17.4 is installed by npm")
    parser.add_argument("--node", default="node")
    parser.add_argument("--part", choices=["all", "reads", "writes"], default="all")
    parser.add_argument("--only", default="", help="shapes whose names hold one of these words, commas between them")
    parser.add_argument("--json", default="", help="file for everything that was measured")
    return parser.parse_args()


def hand_written(shape):
    with open(os.path.join(HERE, "..", "sql", shape.sql)) as file:
        return file.read()


def for_psql(script, variables):
    """A script of pgbench with its variables written in."""
    sql = "\n".join(line for line in script.splitlines() if not line.startswith("\\"))
    named = {"key": KEY} | {name: "'" + value.replace("'", "''") + "'" for name, value in variables.items()}
    return re.sub(r"(?<!:):(key|p\d+)\b", lambda found: named[found.group(1)], sql)


class Beside:
    """One run."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.database = Database(arguments.work + "/home")
        self.load = Load(arguments.work, self.database, arguments.connections)
        self.report = Report()
        self.sides = []
        words = [word for word in arguments.only.split(",") if word]
        chosen = lambda shape: not words or any(word in shape.name for word in words)
        part = arguments.part
        self.shapes = [shape for shape in SHAPES if part in ("all", "reads") and chosen(shape)]
        self.writes = [shape for shape in WRITES if part in ("all", "writes") and chosen(shape)]

    def start(self):
        """The fleet that brought PostgreSQL and NATS rests meanwhile."""
        os.kill(int(self.arguments.pid), signal.SIGSTOP)
        starting = Sides(self.arguments, self.database, os.environ["ADMIN_TOKEN"])
        say("the database")
        starting.bootstrap()
        first = starting.all_in_one()
        self.sides.append(first)
        say("the data set")
        seed(self.database, first.base, first.token)
        if self.writes:
            seed_writes(self.database, first.base, first.token)
        if self.shapes:
            say("the roles as processes")
            self.sides.append(starting.split())
        if self.arguments.original:
            say("the original")
            self.sides.insert(0, starting.original())
        say("everybody at rest")
        time.sleep(3)
        self.load.rest(self.sides, 5)
        for side in self.sides:
            say(f"{side.name} at rest: {100 * side.idle:.1f} % of a core")

    def stop(self):
        for side in self.sides:
            side.stop()
        os.kill(int(self.arguments.pid), signal.SIGCONT)

    def plan(self, shape):
        """The SQL that Eventus sends for a shape, for pgbench."""
        first = next(side for side in self.sides if side.name == "all in one")
        path = shape.path.replace("{key}", KEY)
        table = path.split("/")[2].split("?")[0]
        sql, values = self.database.statement(lambda: call(first.base, first.token, path), table)
        return for_pgbench(sql, values, KEY if shape.varies() else None)

    def compare(self, shape, plan):
        """Everybody gives the same answer."""
        answers = {}
        for side in self.sides:
            answers[side.name] = call(side.base, side.token, shape.path.replace("{key}", KEY))["data"]
        # Beside the answer the plan may give its item's version.
        answers["plan"], _ = json.JSONDecoder().raw_decode(self.database.psql(for_psql(*plan)))
        if shape.sql:
            answers["hand"] = json.loads(self.database.psql(for_psql(hand_written(shape), {})))
        ours = answers["all in one"]
        different = [name for name, answer in answers.items() if answer != ours]
        for name in different:
            print(f"{shape.name}: {name} answers\n{json.dumps(answers[name])[:600]}\nand not\n{json.dumps(ours)[:600]}",
                  file=sys.stderr)
        self.report.equal[shape.name] = f"differ: {', '.join(different)}" if different else "equal"

    def measure(self, shape):
        say(shape.name)
        first = next(side for side in self.sides if side.name == "all in one")
        if shape.marks and not mark(self.database, first.base, first.token):
            return say("this program has no full-text search")
        plan = self.plan(shape)
        peers = [("plan", plan)] + ([("hand", (hand_written(shape), {}))] if shape.sql else [])
        self.compare(shape, plan)
        for number in range(self.arguments.rounds + 1):
            for side in self.sides:
                patient = shape.slow and (side.name == "original" or not shape.marks)
                self.once(shape, side.name, number, patient, lambda seconds: self.load.wrk(side, shape, seconds))
            for name, (script, variables) in peers:
                patient = shape.slow and not shape.marks
                self.once(shape, name, number, patient, lambda seconds: self.load.pgbench(script, variables, seconds))

    def measure_writes(self):
        """The roles as processes have had their turn: two fleets would share one relay."""
        for side in [side for side in self.sides if side.name == "split"]:
            side.stop()
            self.sides.remove(side)
        writing = Writing(self.arguments, self.database, self.load, self.report, self.sides)
        for shape in self.writes:
            say(shape.name)
            try:
                writing.measure(shape)
            except SystemExit as failure:
                self.report.notes[shape.name] = "not measured to its end"
                say(f"{shape.name}: {failure}")

    def once(self, shape, side, number, patient, load):
        """Round 0 warms up. What needs seconds for one answer is measured once, for longer."""
        if patient:
            if number == 1:
                self.report.add(shape, side, load(max(self.arguments.seconds, 20)))
        elif number == 0:
            load(2)
        else:
            self.report.add(shape, side, load(self.arguments.seconds))

    def run(self):
        try:
            self.start()
            for shape in self.shapes:
                try:
                    self.measure(shape)
                except SystemExit as failure:
                    self.report.equal[shape.name] = "not measured to its end"
                    say(f"{shape.name}: {failure}")
            if self.writes:
                self.measure_writes()
        finally:
            self.stop()
        self.report.show(self.shapes + self.writes)
        if self.arguments.json:
            with open(self.arguments.json, "w") as file:
                json.dump(self.report.json(self.shapes + self.writes), file, indent=1)


def say(what):
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    Beside(parse()).run()
