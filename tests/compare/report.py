"""What a run says: shares, coverage, classes of difference with an example of each."""

import collections
import json
import re

from filters import LIKE, OPERATORS
from generate import LEFT_OUT
from known import explained
from surface import Answer
from verdict import RULES, same_members


def class_of(request, verdict, left, right):
    kind, where = verdict
    where = re.sub(r"\[\]", "", where)
    if kind in ("value", "number type", "member"):
        where = where.rsplit(".", 1)[-1]
    return f"{request.family} | {kind} | {where}", f"{request.family} | {kind} | {where} | {request.readable()}"


def cut(answer):
    return Answer(answer.status, answer.text[:4000])


class Tally:
    def __init__(self, sides, left_out, seed, why=explained):
        self.sides, self.left_out, self.seed, self.why = sides, left_out, seed, why
        self.families = collections.defaultdict(collections.Counter)
        self.total = collections.Counter()
        self.covered = collections.Counter()
        self.classes = collections.defaultdict(list)
        self.differing = []

    def take(self, request, left, right, verdict):
        rows = [one.json() for one in (left, right)]
        with_rows = left.status == right.status == 200 and all(
            isinstance(body, dict) and body.get("data") not in (None, [], {}, [{}]) for body in rows)
        marks = ["asked"] + ["with data"] * with_rows + ["equal"] * (verdict is None)
        marks += ["equal with data"] * (with_rows and verdict is None) + ["the same text"] * (left.text == right.text)
        marks += ["members in order"] * (verdict is None and same_members(*rows))
        marks += ["left fails"] * (left.status >= 500) + ["right fails"] * (right.status >= 500)
        self.total.update(marks)
        self.families[request.family].update(marks)
        for cover in request.covers:
            self.covered[tuple(cover)] += 1
        if verdict is not None:
            name, said = class_of(request, verdict, left, right)
            self.classes[name].append((request, cut(left), cut(right), verdict, self.why(said)))
            self.differing.append((request, cut(left), cut(right), verdict))

    def share(self, name, of="asked"):
        return 100 * self.total[name] / max(1, self.total[of])

    def summary(self):
        return [
            f"{self.total['asked']} requests (seed {self.seed}): {self.share('equal'):.2f} % equal, "
            f"{self.share('with data'):.1f} % are 200 with data on both sides "
            f"({self.share('equal with data', 'with data'):.2f} % of these equal), "
            f"{self.share('members in order'):.1f} % equal with all members in the same order, "
            f"{self.share('the same text'):.1f} % the same bytes",
            f"failures (5xx): left {self.total['left fails']}, right {self.total['right fails']}; "
            f"{len(self.classes)} classes of difference, "
            f"{sum(1 for found in self.classes.values() if not all(one[4] for one in found))} not explained",
        ]

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text("\n".join(self.markdown()) + "\n")
        with open(folder / "coverage.tsv", "w") as out:
            out.write("operator\ttype\trelation\tdepth\trequests\n")
            for cover, count in sorted(self.covered.items(), key=str):
                out.write("\t".join(map(str, (*cover, count))) + "\n")
        with open(folder / "differences.jsonl", "w") as out:
            for request, left, right, verdict in self.differing:
                out.write(json.dumps({
                    "verdict": verdict, "request": vars(request), "left": [left.status, left.text[:4000]],
                    "right": [right.status, right.text[:4000]]}, ensure_ascii=False) + "\n")

    def markdown(self):
        lines = [f"# {self.sides[0]} beside {self.sides[1]}", "", *self.summary(), "", "| family | asked | equal | "
                 "200 with data | same bytes |", "|---|---|---|---|---|"]
        for name, marks in sorted(self.families.items()):
            row = [marks[one] for one in ("asked", "equal", "with data", "the same text")]
            lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
        lines += ["", "## What is evened out", "", *(f"- {rule}" for rule in RULES)]
        lines += ["", "Never asked:", "", *(f"- {rule}" for rule in LEFT_OUT)]
        lines += ["", "Described differently, and left out:", "", *(f"- {one}" for one in self.left_out or ["nothing"])]
        lines += ["", "## Classes of difference", ""]
        for name, found in sorted(self.classes.items(), key=lambda one: -len(one[1])):
            request, left, right, _, _ = found[0]
            whys = collections.Counter(one[4] or "not explained" for one in found)
            lines += [f"### {name}: {len(found)}", ""]
            lines += [f"{why} ({count})" for why, count in whys.most_common()] + ["", "```", request.readable()[:600]]
            lines += [f"left  {left.status} {left.text[:300]}", f"right {right.status} {right.text[:300]}", "```", ""]
        return lines + self.coverage()

    def coverage(self):
        lines = ["## Coverage", "", "All four dimensions are in `coverage.tsv`; here two at a time. Requests of filters, "
                 "by operator and type (`.`: the language has no such pair):", ""]
        kinds = [*OPERATORS, "secret", "list"]
        lines += ["| operator | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
        plain = collections.Counter()
        for (operator, kind, _, _), count in self.covered.items():
            plain[(operator.split()[-1] if operator.startswith(("_some", "_none")) else operator, kind)] += count
        for operator in ["_eq", "_neq", "_lt", "_lte", "_gt", "_gte", "_in", "_nin", "_between", "_nbetween", "_null",
                         "_nnull", "_empty", "_nempty", *LIKE]:
            cells = [plain[(operator, kind)] or ("." if operator not in OPERATORS.get(kind, []) else 0) for kind in kinds]
            lines.append(f"| {operator} | " + " | ".join(map(str, cells)) + " |")
        lines += ["", "By relation and depth (relations on the way):", ""]
        lines += self.matrix(lambda cover: cover[2], lambda cover: cover[3], "relation")
        lines += ["", "By operator and relation:", ""]
        lines += self.matrix(lambda cover: cover[0], lambda cover: cover[2], "operator")
        return lines

    def matrix(self, row, column, name):
        counts = collections.Counter()
        for cover, count in self.covered.items():
            counts[(row(cover), column(cover))] += count
        rows, columns = sorted({one for one, _ in counts}), sorted({one for _, one in counts})
        lines = [f"| {name} | " + " | ".join(map(str, columns)) + " |", "|---|" + "---|" * len(columns)]
        return lines + [f"| {one} | " + " | ".join(str(counts[(one, other)]) for other in columns) + " |" for one in rows]
