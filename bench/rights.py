"""What rights and logins cost: a list under rules beside an administrator's and beside SQL by hand; logins beside what the
hashes of their passwords allow; the list while many log in."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time

from measure import STAMP, TOKEN, Bench, parse

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "beside"))
from database import Database  # noqa: E402

USER, PASSWORD = "reader@example.com", "bench-reader-password"
USER_TOKEN = "bench-reader-static-token-0001"
QUERY = ("fields=id,title,status,published_at,author,word_count,price&filter[status][_eq]=published"
         "&sort=-published_at,id&limit=25")

MORE = """
INSERT INTO teams (name, open) SELECT 'team ' || n, n % 2 = 0 FROM generate_series(1, 10) n;
INSERT INTO sections (name, shown) SELECT 'section ' || n, n % 2 = 0 FROM generate_series(1, 20) n;
UPDATE authors SET team = 1 + id % 10;
UPDATE articles SET section = 1 + (id / 7) % 20;
ANALYZE;
"""

# Of each policy: the fields, and the items that they are seen of. Together they keep three items of four.
RULES = [
    (["id", "title", "status", "published_at", "author"], {"author": {"team": {"open": {"_eq": True}}}}),
    (["id", "title", "status", "published_at", "word_count"], {"section": {"shown": {"_eq": True}}}),
    (["*"], {"_and": [{"author": {"name": {"_eq": "author 77"}}}, {"word_count": {"_gt": 5}}]}),
]

HAND = f"""SELECT '[' || coalesce(string_agg(row_to_json(r)::text, ','), '') || ']' FROM (
  SELECT t.id, t.title, t.status, {STAMP} AS published_at, CASE WHEN t.one OR t.three THEN t.author END AS author,
    CASE WHEN t.two OR t.three THEN t.word_count END AS word_count,
    CASE WHEN t.three THEN t.price END AS price
  FROM (
    SELECT t.*, r.one, r.two, r.three FROM articles t CROSS JOIN LATERAL (
      SELECT coalesce((SELECT m.open FROM authors a JOIN teams m ON m.id = a.team WHERE a.id = t.author), false) AS one,
        coalesce((SELECT s.shown FROM sections s WHERE s.id = t.section), false) AS two,
        coalesce((SELECT a.name = 'author 77' FROM authors a WHERE a.id = t.author) AND t.word_count > 5, false) AS three
      OFFSET 0
    ) r
    WHERE t.status = 'published' AND (r.one OR r.two OR r.three) ORDER BY t.published_at DESC, t.id LIMIT 25
  ) t
) r;
"""


class Rights(Bench):
    def seed(self):
        text = {"field": "name", "type": "string"}
        self.call("/collections", {"collection": "teams", "schema": {}, "fields": [text, {"field": "open", "type": "boolean"}]})
        self.call("/collections", {"collection": "sections", "schema": {}, "fields": [text, {"field": "shown", "type": "boolean"}]})
        super().seed()
        for collection, field, related in [("authors", "team", "teams"), ("articles", "section", "sections"),
                                           ("articles", "author", "authors")]:
            if field != "author":
                self.call("/fields/" + collection, {"field": field, "type": "integer"})
            self.call("/relations", {"collection": collection, "field": field, "related_collection": related})
        for statement in MORE.split(";\n"):
            if statement.strip():
                self.psql(statement)
        user = {"email": USER, "password": PASSWORD, "token": USER_TOKEN}
        user = self.call("/users", user)["data"]["id"]
        for number, (fields, items) in enumerate(RULES):
            policy = self.call("/policies", {"name": f"policy {number}"})["data"]["id"]
            self.call("/access", {"user": user, "policy": policy})
            self.call("/permissions", {"policy": policy, "collection": "articles", "action": "read", "fields": fields,
                                       "permissions": items})

    def listed(self, token, connections=None, seconds=None):
        """Rate, p50 and p99 (milliseconds) of the list."""
        command = ["wrk", "-t1", f"-c{connections or self.connections}", f"-d{seconds or self.seconds}s", "--latency", "-H",
                   "Authorization: Bearer " + token, self.base + "/items/articles?" + QUERY]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in text:
            raise SystemExit(text)
        unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
        times = [float(value) * unit[of] for value, of in re.findall(r"(?:50|99)%\s+([\d.]+)(us|ms|s)", text)]
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), *times

    def equal(self):
        headers = {"authorization": "Bearer " + USER_TOKEN}
        connection = http.client.HTTPConnection(self.base.split("//")[1])
        connection.request("GET", "/items/articles?" + QUERY, headers=headers)
        ours = json.load(connection.getresponse())["data"]
        # Decimals are texts in answers; pgbench's way to write a colon is no other text.
        hand = json.loads(self.psql(HAND))
        return ours == [dict(item, price=item["price"] and str(item["price"])) for item in hand]

    def run(self):
        time.sleep(3)
        self.seed()
        print("answers equal:", "yes" if self.equal() else "NO")
        rounds = [(self.listed(USER_TOKEN), self.listed(TOKEN), self.pgbench(HAND)) for _ in range(3)]
        middle = sorted(rounds, key=lambda one: one[0][0])[1]
        (rate, p50, p99), (of_admin, *_), by_hand = middle
        print("| what | figure | bar |\n|---|---|---|")
        print(f"| list under rules | {rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms | |")
        print(f"| an administrator's | {of_admin / rate:.2f} times as many | <= 3 |")
        print(f"| pgbench with SQL by hand | {by_hand:,.0f}/s: the list has {100 * rate / by_hand:.0f} % of it | |")
        self.statement()
        self.logins()

    def statement(self):
        """Time of the plan's SQL and of the SQL by hand in PostgreSQL, each the best of many."""
        plan = self.sent(USER_TOKEN)
        best = {}
        for name, sql in (("plan", plan), ("hand", HAND.strip().rstrip(";"))):
            times = []
            for _ in range(15):
                text = self.psql("EXPLAIN (ANALYZE, TIMING off) " + sql)
                times.append(float(re.search(r"Execution Time: ([\d.]+) ms", text).group(1)))
            best[name] = min(times)
        print(f"| the plan's SQL | {best['plan']:.2f} ms, by hand {best['hand']:.2f} ms: "
              f"{best['plan'] / best['hand']:.2f} times | <= 1.2 |")

    def sent(self, token):
        """The statement of the list with its values in their places."""
        server = Database(self.work + "/home")
        server.name = "eventus"
        sql, values = server.statement(lambda: self.listed(token, 1, 1), "articles")
        literals = {number: "NULL" if value is None else "'" + value.replace("'", "''") + "'" for number, value in values.items()}
        return re.sub(r"\$(\d+)", lambda found: literals[int(found.group(1))], sql)

    def logins(self):
        one = self.flood(1, self.seconds)
        threads = max(os.cpu_count() - 1, 1)
        many = self.flood(self.connections, self.seconds)
        print(f"| logins by {self.connections} | {many:.1f}/s; one after the other {one:.1f}/s, with {threads} hashing: "
              f"{100 * many / (one * threads):.0f} % | >= 90 % |")
        _, quiet50, quiet99 = self.listed(TOKEN, 4)
        flood = threading.Thread(target=self.flood, args=(self.connections, self.seconds + 2))
        flood.start()
        time.sleep(1)
        _, flood50, flood99 = self.listed(TOKEN, 4)
        flood.join()
        print(f"| list while they log in | p50 {quiet50:.1f} -> {flood50:.1f} ms, p99 {quiet99:.1f} -> {flood99:.1f} ms: "
              f"{flood99 / quiet99:.1f} times | <= 3 |")

    def flood(self, connections, seconds):
        """Logins a second."""
        done, end = [0] * connections, time.time() + seconds
        body = json.dumps({"email": USER, "password": PASSWORD})

        def work(number):
            connection = http.client.HTTPConnection(self.base.split("//")[1])
            while time.time() < end:
                connection.request("POST", "/auth/login", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                done[number] += answer.status == 200
        threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / seconds


if __name__ == "__main__":
    Rights(parse()).run()
