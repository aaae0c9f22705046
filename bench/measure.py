"""Runs the scenarios against a started fleet and pgbench against its PostgreSQL; prints ratios of this one run."""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request

TOKEN = os.environ["ADMIN_TOKEN"]

SEED = """
CREATE TABLE IF NOT EXISTS bench_seeded (done int);
INSERT INTO authors (name, email) SELECT 'author ' || n, 'author' || n || '@example.com' FROM generate_series(1, 1000) n;
INSERT INTO articles (title, slug, content, status, word_count, price, published_at, author)
SELECT 'Title ' || n, 'article-' || n, repeat('lorem ipsum ', 40), (ARRAY['published','draft','archived'])[1 + n % 3],
       n % 3000, (n % 50000) / 100.0, now() - n * interval '1 minute', 1 + n % 1000
FROM generate_series(1, 100000) n;
CREATE INDEX ON articles (status, published_at DESC);
ANALYZE;
"""

# pgbench reads `:MI` inside a literal as a variable of its own, hence the || pieces.
STAMP = """to_char(t.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:' || 'MI:' || 'SS.MS"Z"')"""

READ = f"""\\set key random(1, 100000)
SELECT row_to_json(r)::text FROM (SELECT id, title, slug, content, status, word_count, price::text AS price,
  {STAMP} AS published_at, author FROM articles t WHERE id = :key) r;
"""

LIST = f"""SELECT '[' || coalesce(string_agg(j::text, ','), '') || ']' FROM (
  SELECT (SELECT row_to_json(r) FROM (SELECT t.id, t.title, t.status, t.word_count, {STAMP} AS published_at) r) AS j
  FROM (SELECT * FROM articles t WHERE t.status = 'published' ORDER BY t.published_at DESC, t.id LIMIT 25) t) p;
"""

CREATE = """WITH item AS (
  INSERT INTO articles (title, slug, status, word_count) VALUES ('bench', 'b', 'draft', 5) RETURNING *
), event AS (
  INSERT INTO eventus.events (id, name, collection, key, version, payload)
  SELECT gen_random_uuid(), 'items.create', 'articles', item.id::text, 1, row_to_json(item) FROM item
) SELECT row_to_json(item)::text FROM item;
"""


def parse():
    parser = argparse.ArgumentParser()
    for name in ("work", "pid", "port", "seconds", "connections"):
        parser.add_argument("--" + name, required=True)
    return parser.parse_args()


