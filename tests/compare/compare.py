#!/usr/bin/env python3
"""Asks two servers on the same database the same generated questions, and compares what they answer. See README.md."""

import argparse
import json
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

from generate import Generator
from report import Tally
from seeded import self_test
from surface import Request, Side, world
from verdict import Verdict


def arguments():
    it = argparse.ArgumentParser(description=__doc__)
    it.add_argument("--left", required=True, help="base URL of the side that is right, and that is described")
    it.add_argument("--right", help="base URL of the other side")
    it.add_argument("--left-token", default="", help="static token of an administrator there")
    it.add_argument("--right-token", help="the same there; --left-token if it is not given")
    it.add_argument("--queries", type=int, default=4000)
    it.add_argument("--seed", type=int, default=1)
    it.add_argument("--threads", type=int, default=4)
    it.add_argument("--out", type=pathlib.Path, default=pathlib.Path("compare-out"))
    it.add_argument("--only", type=pathlib.Path, help="a differences.jsonl: ask these once more, and nothing else")
    it.add_argument("--self-test", action="store_true", help="five seeded differences, on --left alone")
    return it.parse_args()


def ask_both(requests, left, right, threads=4):
    """(request, left answer, right answer), in order; only a few are held at a time."""
    def both(request):
        return request, left.ask(request), right.ask(request)

    with ThreadPoolExecutor(threads) as pool:
        for at in range(0, len(requests), 8 * threads):
            yield from pool.map(both, requests[at:at + 8 * threads])


def foreign(left, right):
    """Collections that only one of the sides shows."""
    names = [{one["collection"] for one in side.get("/collections")} for side in (left, right)]
    return sorted(names[0] - names[1]), sorted(names[1] - names[0])


def main():
    it = arguments()
    left = Side(it.left, it.left_token)
    if it.self_test:
        collections, left_out = world(left)
        requests = Generator(it.seed, collections).requests(min(it.queries, 150))
        well = self_test(left, it.left_token, requests, Verdict(collections, left_out), ask_both)
        print("all five seeded differences are caught, and nothing else" if well else "the comparison is BLIND")
        return 0 if well else 1
    right = Side(it.right, it.left_token if it.right_token is None else it.right_token)
    collections, left_out = world(left, right)
    if it.only:
        requests = [Request(**json.loads(line)["request"]) for line in it.only.read_text().splitlines()]
    else:
        requests = Generator(it.seed, collections).requests(it.queries)
    verdict, tally = Verdict(collections, left_out), Tally((it.left, it.right), left_out, it.seed)
    for request, ours, theirs in ask_both(requests, left, right, it.threads):
        tally.take(request, ours, theirs, verdict.kind(request, ours, theirs))
    tally.write(it.out)
    print("\n".join(tally.summary()))
    only = foreign(left, right)
    print(f"collections that only one side shows: left {only[0] or 'none'}, right {only[1] or 'none'}")
    for name, found in sorted(tally.classes.items(), key=lambda one: -len(one[1])):
        why = found[0][4]
        print(f"{len(found):5}  {name}{'  (' + why[:60] + ')' if why else ''}")
    print(f"written: {it.out}/report.md, coverage.tsv, differences.jsonl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
