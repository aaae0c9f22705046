"""What a run of writes says: shares, coverage, classes of difference with an example of each."""

import collections
import json
import re

from effects import RULES
from known_writes import explained
from mentions import Mentions
from writable import STAMPS
from writes import LEFT_OUT

ASPECTS = ("answer", "rows", "activity", "revisions")


class Places:
    """Where a difference is, said in types and kinds of relation instead of names and keys."""

    def __init__(self, collections):
        self.collections = collections

    def said(self, aspect, where, mutation):
        where, _, more = where.replace("[]", "").partition(" is ")
        if aspect == "answer":
            found = self.walk(where.strip(".").split("."), self.collections.get(mutation.collection))
        elif aspect == "activity":
            return re.sub(r"(missing|added) (\w+) \w+", r"\1 \2", where)
        else:
            table, _, rest = where.strip(".").replace(" ", ".", 1).partition(".")
            # What follows the key: `now`, `was` or `delta`, then a field.
            parts = re.split(r"\.(?=(?:now|was|delta|parent)(?: too)?(?:\.|$))", "." + rest.partition(".")[2])
            found = self.walk(parts[-1].split("."), self.collections.get(table)) if len(parts) > 1 else ["an item"]
            if not rest:
                found = ["items"]
        return ".".join(found) + (f" is {more}" if more else "")

    def walk(self, names, collection):
        found = []
        for name in names:
            field = collection.fields.get(name) if collection else None
            if field is None:
                found.append(name)
                continue
            stamp = next(iter(field.special & STAMPS), None)
            found.append("<key>" if field.key else f"<{stamp or field.kind or field.type}>")
            collection = self.collections.get(field.related) if field.kind else None
        return found


def cut(answer):
    return [answer.status, answer.text[:3000]]


