"""Imports a CSV file of many rows into a started fleet; prints rows/s and what the memory grows meanwhile."""

import argparse
import http.client
import threading
import time

from measure import TOKEN, Bench

BOUNDARY = "bench-import"
HEAD = (f"--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"rows.csv\"\r\n"
        "content-type: text/csv\r\n\r\ntitle,slug,status,word_count,price\n")
TAIL = f"\r\n--{BOUNDARY}--\r\n"
# Rows that are sent together.
TOGETHER = 5_000


def body(rows, sent):
    yield HEAD.encode()
    for first in range(0, rows, TOGETHER):
        numbers = range(first, min(first + TOGETHER, rows))
        yield "".join(f"Title of the row {n},article-{n},draft,{n % 3000},{n % 500}.25\n" for n in numbers).encode()
    yield TAIL.encode()
    sent.append(time.time())


class Watch(threading.Thread):
    """The greatest resident memory until it is stopped."""

    def __init__(self, bench):
        super().__init__(daemon=True)
        self.bench, self.greatest, self.over = bench, bench.rss(), threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            self.greatest = max(self.greatest, self.bench.rss())


def main():
    parser = argparse.ArgumentParser()
    for name in ("work", "pid", "port", "seconds", "connections", "rows"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()
    bench, rows = Bench(arguments), int(arguments.rows)
    fields = [("title", "string"), ("slug", "string"), ("status", "string"), ("word_count", "integer"), ("price", "decimal")]
    bench.call("/collections", {"collection": "imported", "schema": {},
                                "fields": [{"field": name, "type": kind} for name, kind in fields]})
    # What the start itself took is given back soon.
    time.sleep(3)
    before, watch, sent = bench.rss(), Watch(bench), []
    watch.start()
    begun = time.time()
    client = http.client.HTTPConnection("127.0.0.1", int(arguments.port), timeout=3600)
    headers = {"authorization": "Bearer " + TOKEN, "content-type": "multipart/form-data; boundary=" + BOUNDARY}
    client.request("POST", "/utils/import/imported", body(rows, sent), headers, encode_chunked=True)
    answer = client.getresponse()
    text, took = answer.read().decode(), time.time() - begun
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {text}")
    drained = bench.drained(600)
    watch.over.set()
    stored = bench.psql("SELECT count(*) FROM imported")
    events = bench.psql("SELECT count(*) FROM eventus.events WHERE collection = 'imported'")
    if (stored, events) != (str(rows), str(rows)):
        raise SystemExit(f"{stored} rows and {events} events of {rows} are stored")
    print("| rows | rows/s | upload (s) | in all (s) | drained (s) | memory before (MB) | growth (MB) |\n|---|---|---|---|---|---|---|")
    late = "more than 600" if drained is None else f"{drained:.1f}"
    print(f"| {rows:,} | {rows / took:,.0f} | {sent[0] - begun:.1f} | {took:.1f} | {late} | {before:.0f} | {watch.greatest - before:.0f} |")


if __name__ == "__main__":
    main()
