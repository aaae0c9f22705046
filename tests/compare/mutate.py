#!/usr/bin/env python3
"""Sends the same generated mutations to two servers, each on its own equal database, and compares answers, rows,
activity and revisions. See README.md."""

import argparse
import json
import pathlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import ground
import policies
from effects import UUID, Effects
from rows import Rows
from seeded_writes import self_test
from station import Station
from surface import Side
from writable import world
from writes import Mutation, Writes
from written import Written


def arguments():
    it = argparse.ArgumentParser(description=__doc__)
    it.add_argument("--left", required=True, help="base URL of the side that is right, and that is described")
    it.add_argument("--left-db", help="its database: a URL for psql, as a superuser")
    it.add_argument("--right", help="base URL of the other side")
    it.add_argument("--right-db", help="its database")
    it.add_argument("--token", default="", help="static token of an administrator on both sides")
    it.add_argument("--writer-share", type=float, default=0.0, help="how many are asked by a user with limited rights")
    it.add_argument("--policy-sets", type=int, default=0, help="asked by so many users of `permit.py --lay`, in turn")
    it.add_argument("--mutations", type=int, default=2000)
    it.add_argument("--seed", type=int, default=1)
    it.add_argument("--flat", action="store_true", help="no nested payloads")
    it.add_argument("--out", type=pathlib.Path, default=pathlib.Path("mutate-out"))
    it.add_argument("--only", type=pathlib.Path, help="a differences.jsonl: these once more, and nothing else")
    it.add_argument("--psql", default="psql")
    it.add_argument("--lay", action="store_true", help="make the collections of ground.py on --left, and nothing else")
    it.add_argument("--self-test", action="store_true", help="seeded differences, on --left alone")
    return it.parse_args()


def station(url, database, it):
    rows = Rows(database, it.psql)
    rows.keep()
    return Station(url, it.token, ground.WRITER_TOKEN, rows)


def run_both(mutations, left, right):
    """(mutation, left outcome, right outcome), in order; the sides work at the same time."""
    with ThreadPoolExecutor(1) as ours, ThreadPoolExecutor(1) as theirs:
        for mutation in mutations:
            pair = ours.submit(left.run, mutation), theirs.submit(right.run, mutation)
            yield mutation, pair[0].result(), pair[1].result()


def drawn(it, collections):
    if it.only:
        return [Mutation(**json.loads(line)["mutation"]) for line in it.only.read_text().splitlines()]
    made = Writes(it.seed, collections, it.writer_share, is_flat=it.flat).mutations(it.mutations)
    for number, mutation in enumerate(made if it.policy_sets else ()):
        mutation.token = policies.token(number % it.policy_sets)
    return made


def known_keys(rows):
    text = "\n".join(line for name in rows.tables for line in rows.run(f'SELECT line FROM compare."{name}:text";'))
    return set(UUID.findall(text))


def main():
    it = arguments()
    if it.lay:
        ground.lay(Side(it.left, it.token))
        print("made; now give both sides a copy of this database")
        return 0
    left = station(it.left, it.left_db, it)
    right = None if it.self_test else station(it.right, it.right_db, it)
    if right:
        prints = [one.rows.fingerprint() for one in (left, right)]
        unequal = sorted(name for name in prints[0] | prints[1] if prints[0].get(name) != prints[1].get(name))
        if unequal:
            raise SystemExit(f"the two databases are not equal: {', '.join(unequal)}")
    collections, left_out = world(left.admin, right.admin if right else None)
    effects = Effects(collections, left_out, known_keys(left.rows))
    mutations = drawn(it, collections)
    if it.self_test:
        well = self_test(left, mutations[:200], effects)
        print("all seeded differences are caught, and nothing else" if well else "the comparison is BLIND")
        return 0 if well else 1
    written = Written((it.left, it.right), collections, left_out, it.seed)
    try:
        for number, (mutation, ours, theirs) in enumerate(run_both(mutations, left, right), 1):
            written.take(mutation, ours, theirs, effects.differences(mutation, ours, theirs))
            if number % 200 == 0:
                print(f"{number} of {len(mutations)}: {written.share('equal'):.1f} % equal", file=sys.stderr, flush=True)
    finally:
        written.write(it.out)
    print("\n".join(written.summary()))
    for name, found in sorted(written.classes.items(), key=lambda one: -len(one[1])):
        why = found[0][4]
        print(f"{len(found):5}  {name}{'  (' + re.sub(chr(10), ' ', why)[:70] + ')' if why else ''}")
    print(f"written: {it.out}/report.md, coverage.tsv, differences.jsonl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
