#!/usr/bin/env python3
"""As compare.py, asked by users of whom each holds other policies. See README.md."""

import argparse
import json
import pathlib
import sys
from collections import Counter
from dataclasses import replace

from compare import ask_both
from generate import Generator
from known_policies import explained
from policies import Policies, lay
from report import Tally
from surface import Request, Side, world
from verdict import Verdict, spelled


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


NARROW = ("filter", "sort", "search", "limit", "offset", "page", "meta")


def wider(request):
    """The same question about all items, whichever are chosen of them."""
    params = [pair for pair in request.params if pair[0].split("[")[0] not in NARROW]
    body = request.body
    if body is not None and "query" in body:
        kept = {name: value for name, value in body["query"].items() if name not in NARROW}
        body = {"query": {**kept, "limit": -1}}
    else:
        params.append(("limit", "-1"))
    return replace(request, params=params, body=body)


def reveals_more(request, ours, theirs, left, verdict):
    """The right side says yes where the left one says no, or shows an item otherwise than the left side does when it is
    asked for all of them. Figures are counted apart: they are made of items that both sides show."""
    if theirs.status != 200 or ours.status not in (200, 401, 403):
        return False
    if ours.status != 200:
        return True
    if request.family in ("aggregate", "group", "own"):
        return False
    shown = verdict.envelope(theirs.json(), request)["data"]
    known = left.ask(wider(request))
    if known.status != 200 or not isinstance(shown, list):
        return True
    every = {spelled(item) for item in verdict.envelope(known.json(), request)["data"]}
    return any(spelled(item) not in every for item in shown)


def main():
    it = arguments()
    left = Side(it.left, it.token)
    right = Side(it.right, it.token) if it.right else None
    collections, left_out = world(left, right)
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
            if kind and reveals_more(request, ours, theirs, sides[0], verdict):
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
