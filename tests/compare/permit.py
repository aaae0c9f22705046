#!/usr/bin/env python3
"""As compare.py, asked by users of whom each holds other policies. See README.md."""

import argparse
import json
import pathlib
import sys
from collections import Counter

from compare import ask_both
from generate import Generator
from known_policies import explained
from policies import Policies, lay
from report import Tally
from surface import Request, Side, world
from verdict import Verdict


def arguments():
    it = argparse.ArgumentParser(description=__doc__)
    it.add_argument("--left", required=True)
    it.add_argument("--right")
    it.add_argument("--token", required=True, help="static token of an administrator on both sides")
    it.add_argument("--lay", action="store_true", help="make the users through the API of --left, and end")
    it.add_argument("--sets", type=int, default=60)
    it.add_argument("--queries", type=int, default=60, help="of each user")
    it.add_argument("--seed", type=int, default=1)
    it.add_argument("--threads", type=int, default=4)
    it.add_argument("--out", type=pathlib.Path, default=pathlib.Path("permit-out"))
    it.add_argument("--only", type=int, help="the user of this set only")
    return it.parse_args()


def reveals_more(ours, theirs):
    """The right side says yes where the left one says no."""
    return theirs.status == 200 and ours.status in (401, 403)


def main():
    it = arguments()
    left = Side(it.left, it.token)
    collections, left_out = world(left)
    sets = Policies(it.seed, collections).sets(it.sets)
    if it.lay:
        lay(left, sets)
        print(f"{len(sets)} users are laid")
        return 0
    verdict, more = Verdict(collections, left_out), Counter()
    tally = Tally((it.left, it.right), left_out, it.seed, explained)
    for made in sets:
        if it.only is not None and made["number"] != it.only:
            continue
        sides = [Side(url, made["token"]) for url in (it.left, it.right)]
        requests = Generator(it.seed * 1000 + made["number"], collections).requests(it.queries)
        requests += [Request(path, family="own") for path in ("/permissions/me", "/users/me", "/roles/me")]
        for request, ours, theirs in ask_both(requests, *sides, it.threads):
            kind = verdict.kind(request, ours, theirs)
            tally.take(request, ours, theirs, kind)
            if kind and reveals_more(ours, theirs):
                more[kind[:1]] += 1
                print(f"set {made['number']}: MORE IS REVEALED: {request.readable()[:300]}")
            elif kind:
                print(json.dumps([made["number"], str(kind)[:200], request.readable()[:200]], ensure_ascii=False))
    tally.write(it.out)
    print("\n".join(tally.summary()))
    for name, found in sorted(tally.classes.items(), key=lambda one: -len(one[1])):
        print(f"{len(found):5}  {name}")
    print(f"answers that reveal more than those of the left side: {sum(more.values())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