class Written:
    def __init__(self, sides, collections_, left_out, seed):
        self.sides, self.left_out, self.seed, self.places = sides, left_out, seed, Places(collections_)
        self.total = collections.Counter()
        self.forms = collections.defaultdict(collections.Counter)
        self.depths = collections.defaultdict(collections.Counter)
        self.covered = collections.defaultdict(collections.Counter)
        self.classes = collections.defaultdict(list)
        self.differing = []

    def take(self, mutation, left, right, found):
        accepted = left.answer.status in (200, 204)
        marks = ["asked"] + ["accepted"] * accepted + ["equal"] * (not found)
        marks += ["equal accepted"] * (accepted and not found)
        marks += ["answer and rows equal"] * (not {"answer", "rows"} & set(found))
        marks += [f"{aspect} equal" for aspect in ASPECTS if aspect not in found]
        marks += ["left fails"] * (left.answer.status >= 500) + ["right fails"] * (right.answer.status >= 500)
        marks += ["no answer"] * (0 in (left.answer.status, right.answer.status))
        classes, seen = [], []
        more = self.words(mutation, found)
        for aspect, (kind, where) in found.items():
            if aspect != "answer" and "answer" in found and found["answer"][0] in ("status", "code"):
                continue  # what follows from the other answer says nothing more
            name = f"{aspect} | {kind} | {self.places.said(aspect, where, mutation)}"
            writer = " (writer)" if mutation.writer else ""
            why = explained(f"{mutation.form}{writer} | {name} | {more} | {mutation.readable()}")
            classes.append((name, why))
            seen += [why] * (aspect in ("answer", "rows"))
            self.classes[name].append((mutation, left, right, found, why))
        marks += ["explained"] * (bool(classes) and all(why for _, why in classes))
        marks += ["answer and rows explained"] * (bool(seen) and all(seen))
        marks += ["both stand"] * (left.answer.status < 500 and right.answer.status < 500)
        self.total.update(marks)
        self.forms[mutation.form + (" (writer)" if mutation.writer else "")].update(marks)
        self.depths[mutation.deepest].update(marks)
        for cover in {tuple(one) for one in mutation.covers}:
            self.covered[cover].update(marks)
        if found:
            self.differing.append((mutation, left, right, found, [name for name, _ in classes]))

    def words(self, mutation, found):
        """What the request is, for those who explain."""
        words = [f"depth {mutation.deepest}", f"faults {mutation.faults}"]
        words += ["twice"] * any(many > 1 for many in Mentions.of(mutation, self.places.collections).values())
        words += ["numbering"] * (found.get("rows", ("",))[0] == "numbering")
        return ", ".join(words)

    def share(self, name, of="asked"):
        return 100 * self.total[name] / max(1, self.total[of])

    def summary(self):
        total = self.total
        return [
            f"{total['asked']} mutations (seed {self.seed}): {self.share('answer and rows equal'):.2f} % equal in answer "
            f"and rows, with what is explained "
            f"{self.share('answer and rows equal') + self.share('answer and rows explained'):.2f} %; of those that neither "
            f"side fails at {self.share('answer and rows equal', 'both stand'):.2f} %",
            f"in activity and revisions too: {self.share('equal'):.2f} %, with what is explained "
            f"{self.share('equal') + self.share('explained'):.2f} %",
            f"accepted by the left: {self.share('accepted'):.1f} % (of these equal {self.share('equal accepted', 'accepted'):.2f} %)",
            f"failures (5xx): left {total['left fails']}, right {total['right fails']}; no answer {total['no answer']}; "
            f"{len(self.classes)} classes of difference, "
            f"{sum(1 for found in self.classes.values() if not all(one[4] for one in found))} not explained",
        ]

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text("\n".join(self.markdown()) + "\n")
        with open(folder / "coverage.tsv", "w") as out:
            out.write("form\trelation\twhat\tdepth\tmutations\taccepted\tequal\n")
            for cover, marks in sorted(self.covered.items(), key=str):
                counts = [marks[one] for one in ("asked", "accepted", "equal")]
                out.write("\t".join(map(str, (*cover, *counts))) + "\n")
        with open(folder / "differences.jsonl", "w") as out:
            for mutation, left, right, found, classes in self.differing:
                out.write(json.dumps({
                    "found": found, "classes": classes, "mutation": vars(mutation), "left": self.told(left),
                    "right": self.told(right)}, ensure_ascii=False) + "\n")

    @staticmethod
    def told(outcome):
        acts = [f"{one['action']} {one['collection']} {one['item']}" for one in outcome.activity]
        return {"answer": cut(outcome.answer), "changes": outcome.changes, "activity": acts, "revisions": outcome.revisions}

    def table(self, name, counted):
        columns = ["asked", "accepted", "answer and rows equal", "equal"]
        lines = [f"| {name} | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        return lines + [f"| {one} | " + " | ".join(str(marks[column]) for column in columns) + " |"
                        for one, marks in sorted(counted.items(), key=str)]

    def markdown(self):
        lines = [f"# Writes: {self.sides[0]} beside {self.sides[1]}", "", *self.summary(), ""]
        lines += self.table("form", self.forms) + [""] + self.table("nested levels", self.depths)
        lines += ["", "## What is evened out", "", *(f"- {rule}" for rule in RULES)]
        lines += ["", "Never asked:", "", *(f"- {rule}" for rule in LEFT_OUT)]
        lines += ["", "Described differently, and left out:", "", *(f"- {one}" for one in self.left_out or ["nothing"])]
        lines += ["", "## Classes of difference", ""]
        for name, found in sorted(self.classes.items(), key=lambda one: -len(one[1])):
            mutation, left, right, _, _ = min(found, key=lambda one: len(one[0].readable()))
            whys = collections.Counter(one[4] or "not explained" for one in found)
            lines += [f"### {name}: {len(found)}", ""]
            lines += [f"{why} ({count})" for why, count in whys.most_common()] + ["", "```", mutation.readable()[:700]]
            for side, outcome in (("left ", left), ("right", right)):
                told = self.told(outcome)
                lines += [f"{side} {outcome.answer.status} {outcome.answer.text[:300]}",
                          f"      {json.dumps(outcome.changes, ensure_ascii=False)[:400]}", f"      {told['activity']}"[:300]]
            lines += ["```", ""]
        return lines + self.coverage()

    def coverage(self):
        lines = ["## Coverage", "", "`coverage.tsv` has form, relation, type or form of the nested payload, and depth; here "
                 "what by relation, mutations (of these accepted):", ""]
        cells, relations = collections.defaultdict(collections.Counter), set()
        for (_, relation, what, _), marks in self.covered.items():
            cells[(what, relation)].update(marks)
            relations.add(relation)
        relations = sorted(relations)
        lines += ["| what | " + " | ".join(relations) + " |", "|---|" + "---|" * len(relations)]
        for what in sorted({one for one, _ in cells}):
            row = []
            for relation in relations:
                marks = cells.get((what, relation))
                row.append(f"{marks['asked']} ({marks['accepted']})" if marks else "")
            lines.append(f"| {what} | " + " | ".join(row) + " |")
        return lines