class Bench:
    def __init__(self, arguments):
        self.seconds, self.connections = int(arguments.seconds), int(arguments.connections)
        self.base, self.work, self.pid = f"http://127.0.0.1:{arguments.port}", arguments.work, arguments.pid
        self.socket = self.find_socket()
        self.bin = self.find_bin()
        self.rows = []

    def find_socket(self):
        for line in open(f"{self.work}/home/postgres/data/postmaster.pid"):
            if line.startswith("/"):
                path = line.strip()
        return path

    def find_bin(self):
        options = glob.glob(os.environ["EVENTUS_BIN"] + "/postgres/**/bin", recursive=True)
        options += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
        found = [folder for folder in options if os.path.exists(folder + "/pgbench")]
        if not found and shutil.which("pgbench"):
            return os.path.dirname(shutil.which("pgbench"))
        return found[0]

    def psql(self, sql):
        command = [self.bin + "/psql", "-h", self.socket, "-U", "eventus", "-d", "eventus", "-qAt", "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def call(self, path, body):
        headers = {"authorization": "Bearer " + TOKEN, "content-type": "application/json"}
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(request))

    def rss(self):
        text = open(f"/proc/{self.pid}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024

    def wrk(self, path, script=""):
        with open(self.work + "/scenario.lua", "w") as file:
            file.write(f'wrk.headers["Authorization"] = "Bearer {TOKEN}"\nmath.randomseed(os.time())\n' + script)
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{self.seconds}s", "--latency", "-s",
                   self.work + "/scenario.lua", self.base + path]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        p99 = re.search(r"99%\s+(\S+)", text).group(1)
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        if bad:
            raise SystemExit(f"{path}: {bad.group(1)} bad answers\n{text}")
        return rate, p99

    def pgbench(self, sql):
        with open(self.work + "/scenario.sql", "w") as file:
            file.write(sql)
        command = [self.bin + "/pgbench", "-h", self.socket, "-U", "eventus", "-n", "-M", "prepared", "-j", "1",
                   "-c", str(self.connections), "-T", str(self.seconds), "-f", self.work + "/scenario.sql", "eventus"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"pgbench: {done.stderr}")
        return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))

    def seed(self):
        fields = [("title", "string"), ("slug", "string"), ("content", "text"), ("status", "string"),
                  ("word_count", "integer"), ("price", "decimal"), ("published_at", "timestamp"), ("author", "integer")]
        people = [{"field": name, "type": "string"} for name in ("name", "email")]
        self.call("/collections", {"collection": "authors", "schema": {}, "fields": people})
        self.call("/collections", {"collection": "articles", "schema": {},
                                   "fields": [{"field": name, "type": kind} for name, kind in fields]})
        for statement in SEED.split(";\n"):
            if statement.strip():
                self.psql(statement)

    def drained(self, within):
        end = time.time() + within
        sql = ("SELECT (SELECT max(position) FROM eventus.events) <= (SELECT min(least(c.low_water, r.position)) "
               "FROM eventus.consumers c, eventus.relay r)")
        begun = time.time()
        while self.psql(sql) != "t":
            if time.time() > end:
                return None
            time.sleep(0.2)
        return time.time() - begun

    def row(self, name, ours, peer, bar, note=""):
        ratio = ours / peer if peer else 0
        self.rows.append((name, f"{ours:,.0f}", f"{peer:,.0f}" if peer else "", f"{100 * ratio:.0f} %" if peer else "", bar, note))

    def read(self, name, path, script, sql, bar):
        """Three rounds in turns, the middle one of each side: a moment of another's work on the machine counts less."""
        rounds = [(self.wrk(path, script), self.pgbench(sql)) for _ in range(3)]
        rate, p99 = sorted(ours for ours, _ in rounds)[1]
        self.row(name, rate, sorted(peer for _, peer in rounds)[1], bar, "p99 " + p99)

    def run(self):
        # What the start itself took (hashing the first admin's password, the first schema) is given back soon.
        time.sleep(3)
        idle = self.rss()
        self.seed()
        random = ('request = function() return wrk.format("GET", "/items/articles/" .. math.random(1, 100000)) end\n')
        self.read("read by id", "/items/articles/1", random, READ, ">= 15 %")
        path = "/items/articles?fields=id,title,status,word_count,published_at&filter[status][_eq]=published&sort=-published_at&limit=25"
        self.read("list 25, filter and sort", path, "", LIST, ">= 40 %")
        post = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [=[{}]=]\n'
        one = json.dumps({"title": "bench", "slug": "b", "status": "draft", "word_count": 5})
        rate, p99 = self.wrk("/items/articles", post.format(one))
        drained = self.drained(30)
        peer = self.pgbench(CREATE)
        self.drained(120)
        self.row("create one", rate, peer, ">= 25 %", f"p99 {p99}, drained in {drained}")
        many = "[" + ",".join([one] * 100) + "]"
        rate, p99 = self.wrk("/items/articles?fields=id", post.format(many))
        drained = self.drained(30)
        self.row("create 100 (items/s)", rate * 100, 0, ">= 8,000", f"p99 {p99}, drained in {drained}")
        self.latency()
        self.rows.append(("memory idle (MB)", f"{idle:.0f}", "", "", "<= 60", ""))
        self.rows.append(("memory after load (MB)", f"{self.rss():.0f}", "", "", "<= 150", ""))
        self.table()

    def latency(self):
        """Append -> applied by the hooks worker, at 200 creates a second for some seconds."""
        last = self.psql("SELECT max(position) FROM eventus.events")
        body = {"title": "paced"}
        begun = time.time()
        for number in range(200 * min(self.seconds, 5)):
            self.call("/items/articles?fields=id", body)
            ahead = begun + (number + 1) / 200 - time.time()
            if ahead > 0:
                time.sleep(ahead)
        self.drained(30)
        sql = ("SELECT format('%s|%s', percentile_cont(0.5) WITHIN GROUP (ORDER BY d), percentile_cont(0.99) WITHIN GROUP (ORDER BY d)) "
               "FROM (SELECT 1000 * extract(epoch FROM h.time - e.time) AS d FROM eventus.events e "
               f"JOIN eventus.hook_runs h ON h.event_id = e.id WHERE e.position > {last}) x")
        p50, p99 = self.psql(sql).split("|")
        self.rows.append(("append -> applied at 200/s (ms)", f"p50 {float(p50):.1f}", "", f"p99 {float(p99):.1f}", "<= 50", "hooks worker"))

    def table(self):
        print("| scenario | eventus /s | pgbench /s | ratio | bar | |\n|---|---|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    Bench(parse()).run()
